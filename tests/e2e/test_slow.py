"""Polls that take longer than their interval, and name servers that stop answering: who is well misses nothing."""

import socket
import subprocess
import threading
from contextlib import contextmanager

from monitor.simulator import Lifecycle, World
from tests.daemon import started, write_config
from tests.fakes import hostile
from tests.fakes.simulator import SimulatorServer, set_status
from tests.venvs import missing


def test_a_poll_longer_than_its_interval_is_counted_and_loses_nothing(tmp_path):
    world = World()
    slow, _quick = (world.add_cluster(name, generation="milvus") for name in ("slow", "quick"))
    with SimulatorServer(world) as server:
        config = write_config(
            tmp_path,
            *(f"{{name: {name}, url: '{server.url}/clusters/{name}'}}" for name in ("slow", "quick")),
            poll="{interval: 200ms, timeout: 30s}",
        )
        job = slow.add_job(collection="books", lifecycle=Lifecycle.frozen("Importing", 40))
        with started("run", "-c", config) as daemon:
            for name in ("slow", "quick"):
                daemon.wait_for("cluster_baseline", milvus_cluster=name)
            slow.trouble(hostile.drip(0.005))
            set_status(job, state="Completed", progress=100)
            took_long = {"milvus_cluster": "slow", "where": lambda line: line["duration_seconds"] > 0.5}
            daemon.wait_for("poll_finished", count=3, **took_long)
            metrics = daemon.metrics()
            slow.recover()
            set_status(job, state="Failed", reason="no such file")
            daemon.wait_for("import_job_transition", job_id=job.id, to_state="failed")

    long = [line["duration_seconds"] for line in daemon.lines("poll_finished", milvus_cluster="slow")]
    assert metrics.value("milvus_import_polls_missed_total", milvus_cluster="slow") >= 3
    assert metrics.value("milvus_import_cluster_up", milvus_cluster="slow") == 1
    assert len(daemon.lines("poll_finished", milvus_cluster="quick")) > 2 * len([one for one in long if one > 0.5])
    told = [line["to_state"] for line in daemon.lines("import_job_transition")]
    assert told == ["completed", "failed"]


class NameServer:
    """Answers every question for an address with 127.0.0.1, or stays silent."""

    def __init__(self, sock):
        self._socket = sock
        self.asked = threading.Event()
        self.answers = True

    def serve(self):
        while len(asked := self._socket.recvfrom(4096)) == 2 and asked[0]:
            question, sender = asked
            self.asked.set()
            if self.answers:
                self._socket.sendto(self._answer(question), sender)

    @staticmethod
    def _answer(question):
        end = question.index(b"\0", 12) + 5
        is_address = question[end - 4 : end - 2] == b"\0\x01"
        head = question[:2] + b"\x81\x80\0\x01" + (b"\0\x01" if is_address else b"\0\0") + b"\0\0\0\0"
        record = b"\xc0\x0c\0\x01\0\x01\0\0\0\0\0\x04" + bytes([127, 0, 0, 1])
        return head + question[12:end] + (record if is_address else b"")


@contextmanager
def name_server(folder):
    """A name server; gives it, and what to put before a command for it to have no other."""
    file = folder / "resolv.conf"
    file.write_text("nameserver 127.83.5.1\noptions timeout:5 attempts:4\n")
    prefix = ["unshare", "-m", "sh", "-c", f'mount --bind {file} /etc/resolv.conf && exec "$@"', "sh"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind(("127.83.5.1", 53))
            subprocess.run([*prefix, "true"], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            missing("a name server of its own takes the right to bind port 53 and to mount")
        server = NameServer(sock)
        thread = threading.Thread(target=server.serve, daemon=True)
        thread.start()
        try:
            yield server, prefix
        finally:
            sock.sendto(b"", sock.getsockname())
            thread.join()


def test_name_servers_that_stop_answering_stop_no_cluster_that_has_an_address(tmp_path):
    world = World()
    named = [world.add_cluster(f"named-{number}", generation="milvus") for number in range(3)]
    world.add_cluster("addressed", generation="milvus")
    with SimulatorServer(world) as server, name_server(tmp_path) as (names, prefix):
        by_name = f"http://milvus.example:{server.port}/clusters"
        config = write_config(
            tmp_path,
            *(f"{{name: {one.id}, url: '{by_name}/{one.id}', interval: 1s}}" for one in named),
            # A second of one's own time is needed to miss one of these: the machine has other things to do.
            f"{{name: addressed, url: '{server.url}/clusters/addressed', interval: 1s}}",
        )
        with started("run", "-c", config, prefix=prefix) as daemon:
            daemon.wait_for("cluster_baseline", count=4)
            names.answers = False
            names.asked.clear()
            for one in named:
                one.trouble(hostile.reset(), times=1)  # it has to ask for the address anew
            assert names.asked.wait(20)
            job = named[0].add_job(collection="books", lifecycle=Lifecycle.frozen("Failed", 0, reason="no such file"))
            before = daemon.metrics()
            daemon.wait_for("poll_finished", count=len(well(daemon)) + 8, milvus_cluster="addressed")
            during = daemon.metrics()
            healthy = daemon.get("/-/healthy").status_code
            assert not daemon.lines("import_job_transition")
            names.answers = True
            daemon.wait_for("import_job_transition", job_id=job.id, to_state="failed")
            for one in named:
                daemon.wait_for("poll_finished", milvus_cluster=one.id, where=lambda line: "jobs" in line, count=2)
            names.answers = False
            names.asked.clear()
            for one in named:
                one.trouble(hostile.reset(), times=1)
            assert names.asked.wait(20)
            code = daemon.stop(within=20)

    assert missed(during, "addressed") == missed(before, "addressed")
    assert missed(during, "named-0") > 0
    assert healthy == 200
    assert code == 0
    assert daemon.lines("monitor_stopped")[0]["hanging_polls"] > 0
    assert len(daemon.lines("import_job_transition")) == 1


def well(daemon):
    return daemon.lines("poll_finished", milvus_cluster="addressed")


def missed(metrics, name):
    return metrics.value("milvus_import_polls_missed_total", milvus_cluster=name)
