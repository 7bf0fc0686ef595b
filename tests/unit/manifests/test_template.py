"""``${…}``: read once, rendered per replica."""

from hypothesis import given
from hypothesis import strategies as st

from weft.manifests.template import BackendOf, Placeholder, PortOf, Python, ReplicaNumber, Template


def test_what_only_a_replica_knows_stays_open() -> None:
    template = Template.parse("${python} ${replica} ${port.80} ${backend.a.${D}:81}", {"D": "x"})
    assert template.placeholders == (Python(), ReplicaNumber(), PortOf(80), BackendOf("a.x", 81))


def test_a_default_may_hold_variables_and_an_empty_variable_counts_as_unset() -> None:
    assert str(Template.parse("${A:-${B:-c}}", {"A": "", "B": ""})) == "c"
    assert str(Template.parse("${A}", {"A": ""})) == ""


def test_a_value_from_the_environment_is_not_read_again() -> None:
    assert str(Template.parse("${A}", {"A": "${B}"})) == "${B}"


@given(st.text())
def test_a_text_without_dollars_is_itself(text: str) -> None:
    plain = text.replace("$", "")
    assert str(Template.parse(plain, {})) == plain


@given(st.lists(st.sampled_from([PortOf(1), BackendOf("b"), Python(), ReplicaNumber()])))
def test_a_placeholder_survives_the_round_trip(placeholders: list[Placeholder]) -> None:
    text = " ".join(map(str, placeholders))
    assert Template.parse(text, {}).placeholders == tuple(placeholders)
