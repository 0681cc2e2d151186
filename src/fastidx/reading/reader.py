"""IDX files as data sources: items, slices and batches, without loading the whole."""

from __future__ import annotations

import contextlib
import operator
import os
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from fastidx.base.memory import Bytes1D, for_results
from fastidx.base.threads import available_threads, check_threads
from fastidx.codecs.access import Access, PlacedReader, read_in_threads
from fastidx.codecs.detect import Decoder, open_decoder
from fastidx.codecs.forward import ForwardAccess
from fastidx.codecs.ranges import PlainAccess
from fastidx.errors import IdxError, SourceChangedError, TruncatedError
from fastidx.format.faults import truncated_error
from fastidx.format.header import IdxHeader
from fastidx.gzipped.access import GzipAccess
from fastidx.gzipped.checkpoints import CheckpointLog
from fastidx.gzipped.index import GzipIndex, find_index, fingerprint, needs_gzip
from fastidx.items.conversion import Number, conversion_for
from fastidx.items.destination import Destination, bytes_of_out
from fastidx.opening.idx import OpenIdx, open_idx
from fastidx.opening.open import open_source
from fastidx.sources.memory import MemorySource
from fastidx.sources.protocol import Source, SourceLike

from .selection import checked_numbers, numbers_of, out_of_bounds, runs_of

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    import numpy.typing as npt

# Data between two checkpoints: what a random item costs to decode (about 1 ms), against the 32 KiB
# that each holds.
_SPACING_NBYTES = 1 << 20
# Windows held for a stream that is only passed through: 2 MiB of them.
_MOST_CHECKPOINTS = 65
# Slices smaller than this are not worth a second thread.
_MIN_PARALLEL_NBYTES = 4 << 20
# Items gathered by number are read together where the gaps between them are not larger.
_GAP_NBYTES = 64 * 1024
_BATCH_NBYTES = 1 << 20
# What a server is asked for at once, at most, where one piece is read after the other.
_PIECE_NBYTES = 2 << 20


