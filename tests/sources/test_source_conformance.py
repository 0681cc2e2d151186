"""What every source does, or refuses as documented: one class of tests for all kinds."""

from __future__ import annotations

import contextlib
import gzip
import io
import mmap
import os
import pickle
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from servers.http_server import FaultyServer
from worker import Worker

from fastidx import IdxError, SourceChangedError
from fastidx.opening.open import open_source
from fastidx.sources.protocol import Source, SourceLike

# Larger than two buffers of a source, and no multiple of anything.
CONTENT = np.random.default_rng(1).integers(0, 256, 250_001, dtype=np.uint8).tobytes()
OTHER = bytes(reversed(CONTENT)) + b"more"


class NoSeek(io.RawIOBase):
    """A stream of short reads that cannot seek."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, out: Any) -> int:
        return self._data.readinto(memoryview(out)[:1000])


class OnlyRead:
    """The least file object: one method, and short reads."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def read(self, nbytes: int) -> bytes:
        return self._data.read(min(nbytes, 7001))


class SourceTests:
    """What holds for all kinds. A kind gives what a user passes, and says what it can."""

    knows_size = True
    can_restart = True
    survives_fork = True
    notices_changes = False

    @contextlib.contextmanager
    def user_object(self, folder: Path) -> Iterator[SourceLike]:
        """Give what a user passes; from its position on its content is CONTENT."""
        raise NotImplementedError
        yield folder

    @pytest.fixture
    def given(self, tmp_path: Path) -> Iterator[Any]:
        with self.user_object(tmp_path) as given:
            yield given

    @pytest.fixture
    def source(self, given: SourceLike) -> Iterator[Source]:
        with contextlib.closing(open_source(given)) as source:
            yield source

    def test_says_what_it_can(self, source: Source) -> None:
        assert source.name
        assert source.nbytes == (len(CONTENT) if self.knows_size else None)
        assert source.can_restart == self.can_restart
        assert source.survives_fork == self.survives_fork
        assert not source.only_at_hand

    def test_peek_takes_nothing(self, source: Source) -> None:
        for nbytes in (1, 2, 4096, 3):
            assert source.peek(nbytes) == CONTENT[:nbytes]
        assert bytes(source.next_chunk())[:100] == CONTENT[:100]

    def test_chunks_make_the_content(self, source: Source) -> None:
        chunks = []
        while chunk := bytes(source.next_chunk()):
            chunks.append(chunk)
        assert b"".join(chunks) == CONTENT
        assert not source.next_chunk()
        assert source.peek() == b""
        assert source.read_into(memoryview(bytearray(5))) == 0

    @pytest.mark.parametrize("seed", range(3))
    def test_ways_of_reading_mix(self, source: Source, seed: int) -> None:
        rng = np.random.default_rng(seed)
        position = 0
        while position < len(CONTENT):
            match rng.integers(3):
                case 0:
                    found = b""
                    assert CONTENT[position:].startswith(source.peek(int(rng.integers(1, 5000))))
                case 1:
                    out = bytearray(int(rng.integers(0, 60_000)))
                    n = source.read_into(memoryview(out))
                    assert n == min(len(out), len(CONTENT) - position)
                    found = bytes(out[:n])
                case _:
                    found = bytes(source.next_chunk())
                    assert found
            assert found == CONTENT[position : position + len(found)]
            position += len(found)
        assert source.read_into(memoryview(bytearray(1))) == 0

    def test_sound_content_is_unchanged(self, source: Source) -> None:
        source.next_chunk()
        for suspicious in (False, True):
            source.check_unchanged(suspicious=suspicious)

    def test_identity_says_what_can_be_noticed(self, source: Source) -> None:
        assert bool(source.identity) == self.notices_changes

    def test_is_not_pickled(self, source: Source) -> None:
        with pytest.raises(TypeError, match=r"pickle.*open that in the other process"):
            pickle.dumps(source)

    def test_close_can_be_repeated(self, given: Any, source: Source) -> None:
        source.read_into(memoryview(bytearray(10)))
        source.close()
        source.close()
        assert not getattr(given, "closed", False)

    def test_reads_right_after_a_fork_or_refuses(self, tmp_path: Path, isolated: Worker) -> None:
        found = isolated(read_in_parent_and_child, type(self).__name__, str(tmp_path))
        ours = CONTENT[1000:200_000]
        assert found == (ours, ours if self.survives_fork else "refused")


