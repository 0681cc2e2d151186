"""Files that are on the machine already: found wherever they are, checked, never copied."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import os
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from datasets_samples import Sample, plain_idx

import fastidx
from fastidx import datasets
from fastidx.datasets import copies, registry
from fastidx.datasets.copies import data_dir as default_folder

MNIST = Sample("mnist")
FASHION = Sample("fashion-mnist")
LETTERS = Sample("emnist-letters")
NAMES = list(MNIST.files)
IMAGES, LABELS = NAMES[:2]
PLAIN_IMAGES = IMAGES.removesuffix(".gz")


@pytest.fixture(autouse=True)
def root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty folder for data; no network, and a home without caches."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("FASTIDX_OFFLINE", "1")
    monkeypatch.setenv("FASTIDX_DATA_DIR", str(tmp_path / "default"))
    monkeypatch.delenv("FASTIDX_MIRROR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for sample in (MNIST, FASHION, LETTERS):
        monkeypatch.setitem(registry.DATASETS, sample.name, sample.dataset)
    return folder


def put(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def dotted(name: str) -> str:
    return name.replace("-idx", ".idx")


def unpacked(sample: Sample = MNIST) -> dict[str, bytes]:
    return {name.removesuffix(".gz"): gzip.decompress(data) for name, data in sample.files.items()}


LAYOUTS: dict[str, tuple[str, dict[str, bytes]]] = {
    "own folder": ("mnist", MNIST.files),
    "torchvision": ("MNIST/raw", MNIST.files),
    "torchvision, unpacked": ("MNIST/raw", unpacked()),
    "the folder itself": (".", MNIST.files),
    "dots": (".", {dotted(name): data for name, data in MNIST.files.items()}),
    "dots, unpacked": ("MNIST/raw", {dotted(name): data for name, data in unpacked().items()}),
    "mixed": (".", {IMAGES: MNIST.files[IMAGES], **dict(list(unpacked().items())[1:])}),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_copies_are_found_and_left_alone(layout: str, root: Path) -> None:
    below, files = LAYOUTS[layout]
    put(root / below, files)
    before = tree(root)
    for split in ("train", "test"):
        images, labels = datasets.load("mnist", split, root=root)
        np.testing.assert_array_equal(images, MNIST.expected(split)[0])
        np.testing.assert_array_equal(labels, MNIST.expected(split)[1])
    assert tree(root) == before


def test_fetch_says_where_files_are(root: Path) -> None:
    put(root / "MNIST/raw", {dotted(name): data for name, data in MNIST.files.items()})
    found = datasets.fetch("mnist", root=root)
    assert found == {name: root / "MNIST/raw" / dotted(name) for name in NAMES}
    assert list(datasets.fetch("mnist", "test", root=root)) == NAMES[2:]


def test_fetch_looks_in_folder_first(root: Path, tmp_path: Path) -> None:
    put(root / "mnist", MNIST.files)
    put(tmp_path / "mine", {IMAGES: MNIST.files[IMAGES]})
    found = datasets.fetch("mnist", "train", folder=tmp_path / "mine", root=root)
    assert found == {IMAGES: tmp_path / "mine" / IMAGES, LABELS: root / "mnist" / LABELS}
    with pytest.raises(datasets.MissingFileError, match=f"{tmp_path / 'mine'}"):
        datasets.fetch("mnist", "train", folder=tmp_path / "mine")


def test_cache_of_the_package_emnist(tmp_path: Path) -> None:
    put(tmp_path / "home/.cache/emnist", {"emnist.zip": LETTERS.files["gzip.zip"]})
    images, labels = datasets.load("emnist-letters", "test")
    np.testing.assert_array_equal(images, LETTERS.expected("test")[0])
    np.testing.assert_array_equal(labels, LETTERS.expected("test")[1])
    found = datasets.fetch("emnist-letters")
    assert found == {"gzip.zip": tmp_path / "home/.cache/emnist/emnist.zip"}


@pytest.mark.parametrize("below", ["EMNIST/raw", "gzip", "."])
@pytest.mark.parametrize("packed", [True, False])
def test_emnist_unpacked(below: str, packed: bool, root: Path) -> None:
    names = [part.name for part in LETTERS.arrays]
    plain = {name: LETTERS.plain(name) for name in names}
    if packed:
        put(root / below, {name: gzip.compress(data) for name, data in plain.items()})
    else:
        put(root / below, {name.removesuffix(".gz"): data for name, data in plain.items()})
    images, labels = datasets.load("emnist-letters", root=root)
    np.testing.assert_array_equal(images, LETTERS.expected("train")[0])
    np.testing.assert_array_equal(labels, LETTERS.expected("train")[1])
    assert set(datasets.fetch("emnist-letters", root=root)) == set(names)


def missing(root: Path, name: str = "mnist", split: str = "train") -> str:
    with pytest.raises(datasets.MissingFileError) as info:
        datasets.load(name, split, root=root)
    assert isinstance(info.value, FileNotFoundError)
    return str(info.value)


def test_offline_says_which_file_to_put_where(root: Path) -> None:
    message = missing(root)
    assert "FASTIDX_OFFLINE" in message and str(root / "mnist") in message
    for name in NAMES[:2]:
        file = next(p.file for p in MNIST.arrays if p.name == name)
        assert f"{name} ({file.nbytes:,} bytes, SHA-256 {file.sha256})" in message
    assert "https://ossci-datasets.s3.amazonaws.com/mnist/train-images-idx3-ubyte.gz" in message
    assert "t10k" not in message
    assert list(root.iterdir()) == []


@pytest.mark.parametrize("value", ["0", "", "false", "no"])
def test_no_download_without_the_variable(
    value: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTIDX_OFFLINE", value)
    with pytest.raises(datasets.MissingFileError, match="download=False"):
        datasets.load("mnist", root=root, download=False)


def test_fashion_given_as_mnist(root: Path) -> None:
    put(root, FASHION.files)
    message = missing(root)
    assert f"{root / IMAGES}: it is Fashion-MNIST's {IMAGES}" in message
    assert tree(root) == FASHION.files


def test_mnist_given_as_fashion_unpacked(root: Path) -> None:
    put(root, unpacked())
    message = missing(root, "fashion-mnist")
    assert f"{root / PLAIN_IMAGES}: it is MNIST's {PLAIN_IMAGES}" in message


def test_fashion_given_as_mnist_unpacked(root: Path) -> None:
    put(root, unpacked(FASHION))
    digest = hashlib.sha256(unpacked(FASHION)[PLAIN_IMAGES]).hexdigest()
    assert f"{root / PLAIN_IMAGES}: its SHA-256 is {digest}" in missing(root)


@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_file_compressed_anew_is_recognised(
    compress: Callable[[bytes], bytes], suffix: str, root: Path
) -> None:
    """Whatever its name and its size: its content has the published hash."""
    put(root, {name + suffix: compress(data) for name, data in unpacked().items()})
    images, _ = datasets.load("mnist", "train", root=root, download=False)
    np.testing.assert_array_equal(images, fastidx.load(unpacked()[PLAIN_IMAGES]))


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_noise_of_the_right_shape_is_refused(suffix: str, root: Path) -> None:
    noise = unpacked()
    noise[PLAIN_IMAGES] = noise[PLAIN_IMAGES][:-1] + bytes([noise[PLAIN_IMAGES][-1] ^ 1])
    put(root, {name + suffix: gzip.compress(data) for name, data in noise.items()})
    with pytest.raises(datasets.MissingFileError):
        datasets.load("mnist", "train", root=root, download=False)


def test_unpacked_file_is_hashed_again_when_it_changed(root: Path) -> None:
    put(root, unpacked())
    datasets.load("mnist", root=root)
    labels = root / LABELS.removesuffix(".gz")
    labels.write_bytes(labels.read_bytes()[:-1] + b"\xff")
    assert f"{labels}: its SHA-256 is " in missing(root)


def test_labels_given_for_images(root: Path) -> None:
    put(root, {**MNIST.files, IMAGES: MNIST.files[LABELS]})
    message = missing(root)
    assert f"{root / IMAGES}: it is MNIST's {LABELS}" in message


def test_labels_given_for_images_unpacked(root: Path) -> None:
    plain = unpacked()
    put(root, {**plain, "train-images-idx3-ubyte": plain["train-labels-idx1-ubyte"]})
    message = missing(root)
    assert "it holds uint8 (60,), where uint8 (60, 28, 28) is expected" in message


def test_counts_must_agree(root: Path) -> None:
    plain = unpacked()
    put(root, {**plain, "train-labels-idx1-ubyte": plain["t10k-labels-idx1-ubyte"]})
    message = missing(root)
    assert "it holds uint8 (10,), where uint8 (60,) is expected" in message
    assert "train-images" not in message


def test_unpacked_file_that_was_cut(root: Path) -> None:
    plain = unpacked()
    put(root, {**plain, "train-images-idx3-ubyte": plain["train-images-idx3-ubyte"][:-1]})
    message = missing(root)
    assert "it has 47,055 bytes, where 47,056 are expected" in message


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "an empty file"),
        (b"<!DOCTYPE html><title>Log in</title>", "an HTML page (36 bytes)"),
        (b"Not found", "plain text (9 bytes)"),
        (MNIST.files[IMAGES][:1000], "1,000 bytes, as after a download that was cut"),
        (MNIST.files[IMAGES] + b"\1", f"it has {len(MNIST.files[IMAGES]) + 1:,} bytes"),
        (MNIST.files[IMAGES][:-1] + b"\1", "its SHA-256 is "),
    ],
)
def test_damaged_copies(content: bytes, said: str, root: Path) -> None:
    put(root, {**MNIST.files, IMAGES: content})
    assert said in missing(root)
    assert (root / IMAGES).read_bytes() == content


def test_a_good_copy_behind_a_bad_one(root: Path) -> None:
    put(root / "mnist", {IMAGES: b"damaged"})
    put(root / "MNIST/raw", MNIST.files)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        images, _ = datasets.load("mnist", root=root)
    np.testing.assert_array_equal(images, MNIST.expected("train")[0])


def test_a_file_is_hashed_once_until_it_changes(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(root, MNIST.files)
    datasets.load("mnist", root=root)
    hashed: list[Path] = []
    real = copies._digest

    def digest(path: Path, algorithm: str) -> str:
        hashed.append(path)
        return real(path, algorithm)

    monkeypatch.setattr(copies, "_digest", digest)
    datasets.load("mnist", root=root)
    assert hashed == []
    put(root, {IMAGES: MNIST.files[IMAGES]})
    datasets.load("mnist", root=root)
    assert hashed == [root / IMAGES]


def test_damage_that_the_file_system_does_not_show(root: Path) -> None:
    """The same size and time of change: only the decoder notices, and all is hashed again."""
    put(root, MNIST.files)
    datasets.load("mnist", root=root)
    status = (root / IMAGES).stat()
    data = bytearray(MNIST.files[IMAGES])
    data[-6] ^= 1  # in the CRC-32
    (root / IMAGES).write_bytes(data)
    os.utime(root / IMAGES, ns=(status.st_atime_ns, status.st_mtime_ns))
    # The time of the inode's change cannot be set, so that what was seen of it must be.
    changed = (root / IMAGES).stat()
    for seen in [key for key in copies._verdicts if key[0] == str(root / IMAGES)]:
        copies._verdicts[(*seen[:2], changed.st_ino, *seen[3:5], changed.st_ctime_ns)] = None
    assert "its SHA-256 is" in missing(root)


def test_archive_of_the_right_size_only(root: Path) -> None:
    data = bytearray(LETTERS.files["gzip.zip"])
    data[len(data) // 3] ^= 0xFF
    put(root / "emnist", {"gzip.zip": bytes(data)})
    message = missing(root, "emnist-letters")
    assert "gzip.zip: its SHA-256 is" in message


def test_archive_with_other_members(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What no hash can find, for the hash is right: a registry that expects something else."""
    other = Sample("emnist-letters", seed=1)
    split = LETTERS.dataset.splits["train"]
    wrong = next(p for p in LETTERS.arrays if "test-labels" in p.name)
    monkeypatch.setitem(
        LETTERS.dataset.splits,
        "train",
        registry.Split(split.images, registry.Part(wrong.file, (125,), member=wrong.member)),
    )
    put(root / "emnist", LETTERS.files)
    with pytest.raises(datasets.DatasetError, match=r"shape \(125,\), found shape \(21,\)"):
        datasets.load("emnist-letters", root=root)
    assert other.files != LETTERS.files


