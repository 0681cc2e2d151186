"""The gzip container (RFC 1952): header fields, members, padding, checksums, ends; and CRC-32."""

from __future__ import annotations

import gzip
import itertools
import random
import struct
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from deflate_writer import (
    Deflate,
    Match,
    gzip_footer,
    gzip_header,
    gzip_member,
    lengths_for,
    raw_deflate,
)
from worker import Worker
from zlib_oracle import Refused, assert_accepted, assert_refused, verdict, zlib_inflate

import fastidx
from fastidx import (
    ChecksumError,
    CorruptError,
    IdxError,
    TrailingDataError,
    TruncatedError,
    _kernel,
)

Inflate = Callable[..., bytes]
DATA = b"thirty-one bytes of plain text."

FIELDS: dict[str, Any] = {
    "text": True,
    "extra": b"ex\0tra",
    "name": b"file",
    "comment": b"said",
    "header_crc": True,
}


def accepted(inflate: Inflate, file: bytes, data: bytes = DATA) -> None:
    assert_accepted(inflate, file, data, container="gzip")


def refused(inflate: Inflate, file: bytes, kind: type[IdxError]) -> None:
    assert_refused(inflate, file, kind, container="gzip")


# --- The header ----------------------------------------------------------------------------------


@pytest.mark.parametrize("count", range(len(FIELDS) + 1))
def test_any_set_of_header_fields_is_passed_over(inflate: Inflate, count: int) -> None:
    for names in itertools.combinations(FIELDS, count):
        accepted(inflate, gzip_member(DATA, **{name: FIELDS[name] for name in names}))


@pytest.mark.parametrize("nbytes", [0, 1, 255, 256, 65535])
def test_extra_field_of_any_length_is_passed_over(inflate: Inflate, nbytes: int) -> None:
    file = gzip_member(DATA, extra=bytes(nbytes), header_crc=True)
    assert inflate(file, container="gzip", max_nbytes=31) == DATA
    assert inflate(file, container="gzip", max_nbytes=31, in_chunk=7, out_chunk=7) == DATA


@pytest.mark.parametrize("field", ["name", "comment"])
@pytest.mark.parametrize("nbytes", [0, 1, 15, 16, 17, 70_000])
def test_string_fields_of_any_length_are_passed_over(
    inflate: Inflate, field: str, nbytes: int
) -> None:
    file = gzip_member(DATA, **{field: b"\xff" * nbytes}, header_crc=True)
    assert inflate(file, container="gzip", max_nbytes=31) == DATA
    assert inflate(file, container="gzip", max_nbytes=31, in_chunk=7, out_chunk=7) == DATA


def test_fields_that_look_like_others_are_told_apart(inflate: Inflate) -> None:
    header = b"\x1f\x8b\x08\x1f"
    accepted(inflate, gzip_member(DATA, extra=header + b"\0\0", name=header, comment=header))
    accepted(inflate, gzip_member(DATA, name=b"", comment=b"", extra=b"", header_crc=True))


@pytest.mark.parametrize("bit", range(16))
def test_header_crc_is_verified(inflate: Inflate, bit: int) -> None:
    header = gzip_header(**FIELDS)
    good = int.from_bytes(header[-2:], "little")
    accepted(inflate, gzip_member(DATA, **FIELDS))
    file = gzip_member(DATA, **{**FIELDS, "header_crc": good ^ (1 << bit)})
    refused(inflate, file, ChecksumError)


@pytest.mark.parametrize("at", range(10, 30))
def test_header_crc_covers_every_field(inflate: Inflate, at: int) -> None:
    file = bytearray(gzip_member(DATA, **FIELDS))
    file[at] ^= 0x80  # lengths and ends of fields move: any error is right
    with pytest.raises(IdxError):
        inflate(bytes(file), container="gzip", max_nbytes=1000)


