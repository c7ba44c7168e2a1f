"""The systemd unit: checked by systemd's own tools, and its command run under what can be had of its restrictions.

No systemd runs services here. Its folders and credentials are made by hand; its filter of system calls is compared with
what strace sees; the kernel itself refuses memory that is both writable and executable.
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from monitor.simulator import Lifecycle, World
from tests.daemon import Daemon
from tests.daemon import command as monitor
from tests.fakes.simulator import SimulatorServer
from tests.memory import image_environment
from tests.venvs import ROOT, missing

UNIT = ROOT / "deploy/systemd/milvus-import-monitor.service"
PROGRAM = "/opt/milvus-import-monitor/bin/milvus-import-monitor"
EXPOSURE = 1.2
KEY = "${CREDENTIALS_DIRECTORY}/keys_zilliz"

# Does what MemoryDenyWriteExecute does, where the kernel can (6.3 or newer), and becomes the command that follows.
REFUSE_WRITABLE_CODE = """
import ctypes, os, sys
PR_SET_MDWE, REFUSE_EXEC_GAIN = 65, 1
ctypes.CDLL(None).prctl(PR_SET_MDWE, REFUSE_EXEC_GAIN, 0, 0, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


def settings() -> dict[str, list[str]]:
    """Every setting of the unit, in order."""
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text().splitlines():
        if match := re.fullmatch(r"(\w+)=(.*)", line):
            found.setdefault(match[1], []).append(match[2])
    return found


def analyze(*arguments: object) -> "subprocess.CompletedProcess[str]":
    if shutil.which("systemd-analyze") is None:
        missing("the unit is checked with systemd-analyze")
    environment = os.environ | {"SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": ""}
    return subprocess.run(
        ["systemd-analyze", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
        check=False,
    )


def test_systemd_finds_nothing_wrong(tmp_path):
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace(PROGRAM, sys.executable))
    done = analyze("verify", "--man=no", unit)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_memory_is_allocated_as_in_the_image():
    assert settings()["Environment"] == [
        f"MALLOC_ARENA_MAX={image_environment('MALLOC_ARENA_MAX')['MALLOC_ARENA_MAX']}"
    ]


def test_systemd_finds_it_hardly_exposed():
    done = analyze("security", "--offline=true", f"--threshold={round(EXPOSURE * 10)}", UNIT)
    match = re.search(r"Overall exposure level for \S+: ([0-9.]+) OK", done.stdout)

    assert done.returncode == 0, done.stdout
    assert match, done.stdout
    print(f"exposure level {match[1]}, where 10 is the worst")
    assert float(match[1]) <= EXPOSURE


def allowed() -> set[str]:
    """The system calls that the unit's filter lets through."""
    groups: dict[str, set[str]] = {}
    group = ""
    for line in analyze("syscall-filter").stdout.splitlines():
        if line.startswith("@"):
            group = line.strip()
            groups[group] = set()
        elif line.startswith("    ") and not line.strip().startswith("#"):
            groups[group].add(line.strip())

    def of(name: str) -> set[str]:
        return {one for part in groups[name] for one in (of(part) if part.startswith("@") else {part})}

    let: set[str] = set()
    for names in settings()["SystemCallFilter"]:
        calls = {call for name in names.removeprefix("~").split() for call in of(name)}
        let = let - calls if names.startswith("~") else let | calls
    return let | {"execve", "exit", "exit_group"}


def command(root: Path) -> list[str]:
    """The unit's command with systemd's folders below a folder of the test."""
    (line,) = settings()["ExecStart"]
    assert settings()["StateDirectory"] == ["milvus-import-monitor"]
    program, *arguments = shlex.split(line.replace("%S", f"{root}/var/lib").replace("/etc/", f"{root}/etc/"))
    assert program == PROGRAM
    return monitor(*arguments)


def installed(root: Path, url: str) -> dict[str, str]:
    """Put the config and the key where the unit has them; return what systemd would add to the environment."""
    credentials = root / "credentials"
    for folder in ("etc/milvus-import-monitor", "var/lib/milvus-import-monitor", "credentials"):
        (root / folder).mkdir(parents=True)
    assert f"api_key_file: {KEY}" in UNIT.read_text()
    (name,) = settings()["LoadCredential"]
    (credentials / f"{name.partition(':')[0]}_zilliz").write_text("right-key\n")
    (root / "etc/milvus-import-monitor/config.yml").write_text(
        "listen: 127.0.0.1:0\n"
        "poll: {interval: 200ms}\n"
        "clusters:\n"
        f"  - {{name: books, url: '{url}', cluster_id: books, api_key_file: '{KEY}'}}\n"
    )
    return {"CREDENTIALS_DIRECTORY": str(credentials)}


@pytest.fixture
def url():
    world = World()
    books = world.add_cluster("books", generation="zilliz", api_key="right-key")
    books.add_job(collection="novels", lifecycle=Lifecycle.frozen("Importing", 40))
    with SimulatorServer(world) as server:
        yield server.url


def test_its_command_runs_reloads_and_stops(tmp_path, url):
    environment = os.environ | installed(tmp_path, url)
    restricted = [sys.executable, "-c", REFUSE_WRITABLE_CODE, *command(tmp_path)]
    with subprocess.Popen(restricted, stderr=subprocess.PIPE, text=True, env=environment) as process:
        daemon = Daemon(process)
        try:
            daemon.wait_for("cluster_baseline", milvus_cluster="books")
            (reload,) = settings()["ExecReload"]
            subprocess.run(shlex.split(reload.replace("$MAINPID", str(process.pid))), check=True)
            daemon.wait_for("config_reloaded")
        finally:
            code = daemon.stop(within=60)

    assert code == 0
    assert (tmp_path / "var/lib/milvus-import-monitor/state.db").is_file()


def test_a_bad_config_is_not_tried_again(tmp_path):
    environment = os.environ | installed(tmp_path, "no-url")
    done = subprocess.run(command(tmp_path), capture_output=True, text=True, env=environment, timeout=60, check=False)

    assert settings()["RestartPreventExitStatus"] == [str(done.returncode)]


def test_its_filter_lets_every_system_call_through(tmp_path, url):
    if shutil.which("strace") is None:
        missing("system calls are seen with strace")
    environment = os.environ | installed(tmp_path, url)
    seen = tmp_path / "strace"
    tracer = ["strace", "--follow-forks", "--quiet=all", "--output", str(seen), "--signal=none"]
    with subprocess.Popen([*tracer, *command(tmp_path)], stderr=subprocess.PIPE, text=True, env=environment) as process:
        daemon = Daemon(process)
        try:
            daemon.url = daemon.wait_for("monitor_started")["listen"]
            daemon.wait_for("cluster_baseline", milvus_cluster="books")
            assert daemon.get("/metrics").status_code == 200
        finally:
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            os.kill(int(children[0]), signal.SIGTERM)
            code = process.wait(timeout=60)
    calls = {match[1] for line in seen.read_text().splitlines() if (match := re.match(r"\d+ +(\w+)\(", line))}

    assert code == 0
    assert {"openat", "recvfrom", "sendto", "listen", "fdatasync"} <= calls
    # SQLite gives what it makes to the owner of the database where it is root, which the unit is not.
    assert sorted(calls - allowed() - ({"fchown"} if os.geteuid() == 0 else set())) == []
