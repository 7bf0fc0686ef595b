# Two more virtual nodes, for the other ways to trust a backend and to show oneself to it.

resource "aws_appmesh_virtual_node" "files" {
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
  }
}

resource "aws_appmesh_virtual_node" "secrets" {
  name      = "secrets"
  mesh_name = aws_appmesh_mesh.shop.name

  spec {
    backend_defaults {
      client_policy {
        tls {
          enforce = true
          certificate {
            sds {
              secret_name = "spiffe://shop/secrets"
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
  }
}
