"""A state that two monitors cannot share is refused, and left to the one that has it."""

import signal

from tests.daemon import finished, started, write_config
from tests.pgbouncer import running_pgbouncer
from tests.postgres import running_postgres

CLUSTER = "{name: prod, url: 'http://127.0.0.1:1'}"


def test_a_second_monitor_on_one_sqlite_file_is_refused_until_the_first_one_is_gone(tmp_path):
    config = write_config(tmp_path, CLUSTER, state=f"{{url: 'sqlite:///{tmp_path}/state.db'}}")
    with started("run", "-c", config, POD_NAME="pod-a") as first:
        second = finished("run", "-c", config)
        history = finished("history", "-c", config)
        first.process.send_signal(signal.SIGKILL)
        first.process.wait(timeout=20)
        with started("run", "-c", config) as third:
            stopped = third.stop()
    with started("run", "-c", config):
        pass

    assert second.returncode == 2
    assert second.stderr.count("\n") == 1
    assert f"{tmp_path}/state.db is used by another monitor (pod-a): stop that one" in second.stderr
    assert history.returncode == 0
    assert stopped == 0


def test_a_pooler_that_shares_sessions_is_refused_with_what_to_do(tmp_path):
    with running_postgres() as postgres, running_pgbouncer(postgres, "transaction") as pooler:
        config = write_config(tmp_path, CLUSTER, state=f"{{url: '{pooler.url}'}}")
        refused = finished("run", "-c", config)

    assert refused.returncode == 2
    assert "connect to PostgreSQL directly (state.url), or set pool_mode = session in the pooler" in refused.stderr
    assert "Traceback" not in refused.stderr
