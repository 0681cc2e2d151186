"""Checkpoints of one gzip stream, as far as it has been decoded.

A checkpoint is a block boundary from which decoding can start: its bit position, and the 32 KiB of
data before it. A stream leaves checkpoints where nobody has decoded before; an index file brings
them along. The data between two neighbouring checkpoints are a stretch.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass, field

from fastidx._kernel import DataPiece, crc32_combine

from .index import Checkpoint, GzipIndex


@dataclass
class CheckpointLog:
    """The checkpoints of one stream so far, from its beginning to as far as anyone has decoded.

    Attributes
    ----------
    spacing : int
        Bytes of data between two, about.
    most : int or None
        How many windows may be held; with more, every other checkpoint is dropped and spacing
        doubled.
    complete : bool
        Whether the last stretch ends with the stream.
    """

    spacing: int
    most: int | None = None
    points: list[Checkpoint] = field(default_factory=list)
    members: list[DataPiece] = field(default_factory=list)  # what is before each of its member
    crcs: list[int] = field(default_factory=list)  # of the stretches that end at a checkpoint
    nbytes: int = 0  # of data, up to the last checkpoint or, once complete, to the end
    complete: bool = False

    @classmethod
    def of_index(cls, index: GzipIndex, nbytes: int) -> CheckpointLog:
        """Take over what an index knows of a stream that should decode to ``nbytes``."""
        return cls(
            index.spacing,
            points=list(index.points),
            crcs=list(index.crcs or []),
            nbytes=index.uncompressed_nbytes or nbytes,
            complete=True,
        )

    def find(self, offset: int) -> int:
        """Return the number of the last checkpoint at or before ``offset``."""
        return bisect.bisect_right(self.points, offset, key=lambda point: point.offset) - 1

    def end(self, number: int) -> int:
        """Return where a stretch ends, as far as is known."""
        return self.points[number + 1].offset if number + 1 < len(self.points) else self.nbytes

    def add(self, point: Checkpoint, member: DataPiece, crc: int | None) -> None:
        """Append a checkpoint, its member so far, and the CRC-32 of the stretch before it."""
        if self.points and crc is not None:
            self.crcs.append(crc)
        self.points.append(point)
        self.members.append(member)
        self.nbytes = point.offset
        # Only ever from an odd number, of which the first and the last remain.
        if self.most is not None and len(self.points) > self.most and len(self.points) % 2:
            self._thin_out()

    def finish(self, nbytes: int, crc: int | None) -> None:
        """Note the end of the stream, and the CRC-32 of the last stretch."""
        if crc is not None:
            self.crcs.append(crc)
        self.nbytes = nbytes
        self.complete = True

    def forget(self) -> None:
        """Drop everything: a checksum has shown some of it to be wrong."""
        self.points, self.members, self.crcs, self.nbytes = [], [], [], 0

    def _thin_out(self) -> None:
        self.spacing *= 2
        if self.crcs:
            ends = [point.offset for point in self.points[1:]]
            self.crcs = [
                crc32_combine(self.crcs[i], self.crcs[i + 1], ends[i + 1] - ends[i])
                for i in range(0, len(self.crcs), 2)
            ]
        self.points = self.points[::2]
        self.members = self.members[::2]
