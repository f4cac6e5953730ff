"""Built-in names: where each is looked for, and that nothing damaged or missing passes unnoticed."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.error import HTTPError, URLError

import numpy as np
import pandas as pd
import pytest

from datastill._errors import InputError, OutputError
from datastill.data import cache, named
from datastill.data.sources import load


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Empty local and cache folders, and a network that is never reached."""
    monkeypatch.setenv(named.DATA_FOLDER, str(tmp_path / "data"))
    monkeypatch.setenv(cache.CACHE_FOLDER, str(tmp_path / "cache"))
    (tmp_path / "data").mkdir()

    def fail(**_: Any) -> None:
        raise URLError("Name or service not known")

    monkeypatch.setattr(named.datasets, "fetch_openml", fail)
    return tmp_path


def answer(monkeypatch: pytest.MonkeyPatch, data: Any, target: Any) -> list[dict[str, Any]]:
    calls: list[dict[str, Any]] = []

    def fetch(**settings: Any) -> SimpleNamespace:
        calls.append(settings)
        return SimpleNamespace(data=data, target=target)

    monkeypatch.setattr(named.datasets, "fetch_openml", fetch)
    return calls


def shrink(monkeypatch: pytest.MonkeyPatch, **fields: Any) -> None:
    entry = named.NamedSet(**fields)
    monkeypatch.setitem(named.REGISTRY, entry.name, entry)


@pytest.mark.parametrize("entry", [e for e in named.REGISTRY.values() if e.openml is None], ids=lambda e: e.name)
def test_bundled(entry: named.NamedSet) -> None:
    data = load(entry.name)
    assert data.name == entry.name
    assert data.x.shape == (entry.rows, *(entry.image or (entry.columns,)))
    assert data.y.shape == (entry.rows,)
    assert (data.y.dtype.kind == "f") == (entry.kind == "regression")


def test_digits_are_images_from_0_to_16() -> None:
    x = load("digits").x
    assert isinstance(x, np.ndarray)
    assert (x.dtype, x.min(), x.max()) == (np.float32, 0, 16)


def test_names_forgive_capitals_and_hyphens(folders: Path) -> None:
    np.savez(folders / "data" / "fashion_mnist.npz", X=np.ones((2, 28, 28)), y=np.arange(2))
    assert load("Fashion-MNIST").x.shape == (2, 28, 28)
    assert named.find("no such name") is None


def test_a_path_of_that_name_needs_a_dot(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folders / "digits").mkdir()
    monkeypatch.chdir(folders)
    assert load("digits").x.shape == (1797, 8, 8)
    for source in ("./digits", Path("digits")):
        with pytest.raises(InputError, match="Got the folder digits"):
            load(source)


def test_local_table(folders: Path) -> None:
    pd.DataFrame({"carat": [1.0, 2.0], "price": [3, 4]}).to_parquet(folders / "data" / "diamonds.parquet")
    data = load("diamonds")
    assert data.y.tolist() == [3, 4]
    assert load("diamonds", target="price").y.tolist() == [3, 4]
    with pytest.raises(InputError, match="labels of its own"):
        load("diamonds", target="carat")
    with pytest.raises(InputError, match="folders of images only"):
        load("diamonds", image_size=8)


