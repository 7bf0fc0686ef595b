"""YAML that every reader takes for the same: ours, Kubernetes' and CloudFormation's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import yaml

from weft.manifests.document import reads_as_text

if TYPE_CHECKING:
    _Fastest = yaml.SafeDumper
else:
    _Fastest = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Dumper(_Fastest):
    """Without anchors, and with quotes around whatever some reader takes for no text."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
    quoted = "${" in value or not reads_as_text(value)
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style='"' if quoted else None)


_Dumper.add_representer(str, _text)


def document(value: Any) -> str:
    """One YAML document."""
    text: str = yaml.dump(
        value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1_000_000
    )
    # Ours fills in ${…} where it is written so, even within quotes.
    return text.replace("${", r"\x24{")


def documents(values: Iterable[Any], head: str = "") -> str:
    """Several, below comments."""
    comments = "".join(f"# {line}\n" for line in head.splitlines())
    return comments + "---\n".join(document(each) for each in values)
