"""compat.torchvision: what torchvision.datasets documents, with torch itself."""

from __future__ import annotations

import dataclasses
import gzip
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compat_peers import idx_bytes
from datasets_samples import Sample
from servers.dataset_server import DatasetServer

import fastidx
from fastidx.datasets import registry

torch: Any = pytest.importorskip(
    "torch", reason="torch is not installed: there is nothing to load into"
)
pytest.importorskip("PIL", reason="Pillow is not installed")

from PIL import Image  # noqa: E402
from torch.utils.data import DataLoader, Dataset, Subset  # noqa: E402

from fastidx.compat import torchvision  # noqa: E402
from fastidx.compat.torchvision import datasets as typed_datasets  # noqa: E402

datasets: Any = typed_datasets  # whose tensors programs replace with what they like

SAMPLES = {name: Sample(name) for name in ("mnist", "fashion-mnist", "kmnist", "qmnist")}
EMNIST_SPLITS = ("byclass", "bymerge", "balanced", "letters", "digits", "mnist")
FOUR = {
    "MNIST": SAMPLES["mnist"],
    "FashionMNIST": SAMPLES["fashion-mnist"],
    "KMNIST": SAMPLES["kmnist"],
}
MNIST = SAMPLES["mnist"]


@pytest.fixture(autouse=True)
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[DatasetServer]:
    """Serve samples in place of the real data sets; the classes know their sums."""
    monkeypatch.delenv("FASTIDX_OFFLINE", raising=False)
    monkeypatch.delenv("FASTIDX_MIRROR", raising=False)
    monkeypatch.setenv("FASTIDX_DATA_DIR", str(tmp_path / "cache"))
    served = {path: data for sample in SAMPLES.values() for path, data in sample.served().items()}
    with DatasetServer(served) as running:
        for name, sample in SAMPLES.items():
            use(monkeypatch, name, sample, running)
        yield running


def use(monkeypatch: pytest.MonkeyPatch, name: str, sample: Sample, server: DatasetServer) -> None:
    folder = f"{server.url}/{sample.dataset.folder}/"
    dataset = dataclasses.replace(sample.dataset, mirrors=(folder,))
    monkeypatch.setitem(registry.DATASETS, name, dataset)
    cls: Any = getattr(datasets, sample.dataset.torchvision)
    parts = [part for split in dataset.splits.values() for part in (split.images, split.labels)]
    if name == "qmnist":
        resources = {
            split: [
                (folder + part.file.name, part.file.md5)
                for part in (dataset.splits[split].images, dataset.splits[split].labels)
            ]
            for split in ("train", "test", "nist")
        }
        monkeypatch.setattr(cls, "resources", resources)
    elif name.startswith("emnist"):
        monkeypatch.setattr(cls, "url", f"{folder}gzip.zip")
        monkeypatch.setattr(cls, "md5", parts[0].file.md5)
    else:
        monkeypatch.setattr(cls, "mirrors", [folder])
        monkeypatch.setattr(cls, "resources", [(p.file.name, p.file.md5) for p in parts])


def place(sample: Sample, root: Path, *, unpacked: bool = True) -> Path:
    """Put files where torchvision has them."""
    folder = root / sample.dataset.torchvision / "raw"
    folder.mkdir(parents=True, exist_ok=True)
    for part in sample.arrays:
        if unpacked:
            (folder / part.stem).write_bytes(sample.plain(part.name))
        else:
            (folder / part.file.name).write_bytes(sample.files[part.file.name])
    return root


class ToTensor:
    """What torchvision's transform of that name does to images of mode L."""

    def __call__(self, image: Image.Image) -> Any:
        return torch.from_numpy(np.array(image)).unsqueeze(0).float() / 255

    def __repr__(self) -> str:
        return "ToTensor()"


@pytest.mark.parametrize("name", FOUR)
@pytest.mark.parametrize("train", [True, False])
def test_download_and_data(name: str, train: bool, tmp_path: Path, server: DatasetServer) -> None:
    sample = FOUR[name]
    for download in (True, True, False):
        dataset = getattr(datasets, name)(tmp_path, train=train, download=download)
    images, labels = sample.expected("train" if train else "test")
    assert dataset.data.dtype == torch.uint8 and dataset.targets.dtype == torch.int64
    np.testing.assert_array_equal(dataset.data.numpy(), images, strict=True)
    np.testing.assert_array_equal(dataset.targets.numpy(), labels)
    assert len(dataset) == len(images)
    assert server.counts() == dict.fromkeys(sample.served(), 1)
    assert dataset.raw_folder == str(tmp_path / name / "raw")
    assert dataset.processed_folder == str(tmp_path / name / "processed")
    assert {p.name for p in Path(dataset.raw_folder).iterdir()} >= set(sample.files)


