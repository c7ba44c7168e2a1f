"""A monitor whose PostgreSQL is behind PgBouncer in session mode."""

import time

from monitor.simulator import Lifecycle, World
from tests.daemon import WAIT, started, write_config
from tests.fakes.simulator import SimulatorServer, set_status
from tests.pgbouncer import running_pgbouncer
from tests.postgres import running_postgres
from tests.stored import run


def test_a_monitor_goes_on_while_the_pooler_restarts_and_loses_nothing(tmp_path):
    world = World()
    cluster = world.add_cluster("books", generation="milvus")
    with (
        SimulatorServer(world) as server,
        running_postgres() as postgres,
        running_pgbouncer(postgres, "session") as pooler,
    ):
        entry = f"{{name: books, url: '{server.url}/clusters/books'}}"
        config = write_config(tmp_path, entry, state=f"{{url: '{pooler.url}'}}", replicas="{takeover: 5s}")
        with started("run", "-c", config, POD_NAME="pod-a") as daemon:
            daemon.wait_for("cluster_baseline")
            job = cluster.add_job(collection="novels", lifecycle=Lifecycle.frozen("Importing", 10))
            daemon.wait_for("import_job_transition", job_id=job.id, to_state="importing")
            pooler.stop()
            set_status(job, state="Failed", reason="no such file")
            daemon.wait_for("import_job_transition", job_id=job.id, to_state="failed")
            daemon.wait_for("store_unavailable")
            owned_meanwhile = owned(daemon)
            pooler.start()
            daemon.wait_for("store_recovered")
            wait_until(lambda: members(postgres) == [("milvus-import-monitor@pod-a",)] and owned(daemon) == {"books"})
            next_job = cluster.add_job(collection="novels", lifecycle=Lifecycle.frozen("Completed", 100))
            daemon.wait_for("import_job_transition", job_id=next_job.id)
            stopped = daemon.stop()
        recorded = run(postgres.url, "SELECT job_id, to_state, logged FROM transitions ORDER BY id")

    assert owned_meanwhile == {"books"}
    assert recorded == [(job.id, "importing", True), (job.id, "failed", True), (next_job.id, "completed", True)]
    assert stopped == 0


def owned(daemon):
    return {labels["milvus_cluster"] for labels, _ in daemon.metrics().named("milvus_import_cluster_owned")}


def members(postgres):
    query = (
        "SELECT DISTINCT application_name FROM pg_stat_activity JOIN pg_locks USING (pid) WHERE locktype = 'advisory'"
    )
    return run(postgres.url, query)


def wait_until(condition):
    deadline = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
