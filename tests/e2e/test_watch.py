"""Watching jobs in a real terminal, from a config."""

import re
import signal
import subprocess

import pytest

from monitor.simulator import Lifecycle, Trouble, World
from monitor.simulator.lifecycles import Phase
from tests.commands import finished
from tests.daemon import command, write_config
from tests.fakes.simulator import SimulatorServer, set_status, wait_for_requests
from tests.terminal import terminal


@pytest.fixture
def world():
    return World()


@pytest.fixture
def books(world):
    return world.add_cluster("books", generation="milvus")


@pytest.fixture
def config(world, tmp_path):
    with SimulatorServer(world) as server:
        yield write_config(tmp_path, f"{{name: books, url: '{server.url}/clusters/books'}}")


def importing(cluster, collection, progress=40):
    return cluster.add_job(collection=collection, lifecycle=Lifecycle.frozen("Importing", progress))


def test_a_bar_moves_and_a_failure_comes_to_the_top(books, config):
    novels, poems = importing(books, "novels"), importing(books, "poems", 70)
    with terminal("watch", "-c", config) as shown:
        shown.wait_for("1 of 1 clusters up · 2 importing", "novels", "40%", "━", "70%")
        assert shown.lines[1].split() == ["COLLECTION", "JOB", "STATE", "AGE", "PROGRESS", "LEFT"]
        assert "poems" in shown.lines[2]
        set_status(novels, progress=55)
        shown.wait_for("55%")
        set_status(novels, "Failed", reason="disk quota exceeded")
        shown.wait_for("1 importing, 1 failed", "disk quota exceeded")
        assert "novels" in shown.lines[2]
        assert "failed" in shown.lines[2]
        set_status(poems, "Completed")
        shown.wait_for("1 completed, 1 failed", "100%")
        assert shown.on_the_other_screen


def test_the_time_left_is_shown(books, config):
    books.add_job(
        collection="novels", lifecycle=Lifecycle((Phase("Importing", 100, 0, 100), Phase("Completed", 1e9, 100, 100)))
    )
    with terminal("watch", "-c", config) as shown:
        shown.wait_until(lambda screen: any("~" in line and "importing" in line for line in screen.lines))


def test_a_cluster_that_is_down_is_shown_until_it_is_up(books, config):
    importing(books, "novels")
    with terminal("watch", "-c", config) as shown:
        shown.wait_for("40%")
        books.trouble(Trouble.http(403))
        shown.wait_for("0 of 1 clusters up", "permission deny", "novels")
        books.recover()
        shown.wait_for("1 of 1 clusters up")
        shown.wait_until(lambda screen: "permission deny" not in screen.text)


def test_there_are_never_more_lines_than_the_terminal_has(books, config):
    for number in range(60):
        importing(books, f"collection_{number}", number)
    with terminal("watch", "-c", config, lines=10) as shown:
        shown.wait_for("… and 53 more", "59%")
        assert shown.lines[0] == "1 of 1 clusters up · 60 importing"
        shown.resize(columns=90, lines=30)
        shown.wait_for("… and 33 more", "33%")
        shown.resize(columns=50, lines=8)
        shown.wait_for("… and 55 more")


def test_keys_scroll_and_end_it(books, config):
    for number in range(30):
        importing(books, f"collection_{number}", 30 + number)
    with terminal("watch", "-c", config, columns=90, lines=10) as shown:
        shown.wait_for("59%", "… and 23 more · ↑ ↓ PgUp PgDn scroll, q quits")
        shown.press("\x1b[6~")
        shown.wait_for("52%", "… 7 above, 16 below")
        shown.press("\x1b[B")
        shown.press("j")
        shown.wait_for("50%", "… 9 above, 14 below")
        shown.press("\x1b[F")
        shown.wait_for("30%", "… 23 above, 0 below")
        shown.press("\x1b[5~\x1b[A")
        shown.wait_for("… 15 above, 8 below")
        shown.press("\x1b[H")
        shown.wait_for("59%", "… and 23 more")
        assert not re.search(r"\S +\x1b\[[0-9]+;1H", re.sub(r"\x1b\[[0-9;]*m", "", shown.written))
        shown.press("x\x1bq")
        assert shown.ended() == 0
        assert not shown.on_the_other_screen
        assert not shown.cursor_is_hidden


def test_it_draws_without_keys_where_the_keyboard_belongs_to_another_program(books, config):
    importing(books, "novels")
    script = '"$@" < /dev/null'
    with terminal("watch", "-c", config, prefix=("sh", "-c", script, "sh")) as shown:
        shown.wait_for("novels", "40%")


