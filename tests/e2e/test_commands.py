"""The commands that look once and end."""

import csv
import io
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests

import monitor
from monitor.cli.commands import COMMANDS
from monitor.cli.commands import command as command_of
from monitor.simulator import Lifecycle, Trouble, World
from tests.commands import as_csv, finished
from tests.daemon import command, write_config
from tests.fakes.simulator import SimulatorServer, wait_for_requests
from tests.recorder import Recorder


@pytest.fixture(scope="module")
def server():
    world = World()
    books = world.add_cluster("books", generation="milvus")
    books.add_job(collection="novels", lifecycle=Lifecycle.frozen("Importing", 40))
    books.add_job(collection="poems", lifecycle=Lifecycle.frozen("Failed", 0, reason="disk quota\nexceeded"))
    world.add_cluster("empty", generation="zilliz", api_key="right-key")
    world.add_cluster("old", generation="milvus-2.3")
    with SimulatorServer(world) as running:
        yield running


@pytest.fixture
def config(server, tmp_path):
    return write_config(tmp_path, books(server))


def books(server):
    return f"{{name: books, url: '{server.url}/clusters/books'}}"


def dead():
    return "{name: dead, url: 'http://127.0.0.1:1'}"


def test_check_config_reports_a_valid_file(config):
    ended = finished("check-config", "-c", config)

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"{config}: valid, 1 cluster\n", "")


