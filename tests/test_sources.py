"""Sources: what is written comes back, and whatever is wrong becomes one line."""

import gzip
import io
import os
import string
import struct
from pathlib import Path

import hypothesis
import numpy as np
import pandas as pd
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from datastill._errors import InputError
from datastill.data.idx import read_idx
from datastill.data.sources import load

quick = hypothesis.settings(
    max_examples=40, deadline=None, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)
IDX_CODES = {"u1": 8, "i1": 9, "i2": 11, "i4": 12, "f4": 13, "f8": 14}
TABLE = "a,b,y\n1,red,0\n2.5,,1\n,blue,0\n"


def idx_bytes(array: np.ndarray) -> bytes:
    code = IDX_CODES[f"{array.dtype.kind}{array.dtype.itemsize}"]
    header = bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def write_idx(folder: Path, part: str, n: int, dot: str = "-", zipped: bool = True) -> tuple[np.ndarray, np.ndarray]:
    folder.mkdir(exist_ok=True)
    x = np.random.default_rng(n).integers(0, 256, (n, 3, 4)).astype(np.uint8)
    y = np.arange(n).astype(np.uint8) % 2
    for array, name in ((x, f"{part}-images{dot}idx3-ubyte"), (y, f"{part}-labels{dot}idx1-ubyte")):
        content = idx_bytes(array)
        (folder / (name + ".gz" * zipped)).write_bytes(gzip.compress(content) if zipped else content)
    return x, y


def write_image(path: Path, size: tuple[int, int] = (4, 3), mode: str = "L", level: int = 7) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, level if mode in ("L", "P", "I;16") else (level,) * len(mode)).save(path)


def error(source: object, **settings: object) -> str:
    with pytest.raises(InputError) as caught:
        load(source, **settings)  # type: ignore[arg-type]
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("Got ")
    return message


# npz


@pytest.mark.parametrize(
    "keys", ["x_train y_train x_test y_test", "X y X_test y_test", "X_TRAIN Y_TRAIN X_Test y_test"]
)
def test_npz_keys(tmp_path: Path, keys: str) -> None:
    x, y = np.arange(12.0).reshape(4, 3), np.array(["a", "b", "a", "b"])
    np.savez(tmp_path / "toy.npz", **dict(zip(keys.split(), (x, y, x[:2], y[:2]), strict=True)), extra=np.zeros(1))
    data = load(tmp_path / "toy.npz")
    assert data.name == "toy"
    assert data.x_test is not None and data.y_test is not None
    np.testing.assert_array_equal(data.x, x)
    np.testing.assert_array_equal(data.y, y)
    np.testing.assert_array_equal(data.x_test, x[:2])
    np.testing.assert_array_equal(data.y_test, y[:2])


X4, Y4 = np.ones((4, 2)), np.array([0, 1, 0, 1])


@pytest.mark.parametrize(
    ("arrays", "fragment"),
    [
        ({"images": X4, "y": Y4}, "holds 'images', 'y'"),
        ({"X": X4, "y": Y4, "X_test": X4}, "holds 'X', 'y', 'X_test'"),
        ({"X": X4, "y": Y4[:3]}, "4 rows and 3 labels"),
        ({"X": X4[:0], "y": Y4[:0]}, "no rows"),
        ({"X": np.float64(1), "y": Y4}, "no rows"),
        ({"X": X4, "x": X4, "y": Y4}, "'X' and 'x'"),
        ({"X": np.array([[1, "a"]], object), "y": Y4[:1]}, "'X' is of type object"),
        ({"X": X4, "y": np.array([1, "a", 2, None], object)}, "'y' is of type object"),
        ({"X": X4.astype("datetime64[s]"), "y": Y4}, "datetime64"),
        ({}, "holds nothing"),
    ],
)
def test_bad_npz(tmp_path: Path, arrays: dict[str, np.ndarray], fragment: str) -> None:
    np.savez(tmp_path / "bad.npz", **arrays)
    assert fragment in error(tmp_path / "bad.npz")


