"""A Color App with two blue replicas, written to a file."""

from pathlib import Path

import yaml

COLORAPP = Path(__file__).parents[2] / "examples" / "colorapp"


def two_replicas(directory: Path) -> Path:
    """The example's weft.yaml, in which ``colorteller-blue`` runs twice."""
    text = yaml.safe_load((COLORAPP / "weft.yaml").read_text())
    text["workloads"]["colorteller-blue"]["replicas"] = 2
    for workload in text["workloads"].values():
        workload["dir"] = str(COLORAPP)
    file = directory / "weft.yaml"
    file.write_text(yaml.safe_dump(text))
    return file
