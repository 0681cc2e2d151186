"""Files of several members are decoded side by side, and BGZF is what save() writes for that."""

from __future__ import annotations

import gzip
import io
import struct
import threading
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gzip_streams import digits, stream
from hypothesis import given, settings
from hypothesis import strategies as st
from test_parallel import outcome

import fastidx
from fastidx import reference
from fastidx.gzipped import members

DTYPES = ["u1", "i1", "i2", "i4", "f4", "f8"]


@pytest.fixture(autouse=True)
def small_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let files of some kilobytes be divided like large ones."""
    monkeypatch.setattr(members, "_TASK_NBYTES", 3_000)


def array(nbytes: int, dtype: str = "u1") -> np.ndarray[Any, Any]:
    return np.frombuffer(digits(nbytes // 8 * 8), dtype)


def bgzf(values: np.ndarray[Any, Any], **options: Any) -> bytes:
    file = io.BytesIO()
    fastidx.save(file, values, compression="bgzf", **options)
    return file.getvalue()


def chopped(data: bytes, sizes: list[int]) -> bytes:
    """Members of the sizes given, in turn."""
    parts = []
    while data:
        sizes = sizes[1:] + sizes[:1]
        parts.append(stream(data[: sizes[0]]))
        data = data[sizes[0] :]
    return b"".join(parts)


def nmembers(content: bytes) -> int:
    count = 0
    while content:
        decoder = zlib.decompressobj(31)
        decoder.decompress(content)
        content = decoder.unused_data
        count += 1
    return count


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_bgzf_loads_with_any_number_of_threads(dtype: str, threads: int) -> None:
    values = array(500_000, dtype)
    assert fastidx.load(bgzf(values), threads=threads).tobytes() == values.tobytes()


def test_bgzf_is_gzip_for_everyone() -> None:
    values = array(300_000)
    content = bgzf(values)
    assert gzip.decompress(content) == reference.dumps(values)
    assert nmembers(content) == 6  # five of 65,280 bytes at most, and the mark of the end
    assert fastidx.info(content).compression == "gzip"


def test_bgzf_says_how_long_its_members_are() -> None:
    content = bgzf(array(300_000))
    pos, lengths = 0, []
    while pos < len(content):
        assert content[pos : pos + 4] == b"\x1f\x8b\x08\x04"
        assert content[pos + 12 : pos + 16] == b"BC\x02\x00"
        lengths.append(struct.unpack_from("<H", content, pos + 16)[0] + 1)
        pos += lengths[-1]
    assert pos == len(content)
    assert lengths[-1] == 28  # the empty member that ends every BGZF file


def test_bgzf_bytes_do_not_depend_on_threads() -> None:
    values = array(3_000_000)
    assert bgzf(values, threads=1) == bgzf(values, threads=2) == bgzf(values, threads=7)


def test_bgzf_holds_what_does_not_compress() -> None:
    noise = np.random.default_rng(1).integers(0, 256, 400_000, np.uint8)
    for level in (0, 6):
        assert np.array_equal(fastidx.load(bgzf(noise, level=level), threads=3), noise)


def test_bgzf_to_a_path(tmp_path: Path) -> None:
    values = array(100_000)
    fastidx.save(tmp_path / "x", values, compression="bgzf")
    assert np.array_equal(fastidx.load(tmp_path / "x"), values)


def test_bgzf_of_nothing() -> None:
    empty = np.zeros((0, 28, 28), np.uint8)
    assert fastidx.load(bgzf(empty), threads=2).shape == (0, 28, 28)


def test_meaningless_threads_are_refused() -> None:
    with pytest.raises(ValueError, match="threads"):
        bgzf(array(8), threads=0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_members_of_all_sizes_are_decoded_side_by_side(dtype: str) -> None:
    values = array(600_000, dtype)
    content = chopped(reference.dumps(values), [1, 70_001, 20_000, 3, 99_999])
    header = fastidx.info(content)
    tasks = members.find_tasks(memoryview(content), header.header_nbytes + header.nbytes)
    assert tasks is not None
    assert len(tasks) > 2
    for threads in (1, 2, 4):
        assert fastidx.load(content, threads=threads).tobytes() == values.tobytes()


def test_one_member_is_not_divided() -> None:
    content = stream(reference.dumps(array(100_000)))
    assert members.find_tasks(memoryview(content), 100_008) is None


def test_members_that_do_not_add_up_are_left_to_the_serial_decoder() -> None:
    content = chopped(reference.dumps(array(300_000)), [50_000])
    assert members.find_tasks(memoryview(content), 300_009) is None


def test_member_header_inside_stored_data_does_no_harm() -> None:
    inner = gzip.compress(bytes(1000), mtime=0) * 40
    values = np.frombuffer(inner * 30, np.uint8)
    data = reference.dumps(values)
    content = b"".join(stream(data[i : i + 30_000], 0) for i in range(0, len(data), 30_000))
    assert np.array_equal(fastidx.load(content, threads=3), values)


@pytest.mark.parametrize("kind", ["bgzf", "members"])
def test_damage_is_met_as_in_a_serial_load(kind: str, rng: np.random.Generator) -> None:
    nthreads = threading.active_count()
    values = array(400_000, "i4")
    content = bgzf(values) if kind == "bgzf" else chopped(reference.dumps(values), [70_000, 11])
    for nbytes in (1, 9, 30, len(content) // 2):
        assert outcome(content[:-nbytes], 3) == outcome(content[:-nbytes], 1)
    for _ in range(30):
        damaged = bytearray(content)
        damaged[rng.integers(len(damaged))] ^= 1 << rng.integers(8)
        for verify in (True, False):
            assert outcome(damaged, 3, verify=verify) == outcome(damaged, 1, verify=verify)
    assert threading.active_count() == nthreads


@settings(max_examples=40)
@given(
    sizes=st.lists(st.integers(1, 60_000), min_size=1, max_size=5),
    nbytes=st.integers(0, 200_000),
    dtype=st.sampled_from(DTYPES),
)
def test_any_members(sizes: list[int], nbytes: int, dtype: str) -> None:
    sizes = [max(size, nbytes // 50) for size in sizes]
    values = array(nbytes, dtype)
    content = chopped(reference.dumps(values), sizes)
    assert fastidx.load(content, threads=3).tobytes() == values.tobytes()