def test_npz_bad_checksum(tmp_path: Path) -> None:
    path = tmp_path / "bad.npz"
    np.savez(path, X=np.arange(400.0).reshape(100, 4), y=np.arange(100) % 2)
    content = bytearray(path.read_bytes())
    content[1000] ^= 0xFF
    path.write_bytes(content)
    assert "Bad CRC" in error(path)


# IDX


@quick
@hypothesis.given(
    hnp.arrays(st.sampled_from([np.dtype(c) for c in IDX_CODES]), hnp.array_shapes(min_dims=1, max_dims=4, max_side=4))
)
def test_idx_round_trip(tmp_path: Path, array: np.ndarray) -> None:
    path = tmp_path / "array.idx"
    path.write_bytes(idx_bytes(array))
    again = read_idx(path)
    assert again.dtype == array.dtype
    np.testing.assert_array_equal(again, array)


@pytest.mark.parametrize(("dot", "zipped"), [("-", True), (".", False)])
def test_idx_folder(tmp_path: Path, dot: str, zipped: bool) -> None:
    folder = tmp_path / "digits-like"
    x, y = write_idx(folder, "train", 6, dot, zipped)
    data = load(folder)
    assert data.name == "digits-like"
    assert data.x_test is None
    np.testing.assert_array_equal(data.x, x)
    np.testing.assert_array_equal(data.y, y)
    x_test, y_test = write_idx(folder, "t10k", 4, dot, zipped)
    data = load(str(folder))
    np.testing.assert_array_equal(data.x_test, x_test)
    np.testing.assert_array_equal(data.y_test, y_test)


