"""compat.opendatasets: what the page of Azure Open Datasets shows, against servers on this machine.

The container is a plain HTTP server that serves ``/mnist/<file>``, and Azurite where it is
installed.
"""

from __future__ import annotations

import gzip
import inspect
import io
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from compat_peers import idx_bytes
from datasets_samples import Sample
from servers.dataset_server import PORTAL, DatasetServer

import fastidx
from fastidx.compat.opendatasets import MNIST, load_data, load_dataframe
from fastidx.datasets import DownloadError, MissingFileError, registry

SAMPLE = Sample("mnist")
FILES = {f"/{name}": data for name, data in SAMPLE.files.items()}
TRAIN, TEST = SAMPLE.expected("train"), SAMPLE.expected("test")
NAMES = sorted(SAMPLE.files)


@pytest.fixture(autouse=True)
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[DatasetServer]:
    """Serve a sample as the public mirrors do, to a machine that has no files."""
    monkeypatch.setitem(registry.DATASETS, "mnist", SAMPLE.dataset)
    monkeypatch.delenv("FASTIDX_OFFLINE", raising=False)
    monkeypatch.setenv("FASTIDX_DATA_DIR", str(tmp_path / "cache"))
    with DatasetServer(SAMPLE.served()) as running:
        monkeypatch.setenv("FASTIDX_MIRROR", running.url)
        yield running


@pytest.fixture
def private(monkeypatch: pytest.MonkeyPatch) -> Iterator[DatasetServer]:
    """Serve the sample as somebody's own container, and let no mirror be known."""
    monkeypatch.delenv("FASTIDX_MIRROR")
    with DatasetServer({f"/mine/digits{path}": data for path, data in FILES.items()}) as running:
        yield running


# load_data


@pytest.mark.parametrize("compressed", [True, False])
def test_load_data(tmp_path: Path, compressed: bool) -> None:
    images, labels = TRAIN
    compress = gzip.compress if compressed else bytes
    (tmp_path / "images.gz").write_bytes(compress(idx_bytes(images)))
    (tmp_path / "labels.gz").write_bytes(compress(idx_bytes(labels)))
    for name in (tmp_path / "images.gz", str(tmp_path / "images.gz")):
        rows = load_data(name)
        np.testing.assert_array_equal(rows, images.reshape(60, 784), strict=True)
    column = load_data(tmp_path / "labels.gz", True)
    np.testing.assert_array_equal(column, labels.reshape(60, 1), strict=True)
    assert rows.flags.writeable and column.flags.writeable
    with gzip.open(io.BytesIO(gzip.compress(idx_bytes(labels)))) as file:
        np.testing.assert_array_equal(load_data(file, label=True), column)


def test_load_data_as_the_page_has_it() -> None:
    assert list(inspect.signature(load_data).parameters) == ["filename", "label"]
    assert inspect.signature(load_data).parameters["label"].default is False


