"""Where ``weft`` begins: the sidecar is started before the command line is imported."""

from __future__ import annotations

import sys
from typing import Any


def main() -> int | None:
    """Run the command; a sidecar must start fast and stay small, so it gets no Click."""
    if sys.argv[1:3] == ["sidecar", "ready"]:
        from weft.sidecar.readiness import main as ready

        return ready(sys.argv[3:])

    if sys.argv[1:2] == ["sidecar"]:
        from weft.sidecar.program import main as sidecar

        return sidecar(sys.argv[2:], parsed_yaml)

    from weft.cli.main import main as cli

    return cli()


def parsed_yaml(text: str) -> Any:
    """Read YAML, for a sidecar that is given such a file: by itself it knows JSON alone."""
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error


if __name__ == "__main__":
    sys.exit(main())