def test_bad_idx_folders(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    write_idx(folder, "t10k", 4)
    assert "lacks 'train-images-idx*-ubyte', 'train-labels-idx*-ubyte'" in error(folder)
    x, _ = write_idx(folder, "train", 5)
    labels = folder / "train-labels-idx1-ubyte.gz"
    labels.write_bytes(gzip.compress(idx_bytes(np.zeros(3, np.uint8))))
    assert "5 rows and 3 labels" in error(folder)
    labels.write_bytes(gzip.compress(idx_bytes(x)))
    assert "exchanging" in error(folder)
    labels.write_bytes(gzip.compress(b"\x89PNG\r\n"))
    assert "89 50 4e 47" in error(folder)
    labels.write_bytes(gzip.compress(idx_bytes(np.zeros(5, np.uint8)) + b"\0"))
    assert "14 bytes; expected 13" in error(folder)
    labels.write_bytes(b"no gzip")
    assert "cannot be read" in error(folder)
    labels.write_bytes(b"")
    assert "is empty" in error(folder)
    labels.unlink()
    assert "lacks 'train-labels-idx*-ubyte'" in error(folder)
    assert f"the folder {folder}" in error(folder / "train-images-idx3-ubyte.gz")


# tables


def test_csv_mixed_columns(tmp_path: Path) -> None:
    path = tmp_path / "toy.csv"
    path.write_text("\ufeff" + TABLE, encoding="utf-8")
    data = load(path, target="y")
    assert data.name == "toy"
    assert isinstance(data.x, pd.DataFrame)
    assert list(data.x.columns) == ["a", "b"]
    assert data.x["a"].tolist()[:2] == [1.0, 2.5]
    assert data.x["b"].tolist()[::2] == ["red", "blue"]
    assert data.x.isna().to_numpy().tolist() == [[False, False], [False, True], [True, False]]
    np.testing.assert_array_equal(data.y, [0, 1, 0])
    text = load(path, target="b")
    assert text.y.dtype == object


@pytest.mark.parametrize(
    ("name", "separator"), [("t.tsv", "\t"), ("t.CSV.gz", ","), ("t.tsv.gz", "\t"), ("t.csv", ";")]
)
def test_separators_and_compression(tmp_path: Path, name: str, separator: str) -> None:
    content = TABLE.replace(",", separator).encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    assert load(tmp_path / name, target="y").x.shape == (3, 2)


def test_a_class_may_be_called_none_and_labels_stay_text(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,y\n1,None\n2,mild\n3,NA\n")
    assert load(tmp_path / "t.csv", target="y").y.tolist() == ["None", "mild", "NA"]


words = st.text(string.ascii_letters + " ,;\"'é\n", min_size=1, max_size=6).map(lambda text: f"w{text}")


@quick
@hypothesis.given(
    st.lists(
        st.tuples(
            st.floats(allow_nan=False, allow_infinity=False, width=32), st.none() | words, st.integers(-9, 9), words
        ),
        min_size=1,
        max_size=8,
    )
)
def test_csv_round_trip(tmp_path: Path, rows: list[tuple[float, str | None, int, str]]) -> None:
    table = pd.DataFrame(rows, columns=["real", "text", "whole", "label"])
    table.to_csv(tmp_path / "t.csv", index=False, lineterminator="\n")
    data = load(tmp_path / "t.csv", target="label")
    assert isinstance(data.x, pd.DataFrame)
    np.testing.assert_allclose(data.x["real"], table["real"], rtol=1e-14)
    assert data.x["whole"].tolist() == table["whole"].tolist()
    assert [None if pd.isna(v) else v for v in data.x["text"]] == [row[1] and row[1].strip() for row in rows]
    assert data.y.tolist() == table["label"].str.strip().tolist()


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b"a,b,y\n", "no rows"),
        (b"a,b\n1,2\n", "'y' for"),
        (b"a,a,y\n1,2,3\n", "'a' more than once"),
        (b",a,y\n0,1,2\n", "column 1 has no name; expected a name for every column; try `to_csv(index=False)`"),
        (b"a,,y\n0,1,2\n", "column 2 has no name"),
        (b"5.1,3.5,setosa\n4.9,3.0,setosa\n", "looks like data"),
        (b"39, Private, 77516, 13\n50, Private, 83311, 13\n", "looks like data"),
        (b"a,b,y\n1,2,3\n1,2\n", "2 cells in line 3; expected 3"),
        (b"a,b,y\n1,2,3,4\n", "4 cells in line 2; expected 3"),
        (b'a,b,y\n1,"2,3\n', "2 cells in line 2; expected 3"),
        (b'a,b,y\n1,2,"3\n', "cannot be told apart"),
        (b"a,b,y\n1,\xff\xfe,3\n", "not UTF-8"),
        ("a,b,y\n1,2,3\n".encode("utf-16"), "not UTF-8"),
    ],
)
def test_bad_csv(tmp_path: Path, content: bytes, fragment: str) -> None:
    (tmp_path / "bad.csv").write_bytes(content)
    assert fragment in error(tmp_path / "bad.csv", target="y")


