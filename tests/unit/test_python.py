"""What `from monitor import …` offers is what the functions raise, and documented."""

import re
import tomllib
from pathlib import Path

import pytest

import monitor
from monitor.client import errors

ROOT = Path(__file__).parents[2]
INTERNAL = {"RateLimitError", "BadRecordError", "StoppedError"}
"""Errors of polls, which the functions do not make."""


def test_every_error_that_the_functions_raise_is_exported():
    raised = {name for name, one in vars(errors).items() if isinstance(one, type) and issubclass(one, Exception)}

    assert {name for name in monitor.__all__ if name.endswith("Error")} == raised - INTERNAL
    assert all(issubclass(getattr(monitor, name), monitor.ApiError) for name in raised - INTERNAL)


def test_the_exported_errors_are_documented():
    page = (ROOT / "docs" / "python.md").read_text()

    assert re.findall(r"^\| `(\w+Error)` \|", page, re.MULTILINE) == sorted(
        (name for name in monitor.__all__ if name.endswith("Error")), key=lambda name: (name != "ApiError", name)
    )


def test_the_version_is_that_of_the_project():
    assert monitor.__version__ == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def test_the_package_says_what_it_does_not_have():
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        getattr(monitor, "nothing")  # noqa: B009 - a type checker would refuse the plain form
