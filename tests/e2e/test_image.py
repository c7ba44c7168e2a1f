"""The container image, built for real on a small Debian and started.

There is no registry here to take a base from, so debootstrap makes one. What this machine needs to reach its package
index (certificates, pip's settings) is handed to the build as secrets, from wherever pip itself would find it.
"""

import configparser
import contextlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.integration.milvus_server import free_ports
from tests.venvs import missing

pytestmark = pytest.mark.timeout(600)

CHECKOUT = Path(__file__).parents[2]
BASE = "localhost/monitor-base"
IMAGE = "localhost/monitor"
MEGABYTE = 1_000_000

# Makes the folder $1 read-only for the command that follows it, in an environment of its own.
READ_ONLY = """
mount --bind "$1" "$1"
mount -o remount,bind,ro "$1"
if touch "$1/tmp/written" 2>/dev/null; then exit 1; fi
shift
exec env --ignore-environment "$@"
"""


@dataclass(frozen=True)
class Buildah:
    """buildah with a store of its own, so that the machine's images stay as they are."""

    folder: Path

    def command(self, *arguments: str | Path) -> list[str]:
        store = ["--root", str(self.folder / "store"), "--runroot", str(self.folder / "run")]
        return ["buildah", *store, *map(str, arguments)]

    def run(self, *arguments: str | Path) -> str:
        return _run(self.command(*arguments), cwd=CHECKOUT)

    @contextlib.contextmanager
    def container(self) -> Iterator[str]:
        name = self.run("from", IMAGE).strip()
        try:
            yield name
        finally:
            self.run("rm", name)


def _run(command: list[str], **options: Any) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, **options)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def buildah(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Buildah]:
    """A store with the base and the image in it."""
    for program in ("buildah", "debootstrap"):
        if shutil.which(program) is None:
            missing(f"the image is built with {program}")
    if os.geteuid() != 0:
        missing("debootstrap and buildah's chroot isolation need root")
    folder = tmp_path_factory.mktemp("image")
    buildah = Buildah(folder)
    try:
        _make_base(buildah, folder / "base")
        buildah.run(
            "bud",
            "--isolation=chroot",
            "--format=docker",  # the OCI format has no health check
            f"--build-arg=BASE_IMAGE={BASE}",
            *_secrets(folder),
            f"--tag={IMAGE}",
            ".",
        )
        yield buildah
    finally:
        buildah.run("rm", "--all")
        shutil.rmtree(folder)


def _make_base(buildah: Buildah, root: Path) -> None:
    packages = "python3,python3-venv,python3-pip,ca-certificates"
    made = subprocess.run(
        ["debootstrap", "--variant=minbase", f"--include={packages}", "bookworm", root],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if made.returncode != 0:
        missing(f"debootstrap could not make a base image: {made.stdout[-1000:]}{made.stderr[-1000:]}")
    container = buildah.run("from", "scratch").strip()
    buildah.run("add", "--quiet", container, root, "/")
    buildah.run("commit", "--quiet", container, BASE)
    shutil.rmtree(root)


def _secrets(folder: Path) -> list[str]:
    """What this machine's own pip and uv would use, as far as there is anything."""
    found: dict[str, Path] = {}
    settings = configparser.RawConfigParser()
    settings.read_dict({"global": {}})
    user_settings = Path.home() / ".config"
    settings.read(["/etc/pip.conf", user_settings / "pip/pip.conf", os.environ.get("PIP_CONFIG_FILE", "")])
    for variable, value in os.environ.items():
        if variable.startswith("PIP_") and variable != "PIP_CONFIG_FILE":
            settings.set("global", variable.removeprefix("PIP_").lower().replace("_", "-"), value)
    certificates = [settings.get("global", "cert", fallback=""), os.environ.get("SSL_CERT_FILE", "")]
    for file in map(Path, certificates):
        if file.is_file():
            found["ca-certificates"] = file
            break
    settings.remove_option("global", "cert")
    found["pip.conf"] = folder / "pip.conf"
    with found["pip.conf"].open("w") as written:
        settings.write(written)
    for uv_settings in (Path(os.environ.get("UV_CONFIG_FILE", "")), user_settings / "uv/uv.toml"):
        if uv_settings.is_file():
            found["uv.toml"] = uv_settings
            break
    return [f"--secret=id={name},src={path}" for name, path in found.items()]


def _scrape(process: "subprocess.Popen[bytes]", url: str, output: Path) -> str:
    """What /metrics says once the monitor is ready."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(requests.ConnectionError):
            if requests.get(f"{url}/-/ready", timeout=5).ok:
                return requests.get(f"{url}/metrics", timeout=5).text
        time.sleep(0.1)
    raise AssertionError(f"the monitor in the image did not become ready:\n{output.read_text()[-3000:]}")


@contextlib.contextmanager
def _started(command: list[str], output: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A monitor that `--for` ends; it is only killed when something went wrong."""
    with output.open("wb") as log, subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT) as process:
        try:
            yield process
            assert process.wait(timeout=60) == 0, output.read_text()[-3000:]
        finally:
            process.kill()


