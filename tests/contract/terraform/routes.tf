# Routes of all four types, by every kind of match.

resource "aws_appmesh_route" "http" {
  name                = "http"
  mesh_name           = aws_appmesh_mesh.shop.name
  virtual_router_name = aws_appmesh_virtual_router.every.name

  spec {
    priority = var.second ? 0 : 7

    http_route {
      match {
        port   = 8000
        prefix = "/"
        method = "GET"

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
        header {
          name = "present"
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
        weighted_target {
          virtual_node = aws_appmesh_virtual_node.every.name
          port         = 9000
          weight       = var.second ? 0 : 80
        }
        # Without a port: the provider takes what comes back for the port.
        weighted_target {
          virtual_node = aws_appmesh_virtual_node.mapped.name
          weight       = var.second ? 100 : 20
        }
      }

      retry_policy {
        http_retry_events = ["server-error", "gateway-error", "client-error", "stream-error"]
        tcp_retry_events  = ["connection-error"]
        max_retries       = var.second ? 0 : 2
        per_retry_timeout {
          unit  = "s"
          value = local.seconds
        }
      }

      timeout {
        idle {
          unit  = "s"
          value = 60
        }
        per_request {
          unit  = "ms"
          value = 250
        }
      }
    }
  }

  tags = {
    team = "a"
  }
}

resource "aws_appmesh_route" "http_exact" {
  name                = "http-exact"
  mesh_name           = aws_appmesh_mesh.shop.name
  mesh_owner          = aws_appmesh_mesh.shop.mesh_owner
  virtual_router_name = aws_appmesh_virtual_router.every.name

  spec {
    http_route {
      match {
        port = 8000
        path {
          exact = var.second ? "/second" : "/first"
        }
      }
      action {
        weighted_target {
          virtual_node = aws_appmesh_virtual_node.mapped.name
          weight       = 1
        }
      }
    }
  }
}

resource "aws_appmesh_route" "http_regex" {
  name                = "http-regex"
  mesh_name           = aws_appmesh_mesh.shop.name
  virtual_router_name = aws_appmesh_virtual_router.every.name

  spec {
    http_route {
      match {
        port = 8000
        path {
          regex = "/a.*"
        }
      }
      action {
        weighted_target {
          virtual_node = aws_appmesh_virtual_node.mapped.name
          weight       = 1
        }
      }
    }
  }
}

resource "aws_appmesh_route" "http2" {
  name                = "http2"
  mesh_name           = aws_appmesh_mesh.shop.name
  virtual_router_name = aws_appmesh_virtual_router.every.name

  spec {
    http2_route {
      match {
        port   = 8001
        method = "POST"
        scheme = "https"
        path {
          exact = "/a"
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
      }

      action {
        weighted_target {
          virtual_node = aws_appmesh_virtual_node.every.name
          port         = 9001
          weight       = 100
        }
      }

      retry_policy {
        http_retry_events = ["gateway-error"]
        tcp_retry_events  = ["connection-error"]
        max_retries       = local.seconds
        per_retry_timeout {
          unit  = "ms"
          value = 500
        }
      }

      timeout {
        idle {
          unit  = "s"
          value = local.seconds
        }
        per_request {
          unit  = "ms"
          value = 250
        }
      }
    }
  }
}

resource "aws_appmesh_route" "http2_prefix" {
  name                = "http2-prefix"
  mesh_name           = aws_appmesh_mesh.shop.name
  virtual_router_name = aws_appmesh_virtual_router.every.name

  spec {
    http2_route {
      match {
        port   = 8001
        prefix = "/"
      }
      action {
        weighted_target {
          virtual_node = aws_appmesh_virtual_node.every.name
          port         = 9001
          weight       = 100
        }
      }
    }
  }
}

resource "aws_appmesh_route" "http2_regex" {
  name                = "http2-regex"
  mesh_name           = aws_appmesh_mesh.shop.name
  virtual_router_name = aws_appmesh_virtual_router.every.name

  spec {
    http2_route {
      match {
        port = 8001
        path {
          regex = "/a.*"
        }
      }
      action {
        weighted_target {
          virtual_node = aws_appmesh_virtual_node.every.name
          port         = 9001
          weight       = 100
        }
      }
    }
  }
}

resource "aws_appmesh_route" "grpc" {
  name                = "grpc"
  mesh_name           = aws_appmesh_mesh.shop.name
  virtual_router_name = aws_appmesh_virtual_router.every.name

  spec {
    grpc_route {
      match {
        port         = 8002
        service_name = "shop.Cart"
        method_name  = "Add"

        metadata {
          name   = "exact"
          invert = true
          match {
            exact = "a"
          }
        }
        metadata {
          name = "prefix"
          match {
            prefix = "a"
          }
        }
        metadata {
          name = "regex"
          match {
            regex = "a+"
          }
        }
        metadata {
          name = "suffix"
          match {
            suffix = "a"
          }
        }
        metadata {
          name = "range"
          match {
            range {
              start = 1
              end   = 10
            }
          }
        }
      }

      action {
        weighted_target {
          virtual_node = aws_appmesh_virtual_node.every.name
          port         = 9002
          weight       = 100
        }
      }

      retry_policy {
        grpc_retry_events = ["cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable"]
        http_retry_events = ["server-error"]
        tcp_retry_events  = ["connection-error"]
        max_retries       = local.seconds
        per_retry_timeout {
          unit  = "s"
          value = 15
        }
      }

      timeout {
        idle {
          unit  = "s"
          value = local.seconds
        }
        per_request {
          unit  = "ms"
          value = 250
        }
      }
    }
  }
}

resource "aws_appmesh_route" "tcp" {
  name                = "tcp"
  mesh_name           = aws_appmesh_mesh.shop.name
  virtual_router_name = aws_appmesh_virtual_router.every.name

  spec {
    tcp_route {
      match {
        port = 8003
      }

      action {
        weighted_target {
          virtual_node = aws_appmesh_virtual_node.every.name
          port         = 9003
          weight       = 100
        }
      }

      timeout {
        idle {
          unit  = "s"
          value = local.seconds
        }
      }
    }
  }
}