@pytest.mark.parametrize("unpacked", [True, False])
@pytest.mark.parametrize("name", FOUR)
def test_files_that_are_there(
    name: str, unpacked: bool, tmp_path: Path, server: DatasetServer
) -> None:
    place(FOUR[name], tmp_path, unpacked=unpacked)
    for download in (False, True):
        dataset = getattr(datasets, name)(str(tmp_path), False, None, None, download)
        np.testing.assert_array_equal(dataset.data.numpy(), FOUR[name].expected("test")[0])
    assert server.requests == []


def test_other_spelling_of_the_names(tmp_path: Path) -> None:
    folder = place(MNIST, tmp_path) / "MNIST" / "raw"
    for path in folder.iterdir():
        path.rename(folder / path.name.replace("-idx", ".idx"))
    assert len(datasets.MNIST(tmp_path)) == 60


def test_unpacked_files_come_first(tmp_path: Path) -> None:
    place(MNIST, tmp_path, unpacked=False)
    place(MNIST, tmp_path)
    images = 255 - MNIST.expected("train")[0]
    (tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte").write_bytes(idx_bytes(images))
    np.testing.assert_array_equal(datasets.MNIST(tmp_path).data.numpy(), images)


@pytest.mark.parametrize("missing", [None, "t10k-labels-idx1-ubyte"])
def test_not_found(tmp_path: Path, missing: str | None) -> None:
    """Also with all that is to be loaded there, but not the other two, as in torchvision."""
    if missing:
        (place(MNIST, tmp_path) / "MNIST" / "raw" / missing).unlink()
    with pytest.raises(RuntimeError, match=r"Dataset not found.*can use download=True") as info:
        datasets.MNIST(tmp_path)
    assert isinstance(info.value, fastidx.IdxError)


def test_item(tmp_path: Path) -> None:
    dataset = datasets.MNIST(place(MNIST, tmp_path))
    images, labels = MNIST.expected("train")
    for index in (0, 59, -1, torch.tensor(3), np.int64(4)):
        image, target = dataset[index]
        assert isinstance(image, Image.Image) and image.mode == "L" and image.size == (28, 28)
        np.testing.assert_array_equal(np.array(image), images[int(index)])
        assert type(target) is int and target == labels[int(index)]
    with pytest.raises(IndexError):
        dataset[60]


def test_items_end(tmp_path: Path) -> None:
    """A for loop over a data set, without a DataLoader, ends."""
    assert sum(1 for _ in datasets.MNIST(place(MNIST, tmp_path))) == 60


def test_transforms(tmp_path: Path) -> None:
    dataset = datasets.MNIST(place(MNIST, tmp_path), True, ToTensor(), lambda target: target + 10)
    image, target = dataset[5]
    assert image.shape == (1, 28, 28) and image.dtype == torch.float32
    assert target == MNIST.expected("train")[1][5] + 10
    assert dataset.transform is not None and dataset.target_transform is not None
    assert dataset.transforms(dataset.data[5].numpy(), 7)[1] == 17


def test_transform_may_be_set_later(tmp_path: Path) -> None:
    dataset = datasets.MNIST(place(MNIST, tmp_path))
    assert dataset.transforms is None
    dataset.transform = np.asarray
    assert isinstance(dataset[0][0], np.ndarray)
    assert isinstance(dataset.__getitems__([0])[0][0], np.ndarray)


@pytest.mark.parametrize("indices", [[], [3], [5, 0, 59, -1, 5], range(7), torch.tensor([1, 2])])
def test_items_at_once(tmp_path: Path, indices: Any) -> None:
    dataset = datasets.MNIST(place(MNIST, tmp_path))
    items = dataset.__getitems__(indices)
    assert isinstance(items, list) and len(items) == len(indices)
    for index, (image, target) in zip(indices, items, strict=True):
        expected, expected_target = dataset[index]
        assert image.mode == expected.mode and image.tobytes() == expected.tobytes()
        assert type(target) is int and target == expected_target


def test_items_at_once_beyond_the_end(tmp_path: Path) -> None:
    with pytest.raises(IndexError):
        datasets.MNIST(place(MNIST, tmp_path)).__getitems__([60])


def test_subclass_is_asked_for_each_item(tmp_path: Path) -> None:
    class Indexed(typed_datasets.MNIST):
        def __getitem__(self, index: int) -> tuple[Any, Any]:
            return (*super().__getitem__(index), index)  # type: ignore[return-value]

        @property
        def raw_folder(self) -> str:
            return str(tmp_path / "MNIST" / "raw")

    place(MNIST, tmp_path)
    assert [item[2] for item in Indexed(tmp_path).__getitems__([4, 2])] == [4, 2]  # type: ignore[misc]


def test_subclass_has_a_folder_of_its_own(tmp_path: Path) -> None:
    class Mine(typed_datasets.MNIST):
        pass

    place(MNIST, tmp_path)
    with pytest.raises(RuntimeError, match="Mine"):
        Mine(tmp_path)


def test_data_may_be_set(tmp_path: Path) -> None:
    """As by programs that keep some classes only."""
    dataset = datasets.MNIST(place(MNIST, tmp_path))
    kept = dataset.targets > 5
    labels = dataset.targets[kept]
    dataset.data, dataset.targets = dataset.data[kept], labels
    assert [target for _, target in dataset] == labels.tolist()
    dataset.targets = labels.tolist()
    assert [target for _, target in dataset.__getitems__(range(len(dataset)))] == labels.tolist()
    dataset.data = dataset.data.numpy()
    assert len(dataset.__getitems__([0, 1])) == 2


@pytest.mark.parametrize("workers", [0, 2])
def test_data_loader(tmp_path: Path, workers: int) -> None:
    dataset = datasets.MNIST(place(MNIST, tmp_path), transform=ToTensor())
    loader = DataLoader(
        dataset,
        batch_size=25,
        num_workers=workers,
        multiprocessing_context=("fork" if workers else None),
    )
    batches = list(loader)
    images, labels = MNIST.expected("train")
    assert [len(images) for images, _ in batches] == [25, 25, 10]
    loaded = torch.cat([images for images, _ in batches])[:, 0]
    np.testing.assert_array_equal((loaded * 255).round().byte().numpy(), images)
    np.testing.assert_array_equal(torch.cat([labels for _, labels in batches]).numpy(), labels)


def test_subset(tmp_path: Path) -> None:
    dataset = datasets.MNIST(place(MNIST, tmp_path), transform=ToTensor())
    (batch,) = DataLoader(Subset(dataset, [9, 8, 7]), batch_size=3)
    assert batch[1].tolist() == MNIST.expected("train")[1][[9, 8, 7]].tolist()


def test_pickle(tmp_path: Path) -> None:
    dataset = datasets.MNIST(place(MNIST, tmp_path), transform=ToTensor())
    again = pickle.loads(pickle.dumps(dataset))
    assert torch.equal(again.data, dataset.data) and torch.equal(again[3][0], dataset[3][0])


def test_old_names(tmp_path: Path) -> None:
    dataset = datasets.MNIST(place(MNIST, tmp_path))
    for old, new in (
        *(("train_data", "data"), ("test_data", "data")),
        *(("train_labels", "targets"), ("test_labels", "targets")),
    ):
        with pytest.warns(UserWarning, match=f"{old} has been renamed {new}"):
            assert getattr(dataset, old) is getattr(dataset, new)


def test_classes() -> None:
    assert list(datasets.MNIST.classes)[:2] == ["0 - zero", "1 - one"]
    assert list(datasets.QMNIST.classes) == list(datasets.MNIST.classes)
    assert list(datasets.FashionMNIST.classes)[9] == "Ankle boot"
    assert list(datasets.KMNIST.classes)[-1] == "wo"
    assert [len(cls.classes) for cls in (datasets.MNIST, datasets.FashionMNIST)] == [10, 10]


def test_class_to_idx(tmp_path: Path) -> None:
    dataset = datasets.MNIST(place(MNIST, tmp_path))
    assert dataset.class_to_idx["7 - seven"] == 7 and len(dataset.class_to_idx) == 10


def test_repr(tmp_path: Path) -> None:
    dataset = datasets.MNIST(place(MNIST, tmp_path), train=False)
    head = f"Dataset MNIST\n    Number of datapoints: 10\n    Root location: {tmp_path}\n"
    assert repr(dataset) == f"{head}    Split: Test"
    dataset = datasets.MNIST(tmp_path, False, ToTensor(), ToTensor())
    lines = "StandardTransform\nTransform: ToTensor()\nTarget transform: ToTensor()"
    assert repr(dataset) == f"{head}    Split: Test\n    {lines}"


def test_kind(tmp_path: Path) -> None:
    dataset = datasets.FashionMNIST(place(FOUR["FashionMNIST"], tmp_path))
    assert all(isinstance(dataset, kind) for kind in (Dataset, datasets.MNIST))
    assert dataset.train is True
    assert torchvision.FashionMNIST is datasets.FashionMNIST


def test_home_in_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    place(MNIST, tmp_path / "data")
    dataset = datasets.MNIST("~/data")
    assert dataset.root == str(tmp_path / "data") and len(dataset) == 60


def test_mirrors_and_sums_may_be_set(
    tmp_path: Path, server: DatasetServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As programs do when the public mirrors are down, or to have files of their own."""
    own = Sample("mnist", seed=1)
    server.files |= {f"/own/{name}": data for name, data in own.files.items()}
    files = [part.file for part in own.arrays]
    monkeypatch.setattr(datasets.MNIST, "mirrors", [f"{server.url}/gone/", f"{server.url}/own/"])
    monkeypatch.setattr(datasets.MNIST, "resources", [(file.name, file.md5) for file in files])
    dataset = datasets.MNIST(tmp_path, download=True)
    np.testing.assert_array_equal(dataset.data.numpy(), own.expected("train")[0])


def test_earlier_downloads_are_used(tmp_path: Path, server: DatasetServer) -> None:
    fastidx.datasets.fetch("mnist")
    requests = len(server.requests)
    dataset = datasets.MNIST(tmp_path, download=True)
    np.testing.assert_array_equal(dataset.data.numpy(), MNIST.expected("train")[0])
    assert len(server.requests) == requests and not (tmp_path / "MNIST").exists()


def test_failing_download(tmp_path: Path, server: DatasetServer) -> None:
    server.files.clear()
    with pytest.raises(fastidx.datasets.DownloadError, match="could not be fetched"):
        datasets.MNIST(tmp_path, download=True)


def test_counts_must_agree(tmp_path: Path) -> None:
    place(MNIST, tmp_path)
    path = tmp_path / "MNIST" / "raw" / "train-labels-idx1-ubyte"
    path.write_bytes(idx_bytes(np.zeros(59, np.uint8)))
    with pytest.raises(RuntimeError, match="one label for each of 60 images, found 59"):
        datasets.MNIST(tmp_path)


def test_damaged_file(tmp_path: Path) -> None:
    place(MNIST, tmp_path)
    path = tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(RuntimeError, match="59 of 60 items complete") as info:
        datasets.MNIST(tmp_path)
    assert isinstance(info.value, fastidx.TruncatedError)
    path.write_bytes(idx_bytes(np.zeros(60, np.uint8)))
    with pytest.raises(RuntimeError, match=r"expected train-images.* with 3 dimensions"):
        datasets.MNIST(tmp_path)


@pytest.mark.parametrize("unpacked", [True, False])
@pytest.mark.parametrize("what", ["train", "test", "test10k", "test50k", "nist", None])
def test_qmnist(what: str | None, unpacked: bool, tmp_path: Path, server: DatasetServer) -> None:
    sample = SAMPLES["qmnist"]
    if unpacked:
        place(sample, tmp_path)
    dataset = datasets.QMNIST(tmp_path, what, train=False, download=True)
    images, labels = sample.expected(what or "test")
    np.testing.assert_array_equal(dataset.data.numpy(), images, strict=True)
    np.testing.assert_array_equal(dataset.targets.numpy(), labels)
    assert dataset.targets.dtype == torch.int64 and dataset.targets.shape[1] == 8
    assert len(server.requests) == (0 if unpacked else 2)
    for index in (0, len(dataset) - 1):
        image, target = dataset[index]
        assert type(target) is int and target == labels[index, 0]
        assert dataset.__getitems__([index])[0][1] == target
        np.testing.assert_array_equal(np.array(image), images[index])
    assert f"Split: {what or 'test'}" in repr(dataset) and dataset.what == (what or "test")


def test_qmnist_with_all_that_is_known(tmp_path: Path) -> None:
    place(SAMPLES["qmnist"], tmp_path)
    dataset = datasets.QMNIST(tmp_path, compat=False, target_transform=lambda row: row * 2)
    labels = SAMPLES["qmnist"].expected("train")[1]
    assert torch.equal(dataset[3][1], torch.from_numpy(labels[3]).long() * 2)
    assert torch.equal(dataset.__getitems__([3])[0][1], dataset[3][1])
    assert dataset.images_file.endswith("QMNIST/raw/qmnist-train-images-idx3-ubyte")
    assert dataset.labels_file.endswith("QMNIST/raw/qmnist-train-labels-idx2-int")


@pytest.mark.parametrize("split", EMNIST_SPLITS)
@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("unpacked", [True, False])
def test_emnist(
    split: str,
    train: bool,
    unpacked: bool,
    tmp_path: Path,
    server: DatasetServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sample = Sample(f"emnist-{split}")
    use(monkeypatch, sample.name, sample, server)
    server.files |= sample.served()
    if unpacked:
        place(sample, tmp_path)
    dataset = datasets.EMNIST(tmp_path, split, train=train, download=True)
    upright, labels = sample.expected("train" if train else "test")
    np.testing.assert_array_equal(dataset.data.numpy(), upright.transpose(0, 2, 1))
    np.testing.assert_array_equal(dataset.targets.numpy(), labels)
    assert len(server.requests) == (0 if unpacked else 1)
    assert dataset.split == split and dataset.classes is dataset.classes_split_dict[split]
    usage = "train" if train else "test"
    assert dataset.images_file == f"{dataset.raw_folder}/emnist-{split}-{usage}-images-idx3-ubyte"
    if not unpacked:
        assert {p.name for p in Path(dataset.raw_folder).iterdir()} >= {"gzip.zip"}


def test_emnist_classes() -> None:
    classes = datasets.EMNIST.classes_split_dict
    assert classes["letters"] == ["N/A", *"abcdefghijklmnopqrstuvwxyz"]
    assert classes["digits"] == classes["mnist"] == list("0123456789")
    assert classes["byclass"] == sorted(classes["byclass"]) and len(classes["byclass"]) == 62
    assert classes["bymerge"] == classes["balanced"] == sorted(classes["balanced"])
    assert len(classes["balanced"]) == 47 and "e" in classes["balanced"]
    assert not set("cijklmopsuvwxyz") & set(classes["balanced"])


@pytest.mark.parametrize(
    "call",
    [
        lambda: datasets.EMNIST("data", "Letters"),
        lambda: datasets.EMNIST("data", None),
        lambda: datasets.QMNIST("data", "all"),
    ],
)
def test_unknown_part(call: Any) -> None:
    with pytest.raises(ValueError, match="expected one of"):
        call()


TYPES = {
    "uint8": torch.uint8,
    "int8": torch.int8,
    "int16": torch.int16,
    "int32": torch.int32,
    "float32": torch.float32,
    "float64": torch.float64,
}


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 3, 4)])
def test_any_file(dtype: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    array = np.random.default_rng(1).integers(0, 100, shape).astype(dtype)
    path = tmp_path / "file"
    for data in (idx_bytes(array), gzip.compress(idx_bytes(array))):
        path.write_bytes(data)
        tensor = datasets.read_sn3_pascalvincent_tensor(str(path))
        assert tensor.dtype == TYPES[dtype]
        np.testing.assert_array_equal(tensor.numpy(), array, strict=True)
        tensor += 1  # writable, and without a warning


def test_images_and_labels(tmp_path: Path) -> None:
    images, labels = MNIST.expected("test")
    (tmp_path / "images").write_bytes(idx_bytes(images))
    (tmp_path / "labels").write_bytes(idx_bytes(labels))
    tensor = datasets.read_image_file(str(tmp_path / "images"))
    assert tensor.dtype == torch.uint8 and torch.equal(tensor, torch.from_numpy(images))
    tensor = datasets.read_label_file(str(tmp_path / "labels"))
    assert tensor.dtype == torch.int64 and tensor.tolist() == labels.tolist()
    with (tmp_path / "labels").open("rb") as file:
        assert len(datasets.read_label_file(file)) == 10


@pytest.mark.parametrize(
    ("function", "array", "kind"),
    [
        ("read_image_file", np.zeros((1, 2, 3), np.int16), TypeError),
        ("read_image_file", np.zeros((1, 2), np.uint8), ValueError),
        ("read_label_file", np.zeros(3, np.int32), TypeError),
        ("read_label_file", np.zeros((1, 2), np.uint8), ValueError),
    ],
)
def test_wrong_kind(function: str, array: Any, kind: type[Exception], tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(idx_bytes(array))
    with pytest.raises(kind, match="expected") as info:
        getattr(torchvision, function)(str(path))
    assert isinstance(info.value, fastidx.IdxError)


@pytest.mark.parametrize(
    "data", [b"", b"\0\0\x0a\1\0\0\0\0", b"\1\0\x08\1", b"\0\0\x08\1\0\0\0\2x"]
)
def test_errors_are_of_both_families(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    for kind in (AssertionError, RuntimeError, ValueError, fastidx.IdxError):
        with pytest.raises(kind):
            torchvision.read_sn3_pascalvincent_tensor(path, strict=False)


def test_missing_file() -> None:
    with pytest.raises(FileNotFoundError):
        torchvision.read_image_file("no/such/file")
