"""Files that the user of the monitor may not read: one clear sentence each, and the exit code of bad input."""

import os

import pytest

from tests.commands import finished
from tests.rights import without_rights

CONFIG = "clusters: [{name: a, url: 'http://127.0.0.1:9'}]\n"


@pytest.fixture(scope="module", autouse=True)
def _imported(tmp_path_factory):
    """Import what the commands need: the user of these tests may not be able to read it."""
    config = tmp_path_factory.mktemp("readable") / "config.yml"
    config.write_text(CONFIG)
    finished("history", "-c", config)
    finished("jobs", "-c", config)
    for name in ("run", "watch", "wait", "healthcheck"):
        finished(name, "--help")


@pytest.fixture
def closed():
    """A folder that cannot be searched, with a config and a password in it."""
    with without_rights() as folder:
        inner = folder / "closed"
        inner.mkdir()
        (inner / "config.yml").write_text(CONFIG)
        (inner / "password").write_text("secret")
        (inner / "state.db").touch()
        inner.chmod(0)
        yield inner
        inner.chmod(0o700)


@pytest.mark.parametrize("command", ["run", "check-config", "jobs", "history", "watch", "wait --job 1"])
@pytest.mark.parametrize("by", ["option", "variable"])
def test_a_config_in_a_folder_that_cannot_be_searched(closed, command, by):
    file = closed / "config.yml"
    if by == "option":
        ended = finished(*command.split(), "-c", file)
    else:
        ended = finished(*command.split(), MILVUS_IMPORT_MONITOR_CONFIG=str(file))

    assert ended.returncode == 2
    assert ended.stderr.endswith(f"{file}: the config file cannot be read: permission denied\n")
    assert ended.stderr.startswith(f"error: {file}" if by == "option" else "error: MILVUS_IMPORT_MONITOR_CONFIG: ")


def test_the_usual_config_in_a_folder_that_cannot_be_searched(closed, monkeypatch):
    monkeypatch.setattr("monitor.cli.config_options.DEFAULT_FILES", (closed / "config.yml",))
    ended = finished("jobs")

    assert ended.returncode == 2
    assert ended.stderr == f"error: {closed / 'config.yml'}: the config file cannot be read: permission denied\n"


@pytest.mark.parametrize("command", ["history", "jobs --fail-on vanished"])
@pytest.mark.parametrize("what", ["folder", "file"])
def test_a_store_that_cannot_be_read(closed, command, what):
    config = closed.parent / "config.yml"
    config.write_text(CONFIG)
    file = closed / "state.db"
    if what == "file":
        closed.chmod(0o700)
        file.chmod(0)
    ended = finished(*command.split(), "-c", config, "--store", f"sqlite:///{file}")

    assert ended.returncode == 2
    assert ended.stderr.endswith(f"{file} cannot be read (permission denied): run this as the user of the monitor\n")


@pytest.mark.parametrize("option", ["--password-file", "--ca-file"])
def test_a_file_of_healthcheck(closed, option):
    denied = finished("healthcheck", "--username", "me", option, closed / "password")
    missing = finished("healthcheck", "--username", "me", option, closed.parent / "missing")
    folder = finished("healthcheck", "--username", "me", option, os.sep)

    assert denied.returncode == missing.returncode == folder.returncode == 2
    assert f"{option}: file '{closed}/password' cannot be read: permission denied; see " in denied.stderr
    assert f"{option}: file '{closed.parent}/missing' does not exist; see " in missing.stderr
    assert f"{option}: '/' is a directory, not a file; see " in folder.stderr
