"""The daemon as a user runs it, against simulated servers on real sockets."""

import signal
import socket
import time

import pytest
import requests

from monitor.simulator import Lifecycle, Trouble, World
from tests.daemon import Daemon, finished, started, write_config
from tests.fakes.simulator import SimulatorServer, set_status, wait_for_requests


@pytest.fixture
def world():
    return World()


@pytest.fixture
def server(world):
    with SimulatorServer(world) as running:
        yield running


def zilliz(server, name="zilliz", key="right-key"):
    return f"{{name: {name}, url: '{server.url}', cluster_id: {name}, api_key: {key}}}"


def milvus(server, name="milvus"):
    return f"{{name: {name}, url: '{server.url}/clusters/{name}'}}"


def transitions(daemon: Daemon, job_id: str) -> list[tuple[str, str]]:
    return [(line["from_state"], line["to_state"]) for line in daemon.lines("import_job_transition", job_id=job_id)]


def test_a_life_is_logged_step_by_step_and_shown_on_metrics(world, server, tmp_path):
    cluster = world.add_cluster("zilliz", api_key="right-key")
    with started("run", "-c", write_config(tmp_path, zilliz(server))) as daemon:
        daemon.wait_for("cluster_baseline", milvus_cluster="zilliz")
        job = cluster.add_job(collection="books", lifecycle=Lifecycle.frozen("Pending"))
        daemon.wait_for("import_job_transition", job_id=job.id, to_state="pending")
        set_status(job, state="Importing", progress=40)
        daemon.wait_for("import_job_transition", job_id=job.id, to_state="importing")
        daemon.wait_for("poll_finished", where=lambda line: line.get("progressed", 0) > 0 or line.get("jobs") == 1)
        running = daemon.metrics()
        set_status(job, state="Failed", progress=0, reason="open file failed, path=a.parquet: file does not exist")
        failed = daemon.wait_for("import_job_transition", job_id=job.id, to_state="failed")
        after = daemon.metrics()

    labels = {"milvus_cluster": "zilliz", "collection": "books", "job_id": job.id}
    assert transitions(daemon, job.id) == [("new", "pending"), ("pending", "importing"), ("importing", "failed")]
    assert running.value("milvus_import_job_state", state="importing", **labels) == 1
    assert running.value("milvus_import_job_stalled", **labels) == 0
    assert failed["level"] == "error"
    assert failed["failure"] == "file_not_found"
    assert failed["reason"] == "open file failed, path=a.parquet: file does not exist"
    assert after.value("milvus_import_job_failed", reason="file_not_found", **labels) == 1
    assert after.value("milvus_import_job_progress_ratio", **labels) is None
    assert after.value("milvus_import_jobs_finished_total", collection="books", state="failed") == 1


def test_what_the_page_of_a_job_asks_is_counted(world, server, tmp_path):
    job = world.add_cluster("milvus", generation="milvus").add_job(
        collection="books", lifecycle=Lifecycle.frozen("Importing", 40)
    )
    name = "milvus_import_api_requests_total"
    with started("run", "-c", write_config(tmp_path, milvus(server))) as daemon:
        daemon.wait_for("cluster_baseline")
        before = daemon.metrics().value(name, endpoint="describe")
        assert "part-0" in daemon.get(f"/job?cluster=milvus&id={job.id}").text
        seen = len(daemon.lines("poll_finished"))
        daemon.wait_for("poll_finished", where=lambda _: len(daemon.lines("poll_finished")) > seen + 1)
        after = daemon.metrics()

    assert world.clusters["milvus"].requests["describe"] == before + 1
    assert after.value(name, endpoint="describe") == before + 1


def test_a_failure_the_server_has_forgotten_stays_on_metrics(world, server, tmp_path):
    cluster = world.add_cluster("milvus", generation="milvus")
    with started("run", "-c", write_config(tmp_path, milvus(server))) as daemon:
        daemon.wait_for("cluster_baseline")
        job = cluster.add_job(collection="books", lifecycle=Lifecycle.frozen("Importing", 10))
        daemon.wait_for("import_job_transition", job_id=job.id)
        set_status(job, state="Failed", reason="disk quota exceeded")
        daemon.wait_for("import_job_transition", job_id=job.id, to_state="failed")
        cluster.forget(job.id)
        daemon.wait_for("poll_finished", count=len(daemon.lines("poll_finished")) + 3)

        assert daemon.metrics().value("milvus_import_job_failed", job_id=job.id, reason="quota_exceeded") == 1
        assert transitions(daemon, job.id)[-1] == ("importing", "failed")


