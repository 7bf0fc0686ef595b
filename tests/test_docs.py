"""What the pages under docs/ say is what the program does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from weft import settings
from weft.checks.catalogue import CATALOGUE
from weft.cli.commands import ENTRIES
from weft.cli.exits import Exit
from weft.cli.reference import PAGES

DOCS = Path(__file__).parent.parent / "docs"
FILES = {"commands": "cli.md", "settings": "settings.md", "checks": "checks.md"}


@pytest.mark.parametrize(("page", "text"), PAGES.items(), ids=list(PAGES))
def test_a_reference_page_is_current(page: str, text: Callable[[], str]) -> None:
    written = (DOCS / FILES[page]).read_text(encoding="utf-8")
    remedy = f"python -m weft.cli.reference {page} > docs/{FILES[page]}"
    assert written == text(), f"the page is out of date; run: {remedy}"


def test_every_command_is_documented() -> None:
    text = (DOCS / "cli.md").read_text(encoding="utf-8")
    assert [name for name in ENTRIES if f"\n### weft {name}\n" not in text] == []


def test_every_setting_is_documented() -> None:
    text = (DOCS / "settings.md").read_text(encoding="utf-8")
    found = [each for each in vars(settings).values() if isinstance(each, settings.Setting)]
    assert found
    assert [
        e.flag for e in found if f"| `{e.flag}` | `{e.variable}` | `{e.default}` |" not in text
    ] == []


def test_every_exit_code_is_documented() -> None:
    text = (DOCS / "cli.md").read_text(encoding="utf-8")
    assert [code for code in Exit if f"\n| {code.value} | " not in text] == []


def test_every_check_is_documented() -> None:
    text = (DOCS / "checks.md").read_text(encoding="utf-8")
    assert [
        each.code for each in CATALOGUE if f"\n### {each.code}: {each.title}\n" not in text
    ] == []
