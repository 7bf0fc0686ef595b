# Routers, and the services in front of them.

resource "aws_appmesh_virtual_router" "every" {
  name      = "every"
  mesh_name = aws_appmesh_mesh.shop.name

  spec {
    dynamic "listener" {
      for_each = { 8000 = "http", 8001 = "http2", 8002 = "grpc", 8003 = "tcp" }
      content {
        port_mapping {
          port     = listener.key
          protocol = listener.value
        }
      }
    }
  }

  tags = {
    team = "a"
  }
}

resource "aws_appmesh_virtual_router" "bare" {
  name      = "bare"
  mesh_name = aws_appmesh_mesh.shop.name

  spec {
    dynamic "listener" {
      for_each = var.second ? [8000] : []
      content {
        port_mapping {
          port     = listener.value
          protocol = "http"
        }
      }
    }
  }
}

resource "aws_appmesh_virtual_service" "routed" {
  name      = "routed.test"
  mesh_name = aws_appmesh_mesh.shop.name

  spec {
    provider {
      virtual_router {
        virtual_router_name = aws_appmesh_virtual_router.every.name
      }
    }
  }

  tags = {
    team = "a"
  }
}

resource "aws_appmesh_virtual_service" "direct" {
  name      = "direct.test"
  mesh_name = aws_appmesh_mesh.shop.name

  spec {
    provider {
      virtual_node {
        virtual_node_name = var.second ? aws_appmesh_virtual_node.mapped.name : aws_appmesh_virtual_node.every.name
      }
    }
  }
}

resource "aws_appmesh_virtual_service" "nobody" {
  name      = "nobody.test"
  mesh_name = aws_appmesh_mesh.shop.name

  spec {}
}