@pytest.mark.parametrize("bit", [5, 6, 7])
def test_reserved_flags_are_refused(inflate: Inflate, bit: int) -> None:
    refused(inflate, gzip_member(DATA, reserved=1 << bit), CorruptError)
    refused(inflate, gzip_member(DATA) + gzip_member(DATA, reserved=1 << bit), CorruptError)


@pytest.mark.parametrize("method", [0, 7, 9, 255])
def test_methods_other_than_deflate_are_refused(inflate: Inflate, method: int) -> None:
    refused(inflate, gzip_member(DATA, method=method), CorruptError)
    refused(inflate, gzip_member(DATA) + gzip_member(DATA, method=method), CorruptError)


@pytest.mark.parametrize("magic", [b"\x1f\x8c", b"\x1e\x8b", b"PK", b"\0\0", b"\x8b\x1f"])
def test_first_member_must_start_with_the_magic_bytes(inflate: Inflate, magic: bytes) -> None:
    refused(inflate, gzip_member(DATA, magic=magic), CorruptError)


def test_zeros_before_the_first_member_are_refused(inflate: Inflate) -> None:
    refused(inflate, b"\0" + gzip_member(DATA), CorruptError)


def test_time_and_system_have_no_meaning(inflate: Inflate) -> None:
    accepted(inflate, gzip_member(DATA, mtime=0xFFFFFFFF))
    file = bytearray(gzip_member(DATA))
    file[8:10] = b"\xff\x07"  # XFL and OS
    accepted(inflate, bytes(file))


# --- Members and padding -------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 3, 50])
def test_members_are_one_stream(inflate: Inflate, count: int) -> None:
    parts = [DATA[: i % 32] for i in range(count)]
    file = b"".join(gzip_member(part, header_crc=i % 2 == 0) for i, part in enumerate(parts))
    accepted(inflate, file, b"".join(parts))


def test_empty_members_add_nothing(inflate: Inflate) -> None:
    empty = gzip_member(b"")
    accepted(inflate, empty, b"")
    accepted(inflate, empty * 3 + gzip_member(DATA) + empty * 2)


def test_thousands_of_empty_members_are_passed_over(inflate: Inflate) -> None:
    accepted(inflate, gzip_member(b"") * 5000 + gzip_member(DATA))


@pytest.mark.parametrize("nbytes", [1, 2, 9, 511, 512, 100_000])
def test_zeros_after_the_last_member_are_padding(inflate: Inflate, nbytes: int) -> None:
    accepted(inflate, gzip_member(DATA) + bytes(nbytes))


@pytest.mark.parametrize("nbytes", [1, 2, 9, 511, 512])
def test_zeros_between_members_are_padding(inflate: Inflate, nbytes: int) -> None:
    accepted(inflate, gzip_member(DATA) + bytes(nbytes) + gzip_member(DATA), DATA * 2)


@pytest.mark.parametrize("rest", [b"x", b"\n", b"\0x", b"\0" * 600 + b"\x01", b"\x8b\x1f", b"PK34"])
def test_other_bytes_after_the_last_member_are_refused(inflate: Inflate, rest: bytes) -> None:
    refused(inflate, gzip_member(DATA) + rest, TrailingDataError)


def test_half_a_magic_number_after_a_member_is_refused(inflate: Inflate) -> None:
    for rest in (b"\x1f", b"\0\x1f", b"\x1fx"):
        with pytest.raises((TruncatedError, TrailingDataError)):
            inflate(gzip_member(DATA) + rest, container="gzip", max_nbytes=100)


# --- Checksums -----------------------------------------------------------------------------------


@pytest.mark.parametrize("bit", range(32))
def test_every_bit_of_crc_and_isize_counts(inflate: Inflate, bit: int) -> None:
    for file in (
        gzip_member(DATA, crc=zlib.crc32(DATA) ^ (1 << bit)),
        gzip_member(DATA, isize=len(DATA) ^ (1 << bit)),
    ):
        refused(inflate, file, ChecksumError)
        refused(inflate, gzip_member(DATA) + file, ChecksumError)
        refused(inflate, file + gzip_member(DATA), ChecksumError)


