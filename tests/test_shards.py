"""Shards give the rows that `load` gives, in the same order, however they are cut."""

import gzip
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from datastill import load
from datastill._errors import InputError
from datastill.data.dataset import take
from datastill.data.sharding import shards_of
from datastill.data.shards import LoadedShard, StoredShard, joined

RNG = np.random.default_rng(0)
X, Y = RNG.integers(0, 256, (23, 5, 4), dtype=np.uint8), RNG.integers(0, 3, 23)
TABLE = pd.DataFrame(
    {"a": np.arange(23) / 2, "b": [None if i % 5 == 0 else f'say "{i % 3}", twice' for i in range(23)], "class": Y}
)


def idx(array):
    return b"\0\0\x08" + bytes([array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()


def write_idx(folder, name, pack=lambda content: content, suffix=""):
    path = folder / name
    path.mkdir()
    (path / f"train-images-idx3-ubyte{suffix}").write_bytes(pack(idx(X)))
    (path / f"train-labels-idx1-ubyte{suffix}").write_bytes(pack(idx(Y.astype(np.uint8))))
    return path


def write_images(folder):
    for i, (x, y) in enumerate(zip(X, Y, strict=True)):
        (folder / "train" / f"c{y}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(x).save(folder / "train" / f"c{y}" / f"{i:02}.png")
    (folder / "test" / "c0").mkdir(parents=True)
    Image.fromarray(X[0]).save(folder / "test" / "c0" / "0.png")
    return folder


def written(kind, folder):
    """(path, target) of the data in one of the formats."""
    path = folder / f"data.{kind}"
    match kind:
        case "npz":
            np.savez(path, x_train=X, y_train=Y)
        case "packed.npz":
            np.savez_compressed(path, X=X, y=Y)
        case "idx":
            return write_idx(folder, "plain"), None
        case "idx.gz":
            return write_idx(folder, "packed", gzip.compress, ".gz"), None
        case "images":
            return write_images(folder / "images"), None
        case "parquet":
            TABLE.to_parquet(path, row_group_size=4)
            return path, "class"
        case "csv" | "csv.gz" | "tsv":
            TABLE.to_csv(path, index=False, sep="\t" if kind == "tsv" else ",")
            return path, "class"
    return path, None


KINDS = ("npz", "packed.npz", "idx", "idx.gz", "images", "parquet", "csv", "csv.gz", "tsv")
every_kind = pytest.mark.parametrize("kind", KINDS)


def same(ours, theirs):
    if isinstance(theirs, pd.DataFrame):
        pd.testing.assert_frame_equal(ours, theirs, check_dtype=False)
    else:
        np.testing.assert_array_equal(ours, theirs)
        assert ours.dtype == theirs.dtype


@every_kind
@pytest.mark.parametrize("size", [3, 100])
def test_shards_are_the_rows_that_load_gives(kind, size, tmp_path):
    path, target = written(kind, tmp_path)
    whole = load(path, target=target)
    shards = shards_of([path], target, rows=7)
    assert len(shards) == (1 if kind == "csv.gz" else 3 if kind == "parquet" else 4)
    batches = [batch for shard in shards for batch in shard.batches(size, whole)]
    same(joined([x for x, _ in batches]), whole.x)
    same(np.concatenate([y for _, y in batches]), whole.y)
    same(np.concatenate([shard.labels() for shard in shards]), whole.y)
    assert max(len(y) for _, y in batches) <= size
    assert len({shard.name for shard in shards}) == len({shard.key for shard in shards}) == len(shards)


@every_kind
def test_a_sample_is_spread_over_the_rows(kind, tmp_path):
    path, target = written(kind, tmp_path)
    whole = load(path, target=target)
    (shard,) = shards_of([path], target, rows=100)
    x, y = shard.sample(5)
    chosen = np.arange(0, 23, 4)
    same(x, take(whole.x, chosen))
    same(y, whole.y[chosen])


def test_npy_pairs_and_folders_of_files(tmp_path):
    (tmp_path / "pair").mkdir()
    np.save(tmp_path / "pair" / "X.npy", X.astype(">f4"))
    np.save(tmp_path / "pair" / "y.npy", Y)
    shards = shards_of([tmp_path / "pair"], rows=10)
    assert all(isinstance(shard, StoredShard) for shard in shards)
    rows = joined([x for shard in shards for x, _ in shard.batches(6)])
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows, X)
    (tmp_path / "many").mkdir()
    for i in range(3):
        TABLE.iloc[i * 7 : i * 7 + 7].to_parquet(tmp_path / "many" / f"{i}.parquet")
    shards = shards_of([tmp_path / "many"], "class")
    assert [shard.path for shard in shards] == [str(tmp_path / "many" / f"{i}.parquet") for i in range(3)]
    np.testing.assert_array_equal(np.concatenate([shard.labels() for shard in shards]), Y[:21])


def test_built_in_names_and_compressed_files_are_loaded_whole():
    shards = shards_of(["digits"], rows=500)
    assert all(isinstance(shard, LoadedShard) for shard in shards)
    assert sum(len(shard.labels()) for shard in shards) == len(load("digits").y)


def test_text_stays_text_in_a_part_without_letters(tmp_path):
    path = tmp_path / "codes.csv"
    path.write_text("code,class\nA,x\n1,y\n2,x\n3,y\n")
    whole = load(path, target="class")
    (shard,) = shards_of([path], "class")
    parts = [x for x, _ in shard.batches(2, whole)]
    assert parts[1]["code"].tolist() == ["2", "3"]


@pytest.mark.parametrize("kind", ["npz", "idx", "parquet", "csv", "csv.gz", "images"])
def test_a_file_truncated_after_it_was_cut_is_said(kind, tmp_path):
    path, target = written(kind, tmp_path)
    shards = shards_of([path], target, rows=7)
    file = path if path.is_file() else next(f for f in sorted(path.rglob("*")) if f.is_file() and f.stat().st_size > 80)
    if kind == "images":
        file = sorted((path / "train" / "c0").iterdir())[0]
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="expected"):
        for shard in shards:
            for _ in shard.batches(5):
                pass
    assert shards[0].key != shards_of([written("npz", tmp_path)[0]], rows=7)[0].key


AWKWARD = (
    b"\xef\xbb\xbfa;b;class\r\n"  # a byte order mark, another separator, ends of lines as on Windows
    b'1;"one\r\ntwo; ""three""";x\r\n'  # a cell of two lines, with the separator and quotation marks
    b'2;5" pipe;y\r\n'  # a mark that opens nothing
    b"\r\n"
    b'3; "after a blank";x\r\n'
    b'4;"\r\n";"y"\r\n'
    b"5;gr\xc3\xbc\xc3\x9fe;x"
)


@pytest.mark.parametrize("rows", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [1, 10])
def test_text_is_cut_between_rows_alone(rows, size, tmp_path):
    path = tmp_path / "awkward.csv"
    path.write_bytes(AWKWARD)
    whole = load(path, target="class")
    assert len(whole.y) == 5
    shards = shards_of([path], "class", rows=rows)
    assert [(shard.start, shard.stop) for shard in shards] == [(i, min(i + rows, 5)) for i in range(0, 5, rows)]
    batches = [batch for shard in shards for batch in shard.batches(size, whole)]
    same(joined([x for x, _ in batches]), whole.x)
    same(np.concatenate([y for _, y in batches]), whole.y)


@pytest.mark.parametrize(
    "content",
    [b"a,class\r1,x\r2,y\r3,x\r", b"a,class\r1,x\r2,y\n3,x\n", b'a,class\n1,x\n2,y\n3,"x\r"\n'],
    ids=["returns", "both", "in a cell"],
)
def test_text_with_lone_carriage_returns_is_one_shard(content, tmp_path):
    path = tmp_path / "old.csv"
    path.write_bytes(content)
    (shard,) = shards_of([path], "class", rows=1)
    assert [label.strip() for label in shard.labels()] == ["x", "y", "x"]


def test_a_row_of_another_length_in_a_later_part_is_named_by_its_line(tmp_path):
    path = tmp_path / "bad.csv"
    path.write_text('a,class\n1,"x\n"\n2,y\n\n3,z\n4\n')
    *_, last = shards_of([path], "class", rows=2)
    with pytest.raises(InputError, match="1 cells in line 7; expected 2"):
        list(last.batches(5))


def test_a_row_of_another_length_is_named_by_its_line(tmp_path):
    path = tmp_path / "bad.csv"
    path.write_text("a,class\n1,x\n2,y\n3\n")
    (shard,) = shards_of([path], "class")
    with pytest.raises(InputError, match="1 cells in line 4; expected 2"):
        list(shard.batches(2))


@pytest.mark.parametrize(
    ("where", "target", "said"),
    [
        ([], None, "no data"),
        (["digits", "digits"], None, "twice"),
        (["nowhere"], None, "neither a built-in name nor a path"),
        (["table.csv"], None, "no target column"),
        (["table.csv"], "klass", "try --target 'class'"),
        (["broken.parquet"], "class", "a Parquet file"),
        (["fortran"], None, "Fortran"),
    ],
)
def test_what_cannot_be_cut_is_refused(where, target, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    TABLE.to_csv("table.csv", index=False)
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and no more")
    (tmp_path / "fortran").mkdir()
    np.save("fortran/x.npy", np.asfortranarray(np.ones((3, 2))))
    np.save("fortran/y.npy", Y[:3])
    with pytest.raises(InputError, match=said):
        shards_of(where, target)


def test_a_shard_holds_a_row_at_least():
    with pytest.raises(InputError, match="shards of 0 rows"):
        shards_of(["digits"], rows=0)


@pytest.mark.parametrize("kind", ["npy", "images"])
def test_the_key_of_a_folders_shard_tells_of_its_files(kind, tmp_path):
    if kind == "npy":
        np.save(tmp_path / "x_train.npy", np.ones((6, 2)))
        np.save(tmp_path / "y_train.npy", np.arange(6) % 2)
        file = tmp_path / "x_train.npy"
    else:
        for name in ("a/0.png", "a/1.png", "b/2.png"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / name)
        file = tmp_path / "a" / "0.png"
    before = shards_of([tmp_path])[0].key
    assert shards_of([tmp_path])[0].key == before
    os.utime(file, ns=(0, 0))
    assert shards_of([tmp_path])[0].key != before


def test_the_key_of_packed_idx_tells_of_its_files(tmp_path):
    folder = write_idx(tmp_path, "packed", gzip.compress, ".gz")
    before = shards_of([folder])[0].key
    for file in folder.iterdir():
        os.utime(file, ns=(0, 0))
    assert shards_of([folder])[0].key != before


def test_the_key_is_the_same_from_every_working_folder(tmp_path, monkeypatch):
    np.savez(tmp_path / "data.npz", x_train=np.ones((6, 2)), y_train=np.arange(6) % 2)
    monkeypatch.chdir(tmp_path)
    (here,), (there,) = shards_of(["data.npz"]), shards_of([tmp_path / "data.npz"])
    assert here.key == there.key and here.absolute() == there
    assert shards_of(["digits"])[0].absolute().path == "digits"


def test_images_that_come_later_are_seen(tmp_path):
    for name in ("a/0.png", "a/1.png", "b/2.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / name)
    assert shards_of([tmp_path])[0].stop == 3
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "b" / "3.png")
    os.utime(tmp_path / "b", ns=(1, 1))
    assert shards_of([tmp_path])[0].stop == 4


@every_kind
def test_rows_are_counted(kind, tmp_path):
    path, target = written(kind, tmp_path)
    assert sum(shard.count for shard in shards_of([path], target, rows=7)) == 23


def test_a_folder_with_a_built_in_name_is_not_the_built_in_set(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_idx(tmp_path, "digits", gzip.compress, ".gz")
    for source in ("./digits", "digits/", tmp_path / "digits", Path("digits")):
        (shard,) = shards_of([source], rows=100)
        same(next(shard.batches(100))[0], X)
        same(next(shard.absolute().batches(100))[0], X)
    (tmp_path / "wine").mkdir()
    (tmp_path / "wine" / "notes.txt").write_text("none")
    with pytest.raises(InputError, match=r"notes\.txt"):
        shards_of(["./wine"])


def test_a_compressed_file_that_changed_is_read_again(tmp_path):
    path = tmp_path / "data.npz"
    for rows in (X, X[::-1] // 2):
        np.savez_compressed(path, X=rows, y=Y)
        os.utime(path, ns=(int(rows[0, 0, 0]), 7))
        same(next(shards_of([path])[0].batches(100))[0], rows)


@pytest.mark.parametrize(
    ("kind", "settings", "said"),
    [
        ("npz", {"target": "y"}, "labels of its own"),
        ("npz", {"image_size": 8}, "folders of images only"),
        ("packed.npz", {"target": "y"}, "labels of its own"),
        ("idx", {"image_size": 8}, "folders of images only"),
        ("images", {"target": "y"}, "labels of its own"),
        ("images", {"image_size": 0}, "image_size=0"),
        ("csv", {"target": "class", "image_size": 8}, "folders of images only"),
    ],
)
def test_settings_that_do_not_apply_are_refused_as_load_refuses_them(kind, settings, said, tmp_path):
    path, _ = written(kind, tmp_path)
    for read in (load, lambda path, **settings: shards_of([path], **settings)):
        with pytest.raises(InputError, match=said):
            read(path, **settings)
    with pytest.raises(InputError, match="labels of its own"):
        shards_of(["digits"], "y")


def test_blank_lines_before_the_names_are_left_out(tmp_path):
    path = tmp_path / "blank.csv"
    path.write_text("\n\na;b;t\n1;2;x\n3;4;y\n5;6;x\n")
    whole = load(path, target="t")
    shards = shards_of([path], "t", rows=2)
    same(joined([x for shard in shards for x, _ in shard.batches(9, whole)]), whole.x)
