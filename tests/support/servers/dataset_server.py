"""An HTTP server on 127.0.0.1 that serves files from memory, counts, and goes wrong as told.

It knows ranges, entity tags and If-Range, so far as clients that resume downloads use them.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LOGIN_PAGE = b"<!DOCTYPE html>\n<html><head><title>Guest Wi-Fi: log in</title></head></html>"


@dataclass(frozen=True)
class Request:
    path: str
    range: str | None
    status: int


@dataclass(frozen=True)
class Cut:
    """The connection closes when so many bytes of the answer have been sent."""

    after: int


@dataclass(frozen=True)
class Answer:
    """Something else than the file."""

    body: bytes = b""
    status: int = 200
    content_type: str = "application/octet-stream"
    content_range: str | None = None
    content_length: bool = True


@dataclass(frozen=True)
class Stall:
    """Nothing comes after so many bytes, for so many seconds."""

    after: int
    seconds: float


@dataclass(frozen=True)
class Drip:
    """The answer comes a byte at a time, with a pause of so many seconds after each."""

    pause_s: float


Fault = Cut | Answer | Stall | Drip | None
PORTAL = Answer(LOGIN_PAGE, content_type="text/html")


class DatasetServer:
    """The server, as a context manager.

    ``faults`` holds for a path the faults of its next requests, in order; None is none, and when
    they are used up there are none. ``itertools.repeat`` gives a fault that lasts.
    """

    def __init__(self, files: dict[str, bytes], *, ranges: bool = True, delay: float = 0) -> None:
        self.files = files
        self.ranges = ranges
        self.delay = delay
        self.faults: dict[str, Iterator[Fault]] = {}
        self.requests: list[Request] = []
        self.lock = threading.Lock()
        self.httpd = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self.httpd.daemon_threads = True
        self.httpd.dataset_server = self  # type: ignore[attr-defined]
        self.url = f"http://127.0.0.1:{self.httpd.server_address[1]}"
        self.thread = threading.Thread(target=self.httpd.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> DatasetServer:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.httpd.shutdown()
        self.httpd.server_close()
        self.thread.join()

    def counts(self) -> dict[str, int]:
        """How often each path was asked for."""
        paths = [request.path for request in self.requests]
        return {path: paths.count(path) for path in paths}

    def next_fault(self, path: str) -> Fault:
        with self.lock:
            return next(self.faults.get(path, iter(())), None)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        server: DatasetServer = self.server.dataset_server  # type: ignore[attr-defined]
        fault = server.next_fault(self.path)
        if server.delay:
            time.sleep(server.delay)
        if isinstance(fault, Answer):
            self._answer(server, fault)
        elif self.path not in server.files:
            self._answer(server, Answer(b"", 404))
        else:
            self._file(server, server.files[self.path], fault)

    def _answer(self, server: DatasetServer, answer: Answer) -> None:
        server.requests.append(Request(self.path, self.headers["Range"], answer.status))
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        if answer.content_range:
            self.send_header("Content-Range", answer.content_range)
        if answer.content_length:
            self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(answer.body)
        self.close_connection = True

    def _file(self, server: DatasetServer, data: bytes, fault: Fault) -> None:
        etag = f'"{hashlib.md5(data).hexdigest()}"'
        start = 0
        asked = self.headers["Range"]
        if server.ranges and asked and self.headers["If-Range"] in (None, etag):
            start = int(asked.removeprefix("bytes=").rstrip("-"))
        status = 200 if not start else 206 if start < len(data) else 416
        server.requests.append(Request(self.path, asked, status))
        self.send_response(status)
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        body = b"" if status == 416 else data[start:]
        if server.ranges:
            self.send_header("ETag", etag)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self._body(body, fault)

    def _body(self, body: bytes, fault: Fault) -> None:
        if isinstance(fault, Drip):
            for byte in body:
                self.wfile.write(bytes([byte]))
                time.sleep(fault.pause_s)
        elif isinstance(fault, (Cut, Stall)):
            self.wfile.write(body[: fault.after])
            self.wfile.flush()
            self.close_connection = True
            if isinstance(fault, Stall):
                time.sleep(fault.seconds)
        else:
            self.wfile.write(body)

    def handle(self) -> None:
        try:
            super().handle()
        except (BrokenPipeError, ConnectionResetError):
            pass  # a client that refuses an answer hangs up

    def log_message(self, *_: Any) -> None:
        pass