BAD = {
    "a typo in a key": ("name: a, ulr: 'http://h'", "", 'did you mean "url"?'),
    "a missing secret": ("name: a, url: 'http://h', api_key: '${NOPE}'", "", "environment variable NOPE is not set"),
    "a duplicate name": ("name: a, url: 'http://h'", "  - {name: a, url: 'http://h'}", "already given on line"),
    "a port": ("name: a, url: 'http://h'", "", "the port must be 1-65535"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("arguments", [("check-config",), ("run",), ("jobs",)])
def test_a_bad_config_is_one_clear_sentence_and_exit_2(tmp_path, name, arguments):
    cluster, more, sentence = BAD[name]
    listen = "127.0.0.1:99999" if name == "a port" else "127.0.0.1:0"
    config = write_config(tmp_path, f"{{{cluster}}}", listen=listen)
    config.write_text(config.read_text() + more)

    ended = finished(*arguments, "-c", config)

    assert ended.returncode == 2
    assert sentence in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert str(config) in ended.stderr


def test_an_unreadable_file_is_one_clear_sentence_and_exit_2(tmp_path):
    ended = finished("run", "-c", tmp_path / "nothing.yml")

    assert ended.returncode == 2
    assert ended.stderr == f"error: {tmp_path}/nothing.yml: the config file does not exist\n"


def test_a_probe_reports_what_each_cluster_answered(server, tmp_path):
    old = f"{{name: old, url: '{server.url}/clusters/old'}}"
    wrong_key = f"{{name: locked, url: '{server.url}', cluster_id: empty, api_key: wrong-key}}"
    ended = finished("check-config", "--probe", "-c", write_config(tmp_path, books(server), dead(), old, wrong_key))

    assert ended.returncode == 1
    assert "books: 2 jobs (1 failed, 1 importing)\n" in ended.stdout
    assert "dead: connection: 127.0.0.1:1: connection refused\n" in ended.stdout
    assert "old: not_found: " in ended.stdout
    assert ":9091" in ended.stdout  # where servers older than 2.4 have the API
    assert "locked: unauthorized: " in ended.stdout
    assert "wrong-key" not in ended.stdout + ended.stderr


def test_a_probe_counts_one_job_and_one_record_as_one(tmp_path):
    records = [{"jobId": "1", "collectionName": "novels", "state": "Importing", "progress": 40}, "no record"]
    with Recorder({"code": 0, "data": {"records": records}}) as odd:
        config = write_config(tmp_path, f"{{name: odd, url: '{odd.url}'}}")
        ended = finished("check-config", "--probe", "-c", config)

    assert (ended.returncode, ended.stdout.splitlines()[0]) == (0, f"{config}: valid, 1 cluster")
    assert ended.stdout.splitlines()[1].startswith("odd: 1 job (1 importing); 1 record skipped (")


def test_a_probe_of_clusters_that_answer_succeeds(config):
    assert finished("check-config", "--probe", "-c", config).returncode == 0


def test_jobs_as_a_table_shows_one_line_a_job(config):
    ended = finished("jobs", "-c", config, COLUMNS="200")

    header, *rows = ended.stdout.splitlines()
    assert header.split() == ["CLUSTER", "COLLECTION", "JOB", "STATE", "PROGRESS", "REASON"]
    assert ended.stdout == "".join(f"{line.rstrip()}\n" for line in (header, *rows))
    assert len(rows) == 2
    assert any("importing" in row and "40%" in row for row in rows)
    assert any("failed" in row and "disk quota exceeded" in row for row in rows)
    assert "\x1b" not in ended.stdout


def test_jobs_as_json_and_csv_hold_the_same(config):
    as_json = json.loads(finished("jobs", "-c", config, "-o", "json").stdout)
    rows = list(csv.DictReader(io.StringIO(finished("jobs", "-c", config, "-o", "csv").stdout)))

    by_id = {job["job_id"]: job for job in as_json}
    assert {job["failure"] for job in as_json} == {None, "quota_exceeded"}
    assert {row["job_id"] for row in rows} == set(by_id)
    for row in rows:
        assert row == as_csv(by_id[row["job_id"]])


@pytest.mark.parametrize("generation", ["zilliz", "v1"])
def test_jobs_describes_what_a_list_leaves_open(tmp_path, generation):
    world = World()
    cluster = world.add_cluster("cloud", generation=generation)
    cluster.add_job(collection="novels", lifecycle=Lifecycle.frozen("Importing", 40))
    cluster.add_job(collection="poems", lifecycle=Lifecycle.frozen("Failed", 0, reason="disk quota exceeded"))
    api = "v1" if generation == "v1" else "v2"
    with SimulatorServer(world) as running:
        cloud = f"{{name: cloud, url: '{running.url}', api: {api}, cluster_id: cloud, api_key: any}}"
        ended = finished("jobs", "-c", write_config(tmp_path, cloud), "-o", "json")

    jobs = {job["collection"]: job for job in json.loads(ended.stdout)}
    assert jobs["novels"]["progress"] == 0.4
    assert (jobs["poems"]["reason"], jobs["poems"]["failure"]) == ("disk quota exceeded", "quota_exceeded")


def test_jobs_can_be_chosen_by_state(config):
    jobs = json.loads(
        finished("jobs", "-c", config, "-o", "json", "--state", "Failed", "--state", "importpending").stdout
    )

    assert [job["collection"] for job in jobs] == ["poems"]


@pytest.mark.parametrize(("states", "code"), [(["failed"], 1), (["pending", "failed"], 1), (["pending"], 0), ([], 0)])
def test_jobs_exits_with_1_when_a_job_is_in_a_state_to_fail_on(config, states, code):
    options = [part for state in states for part in ("--fail-on", state)]

    assert finished("jobs", "-c", config, "--state", "importing", *options).returncode == code


def test_jobs_prints_what_it_has_and_exits_with_1_when_a_cluster_fails(server, tmp_path):
    ended = finished("jobs", "-c", write_config(tmp_path, dead(), books(server)), "-o", "json")

    assert ended.returncode == 1
    assert len(json.loads(ended.stdout)) == 2
    assert ended.stderr == "error: dead: connection: 127.0.0.1:1: connection refused\n"


def test_jobs_of_one_cluster(server, tmp_path):
    config = write_config(tmp_path, dead(), books(server))

    assert finished("jobs", "-c", config, "--cluster", "books").returncode == 0
    ended = finished("jobs", "-c", config, "--cluster", "boks")
    assert (ended.returncode, ended.stderr) == (
        2,
        f"error: --cluster: {config} has no cluster 'boks'; it has dead, books\n",
    )


def test_options_come_from_the_environment(config):
    environment = {"MILVUS_IMPORT_MONITOR_CONFIG": str(config), "MILVUS_IMPORT_MONITOR_OUTPUT": "json"}
    every = finished("jobs", **environment)
    failed = finished("jobs", **environment, MILVUS_IMPORT_MONITOR_JOB_STATE="failed pending")
    failing = finished("jobs", **environment, MILVUS_IMPORT_MONITOR_FAIL_ON="pending failed")

    assert (len(json.loads(every.stdout)), every.returncode) == (2, 0)
    assert [job["state"] for job in json.loads(failed.stdout)] == ["failed"]
    assert failing.returncode == 1


def test_the_url_of_the_store_is_no_state_of_a_job(config):
    ended = finished("jobs", "-c", config, MILVUS_IMPORT_MONITOR_STATE="sqlite:////var/lib/x/state.db")

    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_servers_text_cannot_command_the_terminal(tmp_path):
    world = World()
    world.add_cluster("books", generation="milvus").add_job(
        lifecycle=Lifecycle.frozen("Failed", 0, reason="\x1b[2J\x1b]0;owned\x07 gone\u202e")
    )
    with SimulatorServer(world) as running:
        ended = finished("jobs", "-c", write_config(tmp_path, books(running)))

    assert "\ufffd[2J\ufffd]0;owned\ufffd gone\ufffd" in ended.stdout
    assert "\x1b" not in ended.stdout


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_table_keeps_to_the_width_and_loses_no_state(config, columns):
    ended = finished("jobs", "-c", config, COLUMNS=str(columns))

    assert max(map(len, ended.stdout.splitlines())) <= columns
    assert "importing" in ended.stdout


def test_a_pipe_gets_a_whole_job_on_a_line(config, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)

    _header, *rows = finished("jobs", "-c", config).stdout.splitlines()

    assert len(rows) == 2
    assert any(row.endswith("disk quota exceeded") for row in rows)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("demo", "--listen", "here"), "--listen: must be host:port, such as"),
        (("demo", "--listen", "127.0.0.1:70000"), "--listen: the port must be 1-65535, or 0 for any free port"),
        (("demo", "--listen", "[::1:80"), "--listen: must be host:port, such as"),
        (("demo", "--listen", "::1:80"), "--listen: must be host:port, such as"),
        (("demo", "--listen", "a b:80"), "--listen: must have a host name or an address before the colon"),
        (("demo", "--for", "5"), "--for: missing unit: write 5s"),
        (("demo", "--log-format", "xml"), "--log-format: 'xml' is not one of 'auto', 'json', 'logfmt', 'console'"),
        (("demo", "--log-level", "loud"), "--log-level: 'loud' is not one of 'debug', 'info', 'warning', 'error'"),
        (("demo", "--clusters", "0"), "--clusters: should be greater than or equal to 1; see "),
        (("demo", "--seed", "x"), "--seed: should be a valid integer, "),
        (("history", "-c", "x", "-n", "2000000"), "--limit: should be less than or equal to 1000000"),
        (("wait",), "Missing option '--job'; see milvus-import-monitor wait --help"),
        (("run", "-c"), "Option '-c' requires an argument; see milvus-import-monitor"),
        (("run", "--bogus"), "No such option: --bogus; see milvus-import-monitor run --help"),
        (("run", "more", "-c", "x"), "Got unexpected extra argument(s) (more); see "),
        (("--bogus",), "No such option: --bogus; see milvus-import-monitor --help"),
        (
            ("jobs", "-c", "x", "--state", "bogus"),
            "--state: 'bogus' is not one of 'pending', 'importing', 'uncommitted', ",
        ),
        (
            ("jobs", "-c", "x", "--fail-on", "bogus"),
            "--fail-on: 'bogus' is not one of 'pending', 'importing', 'uncommitted', ",
        ),
        (("jobs", "-c", "x", "-o", "xml"), "--output: 'xml' is not one of 'table', 'json', 'csv'"),
        (("history", "-c", "x", "--since", "5"), "--since: missing unit: write 5s"),
        (("jbos",), "No such command 'jbos'. Did you mean 'jobs'?"),
        (
            ("bogus",),
            "No such command 'bogus'; the commands are run, demo, simulate, check-config, discover, jobs, history, ",
        ),
    ],
)
def test_a_bad_option_is_named_with_what_is_expected(arguments, sentence):
    ended = finished(*arguments)

    assert ended.returncode == 2
    assert sentence in ended.stderr
    assert "Traceback" not in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "variable", "value"),
    [
        (("demo",), "LISTEN", "here"),
        (("simulate",), "SIMULATE_LISTEN", "here"),
        (("demo",), "LOG_LEVEL", "loud"),
        (("demo",), "FOR", "5"),
        (("demo",), "CLUSTERS", "0"),
        (("check-config", "-c", "x"), "PROBE", "maybe"),
        (("jobs", "-c", "x"), "JOB_STATE", "failed bogus"),
        (("jobs", "-c", "x"), "FAIL_ON", "bogus"),
        (("jobs", "-c", "x"), "OUTPUT", "xml"),
        (("healthcheck",), "URL", "ftp://here"),
        (("healthcheck",), "USERNAME", "me"),
        (("healthcheck",), "PASSWORD_FILE", "password"),
        (("healthcheck", "--insecure"), "CA_FILE", __file__),
        (("jobs",), "CONFIG", "/none/config.yml"),
        (("wait", "-c", Path(__file__).parents[2] / "config" / "demo.yml", "--job", "1"), "CLUSTER", "none"),
    ],
)
def test_a_bad_variable_is_named_by_its_own_name(arguments, variable, value):
    ended = finished(*arguments, **{f"MILVUS_IMPORT_MONITOR_{variable}": value})

    assert ended.returncode == 2
    assert ended.stderr.startswith(f"error: MILVUS_IMPORT_MONITOR_{variable}: ")