class IdxReader:
    """An open IDX file, from `fastidx.open`.

    It is a sequence of items along the first axis, and behaves as the loaded array does:
    ``reader[i]``, ``reader[a:b:c]`` and ``reader[indices]`` give arrays of their own. `read_into`
    and `batches` go through the file with bounded memory. As a sequence with ``__getitem__`` and
    ``__getitems__`` it is a data set for torch's DataLoader and a source for Grain.

    All methods may be called from several threads; one at a time works. A reader of a path, URL or
    bytes can be pickled, and used after a fork: the other process opens the source anew.
    """

    def __init__(
        self,
        source: SourceLike,
        *,
        dtype: npt.DTypeLike | None = None,
        scale: Number | None = None,
        offset: Number | None = None,
        lut: npt.ArrayLike | None = None,
        index: str | os.PathLike[str] | GzipIndex | None = None,
        threads: int | None = None,
        verify: bool = True,
        storage_options: Mapping[str, Any] | None = None,
    ) -> None:
        self._closed = True
        self._given = _absolute(source)
        self._options: dict[str, Any] = {
            "dtype": dtype,
            "scale": scale,
            "offset": offset,
            "lut": lut,
            "threads": threads,
            "verify": verify,
            "storage_options": storage_options,
        }
        self._threads = available_threads() if threads is None else check_threads(threads)
        self._verify = verify
        self._log = CheckpointLog(_SPACING_NBYTES, _MOST_CHECKPOINTS)
        self._open()
        try:
            self._use_index(index)
        except BaseException:
            self.close()
            raise

    # ---- Opening and closing ----

    def _open(self) -> None:
        self._lock = threading.RLock()
        self._pid = os.getpid()
        self._source = open_source(
            self._given,
            storage_options=self._options["storage_options"],
            read_ahead=False,
        )
        self._closed = False
        try:
            self._source.limit_pieces(_PIECE_NBYTES)
            idx = open_idx(self._source, verify=self._verify, plausible="compressed")
            self._header = idx.header
            self._conversion = conversion_for(
                self._header,
                self._options["dtype"],
                self._options["scale"],
                self._options["offset"],
                self._options["lut"],
                name=self._source.name,
            )
            self._choose_access(idx)
        except BaseException:
            self.close()
            raise

    def _choose_access(self, idx: OpenIdx) -> None:
        """Choose how to reach the data; only a gzip file that can restart has checkpoints."""
        source, header = idx.source, idx.header
        anywhere = source.can_restart and source.nbytes is not None
        self._gzip: GzipAccess | None = None
        self._access: Access
        if anywhere and header.compression == "gzip":
            self._access = self._gzip = GzipAccess(source, self._log, verify=self._verify)
        elif anywhere and header.compression is None:
            self._access = PlainAccess(source)
        else:
            # Not a method of this reader, which would keep itself alive then.
            again = partial(_new_decoder, source, self._verify)
            self._access = ForwardAccess(source, idx.decoder, header.header_nbytes, again)

    def _continue_as(self, identity: Mapping[str, object], index: GzipIndex | None) -> None:
        """Become what a pickled reader was, if the file is still that one."""
        self._check_identity(identity)
        self._use_index(index)

    def _use_index(self, index: Any) -> None:
        found = find_index(index, self._source, self._header.compression)
        if found is not None:
            nbytes = self._header.header_nbytes + self._header.nbytes
            self._log = CheckpointLog.of_index(found, nbytes)
            self._gzip_access().log = self._log

    def _gzip_access(self) -> GzipAccess:
        if self._gzip is None:
            raise ValueError(needs_gzip(self._source.name))
        return self._gzip

    def _read_at(self, position: int, nbytes: int) -> memoryview:
        return self._source.read_range(position, position + nbytes)

    def close(self) -> None:
        """Close the source, if it was opened here; the reader cannot be used any more."""
        with self._lock:  # another thread may be reading
            if not self._closed:
                self._closed = True
                self._source.close()

    @property
    def closed(self) -> bool:
        """Whether the reader has been closed."""
        return self._closed

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            message = f"unclosed reader of {self._source.name}"
            warnings.warn(message, ResourceWarning, stacklevel=2, source=self)
            self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        if hasattr(self._given, "read"):
            raise TypeError(
                f"{self._source.name}: expected a reader of a path, URL or bytes to pickle, found "
                "one of a file object, which another process cannot open; open the path instead"
            )
        index = self._as_index() if self._log.complete else None
        return _reopen, (self._given, self._options, index, dict(self._source.identity))

    def __repr__(self) -> str:
        state = "closed" if self._closed else self._header.compression or "plain"
        return f"<IdxReader of {self._source.name}: {self.dtype} {self.shape}, {state}>"

    def _check_open(self) -> None:
        if self._closed:
            raise ValueError(f"{self._source.name}: the reader has been closed; open it again")

    def _usable(self) -> threading.RLock:
        """Return the lock under which the reader may be used, in this process."""
        self._check_open()
        if self._pid != os.getpid():
            # A thread that the forked process does not have may hold the parent's lock.
            self._lock = threading.RLock()
            self._pid = os.getpid()
            # A user's file object cannot be opened again: it says itself what it refuses.
            if not self._source.survives_fork and not hasattr(self._given, "read"):
                log, identity = self._log, self._source.identity
                self._source.close()
                self._open()
                self._check_identity(identity)
                self._log = log
                if self._gzip is not None:
                    self._gzip.log = log
        return self._lock

    def _check_identity(self, identity: Mapping[str, object]) -> None:
        """Refuse another file in the place of the one that was opened first."""
        now = self._source.identity
        changed = [key for key in sorted(identity.keys() & now.keys()) if identity[key] != now[key]]
        if changed:
            self.close()
            raise SourceChangedError(
                f"{self._source.name}: expected the file that the reader was opened with, found "
                f"another in its place ({', '.join(changed)} differ); open it anew"
            )

    # ---- What it is ----

    @property
    def header(self) -> IdxHeader:
        """The file's header."""
        return self._header

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the whole."""
        return self._header.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the items as they are returned."""
        return self._header.dtype if self._conversion is None else self._conversion.dtype

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return self._header.ndim

    def __len__(self) -> int:
        if not self._header.shape:
            raise TypeError("len() of a file of one single element")
        return int(self._header.shape[0])

    # ---- Reading ----

    def read_into(self, out: Any, start: int = 0) -> int:
        """Read items into the caller's memory.

        Parameters
        ----------
        out : ndarray
            Of type `dtype` and of shape ``(n, *shape[1:])``, C-contiguous and writable.
        start : int
            Number of the first item.

        Returns
        -------
        int
            How many items were read: n, or fewer at the end of the file.
        """
        self._check_open()
        total = len(self)
        start = operator.index(start)
        if not 0 <= start <= total:
            raise IndexError(f"start: expected an item from 0 to {total}, found {start}")
        memory = self._memory_of_out(out)
        n = min(len(out), total - start)
        nbytes = n * self._item_result_nbytes
        self._read(memory[:nbytes], start, n)
        return n

    def batches(
        self,
        n: int,
        *,
        out: np.ndarray[Any, Any] | None = None,
        drop_last: bool = False,
        start: int = 0,
        stop: int | None = None,
    ) -> Iterator[np.ndarray[Any, Any]]:
        """Go through the file in batches of ``n`` items.

        Parameters
        ----------
        n : int
            Items of a batch; the last may be smaller.
        out : ndarray, optional
            Memory for one batch, to be used for all: each is then valid until the next.
        drop_last : bool
            Leave a smaller last batch out.
        start, stop : int
            Which items to go through, as in a slice.

        Yields
        ------
        ndarray
            Of shape ``(n, *shape[1:])``.

        Examples
        --------
        >>> import fastidx
        >>> with fastidx.open(bytes.fromhex("00000801 00000005 0504010902")) as reader:
        ...     [batch.tolist() for batch in reader.batches(2)]
        [[5, 4], [1, 9], [2]]
        """
        self._check_open()
        n = operator.index(n)
        if n < 1:
            raise ValueError(f"n: expected a positive number of items, found {n}")
        if out is not None:
            self._memory_of_out(out, n)
        first, last, _ = slice(start, stop).indices(len(self))
        return self._batches(n, out, drop_last, first, last)

    def _batches(
        self, n: int, out: np.ndarray[Any, Any] | None, drop_last: bool, first: int, last: int
    ) -> Iterator[np.ndarray[Any, Any]]:
        if len(self) == 0:
            self._finish()
        for begin in range(first, last, n):
            size = min(n, last - begin)
            if size < n and drop_last:
                return
            self._check_held((begin + size) * self._header.item_nbytes)
            batch = self._new_array(size) if out is None else out[:size]
            self.read_into(batch, begin)
            yield batch
            if begin + size == len(self) and not self._closed:
                self._finish()

    def __iter__(self) -> Iterator[np.ndarray[Any, Any]]:
        n = max(1, _BATCH_NBYTES // max(1, self._item_result_nbytes))
        for batch in self.batches(n):
            yield from batch

    def __getitem__(self, key: Any) -> Any:
        self._check_open()
        first, rest = (key[0], key[1:]) if isinstance(key, tuple) and key else (key, ())
        if not self.shape:
            return np.asarray(self)[key]
        if isinstance(first, slice):
            items = self._slice(first)
            return items[(slice(None), *rest)] if rest else items
        if isinstance(first, (int, np.integer)) and not isinstance(first, bool):
            # An integer beside arrays is one of them to numpy, so let it see one.
            return self._item(int(first))[(0, *rest)]
        numbers = None if rest else numbers_of(first, len(self))
        if numbers is not None:
            return self._gather(numbers)
        # What is left is rare, and numpy's: the whole answers it.
        return np.asarray(self)[key]

    def __getitems__(self, numbers: Sequence[int]) -> np.ndarray[Any, Any]:
        """Return a batch of items by number, which torch's DataLoader asks for in one call."""
        self._check_open()
        return self._gather(np.asarray(numbers))

    def __array__(
        self, dtype: npt.DTypeLike | None = None, copy: bool | None = None
    ) -> np.ndarray[Any, Any]:
        if copy is False:
            raise ValueError("an array of a file cannot be made without a copy; see as_memmap()")
        self._check_open()
        header = self._header
        self._check_held(header.nbytes)
        memory = for_results(header.nbytes // header.dtype.itemsize * self.dtype.itemsize)
        self._read_bytes(memory, 0, header.nbytes)
        array = memory.view(self.dtype).reshape(self.shape)
        self._finish()
        return array if dtype is None else array.astype(dtype, copy=False)

    def as_memmap(self) -> np.ndarray[Any, Any]:
        """Map an uncompressed local file, or view uncompressed bytes, without reading them.

        Returns
        -------
        ndarray
            Read-only, big-endian as the file is, and valid while the file stays as it is.
        """
        self._check_open()
        header, source = self._header, self._given
        if header.compression is not None or self._conversion is not None:
            raise ValueError(
                f"{self._source.name}: expected an uncompressed file and no conversion to map it, "
                "found one that has to be decoded; read it instead"
            )
        self._check_held(header.nbytes)
        if isinstance(source, (str, os.PathLike)) and os.path.exists(source):
            return np.memmap(
                source, header.file_dtype, "r", offset=header.header_nbytes, shape=header.shape
            )
        if isinstance(self._source, MemorySource):
            data = np.frombuffer(self._source.read_all(1), np.uint8)[header.header_nbytes :]
            view = data[: header.nbytes].view(header.file_dtype).reshape(header.shape)
            view.flags.writeable = False
            return view
        raise ValueError(
            f"{self._source.name}: expected a local file or bytes to map, found another source"
        )

    # ---- Index ----

    def build_index(
        self,
        *,
        spacing: int = _SPACING_NBYTES,
        progress: Callable[[int], object] | None = None,
    ) -> GzipIndex:
        """Decode the file once, if need be, and return where decoding can start.

        Parameters
        ----------
        spacing : int
            Bytes of data between two checkpoints, about; each takes 32 KiB.
        progress : callable, optional
            Called now and then with how many bytes of data have been decoded since the last call.

        Returns
        -------
        GzipIndex
            To be saved, or passed to `fastidx.open` or `fastidx.load`.

        Raises
        ------
        ValueError
            If this is not a gzip file that can seek.
        IdxError
            If the file is damaged: all of it is checked.
        """
        with self._usable():
            access = self._gzip_access()
            if not self._log.complete or self._log.spacing > spacing:
                log = access.log = CheckpointLog(spacing)
                access.decode_all(progress)
                if not log.complete:
                    raise TruncatedError(
                        f"{self._source.name}: expected the end of the gzip stream, found that it "
                        f"was cut after {log.nbytes:,} bytes of data or more; fetch it again"
                    )
                self._log = log
            return self._as_index()

    # ---- Inside ----

    def _as_index(self) -> GzipIndex:
        log, nbytes = self._log, self._source.nbytes or 0
        complete = self._verify and len(log.crcs) == len(log.points)
        return GzipIndex(
            nbytes,
            log.nbytes,
            log.spacing,
            list(log.points),
            list(log.crcs) if complete else None,
            fingerprint(nbytes, self._read_at, source=self._source.name),
        )

    @property
    def _item_result_nbytes(self) -> int:
        return self._header.item_nbytes // self._header.dtype.itemsize * self.dtype.itemsize

    def _check_held(self, nbytes: int) -> None:
        """Refuse data that the file is known not to hold, before memory is taken for them."""
        header, known = self._header, self._access.known_nbytes
        if known is not None and header.header_nbytes + nbytes > known:
            held = max(0, known - header.header_nbytes)
            with self._changes_noticed():
                raise truncated_error(header, self._source.name, held, False)

    def _new_array(self, n: int) -> np.ndarray[Any, Any]:
        memory = for_results(n * self._item_result_nbytes)
        return memory.view(self.dtype).reshape((n, *self.shape[1:]))

    def _memory_of_out(self, out: Any, n: int | None = None) -> Bytes1D:
        if not isinstance(out, np.ndarray) or not out.ndim:
            raise TypeError(f"out: expected an array of items, found {type(out).__name__}")
        return bytes_of_out(out, (len(out) if n is None else n, *self.shape[1:]), self.dtype)

    def _slice(self, key: slice) -> np.ndarray[Any, Any]:
        numbers = range(*key.indices(len(self)))
        if not numbers:
            return self._new_array(0)
        self._check_held((max(numbers[0], numbers[-1]) + 1) * self._header.item_nbytes)
        if abs(numbers.step) != 1:
            return self._gather(np.array(numbers))
        items = self._new_array(len(numbers))
        self._read(items.reshape(-1).view(np.uint8), min(numbers), len(numbers))
        return items if numbers.step == 1 else np.ascontiguousarray(items[::-1])

    def _item(self, number: int) -> np.ndarray[Any, Any]:
        """Read one item, as an array of one."""
        total = len(self)
        if not -total <= number < total:
            raise out_of_bounds(number, total)
        self._check_held((number % total + 1) * self._header.item_nbytes)
        item = self._new_array(1)
        self._read(item.reshape(-1).view(np.uint8), number % total, 1)
        return item

    def _gather(self, numbers: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Read items by number, in the order of the file, and those near each other together."""
        places = checked_numbers(numbers, len(self))
        if len(places):
            self._check_held((int(places.max()) + 1) * self._header.item_nbytes)
        items = self._new_array(len(places))
        gap = max(1, _GAP_NBYTES // max(1, self._header.item_nbytes))
        for run in runs_of(places, gap=gap, most=16 * gap):
            found = self._new_array(run.stop - run.start)
            self._read(found.reshape(-1).view(np.uint8), run.start, len(found))
            items[run.where] = found[places[run.where] - run.start]
        return items

    def _read(self, memory: Bytes1D, first: int, n: int) -> None:
        item = self._header.item_nbytes
        self._read_bytes(memory, first * item, n * item)

    def _read_bytes(self, memory: Bytes1D, begin: int, nbytes: int) -> None:
        """Read the data's bytes from ``begin`` on to results in memory."""
        if nbytes == 0:
            return
        with self._usable(), self._changes_noticed():
            self._read_bytes_locked(memory, begin, nbytes)

    @contextlib.contextmanager
    def _changes_noticed(self) -> Iterator[None]:
        """Say it by a `SourceChangedError` if a fault comes of the source being another by now."""
        try:
            yield
        except SourceChangedError:
            raise
        except IdxError:
            self._source.check_unchanged(suspicious=True)
            raise
        # A server is asked once, at the end of a pass.
        if not self._access.notices_changes and not self._source.costly:
            self._source.check_unchanged(suspicious=True)

    def _read_bytes_locked(self, memory: Bytes1D, begin: int, nbytes: int) -> None:
        header, name = self._header, self._source.name
        destination = Destination(header, self._conversion, memory, nbytes)
        place = header.header_nbytes + begin
        end = place + nbytes
        large = self._threads > 1 and nbytes >= _MIN_PARALLEL_NBYTES
        reader: PlacedReader
        if large and read_in_threads(self._access, destination, place, self._threads):
            reader = self._access.at(end, end)
        else:
            reader = self._access.at(place, end)
            if reader.position < place:
                held = max(0, reader.position - header.header_nbytes)
                raise truncated_error(header, name, held, reader.truncated)
            done = destination.read(reader, 0, nbytes)
            if done < nbytes:
                raise truncated_error(header, name, begin + done, reader.truncated)
        if begin + nbytes == header.nbytes:
            self._access.check_end(reader, header, name)

    def _finish(self) -> None:
        """Run the checks at the end of a pass that no item has run."""
        header, name = self._header, self._source.name
        with self._usable(), self._changes_noticed():
            if header.nbytes == 0:
                place = header.header_nbytes
                self._access.check_end(self._access.at(place, place), header, name)
            self._access.finish(header, name)
            if self._source.costly:
                self._source.check_unchanged(suspicious=False)


def _absolute(source: SourceLike) -> SourceLike:
    """Return a path as it must be after a change of the working directory."""
    if isinstance(source, str):
        archive, separator, path = source.rpartition("::")
        if "://" in path or (separator and not archive.startswith("zip://")):
            return source
        return f"{archive}{separator}{os.path.abspath(path)}" if path else source
    return os.path.abspath(os.fsdecode(source)) if isinstance(source, os.PathLike) else source


def _new_decoder(source: Source, verify: bool) -> Decoder:
    return open_decoder(source, verify=verify)[0]


def _reopen(
    source: SourceLike,
    options: dict[str, Any],
    index: GzipIndex | None,
    identity: Mapping[str, object],
) -> IdxReader:
    reader = IdxReader(source, **options)
    try:
        reader._continue_as(identity, index)
    except BaseException:
        reader.close()
        raise
    return reader
