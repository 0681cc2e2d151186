"""One call of a decoder at a time: a second one is refused, and changes nothing."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable
from typing import Any

import pytest
from worker import Worker

from fastidx._kernel import GzipDecoder

DATA = bytes(range(256)) * 4000
CONTENT = gzip.compress(DATA, mtime=0)
CALLS: dict[str, Callable[[GzipDecoder], Any]] = {
    "read_into": lambda decoder: decoder.read_into(bytearray(5)),
    "skip": lambda decoder: decoder.skip(5),
    "skip_member": lambda decoder: decoder.skip_member(),
    "at_end": lambda decoder: decoder.at_end(),
}


class CallsBack:
    """A source that uses the decoder which reads from it."""

    name = "x"

    def __init__(self, call: str) -> None:
        self.call = CALLS[call]
        self.chunks = [CONTENT[i : i + 100] for i in range(0, len(CONTENT), 100)]
        self.decoder: GzipDecoder | None = None
        self.refused = 0

    def next_chunk(self) -> bytes:
        if self.decoder is not None:
            with pytest.raises(RuntimeError, match="x: expected one call of the decoder at a time"):
                self.call(self.decoder)
            self.refused += 1
        return self.chunks.pop(0) if self.chunks else b""


def read_with_a_source_that_calls_back(outer: str, inner: str) -> tuple[bool, int]:
    source = CallsBack(inner)
    decoder = GzipDecoder(source)
    source.decoder = decoder
    CALLS[outer](decoder)
    out = bytearray(len(DATA) - 5)
    decoder.read_into(out)
    left = DATA[5:] if outer in ("read_into", "skip") else DATA[: len(out)]
    return outer == "skip_member" or bytes(out) == left, source.refused


@pytest.mark.parametrize("inner", CALLS)
@pytest.mark.parametrize("outer", CALLS)
def test_source_that_calls_back_is_refused(outer: str, inner: str, isolated: Worker) -> None:
    right, refused = isolated(read_with_a_source_that_calls_back, outer, inner)
    assert right
    assert refused > 10


def use_in_threads() -> tuple[int, bool]:
    """Use one decoder in two threads without a lock; return how many calls were refused."""
    refused = 0
    sound = True
    for _ in range(30):
        decoder = GzipDecoder(Once())
        pieces: list[bytes] = []

        def read(decoder: GzipDecoder = decoder, pieces: list[bytes] = pieces) -> None:
            nonlocal refused
            while True:
                out = bytearray(50_000)
                try:
                    n = decoder.read_into(out)
                except RuntimeError:
                    refused += 1
                    continue
                if not n:
                    return
                pieces.append(bytes(out[:n]))

        threads = [threading.Thread(target=read) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        sound = sound and sum(map(len, pieces)) == len(DATA)
    return refused, sound


class Once:
    name = "x"

    def __init__(self) -> None:
        self.chunks = [CONTENT, b"", b"", b"", b""]

    def next_chunk(self) -> bytes:
        return self.chunks.pop(0) if self.chunks else b""


def test_two_threads_get_each_byte_once_or_a_refusal(isolated: Worker) -> None:
    _, sound = isolated(use_in_threads)
    assert sound