def damaged(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


@pytest.mark.parametrize(
    ("damage", "kind", "own"),
    [
        (lambda data: data[:-100], EOFError, fastidx.TruncatedError),
        (lambda data: damaged(data, -5), gzip.BadGzipFile, fastidx.ChecksumError),
        (lambda data: damaged(data, 2), gzip.BadGzipFile, fastidx.CorruptError),
        (lambda data: damaged(data, 20), zlib.error, fastidx.CorruptError),
        (lambda _: b"<!DOCTYPE html>", gzip.BadGzipFile, fastidx.HeaderError),
        (lambda _: gzip.compress(b"\0\0\x08\x03\0\0"), struct.error, fastidx.TruncatedError),
        (lambda _: gzip.compress(idx_bytes(TRAIN[1])), ValueError, fastidx.HeaderError),
        (lambda _: gzip.compress(idx_bytes(TRAIN[0])[:-1]), ValueError, fastidx.TruncatedError),
    ],
)
def test_load_data_of_bad_files(
    tmp_path: Path, damage: Any, kind: type[Exception], own: type[Exception]
) -> None:
    """The second type is what the page's function raises."""
    path = tmp_path / "images.gz"
    path.write_bytes(damage(gzip.compress(idx_bytes(TRAIN[0]))))
    with pytest.raises(kind) as info:
        load_data(path)
    assert isinstance(info.value, own) and "images.gz" in str(info.value)


def test_load_data_of_no_file() -> None:
    with pytest.raises(FileNotFoundError):
        load_data("no/such/file")


def test_load_dataframe(tmp_path: Path) -> None:
    frames = pytest.importorskip("pandas", reason="pandas is not installed")
    (tmp_path / "images.gz").write_bytes(gzip.compress(idx_bytes(TRAIN[0])))
    (tmp_path / "labels.gz").write_bytes(gzip.compress(idx_bytes(TRAIN[1])))
    images = load_dataframe(tmp_path / "images.gz")
    frames.testing.assert_frame_equal(images, frames.DataFrame(TRAIN[0].reshape(60, 784)))
    labels = load_dataframe(tmp_path / "labels.gz", label=True)
    frames.testing.assert_frame_equal(labels, frames.DataFrame(TRAIN[1].reshape(60, 1)))


# The table


@pytest.mark.parametrize("chosen", [None, "all", "train", "test"])
def test_pandas_dataframe(chosen: str | None, server: DatasetServer) -> None:
    pytest.importorskip("pandas", reason="pandas is not installed")
    frame = MNIST.get_tabular_dataset(dataset_filter=chosen).to_pandas_dataframe()
    parts = [TRAIN] * (chosen != "test") + [TEST] * (chosen != "train")
    images = np.concatenate([images for images, _ in parts])
    labels = np.concatenate([labels for _, labels in parts])
    x = frame.drop("label", axis=1).astype(int).values / 255.0
    y = frame.filter(items=["label"]).astype(int).values
    np.testing.assert_array_equal(x, images.reshape(len(images), 784) / 255.0)
    np.testing.assert_array_equal(y, labels.reshape(-1, 1))
    assert list(frame.columns) == [*map(str, range(784)), "label"]
    assert set(frame.dtypes) == {np.dtype("uint8")} and frame.index.equals(
        type(frame.index)(len(x))
    )
    frame["label"] = 0  # a frame that is one's own
    assert len(server.requests) == 2 * len(parts)


@pytest.mark.parametrize("name", NAMES)
def test_table_where_some_files_are_here(name: str, tmp_path: Path) -> None:
    pytest.importorskip("pandas", reason="pandas is not installed")
    folder = tmp_path / "cache" / "mnist"
    folder.mkdir(parents=True)
    (folder / name).write_bytes(SAMPLE.files[name])
    frame = MNIST.get_tabular_dataset().to_pandas_dataframe()
    assert frame["label"].tolist() == [*TRAIN[1], *TEST[1]]


def test_nothing_is_fetched_before_it_is_used(server: DatasetServer) -> None:
    MNIST.get_tabular_dataset()
    MNIST.get_file_dataset(enable_telemetry=False).to_path()
    MNIST.get_file_dataset().mount("/nowhere")
    assert server.requests == []


@pytest.mark.parametrize("chosen", ["training", "", 1])
def test_unknown_filter(chosen: Any) -> None:
    for function in (MNIST.get_tabular_dataset, MNIST.get_file_dataset):
        with pytest.raises(ValueError, match="dataset_filter: expected None, 'all', 'train'"):
            function(chosen)


SPARK = """
import os, sys
os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
sys.path[:0] = sys.argv[1:]
import warnings
from datasets_samples import Sample, register
register(Sample("mnist"))
from pyspark.sql import SparkSession
settings = {
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.sql.shuffle.partitions": "2",
}
builder = SparkSession.builder.master("local[2]")
for name, value in settings.items():
    builder = builder.config(name, value)
session = builder.getOrCreate()
from fastidx.compat.opendatasets import MNIST
frame = MNIST.get_tabular_dataset("train").to_spark_dataframe()
print(frame.count(), len(frame.columns), frame.columns[0], frame.columns[-1])
print(sorted({kind for _, kind in frame.dtypes}))
rows = frame.limit(3).collect()
print([row["label"] for row in rows])
print(sum(frame.agg({str(i): "sum" for i in range(0, 784, 100)}).first()))
session.stop()
"""


@pytest.mark.slow
def test_spark_dataframe(tmp_path: Path) -> None:
    """In a process of its own, since Spark stays for good in one that has begun it."""
    for name in ("pyspark", "pyarrow"):
        pytest.importorskip(name, reason=f"{name} is not installed: there is no Spark to try")
    program = tmp_path / "program.py"
    program.write_text(SPARK)
    command = [sys.executable, str(program), str(Path(__file__).parents[1] / "support")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=200, cwd=tmp_path)
    lines = result.stdout.splitlines()[-4:]
    assert result.returncode == 0, result.stderr[-2000:]
    images, labels = TRAIN
    assert lines[0] == "60 785 0 label"
    assert lines[1] == "['smallint']"
    assert lines[2] == str(labels[:3].tolist())
    assert int(lines[3]) == images.reshape(60, 784)[:, ::100].sum()


# Files


def test_paths() -> None:
    assert MNIST.get_file_dataset().to_path() == [f"/{name}" for name in NAMES]
    assert MNIST.get_file_dataset("test").to_path() == [f"/{name}" for name in NAMES[:2]]
    assert MNIST.get_file_dataset("train").to_path() == [f"/{name}" for name in NAMES[2:]]


@pytest.mark.parametrize("chosen", [None, "train"])
def test_download(tmp_path: Path, chosen: str | None, server: DatasetServer) -> None:
    names = NAMES if chosen is None else NAMES[2:]
    folder = tmp_path / "new" / "folder"
    paths = MNIST.get_file_dataset(chosen).download(folder)
    assert paths == [str(folder / name) for name in names]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        name: SAMPLE.files[name] for name in names
    }
    assert len(server.requests) == len(names)
    (train,) = folder.glob("**/train-images-idx3-ubyte.gz")
    np.testing.assert_array_equal(load_data(train), TRAIN[0].reshape(60, 784))


