"""Every command and every way to fail, with marked secrets: none of it, nor a part of it, is seen anywhere."""

import os
import re
import signal
import subprocess
import threading
from contextlib import ExitStack

import bcrypt
import pytest
import requests
from sqlalchemy import MetaData, create_engine
from typer.testing import CliRunner

from monitor.cli import app
from monitor.cli.commands import COMMANDS
from tests.daemon import command, finished, started, write_config
from tests.fakes.echo import KINDS, echo_server, paths
from tests.leaks import leaks
from tests.postgres import running_postgres

KEY = 'mona:pJ7"x\\Qz/4+vK%9é-wY2&<Lt 8>uH3'
TOKEN = "tK5-Zq8vRw3xYb6nMc9pLd2sFg4hJj7k"
PROXY = "xR5Nv6Tz9Wb3Qm8K"
DATABASE = "sT8Wq3Hn5Zc7Vx4L"
SECRETS = (KEY, TOKEN, PROXY, f"someone:{PROXY}", DATABASE, f"postgres:{DATABASE}")
ENVIRONMENT = {"MARKED_KEY": KEY, "MARKED_TOKEN": TOKEN}
EVERY_COMMAND = (
    *("run", "demo", "simulate", "check-config", "discover", "jobs", "history"),
    *("watch", "wait", "healthcheck", "schema", "completion"),
)

pytestmark = pytest.mark.timeout(300)


def clean(*outputs):
    """No output shows a part of a secret; those that are empty show nothing at all."""
    for output in outputs:
        assert leaks(output, *SECRETS) == []


@pytest.fixture(scope="module")
def echo():
    with echo_server() as url:
        yield url


@pytest.fixture(scope="module")
def postgres():
    with running_postgres() as server:
        yield server


def clusters_of(echo, tmp_path):
    """A cluster for each way to repeat a secret, and for each way to fail."""
    entries = []
    for number, (kind, path) in enumerate(paths()):
        api = kind if kind in ("v1", "milvus-2.3") else "v2"
        more = ", cluster_id: c" if api == "v1" else ""
        secret = "MARKED_TOKEN" if number % 2 and path.split("/")[2] == "0" else "MARKED_KEY"
        entries.append(f"{{name: 'c{number}-{kind}', url: '{echo}{path}', api: {api}, api_key: '${{{secret}}}'{more}}}")
    (tmp_path / "key").write_text(KEY)
    quoted = KEY.replace("'", "''")
    entries += [
        f"{{name: refused, url: 'http://127.0.0.1:1', api_key: '{quoted}'}}",
        f"{{name: tls, url: '{echo.replace('http', 'https')}', api_key: '{quoted}'}}",
        "{name: nowhere, url: 'http://nowhere.invalid', api_key_file: key}",
    ]
    return entries


def everything_in(url):
    """Every row of every table of a database, as text."""
    engine = create_engine(url)
    tables = MetaData()
    tables.reflect(engine)
    with engine.connect() as connection:
        rows = [str(row) for table in tables.tables.values() for row in connection.execute(table.select())]
    engine.dispose()
    return "\n".join(rows)


PAGES = (
    *("/metrics", "/", "/-/healthy", "/-/ready", "/nothing", "/?q=failed", "/job?cluster=c5-refused&id=1"),
    *("/api/v1/clusters", "/api/v1/jobs", "/api/v1/transitions", "/api/v1/jobs?state=nonsense"),
)
POLL = "{interval: 30s, timeout: 2s, requests_per_second: 1000, concurrency: 64}"


@pytest.mark.parametrize(
    ("database", "log_format"), [("sqlite", "json"), ("sqlite", "console"), ("postgresql", "logfmt")]
)
def test_a_server_that_repeats_the_key_gets_it_into_nothing(echo, request, tmp_path, database, log_format):
    url = "sqlite:///state.db"
    if database == "postgresql":
        url = request.getfixturevalue("postgres").url.replace("postgres@", f"postgres:{DATABASE}@")
    config = write_config(tmp_path, *clusters_of(echo, tmp_path), poll=POLL, state=f"{{url: '{url}'}}")
    command_line = command("run", "-c", config, "--log-format", log_format)
    with subprocess.Popen(
        command_line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | ENVIRONMENT
    ) as process:
        daemon = Watched(process)
        daemon.until_ready()
        seen = [daemon.get(path) for path in PAGES]
        config.write_text(config.read_text() + "  - {name: refused, url: 'http://h'}\n")
        rejected = daemon.post("/-/reload")
        process.terminate()
        output, errors = process.communicate(timeout=30)

    said = daemon.written() + errors.decode()
    assert said.count("cluster_unreachable") > 100
    assert said.count("cluster_baseline") > 10
    assert "already given on line" in rejected
    assert "milvus_import_job_failed{" in seen[0]
    clean(output, said, rejected, *seen)
    if database == "sqlite":
        files = [file.read_bytes() for file in tmp_path.glob("state.db*")]
        assert b"Failed" in b"".join(files) or b"failed" in b"".join(files)
        clean(*files)
    else:
        dump = everything_in(url.replace("postgresql:", "postgresql+psycopg:"))
        assert "failed" in dump
        clean(dump)


