"""A rule that is said to cover another takes each of its requests, as matching itself would say."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.checks.cover import MOST_COMPARED, Before, Rule, covers
from weft.ir import route as ir
from weft.resolve.matching import Request, mismatch

TEXTS = st.sampled_from(["a", "ab", "b", "1", "2", "15"])
VALUES = st.one_of(
    TEXTS.map(ir.Exact),
    TEXTS.map(ir.Prefix),
    TEXTS.map(ir.Suffix),
    st.sampled_from(["a.*", "[0-9]+", "b"]).map(ir.Regex),
    st.tuples(st.integers(0, 5), st.integers(6, 20)).map(lambda p: ir.Range(*p)),
    st.just(ir.Present()),
)
HEADERS = st.builds(ir.HeaderMatch, st.sampled_from(["x", "X", "y"]), VALUES, st.booleans())
PATHS = st.one_of(
    st.sampled_from(["/", "/a", "/a/", "/a/b"]).map(ir.Prefix),
    st.sampled_from(["/", "/a", "/a/b"]).map(ir.Exact),
    st.sampled_from(["/.*", "/a/.*", "/[ab]"]).map(ir.Regex),
)
QUERIES = st.builds(
    ir.QueryMatch, st.sampled_from("pq"), st.one_of(TEXTS.map(ir.Exact), st.just(ir.Present()))
)
MATCHES = st.builds(
    ir.RequestMatch,
    PATHS,
    st.lists(HEADERS, max_size=2).map(tuple),
    st.lists(QUERIES, max_size=1).map(tuple),
)
REQUESTS = st.builds(
    Request,
    st.just("GET"),
    st.builds(
        lambda path, query: path + query,
        st.sampled_from(["/", "/a", "/a/", "/a/b", "/b", "/a/b/c"]),
        st.sampled_from(["", "?p=a", "?p=1&q=b"]),
    ),
    st.lists(st.tuples(st.sampled_from("xy"), TEXTS), max_size=2, unique_by=lambda h: h[0]).map(
        tuple
    ),
)


@settings(max_examples=300)
@given(st.lists(MATCHES, min_size=4, max_size=4), st.lists(REQUESTS, min_size=1, max_size=8))
def test_what_is_covered_never_matches_alone(
    matches: list[ir.RequestMatch], requests: list[Request]
) -> None:
    for earlier, later in itertools.permutations(matches, 2):
        if not covers(Rule("earlier", earlier), Rule("later", later)):
            continue
        for request in requests:
            assert mismatch(later, request) is not None or mismatch(earlier, request) is None


@given(MATCHES)
def test_a_rule_covers_itself(match: ir.RequestMatch) -> None:
    assert covers(Rule("a", match), Rule("b", match))


@pytest.mark.parametrize(
    ("earlier", "later", "covered"),
    [
        ((), (), True),
        ((), ("a.test",), True),
        (("a.test",), (), False),
        (("*.test",), ("a.test",), True),
        (("*.test",), ("*.a.test",), True),
        (("a.test",), ("*.test",), False),
    ],
)
def test_hosts_cover_as_their_suffixes_say(
    earlier: tuple[str, ...], later: tuple[str, ...], covered: bool
) -> None:
    match = ir.RequestMatch()
    assert covers(Rule("a", match, hosts=earlier), Rule("b", match, hosts=later)) is covered


def test_a_rule_at_one_port_leaves_the_other_ports() -> None:
    match = ir.RequestMatch()
    assert not covers(Rule("a", match, 80), Rule("b", match))
    assert not covers(Rule("a", match, 80), Rule("b", match, 81))
    assert covers(Rule("a", match), Rule("b", match, 81))


def test_a_short_prefix_is_found_before_a_long_path() -> None:
    before = Before()
    before.add(Rule("root", ir.RequestMatch(ir.Prefix("/"))))
    found = before.covering(Rule("deep", ir.RequestMatch(ir.Exact("/a/b/c"))))
    assert found is not None
    assert found.name == "root"


def test_only_so_many_rules_are_compared() -> None:
    before = Before()
    for i in range(MOST_COMPARED):
        headers = (ir.HeaderMatch("x", ir.Exact(str(i))),)
        before.add(Rule(str(i), ir.RequestMatch(headers=headers)))
    before.add(Rule("root", ir.RequestMatch()))
    assert before.covering(Rule("late", ir.RequestMatch())) is None
