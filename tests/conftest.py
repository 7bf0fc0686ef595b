"""What every test can ask for."""

from __future__ import annotations

import logging

import pytest
import structlog


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--golden",
        choices=("check", "write"),
        default="check",
        help="write: rewrite the golden files; read the diff before you commit it",
    )


def pytest_configure() -> None:
    # Every request is logged at debug; in a run of thousands that buries what went wrong.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))
