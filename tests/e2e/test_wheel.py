"""What a wheel carries: files that are no Python, and the description that PyPI shows."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
import requests

from tests.daemon import Daemon
from tests.docs_site import project_urls
from tests.venvs import ROOT, missing


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    uv = shutil.which("uv") or str(ROOT / ".uv" / "bin" / "uv")
    if not Path(uv).exists():
        missing("uv builds the wheel")
    command = [uv, "build", "--quiet", "--wheel", "--out-dir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    if done.returncode and "hatchling" in done.stderr:
        missing(f"the wheel cannot be built: {done.stderr[-500:]}")
    assert done.returncode == 0, done.stderr[-2000:]
    (file,) = folder.glob("*.whl")
    return file


def test_the_pages_come_out_of_a_wheel_whole(wheel, tmp_path):
    site = tmp_path / "site"
    shutil.unpack_archive(wheel, site, "zip")
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


def test_the_links_of_the_description_lead_to_files_of_the_release(wheel):
    with zipfile.ZipFile(wheel) as files:
        (name,) = [name for name in files.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = Parser().parsestr(files.read(name).decode())
    release = f"{re.escape(project_urls()['Source'])}/(blob|raw)/v{re.escape(metadata['Version'])}/"
    links = re.findall(r'(?:\]\(|src="|srcset=")([^)"\s]+)', metadata.get_payload())
    paths = [re.sub(release, "", link).partition("#")[0] for link in links if re.match(release, link)]

    assert metadata["Description-Content-Type"] == "text/markdown"
    assert [link for link in links if not link.startswith("https://")] == []
    assert len(paths) > 20
    assert [path for path in paths if not (ROOT / path).exists()] == []
    assert {link for link in links if "/raw/" in link} == {link for link in links if link.endswith(".png")}