class RangeTests(SourceTests):
    """What holds for kinds that can restart anywhere."""

    def test_restarts_anywhere(self, source: Source) -> None:
        for position in (0, 100_000, 3, len(CONTENT), len(CONTENT) - 1):
            source.restart_at(position)
            out = bytearray(50)
            n = source.read_into(memoryview(out))
            assert out[:n] == CONTENT[position : position + 50]

    def test_ranges_leave_the_place_alone(self, source: Source) -> None:
        before, after = bytearray(10), bytearray(10)
        source.restart_at(77)
        assert source.read_into(memoryview(before)) == 10
        for begin, end in ((0, 5), (200_000, 250_001), (249_999, 260_000), (300_000, 300_005)):
            assert bytes(source.read_range(begin, end)) == CONTENT[begin:end]
        assert bytes(source.read_range(249_000, None)) == CONTENT[249_000:]
        assert source.read_into(memoryview(after)) == 10
        assert before + after == CONTENT[77:97]

    def test_ranges_go_into_given_memory(self, source: Source) -> None:
        memory = source.read_range(0, 5000)
        assert bytes(source.read_range(10, 4000, memory)) == CONTENT[10:4000]
        out = bytearray(300)
        assert source.read_range_into(len(CONTENT) - 100, memoryview(out)) == 100
        assert out[:100] == CONTENT[-100:]

    def test_threads_read_ranges_at_the_same_time(self, source: Source) -> None:
        shared = source.for_threads()

        def read(begin: int) -> bool:
            return bytes(shared.read_range(begin, begin + 999)) == CONTENT[begin : begin + 999]

        with ThreadPoolExecutor(4) as pool:
            assert all(pool.map(read, range(0, len(CONTENT), 5000)))
        assert shared.nbytes == len(CONTENT)
        assert bytes(shared.read_all(3)) == CONTENT

    def test_file_over_the_content(self, source: Source) -> None:
        file = source.as_file()
        assert file.seek(0, io.SEEK_END) == len(CONTENT)
        assert file.seek(-10, io.SEEK_END) == len(CONTENT) - 10
        assert file.read() == CONTENT[-10:]
        file.seek(1000)
        assert file.read(5) == CONTENT[1000:1005]
        assert file.tell() == 1005


class ForwardTests(SourceTests):
    """What holds for kinds that cannot go back."""

    knows_size = can_restart = survives_fork = False

    def test_refuses_to_restart(self, source: Source) -> None:
        assert source.may_wait
        with pytest.raises(io.UnsupportedOperation, match=r"can seek, to go to byte 5"):
            source.restart_at(5)
        with pytest.raises(io.UnsupportedOperation, match=r"can seek, to go to byte 5"):
            source.read_range_into(5, memoryview(bytearray(1)))
        assert source.as_file() is None


class UserFileTests(SourceTests):
    """What holds for a user's file objects that can seek."""

    def test_rewind_puts_the_object_back(self, given: Any, source: Source) -> None:
        source.peek(100)
        source.rewind()
        source.close()
        assert given.read(10) == CONTENT[:10]


class ChangeTests(SourceTests):
    """What holds for kinds that can tell that their content has changed."""

    notices_changes = True

    def change(self, folder: Path) -> None:
        """Write other content to where the object reads from."""
        raise NotImplementedError

    def test_notices_a_change(self, source: Source, tmp_path: Path) -> None:
        before = dict(source.identity)
        self.change(tmp_path)
        with pytest.raises(SourceChangedError, match="expected the file to stay as it was"):
            source.check_unchanged(suspicious=True)
        assert source.identity == before

    def test_identity_is_that_of_the_content(self, given: SourceLike, tmp_path: Path) -> None:
        identities = []
        for changed in (False, False, True):
            if changed:
                self.change(tmp_path)
            with contextlib.suppress(IdxError), contextlib.closing(open_source(given)) as source:
                identities.append(dict(source.identity))
        assert identities[0] == identities[1]
        assert identities[0] not in identities[2:]


