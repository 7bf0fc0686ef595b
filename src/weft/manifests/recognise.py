"""What sort of document this is, from its outermost members alone."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

APP_MESH_GROUP = "appmesh.k8s.aws/"
_LISTS = "List"
_TERRAFORM_PARTS = ("values", "planned_values", "resource_changes", "lineage", "resources")


class Sort(Enum):
    """The formats that are told apart; what is none of them is App Mesh's own shape."""

    CLOUDFORMATION = "a CloudFormation template"
    KUBERNETES = "a Kubernetes object"
    FOREIGN_KUBERNETES = "a Kubernetes object of another kind"
    TERRAFORM = "Terraform's state or plan"
    APP_MESH = "App Mesh resources"


def sort_of(top: Mapping[str, Any]) -> Sort:
    """Of a document with these members; texts as they are, other values of no matter."""
    if "AWSTemplateFormatVersion" in top or "Resources" in top:
        return Sort.CLOUDFORMATION
    if "apiVersion" in top and "kind" in top:
        version, kind = str(top["apiVersion"]), str(top["kind"])
        ours = version.startswith(APP_MESH_GROUP)
        if ours or (version == "v1" and (kind == "Namespace" or kind == _LISTS)):
            return Sort.KUBERNETES
        return Sort.FOREIGN_KUBERNETES
    if ("terraform_version" in top or "format_version" in top or "lineage" in top) and any(
        part in top for part in (*_TERRAFORM_PARTS, "serial")
    ):
        return Sort.TERRAFORM
    return Sort.APP_MESH
