"""Programs of a newer Debian, unpacked beside this machine's own: only those that need no library of it."""

import fcntl
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.venvs import ENVIRONMENTS, missing

RELEASE = "forky"
KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
WITHIN = 100
"""Seconds for a list of packages and some downloads."""


def newest(*packages: str) -> Path:
    """Return a folder with the files of these packages as Debian's next release has them.

    The test is skipped, or fails in CI, where apt cannot get them.
    """
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None or not KEYS.exists():
        missing("packages of a newer Debian are had with apt")
    home = ENVIRONMENTS / "-".join((RELEASE, *packages))
    ENVIRONMENTS.mkdir(exist_ok=True)
    with (ENVIRONMENTS / f"{home.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not home.exists():
            with tempfile.TemporaryDirectory(dir=ENVIRONMENTS, prefix=home.name) as name:
                _unpack(Path(name), packages)
                (Path(name) / "root").rename(home)
    return home


def _unpack(folder: Path, packages: tuple[str, ...]) -> None:
    for inner in ("state/lists/partial", "cache/archives/partial", "debs", "root"):
        (folder / inner).mkdir(parents=True)
    sources, status, settings = folder / "sources.list", folder / "status", folder / "apt.conf"
    sources.write_text(f"deb [signed-by={KEYS}] http://deb.debian.org/debian {RELEASE} main\n")
    status.touch()  # nothing is installed there
    settings.write_text(
        f'Dir::State "{folder}/state";\nDir::State::status "{status}";\nDir::Cache "{folder}/cache";\n'
        f'Dir::Etc::sourcelist "{sources}";\nDir::Etc::sourceparts "-";\nAcquire::Languages "none";\n'
        'APT::Sandbox::User "root";\n'
    )
    _run(folder, "apt-get", "-c", str(settings), "update", "-qq")
    _run(folder / "debs", "apt-get", "-c", str(settings), "download", "-qq", *packages)
    for deb in (folder / "debs").glob("*.deb"):
        _run(folder, "dpkg", "-x", str(deb), str(folder / "root"))


def _run(folder: Path, *command: str) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=WITHIN)
    except subprocess.TimeoutExpired:
        missing(f"{command[0]} took more than {WITHIN} s")
    if done.returncode:
        missing(f"{' '.join(command[:2])} of Debian {RELEASE} failed: {done.stderr.strip()[-500:]}")