def test_a_job_vanishes_only_on_the_servers_word(world, server, tmp_path):
    cluster = world.add_cluster("milvus", generation="milvus")
    kept = cluster.add_job(collection="books", lifecycle=Lifecycle.frozen("Importing", 10))
    lost = cluster.add_job(collection="books", lifecycle=Lifecycle.frozen("Importing", 10))
    with started("run", "-c", write_config(tmp_path, milvus(server))) as daemon:
        daemon.wait_for("cluster_baseline", importing=2)
        cluster.trouble(Trouble.false_empty(), times=5)
        daemon.wait_for("poll_finished", where=lambda line: line.get("missing") == 2)
        daemon.wait_for("poll_finished", count=len(daemon.lines("poll_finished")) + 6)
        assert daemon.lines("import_job_transition") == []
        cluster.forget(lost.id)
        gone = daemon.wait_for("import_job_transition", to_state="vanished")

    assert (gone["job_id"], gone["level"]) == (lost.id, "warning")
    assert transitions(daemon, kept.id) == []


def test_a_wrong_key_is_told_once_disturbs_nobody_and_recovers_with_the_right_one(world, server, tmp_path):
    world.add_cluster("locked", api_key="right-key")
    world.add_cluster("open", api_key="right-key")
    others = (zilliz(server, "open"),)
    config = write_config(tmp_path, zilliz(server, "locked", key="wrong-key"), *others)
    with started("run", "-c", config) as daemon:
        refused = daemon.wait_for("cluster_unreachable", milvus_cluster="locked")
        daemon.wait_for("poll_finished", 10, milvus_cluster="open")
        while_locked = daemon.metrics()
        assert len(daemon.lines("cluster_unreachable")) == 1
        write_config(tmp_path, zilliz(server, "locked"), *others)
        assert requests.post(daemon.url + "/-/reload", timeout=5).status_code == 200
        daemon.wait_for("cluster_recovered", milvus_cluster="locked")
        recovered = daemon.metrics()

    assert refused["kind"] == "unauthorized"
    assert "key" not in refused or "wrong-key" not in str(refused)
    assert while_locked.value("milvus_import_cluster_up", milvus_cluster="locked") == 0
    assert while_locked.value("milvus_import_cluster_up", milvus_cluster="open") == 1
    assert while_locked.value("milvus_import_poll_failures_total", milvus_cluster="locked", reason="unauthorized") >= 1
    assert recovered.value("milvus_import_cluster_up", milvus_cluster="locked") == 1
    assert len(daemon.lines("cluster_unreachable", milvus_cluster="open")) == 0
    assert "wrong-key" not in daemon.text()
    assert "right-key" not in daemon.text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_within_two_seconds_while_a_cluster_hangs(world, server, tmp_path, number):
    cluster = world.add_cluster("milvus", generation="milvus")
    cluster.trouble(Trouble.hang())
    config = write_config(tmp_path, milvus(server), poll="{interval: 200ms, timeout: 60s}")
    with started("run", "-c", config) as daemon:
        assert wait_for_requests(cluster, "list", 1)
        began = time.monotonic()
        assert daemon.stop(number, within=10) == 0
        assert time.monotonic() - began < 2.5

    assert daemon.lines("monitor_stopped", hanging_polls=1)


def test_a_hanging_cluster_delays_no_other(world, server, tmp_path):
    world.add_cluster("slow", generation="milvus").trouble(Trouble.hang())
    quick = world.add_cluster("quick", generation="milvus")
    clusters = milvus(server, "slow"), milvus(server, "quick")
    config = write_config(tmp_path, *clusters, poll="{interval: 1s, timeout: 5s}")
    with started("run", "-c", config) as daemon:
        assert wait_for_requests(quick, "list", 7)
        metrics = daemon.metrics()

    assert metrics.value("milvus_import_polls_missed_total", milvus_cluster="quick") == 0
    assert metrics.value("milvus_import_cluster_up", milvus_cluster="quick") == 1


