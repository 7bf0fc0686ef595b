"""What people bring: whatever is wrong with it, it is told, and nothing else happens."""

from __future__ import annotations

import base64
import textwrap
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.errors import Invalid
from weft.identity import ca, imported

NOW = datetime(2026, 1, 1, tzinfo=UTC)
EC = ca.KeyAlgorithm.EC_P256
ROOT = ca.root("theirs", EC, NOW)
LEAF = ca.leaf(ca.Names(("x.local",), ("spiffe://m/x",)), EC, ROOT, NOW)
CERTIFICATE, KEY, ABOVE = (
    ca.pem([LEAF.certificate]),
    ca.key_pem(LEAF.key),
    ca.pem([ROOT.certificate]),
)


def changed(pem: str, at: int, to: int) -> str:
    """The text with one byte of what it holds replaced."""
    begin, *lines, end = pem.strip().splitlines()
    raw = bytearray(base64.b64decode("".join(lines)))
    raw[at % len(raw)] = to
    body = "\n".join(textwrap.wrap(base64.b64encode(bytes(raw)).decode(), 64))
    return f"{begin}\n{body}\n{end}\n"


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@pytest.mark.filterwarnings("ignore::UserWarning")
@settings(max_examples=400, deadline=None)
@given(st.sampled_from(["leaf", "key", "above"]), st.integers(0, 4000), st.integers(0, 255))
def test_a_byte_that_is_wrong_is_a_mistake_and_no_fault(which: str, at: int, to: int) -> None:
    texts = {"leaf": CERTIFICATE, "key": KEY, "above": ABOVE}
    texts[which] = changed(texts[which], at, to)
    try:
        brought = imported.certificate(texts["leaf"], texts["key"], texts["above"], "", NOW)
    except Invalid:
        return
    assert brought.key is not None
    assert brought.key.public_key() == brought.certificate.public_key()


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200), st.text(max_size=200), st.text(max_size=200))
def test_any_text_is_answered_with_what_is_wrong(leaf: str, key: str, chain: str) -> None:
    with pytest.raises(Invalid):
        imported.certificate(leaf, key, chain, "", NOW)
    with pytest.raises(Invalid):
        imported.authority(leaf, key, chain, NOW)


def test_the_root_at_the_end_of_a_chain_is_trusted_and_not_presented() -> None:
    brought = imported.certificate(CERTIFICATE + ABOVE, KEY, "", "", NOW)
    assert (brought.intermediates, brought.roots) == ((), (ROOT.certificate,))
    assert brought.warnings == ()


def test_a_key_file_with_the_certificate_in_it_is_taken_as_a_key() -> None:
    assert imported.certificate(CERTIFICATE, KEY + CERTIFICATE, "", "", NOW).key is not None
