"""A gzip stream that leaves checkpoints."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fastidx._kernel import GzipDecoder, crc32_combine
from fastidx.errors import ChecksumError
from fastidx.sources.protocol import Source

from .checkpoints import CheckpointLog
from .index import Checkpoint

if TYPE_CHECKING:
    from fastidx._kernel import Expansion

# Compressed bytes per byte of data, assumed until this much data has shown the rate.
_FIRST_RATE = 1 / 8
_KNOWN_RATE_NBYTES = 64 * 1024

# The position of a stream that has failed: behind everything that a caller can ask for.
_LOST = sys.maxsize


class GzipStream:
    """The data from one place on, in order; where nobody has been, it leaves checkpoints.

    Parameters
    ----------
    source : Source
        It is put to where the stream starts.
    log : CheckpointLog
    verify : bool
        Whether to compute and check checksums.
    number : int, optional
        Of the checkpoint to start from; by default from the beginning of the file.
    """

    def __init__(
        self,
        source: Source,
        log: CheckpointLog,
        *,
        verify: bool,
        number: int | None = None,
    ) -> None:
        self._log = log
        self._verify = verify
        self._first_bit = self._first_offset = 0
        self._crc_at_point = 0  # checksum of the data up to the last checkpoint of the log
        self._decoder = GzipDecoder(source, verify=verify)
        if number is not None:
            point = log.points[number]
            member = log.members[number] if log.members else None
            if member is not None:
                self._crc_at_point = member.crc
            self._first_bit = point.bit // 8 * 8
            self._first_offset = point.offset - (0 if member is None else member.nbytes)
            source.restart_at(point.bit // 8)
            self._decoder.resume(point.bit % 8, point.window, member)
            self.position = point.offset
        else:
            source.restart_at(0)
            self.position = 0
        # A stream records if it will pass the end of what is known, having seen all since there.
        self._recording = not log.complete and (number or 0) >= len(log.points) - 1
        if self._recording:
            self._decoder.pause_at = self._next_pause() if log.points else 0

    @property
    def truncated(self) -> bool:
        """Whether the input has ended inside a member."""
        return self._decoder.truncated

    def read_into(
        self, out: Any, item_nbytes: int = 1, start: int = 0, expansion: Expansion | None = None
    ) -> int:
        """Fill memory with items; see `fastidx._kernel.GzipDecoder.read_into`."""
        done = 0
        while True:
            with self._lost_if_it_fails():
                n = self._decoder.read_into(out, item_nbytes, start + done, expansion)
            done += n
            self.position += n
            if not self._at_pause():
                return done
            self._record()

    def skip(self, nbytes: int) -> int:
        """Pass over so many bytes; returns how many there were."""
        done = 0
        while True:
            with self._lost_if_it_fails():
                n = self._decoder.skip(nbytes - done)
            done += n
            self.position += n
            if not self._at_pause():
                return done
            self._record()

    def at_end(self) -> bool:
        """Whether nothing more will come, with the last member checked."""
        while True:
            with self._lost_if_it_fails():
                ended = self._decoder.at_end()
            if not ended:
                return False
            if not self._at_pause():
                break
            self._record()
        if self._recording and not self._decoder.truncated:
            self._recording = False
            self._log.finish(self._end(), self._crc_since_point())
        return True

    @contextlib.contextmanager
    def _lost_if_it_fails(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            self.position = _LOST
            if isinstance(error, ChecksumError) and not self._log.complete:
                self._log.forget()
            raise

    def _at_pause(self) -> bool:
        decoder = self._decoder
        return (
            self._recording
            and decoder.at_block_boundary
            and decoder.position >= 8 * decoder.pause_at
        )

    def _end(self) -> int:
        """Offset of the end of what is decoded, delivered or not."""
        return self._first_offset + self._decoder.decoded.nbytes

    def _crc_since_point(self) -> int | None:
        """Checksum of the data decoded since the last checkpoint of the log."""
        if not self._verify:
            return None
        nbytes = self._end() - (self._log.points[-1].offset if self._log.points else 0)
        # What comes after a text changes its CRC as it does that of as many zeros.
        return self._decoder.decoded.crc ^ crc32_combine(self._crc_at_point, 0, nbytes)

    def _record(self) -> None:
        """At a block boundary: leave a checkpoint if it is time, and say when to pause next."""
        log, decoder = self._log, self._decoder
        if not log.points or self._end() - log.points[-1].offset >= log.spacing:
            crc = self._crc_since_point()
            point = Checkpoint(self._first_bit + decoder.position, self._end(), decoder.window())
            self._crc_at_point = decoder.decoded.crc
            log.add(point, decoder.member, crc)
        decoder.pause_at = self._next_pause()

    def _next_pause(self) -> int:
        """Estimate where in the input the next checkpoint is due."""
        here = self._decoder.position // 8
        last = self._log.points[-1].offset if self._log.points else 0
        due = self._log.spacing - (self._end() - last)
        # At the rate so far or, where little has been seen, early enough to know better then.
        made, taken = self._end(), self._first_bit // 8 + here
        rate = taken / made if made > _KNOWN_RATE_NBYTES else _FIRST_RATE
        return here + 1 + int(max(0, due) * rate)