@pytest.mark.parametrize(("environment", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_colours_are_left_out_where_nobody_wants_them(books, config, environment, coloured):
    importing(books, "novels")
    books.add_job(lifecycle=Lifecycle.frozen("Failed", 0, reason="no such file"))
    with terminal("watch", "-c", config, **environment) as shown:
        shown.wait_for("40%", "no such file", "━")
        assert bool(shown.colours()) is coloured


@pytest.mark.parametrize("how", ["Ctrl-C", "SIGTERM"])
def test_the_terminal_is_left_as_it_was(books, config, how):
    importing(books, "novels")
    with terminal("watch", "-c", config) as shown:
        shown.wait_for("40%")
        assert shown.cursor_is_hidden
        if how == "Ctrl-C":
            shown.press_ctrl_c()
        else:
            shown.process.send_signal(signal.SIGTERM)

        assert shown.ended() == 0
        assert not shown.on_the_other_screen
        assert not shown.cursor_is_hidden
        assert "Traceback" not in shown.written


def test_it_ends_also_while_a_server_does_not_answer(books, config):
    books.trouble(Trouble.hang())
    with terminal("watch", "-c", config) as shown:
        shown.wait_for("0 of 1 clusters up, 1 not polled yet")
        assert wait_for_requests(books, "list", 1, timeout=60)
        shown.press_ctrl_c()
        assert shown.ended() == 0


def test_a_hostile_name_stays_text(books, config):
    books.add_job(collection="\x1b[2J\x1b]0;owned\x07[red]novels", lifecycle=Lifecycle.frozen("Importing", 40))
    with terminal("watch", "-c", config, columns=160) as shown:
        shown.wait_for("\ufffd[2J\ufffd]0;owned\ufffd[red]novels", "40%")
        assert "\x1b]0;owned" not in shown.written


def test_in_a_pipe_each_change_is_a_line(books, config):
    novels = importing(books, "novels")
    with subprocess.Popen(
        command("watch", "-c", config), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        set_status(novels, "Failed", reason="disk quota\nexceeded")
        lines.append(process.stdout.readline())
        books.trouble(Trouble.http(403))
        lines.append(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=60)

    assert [line.partition(" ")[2] for line in lines[:2]] == [
        f"books: novels {novels.id} importing at 40%\n",
        f"books: novels {novels.id} failed at 40%: disk quota exceeded\n",
    ]
    assert lines[2].partition(" ")[2].startswith("books: down: ")
    assert "permission deny" in lines[2]
    assert all(line[:2] == "20" and line.split()[0].endswith("Z") for line in lines)
    assert (process.returncode, rest, errors) == (0, "", "")


def test_only_one_cluster_is_watched_where_only_one_is_named(world, tmp_path):
    for name in ("books", "songs"):
        importing(world.add_cluster(name, generation="milvus"), f"{name}_a")
    with SimulatorServer(world) as server:
        clusters = [f"{{name: {name}, url: '{server.url}/clusters/{name}'}}" for name in ("books", "songs")]
        config = write_config(tmp_path, *clusters)
        with terminal("watch", "-c", config, "--cluster", "songs") as shown:
            shown.wait_for("1 of 1 clusters up", "songs_a")
    assert world.clusters["books"].requests["list"] == 0


def test_bad_input_is_2_and_no_response_is_1(config, tmp_path):
    here = "http://127.0.0.1:1"
    for arguments, environment, code, sentence in (
        ((), {}, 2, "no config file: give --config FILE, or create "),
        (("-c", config, "--url", here), {}, 2, "--config and --url cannot be combined"),
        (
            (),
            {"MILVUS_IMPORT_MONITOR_CONFIG": str(config), "MILVUS_IMPORT_MONITOR_URL": here},
            2,
            "MILVUS_IMPORT_MONITOR_CONFIG and MILVUS_IMPORT_MONITOR_URL cannot be combined",
        ),
        (("-c", tmp_path / "no.yml"), {}, 2, "the config file does not exist"),
        (("-c", config, "--cluster", "boks"), {}, 2, "--cluster: "),
        (("--url", "ftp://x"), {}, 2, "--url: expected http://HOST:PORT, not 'ftp://x'"),
        (("--url", "http://me:pass@x"), {}, 2, "--url: must not contain credentials (@)"),
        (("--url", here, "--username", "me"), {}, 2, "--username: needs --password-file as well"),
        (("--url", here), {}, 1, "http://127.0.0.1:1: no response: connection refused; set the"),
        (("--url", here), {"MILVUS_IMPORT_MONITOR_CONFIG": str(config)}, 1, "http://127.0.0.1:1: no response"),
        (("-c", tmp_path / "no.yml"), {"MILVUS_IMPORT_MONITOR_URL": here}, 2, "the config file does not exist"),
    ):
        ended = finished("watch", *arguments, **environment)
        assert (ended.returncode, ended.stdout) == (code, ""), (arguments, ended.stderr)
        assert sentence in ended.stderr


def test_a_server_that_is_no_monitor_is_named(world):
    with SimulatorServer(world) as server:
        url = server.url
        ended = finished("watch", "--url", url)

    assert ended.returncode == 1
    assert ended.stderr.startswith(f"error: {url}: ")
    assert "(HTTP 404)" in ended.stderr