@pytest.mark.slow
def test_length_is_counted_modulo_2_to_the_32() -> None:
    # 4 GiB and some; load() decodes what follows its one byte for the checks alone.
    nmatches, nblocks = 6400, 2602
    litlen = lengths_for({285: 1, 0: 2, 256: 2}, 286)
    block = Deflate().dynamic([0] + [Match(258, 1)] * nmatches, litlen, [1]).stored()
    header = struct.pack(">HBBI", 0, 8, 1, 1)
    stream = Deflate().stored(header).getvalue() + block.getvalue() * nblocks
    piece = bytes(1 + 258 * nmatches)
    nbytes, crc = len(header) + nblocks * len(piece), zlib.crc32(header)
    for _ in range(nblocks):
        crc = zlib.crc32(piece, crc)
    assert 2**32 < nbytes < 2**32 + len(piece)
    body = stream + Deflate().stored(final=True).getvalue()
    file = gzip_member(b"", body=body, crc=crc, isize=nbytes % 2**32)
    assert fastidx.load(file, strict=False).tolist() == [0]


@pytest.mark.parametrize("change", [{"crc": 0}, {"isize": 0}, {"crc": 1, "isize": 0xFFFFFFFF}])
def test_checksums_are_not_looked_at_without_verify(
    inflate: Inflate, change: dict[str, Any]
) -> None:
    file = gzip_member(DATA, **change) + gzip_member(DATA, **change)
    for in_chunk in (None, 1, 7):
        options = {"container": "gzip", "max_nbytes": 100, "in_chunk": in_chunk}
        assert inflate(file, **options, verify=False) == DATA * 2
        with pytest.raises(ChecksumError):
            inflate(file, **options, verify=True)


def test_without_verify_the_stream_is_still_checked(inflate: Inflate) -> None:
    good = gzip_member(DATA)
    bad_type = gzip_member(DATA, body=Deflate().bits(0b111, 3).getvalue())
    for file, kind in [
        (good[:-1], TruncatedError),
        (good[:15], TruncatedError),
        (bad_type, CorruptError),
        (good + b"x", TrailingDataError),
        (gzip_member(DATA, reserved=0x80), CorruptError),
    ]:
        with pytest.raises(kind):
            inflate(file, container="gzip", max_nbytes=100, verify=False)


def test_crc_covers_stored_fixed_and_dynamic_blocks_in_any_pieces(inflate: Inflate) -> None:
    data = random.Random(5).randbytes(3000) + b"ab" * 3000
    compressor = zlib.compressobj(9, zlib.DEFLATED, 31)
    file = compressor.compress(data[:2000]) + compressor.flush(zlib.Z_FULL_FLUSH)
    file += compressor.compress(data[2000:]) + compressor.flush()
    accepted(inflate, file, data)
    accepted(inflate, gzip_member(data, body=raw_deflate(data, 0)), data)


# --- Damage --------------------------------------------------------------------------------------


def small_file() -> bytes:
    """Two members, all header fields, a stored, a fixed and a dynamic block."""
    first = Deflate().stored(b"stored").fixed(b"fixed", final=True).getvalue()
    second = b"a dynamic block needs some text that is worth a code of its own, " * 3
    assert raw_deflate(second)[0] & 0b110 == 0b100
    return gzip_member(b"storedfixed", body=first, **FIELDS) + gzip_member(second)


def test_file_cut_anywhere_is_truncated(inflate: Inflate) -> None:
    file = small_file()
    first = len(file) - len(gzip_member(zlib_inflate(file, "gzip")[11:]))
    for nbytes in set(range(len(file))) - {first, first + 1}:
        with pytest.raises(TruncatedError):
            inflate(file[:nbytes], container="gzip", max_nbytes=1000)
        with pytest.raises(TruncatedError):
            inflate(file[:nbytes], container="gzip", max_nbytes=1000, verify=False, in_chunk=5)
    assert inflate(file[:first], container="gzip", max_nbytes=11) == b"storedfixed"


