"""A support set on disk is what it was in memory, and a file is whole or as it was before."""

import errno
import json
import os
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from datastill import SupportSet
from datastill._errors import InputError, OutputError
from datastill.data import archive
from datastill.data.dataset import PARTS, digest
from datastill.preprocess import encoder, labels

FILES = ("manifest.json", "support.safetensors")
once = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])

TABLE = pd.DataFrame(
    {
        "whole": [1, 2, 3],
        "real": [0.5, np.nan, -1e30],
        "flag": [True, False, True],
        "text": ["a", None, 'ç, "quoted"\n'],
        "kind": pd.Categorical(["x", "y", "x"]),
        "maybe": pd.array([1, None, 3], dtype="Int64"),
        "small": np.array([1, 2, 255], np.uint8),
        7: pd.Series([1.5, None, "z"], dtype=object),
    }
)
X = {
    "vectors": np.arange(6.0).reshape(3, 2),
    "float32": np.array([[0.1], [np.pi], [-0.0]], np.float32),
    "images": np.arange(3 * 2 * 2 * 3, dtype=np.uint8).reshape(3, 2, 2, 3),
    "grey": np.arange(12, dtype=np.int16).reshape(3, 2, 2),
    "flags": np.array([[True], [False], [True]]),
    "table": TABLE,
}
Y = {
    "text": np.array(["b", "a", "ç"]),
    "int": np.array([-1, 5, 5]),
    "bool": np.array([True, False, True]),
    "float": np.array([0.0, 1.0, 0.0]),
    "object": np.array(["a", "b", "a"], dtype=object),
    "targets": np.array([[1.5, 2.5], [0.0, -1.0], [1e-30, 1e30]]),
}


def support(x=X["vectors"], y=Y["int"], **more):
    """A support set with every part."""
    coded = labels.TargetScaler.fit(y) if y.ndim == 2 else labels.ClassLabels.fit(y)
    return SupportSet(
        x=x,
        y=y,
        classes=None if y.ndim == 2 else np.unique(y),
        soft_labels=np.arange(9.0).reshape(3, 3) / 7,
        weights=np.array([1.0, 0.5, 2.0]),
        indices=np.array([4, 1, 9]),
        preprocessing={"space": encoder.state(encoder.fit_encoder(x)), "labels": labels.state(coded)},
        provenance={"method": "test", "seed": 3, "loss": 0.25, "list": [1, "é", None], "digest": {"x": digest(x)}},
        **more,
    )


def same(a, b):
    """Whether two trees of values are equal, types and dtypes included."""
    if isinstance(b, pd.DataFrame):
        pd.testing.assert_frame_equal(a, b)
    elif isinstance(b, np.ndarray):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    elif isinstance(b, dict):
        assert list(a) == list(b)
        for key, value in b.items():
            same(a[key], value)
    elif isinstance(b, (list, tuple)):
        assert len(a) == len(b)
        for one, two in zip(a, b, strict=True):
            same(one, two)
    else:
        assert a == b


@pytest.mark.parametrize("x", X)
@pytest.mark.parametrize("y", Y)
def test_a_support_set_comes_back(x, y, tmp_path):
    saved = support(X[x], Y[y])
    saved.save(tmp_path / "new" / "folder")
    found = SupportSet.load(tmp_path / "new" / "folder")
    for part in fields(SupportSet):
        same(getattr(found, part.name), getattr(saved, part.name))
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == sorted(FILES)


def test_what_is_left_out_stays_out(tmp_path):
    SupportSet(X["vectors"], Y["int"]).save(tmp_path)
    found = SupportSet.load(str(tmp_path))
    assert len(found) == 3
    assert found.classes is found.soft_labels is found.weights is found.indices is None
    assert found.preprocessing == found.provenance == {}


@given(
    x=hnp.arrays(
        st.sampled_from(["float64", "float32", "int64", "uint8", "bool"]), hnp.array_shapes(min_dims=2, max_dims=4)
    )
)
@once
def test_any_array_comes_back_bit_for_bit(x, tmp_path):
    SupportSet(x, np.arange(len(x))).save(tmp_path)
    found = SupportSet.load(tmp_path).x
    assert found.dtype == x.dtype
    assert found.shape == x.shape
    assert found.tobytes() == x.tobytes()


@given(values=st.lists(st.text(max_size=5) | st.none() | st.booleans() | st.integers(-9, 9), min_size=1, max_size=5))
@once
def test_any_text_column_comes_back(values, tmp_path):
    table = pd.DataFrame({"a": pd.Series(values, dtype=object)})
    if len({(type(v), v) for v in values}) > len(set(values)):
        return  # 1 and True are one value to pandas
    SupportSet(table, np.arange(len(values))).save(tmp_path)
    pd.testing.assert_frame_equal(SupportSet.load(tmp_path).x, table)


def test_equal_content_gives_equal_bytes(tmp_path):
    for name in "ab":
        support(TABLE, Y["text"]).save(tmp_path / name)
    for file in FILES:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_saving_again_replaces(tmp_path):
    support().save(tmp_path)
    support(x=X["images"], y=Y["text"]).save(tmp_path)
    same(SupportSet.load(tmp_path).x, X["images"])