@pytest.mark.parametrize("command_name", ["jobs", "check-config", "history", "watch", "wait --job 1", "run"])
def test_the_config_can_be_left_out_where_one_is_in_the_usual_place(monkeypatch, tmp_path, command_name):
    monkeypatch.chdir(tmp_path)
    nothing = finished(*command_name.split())
    (tmp_path / "milvus-import-monitor.yml").write_text("clusters: [{name: a, ulr: 'http://h'}]")
    bad = finished(*command_name.split())

    assert (nothing.returncode, nothing.stdout) == (2, "")
    assert nothing.stderr == (
        "error: no config file: give --config FILE, or create milvus-import-monitor.yml or "
        "/etc/milvus-import-monitor/config.yml\n"
    )
    assert bad.returncode == 2
    assert bad.stderr.startswith("error: milvus-import-monitor.yml:1: ")


def test_completion_knows_the_commands_and_their_options():
    script = finished("completion", "--show", SHELL="/bin/bash")
    completed = finished(
        prog_name="milvus-import-monitor",
        _MILVUS_IMPORT_MONITOR_COMPLETE="complete_bash",
        COMP_WORDS="milvus-import-monitor jobs --fa",
        COMP_CWORD="2",
    )

    assert completed.stdout.split() == ["--fail-on"]
    assert script.returncode in (0, 1)  # 1 where no shell is found above this process


