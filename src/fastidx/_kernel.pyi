"""Types of the compiled kernel; a private module, except for what `fastidx` re-exports."""

from typing import Any, Literal, Protocol, Self, TypeAlias

import numpy.typing as npt
from typing_extensions import Buffer, disjoint_base

# On Python 3.11 an array is a buffer that its type does not show.
_Buffer: TypeAlias = Buffer | npt.NDArray[Any]

class _ChunkSource(Protocol):
    name: str
    def next_chunk(self) -> Buffer: ...

@disjoint_base
class GzipDecoder:
    def __new__(
        cls, source: _ChunkSource, *, verify: bool = True, read_ahead: bool = True
    ) -> Self: ...
    @property
    def truncated(self) -> bool: ...
    def read_into(self, out: _Buffer, item_nbytes: int = 1) -> int: ...
    def skip_member(self) -> bool: ...
    def at_end(self) -> bool: ...

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
def swap(dst: _Buffer, src: _Buffer, item_nbytes: int) -> None: ...
def cpu_features() -> dict[str, object]: ...