def test_damaged_unpacked_member(root: Path) -> None:
    names = [part.name for part in LETTERS.arrays]
    files = {name: gzip.compress(LETTERS.plain(name)) for name in names}
    files[names[0]] = files[names[0]][:-6] + b"\0\0\0\0\0\0"
    put(root, files)
    with pytest.raises(fastidx.IdxError, match=names[0]):
        datasets.load("emnist-letters", root=root)


def test_identify(root: Path) -> None:
    put(root, {"a": FASHION.files[IMAGES], "b": b"something", "c": LETTERS.files["gzip.zip"]})
    found = datasets.identify(root / "a")
    assert found == datasets.Identity(
        "fashion-mnist", "Fashion-MNIST", IMAGES, ("train",), "images", None
    )
    assert str(found) == f"Fashion-MNIST's {IMAGES}"
    assert datasets.identify(str(root / "b")) is None
    archive = datasets.identify(root / "c")
    assert archive == datasets.Identity("emnist", "EMNIST", "gzip.zip")
    assert str(archive) == "EMNIST's gzip.zip"


def test_default_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert default_folder() == tmp_path / "default"
    assert default_folder("~/x") == tmp_path / "home/x"
    monkeypatch.delenv("FASTIDX_DATA_DIR")
    for platform, variable, folder in [
        ("linux", "XDG_CACHE_HOME", "home/.cache"),
        ("win32", "LOCALAPPDATA", "home/AppData/Local"),
        ("darwin", "NONE", "home/Library/Caches"),
    ]:
        monkeypatch.setattr("sys.platform", platform)
        monkeypatch.delenv(variable, raising=False)
        assert default_folder() == tmp_path / folder / "fastidx"
        monkeypatch.setenv(variable, str(tmp_path / "set"))
        expected = folder if variable == "NONE" else "set"
        assert default_folder() == tmp_path / expected / "fastidx"


