"""Waiting for one job, as a script does, and as somebody before a terminal does."""

import signal
import subprocess
import threading
from contextlib import contextmanager

import pytest

from monitor.simulator import Lifecycle, Trouble, World
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


def waiting(config, job, *more):
    return ("wait", "-c", config, "--cluster", "books", "--job", job.id, *more)


@contextmanager
def after_polls(cluster, change, polls=2):
    """Change something after so many more polls of a job."""
    count = cluster.requests["describe"] + polls
    thread = threading.Thread(target=lambda: wait_for_requests(cluster, "describe", count, timeout=60) and change())
    thread.start()
    yield
    thread.join()


def test_a_job_that_completes_is_0_and_one_line(books, config):
    job = books.add_job(collection="novels", lifecycle=Lifecycle.frozen("Importing", 40))
    with after_polls(books, lambda: set_status(job, "Completed")):
        ended = finished(*waiting(config, job))

    assert (ended.returncode, ended.stdout) == (0, f"books: novels {job.id} completed\n")
    assert ended.stderr == f"{job.id} importing at 40%\n{job.id} completed at 100%\n"


def test_a_job_that_fails_is_1_with_its_reason(books, config):
    job = books.add_job(collection="novels", lifecycle=Lifecycle.frozen("Importing", 40))
    with after_polls(books, lambda: set_status(job, "Failed", reason="no such file\nor directory")):
        ended = finished(*waiting(config, job))

    assert (ended.returncode, ended.stdout) == (
        1,
        f"books: novels {job.id} failed (file_not_found): no such file or directory\n",
    )


def test_a_job_that_vanishes_is_1(books, config):
    job = books.add_job(collection="novels", lifecycle=Lifecycle.frozen("Importing", 40))
    with after_polls(books, lambda: books.forget(job.id)):
        ended = finished(*waiting(config, job))

    assert (ended.returncode, ended.stdout) == (
        1,
        f"books: novels {job.id} vanished; it was importing at 40%, and now the server has no such job\n",
    )


def test_a_job_that_has_ended_already_is_reported_at_once(books, config):
    done, failed = (
        books.add_job(lifecycle=Lifecycle.frozen("Completed", 100)),
        books.add_job(lifecycle=Lifecycle.frozen("Failed", 0)),
    )

    assert finished(*waiting(config, done)).returncode == 0
    ended = finished(*waiting(config, failed))
    assert (ended.returncode, ended.stdout) == (
        1,
        f"books: events {failed.id} failed (other): no reason reported\n",
    )


@pytest.mark.usefixtures("books")
def test_a_job_that_was_never_there_is_1_and_says_so(config):
    ended = finished("wait", "-c", config, "--job", "77")

    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", "error: books: there is no job '77'\n")


def test_a_timeout_is_124(books, config):
    job = books.add_job(lifecycle=Lifecycle.frozen("Importing", 40))

    ended = finished(*waiting(config, job, "--timeout", "1s"))

    assert (ended.returncode, ended.stdout) == (124, f"books: {job.id} is importing at 40%; gave up after 1s\n")


def test_a_timeout_interrupts_a_request(books, config):
    job = books.add_job(lifecycle=Lifecycle.frozen("Importing", 40))
    books.trouble(Trouble.hang())

    ended = finished(*waiting(config, job, "--timeout", "1s"))

    assert (ended.returncode, ended.stdout) == (124, f"books: {job.id} is not seen yet; gave up after 1s\n")
    assert books.requests["describe"] == 1  # it was not waited for: it would have been tried again


def test_temporary_errors_are_reported_and_retried(books, config):
    job = books.add_job(collection="novels", lifecycle=Lifecycle.frozen("Importing", 40))
    books.trouble(Trouble.http(503), times=3)  # one poll with its own attempts
    with after_polls(books, lambda: set_status(job, "Completed"), polls=5):
        ended = finished(*waiting(config, job))

    first, *rest = ended.stderr.splitlines()
    assert first.startswith("books: transient: ")
    assert "; retrying in " in first
    assert rest == [f"{job.id} importing at 40%", f"{job.id} completed at 100%"]
    assert ended.returncode == 0


