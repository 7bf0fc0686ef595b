# A gateway with a listener of each protocol.

resource "aws_appmesh_virtual_gateway" "every" {
  name      = "every"
  mesh_name = aws_appmesh_mesh.shop.name

  spec {
    backend_defaults {
      client_policy {
        tls {
          enforce = false
          ports   = [443]
          certificate {
            file {
              certificate_chain = "/keys/chain.pem"
              private_key       = "/keys/key.pem"
            }
          }
          validation {
            subject_alternative_names {
              match {
                exact = ["a.test"]
              }
            }
            trust {
              acm {
                certificate_authority_arns = ["arn:aws:acm-pca:us-west-2:000000000000:certificate-authority/1"]
              }
            }
          }
        }
      }
    }

    listener {
      port_mapping {
        port     = 7000
        protocol = "http"
      }
      connection_pool {
        http {
          max_connections      = local.seconds
          max_pending_requests = 5
        }
      }
      health_check {
        healthy_threshold   = 2
        interval_millis     = 5000
        path                = "/ping"
        port                = 7000
        protocol            = "http"
        timeout_millis      = 2000
        unhealthy_threshold = 3
      }
      tls {
        mode = var.second ? "PERMISSIVE" : "STRICT"
        certificate {
          acm {
            certificate_arn = "arn:aws:acm:us-west-2:000000000000:certificate/1"
          }
        }
        validation {
          subject_alternative_names {
            match {
              exact = ["client.test"]
            }
          }
          trust {
            file {
              certificate_chain = "/keys/authorities.pem"
            }
          }
        }
      }
    }

    listener {
      port_mapping {
        port     = 7001
        protocol = "http2"
      }
      connection_pool {
        http2 {
          max_requests = 10
        }
      }
      health_check {
        healthy_threshold   = 2
        interval_millis     = 5000
        path                = "/ping"
        protocol            = "http2"
        timeout_millis      = 2000
        unhealthy_threshold = 3
      }
      tls {
        mode = "STRICT"
        certificate {
          file {
            certificate_chain = "/keys/chain.pem"
            private_key       = "/keys/key.pem"
          }
        }
        validation {
          trust {
            sds {
              secret_name = "spiffe://shop"
            }
          }
        }
      }
    }

    listener {
      port_mapping {
        port     = 7002
        protocol = "grpc"
      }
      connection_pool {
        grpc {
          max_requests = 10
        }
      }
      tls {
        mode = "DISABLED"
        certificate {
          sds {
            secret_name = "spiffe://shop/gateway"
          }
        }
      }
    }

    logging {
      access_log {
        file {
          path = "/dev/stdout"
          format {
            json {
              key   = "code"
              value = "%RESPONSE_CODE%"
            }
          }
        }
      }
    }
  }

  tags = {
    team = "a"
  }
}

resource "aws_appmesh_virtual_gateway" "secrets" {
  name       = "secrets"
  mesh_name  = aws_appmesh_mesh.shop.name
  mesh_owner = aws_appmesh_mesh.shop.mesh_owner

  spec {
    backend_defaults {
      client_policy {
        tls {
          certificate {
            sds {
              secret_name = "spiffe://shop/gateway"
            }
          }
          validation {
            trust {
              sds {
                secret_name = "spiffe://shop"
              }
            }
          }
        }
      }
    }

    listener {
      port_mapping {
        port     = 7000
        protocol = "http"
      }
    }

    logging {
      access_log {
        file {
          path = "/dev/stdout"
          format {
            text = "%PROTOCOL%"
          }
        }
      }
    }
  }
}

resource "aws_appmesh_virtual_gateway" "files" {
  name      = "files"
  mesh_name = aws_appmesh_mesh.shop.name

  spec {
    backend_defaults {
      client_policy {
        tls {
          validation {
            trust {
              file {
                certificate_chain = "/keys/authorities.pem"
              }
            }
          }
        }
      }
    }

    listener {
      port_mapping {
        port     = var.second ? 7001 : 7000
        protocol = "http"
      }
    }
  }
}
