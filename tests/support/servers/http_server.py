"""An HTTP server that does what servers do wrong, on demand, and counts what it is asked."""

from __future__ import annotations

import re
import socket
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Resource:
    """A file, and how it is served. What says "times" or "after" counts GET and HEAD alike."""

    content: bytes
    ranges: bool = True
    announces_ranges: bool = True  # Accept-Ranges: bytes, or none where there are none
    head: bool = True  # otherwise HEAD is answered with status 405
    length: bool = True  # otherwise the body is chunked, and nobody knows its size beforehand
    etag: str | None = '"1"'
    encoding: str | None = None  # what Content-Encoding says, while the content stays as it is
    cut: int | None = None  # bytes of a body after which the connection is closed
    cut_times: int = 1_000_000
    cut_after: int = 0  # answers that are not cut
    block: int = 1  # ranges are widened to multiples of this, as caches do
    shift: int = 0  # ranges begin so many bytes later than asked
    head_claims: int | None = None  # what HEAD says of the size
    fail_times: int = 0
    fail_status: int = 503
    delay_s: float = 0.0  # before each answer
    pause_s: float = 0.0  # before each 64 KiB of a body
    replacement: Resource | None = None
    replace_after: int = 1_000_000


@dataclass
class Request:
    """What was asked, and what was answered."""

    method: str
    path: str
    range: str | None
    status: int = 0
    nbytes: int = 0  # of the body, as far as it was sent
    headers: dict[str, str] = field(default_factory=dict)


class FaultyServer:
    """Serves `resources` until it is stopped."""

    def __init__(self) -> None:
        self.resources: dict[str, Resource] = {}
        self.requests: list[Request] = []
        self.stopping = threading.Event()
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def serve(self, name: str, content: bytes, **how: Any) -> str:
        """Serve a file; returns its URL."""
        self.resources[f"/{name}"] = Resource(content, **how)
        return f"{self.address}/{name}"

    def gets(self) -> list[Request]:
        return [request for request in self.requests if request.method == "GET"]

    def nbytes(self) -> int:
        """Bytes of all bodies, as far as they were sent."""
        return sum(request.nbytes for request in self.requests)

    def wait_idle(self) -> None:
        """Wait for the answers in progress, so that the counts are final."""
        deadline = time.monotonic() + 5
        while any(request.status == 0 for request in self.requests):
            assert time.monotonic() < deadline
            time.sleep(0.005)

    def stop(self) -> None:
        """Stop serving, and break all connections."""
        self.stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        with self._lock:
            for connection in self._connections:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def _take(self, path: str) -> tuple[Resource | None, bool, bool]:
        """The resource as it is now; whether this answer is to fail; whether it is to be cut."""
        with self._lock:
            resource = self.resources.get(path)
            if resource is None:
                return None, False, False
            if resource.replace_after == 0 and resource.replacement is not None:
                resource = self.resources[path] = resource.replacement
            resource.replace_after -= 1
            fails = resource.fail_times > 0
            resource.fail_times -= fails
            cuts = not fails and resource.cut is not None and resource.cut_times > 0
            cuts = cuts and resource.cut_after <= 0
            resource.cut_after -= 1
            return resource, fails, cuts

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                with server._lock:
                    server._connections.add(self.connection)

            def handle(self) -> None:
                try:
                    super().handle()
                except ConnectionError:  # of a client that has read enough
                    pass

            def finish(self) -> None:
                with server._lock:
                    server._connections.discard(self.connection)
                try:
                    super().finish()
                except OSError:
                    pass

            def do_GET(self) -> None:
                self.answer()

            def do_HEAD(self) -> None:
                self.answer()

            def log_message(self, *_: object) -> None:
                pass

            def answer(self) -> None:
                request = Request(
                    self.command, self.path, self.headers["Range"], headers=dict(self.headers)
                )
                server.requests.append(request)
                resource, fails, cuts = server._take(self.path.partition("?")[0])
                status = 200
                if resource is None:
                    status = 404
                elif fails:
                    status = resource.fail_status
                elif self.command == "HEAD" and not resource.head:
                    status = 405
                wanted = self.headers["If-Match"]
                if status == 200 and resource is not None and wanted not in (None, resource.etag):
                    status = 412  # RFC 9110, section 13.1.1
                if resource is None or status != 200:
                    request.status = status
                    self.send_response(status)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                if server.stopping.wait(resource.delay_s):
                    request.status = -1
                    return
                try:
                    self.send_resource(request, resource, cuts)
                except OSError:
                    self.close_connection = True
                finally:
                    request.status = request.status or -1

            def send_resource(self, request: Request, resource: Resource, cuts: bool) -> None:
                body, status = resource.content, 200
                asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.range or "")
                content_range = None
                if asked and resource.ranges:
                    begin = int(asked[1])
                    end = min(int(asked[2]) + 1 if asked[2] else len(body), len(body))
                    begin = begin // resource.block * resource.block + resource.shift
                    end = min(-(-end // resource.block) * resource.block, len(body))
                    status = 206 if begin < len(body) else 416
                    content_range = f"bytes {begin}-{end - 1}/{len(body)}"
                    body = body[begin:end] if status == 206 else b""
                    if status == 416:
                        content_range = f"bytes */{len(resource.content)}"
                self.send_response(status)
                if resource.announces_ranges:
                    self.send_header("Accept-Ranges", "bytes" if resource.ranges else "none")
                if content_range:
                    self.send_header("Content-Range", content_range)
                if resource.etag:
                    self.send_header("ETag", resource.etag)
                if resource.encoding:
                    self.send_header("Content-Encoding", resource.encoding)
                if self.command == "HEAD" and resource.head_claims is not None:
                    self.send_header("Content-Length", str(resource.head_claims))
                elif resource.length:
                    self.send_header("Content-Length", str(len(body)))
                else:
                    self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                if self.command == "GET":
                    self.send_body(request, resource, body, cuts)
                request.status = status

            def send_body(
                self, request: Request, resource: Resource, body: bytes, cuts: bool
            ) -> None:
                assert resource.cut is not None or not cuts
                limit = resource.cut if cuts and resource.cut is not None else len(body)
                for begin in range(0, min(limit, len(body)), 65536):
                    if server.stopping.wait(resource.pause_s):
                        self.close_connection = True
                        return
                    piece = body[begin : min(begin + 65536, limit)]
                    if not resource.length:
                        self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                    else:
                        self.wfile.write(piece)
                    request.nbytes += len(piece)
                if limit < len(body):
                    resource.cut_times -= 1
                    self.close_connection = True
                elif not resource.length:
                    self.wfile.write(b"0\r\n\r\n")

        return Handler
