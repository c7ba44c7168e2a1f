"""Self-hosted Milvus with several databases: its list names none, and filters only with `collectionName`."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Self


class DatabaseServer:
    """Lists the jobs of all databases; with `collectionName`, those of the collection in `DB-Name`.

    Attributes:
        databases: The names of its databases, with the collections of each.
        jobs: The records by job id, each with the database that the list keeps to itself.
        filters: Whether it regards `collectionName`; else every list has all jobs.
        errors: Answers to a list of one collection instead of the right one, by database.
        lookups: The database and collection of each list of one collection that it was asked for.
    """

    def __init__(self, **databases: list[str]) -> None:
        self.databases = databases
        self.jobs: dict[str, tuple[str, dict[str, Any]]] = {}
        self.filters = True
        self.errors: dict[str, dict[str, Any]] = {}
        self.lookups: list[tuple[str, str]] = []

    def put(self, job_id: str, database: str, state: str, progress: int = 40, collection: str = "docs") -> None:
        """Add a job, or set its state; a failed one has a reason."""
        record = {"jobId": job_id, "collectionName": collection, "state": state, "progress": progress}
        if state == "Failed":
            record["reason"] = "file does not exist"
        self.jobs[job_id] = database, record

    def respond(self, path: str, body: dict[str, Any], header: str) -> dict[str, Any]:
        """Return the answer to a request; `header` is `DB-Name`."""
        if not path.endswith("/list"):
            return {"code": 2100, "message": f"import job does not exist, jobID={body.get('jobId')}"}
        collection, database = body.get("collectionName", ""), body.get("dbName") or header or "default"
        if collection:
            self.lookups.append((database, collection))
            if database in self.errors:
                return self.errors[database]
        if not collection or not self.filters:
            return {"code": 0, "data": {"records": [record for _, record in self.jobs.values()]}}
        if collection not in self.databases[database]:
            return {"code": 100, "message": f"collection not found[database={database}][collection={collection}]"}
        wanted = database, collection
        listed = [record for name, record in self.jobs.values() if (name, record["collectionName"]) == wanted]
        return {"code": 0, "data": {"records": listed}}

    def __enter__(self) -> Self:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                content = json.dumps(server.respond(self.path, body, self.headers.get("DB-Name", ""))).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