def read_in_parent_and_child(kind: str, folder: str) -> tuple[Any, Any]:
    """Read in turn in two processes that share a source; return what each has found."""
    tests: SourceTests = globals()[kind]()
    with tests.user_object(Path(folder)) as given, contextlib.closing(open_source(given)) as source:
        source.read_into(memoryview(bytearray(1000)))
        requests, answers = os.pipe(), os.pipe()
        child = os.fork()
        if child == 0:
            found = read_in_turn(source, requests[0], answers[1])
            Path(folder, "child").write_bytes(pickle.dumps(found))
            os._exit(0)
        found = read_in_turn(source, answers[0], requests[1], first=True)
        os.waitpid(child, 0)
        return found, pickle.loads(Path(folder, "child").read_bytes())


def read_in_turn(source: Source, wait: int, tell: int, *, first: bool = False) -> bytes | str:
    """Read small pieces, one each time that the other process has read one."""
    pieces = []
    refused = False
    for turn in range(20):
        if turn or not first:
            os.read(wait, 1)
        out = bytearray(9950)
        try:
            source.read_into(memoryview(out))
        except RuntimeError:
            refused = True
        pieces.append(bytes(out))
        os.write(tell, b".")
    return "refused" if refused else b"".join(pieces)


class TestMemory(RangeTests):
    @contextlib.contextmanager
    def user_object(self, folder: Path) -> Iterator[SourceLike]:
        yield bytearray(CONTENT)


class TestPath(RangeTests, ChangeTests):
    @contextlib.contextmanager
    def user_object(self, folder: Path) -> Iterator[SourceLike]:
        path = folder / "file"
        if not path.exists():
            path.write_bytes(CONTENT)
        yield path

    def change(self, folder: Path) -> None:
        (folder / "file").write_bytes(OTHER)

    def test_closes_what_it_opened(self, source: Source) -> None:
        source.close()
        with pytest.raises(ValueError, match="closed"):
            source.next_chunk()


class TestOpenFile(TestPath, UserFileTests):
    """A file that the user opened, from the middle on."""

    @contextlib.contextmanager
    def user_object(self, folder: Path) -> Iterator[SourceLike]:
        path = folder / "file"
        if not path.exists():
            path.write_bytes(b"before" + CONTENT)
        with path.open("rb") as file:
            file.read(6)
            yield file

    def test_closes_what_it_opened(self, source: Source) -> None:
        source.close()

    def test_file_that_the_user_closed_is_not_read(self, given: Any, source: Source) -> None:
        """The number of its descriptor may be another file's by now."""
        given.close()
        source.restart_at(0)
        with pytest.raises(ValueError, match="closed"):
            source.next_chunk()


class TestOpenFileForWriting(TestOpenFile):
    """What was written and not yet flushed counts."""

    @contextlib.contextmanager
    def user_object(self, folder: Path) -> Iterator[SourceLike]:
        path = folder / "file"
        fresh = not path.exists()
        with path.open("w+b" if fresh else "r+b") as file:
            if fresh:
                file.write(b"before" + CONTENT)
            file.seek(6)
            yield file


class TestTemporaryFile(RangeTests, ChangeTests, UserFileTests):
    @contextlib.contextmanager
    def user_object(self, folder: Path) -> Iterator[SourceLike]:
        with tempfile.NamedTemporaryFile(dir=folder) as file:
            file.write(CONTENT)
            file.seek(0)
            yield file

    def change(self, folder: Path) -> None:
        next(folder.glob("tmp*")).write_bytes(OTHER)


class TestBytesIO(RangeTests, UserFileTests):
    @contextlib.contextmanager
    def user_object(self, folder: Path) -> Iterator[SourceLike]:
        file = io.BytesIO(b"before" + CONTENT)
        file.seek(6)
        yield file


class TestMmap(RangeTests, UserFileTests):
    """It seeks; before Python 3.13 it has no method to say so."""

    @contextlib.contextmanager
    def user_object(self, folder: Path) -> Iterator[SourceLike]:
        path = folder / "file"
        path.write_bytes(b"before" + CONTENT)
        with (
            path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
        ):
            mapped.seek(6)
            yield mapped


