"""What becomes of the resources that the files define, once the control plane answers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence, Set
from enum import Enum

from weft.errors import Invalid
from weft.local.client import ControlPlane, Json
from weft.local.output import LogStream
from weft.manifests.definition import ORDER, Definition, located
from weft.manifests.files import Loaded
from weft.manifests.policies import located as located_policies
from weft.names import Key

_CERTIFICATES = '"certificateA'
"""How certificateArn and certificateAuthorityArns begin."""
_NAMED = 3


class Applying(Enum):
    EVERYTHING = "everything"
    """The mesh becomes as the files say."""
    MISSING = "missing"
    """What exists already stays as its operator left it."""
    AFRESH = "afresh"
    """As the files say, and whatever else is in the mesh is deleted."""
    NOTHING = "nothing"
    """Others create the mesh."""


async def apply(
    control_plane: ControlPlane, loaded: Loaded, applying: Applying, log: LogStream
) -> None:
    """All or nothing, in one revision; Invalid places every problem by file and line."""
    definitions, policies = list(loaded.definitions), list(loaded.policies)
    if not (definitions or policies) or applying is Applying.NOTHING:
        return
    kept = 0
    if applying is Applying.MISSING:
        _, resources = await control_plane.resources()
        existing = {str(each["key"]) for each in resources}
        kept = sum(str(each.key) in existing for each in definitions)
        definitions = [each for each in definitions if str(each.key) not in existing]
        # What an operator took back stays away as long as what it was about is there.
        policies = [each for each in policies if str(each.key) not in existing]
    said = f"mesh {loaded.mesh}   " if loaded.mesh else "mesh   "
    if not definitions and not policies:
        log.done(f"{said}kept as you left it; --fresh brings the example's own back")
        return
    try:
        reply = await control_plane.apply(
            [_input(each) for each in definitions],
            policies=[each.item for each in policies],
            note="from files",
        )
    except Invalid as error:
        found = located_policies(located(error.problems, definitions), policies)
        raise Invalid(found, fix=error.fix) from None
    counts = Counter(str(each.get("action")) for each in reply.body.get("outcomes") or ())
    done = ", ".join(f"{count} {action}" for action, count in sorted(counts.items()))
    revision = reply.body.get("revision", reply.revision)
    if applying is Applying.AFRESH:
        done += await _delete_others(control_plane, definitions, {each.key for each in policies})
    log.done(
        f"{said}{done or 'nothing to do'}"
        + (
            f", {kept} kept as you left them (--fresh brings the example's own back)"
            if kept
            else ""
        )
        + f", revision {revision}"
    )
    await _tell_what_is_missing(control_plane, list(loaded.definitions), log)


async def _tell_what_is_missing(
    control_plane: ControlPlane, definitions: Sequence[Definition], log: LogStream
) -> None:
    """Nothing is made by itself: what a certificate stands for is its operator's word."""
    if not any(_CERTIFICATES in json.dumps(each.body) for each in definitions):
        return
    missing = await control_plane.missing_certificates()
    if missing:
        few = ", ".join(str(each["arn"]) for each in missing[:_NAMED])
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        log.say(f"  ! no certificate or authority is known as {few}{more}")
        log.say("    what names them is closed until it is there: weft cert fill makes them all")


async def _delete_others(
    control_plane: ControlPlane, definitions: Sequence[Definition], policies: Set[Key]
) -> str:
    """What is in the meshes of the files and not in the files."""
    _, resources = await control_plane.resources()
    wanted = {each.key for each in definitions}
    meshes = {key.mesh for key in wanted}
    others = [
        key
        for each in resources
        if (key := Key.parse(str(each["key"]))).mesh in meshes and key not in wanted
    ]
    for key in sorted(others, key=lambda each: -ORDER.index(each.kind)):
        await control_plane.delete(key)
    for key in await control_plane.policies():
        if key.mesh in meshes and key not in policies:
            await control_plane.delete_policy(key)
    return f", {len(others)} deleted" if others else ""


def _input(definition: Definition) -> Json:
    return {"kind": definition.kind.value, **definition.body}