def test_a_plain_header_is_enough_for_no_file(root: Path) -> None:
    put(root, {"train-images-idx3-ubyte": plain_idx(np.zeros((60, 28, 28), np.int8))})
    assert "it holds int8 (60, 28, 28), where uint8 (60, 28, 28) is expected" in missing(root)


def test_real_files_in_torchvisions_layout(data_dir: Path, tmp_path: Path) -> None:
    registry.DATASETS["mnist"] = MNIST.real  # the fixture puts it back
    raw = tmp_path / "MNIST/raw"
    raw.mkdir(parents=True)
    for name in NAMES[2:]:
        shutil.copy(data_dir / name, raw)
        (raw / name.removesuffix(".gz")).write_bytes(gzip.decompress((raw / name).read_bytes()))
    images, _ = datasets.load("mnist", "test", root=tmp_path)
    assert images.shape == (10000, 28, 28)
    for name in NAMES[2:]:
        (raw / name).unlink()
    unpacked_images, _ = datasets.load("mnist", "test", root=tmp_path)
    np.testing.assert_array_equal(images, unpacked_images)


def test_copy_of_another_type_is_refused(root: Path) -> None:
    put(root / "mnist", MNIST.files)
    wrong = gzip.compress(plain_idx(np.zeros((60, 28, 28), np.int16)))
    put(root / "mnist", {IMAGES: wrong})
    with pytest.raises(datasets.MissingFileError, match=IMAGES):
        datasets.load("mnist", root=root)


def test_copy_that_another_process_takes_away_is_missing(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may go between the look whether it is there and the look at what it is."""
    put(root / "mnist", MNIST.files)
    put(root, MNIST.files)
    is_file = Path.is_file

    def is_file_until_now(path: Path) -> bool:
        found = is_file(path)
        if path == root / "mnist" / IMAGES:
            path.unlink(missing_ok=True)
        return found

    monkeypatch.setattr(Path, "is_file", is_file_until_now)
    images, _ = datasets.load("mnist", root=root)
    np.testing.assert_array_equal(images, MNIST.expected("train")[0])
