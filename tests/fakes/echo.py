"""A server that tells everybody the secrets it was sent: in messages, names, headers, and where no text belongs."""

import base64
import json
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.leaks import spellings


def _http(status: int, body: bytes, *headers: str, reason: str = "Whatever") -> bytes:
    lines = [f"HTTP/1.1 {status} {reason}", *headers, f"Content-Length: {len(body)}", "Connection: close", "", ""]
    return "\r\n".join(lines).encode("utf-8") + body


def _refusal(said: str, status: int) -> bytes:
    return _http(status, b'{"code": 1800, "message": "no such key: %s"}' % _in_json(said))


def _in_json(said: str) -> bytes:
    """As the body of a JSON string: what is escaped already stays as it is."""
    return (said if "\\u" in said else json.dumps(said, ensure_ascii=False)[1:-1]).encode()


def _list(records: str, said: str, field: str = "records", code: int = 0) -> bytes:
    text = records.encode().replace(b"SAID", _in_json(said))
    return _http(200, b'{"code": %d, "data": {"%s": [%s]}}' % (code, field.encode(), text))


_FAILED = '{"jobId": "1", "collectionName": "SAID", "state": "Failed", "reason": "SAID"}'
_ODD = '{"jobId": "SAID", "collectionName": "c", "state": "SAID"}, {"state": "SAID"}, "SAID", {"jobId": {"SAID": 1}}'

KINDS: dict[str, Callable[[str], bytes]] = {
    "refused": lambda said: _refusal(said, 401),
    "refused-with-200": lambda said: _refusal(said, 200),
    "text": lambda said: _http(500, b"x" * 185 + said.encode()),
    "page": lambda said: _http(200, b"<html>" + b"x" * 48 + said.encode()),
    "reason": lambda said: _http(401, b"", reason=said),
    "redirect": lambda said: _http(302, b"", "Location: http://x/" + "x" * 180 + said.replace(" ", "")),
    "retry-after": lambda said: _http(429, b"", f"Retry-After: {said}"),
    "encoding": lambda said: _http(200, b"{}", "Content-Encoding: gzip, " + "x" * 80 + said),
    "transfer-encoding": lambda said: _http(200, b"{}", "Transfer-Encoding: " + "x" * 85 + said),
    "header": lambda said: _http(200, b"{}", f"{said} no header at all", f" {said}", f"Content-Type: {said}"),
    "chunk": lambda said: f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{said}\r\n".encode(),
    "no-http": lambda said: f"{said} {said}\r\n\r\n".encode(),
    "status": lambda said: f"HTTP/1.1 {said}\r\n\r\n".encode(),
    "names": lambda said: _list(_FAILED, said),
    "odd": lambda said: _list(_ODD, said),
    "v1": lambda said: _list(_FAILED, said, "tasks", 200),
    "milvus-2.3": lambda said: _http(
        200,
        b'{"status": {}, "tasks": [{"id": 1, "state": 1, "infos": [{"key": "collection", "value": "%s"},'
        b'{"key": "failed_reason", "value": "%s"}]}]}' % (_in_json(said), _in_json(said)),
    ),
}
"""What it does with what it was sent, by the first part of the path."""

PARTS = ("the whole", "the password")


class _Echo(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        line = self.rfile.readline().decode("latin-1")
        if not line.endswith("HTTP/1.1\r\n"):
            return
        headers = {}
        while (header := self.rfile.readline().strip()) != b"":
            name, _, value = header.partition(b": ")
            headers[name.decode("latin-1").lower()] = value.decode("utf-8", "replace")
        self.rfile.read(int(headers.get("content-length", 0)))
        said = headers.get("authorization", headers.get("proxy-authorization", ""))
        if line.startswith("CONNECT"):
            self.wfile.write(f"HTTP/1.1 407 no {said}\r\nContent-Length: 0\r\n\r\n".encode())
            return
        if line.split()[1].startswith("http://"):
            self.wfile.write(_http(407, f"you said {said} and {headers.get('proxy-authorization')}".encode()))
            return
        if said.startswith("Basic"):
            said = f"{said} {base64.b64decode(said[6:]).decode('utf-8', 'replace')}"
            self.wfile.write(_http(401, f"who is {said}?".encode()))
            return
        kind, part, spelling = (int(part) for part in line.split()[1].split("/")[1:4])
        key = said.removeprefix("Bearer ")
        said = key if part == 0 else key.partition(":")[2] or key
        self.wfile.write(list(KINDS.values())[kind](list(spellings(said).values())[spelling]))


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 200


@contextmanager
def echo_server() -> Iterator[str]:
    """Run it; gives its URL."""
    with _Server(("127.0.0.1", 0), _Echo) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def paths() -> Iterator[tuple[str, str]]:
    """Every kind with every spelling of the whole and of its password: the kind, and the path."""
    for number, kind in enumerate(KINDS):
        for part in range(len(PARTS)):
            for spelling in range(len(spellings(""))):
                yield kind, f"/{number}/{part}/{spelling}"
