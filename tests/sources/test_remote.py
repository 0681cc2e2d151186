"""URLs: what is asked of servers, how much they send, and what is said when they fail.

The servers are real ones on 127.0.0.1 (see ``servers``); the counts of requests and bytes are the
servers' own.
"""

from __future__ import annotations

import bisect
import gzip
import io
import lzma
import pickle
import subprocess
import sys
import tarfile
import time
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from servers.http_server import FaultyServer, Resource
from servers.stores import BUCKET, CONTAINER, PRIVATE, S3, Azurite

import fastidx
from fastidx import (
    ChecksumError,
    HeaderError,
    IdxError,
    SourceChangedError,
    TruncatedError,
)
from fastidx.reference import dumps

fsspec = pytest.importorskip("fsspec")
aiohttp = pytest.importorskip("aiohttp")

NOISE = np.random.default_rng(5).integers(0, 256, (700, 10, 10), dtype=np.uint8)
PLAIN = dumps(NOISE)
FORMS = {"plain": PLAIN, "gzip": gzip.compress(PLAIN, mtime=0), "xz": lzma.compress(PLAIN)}
FILE = FORMS["gzip"]
EACH_FORM = pytest.mark.parametrize("content", FORMS.values(), ids=FORMS)

# More than two of the largest pieces.
BIG = np.random.default_rng(6).integers(0, 256, (40_000, 1000), dtype=np.uint8)
BIG_PLAIN = dumps(BIG)


def assert_noise(loaded: Any) -> None:
    np.testing.assert_array_equal(loaded, NOISE, strict=True)