def test_the_image_is_scraped_and_says_it_is_healthy(buildah: Buildah, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    with buildah.container() as container:
        # The address comes from the variable that the image sets too, which shows that the variable counts.
        inside = ["run", "--isolation=chroot", f"--env=MILVUS_IMPORT_MONITOR_LISTEN=127.0.0.1:{port}", container, "--"]
        demo = buildah.command(*inside, "milvus-import-monitor", "demo", "--for", "15s")
        with _started(demo, tmp_path / "log") as process:
            metrics = _scrape(process, url, tmp_path / "log")
            buildah.run(*inside, "milvus-import-monitor", "healthcheck", "--url", url)
    assert "\nmilvus_import_build_info{" in metrics
    assert "\nmilvus_import_cluster_up{" in metrics


def test_the_image_runs_on_a_read_only_root(buildah: Buildah, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with buildah.container() as container:
        root = buildah.run("mount", container).strip()
        read_only = ["unshare", "--mount", "sh", "-euc", READ_ONLY, "sh", root, *_config(buildah)["Env"]]
        inside = ["chroot", "--userspec=65532:65532", root, "milvus-import-monitor"]
        demo = [*read_only, *inside, "demo", f"--listen=127.0.0.1:{port}", "--for=10s"]
        with _started(demo, tmp_path / "log") as process:
            metrics = _scrape(process, f"http://127.0.0.1:{port}", tmp_path / "log")
    assert "\nmilvus_import_cluster_up{" in metrics


def test_the_image_runs_without_rights(buildah: Buildah) -> None:
    config = _config(buildah)
    with buildah.container() as container:
        state = config["WorkingDir"]
        writable = buildah.run(
            *("run", "--isolation=chroot", container, "--"),
            *("find", "/opt/venv", "/etc", "/usr", state),
            *("!", "-readable", "-prune", "-o", "-writable", "!", "-type", "l", "-print"),
        )
    assert config["User"] == "65532:65532"
    assert writable.split() == [state]


def test_the_image_declares_what_the_documentation_promises(buildah: Buildah) -> None:
    config = _config(buildah)
    assert config["Entrypoint"] == ["milvus-import-monitor"]
    assert config["Cmd"] == ["run", "-c", "/etc/milvus-import-monitor/config.yml"]
    assert config["ExposedPorts"] == {"19595/tcp": {}}
    assert "MILVUS_IMPORT_MONITOR_LISTEN=0.0.0.0:19595" in config["Env"]
    assert config["StopSignal"] == "SIGTERM"
    assert config["Healthcheck"]["Test"] == ["CMD", "milvus-import-monitor", "healthcheck"]
    assert config["Volumes"] == {"/var/lib/milvus-import-monitor": {}}


def test_the_image_adds_only_the_virtual_environment_to_its_base(buildah: Buildah) -> None:
    with buildah.container() as container:
        root = Path(buildah.run("mount", container).strip())
        left_over = [
            place for place in ("src", "opt/uv", "opt/state", "etc/uv", "etc/pip.conf") if (root / place).exists()
        ]
        tools = [tool.name for tool in (root / "opt/venv/bin").iterdir() if tool.name.startswith(("pip", "uv"))]
    assert left_over == []
    assert tools == ["uvicorn"]
    *_, added = json.loads(_inspected(buildah)["Manifest"])["layers"]
    assert added["size"] < 60 * MEGABYTE


def _inspected(buildah: Buildah) -> dict[str, Any]:
    inspected: dict[str, Any] = json.loads(buildah.run("inspect", "--type=image", IMAGE))
    return inspected


def _config(buildah: Buildah) -> dict[str, Any]:
    config: dict[str, Any] = _inspected(buildah)["Docker"]["config"]
    return config