def test_whole_increasing_names_are_names(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("0,1,2,y\n5,5,6,1\n")
    assert load(tmp_path / "t.csv", target="y").x.shape == (1, 3)


def test_target_suggestions(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("size,Class,price\n1,a,2\n")
    assert "'size', 'Class', 'price'; try --target 'Class'" in error(tmp_path / "t.csv")
    assert "try --target 'price'" in error(tmp_path / "t.csv", target="prise")


def test_parquet(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {
            "number": [1.5, None],
            "text": ["a", None],
            "group": pd.Categorical(["u", "v"]),
            "label": pd.Categorical(["p", "q"]),
        },
        index=pd.Index([7, 9], name="id"),
    )
    table.to_parquet(tmp_path / "t.parquet")
    data = load(tmp_path / "t.parquet", target="label")
    assert isinstance(data.x, pd.DataFrame)
    assert list(data.x.columns) == ["number", "text", "group"]
    assert data.x.index.tolist() == [0, 1]
    assert data.y.tolist() == ["p", "q"]
    assert data.y.dtype.kind == "U"
    table["list"] = [[1], [2]]
    table.to_parquet(tmp_path / "t.parquet")
    assert "column 'list'" in error(tmp_path / "t.parquet", target="label")
    assert "'number', 'text', 'group'" in error(tmp_path / "t.parquet")
    table["when"] = pd.to_datetime(["2020-01-01", "2020-01-02"])
    table[["number", "when"]].to_parquet(tmp_path / "t.parquet")
    assert "datetime64" in error(tmp_path / "t.parquet", target="when")
    table[["number"]][:0].to_parquet(tmp_path / "t.parquet")
    assert "no rows" in error(tmp_path / "t.parquet", target="number")
    (tmp_path / "t.parquet").write_bytes(b"")
    assert "cannot be read" in error(tmp_path / "t.parquet", target="number")


def test_test_table_is_reordered(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("a,code,y\n1,1x,no\n2,07,1\n")
    (tmp_path / "test.csv").write_text("more,y,code,a\n0,1,07,5\n0,1,08,\n")
    data = load(tmp_path / "train.csv", target="y", test=tmp_path / "test.csv")
    assert isinstance(data.x_test, pd.DataFrame)
    assert list(data.x_test.columns) == ["a", "code"]
    assert data.x_test["code"].tolist() == ["07", "08"]
    assert data.y_test is not None and data.y_test.tolist() == ["1", "1"]


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        ("a,y\n1,u\n", "without the columns 'b'"),
        ("a,b\n1,x\n", "target column 'y'"),
        ("a,b,y\n1,x,u\nsix,x,u\n", "'six' in the column 'a'"),
        ("a,b,y\n1,x,u.\n", "labels 'u.', which no training row has"),
    ],
)
def test_bad_test_table(tmp_path: Path, content: str, fragment: str) -> None:
    (tmp_path / "train.csv").write_text("a,b,y\n1,x,u\n2,z,v\n")
    (tmp_path / "test.csv").write_text(content)
    assert fragment in error(tmp_path / "train.csv", target="y", test=tmp_path / "test.csv")


# images


def test_image_folder(tmp_path: Path) -> None:
    write_image(tmp_path / "dog" / "2.bmp", level=2)
    write_image(tmp_path / "dog" / "1.png", level=1)
    write_image(tmp_path / "cat" / "3.pgm", level=3)
    (tmp_path / "cat" / ".DS_Store").write_bytes(b"x")
    (tmp_path / ".git").mkdir()
    data = load(tmp_path)
    assert isinstance(data.x, np.ndarray)
    assert (data.x.shape, data.x.dtype) == ((3, 3, 4), np.uint8)
    assert data.y.tolist() == ["cat", "dog", "dog"]
    assert data.x[1:, 0, 0].tolist() == [1, 2]
    write_image(tmp_path / "dog" / "4.png", mode="RGBA")
    assert load(tmp_path, image_size=5).x.shape == (4, 5, 5, 3)


@pytest.mark.parametrize(("mode", "shape"), [("L", (4, 3)), ("LA", (4, 3)), ("P", (4, 3, 3)), ("RGBA", (4, 3, 3))])
def test_modes(tmp_path: Path, mode: str, shape: tuple[int, ...]) -> None:
    for label in "ab":
        write_image(tmp_path / label / "1.png", (3, 4), mode)
    assert load(tmp_path).x.shape[1:] == shape


@pytest.mark.parametrize(("level", "kept"), [(0xFE, 0xFE), (0x234, 0x8D), (0xABC, 0xAB), (0xFEDC, 0xFE)])
def test_of_sixteen_bits_the_upper_eight_that_are_used_are_kept(tmp_path: Path, level: int, kept: int) -> None:
    for label, value in (("a", level), ("b", level // 2)):
        write_image(tmp_path / label / "1.png", mode="I;16", level=value)
    data = load(tmp_path)
    assert data.x[:, 0, 0].tolist() == [kept, kept // 2]
    assert bool(data.reading.notes) == (level < 0x8000)


def test_train_and_test_subfolders(tmp_path: Path) -> None:
    for part, mode in (("train", "L"), ("Test", "RGB"), ("val", "L")):
        for label in "ab":
            write_image(tmp_path / part / label / "1.png", mode=mode)
    data = load(tmp_path)
    assert data.x_test is not None
    assert data.x.shape == data.x_test.shape == (2, 3, 4)
    again = load(tmp_path / "train", test=tmp_path / "Test")
    np.testing.assert_array_equal(again.x_test, data.x_test)
    (tmp_path / "Test" / "b").rename(tmp_path / "Test" / "c")
    assert "classes 'c'" in error(tmp_path)
    write_image(tmp_path / "Test" / "a" / "1.png", (9, 9))
    (tmp_path / "Test" / "c").rename(tmp_path / "Test" / "b")
    assert "of 9×9 pixels" in error(tmp_path)


def test_classes_called_train_and_test(tmp_path: Path) -> None:
    for label in ("train", "test"):
        write_image(tmp_path / label / "1.png")
    assert load(tmp_path).y.tolist() == ["test", "train"]


def test_bad_image_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_image(tmp_path / "a" / "1.png")
    assert "1 subfolder(s): 'a'" in error(tmp_path)
    (tmp_path / "b").mkdir()
    assert "is empty" in error(tmp_path)
    write_image(tmp_path / "b" / "1.png", (8, 6))
    assert "4×3" not in error(tmp_path) and "6×8 pixels" in error(tmp_path) and "--image-size 3" in error(tmp_path)
    assert "image_size=0" in error(tmp_path, image_size=0)
    with monkeypatch.context() as patch:
        patch.setattr(Image, "MAX_IMAGE_PIXELS", 40)
        assert "more than 40 pixels" in error(tmp_path, image_size=2)
        patch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
        assert "more than 20 pixels" in error(tmp_path, image_size=2)
    (tmp_path / "b" / "1.png").write_bytes(b"not an image")
    assert "cannot be read" in error(tmp_path)
    (tmp_path / "b" / "notes.txt").write_text("x")
    assert "holds 'notes.txt'" in error(tmp_path)
    (tmp_path / "readme.md").write_text("x")
    assert "the files 'readme.md'" in error(tmp_path)


# damage


def _npz(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, X=array, y=np.arange(len(array)))
    return buffer.getvalue()


def _png(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


def _parquet(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    pd.DataFrame(array).rename(columns=str).to_parquet(buffer)
    return buffer.getvalue()


PIXELS = np.random.default_rng(0).integers(0, 256, (20, 20)).astype(np.uint8)
CSV = ",".join(f"c{i}" for i in range(20)) + "\n" + "\n".join(",".join(map(str, row)) for row in PIXELS)
DAMAGED = {
    "t.npz": (_npz(PIXELS), {}),
    "t.parquet": (_parquet(PIXELS), {"target": "19"}),
    "t.csv.gz": (gzip.compress(CSV.encode()), {"target": "c19"}),
    "train-images-idx3-ubyte": (idx_bytes(PIXELS[None]), {}),
    "train-images-idx3-ubyte.gz": (gzip.compress(idx_bytes(PIXELS[None])), {}),
    "b/1.png": (_png(PIXELS), {}),
}


@pytest.mark.parametrize("name", DAMAGED)
@quick
@hypothesis.given(share=st.floats(0, 1), flip=st.none() | st.integers(0, 7))
def test_damaged_files_load_whole_or_not_at_all(tmp_path: Path, name: str, share: float, flip: int | None) -> None:
    content, settings = DAMAGED[name]
    path = tmp_path / name
    source = path
    path.parent.mkdir(exist_ok=True)
    if "idx" in name:
        (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx_bytes(np.zeros(1, np.uint8)))
        source = tmp_path
    if name.endswith(".png"):
        write_image(tmp_path / "a" / "1.png", PIXELS.shape)
        source = tmp_path
    path.write_bytes(content)
    whole = load(source, **settings)  # type: ignore[arg-type]
    at = int(share * (len(content) - 1))
    if flip is None:
        path.write_bytes(content[:at])
    else:
        path.write_bytes(content[:at] + bytes([content[at] ^ 1 << flip]) + content[at + 1 :])
    try:
        again = load(source, **settings)  # type: ignore[arg-type]
    except InputError as damaged:
        assert "\n" not in str(damaged)
        return
    if flip is None:
        np.testing.assert_array_equal(np.asarray(again.x), np.asarray(whole.x))
        np.testing.assert_array_equal(again.y, whole.y)


# anything else


@pytest.mark.parametrize("suffix", [".pkl", ".pickle", ".pt", ".pth", ".joblib"])
def test_pickles_are_refused(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"t{suffix}").write_bytes(b"\x80\x04.")
    assert "can run any code" in error(tmp_path / f"t{suffix}")


@pytest.mark.parametrize(
    ("name", "content", "fragment"),
    [
        ("t.npz", b"", "no .npz file"),
        ("t.npz", b"\x80\x04K\x01.", "no .npz file"),
        ("t.npz", b"PK nonsense", "cannot be read"),
        ("t.npy", b"x", "labels are needed too"),
        ("t.png", b"x", "one subfolder of images for each class"),
        ("t.xlsx", b"x", "ends in .xlsx"),
        ("t.data.gz", b"x", "renaming it to .csv.gz"),
        ("t", b"x", "has no ending"),
    ],
)
def test_bad_files(tmp_path: Path, name: str, content: bytes, fragment: str) -> None:
    (tmp_path / name).write_bytes(content)
    assert fragment in error(tmp_path / name)


def test_bad_sources(tmp_path: Path) -> None:
    assert "try 'mnist'" in error("mnits")
    assert str(Path.cwd() / "mnits") in error("mnits")
    assert "neither a built-in name nor a path" in error(tmp_path / "digits")
    assert "File name too long" in error("a" * 5000)
    assert "downloading it first" in error("https://example.org/t.csv")
    assert "try 'digits'" in error("")
    assert "try 'digits'" in error(np.ones(3))
    assert "neither a file nor a folder" in error("/dev/null")
    assert "holds nothing" in error(tmp_path)
    (tmp_path / "t.csv").write_text(TABLE)
    assert "no target column" in error(tmp_path)
    (tmp_path / "notes.txt").write_text("x")
    assert f"the file itself, {tmp_path / 't.csv'}" in error(tmp_path)
    (tmp_path / "support.safetensors").write_bytes(b"x")
    assert "the result of a run" in error(tmp_path)
    assert "image_size=3" in error(tmp_path / "t.csv", target="y", image_size=3)
    np.savez(tmp_path / "t.npz", X=X4, y=Y4)
    assert "target column 'y'" in error(tmp_path / "t.npz", target="y")
    np.savez(tmp_path / "other.npz", X=np.ones((4, 3)), y=Y4)
    assert "shape (3,)" in error(tmp_path / "t.npz", test=tmp_path / "other.npz")
    np.savez(tmp_path / "other.npz", X=X4, y=Y4.astype(str))
    assert "labels of one kind" in error(tmp_path / "t.npz", test=tmp_path / "other.npz")
    np.savez(tmp_path / "other.npz", X=X4 + 1, y=Y4)
    np.testing.assert_array_equal(load(tmp_path / "t.npz", test=tmp_path / "other.npz").x_test, X4 + 1)


@pytest.mark.parametrize("name", ["t.csv", "t.npz", "t.parquet"])
def test_unreadable_files(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / name).write_text(TABLE)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, os.strerror(13))

    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr(Path, "read_bytes", refuse)
    message = error(tmp_path / name, target=None if name == "t.npz" else "y")
    assert "Permission denied" in message and "chmod" in message


def test_the_test_part_of_a_file_must_be_like_its_training_part(tmp_path, rng):
    path = tmp_path / "wide.npz"
    np.savez(
        path, x_train=rng.random((6, 3)), y_train=np.arange(6) % 2, x_test=rng.random((6, 2)), y_test=np.arange(6) % 2
    )
    with pytest.raises(InputError, match=r"test data in .*wide.npz with rows of shape \(2,\)"):
        load(path)