def test_strided_arrays_are_saved_as_they_read(tmp_path):
    x = np.arange(12.0).reshape(3, 4)
    SupportSet(x.T[::2, ::-1], np.arange(2)).save(tmp_path)
    np.testing.assert_array_equal(SupportSet.load(tmp_path).x, x.T[::2, ::-1])


def test_the_manifest_is_json_for_people(tmp_path):
    support().save(tmp_path)
    text = (tmp_path / "manifest.json").read_text(encoding="utf-8")
    manifest = json.loads(text)
    assert manifest["schema"] == "datastill.support/1"
    assert manifest["rows"] == "vectors"
    assert set(PARTS) <= set(manifest)
    assert "NaN" not in text
    assert "é" in text


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[: len(content) // 2],
        lambda content: content[:-3],
        lambda content: bytes(reversed(content)),
        lambda content: b"\x00" * len(content),
        lambda content: content[:8] + b"\xff" + content[9:],
        lambda content: b"[]",
        lambda content: b"{}",
        lambda content: None,
    ],
    ids=["empty", "half", "shorter", "reversed", "zeros", "one byte", "list", "object", "absent"],
)
def test_damaged_files_are_named(file, damage, tmp_path):
    support().save(tmp_path)
    path = tmp_path / file
    content = damage(path.read_bytes())
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"Got .*expected") as caught:
        SupportSet.load(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_other_schemas_are_named(tmp_path):
    support().save(tmp_path)
    path = tmp_path / "manifest.json"
    for schema in ("datastill.support/2", None, 1):
        path.write_text(json.dumps({**json.loads(path.read_text()), "schema": schema}))
        with pytest.raises(InputError, match=r"schema 'datastill.support/1'.*upgrading"):
            SupportSet.load(tmp_path)


@pytest.mark.parametrize("part", ["x", "y", "soft_labels"])
def test_manifest_and_tensors_of_two_runs_are_told_apart(part, tmp_path):
    support().save(tmp_path)
    path = tmp_path / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest[part] = {"tensor": "elsewhere"}
    path.write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="do not belong together"):
        SupportSet.load(tmp_path)


def test_tensors_that_are_newer_than_the_manifest_are_told(tmp_path):
    """As when a process ends between the two files."""
    support().save(tmp_path)
    before = (tmp_path / "manifest.json").read_text()
    support(y=np.array([f"other {i}" for i in range(len(support().y))])).save(tmp_path)
    (tmp_path / "manifest.json").write_text(before)
    with pytest.raises(InputError, match="one is newer than the other"):
        SupportSet.load(tmp_path)


def test_no_pickle_is_written_or_read(tmp_path):
    support(TABLE, Y["object"]).save(tmp_path)
    for file in FILES:
        content = (tmp_path / file).read_bytes()
        assert b"\x80\x04" not in content
        assert b"numpy.core" not in content


def full_disk(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("step", ["fsync", "replace", "open"])
def test_a_write_that_fails_midway_leaves_the_old_file(step, tmp_path, monkeypatch):
    path = tmp_path / "file"
    archive.write_atomic(path, b"old")
    if step == "fsync":
        monkeypatch.setattr(os, "fsync", full_disk)
    elif step == "replace":
        monkeypatch.setattr(os, "replace", full_disk)
        monkeypatch.setattr(type(path), "replace", full_disk)
    else:
        monkeypatch.setattr(archive.tempfile, "mkstemp", lambda **_: full_disk())
    with pytest.raises(OutputError, match=r"Could not write .*No space left on device.*try another") as caught:
        archive.write_atomic(path, b"new")
    assert str(path) in str(caught.value)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_an_interrupted_write_leaves_nothing_behind(tmp_path, monkeypatch):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        archive.write_atomic(tmp_path / "file", b"new")
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_the_old_support_set(tmp_path, monkeypatch):
    support().save(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full_disk)
        with pytest.raises(OutputError):
            support(x=X["images"]).save(tmp_path)
    same(SupportSet.load(tmp_path).x, X["vectors"])


@pytest.mark.parametrize("kind", ["file", "under a file"])
def test_a_folder_that_cannot_be_made_is_named(kind, tmp_path):
    (tmp_path / "file").write_text("x")
    folder = tmp_path / "file" if kind == "file" else tmp_path / "file" / "deeper"
    with pytest.raises(OutputError, match="Could not write") as caught:
        support().save(folder)
    assert str(folder) in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_named(tmp_path):
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    with pytest.raises(OutputError, match="Permission denied"):
        support().save(folder)


def test_files_can_be_read_as_the_umask_allows(tmp_path):
    before = os.umask(0o027)
    try:
        archive.write_atomic(tmp_path / "file", b"")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_non_finite_numbers_become_null(tmp_path):
    archive.write_json(tmp_path / "a.json", {"a": [float("nan"), np.inf, 1.5], "b": np.float32(2), 3: (np.int64(1),)})
    assert archive.read_json(tmp_path / "a.json") == {"a": [None, None, 1.5], "b": 2.0, "3": [1]}


def test_digests_are_of_the_values(rng):
    x = rng.standard_normal((4, 3))
    assert digest(x) == digest(np.asfortranarray(x)) == digest(x.astype(">f8"))
    others = [x + 1e-12, x.reshape(3, 4), x.astype(np.float32), x[::-1], TABLE, TABLE.rename(columns={"whole": "w"})]
    assert len({digest(each) for each in [x, *others]}) == 7
    assert digest(TABLE) == digest(TABLE.copy())