def test_an_option_is_named_by_its_own_name_though_there_is_a_variable():
    listen = finished("demo", "--listen", "here", MILVUS_IMPORT_MONITOR_LISTEN="127.0.0.1:0")
    clusters = finished("demo", "--clusters", "0", MILVUS_IMPORT_MONITOR_CLUSTERS="5")

    assert listen.stderr.startswith("error: --listen: ")
    assert clusters.stderr.startswith("error: --clusters: ")


def test_without_a_command_the_help_is_shown():
    ended = finished()

    assert ended.returncode == 2
    assert "  healthcheck  " in ended.stdout + ended.stderr


def imported(*arguments):
    """The modules that a command has imported by its end."""
    program = (
        "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr))\n"
        "from monitor.cli import main; main()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=60
    )
    modules = set(ended.stderr.splitlines()[-1].split())
    assert "monitor.cli" in modules
    return modules


@pytest.mark.parametrize("arguments", [("--version",), ("healthcheck", "--url", "http://127.0.0.1:1")])
def test_what_runs_often_imports_nothing_that_only_the_daemon_needs(arguments):
    assert not imported(*arguments) & {
        "sqlalchemy",
        "uvicorn",
        "starlette",
        "apscheduler",
        "structlog",
        "monitor.config",
    }


def test_a_poll_from_the_command_line_imports_no_server(config):
    for arguments in (("jobs", "-c", config), ("check-config", "--probe", "-c", config)):
        modules = imported(*arguments)
        assert "monitor.poller" in modules
        assert not modules & {"uvicorn", "starlette", "apscheduler"}


def test_healthcheck_fails_where_nobody_answers_or_nobody_is_ready(server):
    nobody = finished("healthcheck", "--url", "http://127.0.0.1:1")
    somebody_else = finished("healthcheck", "--url", server.url)

    assert nobody.returncode == somebody_else.returncode == 1
    assert "(HTTP 404)" in somebody_else.stderr


