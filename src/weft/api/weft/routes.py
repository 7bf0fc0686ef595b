"""Every request of Weft's own surface, a row each; ``docs/weft-api.md`` is its contract."""

from __future__ import annotations

from weft.api.parts import Parts
from weft.api.routing import Route
from weft.api.weft import schema
from weft.api.weft.apply import Apply
from weft.api.weft.certificates import routes as certificate_routes
from weft.api.weft.changes import Changes
from weft.api.weft.checks import Checks
from weft.api.weft.cloud_map import CloudMapServices
from weft.api.weft.instances import Instances
from weft.api.weft.policies import Policies
from weft.api.weft.proxies import Proxies
from weft.api.weft.resources import Resources
from weft.api.weft.shares import Shares
from weft.api.weft.status import Status
from weft.api.weft.tokens import Tokens
from weft.api.weft.why import Why
from weft.identity.caller import Right

_POLICY = "/weft/v1/policies/{key*}"
_SHARES = "/weft/v1/meshes/{mesh}/shares"
_INSTANCES = "/weft/v1/meshes/{mesh}/virtualNodes/{node}/instances"


def routes(parts: Parts) -> list[Route]:
    cloud_map = CloudMapServices(parts)
    resources, changes, proxies = Resources(parts), Changes(parts), Proxies(parts)
    instances, tokens, checks = Instances(parts), Tokens(parts), Checks(parts)
    shares, policies = Shares(parts), Policies(parts)
    return [
        Route("GET", "/weft/v1/status", Status(parts).describe),
        Route("GET", "/weft/v1/resources", resources.list_resources),
        Route("GET", "/weft/v1/resources/{key*}", resources.describe),
        Route("POST", "/weft/v1/apply", Apply(parts).apply),
        Route("GET", "/weft/v1/changes", changes.list_changes),
        Route("GET", "/weft/v1/changes/{revision}", changes.describe),
        Route("POST", "/weft/v1/changes/{revision}/revert", changes.revert),
        Route("GET", "/weft/v1/proxies", proxies.list_proxies),
        Route("GET", "/weft/v1/proxies/{instance}", proxies.describe),
        Route("GET", "/weft/v1/wait", proxies.wait),
        Route("GET", "/weft/v1/why", Why(parts).explain),
        Route("GET", "/weft/v1/policies", policies.list_policies),
        Route("GET", _POLICY, policies.describe),
        Route("PUT", _POLICY, policies.put),
        Route("PATCH", _POLICY, policies.patch),
        Route("DELETE", _POLICY, policies.delete),
        Route("GET", _SHARES, shares.list_shares),
        Route("POST", _SHARES, shares.share),
        Route("DELETE", _SHARES + "/{account}", shares.unshare),
        Route("GET", "/weft/v1/checks", checks.list_findings),
        Route("POST", "/weft/v1/checks", checks.judge, Right.READ),
        *certificate_routes(parts),
        Route("GET", "/weft/v1/schema/{kind}", schema.describe),
        Route("GET", "/weft/v1/cloudMap/namespaces", cloud_map.list_namespaces),
        Route("GET", "/weft/v1/cloudMap/services", cloud_map.list_services),
        Route("GET", _INSTANCES, instances.list_instances),
        Route("PUT", _INSTANCES + "/{id}", instances.register, Right.REGISTER),
        Route("POST", _INSTANCES + "/{id}/heartbeat", instances.heartbeat, Right.REGISTER),
        Route("DELETE", _INSTANCES + "/{id}", instances.deregister, Right.REGISTER),
        Route("GET", "/weft/v1/tokens", tokens.list_tokens, Right.ADMINISTER),
        Route("POST", "/weft/v1/tokens", tokens.create, Right.ADMINISTER),
        Route("DELETE", "/weft/v1/tokens/{name}", tokens.revoke, Right.ADMINISTER),
    ]
