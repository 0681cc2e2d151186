"""Which decoder a source needs, by its first bytes."""

from __future__ import annotations

from typing import TypeAlias

from fastidx._kernel import GzipDecoder
from fastidx.sources.protocol import Source

from .plain import PlainDecoder

GZIP_MAGIC = b"\x1f\x8b"  # RFC 1952, section 2.3.1
XZ_MAGIC = b"\xfd7zXZ\0"  # The .xz File Format, section 2.1.1.1

Decoder: TypeAlias = "GzipDecoder | PlainDecoder"  # XzDecoder is one


def open_decoder(
    source: Source, *, verify: bool = True, read_ahead: bool = True
) -> tuple[Decoder, str | None]:
    """Return the decoder for what the source's first bytes are, and the compression's name."""
    if begins(source, GZIP_MAGIC):
        return GzipDecoder(source, verify=verify, read_ahead=read_ahead), "gzip"
    if begins(source, XZ_MAGIC):
        return _open_xz(source), "xz"
    return PlainDecoder(source), None


def _open_xz(source: Source) -> PlainDecoder:
    try:
        from fastidx.codecs.xz import XzDecoder
    except ImportError as error:
        raise ImportError(
            f"{source.name}: expected Python's module lzma, which xz files take, found a Python "
            f"built without it ({error}); decompress the file first (unxz)"
        ) from error
    return XzDecoder(source)


def begins(source: Source, magic: bytes, *, cut: bool = True) -> bool:
    """Whether a source is of a kind, or was before it was ``cut`` where it ends.

    No more bytes are waited for than tell.
    """
    for n in range(1, len(magic) + 1):
        prefix = source.peek(n)
        if len(prefix) < n:
            return cut and bool(prefix)
        if prefix != magic[:n]:
            return False
    return True
