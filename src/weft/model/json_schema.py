"""The kinds as JSON Schema (2020-12), made from the model: members, limits and what they mean."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from weft.model.codec import SPECS
from weft.model.described import described
from weft.model.policy import KINDS as POLICY_KINDS
from weft.names import Kind

Schema = dict[str, Any]
DIALECT = "https://json-schema.org/draft/2020-12/schema"
_NULL = {"type": "null"}

# Rules between members, as far as JSON Schema can say them.
_BETWEEN: Mapping[str, Schema] = {
    "Duration": {"dependentRequired": {"unit": ["value"], "value": ["unit"]}},
    "GrpcRouteMatch": {"dependentRequired": {"methodName": ["serviceName"]}},
    "HttpRouteMatch": {
        "anyOf": [{"required": [name]} for name in ("prefix", "path", "port")],
        "not": {"required": ["prefix", "path"]},
    },
    "HttpRetryPolicy": {
        "anyOf": [{"required": [name]} for name in ("httpRetryEvents", "tcpRetryEvents")]
    },
    "GrpcRetryPolicy": {
        "anyOf": [
            {"required": [name]}
            for name in ("httpRetryEvents", "tcpRetryEvents", "grpcRetryEvents")
        ]
    },
    "RouteSpec": {
        "oneOf": [
            {"required": [name]} for name in ("grpcRoute", "http2Route", "httpRoute", "tcpRoute")
        ]
    },
    "GatewayRouteSpec": {
        "oneOf": [{"required": [name]} for name in ("grpcRoute", "http2Route", "httpRoute")]
    },
}


@cache
def schema(kind: Kind) -> Schema:
    """A whole resource of this kind, as ``weft apply`` takes it; treat it as read-only."""
    spec = SPECS[kind]
    made = spec.model_json_schema(by_alias=True)
    definitions = made.pop("$defs", {})
    definitions[spec.__name__] = made
    title = _words(kind.value)
    return {
        "$schema": DIALECT,
        "$id": f"/weft/v1/schema/{kind}",
        "title": title,
        "type": "object",
        "properties": {
            "kind": {"const": kind.value},
            **_names(kind),
            "spec": {
                "$ref": f"#/$defs/{spec.__name__}",
                "title": "Spec",
                "description": f"What the {title.lower()} is to be.",
            },
            "tags": _TAGS,
            "clientToken": {"type": "string", "description": "Makes a repeated request harmless."},
            **({} if kind is Kind.MESH else {"meshOwner": _OWNER}),
        },
        "required": [*_names(kind), *(() if kind is Kind.MESH else ("spec",))],
        "additionalProperties": False,
        "$defs": {
            name: _object(name, definition) for name, definition in sorted(definitions.items())
        },
    }


POLICY = "policy"
"""What a schema is asked for by, beside the kinds."""

_ABOUT = {
    Kind.MESH: "^mesh(/[^/]+)?$",
    Kind.ROUTE: "^(mesh/[^/]+/)?virtualRouter/[^/]+/route/[^/]+$",
    Kind.VIRTUAL_SERVICE: "^(mesh/[^/]+/)?virtualService/[^/]+$",
    Kind.VIRTUAL_NODE: "^(mesh/[^/]+/)?virtualNode/[^/]+$",
}


@cache
def policy_schema() -> Schema:
    """One item of ``policies:``, whatever it is about; treat it as read-only."""
    choices: list[Schema] = []
    definitions: Schema = {}
    for kind, model in POLICY_KINDS.items():
        made = model.model_json_schema(by_alias=True)
        definitions |= made.pop("$defs", {})
        item = _object(model.__name__, made)
        about = {
            "type": "string",
            "title": "For",
            "pattern": _ABOUT[kind],
            "description": f"The {_words(kind.value).lower()} that the policy is about.",
        }
        choices.append(
            {**item, "properties": {"for": about, **item["properties"]}, "required": ["for"]}
        )
    return {
        "$schema": DIALECT,
        "$id": f"/weft/v1/schema/{POLICY}",
        "title": "Policy",
        "oneOf": choices,
        "$defs": {
            name: _object(name, definition) for name, definition in sorted(definitions.items())
        },
    }


_TAGS: Schema = {
    "type": "array",
    "maxItems": 50,
    "description": "Words of yours to find it by.",
    "items": {
        "type": "object",
        "properties": {
            "key": {"type": "string", "minLength": 1, "maxLength": 128},
            "value": {"type": "string", "minLength": 0, "maxLength": 256},
        },
        "required": ["key", "value"],
        "additionalProperties": False,
    },
}


_OWNER: Schema = {
    "type": "string",
    "pattern": "^[0-9]{12}$",
    "description": "The account that owns the mesh, where it is another.",
}


def _names(kind: Kind) -> Schema:
    """The members that say which resource it is: its mesh, what it lives in, itself."""
    kinds = [kind]
    while (parent := kinds[0].parent) is not None:
        kinds.insert(0, parent)
    return {
        f"{each}Name": {
            "type": "string",
            "minLength": 1,
            "maxLength": 255,
            "title": _words(f"{each}Name"),
            "description": f"The name of the {_words(each.value).lower()}"
            + ("." if each is kind else " it is in."),
        }
        for each in kinds
    }


def _object(name: str, made: Schema) -> Schema:
    """One object of a spec: no nulls, and each member with its meaning."""
    found = {member: value for member, value in made.items() if member != "title"}
    if "description" in found:
        found["description"] = found["description"].split("\n\n")[0].replace("``", "")
    found["properties"] = {
        member: {
            "title": _words(member),
            "description": described(name, member),
            **_value(value),
        }
        for member, value in made["properties"].items()
    }
    return {"title": name, **found, **_BETWEEN.get(name, {})}


def _value(made: Schema) -> Schema:
    # Not given and null are the same to App Mesh's clients; a form has no use for null.
    choices = [each for each in made.get("anyOf", ()) if each != _NULL]
    if len(choices) == 1:
        made = choices[0]
    found = {member: value for member, value in made.items() if member not in ("title", "default")}
    if "items" in found:
        found["items"] = _value(found["items"])
    if "const" in found:
        found["enum"] = [found.pop("const")]
    return found


def _words(member: str) -> str:
    """``perRetryTimeout`` as ``Per retry timeout``."""
    text = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", member).lower()
    return text[:1].upper() + text[1:]