def test_a_wrong_key_is_not_waited_out(world, tmp_path):
    world.add_cluster("locked", generation="zilliz", api_key="right")
    with SimulatorServer(world) as server:
        config = write_config(tmp_path, f"{{name: a, url: '{server.url}', cluster_id: locked, api_key: wrong-key}}")
        ended = finished("wait", "-c", config, "--job", "1")

    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("error: a: unauthorized: ")
    assert "wrong-key" not in ended.stderr


def test_bad_input_is_2(books, config, tmp_path):
    job = books.add_job()
    two = write_config(tmp_path, "{name: a, url: 'http://h'}", "{name: b, url: 'http://h'}", name="two.yml")

    for arguments, sentence in (
        (("--job", job.id, "--timeout", "soon"), "--timeout: must be a duration"),
        (("--job", job.id, "--cluster", "boks"), "--cluster: "),
        (("--job", job.id, "-c", two), f"--cluster: {two} has 2 clusters; name the one that has the job"),
        ((), "Missing option '--job'"),
        (("--job", job.id, "-c", tmp_path / "no.yml"), "the config file does not exist"),
    ):
        ended = finished("wait", "-c", config, *arguments)
        assert (ended.returncode, ended.stdout) == (2, ""), arguments
        assert sentence in ended.stderr


@pytest.mark.parametrize("generation", ["zilliz", "v1", "milvus-2.3"])
def test_every_generation_is_waited_for(world, tmp_path, generation):
    cluster = world.add_cluster("other", generation=generation)
    job = cluster.add_job(lifecycle=Lifecycle.frozen("Importing", 40))
    with SimulatorServer(world) as server, after_polls(cluster, lambda: set_status(job, "Completed")):
        url = server.url if generation in ("zilliz", "v1") else f"{server.url}/clusters/other"
        api = "v2" if generation == "zilliz" else generation
        config = write_config(tmp_path, f"{{name: a, url: '{url}', api: {api}, cluster_id: other, api_key: any}}")
        ended = finished("wait", "-c", config, "--job", job.id)

    assert (ended.returncode, ended.stdout.split()[3]) == (0, "completed")


def test_a_terminal_shows_a_bar_and_at_the_end_one_line(books, config):
    job = books.add_job(collection="novels", lifecycle=Lifecycle.frozen("Importing", 40))
    with terminal(*waiting(config, job)) as shown:
        shown.wait_for("novels importing", "40%", "━")
        set_status(job, progress=70)
        shown.wait_for("70%")
        set_status(job, "Uncommitted", 99)
        shown.wait_for("novels uncommitted", "99%", "waiting for its commit")
        set_status(job, "Completed")

        assert shown.ended() == 0
        assert [line for line in shown.lines if line][-1] == f"books: novels {job.id} completed"
        assert "━" not in shown.text
        assert not shown.cursor_is_hidden


def test_a_terminal_shows_errors_above_the_bar(books, config):
    job = books.add_job(collection="novels", lifecycle=Lifecycle.frozen("Importing", 40))
    with terminal(*waiting(config, job), columns=160) as shown:
        shown.wait_for("40%")
        books.trouble(Trouble.code(1, "service unavailable"))
        shown.wait_for("books: transient: ", "retrying in", "━")
        books.recover()
        set_status(job, "Completed")
        assert shown.ended() == 0


def test_ctrl_c_is_130_and_leaves_the_terminal_clean(books, config):
    job = books.add_job(collection="novels", lifecycle=Lifecycle.frozen("Importing", 40))
    with terminal(*waiting(config, job)) as shown:
        shown.wait_for("40%")
        shown.press_ctrl_c()

        assert shown.ended() == 130
        assert not shown.cursor_is_hidden
        assert "Traceback" not in shown.written
        assert "Abort" not in shown.written


def test_ctrl_c_is_130_also_while_the_server_does_not_answer(books, config):
    job = books.add_job()
    books.trouble(Trouble.hang())
    with subprocess.Popen(
        command(*waiting(config, job)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert wait_for_requests(books, "describe", 1, timeout=60)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)

    assert (process.returncode, out, err) == (130, "", "")
