"""The container image, built for real on a small Debian and started.

There is no registry here to take a base from, so debootstrap makes one. What this machine needs to reach its package
index (certificates, pip's settings) is handed to the build as secrets, from wherever pip itself would find it.
"""

import configparser
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sysconfig
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from monitor.simulator import Lifecycle, World
from tests.daemon import write_config
from tests.fakes.simulator import SimulatorServer
from tests.integration.milvus_server import free_ports
from tests.venvs import missing

pytestmark = pytest.mark.timeout(600)

CHECKOUT = Path(__file__).parents[2]
BASE = "localhost/monitor-base"
IMAGE = "localhost/monitor"
MEGABYTE = 1_000_000

CREATED = "2026-11-24T12:00:00+00:00"
REVISION = "0123456789abcdef0123456789abcdef01234567"
SOURCE = "https://example.com/milvus-import-monitor"

# Makes the folder $1 read-only, with the folder $2 for its state and the file $3 for its config; then runs the command
# that follows, in an environment of its own.
READ_ONLY = """
mount --bind "$1" "$1"
mount --bind "$2" "$1/var/lib/milvus-import-monitor"
mkdir "$1/etc/milvus-import-monitor"
touch "$1/etc/milvus-import-monitor/config.yml"
mount --bind "$3" "$1/etc/milvus-import-monitor/config.yml"
mount -o remount,bind,ro "$1"
if touch "$1/tmp/written" 2>/dev/null; then exit 1; fi
shift 3
exec env --ignore-environment "$@"
"""

# Names of programs that compile or install, by which a stranger would make himself at home.
TOOLS = re.compile(
    r"(apt|aptitude|apk|dpkg|yum|dnf|rpm|conda|mamba|easy_install|npm|pip|pipx|poetry|uv|uvx|cargo|rustc|go|make|ld|as"
    r"|(.*-)?(cc|gcc|g\+\+|clang|cpp))(-[a-z0-9.-]+|[0-9.]+)?"
)

LOOK_FOR_INSTALLERS = """
import glob, importlib.util, sys
for name in ("pip", "ensurepip", "uv"):
    if importlib.util.find_spec(name):
        print(name)
for prefix in (sys.prefix, sys.base_prefix, "/usr/lib", "/usr/local/lib"):
    print(*glob.glob(prefix + "/**/pip*/__main__.py", recursive=True))
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
            *(f"--build-arg={argument}" for argument in _arguments()),
            *_secrets(folder),
            f"--tag={IMAGE}",
            ".",
        )
        yield buildah
    finally:
        buildah.run("rm", "--all")
        shutil.rmtree(folder)


def _arguments() -> list[str]:
    return [f"BASE_IMAGE={BASE}", f"CREATED={CREATED}", f"REVISION={REVISION}", f"SOURCE={SOURCE}"]


def _make_base(buildah: Buildah, root: Path) -> None:
    """Make the base of packages that are only unpacked, which takes half the time that installing them takes."""
    packages = "python3,python3-venv,python3-pip,ca-certificates"
    made = subprocess.run(
        ["debootstrap", "--foreign", "--variant=minbase", f"--include={packages}", "trixie", root],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if made.returncode != 0:
        missing(f"debootstrap could not make a base image: {made.stdout[-1000:]}{made.stderr[-1000:]}")
    archives = root / "var/cache/apt/archives"
    for package in archives.glob("*.deb"):
        _run(["dpkg-deb", "--extract", str(package), str(root)])
    # What the packages would make when they are installed, as far as it is needed here.
    for name in ("passwd", "group"):
        shutil.copy(root / f"usr/share/base-passwd/{name}.master", root / "etc" / name)
    for name in ("bin", "sbin"):
        (root / "usr/local" / name).mkdir(parents=True, exist_ok=True)
    certificates = sorted((root / "usr/share/ca-certificates").rglob("*.crt"))
    (root / "etc/ssl/certs/ca-certificates.crt").write_text("".join(path.read_text() for path in certificates))
    for folder in (root / "debootstrap", archives):
        shutil.rmtree(folder)
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
def _started(command: list[str], output: Path, stop_signal: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A monitor that the test stops by the image's signal; it is only killed when something went wrong."""
    with output.open("wb") as log, subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT) as process:
        try:
            yield process
            os.kill(_innermost(process.pid), signal.Signals[stop_signal])
            assert process.wait(timeout=60) == 0, output.read_text()[-3000:]
            assert "monitor_stopped" in output.read_text()
        finally:
            if process.poll() is None:
                os.kill(_innermost(process.pid), signal.SIGKILL)
                process.kill()


def _innermost(process: int) -> int:
    """The process in the container, which buildah starts through others; any thread of those may be the parent."""
    while True:
        threads = Path(f"/proc/{process}/task").glob("*/children")
        children = [int(child) for thread in threads for child in thread.read_text().split()]
        if not children:
            return process
        (process,) = children