class Watched:
    """A daemon whose log may be in either form."""

    def __init__(self, process):
        self._process = process
        self._lines = []
        self._url = ""

    def _more(self):
        line = self._process.stderr.readline().decode()
        assert line, f"it ended: {self.written()[-2000:]}"
        self._lines.append(line)
        return line

    def written(self):
        return "".join(self._lines)

    def until_ready(self):
        polled = set()
        while len(polled) < len(list(paths())) + 3 or not self._url:
            line = self._more()
            if "poll_finished" in line:
                polled.add(re.search(r"milvus_cluster\W+([\w.-]+)", line)[1])
            elif "monitor_started" in line:
                self._url = re.search(r"http://[0-9.:]+", line)[0]

    def get(self, path):
        return self._asked("GET", path)

    def post(self, path):
        return self._asked("POST", path)

    def _asked(self, method, path):
        asked = ["curl", "-sS", "-i", "-X", method, "--max-time", "30", self._url + path]
        return subprocess.run(asked, check=True, capture_output=True, text=True, timeout=40).stdout


@pytest.mark.parametrize(
    "arguments", [("check-config", "--probe"), *(("jobs", "-o", o) for o in ("table", "json", "csv"))]
)
def test_a_command_prints_nothing_of_what_a_server_repeats(echo, tmp_path, arguments):
    config = write_config(tmp_path, *clusters_of(echo, tmp_path), poll=POLL)

    ended = finished(*arguments, "-c", config, **ENVIRONMENT)

    assert ended.returncode == 1
    assert "c5-refused: unauthorized: " in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
    clean(ended.stdout, ended.stderr)


def test_waiting_and_watching_print_nothing_of_what_a_server_repeats(echo, tmp_path):
    password = tmp_path / "password"
    password.write_text(TOKEN)
    config = write_config(tmp_path, *clusters_of(echo, tmp_path), poll=POLL)
    asked = ("--cluster", "c5-refused", "--job", "1", "--timeout", "3s")
    waited = finished("wait", "-c", config, *asked, **ENVIRONMENT)
    recorded = finished("history", "-c", config, **ENVIRONMENT)
    remote = ("--username", "mona", "--password-file", password)
    with subprocess.Popen(
        command("watch", "-c", config), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | ENVIRONMENT
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline() or process.stderr.readline()
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=30)
    far = finished("watch", "--url", echo, *remote, **ENVIRONMENT)

    assert waited.returncode in {1, 124}
    assert recorded.returncode == 2
    assert far.returncode
    assert first
    clean(*(one.stdout + one.stderr for one in (waited, recorded, far)), first, output, errors)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_repeats_its_password_gets_it_into_nothing(echo, tmp_path, scheme):
    cluster = f"{{name: behind, url: '{scheme}://milvus.example', api_key: '${{MARKED_TOKEN}}'}}"
    config = write_config(tmp_path, cluster, "{name: other, url: 'http://milvus.example:81'}")
    proxies = [
        echo.replace("://", f"://someone:{PROXY}@"),
        f"http://someone:{PROXY}@127.0.0.1:1",
        f"someone:{PROXY}@x:y",
    ]
    for proxy in proxies:
        environment = ENVIRONMENT | dict.fromkeys(("http_proxy", "https_proxy"), proxy) | {"no_proxy": "127.0.0.1"}
        for arguments in (("check-config", "--probe"), ("jobs",)):
            ended = CliRunner().invoke(app, [*arguments, "-c", str(config)], env=environment)
            assert ended.exit_code == 1
            clean(ended.stdout, ended.stderr)
        with started("run", "-c", config, **environment) as daemon:
            daemon.wait_for("poll_finished", count=2)
            seen = daemon.get("/").text + daemon.get("/metrics").text
        clean(daemon.text(), seen)


def bad(before="", after="", key="api_key: '${MARKED_KEY}'"):
    return f"name: a, url: 'http://h', {before}{key}{after}"


