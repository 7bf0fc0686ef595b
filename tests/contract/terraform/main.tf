# Every member of App Mesh's seven kinds that Terraform's AWS provider knows, each at least once.
# Where Weft is, and with which keys, comes from the environment, as `weft env` sets it.

terraform {
  required_providers {
    aws = {
      source = "hashicorp/aws"
    }
  }
}

provider "aws" {
  default_tags {
    tags = {
      made-by = "terraform"
    }
  }
}

variable "second" {
  description = "Whether the definitions are those of the update."
  type        = bool
  default     = false
}

locals {
  seconds = var.second ? 7 : 5
}

resource "aws_appmesh_mesh" "shop" {
  name = "terraform-shop"

  spec {
    egress_filter {
      type = var.second ? "DROP_ALL" : "ALLOW_ALL"
    }
    service_discovery {
      ip_preference = "IPv4_PREFERRED"
    }
  }

  tags = {
    team  = var.second ? "b" : "a"
    empty = ""
  }
}

# A spec that is not given, and an egress filter that is: both must come back without a difference.
resource "aws_appmesh_mesh" "bare" {
  name = "terraform-bare"
}
