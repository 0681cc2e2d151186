"""What zlib says of a stream, and checks that the kernel says the same, whole and in pieces."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import pytest

from fastidx import CorruptError, IdxError, TrailingDataError, TruncatedError

Inflate = Callable[..., bytes]

# One byte at a time on each side and both, sizes that share no factor, and no pieces at all.
CHUNKS: list[tuple[int | None, int | None]] = [
    (None, None), (1, None), (None, 1), (1, 1), (7, 3), (2, 64), (64, 2), (None, 7), (3, None),
]  # fmt: skip


class Refused(Exception):
    """zlib does not accept the stream; `kind` is the error that fastidx should raise."""

    def __init__(self, kind: type[IdxError]) -> None:
        super().__init__(kind.__name__)
        self.kind = kind


def zlib_inflate(data: bytes, container: str = "raw") -> bytes:
    """The output of a whole file, or ``Refused``."""
    if container == "raw":
        out, rest = _stream(data, -15)
        if rest:
            raise Refused(TrailingDataError)
        return out
    out, rest = _stream(data, 31)
    while rest := rest.lstrip(b"\0"):  # zeros after and between members are padding
        if not rest.startswith(b"\x1f\x8b"):
            raise Refused(TruncatedError if rest == b"\x1f" else TrailingDataError)
        member, rest = _stream(rest, 31)
        out += member
    return out


def _stream(data: bytes, wbits: int) -> tuple[bytes, bytes]:
    decompressor = zlib.decompressobj(wbits)
    try:
        out = decompressor.decompress(data)
    except zlib.error:
        raise Refused(CorruptError) from None
    if not decompressor.eof:
        raise Refused(TruncatedError)
    return out, decompressor.unused_data


def verdict(function: Inflate, data: bytes, **options: object) -> bytes | type[IdxError]:
    """What a decoder makes of `data`: its output, or the error's type."""
    try:
        return function(data, **options)
    except Refused as refused:
        return refused.kind
    except IdxError as error:
        return type(error)


def assert_same_verdict(ours: object, zlibs: bytes | type[IdxError]) -> None:
    """Equal output, or an error of the same kind, but for what follows an empty code length code.

    zlib reads all lengths with it, each a zero, before it refuses the block, so with an input that
    ends there it still waits; no continuation can be accepted, and fastidx need not wait.
    """
    if zlibs is TruncatedError:
        assert ours in (TruncatedError, CorruptError)
    else:
        assert ours == zlibs


def assert_accepted(inflate: Inflate, data: bytes, expected: bytes, container: str = "raw") -> None:
    """zlib and the kernel decode `data` to `expected`, however it is cut into pieces."""
    assert zlib_inflate(data, container) == expected
    for in_chunk, out_chunk in CHUNKS:
        # Room for exactly the output: the last bytes are written next to the end of the buffer.
        out = inflate(
            data,
            container=container,
            max_nbytes=len(expected),
            in_chunk=in_chunk,
            out_chunk=out_chunk,
        )
        assert out == expected, (in_chunk, out_chunk)


def assert_refused(
    inflate: Inflate,
    data: bytes,
    kind: type[IdxError] = CorruptError,
    container: str = "raw",
    max_nbytes: int = 1 << 20,
) -> None:
    """zlib and the kernel refuse `data` as an error of `kind`, however it is cut into pieces."""
    with pytest.raises(Refused) as refused:
        zlib_inflate(data, container)
    assert issubclass(kind, refused.value.kind)
    for in_chunk, out_chunk in CHUNKS:
        with pytest.raises(kind):
            inflate(
                data,
                container=container,
                max_nbytes=max_nbytes,
                in_chunk=in_chunk,
                out_chunk=out_chunk,
            )
