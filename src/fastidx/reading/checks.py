"""What an opened source must have: a header, room for what it claims, all its data, an end."""

from __future__ import annotations

from fastidx.codecs.detect import Decoder
from fastidx.errors import IdxError, TruncatedError
from fastidx.format.faults import implausible_error, trailing_error, truncated_error
from fastidx.format.header import IdxHeader, header_length, parse_header
from fastidx.format.typecodes import MAX_EXPANSION, PREFIX_NBYTES
from fastidx.sources.protocol import Source


def take_bytes(decoder: Decoder, nbytes: int) -> bytes:
    """Read so many bytes, or as many as there are."""
    data = bytearray(nbytes)
    return bytes(data[: decoder.read_into(data)])


def read_header(decoder: Decoder, source: Source, compression: str | None) -> IdxHeader:
    """Read the header, with which any IDX file begins, or say what the file is instead."""
    prefix = take_bytes(decoder, 4)
    try:
        length = header_length(prefix, name=source.name)
    except IdxError:
        length = None
    if length is None:
        # With more of the content in view the message can say what it is instead.
        prefix += take_bytes(decoder, PREFIX_NBYTES - 4)
        _check_not_cut(decoder, source.name, prefix, 4, compression)
        length = header_length(prefix, name=source.name)
    prefix += take_bytes(decoder, length - len(prefix))
    _check_not_cut(decoder, source.name, prefix, length, compression)
    header = parse_header(prefix, name=source.name)
    return IdxHeader(header.type_code, header.shape, compression, source.nbytes)


def _check_not_cut(
    decoder: Decoder, name: str, prefix: bytes, length: int, compression: str | None
) -> None:
    """Refuse a compressed stream that ends before the header in it does."""
    if decoder.truncated and len(prefix) < length:
        raise TruncatedError(
            f"{name}: expected an IDX header of at least {length} bytes, but the "
            f"{compression} stream breaks off after {len(prefix)}, as after a download that was "
            "cut; fetch it again"
        )


def check_plausible(header: IdxHeader, name: str) -> None:
    """Refuse a header whose data the file cannot hold, before anything is allocated for it."""
    if header.compressed_nbytes is None:
        return
    if header.compression is None:
        held = max(0, header.compressed_nbytes - header.header_nbytes)
        if held < header.nbytes:
            raise truncated_error(header, name, held, False)
        return
    expansion = MAX_EXPANSION[header.compression]
    if header.header_nbytes + header.nbytes > expansion * header.compressed_nbytes:
        raise implausible_error(header, name)


def check_size(header: IdxHeader, name: str, *, strict: bool) -> None:
    """With all data of a plain file read: if strict, it must not be larger than they are."""
    if strict and header.compressed_nbytes != header.header_nbytes + header.nbytes:
        raise trailing_error(header, name)
