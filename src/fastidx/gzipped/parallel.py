"""Decode one gzip stream with several threads, without an index.

One thread is at the front: it knows the window, so it decodes straight to the destination.
The other threads are ahead of it. Each guesses where a block starts, decodes from there to 16-bit
symbols (bytes, and markers for what lies in the unknown window), and waits to be adopted. When the
front comes to a block boundary where a guess began, it adopts what was decoded there: it resolves
only the last 32 KiB, since that is the window of what follows, and goes on behind. The bulk is
resolved, checksummed and converted by whoever is free.

A guess is adopted only if it began exactly where the front stands, so a wrong one costs time and
nothing else. Whatever is wrong with the data, this module only says that something is: the serial
decoder then finds what, and says it in its own words.

Schedule. Speculation costs about 1.3 times what decoding at the front costs, for what it decodes
must be resolved. So the front does as much as it can: it never waits for a guess in progress if the
guess began far enough ahead, at as many bytes as it is long. Chunks are small, since 16-bit symbols
should stay in the cache until they are resolved, and get smaller towards the end, so that all
threads finish together.

The calling thread only waits, without a lock, so that an interrupt finds nothing to leave behind:
it sets flags that the threads read.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from dataclasses import dataclass

import numpy as np

from fastidx._kernel import (
    BlockStart,
    FrontDecoder,
    MemberEnd,
    Resolution,
    Speculation,
    crc32_combine,
)
from fastidx.base.threads import Cancelled, Crew
from fastidx.codecs.plain import PlainDecoder
from fastidx.errors import IdxError
from fastidx.items.destination import Destination
from fastidx.sources.memory import MemorySource
from fastidx.sources.protocol import Source

# Compressed bytes of a guess. MNIST expands 4.7 times, so this makes 1.2 MB of data, 2.5 MB of
# symbols.
_CHUNK_NBYTES = 256 * 1024
_MIN_CHUNK_NBYTES = 32 * 1024
# How far ahead of the front a guess must begin to be done when the front arrives: somewhat more
# than it is long, and what the front may have advanced since it last said where it is.
_LEAD = 1.1
_STALENESS_NBYTES = 64 * 1024
# How much further the front goes before it asks again whether a search has found a block.
_SEARCH_NBYTES = 8 * 1024
# Symbols that a guess has room for; data that expands more is left to the front from there on.
_CAPACITY = 2 * 1024 * 1024
# Guesses per thread that may be alive: one decoding, one waiting or being resolved.
_GUESSES_PER_THREAD = 2
# How often a waiting thread looks whether the load was interrupted.
_POLL_S = 0.05
# Symbols resolved in one task, so that threads can share a chunk.
_PART_NSYMBOLS = 512 * 1024


@dataclass(eq=False)
class _Chunk:
    """A stretch of the input that a thread decodes speculatively."""

    begin: int
    end: int
    guess: Speculation
    start: BlockStart | None = None  # of the guess, while there is one
    done: bool = False
    abandoned: bool = False
    nunresolved: int = 0


@dataclass(eq=False)
class _Part:
    """Symbols of an adopted chunk, to be resolved to whole items, and their checksum then."""

    chunk: _Chunk
    begin: int
    nbytes: int
    out_pos: int | None  # None: to be checksummed only, part of an item
    crc: int = 0


class ParallelLoad:
    """One load of one gzip stream.

    Parameters
    ----------
    source : Source
        The compressed file, from its start; threads read ranges of it at once (`for_threads`).
    items : Destination
    threads : int
        At least 2.
    verify : bool
        Whether checksums are to be compared.
    """

    def __init__(
        self,
        source: Source,
        items: Destination,
        *,
        threads: int,
        verify: bool,
    ) -> None:
        self._source = source
        self._nbytes = source.nbytes or 0
        self._items = items
        self._item_nbytes = items.item_nbytes
        self._threads = threads
        self._verify = verify
        self._front = FrontDecoder(source, verify=verify)
        self._crew = Crew()
        self._nworkers = 0
        self._loaded = False
        self._out_pos = 0  # bytes of items that the front has delivered or handed out
        self._changed = threading.Condition()
        # All below is guarded by it.
        self._ahead: deque[_Chunk] = deque()
        self._unresolved: deque[_Part] = deque()
        self._nunresolved = 0
        self._spare: list[Speculation] = []
        self._nguesses = 0
        self._stopped = False
        self.nadopted = 0

    def run(self) -> bool:
        """Load; False if anything is wrong with the data, or no thread can be started."""
        crew = self._crew
        try:
            if not crew.start(self._load):
                return False
            self._start_worker()
            crew.wait()
        except BaseException:
            self._cancel()
            raise
        finally:
            self._cancel()
        for error in crew.errors:
            if not isinstance(error, (IdxError, MemoryError)):
                raise error
        return self._loaded and not crew.errors

    def _cancel(self) -> None:
        """Have all threads stop at once, and wait until they have."""
        self._front.cancelled = True
        self._stopped = True
        self._crew.end()

    def _start_worker(self) -> None:
        """Start the next thread, which starts the one after it: each start takes 100 us or more."""
        self._nworkers += 1
        if self._nworkers < self._threads and not self._stopped:
            self._crew.start(self._work)

    # ---- At the front, in a thread of its own ----

    def _load(self) -> None:
        """Load, and have the other threads end."""
        try:
            self._loaded = self._lead() and self._finish_parts() and self._checks_hold()
        finally:
            with self._changed:
                self._stopped = True
                self._changed.notify_all()

    def _lead(self) -> bool:
        """Decode to the end of the stream, adopting what others have decoded."""
        header = np.empty(self._items.header.header_nbytes, np.uint8)
        if self._front.read_into(header) < len(header):
            return False
        while self._out_pos < self._items.nbytes:
            self._read_on()
            if self._out_pos == self._items.nbytes:
                break
            if not self._front.at_block_boundary or self._front.input_ended:
                return False  # nothing more will come
            if not self._meet_chunk():
                return False
        with self._changed:
            self._front.pause_at = -1
            self._stopped = True
        return self._front.at_end() and not self._front.truncated

    def _read_on(self) -> None:
        self._out_pos += self._items.read(self._front, self._out_pos, self._items.nbytes)

    def _meet_chunk(self) -> bool:
        """At a block boundary: adopt the next chunk, or pass it by; False if that cannot be."""
        with self._changed:
            chunk = self._ahead[0] if self._ahead else None
            if chunk is None:
                self._front.pause_at = -1
                return True
            start = chunk.start
            if start is None and not chunk.done:
                # Still searching: whatever it finds will be further on.
                self._front.pause_at = self._front.nbytes_taken + _SEARCH_NBYTES
                return True
            if start is not None and not self._front.stands_before(start):
                if self._front.position < start.bit:
                    self._front.pause_at = max(start.bit // 8 - 2, self._front.position // 8 + 1)
                    return True
                start = None
            if start is None:
                self._pass_by(chunk)
                return True
            while not chunk.done:
                self._resolve_or_wait()
            if chunk.start is None or chunk.guess.nsymbols < self._item_nbytes:
                self._pass_by(chunk)
                return True
            self._next_ahead()
        return self._adopt(chunk)

    def _next_ahead(self) -> None:
        self._ahead.popleft()
        self._front.pause_at = self._ahead[0].begin if self._ahead else -1

    def _pass_by(self, chunk: _Chunk) -> None:
        """Drop a guess that was wrong, or that is too late."""
        self._next_ahead()
        if chunk.done:
            self._give_back(chunk)
        else:
            chunk.abandoned = True

    def _adopt(self, chunk: _Chunk) -> bool:
        """Take over a chunk that begins here, and hand out its resolution."""
        item = self._item_nbytes
        n = chunk.guess.nsymbols
        pending = self._front.pending
        head = min(-len(pending) % item, n)
        undelivered = (n - head) % item
        whole = n - head - undelivered
        if len(pending) + n > self._items.nbytes - self._out_pos:
            return False
        parts: list[_Part] = []
        if not self._front.adopt(chunk.guess, undelivered, parts):
            return False
        if pending:
            # The item that the front has begun and the chunk completes.
            edge = np.empty(item, np.uint8)
            edge[: len(pending)] = np.frombuffer(pending, np.uint8)
            Resolution(chunk.guess, 0).read_into(edge[len(pending) :])
            whole_item = PlainDecoder(MemorySource(edge.data, "edge"))
            self._out_pos += self._items.read(whole_item, self._out_pos, self._out_pos + item)
        step = _PART_NSYMBOLS - _PART_NSYMBOLS % item
        if head:
            parts.append(_Part(chunk, 0, head, None))
        parts += [
            _Part(chunk, begin, min(step, head + whole - begin), self._out_pos + begin - head)
            for begin in range(head, head + whole, step)
        ]
        if undelivered:
            parts.append(_Part(chunk, n - undelivered, undelivered, None))
        self._out_pos += whole
        with self._changed:
            chunk.nunresolved = len(parts)
            self._unresolved.extend(parts)
            self._nunresolved += len(parts)
            self.nadopted += 1
            self._changed.notify_all()
        return True

    def _finish_parts(self) -> bool:
        """Resolve what is left, with the others."""
        with self._changed:
            while self._nunresolved:
                self._resolve_or_wait()
        return True

    def _checks_hold(self) -> bool:
        """Whether each member's data has the CRC-32 and the length that its footer says."""
        if not self._verify:
            return True
        crc = nbytes = 0
        for piece in self._front.pieces:
            if isinstance(piece, MemberEnd):
                if (crc, nbytes % 2**32) != piece:
                    return False
                crc = nbytes = 0
                continue
            for part in piece if isinstance(piece, list) else [piece]:
                crc = crc32_combine(crc, part.crc, part.nbytes)
                nbytes += part.nbytes
        return True

    # ---- In the other threads ----

    def _work(self) -> None:
        self._start_worker()
        with contextlib.suppress(MemoryError), self._changed:
            while not self._stopped or self._unresolved:
                if self._crew.stopped:
                    return
                if self._unresolved:
                    self._resolve_one()
                elif (chunk := self._next_chunk()) is not None:
                    self._speculate(chunk)
                else:
                    self._changed.wait(_POLL_S)

    def _next_chunk(self) -> _Chunk | None:
        """Choose where to guess next. With the lock."""
        if self._stopped or self._nguesses >= _GUESSES_PER_THREAD * self._threads:
            return None
        front = self._front.nbytes_taken
        nbytes = min(_CHUNK_NBYTES, int((self._nbytes - front) / (self._threads + 0.3)))
        begin = max(front, self._ahead[-1].end if self._ahead else 0)
        # While this guess is decoded, the front decodes about as many bytes by itself.
        left_to_front = begin - front - sum(chunk.end - chunk.begin for chunk in self._ahead)
        begin += max(0, int(_LEAD * nbytes) + _STALENESS_NBYTES - left_to_front)
        if nbytes < _MIN_CHUNK_NBYTES or begin + _MIN_CHUNK_NBYTES > self._nbytes:
            return None
        chunk = _Chunk(begin, min(begin + nbytes, self._nbytes), self._take_spare())
        self._nguesses += 1
        self._ahead.append(chunk)
        if len(self._ahead) == 1:
            self._front.pause_at = begin
        return chunk

    def _speculate(self, chunk: _Chunk) -> None:
        """Find a block and decode from it. With the lock, which is free meanwhile."""
        guess = chunk.guess
        self._changed.release()
        try:
            guess.look_at(chunk.begin, chunk.end)
            start = guess.find(8 * chunk.begin)
            while start is not None and not (chunk.abandoned or self._stopped):
                chunk.start = start
                if guess.decode():
                    break
                chunk.start = None
                start = guess.find(start.bit + 1)
        except BaseException:
            chunk.start = None
            raise
        finally:
            self._changed.acquire()
            chunk.done = True
            if chunk.abandoned:
                self._give_back(chunk)
            self._changed.notify_all()

    # ---- In any thread, with the lock ----

    def _take_spare(self) -> Speculation:
        return self._spare.pop() if self._spare else Speculation(self._source, _CAPACITY)

    def _give_back(self, chunk: _Chunk) -> None:
        self._nguesses -= 1
        self._spare.append(chunk.guess)
        self._changed.notify_all()

    def _resolve_or_wait(self) -> None:
        if self._unresolved:
            self._resolve_one()
        else:
            self._changed.wait(_POLL_S)
        if self._crew.stopped or self._crew.errors:
            raise Cancelled

    def _resolve_one(self) -> None:
        part = self._unresolved.popleft()
        self._changed.release()
        try:
            self._resolve(part)
        finally:
            self._changed.acquire()
        self._nunresolved -= 1
        part.chunk.nunresolved -= 1
        if part.chunk.nunresolved == 0:
            self._give_back(part.chunk)

    def _resolve(self, part: _Part) -> None:
        """Write a part's items, and note its checksum. Without the lock."""
        resolution = Resolution(part.chunk.guess, part.begin)
        if part.out_pos is None:
            resolution.read_into(np.empty(part.nbytes, np.uint8))
        else:
            self._items.read(resolution, part.out_pos, part.out_pos + part.nbytes)
        part.crc = resolution.crc
