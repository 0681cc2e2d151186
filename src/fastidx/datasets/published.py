"""The published data sets: files, mirrors, sizes, hashes, shapes and class names.

A size or hash that is None has never been verified from a second source.
"""

from __future__ import annotations

import string

from .model import Dataset, File, Part, Split

__all__ = ["DATASETS"]

_I32 = 0x0C


def _four_files(*files: tuple[int, str, str] | tuple[int, str, str, str]) -> dict[str, Split]:
    """Return the splits of a data set that has the form of MNIST, from sizes and hashes."""
    names = (
        "train-images-idx3-ubyte.gz",
        "train-labels-idx1-ubyte.gz",
        "t10k-images-idx3-ubyte.gz",
        "t10k-labels-idx1-ubyte.gz",
    )
    shapes: tuple[tuple[int, ...], ...] = ((60000, 28, 28), (60000,), (10000, 28, 28), (10000,))
    images, labels, test_images, test_labels = (
        Part(File(name, *facts), shape)
        for name, facts, shape in zip(names, files, shapes, strict=True)
    )
    return {"train": Split(images, labels), "test": Split(test_images, test_labels)}


_DIGITS = tuple(string.digits)

_MNIST = Dataset(
    name="mnist",
    title="MNIST",
    folder="mnist",
    torchvision="MNIST",
    mirrors=(
        "https://azureopendatastorage.blob.core.windows.net/mnist/",
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    splits=_four_files(
        (
            9912422,
            "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        ),
        (
            28881,
            "d53e105ee54ea40749a09fcbcd1e9432",
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        ),
        (
            1648877,
            "9fb629c4189551a2d022fa330f9573f3",
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        ),
        (
            4542,
            "ec29112dd5afa0611ce80d1b7f02629c",
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    ),
    classes=_DIGITS,
)

_FASHION = Dataset(
    name="fashion-mnist",
    title="Fashion-MNIST",
    folder="fashion-mnist",
    torchvision="FashionMNIST",
    mirrors=(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
    ),
    splits=_four_files(
        (
            26421880,
            "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        ),
        (
            29515,
            "25c81989df183df01b3e8a0aad5dffbe",
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        ),
        (
            4422102,
            "bef4ecab320f06d8554ea6380940ec79",
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        ),
        (
            5148,
            "bb300cfdad3c16e7a12a480ee83cd310",
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        ),
    ),
    classes=(
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
)

_KMNIST = Dataset(
    name="kmnist",
    title="KMNIST",
    folder="kmnist",
    torchvision="KMNIST",
    mirrors=("http://codh.rois.ac.jp/kmnist/dataset/kmnist/",),
    splits=_four_files(
        (
            18165135,
            "bdb82020997e1d708af4cf47b453dcf7",
            "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
        ),
        (
            29497,
            "e144d726b3acfaa3e44228e80efcd344",
            "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
        ),
        (
            3041136,
            "5c965bf0a639b31b8f53240b1b52f4d7",
            "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
        ),
        (
            5120,
            "7320c461ea6c1c855c0b718fb2a4b134",
            "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
        ),
    ),
    classes=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
)


def _qmnist() -> Dataset:
    """Return QMNIST, whose labels have eight columns, the first of which is the class."""
    train = Split(
        Part(
            File(
                "qmnist-train-images-idx3-ubyte.gz", None, "ed72d4157d28c017586c42bc6afe6370", None
            ),
            (60000, 28, 28),
        ),
        Part(
            File(
                "qmnist-train-labels-idx2-int.gz",
                463024,
                "0058f8dd561b90ffdd0f734c6a30e5e4",
                "2c05dc77f6b916b38e455e97ab129a42a444f3dbef09b278a366f82904e0dd9f",
                "bb1b6e1ec7b04fd5696f1ed50b5f58f8ef195118edd5c93c81783df9740b8ac5",
            ),
            (60000, 8),
            _I32,
        ),
    )
    test = Split(
        Part(
            File(
                "qmnist-test-images-idx3-ubyte.gz", None, "1394631089c404de565df7b7aeaf9412", None
            ),
            (60000, 28, 28),
        ),
        Part(
            File(
                "qmnist-test-labels-idx2-int.gz",
                526800,
                "5b5b05890a5e13444e108efe57b788aa",
                "9fbcbe594c3766fdf4f0b15c5165dc0d1e57ac604e01422608bb72c906030d06",
            ),
            (60000, 8),
            _I32,
        ),
    )
    nist = Split(
        Part(
            File("xnist-images-idx3-ubyte.xz", None, "7f124b3b8ab81486c9d8c2749c17f834", None),
            (402953, 28, 28),
        ),
        Part(
            File(
                "xnist-labels-idx2-int.xz",
                958144,
                "5ed0e788978e45d4a8bd4b7caec3d79d",
                "db042968723ec2b7aed5f1beac25d2b6e983b9286d4f4bf725f1086e5ae55c4f",
                "4aea10456d9cf8fcc7bcd377f8ccbc5b0c02ffe0354a7137204794d6b620aa38",
            ),
            (402953, 8),
            _I32,
        ),
    )
    return Dataset(
        name="qmnist",
        title="QMNIST",
        folder="qmnist",
        torchvision="QMNIST",
        mirrors=("https://raw.githubusercontent.com/facebookresearch/qmnist/master/",),
        splits={
            "train": train,
            "test": test,
            "test10k": Split(test.images, test.labels, 0, 10000),
            "test50k": Split(test.images, test.labels, 10000),
            "nist": nist,
        },
        classes=_DIGITS,
    )


_EMNIST_FILE = File(
    "gzip.zip",
    561753746,
    "58c8d27c78d21e728a6bc7b3cc06412e",
    "fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e",
    aliases=("emnist.zip",),
    elsewhere=("~/.cache/emnist/emnist.zip",),  # the cache of the package emnist
)
_ALNUM = tuple(string.digits + string.ascii_uppercase + string.ascii_lowercase)
# Where a lower-case letter looks like its capital, the two are one class.
_MERGED = tuple(string.digits + string.ascii_uppercase + "abdefghnqrt")


def _emnist(subset: str, ntrain: int, ntest: int, classes: tuple[str, ...]) -> Dataset:
    def split(usage: str, count: int) -> Split:
        stem = f"gzip/emnist-{subset}-{usage}"
        return Split(
            Part(_EMNIST_FILE, (count, 28, 28), member=f"{stem}-images-idx3-ubyte.gz"),
            Part(_EMNIST_FILE, (count,), member=f"{stem}-labels-idx1-ubyte.gz"),
        )

    return Dataset(
        name=f"emnist-{subset}",
        title=f"EMNIST {subset}",
        folder="emnist",
        torchvision="EMNIST",
        mirrors=("https://biometrics.nist.gov/cs_links/EMNIST/",),
        splits={"train": split("train", ntrain), "test": split("test", ntest)},
        classes=classes,
        transposed=True,
    )


#: All data sets by name.
DATASETS: dict[str, Dataset] = {
    dataset.name: dataset
    for dataset in (
        _MNIST,
        _FASHION,
        _KMNIST,
        _qmnist(),
        _emnist("byclass", 697932, 116323, _ALNUM),
        _emnist("bymerge", 697932, 116323, _MERGED),
        _emnist("balanced", 112800, 18800, _MERGED),
        # The labels are 1 to 26, so that the first name stands for no class.
        _emnist("letters", 124800, 20800, ("N/A", *string.ascii_uppercase)),
        _emnist("digits", 240000, 40000, _DIGITS),
        _emnist("mnist", 60000, 10000, _DIGITS),
    )
}
