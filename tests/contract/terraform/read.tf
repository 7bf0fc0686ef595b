# The data sources of all seven kinds, each reading what is made here.

data "aws_appmesh_mesh" "read" {
  name = aws_appmesh_mesh.shop.name
}

data "aws_appmesh_virtual_node" "read" {
  mesh_name = aws_appmesh_virtual_node.every.mesh_name
  name      = aws_appmesh_virtual_node.every.name
}

data "aws_appmesh_virtual_router" "read" {
  mesh_name = aws_appmesh_virtual_router.every.mesh_name
  name      = aws_appmesh_virtual_router.every.name
}

data "aws_appmesh_virtual_service" "read" {
  mesh_name = aws_appmesh_virtual_service.routed.mesh_name
  name      = aws_appmesh_virtual_service.routed.name
}

data "aws_appmesh_route" "read" {
  mesh_name           = aws_appmesh_route.http.mesh_name
  virtual_router_name = aws_appmesh_route.http.virtual_router_name
  name                = aws_appmesh_route.http.name
}

data "aws_appmesh_virtual_gateway" "read" {
  mesh_name = aws_appmesh_virtual_gateway.every.mesh_name
  name      = aws_appmesh_virtual_gateway.every.name
}

data "aws_appmesh_gateway_route" "read" {
  mesh_name            = aws_appmesh_gateway_route.http_prefix.mesh_name
  virtual_gateway_name = aws_appmesh_gateway_route.http_prefix.virtual_gateway_name
  name                 = aws_appmesh_gateway_route.http_prefix.name
}
