"""What an index of a gzip file consists of, and what makes it useless."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

WINDOW_NBYTES = 32768  # RFC 1951, section 2: no distance is longer
FINGERPRINT_NBYTES = 16

# RFC 1951, section 3.2.5: 258 bytes from a length and a distance of one bit each.
_MAX_NBYTES_PER_BIT = 129


class Checkpoint(NamedTuple):
    """A place in a gzip file from which decoding can start: the begin of a DEFLATE block.

    Parameters
    ----------
    bit : int
        Where the block begins in the compressed file, in bits.
    offset : int
        How many bytes of decoded data come before it, those of all members counted.
    window : bytes
        The last 32768 of them, oldest first; fewer near the begin of a member, none where the
        block needs none.
    """

    bit: int
    offset: int
    window: bytes


@dataclass
class IndexData:
    """The fields of `fastidx.GzipIndex`, which describes them."""

    compressed_nbytes: int
    uncompressed_nbytes: int
    spacing: int
    points: list[Checkpoint] = field(repr=False)
    crcs: list[int] | None = field(default=None, repr=False)
    fingerprint: bytes | None = None
    name: str = field(default="<GzipIndex>", compare=False)

    def fault(self) -> str | None:
        """Say what makes an index useless, expected and found; None if nothing does."""
        if not self.points:
            return "expected at least one point to start from, found none"
        if self.points[0].offset != 0:
            return f"expected the first point at offset 0, found it at {self.points[0].offset:,}"
        if self.crcs is not None and len(self.crcs) != len(self.points):
            return (
                f"expected a CRC for each of {len(self.points):,} points, found {len(self.crcs):,}"
            )
        if self.fingerprint is not None and len(self.fingerprint) != FINGERPRINT_NBYTES:
            return (
                f"expected a fingerprint of {FINGERPRINT_NBYTES} bytes, "
                f"found {len(self.fingerprint)} bytes"
            )
        end = Checkpoint(
            8 * self.compressed_nbytes, self.uncompressed_nbytes or self.points[-1].offset, b""
        )
        for number, (point, following) in enumerate(pairwise([*self.points, end])):
            if fault := _fault_of_point(point, following):
                return f"point {number:,} of {len(self.points):,}: {fault}"
        return None


def _fault_of_point(point: Checkpoint, following: Checkpoint) -> str | None:
    if not 0 <= point.bit < following.bit:
        return (
            f"expected its place before that of the next, bit {following.bit:,}, "
            f"found it at bit {point.bit:,}"
        )
    most = point.offset + (following.bit - point.bit) * _MAX_NBYTES_PER_BIT
    if not point.offset <= following.offset <= most:
        return (
            f"expected the next at an offset from {point.offset:,} to {most:,}, "
            f"found it at {following.offset:,}"
        )
    if len(point.window) > min(point.offset, WINDOW_NBYTES):
        return (
            f"expected at most {min(point.offset, WINDOW_NBYTES):,} bytes of data before it, "
            f"found {len(point.window):,}"
        )
    return None
