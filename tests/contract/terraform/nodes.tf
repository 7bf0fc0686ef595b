# One virtual node with a listener of each protocol, one found by Cloud Map, one that is only a client.

resource "aws_appmesh_virtual_node" "every" {
  name      = "every"
  mesh_name = aws_appmesh_mesh.shop.name

  spec {
    backend_defaults {
      client_policy {
        tls {
          enforce = false
          ports   = [443, 8443]
          certificate {
            file {
              certificate_chain = "/keys/chain.pem"
              private_key       = "/keys/key.pem"
            }
          }
          validation {
            subject_alternative_names {
              match {
                exact = ["a.test", "b.test"]
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

    backend {
      virtual_service {
        virtual_service_name = "file.test"
        client_policy {
          tls {
            enforce = true
            certificate {
              sds {
                secret_name = "spiffe://shop/every"
              }
            }
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
    }

    backend {
      virtual_service {
        virtual_service_name = "secret.test"
        client_policy {
          tls {
            ports = [443]
            certificate {
              file {
                certificate_chain = "/keys/chain.pem"
                private_key       = "/keys/key.pem"
              }
            }
            validation {
              subject_alternative_names {
                match {
                  exact = ["secret.test"]
                }
              }
              trust {
                sds {
                  secret_name = "spiffe://shop"
                }
              }
            }
          }
        }
      }
    }

    backend {
      virtual_service {
        virtual_service_name = "private.test"
        client_policy {
          tls {
            validation {
              trust {
                acm {
                  certificate_authority_arns = ["arn:aws:acm-pca:us-west-2:000000000000:certificate-authority/2"]
                }
              }
            }
          }
        }
      }
    }

    listener {
      port_mapping {
        port     = 9000
        protocol = "http"
      }
      connection_pool {
        http {
          max_connections      = 10
          max_pending_requests = 5
        }
      }
      health_check {
        healthy_threshold   = 2
        interval_millis     = local.seconds * 1000
        path                = "/ping"
        protocol            = "http"
        timeout_millis      = 2000
        unhealthy_threshold = 3
      }
      outlier_detection {
        max_ejection_percent = 50
        max_server_errors    = local.seconds
        base_ejection_duration {
          unit  = "s"
          value = 30
        }
        interval {
          unit  = "ms"
          value = 500
        }
      }
      timeout {
        http {
          idle {
            unit  = "s"
            value = local.seconds
          }
          per_request {
            unit  = "ms"
            value = var.second ? 250 : 0
          }
        }
      }
      tls {
        mode = "STRICT"
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
        port     = 9001
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
        port                = 9001
        protocol            = "http2"
        timeout_millis      = 2000
        unhealthy_threshold = 3
      }
      timeout {
        http2 {
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
      tls {
        mode = "PERMISSIVE"
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
        port     = 9002
        protocol = "grpc"
      }
      connection_pool {
        grpc {
          max_requests = 10
        }
      }
      health_check {
        healthy_threshold   = 2
        interval_millis     = 5000
        protocol            = "grpc"
        timeout_millis      = 2000
        unhealthy_threshold = 3
      }
      timeout {
        grpc {
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
      tls {
        mode = "DISABLED"
        certificate {
          sds {
            secret_name = "spiffe://shop/every"
          }
        }
      }
    }

    listener {
      port_mapping {
        port     = 9003
        protocol = "tcp"
      }
      connection_pool {
        tcp {
          max_connections = 10
        }
      }
      timeout {
        tcp {
          idle {
            unit  = "s"
            value = 60
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
              key   = "start"
              value = "%START_TIME%"
            }
            json {
              key   = "code"
              value = var.second ? "%RESPONSE_CODE_DETAILS%" : "%RESPONSE_CODE%"
            }
          }
        }
      }
    }

    service_discovery {
      dns {
        hostname      = "every.test"
        ip_preference = "IPv4_ONLY"
        response_type = "ENDPOINTS"
      }
    }
  }

  tags = {
    team = "a"
  }
}

resource "aws_appmesh_virtual_node" "mapped" {
  name       = "mapped"
  mesh_name  = aws_appmesh_mesh.shop.name
  mesh_owner = aws_appmesh_mesh.shop.mesh_owner

  spec {
    listener {
      port_mapping {
        port     = 9000
        protocol = "http"
      }
    }

    logging {
      access_log {
        file {
          path = "/dev/stdout"
          format {
            text = "%PROTOCOL% %RESPONSE_CODE%\n"
          }
        }
      }
    }

    service_discovery {
      aws_cloud_map {
        namespace_name = "shop.local"
        service_name   = "mapped"
        attributes = {
          stack = "blue"
          stage = var.second ? "beta" : "alpha"
        }
      }
    }
  }
}

resource "aws_appmesh_virtual_node" "client" {
  name      = "client"
  mesh_name = aws_appmesh_mesh.shop.name

  spec {
    # In the first stage nothing at all, in the second a backend.
    dynamic "backend" {
      for_each = var.second ? ["routed.test"] : []
      content {
        virtual_service {
          virtual_service_name = backend.value
        }
      }
    }
  }
}