QUOTED = KEY.replace("'", "''")
BAD_CLUSTERS = {
    "no YAML after it": bad(after=", : ]"),
    "no YAML, literally": f"name: a, api_key: {TOKEN}: x, [",
    "an escape": f'name: a, url: "http://h", api_key: "{KEY}"',
    "a tag": f"name: a, url: 'http://h', api_key: !{TOKEN} x",
    "a tag's handle": f"name: a, url: 'http://h', api_key: !{TOKEN}!x x",
    "an anchor": f"name: a, url: 'http://h', api_key: *{TOKEN}",
    "an unknown key beside it": bad(after=", api_kye: x"),
    "twice": bad(after=f", api_key: {TOKEN}"),
    "a list": f"name: a, url: 'http://h', api_key: ['{QUOTED}', {TOKEN}]",
    "a mapping": f"name: a, url: 'http://h', api_key: {{{TOKEN}: '{QUOTED}'}}",
    "as a key": f"name: a, url: 'http://h', api_key: x, {TOKEN}: x",
    "in the URL": f"name: a, url: 'http://mona:{TOKEN}@h'",
    "in the URL's query": f"name: a, url: 'http://h?key={TOKEN}'",
    "in a broken URL": f"name: a, url: 'http://mona:{TOKEN}/h:{TOKEN}'",
    "in the port": f"name: a, url: 'http://h:{TOKEN}'",
    "in the brackets": f"name: a, url: 'http://[{TOKEN}]'",
    "as the URL": f"name: a, url: {TOKEN}",
    "as a number": f"name: a, url: 'http://h', interval: {TOKEN}",
    "as a word": f"name: a, url: 'http://h', api: {TOKEN}",
    "in a variable": "name: a, url: 'http://h', api_key: '${" + TOKEN + "}'",
    "with a line break": f'name: a, url: "http://h", api_key: "{TOKEN}\\n{TOKEN}"',
    "with a control character": f'name: a, url: "http://h", api_key: "{TOKEN}\\x07"',
    "in a file with a line break": "name: a, url: 'http://h', api_key_file: two-lines",
    "in a file with a control character": "name: a, url: 'http://h', api_key_file: control",
    "in a file that is not UTF-8": "name: a, url: 'http://h', api_key_file: not-utf-8",
    "in a folder": "name: a, url: 'http://h', api_key_file: folder",
    "in both": bad(after=", api_key_file: fine"),
    "in the id": f"name: a, url: 'http://h', cluster_id: '{QUOTED}'",
    "in the name": f"name: \"{TOKEN}\\n\", url: 'http://h'",
    "in databases": f"name: a, url: 'http://h', databases: {TOKEN}",
}
BAD_SECTIONS = {
    "state with a slash": {"state": f"{{url: 'postgresql://postgres:{DATABASE}/x@h/d'}}"},
    "state with brackets": {"state": f"{{url: 'postgresql://postgres:[{DATABASE}]@h/d'}}"},
    "state with a port": {"state": f"{{url: 'postgresql://h:{DATABASE}/d'}}"},
    "state with an at": {"state": f"{{url: 'postgresql://postgres:a@{DATABASE}@h/d'}}"},
    "state of another kind": {"state": f"{{url: 'mysql://postgres:{DATABASE}@h/d'}}"},
    "state as a key": {"state": f"{{'postgresql://postgres:{DATABASE}@h/d': url}}"},
    "state alone": {"state": f"'postgresql://postgres:{DATABASE}@h/d'"},
    "listen": {"listen": TOKEN},
    "log": {"log": TOKEN},
    "a password for a hash": {"web_config": "plain.yml"},
    "a hash cut short": {"web_config": "short.yml"},
    "no YAML in the web config": {"web_config": "broken.yml"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The files that the bad configs name."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "folder").mkdir()
    files = {"two-lines": f"{TOKEN}\n{TOKEN}", "control": f"{TOKEN}\x07{TOKEN}", "fine": TOKEN}
    files |= {"plain.yml": f"basic_auth_users: {{a: {TOKEN}}}", "short.yml": f"basic_auth_users: {{a: $2b$10${TOKEN}}}"}
    files |= {"broken.yml": f"basic_auth_users: {{a: {TOKEN}: ["}
    for name, text in files.items():
        (folder / name).write_text(text)
    (folder / "not-utf-8").write_bytes(TOKEN.encode() + b"\xff")
    return folder


@pytest.fixture(scope="module")
def daemon(folder):
    good = write_config(folder, "{name: a, url: 'http://127.0.0.1:1', api_key: '${MARKED_KEY}'}", name="reloaded.yml")
    with started("run", "-c", good, **ENVIRONMENT) as running:
        yield good, running


def bad_config(folder, name):
    if name in BAD_CLUSTERS:
        return write_config(folder, "{" + BAD_CLUSTERS[name] + "}")
    return write_config(folder, "{name: a, url: 'http://h'}", **BAD_SECTIONS[name])


@pytest.mark.parametrize("name", [*BAD_CLUSTERS, *BAD_SECTIONS])
def test_a_bad_config_is_told_without_the_secret_in_it(folder, daemon, name):
    config = bad_config(folder, name)

    for arguments in (("check-config",), ("check-config", "--probe"), ("jobs",), ("run",)):
        ended = CliRunner().invoke(app, [*arguments, "-c", str(config)], env=ENVIRONMENT)
        assert ended.exit_code == 2, ended.output
        assert isinstance(ended.exception, SystemExit)
        clean(ended.stdout, ended.stderr)
    path, running = daemon
    path.write_text(config.read_text())
    told = len(running.lines("config_rejected"))
    answer = requests.post(running.url + "/-/reload", timeout=30)
    assert answer.status_code == 422
    running.process.send_signal(signal.SIGHUP)
    running.wait_for("config_rejected", count=told + 2)
    clean(answer.text, running.text(), running.get("/").text, running.get("/metrics").text)


def test_the_state_urls_password_is_nowhere_when_the_server_is_gone(tmp_path):
    config = write_config(tmp_path, "{name: a, url: 'http://127.0.0.1:1'}")
    environments = [
        {"MILVUS_IMPORT_MONITOR_STATE": f"postgresql://{url}"}
        for url in (
            f"postgres:{DATABASE}@127.0.0.1:1/state",
            f"postgres@127.0.0.1:1/state?password={DATABASE}",
            f"postgres:{DATABASE}@127.0.0.1:1/state?sslmode={DATABASE}",
        )
    ]
    with ExitStack() as stack:
        # All at once: each polls only when it has waited for the database, and for the other monitors on it.
        daemons = [stack.enter_context(started("run", "-c", config, **environment)) for environment in environments]
        for daemon in daemons:
            daemon.wait_for("store_unavailable")
            daemon.wait_for("poll_finished")
            clean(daemon.get("/").text, daemon.get("/metrics").text)
    for daemon in daemons:
        clean(daemon.text())
    for environment in environments:
        for arguments in (("jobs",), ("run", "--listen", "nowhere"), ("check-config", "--probe")):
            ended = CliRunner().invoke(app, [*arguments, "-c", str(config)], env=environment)
            assert isinstance(ended.exception, SystemExit)
            clean(ended.stdout, ended.stderr)


def test_the_state_urls_password_is_nowhere_when_the_url_cannot_be_understood(tmp_path):
    config = write_config(tmp_path, "{name: a, url: 'http://127.0.0.1:1'}")
    url = f"postgresql://postgres:{DATABASE}@127.0.0.1:1/state?sslmode={DATABASE}&nonsense={DATABASE}"

    ended = finished("run", "-c", config, MILVUS_IMPORT_MONITOR_STATE=url)

    assert ended.returncode == 2
    assert "the URL of PostgreSQL cannot be understood" in ended.stderr
    clean(ended.stdout, ended.stderr)


@pytest.mark.parametrize("name", EVERY_COMMAND)
def test_help_shows_no_value_of_the_environment(name):
    for marked in (TOKEN, f"postgresql://postgres:{DATABASE}@h/d"):
        names = (
            "STATE",
            "URL",
            "LISTEN",
            "CONFIG",
            "USERNAME",
            "PASSWORD_FILE",
            "LOG_LEVEL",
            "CLUSTER",
            "OUTPUT",
            "FAIL_ON",
        )
        environment = {f"MILVUS_IMPORT_MONITOR_{one}": marked for one in names} | ENVIRONMENT
        ended = CliRunner().invoke(app, [name, "--help"], env=environment)
        assert ended.exit_code == 0
        clean(ended.stdout, ended.stderr)


def test_the_commands_of_this_test_are_all_there_are():
    assert set(COMMANDS) == set(EVERY_COMMAND)


def test_commands_without_a_config_say_nothing_of_their_environment():
    for arguments in (
        ("schema",),
        ("demo", "--listen", "127.0.0.1:0", "--for", "1s"),
        ("simulate", "--listen", "127.0.0.1:0", "--for", "1s"),
    ):
        environment = ENVIRONMENT | {"http_proxy": f"http://someone:{PROXY}@127.0.0.1:1", "no_proxy": "127.0.0.1"}
        ended = finished(*arguments, **environment)
        assert ended.returncode == 0
        clean(ended.stdout, ended.stderr)


def test_the_health_check_shows_no_password(echo, tmp_path):
    password = tmp_path / "password"
    password.write_text(TOKEN)
    hashed = bcrypt.hashpw(TOKEN.encode(), bcrypt.gensalt(4)).decode()
    (tmp_path / "web.yml").write_text(f"basic_auth_users: {{mona: '{hashed}'}}")
    config = write_config(tmp_path, "{name: a, url: 'http://127.0.0.1:1'}", web_config="web.yml")
    with started("run", "-c", config) as running:
        asked = ("--username", "mona", "--password-file", password)
        running.wait_for("poll_finished")
        fine = finished("healthcheck", "--url", running.url, *asked)
        wrong = finished("healthcheck", "--url", running.url, "--username", "lisa", "--password-file", password)
    outputs = [fine, wrong]
    for url in (
        echo,
        "http://127.0.0.1:1",
        f"http://mona:{TOKEN}@h",
        f"ftp://mona:{TOKEN}@h",
        f"http://[mona:{TOKEN}@h",
    ):
        outputs.append(finished("healthcheck", "--url", url, *asked))
        assert outputs[-1].returncode
        assert "Traceback" not in outputs[-1].stderr

    assert (fine.returncode, wrong.returncode) == (0, 1)
    clean(running.text(), *(one.stdout + one.stderr for one in outputs))
    assert leaks(running.text(), hashed) == []


CRASHES = {
    "a poll": "import monitor.client.session as room; room.Session.call = crash",
    "the start": "import monitor.daemon as room; room.Daemon.start = crash",
    "the store": "import monitor.store.store as room; room.Store.record = crash",
    "a reload": "import monitor.config.loader as room; once(room, 'validate')",
    "a scrape": "import monitor.metrics.exposition as room; room.Exposition.scrape = crash",
}


@pytest.mark.parametrize("place", CRASHES)
def test_a_fault_of_the_monitor_itself_shows_no_secret(tmp_path, place):
    (tmp_path / "sitecustomize.py").write_text(
        "import os\n"
        "def crash(*given, **named):\n"
        "    raise RuntimeError(os.environ['MARKED_KEY'], {'Authorization': os.environ['MARKED_KEY'].encode()})\n"
        "def once(room, name):\n"
        "    real, calls = getattr(room, name), []\n"
        "    def called(*given, **named):\n"
        "        calls.append(1)\n"
        "        return (crash if len(calls) > 1 else real)(*given, **named)\n"
        "    setattr(room, name, called)\n"
        f"{CRASHES[place]}\n"
    )
    with echo_server() as url:
        number = list(KINDS).index("names")
        config = write_config(
            tmp_path,
            f"{{name: a, url: '{url}/{number}/0/0', api_key: '${{MARKED_KEY}}'}}",
            state="{url: 'sqlite:///s.db'}",
        )
        environment = ENVIRONMENT | {"PYTHONPATH": str(tmp_path), "PYTHONFAULTHANDLER": "1"}
        if place == "a poll":
            for arguments in (("check-config", "--probe"), ("jobs",)):
                ended = finished(*arguments, "-c", config, **environment)
                assert ended.returncode == 1
                assert "internal error: RuntimeError in " in ended.stderr
                clean(ended.stdout, ended.stderr)
        process = subprocess.Popen(
            command("run", "-c", config), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | environment
        )
        with process:
            limit = threading.Timer(60, process.send_signal, [signal.SIGABRT])  # where nothing crashes after all
            limit.start()
            try:
                errors = [process.stderr.readline().decode()]
                while "RuntimeError" not in errors[-1] and errors[-1]:
                    if "monitor_started" in errors[-1]:
                        running = re.search(r"http://[0-9.:]+", errors[-1])[0]
                        path = ("/-/reload", "POST") if place == "a reload" else ("/metrics", "GET")
                        seen = subprocess.run(
                            ["curl", "-s", "-X", path[1], running + path[0]],
                            check=False,
                            capture_output=True,
                            timeout=30,
                        ).stdout
                        clean(seen)
                    errors.append(process.stderr.readline().decode())
            finally:
                limit.cancel()
                if process.poll() is None:
                    process.send_signal(signal.SIGABRT)
            errors.append(process.stderr.read().decode())

    assert "RuntimeError" in "".join(errors), errors
    assert ("monitor_crashed" in "".join(errors)) is (place == "the start")
    clean("".join(errors), process.stdout.read() if not process.stdout.closed else b"")