@pytest.mark.parametrize("name", ["healthcheck", "watch"])
def test_a_monitor_that_does_not_respond_is_one_sentence_with_what_to_do(name, server):
    for url, why in (
        ("http://127.0.0.1:1", "connection refused; set the monitor's address with --url"),
        ("http://monitor.invalid", "the host name cannot be resolved ("),
        (server.url.replace("http", "https"), "the port does not speak TLS: is it http://?"),
    ):
        ended = finished(name, "--url", url)
        assert (ended.returncode, ended.stdout) == (1, "")
        assert ended.stderr.startswith(f"error: {url}: no response: {why}")
        assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize("arguments", [("jobs",), ("check-config", "--probe"), ("watch",)])
def test_ctrl_c_does_not_wait_for_a_server_that_does_not_answer(tmp_path, arguments):
    world = World()
    hanging = world.add_cluster("books", generation="milvus")
    hanging.trouble(Trouble.hang())
    with SimulatorServer(world) as server:
        config = write_config(tmp_path, books(server), poll="{interval: 200ms, timeout: 60s}")
        with subprocess.Popen(
            command(*arguments, "-c", config), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert wait_for_requests(hanging, "list", 1, timeout=60)
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=20)

    assert (process.returncode, errors) == (0 if arguments == ("watch",) else 130, "")


def test_the_schema_is_json():
    schema = json.loads(finished("schema").stdout)

    assert schema["properties"]["clusters"]


def test_every_problem_of_a_config_is_an_error_of_its_own_line(tmp_path):
    config = write_config(tmp_path, "{name: a, ulr: 'http://h'}", "{name: b, url: 'ftp://h'}")
    ended = finished("check-config", "-c", config)

    lines = ended.stderr.splitlines()
    assert len(lines) == 2
    assert all(line.startswith(f"error: {config}:") for line in lines)


def test_a_key_with_bearer_works_and_is_warned_of(server, tmp_path):
    config = write_config(
        tmp_path,
        f"{{name: a, url: '{server.url}', cluster_id: empty, api_key: Bearer right-key}}",
        f"{{name: b, url: '{server.url}', cluster_id: empty, api_key_file: key}}",
    )
    (tmp_path / "key").write_text("bearer   right-key\n")
    checked = finished("check-config", "--probe", "-c", config)
    listed = finished("jobs", "-c", config)

    why = "the key is used without the word Bearer before it; write the key alone"
    warnings = f"warning: {config}: clusters[0].api_key: {why}\nwarning: {config}: clusters[1].api_key_file: {why}\n"
    assert (checked.returncode, checked.stderr) == (0, warnings)
    assert "right-key" not in checked.stdout
    assert (listed.returncode, listed.stderr) == (0, warnings)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_one_line_for_each_option_and_the_exit_codes(name):
    text = finished(name, "--help", COLUMNS="80").stdout
    about, options = text.split("\nOptions:\n")

    assert "Exit codes: 0 " in " ".join(about.split())
    assert [line.split()[0].rstrip(",") for line in options.splitlines()] == [
        *(min(param.opts, key=len) for param in command_of(name).params if param.name != "help"),
        "-h",
    ]


def test_version_and_help():
    assert finished("--version").stdout == f"milvus-import-monitor {monitor.__version__}\n"
    listed = finished("--help").stdout
    assert "install-completion" not in listed
    assert "..." not in listed.split("Commands:")[1]
    for name in COMMANDS:
        help_text = finished(name, "--help", COLUMNS="80")
        assert f"  {name} " in listed
        assert help_text.returncode == 0
        assert max(map(len, help_text.stdout.splitlines())) <= 80
        assert "MILVUS_IMPORT_MONITOR" not in help_text.stdout


def test_the_simulator_serves_clusters_and_prints_how_to_watch_them(tmp_path):
    arguments = command("simulate", "--clusters", 3, "--listen", "127.0.0.1:0")
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        url = process.stderr.readline().split()[3]
        answer = requests.get(f"{url}/simulator", timeout=5).json()
        process.terminate()
        clusters = process.stdout.read()
        assert process.wait(timeout=10) == 0

    config = tmp_path / "config.yml"
    config.write_text(clusters)
    assert len(answer["clusters"]) == 3
    assert finished("check-config", "-c", config).stdout == f"{config}: valid, 3 clusters\n"


def test_an_address_in_use_ends_the_simulator_with_one_sentence_that_names_the_option(server):
    ended = finished("simulate", "--listen", f"127.0.0.1:{server.port}")

    assert (ended.returncode, ended.stderr) == (
        1,
        f"error: cannot listen on 127.0.0.1:{server.port}: Address already in use; choose another --listen\n",
    )
