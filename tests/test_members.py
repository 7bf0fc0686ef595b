"""Every member of the model is in the table of docs/members.md, with tests that there are."""

from __future__ import annotations

from tests.members import ROOT, functions_of, members, page, proofs, spelt_out


def test_every_member_has_a_proof_and_nothing_else_does() -> None:
    assert set(proofs()) == set(members())


def test_every_proof_names_tests_that_there_are() -> None:
    named = {test for proof in proofs().values() for test in proof.tests}
    missing = [
        test
        for test in sorted(named)
        if test.partition("::")[2] not in functions_of(test.partition("::")[0])
    ]

    assert missing == []


def test_the_table_in_the_docs_is_the_one_of_the_model() -> None:
    table = (ROOT / "docs" / "members.md").read_text(encoding="utf-8")

    assert table == page(), "make docs writes it anew"


def test_a_pattern_is_spelt_out() -> None:
    assert spelt_out("a.{b,c}.d{.e,.f}") == ["a.b.d.e", "a.b.d.f", "a.c.d.e", "a.c.d.f"]