def test_download_does_not_overwrite(tmp_path: Path, server: DatasetServer) -> None:
    (tmp_path / NAMES[3]).write_text("mine")
    dataset = MNIST.get_file_dataset()
    with pytest.raises(FileExistsError, match="pass overwrite=True") as info:
        dataset.download(tmp_path)
    assert info.value.filename == str(tmp_path / NAMES[3])
    assert server.requests == [] and not (tmp_path / NAMES[0]).exists()
    dataset.download(tmp_path, overwrite=True)
    assert (tmp_path / NAMES[3]).read_bytes() == SAMPLE.files[NAMES[3]]


def test_download_into_a_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    paths = MNIST.get_file_dataset("test").download()
    assert [Path(path).read_bytes() for path in paths] == [SAMPLE.files[n] for n in NAMES[:2]]


def test_files_that_were_unpacked_are_gzipped(tmp_path: Path, server: DatasetServer) -> None:
    folder = tmp_path / "cache" / "mnist"
    folder.mkdir(parents=True)
    for name in NAMES:
        (folder / name.removesuffix(".gz")).write_bytes(SAMPLE.plain(name))
    for path in MNIST.get_file_dataset().download(tmp_path / "out"):
        data = Path(path).read_bytes()
        assert data[:2] == b"\x1f\x8b" and gzip.decompress(data) == SAMPLE.plain(Path(path).name)
    assert server.requests == []


# Where the files are


def test_own_container(private: DatasetServer, tmp_path: Path) -> None:
    place: dict[str, Any] = {"endpoint": f"{private.url}/mine/", "container": "digits"}
    MNIST.get_file_dataset(**place).download(tmp_path / "out")
    assert private.counts() == {f"/mine/digits{path}": 1 for path in FILES}
    MNIST.get_file_dataset(**place).download(tmp_path / "again")
    assert len(private.requests) == 4


def test_account_is_part_of_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FASTIDX_MIRROR")
    monkeypatch.setenv("FASTIDX_OFFLINE", "1")
    for chosen, address in (
        ({}, SAMPLE.dataset.mirrors[0]),
        ({"account": "my"}, "https://my.blob.core.windows.net/mnist/"),
        ({"container": "c"}, "https://azureopendatastorage.blob.core.windows.net/c/"),
        ({"account": "my", "protocol": "abfs"}, "abfs://mnist@my.dfs.core.windows.net/"),
    ):
        with pytest.raises(MissingFileError) as info:
            MNIST.get_file_dataset(**chosen).download()  # type: ignore[arg-type]
        assert f"from {address}{NAMES[0]}" in str(info.value).replace("\n", " ")


def test_own_container_with_something_else(private: DatasetServer, tmp_path: Path) -> None:
    other = Sample("mnist", seed=1)
    private.files |= {f"/mine/digits/{name}": data for name, data in other.files.items()}
    dataset = MNIST.get_file_dataset(endpoint=f"{private.url}/mine", container="digits")
    with pytest.raises(DownloadError, match="digits/"):
        dataset.download(tmp_path / "out")
    private.faults[f"/mine/digits/{NAMES[0]}"] = iter([PORTAL])
    with pytest.raises(DownloadError):
        dataset.download(tmp_path / "out")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"protocol": "ftp"}, "protocol: expected 'https' or 'abfs', found 'ftp'"),
        ({"storage_options": {}}, "storage_options: expected only with protocol='abfs'"),
    ],
)
def test_unknown_options(options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MNIST.get_tabular_dataset(**options)


class FakeFileSystem:
    """What adlfs would be asked for."""

    files: dict[str, bytes]
    options: list[dict[str, Any]]

    def __init__(self, **options: Any) -> None:
        self.options.append(options)

    def get_file(self, path: str, target: str) -> None:
        if path not in self.files:
            raise FileNotFoundError(path)
        Path(target).write_bytes(self.files[path])


@pytest.fixture
def adlfs(monkeypatch: pytest.MonkeyPatch) -> type[FakeFileSystem]:
    class Fresh(FakeFileSystem):
        pass

    Fresh.files = {f"mnist{path}": data for path, data in FILES.items()}
    Fresh.options = []

    module = ModuleType("adlfs")
    module.AzureBlobFileSystem = Fresh  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "adlfs", module)
    return Fresh