def test_no_single_flipped_bit_gives_wrong_data(inflate: Inflate) -> None:
    file, data = small_file(), zlib_inflate(small_file(), "gzip")
    for bit in range(8 * len(file)):
        bad = bytearray(file)
        bad[bit // 8] ^= 1 << bit % 8
        result = verdict(inflate, bytes(bad), container="gzip", max_nbytes=10_000)
        assert result == data or isinstance(result, type), bit
        try:
            assert result == zlib_inflate(bytes(bad), "gzip"), bit
        except Refused:
            assert isinstance(result, type), bit


def test_member_needs_its_footer(inflate: Inflate) -> None:
    body = raw_deflate(DATA)
    for nbytes in range(8):
        file = gzip_header() + body + gzip_footer(DATA)[:nbytes]
        with pytest.raises(TruncatedError):
            inflate(file, container="gzip", max_nbytes=100)


def test_empty_input_is_truncated(inflate: Inflate) -> None:
    for container in ("gzip", "raw"):
        with pytest.raises(TruncatedError):
            inflate(b"", container=container, max_nbytes=10)


def test_output_beyond_the_limit_is_refused_in_any_member(inflate: Inflate) -> None:
    file = gzip_member(DATA) * 3
    for limit in (0, 1, 31, 62, 92):
        with pytest.raises(IdxError) as raised:
            inflate(file, container="gzip", max_nbytes=limit)
        assert not isinstance(raised.value, CorruptError | TruncatedError)
    assert inflate(file, container="gzip", max_nbytes=93) == DATA * 3


# --- How inflate() is called ---------------------------------------------------------------------


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_inflate_takes_any_bytes(kind: Callable[[bytes], Any]) -> None:
    assert _kernel.inflate(kind(gzip.compress(DATA)), container="gzip", max_nbytes=31) == DATA


@pytest.mark.parametrize("options", [{"container": "zip"}, {"in_chunk": 0}, {"out_chunk": -1}])
def test_inflate_refuses_meaningless_options(options: dict[str, Any]) -> None:
    with pytest.raises((ValueError, OverflowError)) as raised:
        _kernel.inflate(gzip.compress(DATA), **{"container": "gzip", "max_nbytes": 31, **options})
    assert not isinstance(raised.value, IdxError)


# --- CRC-32 --------------------------------------------------------------------------------------


def test_crc32_of_any_length_and_alignment_is_zlibs(call: Callable[..., Any]) -> None:
    data = random.Random(6).randbytes(1100)
    for start in (0, 1, 7, 8, 15):
        for nbytes in [*range(0, 300, 1 + start % 8), 511, 512, 513, 1000, 1024, 1025]:
            piece = data[start : start + nbytes]
            assert call(_kernel.crc32, piece) == zlib.crc32(piece), (start, nbytes)


def test_crc32_continues_from_any_value(call: Callable[..., Any]) -> None:
    data = random.Random(7).randbytes(70_000)
    for cut in [0, 1, 15, 16, 63, 64, 65, 1000, 65_536, 70_000]:
        value = call(_kernel.crc32, data[:cut])
        assert call(_kernel.crc32, data[cut:], value) == zlib.crc32(data), cut
    assert call(_kernel.crc32, data, 0xFFFFFFFF) == zlib.crc32(data, 0xFFFFFFFF)


def test_portable_path_uses_no_special_instructions(portable: Worker) -> None:
    features = portable(_kernel.cpu_features)
    assert features.portable_forced
    assert features.features == ()
    assert "avx2" not in (features.inflate, features.swap)


@pytest.mark.parametrize(
    ("value", "forced"), [("1", True), ("yes", True), ("0", False), ("", False)]
)
def test_portable_path_is_asked_for_by_a_variable(value: str, forced: bool) -> None:
    worker = Worker(FASTIDX_PORTABLE=value)
    try:
        assert worker(_kernel.cpu_features).portable_forced is forced
    finally:
        worker.close()
