"""What a wheel carries: the pages need files that are no Python."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import requests

from tests.daemon import Daemon
from tests.venvs import ROOT, missing


def built(folder: Path) -> Path:
    uv = shutil.which("uv") or str(ROOT / ".uv" / "bin" / "uv")
    if not Path(uv).exists():
        missing("uv builds the wheel")
    command = [uv, "build", "--quiet", "--wheel", "--out-dir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    if done.returncode and "hatchling" in done.stderr:
        missing(f"the wheel cannot be built: {done.stderr[-500:]}")
    assert done.returncode == 0, done.stderr[-2000:]
    (wheel,) = folder.glob("*.whl")
    return wheel


def test_the_pages_come_out_of_a_wheel_whole(tmp_path):
    site = tmp_path / "site"
    shutil.unpack_archive(built(tmp_path), site, "zip")
    command = [sys.executable, "-P", "-m", "monitor", "demo", "--clusters", "1", "--listen", "127.0.0.1:0"]
    environment = os.environ | {"PYTHONPATH": str(site)}
    with subprocess.Popen(
        [*command, "--log-format", "json"], stderr=subprocess.PIPE, text=True, env=environment, cwd=tmp_path
    ) as process:
        daemon = Daemon(process)
        try:
            daemon.url = daemon.wait_for("monitor_started")["listen"]
            page = daemon.get("/")
            linked = re.findall(r'(?:href|src)="(/static/[^"]+)"', page.text)
            loaded = [daemon.get(path) for path in linked]
            job_page = requests.get(f"{daemon.url}/job", params={"cluster": "none"}, timeout=5)
        finally:
            daemon.stop()

    assert page.status_code == 200
    assert len(linked) >= 3
    assert [answer.status_code for answer in loaded] == [200] * len(loaded)
    assert all(answer.content for answer in loaded)
    assert job_page.status_code == 404
    kinds = (".html", ".css", ".js", ".svg")
    sources = {path.relative_to(ROOT) for path in (ROOT / "monitor").rglob("*") if path.suffix in kinds}
    assert {path.relative_to(site) for path in site.rglob("*") if path.suffix in kinds} == sources
