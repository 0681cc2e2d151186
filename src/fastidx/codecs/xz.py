"""Decode xz files, by liblzma as the standard library has it, under the protocol of all decoders.

An xz file is a row of streams with padding of zero bytes between them and at the end (The .xz File
Format, section 2). liblzma checks each block's integrity check (CRC-32, CRC-64 or SHA-256) and each
stream's index; the standard library offers no way to leave that out.
"""

from __future__ import annotations

import lzma

from fastidx.errors import ChecksumError, CorruptError, IdxError, TrailingDataError
from fastidx.sources.protocol import Source

from .plain import ByteReader, PlainDecoder

_MAGIC = b"\xfd7zXZ\0"  # The .xz File Format, section 2.1.1.1

# What is taken and what is fed in one call: each is a copy, which stays in the cache. What is fed
# is copied again at the end of each stream in it, so that many tiny streams call for small pieces.
_PIECE_NBYTES = 256 * 1024
_INPUT_NBYTES = 32 * 1024

# A header of a few bytes can ask for 4 GiB. The presets of xz ask for 65 MiB at most.
_MEMORY_LIMIT = 1 << 30


class XzDecoder(PlainDecoder):
    """The bytes of an IDX file in an xz file."""

    def __init__(self, source: Source) -> None:
        self._streams = _XzStreams(source)
        super().__init__(self._streams)

    @property
    def truncated(self) -> bool:
        """Whether the input has ended inside a stream."""
        return self._streams.broken_off

    def skip_member(self) -> bool:
        """Decode and drop the rest of the current stream, for the sake of its checks.

        Returns
        -------
        bool
            Whether the stream ended; False when the source ended before it.
        """
        return self._streams.skip_stream()


class _XzStreams(ByteReader):
    """The decompressed bytes of a source, in order and once."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._chunk = memoryview(b"")
        self._looked_at = b""  # taken from the chunk, but to be fed to the next stream
        self._ntaken = 0  # compressed bytes, from the source
        self._input_ended = False
        self._last_asked_for = False  # whether the byte after those delivered is the last to be had
        self._decompressor = _new_decompressor()

    @property
    def broken_off(self) -> bool:
        return self._input_ended and not self._decompressor.eof

    def read_into(self, out: memoryview) -> int:
        """Take as many bytes as fit; fewer only at the end."""
        done = 0
        while done < len(out):
            # The last byte is asked for alone, since what fails then is the check behind it, or so
            # it looks: liblzma itself does not tell that from damaged data.
            left = len(out) - done
            self._last_asked_for = left == 1
            piece = self._next_piece(max(1, left - 1))
            if not piece:
                break
            out[done : done + len(piece)] = piece
            done += len(piece)
        return done

    def skip_stream(self) -> bool:
        self._last_asked_for = True
        while not self._decompressor.eof:
            if not self._decode(_PIECE_NBYTES) and self._input_ended:
                return self._decompressor.eof
        return True

    def _next_piece(self, limit: int) -> bytes:
        """Decode some bytes, from the next stream if need be; none at the end of the file."""
        while not self._decompressor.eof or self._begin_stream():
            piece = self._decode(min(limit, _PIECE_NBYTES))
            if piece or self._input_ended:
                return piece
        return b""

    def _decode(self, limit: int) -> bytes:
        """Decode at most that much of the current stream; nothing if it needs more input first."""
        data = self._next_input() if self._decompressor.needs_input else b""
        try:
            return self._decompressor.decompress(data, limit)
        except lzma.LZMAError as error:
            raise self._verdict(str(error)) from None

    def _next_input(self) -> memoryview | bytes:
        if self._looked_at:
            data, self._looked_at = self._looked_at, b""
            return data
        if not self._chunk:
            self._chunk = memoryview(self._source.next_chunk())
            self._input_ended = not self._chunk
        piece, self._chunk = self._chunk[:_INPUT_NBYTES], self._chunk[_INPUT_NBYTES:]
        self._ntaken += len(piece)
        return piece

    def _begin_stream(self) -> bool:
        """Go over the padding to the next stream; False if there is none."""
        data = self._decompressor.unused_data.lstrip(b"\0")
        while len(data) < len(_MAGIC) and not self._input_ended:
            data = (data + self._next_input()).lstrip(b"\0")
        if not data:
            return False
        # A beginning cut short counts as one, so that what is said of it is that it breaks off.
        if not data.startswith(_MAGIC[: len(data)]):
            raise TrailingDataError(
                f"{self._source.name}: expected the end of the file or another xz stream at byte "
                f"{self._ntaken - len(data)}, found other data; cut the file there, or pass "
                "strict=False to ignore what follows the data"
            )
        self._looked_at = data
        self._decompressor = _new_decompressor()
        return True

    def _verdict(self, reason: str) -> IdxError:
        """Return the error for what liblzma says, which has one word for all that is damaged."""
        name = self._source.name
        if "Memory usage limit" in reason:
            return IdxError(
                f"{name}: expected an xz file that takes at most {_MEMORY_LIMIT >> 20:,} MiB to "
                "decode, found one that asks for more; decompress it first (unxz)"
            )
        if "unsupported" in reason.lower() or "not supported" in reason.lower():
            return CorruptError(
                f"{name}: expected an xz file that liblzma supports, found a header with other "
                "options; it is damaged: fetch it again"
            )
        where = f"within the first {self._ntaken:,} bytes of the compressed file: fetch it again"
        if self._last_asked_for:
            return ChecksumError(
                f"{name}: expected data that agree with the xz file's checks, found a checksum or "
                f"an index that disagrees, {where}"
            )
        return CorruptError(
            f"{name}: expected valid xz data, found a damaged block or a check that disagrees, "
            f"{where}"
        )


def _new_decompressor() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY_LIMIT)
