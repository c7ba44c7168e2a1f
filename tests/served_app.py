"""The web app on a real socket, of clusters whose polls a test makes by hand; the store is the real one."""

import asyncio
import threading

import requests
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.exposition import choose_encoder

from monitor.discovery import WatchedCluster
from monitor.jobs import JobList, JobRecord, Policy, PollResult, compare_lists, diff
from monitor.store import ClusterRef, open_store
from monitor.web import FleetStatus, Server, WebLimits, bound_socket, create_app
from tests.clusters import cluster

NOW = 1_750_000_000.0


def record(job_id, collection="books", state="Importing", progress=None, **facts):
    """A job as a server lists it; progress as a ratio."""
    percent = None if progress is None else progress * 100
    return JobRecord(job_id, state=str(state).capitalize(), collection=collection, progress=percent, **facts)


class WatchedClusters:
    """What the app needs of a daemon.

    The files of a job are what a test puts into `files`, by cluster and id: files, an exception, or a function.
    """

    def __init__(self, *names, url="memory://", **settings):
        self.now = NOW
        self.store = open_store(url, retention=30 * 86400.0, connections=4, clock=lambda: self.now)
        self.fleet = FleetStatus(self.store.snapshot, clock=lambda: self.now)
        self.files = {}
        self.files_asked = []
        self.is_healthy = self.is_ready = True
        self.reload_problem = None
        self.external_url = ""
        self.expectations = ()
        self.reloads = 0
        self.registry = CollectorRegistry()
        jobs = Gauge("milvus_import_job_state", "State.", ["milvus_cluster", "job_id", "state"], registry=self.registry)
        for number in range(100):
            jobs.labels("prod", number, "importing").set(1)
        self.configs = [cluster(f"http://{name}.example", name=name, **settings) for name in names]
        self.store.watch(ClusterRef(config.name, config.identity()) for config in self.configs)
        self.fleet.apply_config([WatchedCluster(config) for config in self.configs])

    def poll(self, name, *records, absent=(), after=30.0):
        self.now += after
        previous = self.store.snapshot(name)
        listing, new_ids = compare_lists(previous, JobList({entry.job_id: entry for entry in records}))
        untracked = new_ids - (previous.tracked.keys() if previous else set())
        finished = self.store.finished_jobs(name, untracked)
        result = PollResult(listing, new_ids, confirmed_absent=frozenset(absent), finished=finished)
        stall_after, retention = self.configs[0].stall_after, self.configs[0].failed_retention
        changes = diff(previous, result, self.now, Policy(stall_after, stall_after, stall_after, retention))
        assert self.store.record(name, changes) is not None
        self.fleet.poll_finished(name, diff=changes, transitions=self.store.recent_transitions(name))

    def fail(self, name, why):
        self.fleet.poll_finished(name, error=why)

    def rename(self, old, new):
        self.configs = [cluster(config.url, name=new if config.name == old else config.name) for config in self.configs]
        self.store.forget(old)
        self.store.watch([ClusterRef(new, new)])
        self.fleet.apply_config([WatchedCluster(config) for config in self.configs])

    def scrape(self, accept, _now):
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type

    def healthy(self):
        return self.is_healthy

    def ready(self):
        return self.is_ready

    async def reload(self):
        self.reloads += 1
        return self.reload_problem

    def import_files(self, name, job_id):
        self.files_asked.append((name, job_id))
        files = self.files.get((name, job_id), ())
        if isinstance(files, Exception):
            raise files
        return files() if callable(files) else files


class ServedApp:
    """A server of the app in a thread of its own."""

    def __init__(self, monitor, web=None, *, app=None, host="127.0.0.1", host_names=tuple, **limits):
        limits = WebLimits(**limits)
        app = app or create_app(monitor, clock=lambda: monitor.now, limits=limits)
        self.app = app
        self.sock = bound_socket(host, 0)
        self.port = self.sock.getsockname()[1]
        self._scheme = "https" if web and web.context else "http"
        self._host = f"[{host}]" if ":" in host else "localhost" if web else host
        end_streams = app.state.streams.end if hasattr(app, "state") else lambda: None
        self.server = Server(app, web, end_streams, limits, host_names=host_names)
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._serve)

    def _serve(self):
        self.loop.run_until_complete(self.server.serve(sockets=[self.sock]))
        self.loop.close()

    @property
    def url(self):
        return f"{self._scheme}://{self._host}:{self.port}"

    def __enter__(self):
        self.thread.start()
        while not self.server.started:
            self.thread.join(0.001)
        return self

    def __exit__(self, *_):
        self.server.stop()
        self.thread.join(20)
        assert not self.thread.is_alive()

    def run(self, coroutine):
        """Run something in the server's loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(10)

    def apply_web_config(self, web):
        self.run(self.server.apply_web_config(web))
        self._scheme = "https" if web.context else "http"

    def request(self, method, path, **arguments):
        return requests.request(method, self.url + path, timeout=30, **arguments)

    def get(self, path="/metrics", **arguments):
        return self.request("GET", path, **arguments)

    def json(self, path, **query):
        answer = self.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()
