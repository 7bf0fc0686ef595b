"""The JSON Schema of a kind, for editors and forms."""

from __future__ import annotations

from difflib import get_close_matches

from weft.api.exchange import Answer, Call, answer
from weft.api.weft.named import kind_named
from weft.errors import NotFound
from weft.model.json_schema import POLICY, policy_schema, schema
from weft.names import Kind


async def describe(call: Call) -> Answer:
    call.known_query()
    text = call.labels["kind"]
    if text == POLICY:
        return answer(policy_schema())
    kind = kind_named(text)
    if kind is None:
        near = get_close_matches(text, [each.value for each in Kind], n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise NotFound(
            f"there is no kind {text[:40]!r}{hint}", fix=f"it is one of {', '.join(Kind)}, {POLICY}"
        )
    return answer(schema(kind))
