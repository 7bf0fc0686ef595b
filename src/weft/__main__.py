"""Where ``weft`` begins: the sidecar is started before the command line is imported."""

from __future__ import annotations

import sys


def main() -> int | None:
    """Run the command; a sidecar must start fast and stay small, so it gets no Click."""
    if sys.argv[1:2] == ["sidecar"]:
        from weft.sidecar.agent import main as sidecar

        return sidecar(sys.argv[2:])

    from weft.cli.main import main as cli

    return cli()


if __name__ == "__main__":
    sys.exit(main())