def test_images_are_downloaded_once(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shrink(
        monkeypatch,
        name="cifar10",
        kind="classification",
        rows=5,
        columns=12,
        openml=40927,
        image=(2, 2, 3),
        planar=True,
        train=3,
    )
    planes = np.arange(60).reshape(5, 12)
    calls = answer(monkeypatch, planes, np.array(list("01201"), object))
    first, second = load("cifar10"), load("cifar10")
    assert len(calls) == 1
    assert calls[0]["data_id"] == 40927
    for data in (first, second):
        assert isinstance(data.x, np.ndarray) and isinstance(data.x_test, np.ndarray) and data.y_test is not None
        assert (data.x.shape, data.x.dtype, data.x_test.shape) == ((3, 2, 2, 3), np.uint8, (2, 2, 2, 3))
        assert data.x[0, 0, 0].tolist() == [0, 4, 8]
        assert data.x[1, 1, 0].tolist() == [14, 18, 22]
        assert data.y.tolist() == [0, 1, 2] and data.y_test.tolist() == [0, 1]
    assert sorted(p.name for p in (folders / "cache").iterdir()) == ["cifar10.npz", "cifar10.npz.sha256"]


def test_tables_are_downloaded_once(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shrink(monkeypatch, name="adult", kind="classification", rows=3, columns=3, openml=1590, target="class")
    data = pd.DataFrame(
        {"age": [1.0, 2, 3], "work": pd.Categorical(["a", None, "b"]), "level": pd.Categorical(["1", "2", "1"])}
    )
    calls = answer(monkeypatch, data, pd.Series(pd.Categorical(["<=50K", ">50K", "<=50K"]), name="class:"))
    for _ in range(2):
        adult = load("adult")
        assert isinstance(adult.x, pd.DataFrame)
        assert [None if pd.isna(v) else v for v in adult.x["work"]] == ["a", None, "b"]
        assert adult.x["level"].tolist() == [1, 2, 1]
        assert adult.y.tolist() == ["<=50K", ">50K", "<=50K"]
    assert len(calls) == 1


def test_a_changed_download_is_refused(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shrink(monkeypatch, name="letter", kind="classification", rows=2, columns=1, openml=6, target="class")
    answer(monkeypatch, pd.DataFrame({"a": [1, 2]}), pd.Series(["u", "v"], name="class"))
    load("letter")
    path = folders / "cache" / "letter.parquet"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(InputError, match=r"SHA-256 .* deleting"):
        load("letter")
    path.with_name("letter.parquet.sha256").unlink()
    with pytest.raises(InputError, match=r"the checksum of letter\.parquet"):
        load("letter")


def test_no_network_is_one_line(folders: Path) -> None:
    for name, file in (
        ("mnist", "mnist.npz with x_train"),
        ("diamonds", "diamonds.parquet with the target column 'price'"),
    ):
        with pytest.raises(InputError) as caught:
            load(name)
        message = str(caught.value)
        assert "\n" not in message
        for part in (
            "not on this machine",
            "looked in",
            "network could not be reached",
            "Name or service",
            file,
            "DATASTILL_DATA",
        ):
            assert part in message
    assert list((folders / "cache").iterdir()) == []


@pytest.mark.parametrize(
    "failure", [HTTPError("u", 412, "Precondition", {}, None), ValueError("md5\nmismatch"), KeyError("x")]
)  # type: ignore[arg-type]
def test_unusable_answers(failure: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(**_: Any) -> None:
        raise failure

    monkeypatch.setattr(named.datasets, "fetch_openml", fetch)
    with pytest.raises(InputError, match="something unusable") as caught:
        load("mnist")
    assert "\n" not in str(caught.value)


def test_answers_of_another_size_are_refused(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, np.ones((3, 784)), np.array(list("012")))
    with pytest.raises(InputError, match=r"\(3, 784\).*expected 70000 rows of 784"):
        load("mnist")
    assert list((folders / "cache").iterdir()) == []


def test_a_cache_that_cannot_be_made(folders: Path) -> None:
    (folders / "cache").write_text("a file")
    with pytest.raises(OutputError):
        load("mnist")


def test_listing(folders: Path) -> None:
    np.savez(folders / "data" / "mnist.npz", X=np.ones((2, 28, 28)), y=np.arange(2))
    listed = {record.name: record for record in named.available()}
    assert listed.keys() == named.REGISTRY.keys()
    assert listed["digits"] == named.Listing("digits", "classification", "scikit-learn", 1797, "8×8 image", True)
    assert listed["mnist"].on_this_machine and listed["mnist"].source == str(folders / "data" / "mnist.npz")
    assert not listed["adult"].on_this_machine and listed["adult"].source == "openml.org/d/1590"


def test_default_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(cache.CACHE_FOLDER)
    monkeypatch.setattr(cache.sys, "platform", "linux")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache.folder() == Path.home() / ".cache" / "datastill"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.folder() == tmp_path / "datastill"