def test_abfs(adlfs: type[FakeFileSystem], tmp_path: Path, server: DatasetServer) -> None:
    dataset = MNIST.get_file_dataset(protocol="abfs")
    dataset.download(tmp_path / "out")
    assert adlfs.options[0] == {"anon": True, "account_name": "azureopendatastorage"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(NAMES)
    adlfs.files.clear()
    dataset.download(tmp_path / "again")
    assert server.requests == []


def test_abfs_with_options(adlfs: type[FakeFileSystem]) -> None:
    options = {"connection_string": "secret"}
    dataset = MNIST.get_file_dataset("test", protocol="abfs", storage_options=options)
    dataset.download()
    assert adlfs.options[0] == options and options == {"connection_string": "secret"}


def test_abfs_with_something_else(adlfs: type[FakeFileSystem], tmp_path: Path) -> None:
    adlfs.files[f"mnist/{NAMES[1]}"] = b"not the file"
    dataset = MNIST.get_file_dataset(protocol="abfs", account="my")
    with pytest.raises(DownloadError, match="from the account my: not the file: 12 bytes"):
        dataset.download(tmp_path / "out")
    del adlfs.files[f"mnist/{NAMES[1]}"]
    with pytest.raises(DownloadError, match=rf"mnist/{NAMES[1]} could not be fetched"):
        dataset.download(tmp_path / "out")
    folder = tmp_path / "cache" / "mnist"
    assert {path.name for path in folder.iterdir() if not path.name.startswith(".")} <= set(NAMES)


def test_abfs_offline(adlfs: type[FakeFileSystem], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTIDX_OFFLINE", "1")
    with pytest.raises(MissingFileError, match="FASTIDX_OFFLINE is set"):
        MNIST.get_file_dataset(protocol="abfs").download()
    assert adlfs.options == []


@pytest.fixture(scope="module")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    stores = pytest.importorskip("servers.stores", reason="the server of blobs is missing")
    folder = tmp_path_factory.mktemp("azurite")
    for name, data in SAMPLE.files.items():
        (folder / name).write_bytes(data)
    running = stores.Azurite(sorted(folder.iterdir()))
    yield running
    running.stop()


@pytest.mark.slow
def test_azurite_by_https(azurite: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("FASTIDX_MIRROR")
    dataset = MNIST.get_file_dataset(endpoint=azurite.address)
    for path in dataset.download(tmp_path / "out"):
        assert Path(path).read_bytes() == SAMPLE.files[Path(path).name]


@pytest.mark.slow
def test_azurite_without_the_container(azurite: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FASTIDX_MIRROR")
    with pytest.raises(DownloadError, match="HTTP 403"):  # Azure itself says 404
        MNIST.get_file_dataset(endpoint=azurite.address, container="none").download()
    with pytest.raises(DownloadError, match="abfs://none/"):
        MNIST.get_file_dataset(
            protocol="abfs", container="none", storage_options=azurite.storage_options
        ).download()


@pytest.mark.slow
def test_azurite_by_abfs(azurite: Any, tmp_path: Path) -> None:
    dataset = MNIST.get_file_dataset(protocol="abfs", storage_options=azurite.storage_options)
    for path in dataset.download(tmp_path / "out"):
        assert Path(path).read_bytes() == SAMPLE.files[Path(path).name]


@pytest.mark.parametrize(
    ("module", "call", "extra"),
    [
        ("pandas", lambda: load_dataframe("images.gz"), "pandas"),
        ("pandas", lambda: MNIST.get_tabular_dataset().to_pandas_dataframe(), "pandas"),
        ("pyspark.sql", lambda: MNIST.get_tabular_dataset().to_spark_dataframe(), "spark"),
        ("adlfs", lambda: MNIST.get_file_dataset(protocol="abfs").download(), "remote"),
    ],
)
def test_missing_package(
    module: str, call: Any, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf'{module}.*pip install "fastidx\[{extra}\]"'):
        call()
