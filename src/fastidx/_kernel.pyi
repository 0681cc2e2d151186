"""Types of the compiled kernel; a private module, except for what `fastidx` re-exports."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, Protocol, Self, TypeAlias

import numpy.typing as npt
from typing_extensions import Buffer, disjoint_base

# On Python 3.11 an array is a buffer that its type does not show.
_Buffer: TypeAlias = Buffer | npt.NDArray[Any]

class _ChunkSource(Protocol):
    name: str
    def next_chunk(self) -> Buffer: ...

class _RangeSource(_ChunkSource, Protocol):
    def read_range(self, begin: int, end: int, memory: Any, /) -> Buffer: ...
    def restart_at(self, position: int) -> None: ...

@disjoint_base
class Expansion:
    def __new__(
        cls, table: _Buffer, refused: _Buffer | None, refusal: Callable[[int], Exception]
    ) -> Self: ...
    @property
    def entry_nbytes(self) -> int: ...

class DataPiece(NamedTuple):
    crc: int
    nbytes: int

@disjoint_base
class GzipDecoder:
    def __new__(
        cls, source: _ChunkSource, *, verify: bool = True, read_ahead: bool = True
    ) -> Self: ...
    pause_at: int
    @property
    def nbytes_taken(self) -> int: ...
    @property
    def position(self) -> int: ...
    @property
    def at_block_boundary(self) -> bool: ...
    @property
    def input_ended(self) -> bool: ...
    cancelled: bool
    @property
    def truncated(self) -> bool: ...
    @property
    def decoded(self) -> DataPiece: ...
    @property
    def member(self) -> DataPiece: ...
    def resume(self, nbits_used: int, window: Buffer, member: DataPiece | None = None) -> None: ...
    def window(self) -> bytes: ...
    def skip(self, nbytes: int) -> int: ...
    def read_into(
        self,
        out: _Buffer,
        item_nbytes: int = 1,
        start: int = 0,
        expansion: Expansion | None = None,
    ) -> int: ...
    def skip_member(self) -> bool: ...
    def at_end(self) -> bool: ...

class BlockStart(NamedTuple):
    bit: int
    stored: bool

@disjoint_base
class Speculation:
    def __new__(cls, source: _RangeSource, capacity: int) -> Self: ...
    @property
    def nsymbols(self) -> int: ...
    def look_at(self, begin: int, end: int) -> None: ...
    def find(self, bit: int) -> BlockStart | None: ...
    def decode(self) -> bool: ...

@disjoint_base
class Resolution:
    truncated: bool
    def __new__(cls, guess: Speculation, begin: int) -> Self: ...
    @property
    def crc(self) -> int: ...
    def read_into(
        self,
        out: _Buffer,
        item_nbytes: int = 1,
        start: int = 0,
        expansion: Expansion | None = None,
    ) -> int: ...

class MemberEnd(NamedTuple):
    crc: int
    isize: int

@disjoint_base
class FrontDecoder(GzipDecoder):
    def __init__(self, source: _RangeSource, *, verify: bool = True) -> None: ...
    @property
    def pieces(self) -> list[Any]: ...  # DataPiece, MemberEnd and the notes given to adopt()
    @property
    def pending(self) -> bytes: ...
    def stands_before(self, start: BlockStart) -> bool: ...
    def adopt(self, guess: Speculation, undelivered: int, note: object) -> bool: ...

def inflate(
    data: _Buffer,
    *,
    container: Literal["raw", "gzip"],
    max_nbytes: int,
    in_chunk: int | None = None,
    out_chunk: int | None = None,
    verify: bool = True,
) -> bytes: ...
def crc32(data: _Buffer, value: int = 0) -> int: ...
def crc32_combine(crc_a: int, crc_b: int, nbytes_b: int) -> int: ...
def convert(
    dst: _Buffer, src: _Buffer, item_nbytes: int, expansion: Expansion | None = None
) -> None: ...

class CpuFeatures(NamedTuple):
    inflate: str
    crc32: str
    swap: str
    expand: str
    markers: str
    features: tuple[str, ...]
    portable_forced: bool

def cpu_features() -> CpuFeatures: ...