def test_a_reload_adds_changes_and_removes_clusters_and_loses_nothing_of_the_others(world, server, tmp_path):
    for name in ("stays", "goes", "comes", "changes"):
        world.add_cluster(name, generation="milvus").add_job(
            collection=name, lifecycle=Lifecycle.frozen("Importing", 10)
        )
    before = [milvus(server, name) for name in ("stays", "goes", "changes")]
    config = write_config(tmp_path, *before)
    with started("run", "-c", config) as daemon:
        daemon.wait_for("cluster_baseline", 3)
        polls = daemon.metrics().value("milvus_import_polls_total", milvus_cluster="changes")
        changed = milvus(server, "changes").replace("}", ", interval: 300ms}")
        write_config(tmp_path, milvus(server, "stays"), changed, milvus(server, "comes"))
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_for("config_reloaded")
        daemon.wait_for("cluster_baseline", milvus_cluster="comes")
        metrics = daemon.metrics()

    shown = {labels["milvus_cluster"] for labels, _ in metrics.named("milvus_import_cluster_info")}
    assert shown == {"stays", "changes", "comes"}
    assert len(daemon.lines("cluster_baseline")) == 4
    assert daemon.lines("import_job_transition") == []
    assert metrics.value("milvus_import_polls_total", milvus_cluster="changes") >= polls


def test_a_name_that_stands_for_another_cluster_begins_anew(world, server, tmp_path):
    world.add_cluster("one", generation="milvus").add_job(
        collection="books", lifecycle=Lifecycle.frozen("Importing", 10)
    )
    world.add_cluster("two", generation="milvus")
    config = write_config(tmp_path, milvus(server, "one").replace("name: one", "name: prod"))
    with started("run", "-c", config) as daemon:
        daemon.wait_for("cluster_baseline", milvus_cluster="prod", jobs=1)
        write_config(tmp_path, milvus(server, "two").replace("name: two", "name: prod"))
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_for("cluster_baseline", milvus_cluster="prod", jobs=0)

    assert daemon.lines("import_job_transition") == []


def test_a_bad_config_is_rejected_and_the_old_one_goes_on(world, server, tmp_path):
    world.add_cluster("milvus", generation="milvus")
    config = write_config(tmp_path, milvus(server))
    with started("run", "-c", config) as daemon:
        daemon.wait_for("cluster_baseline")
        config.write_text(config.read_text().replace("name:", "nmae:"))
        answer = requests.post(daemon.url + "/-/reload", timeout=5)
        rejected = daemon.metrics()
        daemon.wait_for("poll_finished", count=len(daemon.lines("poll_finished")) + 2)
        config.write_text(config.read_text().replace("nmae:", "name:"))
        assert requests.post(daemon.url + "/-/reload", timeout=5).status_code == 200
        taken = daemon.metrics()

    assert answer.status_code == 422
    assert 'did you mean "name"?' in answer.text
    assert daemon.lines("config_rejected")
    assert rejected.value("milvus_import_config_last_reload_successful") == 0
    assert taken.value("milvus_import_config_last_reload_successful") == 1


def test_settings_that_need_a_restart_are_named_at_a_reload_as_in_the_file(world, server, tmp_path):
    world.add_cluster("milvus", generation="milvus")
    config = write_config(tmp_path, milvus(server))
    other = {
        "listen": "localhost:19595",
        "log": "{format: console, level: info}",
        "state": "{url: 'sqlite:///other.db', retention: 1d}",
        "poll": "{interval: 200ms, timeout: 5s, concurrency: 8}",
    }
    with started("run", "-c", config) as daemon:
        write_config(tmp_path, milvus(server).replace("}", ", api_key: Bearer the-key}"), **other)
        requests.post(daemon.url + "/-/reload", timeout=5)

        named = daemon.wait_for("restart_needed")["settings"]
        warning = daemon.wait_for("config_warning")["message"]
    assert named == ["listen", "log.format", "log.level", "poll.concurrency", "state.url", "state.retention"]
    assert warning.startswith(f"{config}: clusters[0].api_key: the key is used without the word Bearer")