def zipped(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


# --- What is asked and sent ----------------------------------------------------------------------


@EACH_FORM
def test_load_takes_one_look_and_one_request(content: bytes, http_server: FaultyServer) -> None:
    assert_noise(fastidx.load(http_server.serve("file", content)))
    assert [request.method for request in http_server.requests] == ["HEAD", "GET"]
    assert http_server.nbytes() == len(content)


def test_load_of_a_big_file_takes_few_large_requests(http_server: FaultyServer) -> None:
    for content in (BIG_PLAIN, gzip.compress(BIG_PLAIN, 1)):
        http_server.requests.clear()
        url = http_server.serve("file", content)
        np.testing.assert_array_equal(fastidx.load(url, threads=2), BIG)
        assert len(http_server.gets()) == 3
        assert http_server.nbytes() == len(content)
        # The three pieces were one file: its properties are asked for again.
        assert [r.method for r in http_server.requests] == ["HEAD", "GET", "GET", "GET", "HEAD"]


def test_small_rest_comes_with_the_last_request(http_server: FaultyServer) -> None:
    content = dumps(BIG[:18_000])
    np.testing.assert_array_equal(fastidx.load(http_server.serve("file", content)), BIG[:18_000])
    assert len(http_server.gets()) == 1


@EACH_FORM
def test_info_fetches_the_beginning_only(content: bytes, http_server: FaultyServer) -> None:
    header = fastidx.info(http_server.serve("file", content))
    assert (header.shape, header.compressed_nbytes) == (NOISE.shape, len(content))
    assert [request.method for request in http_server.requests] == ["HEAD", "GET"]
    assert http_server.nbytes() == 4096


def test_info_fetches_more_where_it_must(http_server: FaultyServer) -> None:
    name = b"n" * 10_000  # FNAME, of any length (RFC 1952, section 2.3.1)
    content = FILE[:3] + b"\x08" + FILE[4:10] + name + b"\0" + FILE[10:]
    url = http_server.serve("file", content)
    assert fastidx.info(url).shape == NOISE.shape
    assert len(http_server.gets()) == 2
    assert http_server.nbytes() == 4096 * (1 + 4)
    assert_noise(fastidx.load(url))


@pytest.mark.parametrize("announced", [True, False])
@EACH_FORM
def test_server_without_ranges(content: bytes, announced: bool, http_server: FaultyServer) -> None:
    url = http_server.serve("file", content, ranges=False, announces_ranges=announced)
    assert_noise(fastidx.load(url))
    assert [request.method for request in http_server.requests] == ["HEAD", "GET"]
    header = fastidx.info(url)
    assert header.shape == NOISE.shape


def test_big_file_of_a_server_that_ignores_ranges(http_server: FaultyServer) -> None:
    url = http_server.serve("file", BIG_PLAIN, ranges=False, announces_ranges=False)
    np.testing.assert_array_equal(fastidx.load(url), BIG)
    assert len(http_server.gets()) == 3  # the first piece; an attempt at the second; all
    http_server.wait_idle()
    http_server.requests.clear()
    assert fastidx.info(url).shape == BIG.shape
    http_server.wait_idle()
    assert http_server.nbytes() < len(BIG_PLAIN) / 2


@EACH_FORM
def test_server_that_does_not_know_the_size(content: bytes, http_server: FaultyServer) -> None:
    url = http_server.serve("file", content, length=False, ranges=False)
    assert_noise(fastidx.load(url))
    assert fastidx.info(url).compressed_nbytes is None


def test_server_without_head(http_server: FaultyServer) -> None:
    url = http_server.serve("file", FILE, head=False)
    assert_noise(fastidx.load(url))
    assert len(http_server.gets()) == 2


def test_server_that_calls_the_file_compressed_content(http_server: FaultyServer) -> None:
    """Then the client library decompresses; what arrives is the plain file."""
    assert_noise(fastidx.load(http_server.serve("file.gz", FILE, encoding="gzip")))


def test_out_and_conversion(http_server: FaultyServer) -> None:
    url = http_server.serve("file", FILE)
    out = np.empty(NOISE.shape, np.uint8)
    assert fastidx.load(url, out=out, threads=2) is out
    assert_noise(out)
    np.testing.assert_array_equal(fastidx.load(url, scale=0.5), NOISE * 0.5)


def test_options_reach_the_file_system(http_server: FaultyServer) -> None:
    url = http_server.serve("file", FILE)
    assert_noise(fastidx.load(url, storage_options={"headers": {"X-Token": "abc"}}))
    assert {request.headers.get("X-Token") for request in http_server.requests} == {"abc"}


@pytest.mark.parametrize("source", [FILE, io.BytesIO(FILE), __file__, Path(__file__)])
def test_options_without_a_url_are_refused(source: Any) -> None:
    with pytest.raises(ValueError, match="storage_options") as raised:
        fastidx.load(source, storage_options={"key": "x"})
    assert not isinstance(raised.value, IdxError)


# --- Zip archives --------------------------------------------------------------------------------


def test_member_of_a_remote_archive_is_fetched_alone(http_server: FaultyServer) -> None:
    members = {f"gzip/{i}.gz": gzip.compress(dumps(NOISE // (i + 1)), mtime=0) for i in range(9)}
    archive = zipped({"before": BIG_PLAIN[:3_000_000], **members, "behind": BIG_PLAIN[:3_000_000]})
    url = http_server.serve("gzip.zip", archive)
    loaded = fastidx.load(f"zip://gzip/4.gz::{url}")
    np.testing.assert_array_equal(loaded, NOISE // 5, strict=True)
    # A first look, the end with the table of contents, and the member.
    assert len(http_server.gets()) == 3
    assert http_server.nbytes() - len(members["gzip/4.gz"]) in range(60_000, 72_000)
    http_server.requests.clear()
    assert fastidx.info(f"zip://gzip/4.gz::{url}").shape == NOISE.shape
    assert len(http_server.gets()) == 3
    assert http_server.nbytes() < 84_000


def test_remote_archive_of_one_idx_file(http_server: FaultyServer) -> None:
    url = http_server.serve("gzip.zip", zipped({"a.txt": b"text", "b.gz": FILE}))
    assert_noise(fastidx.load(url))
    url = http_server.serve("gzip.zip", zipped({"a.gz": FILE, "b.gz": FILE}))
    with pytest.raises(IdxError, match=r"2 IDX files.*zip://a\.gz::http://"):
        fastidx.load(url)


def test_remote_archive_needs_ranges(http_server: FaultyServer) -> None:
    archive = zipped({"noise": BIG_PLAIN[:200_000], "b.gz": FILE})
    for announced in (True, False):
        url = http_server.serve("x.zip", archive, ranges=False, announces_ranges=announced)
        with pytest.raises(io.UnsupportedOperation, match=r"range requests|can seek"):
            fastidx.info(f"zip://b.gz::{url}")


def test_remote_archive_that_breaks_off(http_server: FaultyServer) -> None:
    archive = zipped({"a.gz": FILE, "b": BIG_PLAIN[:3_000_000]})
    url = http_server.serve("x.zip", archive, cut=30_000, cut_after=3)
    with pytest.raises(TruncatedError, match=f"{url}: .*broke off"):
        fastidx.load(f"zip://a.gz::{url}")


def test_other_chains(http_server: FaultyServer, tmp_path: Path) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        member = tarfile.TarInfo("b.gz")
        member.size = len(FILE)
        archive.addfile(member, io.BytesIO(FILE))
    url = http_server.serve("x.tar", packed.getvalue())
    assert_noise(fastidx.load(f"tar://b.gz::{url}"))
    url = http_server.serve("x.zip", zipped({"b.gz": FILE}))
    options = {"simplecache": {"cache_storage": str(tmp_path)}}
    assert_noise(fastidx.load(f"zip://b.gz::simplecache::{url}", storage_options=options))


# --- Memory and local files ----------------------------------------------------------------------


def test_memory() -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe("/test_remote/file", FILE)
    memory.pipe("/test_remote/gzip.zip", zipped({"a.gz": FILE, "b": b"..."}))
    try:
        assert_noise(fastidx.load("memory://test_remote/file"))
        assert fastidx.info("memory://test_remote/file").compressed_nbytes == len(FILE)
        assert_noise(fastidx.load("zip://a.gz::memory://test_remote/gzip.zip"))
    finally:
        memory.rm("/test_remote", recursive=True)


def test_file_protocol(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(FILE)
    assert_noise(fastidx.load(f"file://{tmp_path}/file"))


@pytest.mark.skipif(sys.platform == "win32", reason="no such names")
def test_path_that_looks_like_a_url_is_a_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("abc:").mkdir()
    Path("abc:/file").write_bytes(FILE)
    assert_noise(fastidx.load(Path("abc://file")))
    with pytest.raises(ValueError, match=r"found abc; .*pathlib\.Path"):
        fastidx.load("abc://file")


# --- What goes wrong -----------------------------------------------------------------------------


def test_missing_file(http_server: FaultyServer) -> None:
    url = f"{http_server.address}/missing"
    with pytest.raises(FileNotFoundError, match=f"{url}: .*404"):
        fastidx.load(url)
    assert len(http_server.requests) <= 2


@pytest.mark.parametrize("status", [401, 403])
def test_forbidden_file(status: int, http_server: FaultyServer) -> None:
    url = http_server.serve("file", FILE, fail_times=99, fail_status=status)
    with pytest.raises(PermissionError, match=f"{url}: .*{status}.*storage_options"):
        fastidx.load(url)
    assert len(http_server.requests) <= 2


@pytest.mark.parametrize("times", [1, 2, 4])
def test_lapse_of_a_server_is_overcome(times: int, http_server: FaultyServer) -> None:
    assert_noise(fastidx.load(http_server.serve("file", FILE, fail_times=times)))


def test_failing_server(http_server: FaultyServer) -> None:
    url = http_server.serve("file", FILE, fail_times=999, fail_status=500)
    with pytest.raises(OSError, match=f"{url}: .*status 500") as raised:
        fastidx.load(url)
    assert not isinstance(raised.value, FileNotFoundError)
    assert len(http_server.requests) == 6  # three times HEAD, and GET when that has failed


def test_no_server() -> None:
    server = FaultyServer()
    url = server.serve("file", FILE)
    server.stop()
    with pytest.raises(ConnectionError, match=url):
        fastidx.load(url)


@EACH_FORM
@pytest.mark.parametrize("how", [{}, {"ranges": False}, {"ranges": False, "length": False}])
def test_server_that_breaks_off(
    content: bytes, how: dict[str, Any], http_server: FaultyServer
) -> None:
    url = http_server.serve("file", content, cut=30_000, **how)
    out = np.zeros(NOISE.shape, np.uint8)
    with pytest.raises(TruncatedError, match=url):
        fastidx.load(url)
    with pytest.raises(TruncatedError, match=url):
        fastidx.load(url, out=out)


@EACH_FORM
def test_server_that_has_less_than_it_says(content: bytes, http_server: FaultyServer) -> None:
    for how in ({}, {"ranges": False}):
        cut = content[:30_000]
        url = http_server.serve("file", cut, head_claims=len(content), **how)
        with pytest.raises(TruncatedError, match=f"{url}: .*as the server says.*30,000"):
            fastidx.load(url)


def test_break_is_overcome_where_ranges_allow_it(http_server: FaultyServer) -> None:
    assert_noise(fastidx.load(http_server.serve("file", FILE, cut=30_000, cut_times=2)))
    assert len(http_server.gets()) == 3


def timeout(seconds: float) -> dict[str, Any]:
    return {"client_kwargs": {"timeout": aiohttp.ClientTimeout(total=seconds)}}


@pytest.mark.parametrize(
    "how", [{"delay_s": 30}, {"pause_s": 30}, {"pause_s": 30, "ranges": False}]
)
def test_server_that_takes_too_long(how: dict[str, Any], http_server: FaultyServer) -> None:
    url = http_server.serve("file", FILE, **how)
    start = time.monotonic()
    with pytest.raises(TimeoutError, match=f"{url}: .*in time"):
        fastidx.load(url, storage_options=timeout(0.5))
    assert time.monotonic() - start < 5


def test_slow_server_is_waited_for(http_server: FaultyServer) -> None:
    assert_noise(fastidx.load(http_server.serve("file", FILE, delay_s=0.2, pause_s=0.1)))


@pytest.mark.parametrize("etag", ['"2"', None])
def test_file_replaced_between_two_pieces(etag: str | None, http_server: FaultyServer) -> None:
    """Of the same size, both good: nothing but the server's word tells."""
    other = BIG_PLAIN[:16] + BIG_PLAIN[:15:-1]
    if etag is None:
        other += b"x"  # then the size has to tell
    replacement = Resource(other, etag=etag)
    url = http_server.serve("file", BIG_PLAIN, replacement=replacement, replace_after=2)
    with pytest.raises(SourceChangedError, match=url):
        fastidx.load(url)


@EACH_FORM
def test_file_replaced_by_a_smaller_one_after_the_first_look(
    content: bytes, http_server: FaultyServer
) -> None:
    replacement = Resource(content[:30_000], etag='"2"')
    url = http_server.serve("file", content, replacement=replacement, replace_after=1)
    with pytest.raises(SourceChangedError, match=f"{url}: .*another") as raised:
        fastidx.load(url)
    assert isinstance(raised.value, OSError)
    again = pickle.loads(pickle.dumps(raised.value))
    assert (type(again), str(again)) == (SourceChangedError, str(raised.value))


def test_file_removed_while_it_is_read(http_server: FaultyServer) -> None:
    damaged = bytearray(FILE)
    damaged[40_000] ^= 1
    gone = Resource(b"", fail_times=99, fail_status=404)
    url = http_server.serve("file", bytes(damaged), replacement=gone, replace_after=2)
    with pytest.raises(SourceChangedError, match="none any more"):
        fastidx.load(url)


def test_damaged_file_that_stays_as_it_is(http_server: FaultyServer) -> None:
    damaged = bytearray(FILE)
    damaged[-8] ^= 1
    url = http_server.serve("file", bytes(damaged))
    with pytest.raises(ChecksumError, match=f"{url}: .*CRC-32"):
        fastidx.load(url)
    assert [request.method for request in http_server.requests] == ["HEAD", "GET", "HEAD"]


def test_page_in_place_of_the_file(http_server: FaultyServer) -> None:
    url = http_server.serve("file.gz", b"<!DOCTYPE html><title>Sign in</title>")
    with pytest.raises(HeaderError, match=f"{url}: .*HTML page"):
        fastidx.load(url)


def test_empty_file(http_server: FaultyServer) -> None:
    with pytest.raises(TruncatedError, match="empty"):
        fastidx.load(http_server.serve("file", b""))


def test_secrets_are_not_shown(http_server: FaultyServer) -> None:
    url = http_server.serve("file", b"no idx file").replace("://", "://user:word@")
    for ending in ("?sig=hidden&x=http://hidden", "/missing?sig=hidden"):
        with pytest.raises((IdxError, OSError)) as raised:
            fastidx.load(url + ending)
        assert "/file" in str(raised.value)
        assert "hidden" not in str(raised.value)
        assert "word" not in str(raised.value)


def test_unknown_protocol() -> None:
    with pytest.raises(ValueError, match="found gopher") as raised:
        fastidx.load("gopher://host/file")
    assert not isinstance(raised.value, IdxError)


@pytest.mark.parametrize(
    ("module", "url"), [("fsspec", "memory://x"), ("aiohttp", "https://x/y"), ("s3fs", "s3://x/y")]
)
def test_missing_package_is_named(module: str, url: str) -> None:
    code = (
        f"import sys; sys.modules[{module!r}] = None; import fastidx\n"
        f"try: fastidx.load({url!r})\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert 'pip install "fastidx[remote]"' in done.stdout, done.stderr
    assert url in done.stdout


def test_nothing_remote_is_imported_before_it_is_needed() -> None:
    code = (
        "import sys, fastidx; fastidx.load(bytes.fromhex('0000080100000000'))\n"
        "print(*{'fsspec', 'zipfile', 'lzma', 'http.client', 'urllib.request'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "\n", done.stderr


# --- Readers -------------------------------------------------------------------------------------

ITEMS = np.random.default_rng(7).integers(0, 16, (6000, 28, 28), np.uint8)
INDEXED = gzip.compress(dumps(ITEMS), 6, mtime=0)


@pytest.fixture(scope="module")
def index() -> fastidx.GzipIndex:
    """Of INDEXED."""
    with fastidx.open(INDEXED) as reader:
        return reader.build_index(spacing=1 << 18)


def extent(index: fastidx.GzipIndex, first: int, last: int) -> tuple[int, int]:
    """Which bytes of the file have all of some items, checkpoint to checkpoint."""
    offsets = [point.offset for point in index.points]
    begin = index.points[bisect.bisect_right(offsets, 16 + first * 784) - 1].bit // 8
    following = bisect.bisect_right(offsets, 16 + (last + 1) * 784 - 1)
    bits = [*(point.bit for point in index.points), 8 * index.compressed_nbytes]
    return begin, -(-bits[following] // 8)


def ranges(server: FaultyServer) -> list[tuple[int, int]]:
    """What was asked for since the last time, as in a slice."""
    server.wait_idle()
    asked = [request.range or "" for request in server.gets()]
    assert sum(r.nbytes for r in server.gets()) == server.nbytes()
    server.requests.clear()
    pairs = [text.removeprefix("bytes=").split("-") for text in asked]
    return [(int(begin), int(end) + 1) for begin, end in pairs]


@pytest.mark.parametrize("threads", [1, 2])
def test_with_an_index_a_slice_takes_one_request_for_just_its_bytes(
    threads: int, index: fastidx.GzipIndex, http_server: FaultyServer
) -> None:
    url = http_server.serve("file", INDEXED)
    with fastidx.open(url, index=index, threads=threads) as reader:
        # The header; and both ends of the file, which show that it is the one of the index.
        assert [end - begin for begin, end in ranges(http_server)] == [4096, 4096]
        for first, last in (
            (3000, 3000),
            (50, 5950),
            (5000, 5600),
            (120, 130),
            (4000, 4900),
            (5999, 5999),
        ):
            np.testing.assert_array_equal(reader[first : last + 1], ITEMS[first : last + 1])
            assert ranges(http_server) == [extent(index, first, last)], (first, last)
        np.testing.assert_array_equal(reader[5998], ITEMS[5998])
        assert ranges(http_server) == []  # the stretch is still there


def test_many_items_take_a_request_for_each_stretch_apart(
    index: fastidx.GzipIndex, http_server: FaultyServer
) -> None:
    numbers = [5500, 40, 2500, 41]
    with fastidx.open(http_server.serve("file", INDEXED), index=index) as reader:
        ranges(http_server)
        np.testing.assert_array_equal(reader.__getitems__(numbers), ITEMS[numbers])
    expected = [extent(index, *pair) for pair in ((40, 41), (2500, 2500), (5500, 5500))]
    assert ranges(http_server) == expected


@pytest.mark.parametrize("dtype", [None, "f4"])
def test_slice_of_a_plain_file_takes_one_request_for_just_its_bytes(
    dtype: str | None, http_server: FaultyServer
) -> None:
    url = http_server.serve("file", dumps(ITEMS))
    with fastidx.open(url, dtype=dtype) as reader:
        assert ranges(http_server) == [(0, 4096)]
        for first, stop in ((5000, 5001), (2000, 3100), (5999, 6000)):
            expected = ITEMS[first:stop].astype(dtype or "u1")
            np.testing.assert_array_equal(reader[first:stop], expected, strict=True)
            assert ranges(http_server) == [(16 + 784 * first, 16 + 784 * stop)]


@pytest.mark.parametrize("form", ["gzip", "indexed", "plain"])
def test_batches_take_ever_larger_requests(
    form: str, index: fastidx.GzipIndex, http_server: FaultyServer
) -> None:
    content = dumps(ITEMS) if form == "plain" else INDEXED
    url = http_server.serve("file", content)
    with fastidx.open(url, index=index if form == "indexed" else None) as reader:
        whole = np.concatenate(list(reader.batches(100)))
    np.testing.assert_array_equal(whole, ITEMS)
    asked = ranges(http_server)
    assert len(asked) < 20
    assert sum(end - begin for begin, end in asked) <= len(content) + 3 * 4096 + len(asked)
    assert max(end - begin for begin, end in asked) <= (2 << 20) * 5 // 4


def test_first_batch_does_not_fetch_the_file(http_server: FaultyServer) -> None:
    url = http_server.serve("file", INDEXED)
    with fastidx.open(url) as reader:
        np.testing.assert_array_equal(next(reader.batches(10)), ITEMS[:10])
    assert sum(end - begin for begin, end in ranges(http_server)) <= 4096 * (1 + 4)


def test_load_with_an_index_takes_few_large_requests(
    index: fastidx.GzipIndex, http_server: FaultyServer
) -> None:
    url = http_server.serve("file", INDEXED)
    np.testing.assert_array_equal(fastidx.load(url, threads=2, index=index), ITEMS)
    assert ranges(http_server) == [(0, len(INDEXED))]


def test_reader_of_a_server_without_ranges_goes_forward(http_server: FaultyServer) -> None:
    for announced in (True, False):
        url = http_server.serve("file", INDEXED, ranges=False, announces_ranges=announced)
        with fastidx.open(url) as reader:
            np.testing.assert_array_equal(np.concatenate(list(reader.batches(700))), ITEMS)


@pytest.mark.parametrize("content", [INDEXED, dumps(ITEMS)], ids=["gzip", "plain"])
@pytest.mark.parametrize("etag", ['"1"', None])
def test_file_replaced_under_the_reader(
    content: bytes, etag: str | None, http_server: FaultyServer
) -> None:
    url = http_server.serve("file", content, etag=etag)
    with fastidx.open(url) as reader:
        http_server.serve("file", content[::-1][:-9], etag=etag and '"2"')
        with pytest.raises(SourceChangedError, match=url):
            list(reader.batches(1000))


def test_slice_of_a_replaced_plain_file_is_refused(http_server: FaultyServer) -> None:
    content = dumps(ITEMS)
    url = http_server.serve("file", content)
    with fastidx.open(url) as reader:
        http_server.serve("file", content[:16] + content[:15:-1], etag='"2"')
        with pytest.raises(SourceChangedError, match=f"{url}.*another under the same name"):
            reader[5000]


def test_reader_whose_server_takes_too_long(http_server: FaultyServer) -> None:
    import aiohttp

    url = http_server.serve("file", INDEXED)
    options = {"client_kwargs": {"timeout": aiohttp.ClientTimeout(total=0.3)}}
    with fastidx.open(url, storage_options=options) as reader:
        http_server.serve("file", INDEXED, delay_s=20)
        with pytest.raises(TimeoutError, match="allow more time"):
            reader[5000]


def test_index_may_be_remote_too(index: fastidx.GzipIndex, http_server: FaultyServer) -> None:
    file = io.BytesIO()
    index.save(file)
    url = http_server.serve("file", INDEXED)
    where = http_server.serve("file.gzidx", file.getvalue())
    with fastidx.open(url, index=where) as reader:
        ranges(http_server)
        np.testing.assert_array_equal(reader[77], ITEMS[77])
    assert ranges(http_server) == [extent(index, 77, 77)]


def test_reader_of_a_member_of_a_remote_archive(http_server: FaultyServer) -> None:
    url = http_server.serve("x.zip", zipped({"other": bytes(99), "a/b.gz": INDEXED}))
    with fastidx.open(f"zip://a/b.gz::{url}") as reader:
        np.testing.assert_array_equal(reader[5000], ITEMS[5000])
        np.testing.assert_array_equal(reader[200:300], ITEMS[200:300])
        np.testing.assert_array_equal(np.concatenate(list(reader.batches(500))), ITEMS)
    assert len(http_server.gets()) < 20


def test_pickled_reader_of_a_url(index: fastidx.GzipIndex, http_server: FaultyServer) -> None:
    url = http_server.serve("file", INDEXED)
    with (
        fastidx.open(url, index=index) as reader,
        pickle.loads(pickle.dumps(reader)) as other,
    ):
        ranges(http_server)
        np.testing.assert_array_equal(other[4321], ITEMS[4321])
        assert ranges(http_server) == [extent(index, 4321, 4321)]


# --- Object stores -------------------------------------------------------------------------------


def loaders(path: Path) -> tuple[np.ndarray[Any, Any], fastidx.IdxHeader]:
    return fastidx.load(path), fastidx.info(path)


def check_store(files: list[Path], prefix: str, options: dict[str, Any]) -> None:
    for path in files:
        expected, header = loaders(path)
        url = f"{prefix}/{path.name}"
        assert fastidx.info(url, storage_options=options) == header
        loaded = fastidx.load(url, storage_options=options)
        np.testing.assert_array_equal(loaded, expected, strict=True)
        out = np.empty_like(expected)
        np.testing.assert_array_equal(fastidx.load(url, out=out, storage_options=options), expected)


def test_azure(azurite: Azurite, mnist_files: list[Path]) -> None:
    check_store(mnist_files, f"abfs://{CONTAINER}", azurite.storage_options)


def test_azure_by_plain_http(azurite: Azurite, mnist_files: list[Path]) -> None:
    check_store(mnist_files, f"{azurite.address}/{CONTAINER}", {})


def test_s3(s3: S3, mnist_files: list[Path]) -> None:
    check_store(mnist_files, f"s3://{BUCKET}", s3.storage_options)


@pytest.mark.parametrize("indexed", [True, False])
def test_random_items_of_a_store(store: Any, indexed: bool, mnist_files: list[Path]) -> None:
    random = np.random.default_rng(8)
    prefix = f"{'s3' if isinstance(store, S3) else 'abfs'}://{BUCKET}"
    for path in mnist_files:
        expected = fastidx.load(path)
        with fastidx.open(path) as local:
            index = local.build_index() if indexed else None
        url, options = f"{prefix}/{path.name}", store.storage_options
        with fastidx.open(url, index=index, storage_options=options) as reader:
            numbers = random.integers(0, len(expected), 6).tolist()
            for i in numbers[:3] if indexed else sorted(numbers[:3]):
                np.testing.assert_array_equal(reader[i], expected[i])
            np.testing.assert_array_equal(reader[numbers], expected[numbers])
            first = numbers[0]
            np.testing.assert_array_equal(reader[first : first + 300], expected[first:][:300])


def test_response_of_a_store_as_a_file_object(azurite: Azurite, mnist_files: list[Path]) -> None:
    for path in mnist_files:
        address = f"{azurite.address}/{CONTAINER}/{path.name}"
        with urllib.request.urlopen(address) as response:
            np.testing.assert_array_equal(fastidx.load(response), fastidx.load(path))


@pytest.fixture(params=["azurite", "s3"])
def store(request: pytest.FixtureRequest) -> Any:
    """Each object store in turn."""
    return request.getfixturevalue(request.param)


def test_store_of_other_forms(store: Any) -> None:
    for name, content in FORMS.items():
        url = store.put(name, content)
        assert_noise(fastidx.load(url, storage_options=store.storage_options))
    url = store.put("x.zip", zipped({"a/b.gz": FILE, "c.gz": FILE}))
    protocol = url.partition(":")[0]
    options = {protocol: store.storage_options}
    assert_noise(fastidx.load(f"zip://a/b.gz::{url}", storage_options=options))


def test_missing_object(store: Any) -> None:
    url = store.put("present", b"").replace("present", "missing")
    with pytest.raises(FileNotFoundError, match=url):
        fastidx.load(url, storage_options=store.storage_options)


def test_refused_credentials(azurite: Azurite) -> None:
    wrong = azurite.connection_string.replace("AccountKey=E", "AccountKey=F")
    url = f"abfs://{PRIVATE}/file"
    with pytest.raises(PermissionError, match=f"{url}: .*storage_options"):
        fastidx.load(url, storage_options={"connection_string": wrong})


def replacing(function: Callable[..., Any], after: int, put: Callable[[], None]) -> Any:
    """A function that, after so many calls, has the object replaced before the next."""
    calls = iter(range(1_000))

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if next(calls) == after:
            put()
        return function(*args, **kwargs)

    return wrapped


@pytest.mark.parametrize("after", [0, 1])
def test_object_replaced_while_it_is_read(
    after: int, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fastidx.sources.remote_file import RemoteFile

    other = BIG_PLAIN[:16] + BIG_PLAIN[:15:-1]
    url = store.put("big", BIG_PLAIN)
    fetch = replacing(RemoteFile._fetch, after, lambda: store.put("big", other))
    monkeypatch.setattr(RemoteFile, "_fetch", fetch)
    with pytest.raises(SourceChangedError, match=url):
        fastidx.load(url, storage_options=store.storage_options)


def test_listing_that_a_file_system_keeps_is_not_trusted(store: Any) -> None:
    url = store.put("grows/file", FILE[:1000])
    fs, path = fsspec.core.url_to_fs(url, **store.storage_options)
    assert len(fs.ls(path.rpartition("/")[0])) == 1
    store.put("grows/file", FILE)
    assert_noise(fastidx.load(url, storage_options=store.storage_options))
