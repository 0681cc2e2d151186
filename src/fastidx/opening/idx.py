"""From an opened source to an IDX file: its decoder, its header, and whether that can be true."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fastidx.codecs.detect import Decoder, open_decoder
from fastidx.errors import IdxError, TruncatedError
from fastidx.format.faults import implausible_error, truncated_error
from fastidx.format.header import IdxHeader, header_length, parse_header
from fastidx.format.typecodes import MAX_EXPANSION, PREFIX_NBYTES
from fastidx.sources.protocol import Source


@dataclass(frozen=True, slots=True)
class OpenIdx:
    """An IDX file that has been opened up to its header.

    Attributes
    ----------
    source : Source
    decoder : Decoder
        The next byte that it gives is the first of the data.
    header : IdxHeader
        With the compression and, where it is known, the size of the source.
    """

    source: Source
    decoder: Decoder
    header: IdxHeader


def open_idx(
    source: Source,
    *,
    verify: bool = True,
    read_ahead: bool = True,
    plausible: Literal["whole", "compressed"] | None = "whole",
) -> OpenIdx:
    """Find the decoder that a source needs, and read the header.

    Parameters
    ----------
    source : Source
    verify : bool
        Whether the decoder compares the checksums of gzip members.
    read_ahead : bool
        Whether the decoder may read and decode more than it is asked for.
    plausible : {"whole", "compressed", None}
        Which headers to refuse that claim more data than the source can hold: all, or only those
        of compressed sources, since the first items of a plain file that was cut can be read.

    Raises
    ------
    HeaderError, TruncatedError, CorruptError
        If there is no valid header, or one that cannot be true.
    """
    decoder, compression = open_decoder(source, verify=verify, read_ahead=read_ahead)
    header = _read_header(decoder, source, compression)
    if plausible == "whole" or (plausible and header.compression is not None):
        _check_plausible(header, source.name)
    return OpenIdx(source, decoder, header)


def take_bytes(decoder: Decoder, nbytes: int) -> bytes:
    """Read so many bytes, or as many as there are."""
    data = bytearray(nbytes)
    return bytes(data[: decoder.read_into(data)])


def _read_header(decoder: Decoder, source: Source, compression: str | None) -> IdxHeader:
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


def _check_plausible(header: IdxHeader, name: str) -> None:
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