class TestTarMember(RangeTests, UserFileTests):
    """Its reads seek in the archive's file, whose position processes share."""

    survives_fork = False

    @contextlib.contextmanager
    def user_object(self, folder: Path) -> Iterator[SourceLike]:
        path = folder / "file.tar"
        with tarfile.open(path, "w") as archive:
            info = tarfile.TarInfo("file")
            info.size = len(CONTENT)
            archive.addfile(info, io.BytesIO(CONTENT))
        with tarfile.open(path) as archive:
            member = archive.extractfile("file")
            assert member is not None
            with member:
                yield member


class TestGzipFile(UserFileTests):
    """A file that decompresses by itself: to know its size takes a pass through it."""

    knows_size = False
    survives_fork = False

    @contextlib.contextmanager
    def user_object(self, folder: Path) -> Iterator[SourceLike]:
        path = folder / "file.gz"
        path.write_bytes(gzip.compress(CONTENT, 1))
        with gzip.open(path) as file:
            yield file


class TestStreamThatCannotSeek(ForwardTests):
    @contextlib.contextmanager
    def user_object(self, folder: Path) -> Iterator[SourceLike]:
        yield NoSeek(CONTENT)


class TestObjectWithReadAlone(ForwardTests):
    @contextlib.contextmanager
    def user_object(self, folder: Path) -> Iterator[SourceLike]:
        yield OnlyRead(CONTENT)


class TestNamedPipe(ForwardTests):
    @contextlib.contextmanager
    def user_object(self, folder: Path) -> Iterator[SourceLike]:
        path = folder / "pipe"
        path.unlink(missing_ok=True)
        os.mkfifo(path)

        def feed() -> None:
            with contextlib.suppress(BrokenPipeError):
                path.write_bytes(CONTENT)

        with ThreadPoolExecutor(1) as pool:
            pool.submit(feed)
            yield path

    def test_reads_right_after_a_fork_or_refuses(self) -> None:  # type: ignore[override]
        """Left out: the thread that feeds the pipe does not live in the forked process."""


class TestDeflatedZipMember(TestPath):
    method = zipfile.ZIP_DEFLATED

    @contextlib.contextmanager
    def user_object(self, folder: Path) -> Iterator[SourceLike]:
        path = folder / "file.zip"
        if not path.exists():
            with zipfile.ZipFile(path, "w", self.method) as archive:
                archive.writestr("file", CONTENT)
        yield f"zip://file::{path}"

    def change(self, folder: Path) -> None:
        (folder / "file.zip").write_bytes(OTHER)


class TestStoredZipMember(TestDeflatedZipMember):
    method = zipfile.ZIP_STORED


class TestBzip2ZipMember(ChangeTests):
    """Its size is the archive's claim only; it goes back to its beginning."""

    knows_size = False
    method = zipfile.ZIP_BZIP2
    user_object = TestDeflatedZipMember.user_object
    change = TestDeflatedZipMember.change

    def test_goes_back_to_the_beginning(self, source: Source) -> None:
        for _ in range(2):
            source.restart_at(0)
            out = bytearray(1000)
            assert source.read_into(memoryview(out)) == 1000
            assert out == CONTENT[:1000]


class TestRemote(RangeTests, ChangeTests):
    """A URL on a server with ranges and entity tags."""

    survives_fork = False

    @pytest.fixture(autouse=True)
    def server(self, http_server: FaultyServer) -> None:
        pytest.importorskip("fsspec", reason="fsspec is not installed (extra: remote)")
        pytest.importorskip("aiohttp", reason="aiohttp is not installed (extra: remote)")
        self.http_server = http_server
        self.url = http_server.serve("conformance", CONTENT)

    @contextlib.contextmanager
    def user_object(self, folder: Path) -> Iterator[SourceLike]:
        yield self.url

    def change(self, folder: Path) -> None:
        self.http_server.serve("conformance", OTHER, etag='"2"')

    def test_reads_right_after_a_fork_or_refuses(self) -> None:  # type: ignore[override]
        """Left out: a forked process has no connection; the reader opens the URL anew there."""
