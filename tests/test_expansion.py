"""Small files that ask for much memory are refused before they get it, and headers that lie are told."""

import gzip
import io
import json
import struct
import subprocess
import sys
import textwrap
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datastill import SupportSet, load
from datastill._errors import InputError
from datastill.cli.app import run
from datastill.data import archive, bounds
from datastill.data.sharding import shards_of

once = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)


def npy_header(shape, dtype="<f4"):
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": dtype, "fortran_order": False, "shape": shape})
    return buffer.getvalue()


def refused(do):
    """The one line with which a call is refused."""
    with pytest.raises(InputError) as caught:
        do()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_parquet_file_of_one_value_many_times_is_refused_by_its_metadata(tmp_path):
    path = tmp_path / "bomb.parquet"
    words = pa.DictionaryArray.from_arrays(np.zeros(4_000_000, np.int8), ["x"])
    rows = pa.table({"a": words, "class": np.zeros(4_000_000)})
    with pq.ParquetWriter(path, rows.schema) as file:
        for _ in range(20):
            file.write_table(rows, row_group_size=len(rows))
    assert path.stat().st_size < 2**20
    code = f"""
        import resource
        from datastill import load
        from datastill._errors import InputError
        from datastill.data.sharding import shards_of
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for read in (lambda: load({str(path)!r}, target="class"), lambda: shards_of([{str(path)!r}], "class")):
            try:
                read()
            except InputError as error:
                assert "expands to 1.2 GiB" in str(error), error
            else:
                raise AssertionError
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)


def test_archives_that_expand_beyond_measure_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(bounds, "LARGE", 2**20)
    np.savez_compressed(tmp_path / "zeros.npz", x_train=np.zeros((2**20, 4)), y_train=np.zeros(2**20, int))
    assert "expands to" in refused(lambda: load(tmp_path / "zeros.npz"))
    assert "expands to" in refused(lambda: shards_of([tmp_path / "zeros.npz"]))
    (tmp_path / "zeros.csv.gz").write_bytes(gzip.compress(b"a,class\n" + b"0,1\n" * 2**22))
    assert "expands to" in refused(lambda: load(tmp_path / "zeros.csv.gz", target="class"))


def test_what_does_not_fit_in_memory_is_refused(tmp_path, monkeypatch, rng):
    np.savez(tmp_path / "a.npz", x_train=rng.random((2000, 4)), y_train=np.arange(2000) % 2)
    pq.write_table(pa.table({"a": rng.random(9000), "class": np.arange(9000) % 2}), tmp_path / "a.parquet")
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"a,class\n" + b"0,1\n" * 2**14))
    monkeypatch.setattr(bounds, "memory_present", lambda: 2**15)
    for name in ("a.npz", "a.parquet", "a.csv.gz"):
        target = None if name == "a.npz" else "class"
        assert "GiB of memory" in refused(lambda name=name, target=target: load(tmp_path / name, target=target))
    assert shards_of([tmp_path / "a.parquet"], "class")  # which are read in parts


@pytest.mark.parametrize("shape", [(-1, 4), (2**33, 2**31), (2**62, 4, 4), (4, -(2**62)), (1,) * 70, (0, 2**62, 2**62)])
@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_headers_of_arrays_that_lie_are_told(shape, compression, tmp_path):
    for name, head in (("x", shape), ("y", shape[:1])):
        (tmp_path / f"{name}_train.npy").write_bytes(npy_header(head) + bytes(64))
    with zipfile.ZipFile(tmp_path / "a.npz", "w", compression) as file:
        for name in ("x_train.npy", "y_train.npy"):
            file.write(tmp_path / name, name)
    (tmp_path / "folder").mkdir()
    for name in ("x_train.npy", "y_train.npy"):
        (tmp_path / name).rename(tmp_path / "folder" / name)
    refused(lambda: load(tmp_path / "a.npz"))
    refused(lambda: shards_of([tmp_path / "a.npz"]))
    refused(lambda: shards_of([tmp_path / "folder"]))


@pytest.mark.parametrize("shape", [(2,) * 255, (1,) * 255, (2**31, 2**31, 4), (2**32 - 1,) * 3, (0, 2**31), (7,)])
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
def test_idx_headers_that_lie_are_told(shape, packed, tmp_path):
    head = b"\0\0\x08" + bytes([len(shape)]) + b"".join(struct.pack(">I", side) for side in shape) + bytes(100)
    labels = b"\0\0\x08\x01" + struct.pack(">I", shape[0]) + bytes(10)
    for name, content in (("train-images-idx3-ubyte", head), ("train-labels-idx1-ubyte", labels)):
        path = tmp_path / (name + ".gz" * packed)
        path.write_bytes(gzip.compress(content) if packed else content)
    refused(lambda: load(tmp_path))
    refused(lambda: shards_of([tmp_path]))


def test_toml_that_is_too_deep_or_of_other_types_is_a_line(tmp_path, capsys):
    for text in ("ipc=" + "[" * 5000 + "]" * 5000, "ipc = {a=1}", "seed = [1]", "kernel = 1979-05-27", "[ipc]"):
        (tmp_path / "a.toml").write_text(text)
        assert run(["distill", "iris", "--config", str(tmp_path / "a.toml"), "--out", str(tmp_path / "run")]) == 2
        assert len(capsys.readouterr().err.splitlines()) <= 2, text[:20]


NESTED = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(value=NESTED, depth=st.integers(0, 300))
@once
def test_json_comes_back_unless_it_is_too_deep(value, depth):
    text = "[" * depth + json.dumps(value) + "]" * depth
    try:
        assert json.dumps(archive.parse_json(text)) == text
    except ValueError as error:
        assert str(error) == "nested more than 100 deep"
        assert depth > 80


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set")
    SupportSet(np.arange(6.0).reshape(3, 2), np.array([0, 1, 1]), np.array([0, 1]), np.eye(3)[:, :2]).save(folder)
    return folder


@given(part=st.sampled_from(("x", "y", "classes", "soft_labels", "weights", "indices", "preprocessing")), value=NESTED)
@once
def test_a_manifest_with_anything_in_it_is_read_or_told(part, value, saved, tmp_path):
    manifest = json.loads((saved / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps(manifest | {part: value}))
    tensors, _ = archive.read_tensors(saved / "support.safetensors")
    archive.write_tensors(tmp_path / "support.safetensors", tensors)
    try:
        assert len(SupportSet.load(tmp_path)) == 3
    except InputError as error:
        assert "\n" not in str(error)


@given(at=st.sampled_from((("scores",), ("scores", 0), ("verdict",), ("metric",), ("title",), ())), value=NESTED)
@once
def test_a_summary_with_anything_in_it_is_shown_or_told(at, value, tmp_path, monkeypatch):
    score = {"name": "a", "n_examples": 1, "value": 0.5, "low": 0.4, "high": 0.6}
    summary = {"title": "t", "metric": "accuracy", "scores": [score], "verdict": {"sentence": "s"}}
    place = summary
    for key in at[:-1]:
        place = place[key]
    if at:
        place[at[-1]] = value
    (tmp_path / "metrics.json").write_text(json.dumps(summary if at else value))
    monkeypatch.setattr("datastill.workflows.run_files.missing_or_damaged", lambda folder: [])
    assert run(["report", str(tmp_path)]) in (0, 2)