@pytest.fixture
def config(tmp_path: Path) -> Iterator[Path]:
    """A config of a simulated cluster. Where to listen and where the state is come from the image's variables."""
    world = World()
    world.add_cluster("books", generation="milvus").add_job(
        collection="novels", lifecycle=Lifecycle.frozen("Importing", 40)
    )
    with SimulatorServer(world) as server:
        yield write_config(tmp_path, f"{{name: books, url: '{server.url}/clusters/books'}}")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A folder for the volume, with the rights that Docker gives a new one."""
    folder = tmp_path / "state"
    folder.mkdir(mode=0o750)
    os.chown(folder, 65532, 65532)
    return folder


def test_the_image_is_scraped_healthy_and_stopped_and_remembers(buildah: Buildah, config: Path, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    image = _config(buildah)
    with buildah.container() as container:
        mount = f"--volume={config}:/etc/milvus-import-monitor/config.yml:ro"
        # The address comes from the variable that the image sets too, which shows that the variable counts.
        listen = f"--env=MILVUS_IMPORT_MONITOR_LISTEN=127.0.0.1:{port}"
        inside = ["run", "--isolation=chroot", mount, listen, container, "--"]
        run = buildah.command(*inside, *image["Entrypoint"], *image["Cmd"])
        for start in ("first", "second"):
            with _started(run, tmp_path / start, image["StopSignal"]) as process:
                metrics = _scrape(process, url, tmp_path / start)
                buildah.run(*inside, *image["Healthcheck"]["Test"][1:], "--url", url)
                printed = buildah.run(*inside, "milvus-import-monitor", "jobs", *image["Cmd"][1:], "-o", "json")
            assert "\nmilvus_import_build_info{" in metrics
            assert '\nmilvus_import_cluster_up{milvus_cluster="books"} 1' in metrics
            assert [job["collection"] for job in json.loads(printed)] == ["novels"]
    # buildah keeps the volume with the container: the second start knows what the first has seen.
    assert "cluster_baseline" in (tmp_path / "first").read_text()
    assert "cluster_baseline" not in (tmp_path / "second").read_text()


def test_the_image_runs_on_a_read_only_root(buildah: Buildah, config: Path, state: Path, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    image = _config(buildah)
    config.chmod(0o644)
    with buildah.container() as container:
        root = buildah.run("mount", container).strip()
        read_only = ["unshare", "--mount", "sh", "-euc", READ_ONLY, "sh", root, str(state), str(config)]
        environment = [*image["Env"], f"MILVUS_IMPORT_MONITOR_LISTEN=127.0.0.1:{port}"]
        inside = ["chroot", f"--userspec={image['User']}", root, *image["Entrypoint"], *image["Cmd"]]
        with _started([*read_only, *environment, *inside], tmp_path / "log", image["StopSignal"]) as process:
            metrics = _scrape(process, f"http://127.0.0.1:{port}", tmp_path / "log")
    assert "\nmilvus_import_cluster_up{" in metrics
    assert (state / "state.db").stat().st_uid == 65532


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
    assert "MALLOC_ARENA_MAX=2" in config["Env"]
    assert config["StopSignal"] == "SIGTERM"
    assert config["Healthcheck"]["Test"] == ["CMD", "milvus-import-monitor", "healthcheck"]
    assert config["Volumes"] == {"/var/lib/milvus-import-monitor": {}}


def test_the_image_says_what_it_is(buildah: Buildah) -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    labels = _config(buildah)["Labels"]
    assert {name: text for name, text in labels.items() if name.startswith("org.opencontainers.image.")} == {
        "org.opencontainers.image.title": project["name"],
        "org.opencontainers.image.description": project["description"],
        "org.opencontainers.image.licenses": project["license"],
        "org.opencontainers.image.version": project["version"],
        "org.opencontainers.image.base.name": BASE,
        "org.opencontainers.image.created": CREATED,
        "org.opencontainers.image.revision": REVISION,
        "org.opencontainers.image.source": SOURCE,
        "org.opencontainers.image.url": project["urls"]["Documentation"],
        "org.opencontainers.image.documentation": project["urls"]["Documentation"],
    }


def test_the_image_adds_only_the_virtual_environment_to_its_base(buildah: Buildah) -> None:
    with buildah.container() as container:
        root = Path(buildah.run("mount", container).strip())
        left_over = [
            place for place in ("src", "opt/uv", "opt/state", "etc/uv", "etc/pip.conf") if (root / place).exists()
        ]
    assert left_over == []
    *_, added = json.loads(_inspected(buildah)["Manifest"])["layers"]
    print(f"the image adds {added['size'] / MEGABYTE:.1f} MB to its base")
    assert added["size"] < 60 * MEGABYTE


def test_the_image_has_no_compiler_and_no_package_manager(buildah: Buildah) -> None:
    with buildah.container() as container:
        root = Path(buildah.run("mount", container).strip())
        folders = ["bin", "sbin", "usr/bin", "usr/sbin", "usr/local/bin", "usr/local/sbin", "opt/venv/bin"]
        programs = {program.name for folder in folders for program in (root / folder).iterdir()}
        inside = ["run", "--isolation=chroot", container, "--"]
        modules = buildah.run(*inside, "python3", "-c", LOOK_FOR_INSTALLERS)
    assert {"python3", "milvus-import-monitor"} <= programs
    assert sorted(filter(TOOLS.fullmatch, programs)) == []
    assert modules.split() == []


def test_the_dockerfile_is_as_hadolint_wants_it() -> None:
    hadolint = Path(sysconfig.get_path("scripts")) / "hadolint"
    done = subprocess.run([hadolint, "Dockerfile"], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    assert "hadolint ignore" not in (CHECKOUT / "Dockerfile").read_text()


def _inspected(buildah: Buildah) -> dict[str, Any]:
    inspected: dict[str, Any] = json.loads(buildah.run("inspect", "--type=image", IMAGE))
    return inspected


def _config(buildah: Buildah) -> dict[str, Any]:
    config: dict[str, Any] = _inspected(buildah)["Docker"]["config"]
    return config