def test_it_is_ready_once_every_cluster_was_tried(world, server, tmp_path):
    world.add_cluster("milvus", generation="milvus")
    dead = "{name: dead, url: 'http://127.0.0.1:1', interval: 500ms}"
    with started("run", "-c", write_config(tmp_path, milvus(server), dead)) as daemon:
        daemon.wait_for("cluster_unreachable", milvus_cluster="dead")
        daemon.wait_for("cluster_baseline", milvus_cluster="milvus")
        end = time.monotonic() + 10
        while daemon.get("/-/ready").status_code == 503 and time.monotonic() < end:  # the poll ends after its log lines
            time.sleep(0.02)
        healthy, ready = daemon.get("/-/healthy"), daemon.get("/-/ready")
        check = finished("healthcheck", "--url", daemon.url)

    assert (healthy.status_code, healthy.text) == (200, "healthy\n")
    assert (ready.status_code, ready.text) == (200, "ready\n")
    assert (check.returncode, check.stdout) == (0, "ready\n")


def test_it_is_alive_while_it_waits_for_its_first_answers(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        cluster = f"{{name: silent, url: 'http://127.0.0.1:{silent.getsockname()[1]}'}}"
        with started("run", "-c", write_config(tmp_path, cluster, poll="{timeout: 60s}")) as daemon:
            ready = finished("healthcheck", "--url", daemon.url)
            alive = finished("healthcheck", "--url", daemon.url, "--alive")

    assert (ready.returncode, ready.stderr) == (
        1,
        f"error: {daemon.url}: some clusters have not been polled yet (HTTP 503)\n",
    )
    assert (alive.returncode, alive.stdout) == (0, "healthy\n")


def test_an_address_in_use_is_one_clear_sentence_that_names_the_setting(server, tmp_path):
    config = write_config(tmp_path, "{name: a, url: 'http://127.0.0.1:1'}", listen=f"127.0.0.1:{server.port}")
    ended = finished("run", "-c", config)

    assert ended.returncode == 1
    assert ended.stderr == (
        f"error: cannot listen on 127.0.0.1:{server.port}: Address already in use; "
        "set another address with `listen` or --listen\n"
    )


def test_a_place_where_no_state_can_be_kept_is_2_and_one_clear_sentence_and_check_config_opens_no_store(tmp_path):
    config = write_config(
        tmp_path, "{name: a, url: 'http://127.0.0.1:1'}", state=f"{{url: 'sqlite:///{tmp_path}/nodir/state.db'}}"
    )
    ended = finished("run", "-c", config)

    assert ended.returncode == 2
    assert ended.stderr == (
        f"error: the folder of the store, {tmp_path}/nodir, does not exist: make it, "
        "or name another place with state.url or --state\n"
    )
    assert finished("check-config", "-c", config).returncode == 0


def test_the_demo_shows_a_stalled_a_failed_and_a_vanished_job_each_transition_once():
    with started("demo", "--listen", "127.0.0.1:0", "--log-format", "json") as daemon:
        daemon.wait_for("import_job_stalled")
        daemon.wait_for("import_job_transition", to_state="vanished")
        daemon.wait_for("import_job_transition", to_state="completed")
        failed = daemon.wait_for("import_job_transition", to_state="failed")
        metrics = daemon.metrics()
        page = daemon.get("/", params={"cluster": failed["milvus_cluster"], "state": "failed"}).text

    assert metrics.value("milvus_import_job_failed", job_id=failed["job_id"], reason=failed["failure"]) == 1
    assert 1.0 in [value for _, value in metrics.named("milvus_import_job_stalled")]
    assert metrics.named("milvus_import_job_eta_seconds")
    assert f"&amp;id={failed['job_id']}" in page
    told = [(line["job_id"], line["from_state"], line["to_state"]) for line in daemon.lines("import_job_transition")]
    assert len(told) == len(set(told))


def test_the_demo_ends_by_itself():
    with started("demo", "--clusters", 2, "--listen", "127.0.0.1:0", "--for", "1s", "--log-format", "json") as daemon:
        assert daemon.process.wait(timeout=30) == 0

    assert daemon.lines("monitor_stopped", hanging_polls=0)
