# Gateway routes of all three types, by every kind of match and rewrite.

resource "aws_appmesh_gateway_route" "http_prefix" {
  name                 = "http-prefix"
  mesh_name            = aws_appmesh_mesh.shop.name
  mesh_owner           = aws_appmesh_mesh.shop.mesh_owner
  virtual_gateway_name = aws_appmesh_virtual_gateway.every.name

  spec {
    priority = var.second ? 0 : 3

    http_route {
      match {
        port   = 7000
        prefix = "/a/"
        hostname {
          exact = "a.test"
        }

        header {
          name   = "exact"
          invert = true
          match {
            exact = "a"
          }
        }
        header {
          name = "prefix"
          match {
            prefix = "a"
          }
        }
        header {
          name = "regex"
          match {
            regex = "a+"
          }
        }
        header {
          name = "suffix"
          match {
            suffix = "a"
          }
        }
        header {
          name = "range"
          match {
            range {
              start = 1
              end   = 10
            }
          }
        }

        query_parameter {
          name = "exact"
          match {
            exact = "1"
          }
        }
        query_parameter {
          name = "present"
        }
      }

      action {
        target {
          port = 8000
          virtual_service {
            virtual_service_name = aws_appmesh_virtual_service.routed.name
          }
        }
        rewrite {
          hostname {
            default_target_hostname = "DISABLED"
          }
          prefix {
            value = var.second ? "/c/" : "/b/"
          }
        }
      }
    }
  }

  tags = {
    team = "a"
  }
}

resource "aws_appmesh_gateway_route" "http_default" {
  name                 = "http-default"
  mesh_name            = aws_appmesh_mesh.shop.name
  virtual_gateway_name = aws_appmesh_virtual_gateway.every.name

  spec {
    http_route {
      match {
        port   = 7000
        prefix = "/a"
      }

      action {
        target {
          port = 8000
          virtual_service {
            virtual_service_name = aws_appmesh_virtual_service.routed.name
          }
        }
        rewrite {
          prefix {
            default_prefix = "DISABLED"
          }
        }
      }
    }
  }
}

resource "aws_appmesh_gateway_route" "http_exact" {
  name                 = "http-exact"
  mesh_name            = aws_appmesh_mesh.shop.name
  virtual_gateway_name = aws_appmesh_virtual_gateway.every.name

  spec {
    http_route {
      match {
        port = 7000
        path {
          exact = "/a"
        }
        hostname {
          suffix = ".test"
        }
      }

      action {
        target {
          port = 8000
          virtual_service {
            virtual_service_name = aws_appmesh_virtual_service.routed.name
          }
        }
        rewrite {
          path {
            exact = "/b"
          }
        }
      }
    }
  }
}

resource "aws_appmesh_gateway_route" "http_regex" {
  name                 = "http-regex"
  mesh_name            = aws_appmesh_mesh.shop.name
  virtual_gateway_name = aws_appmesh_virtual_gateway.every.name

  spec {
    http_route {
      match {
        port = 7000
        path {
          regex = "/a.*"
        }
      }

      action {
        target {
          port = 8000
          virtual_service {
            virtual_service_name = aws_appmesh_virtual_service.routed.name
          }
        }
      }
    }
  }
}

resource "aws_appmesh_gateway_route" "http2_prefix" {
  name                 = "http2-prefix"
  mesh_name            = aws_appmesh_mesh.shop.name
  virtual_gateway_name = aws_appmesh_virtual_gateway.every.name

  spec {
    http2_route {
      match {
        port   = 7001
        prefix = "/a/"
        hostname {
          exact = "a.test"
        }

        header {
          name   = "exact"
          invert = true
          match {
            exact = "a"
          }
        }
        header {
          name = "prefix"
          match {
            prefix = "a"
          }
        }
        header {
          name = "regex"
          match {
            regex = "a+"
          }
        }
        header {
          name = "suffix"
          match {
            suffix = "a"
          }
        }
        header {
          name = "range"
          match {
            range {
              start = 1
              end   = 10
            }
          }
        }

        query_parameter {
          name = "exact"
          match {
            exact = "1"
          }
        }
        query_parameter {
          name = "present"
        }
      }

      action {
        target {
          port = 8001
          virtual_service {
            virtual_service_name = aws_appmesh_virtual_service.routed.name
          }
        }
        rewrite {
          hostname {
            default_target_hostname = "DISABLED"
          }
          prefix {
            value = var.second ? "/c/" : "/b/"
          }
        }
      }
    }
  }
}

resource "aws_appmesh_gateway_route" "http2_default" {
  name                 = "http2-default"
  mesh_name            = aws_appmesh_mesh.shop.name
  virtual_gateway_name = aws_appmesh_virtual_gateway.every.name

  spec {
    http2_route {
      match {
        port   = 7001
        prefix = "/a"
      }

      action {
        target {
          port = 8001
          virtual_service {
            virtual_service_name = aws_appmesh_virtual_service.routed.name
          }
        }
        rewrite {
          prefix {
            default_prefix = "DISABLED"
          }
        }
      }
    }
  }
}

resource "aws_appmesh_gateway_route" "http2_exact" {
  name                 = "http2-exact"
  mesh_name            = aws_appmesh_mesh.shop.name
  virtual_gateway_name = aws_appmesh_virtual_gateway.every.name

  spec {
    http2_route {
      match {
        port = 7001
        path {
          exact = "/a"
        }
        hostname {
          suffix = ".test"
        }
      }

      action {
        target {
          port = 8001
          virtual_service {
            virtual_service_name = aws_appmesh_virtual_service.routed.name
          }
        }
        rewrite {
          path {
            exact = "/b"
          }
        }
      }
    }
  }
}

resource "aws_appmesh_gateway_route" "http2_regex" {
  name                 = "http2-regex"
  mesh_name            = aws_appmesh_mesh.shop.name
  virtual_gateway_name = aws_appmesh_virtual_gateway.every.name

  spec {
    http2_route {
      match {
        port = 7001
        path {
          regex = "/a.*"
        }
      }

      action {
        target {
          port = 8001
          virtual_service {
            virtual_service_name = aws_appmesh_virtual_service.routed.name
          }
        }
      }
    }
  }
}

resource "aws_appmesh_gateway_route" "grpc" {
  name                 = "grpc"
  mesh_name            = aws_appmesh_mesh.shop.name
  virtual_gateway_name = aws_appmesh_virtual_gateway.every.name

  spec {
    grpc_route {
      match {
        port         = 7002
        service_name = var.second ? "shop.Basket" : "shop.Cart"
      }

      action {
        target {
          port = 8002
          virtual_service {
            virtual_service_name = aws_appmesh_virtual_service.routed.name
          }
        }
      }
    }
  }
}
