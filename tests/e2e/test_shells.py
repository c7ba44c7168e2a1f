"""What ``completion`` installs works in the real shells, as somebody types."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.terminal import program_in_terminal
from tests.venvs import missing

TAB = "\t"
PROGRAM = "milvus-import-monitor"


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_a_value_is_completed_with_the_first_tab(name, tmp_path):
    shell = shutil.which(name)
    if shell is None:
        missing(f"{name} is not installed")
    environment = {"HOME": str(tmp_path), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    installed = subprocess.run(
        [shell, "-c", f"{PROGRAM} completion; true"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    with program_in_terminal([shell, "-i"], columns=200, **environment) as shown:
        shown.press("echo is''ready\n")
        shown.wait_for("\nisready")
        shown.press(f"{PROGRAM} jobs --state compl{TAB}")
        shown.wait_for("--state completed")

    assert installed.stdout.startswith(f"{name} completion installed in {tmp_path}/")
