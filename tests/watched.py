"""A daemon of which a test says what its polls saw; the fleet and the store are real."""

import asyncio
import threading

import requests

from monitor.fleet import Fleet
from monitor.jobs import Observation, StallLimits, diff
from monitor.metrics import Exposition, OwnMetrics
from monitor.store import Whose, open_store
from monitor.web import Server, bound_socket, create_app
from tests.clusters import cluster

NOW = 1_750_000_000.0


class Watched:
    """What the endpoints ask, with clusters that are polled by hand.

    `files` of a job are whatever the test puts into `told`, by cluster and id: files, or an exception.
    """

    def __init__(self, *names, url="memory://", **settings):
        self.now = NOW
        self.store = open_store(url, retention=30 * 86400.0, connections=4, clock=lambda: self.now)
        self.fleet = Fleet(self.store.picture, self.store.latest, clock=lambda: self.now)
        self.exposition = Exposition(OwnMetrics().registry)
        self.told = {}
        self.asked = []
        self.configs = [cluster(f"http://{name}.example", name=name, **settings) for name in names]
        for name in names:
            self.store.watch(Whose(name, name))
        self.fleet.watch(self.configs)

    def poll(self, name, *jobs, gone=(), after=30.0):
        self.now += after
        limits = StallLimits(*(self.configs[0].stall_after,) * 3)
        seen = Observation({job.job_id: job for job in jobs}, gone=frozenset(gone))
        self.store.record(name, diff(self.store.picture(name), seen, self.now, limits))
        self.fleet.polled(name, ok=True, why="")

    def fail(self, name, why):
        self.fleet.polled(name, ok=False, why=why)

    def rename(self, old, new):
        self.configs = [one.model_copy(update={"name": new if one.name == old else one.name}) for one in self.configs]
        self.store.watch(Whose(new, new))
        self.fleet.watch(self.configs)

    def scrape(self, accept, now):
        return self.exposition.scrape(accept, now)

    def healthy(self):
        return True

    def ready(self):
        return True

    async def reload(self):
        return None

    def history(self, wanted, limit, cursor):
        return self.store.history(wanted, limit, cursor)

    def files(self, name, job_id):
        self.asked.append((name, job_id))
        told = self.told.get((name, job_id), ())
        if isinstance(told, Exception):
            raise told
        return told() if callable(told) else told


class Served:
    """A server of it in a thread of its own."""

    def __init__(self, watched):
        self.sock = bound_socket("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.sock.getsockname()[1]}"
        app = create_app(watched, clock=lambda: watched.now)
        self.streams, self.desks = app.state.streams, app.state.desks
        self.server = Server(app, end_streams=app.state.streams.end)
        self.thread = threading.Thread(target=lambda: asyncio.run(self.server.serve(sockets=[self.sock])))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.stop()
        self.thread.join(20)
        assert not self.thread.is_alive()
        for desk in self.desks:
            desk.close()

    def get(self, path, **arguments):
        return requests.get(self.url + path, timeout=30, **arguments)

    def json(self, path, **query):
        answer = self.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()
