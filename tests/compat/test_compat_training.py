"""Training runs as users write them, on the real MNIST, to over 90 % of the test images right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.slow

NAMES = [
    f"{part}-{kind}-ubyte.gz"
    for part in ("train", "t10k")
    for kind in ("images-idx3", "labels-idx1")
]


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, data_dir: Path) -> None:
    """Let the data come from the folder of real files, and from nowhere else."""
    if not all((data_dir / name).is_file() for name in NAMES):
        pytest.skip("FASTIDX_TEST_DATA holds no MNIST")
    monkeypatch.setenv("FASTIDX_OFFLINE", "1")
    monkeypatch.setenv("FASTIDX_DATA_DIR", str(data_dir))


def fit(x: Any, y: Any) -> Any:
    neural = pytest.importorskip(
        "sklearn.neural_network", reason="scikit-learn is not installed: there is nothing to train"
    )
    model = neural.MLPClassifier((32,), batch_size=500, learning_rate_init=0.01, random_state=0)
    for _ in range(2):
        model.partial_fit(x, y, classes=np.arange(10))
    return model


def test_keras_and_scikit_learn() -> None:
    from fastidx.compat.keras import mnist

    (x_train, y_train), (x_test, y_test) = mnist.load_data()
    model = fit(x_train.reshape(60000, 784).astype("float32") / 255, y_train)
    assert model.score(x_test.reshape(10000, 784).astype("float32") / 255, y_test) > 0.9


def test_open_datasets_and_scikit_learn() -> None:
    pytest.importorskip("pandas", reason="pandas is not installed: there are no data frames")
    from fastidx.compat.opendatasets import MNIST

    train = MNIST.get_tabular_dataset(dataset_filter="train").to_pandas_dataframe()
    test = MNIST.get_tabular_dataset(dataset_filter="test").to_pandas_dataframe()
    x_train = train.drop("label", axis=1).astype("float32").values / 255
    x_test = test.drop("label", axis=1).astype("float32").values / 255
    assert fit(x_train, train["label"].values).score(x_test, test["label"].values) > 0.9


def test_torchvision_and_torch(tmp_path: Path, data_dir: Path) -> None:
    torch: Any = pytest.importorskip(
        "torch", reason="torch is not installed: there is nothing to train"
    )
    pytest.importorskip("PIL", reason="Pillow is not installed: there are no images")
    from fastidx.compat.torchvision import datasets

    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in NAMES:
        (raw / name).symlink_to(data_dir / name)

    def to_tensor(image: Any) -> Any:
        return torch.from_numpy(np.array(image)).float().div(255).unsqueeze(0)

    train = datasets.MNIST(str(tmp_path), train=True, transform=to_tensor)
    test = datasets.MNIST(str(tmp_path), train=False, transform=to_tensor)
    torch.manual_seed(0)
    layers = torch.nn.Flatten(), torch.nn.Linear(784, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10)
    model = torch.nn.Sequential(*layers)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
    half = torch.utils.data.Subset(train, range(0, len(train), 2))
    for images, labels in torch.utils.data.DataLoader(half, batch_size=128, shuffle=True):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
    right = 0
    with torch.no_grad():
        for images, labels in torch.utils.data.DataLoader(test, batch_size=1000):
            right += int((model(images).argmax(1) == labels).sum())
    assert right / len(test) > 0.9
