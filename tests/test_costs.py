"""Time and memory grow with the data and no faster, and data that would not fit are refused."""

import subprocess
import sys
import time
import tracemalloc

import jax
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import coo_array, csr_array, dok_array, lil_array

import oracles
from datastill import KIP, Coreset, CoresetRegressor, KIPRegressor, LabelSolve, Universal, _memory, _validate, krr
from datastill._errors import InputError
from datastill.cli.app import run
from datastill.data import sampling
from datastill.data.dataset import Dataset
from datastill.evaluate import queries
from datastill.kernels import RBF, ConvNet, FullyConnected
from datastill.select.sensitivity import leverage
from datastill.workflows import distill


def peak_of(work):
    """Bytes that the arrays of NumPy took at most."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_random_rows_of_many_columns_take_a_few_copies_of_them(rng):
    x = rng.standard_normal((60, 40_000)).astype(np.float32)
    codes = np.arange(60) % 2
    assert peak_of(lambda: Coreset(2, method="random", random_state=0).fit(x, codes)) < 12 * x.nbytes


def test_random_rows_of_many_classes_take_a_few_copies_of_their_label_vectors(rng):
    codes = np.arange(4000) % 2000
    x = rng.standard_normal((4000, 3)).astype(np.float32)
    assert peak_of(lambda: Coreset(1, method="random", random_state=0).fit(x, codes)) < 8 * 4 * 4000 * 2000


def test_the_time_of_query_errors_grows_with_the_numbers_in_the_data(rng):
    def seconds(columns):
        x = rng.standard_normal((300, columns)).astype(np.float32)
        started = time.process_time()
        queries.query_errors(x, x[:, :1], np.arange(3), np.full(3, 100.0), RBF())
        return time.process_time() - started

    seconds(500)
    assert seconds(8000) < 40 * max(seconds(500), 0.05)


def test_queries_grow_fewer_where_each_takes_long(rng, monkeypatch):
    x = rng.standard_normal((50, 6, 6)).astype(np.float32)
    rows = (x.reshape(50, -1)[:, :2], np.arange(5), np.full(5, 10.0))
    monkeypatch.setattr(queries, "WORK", 20 * queries.CENTRES * x.size)
    found = {e.family: e.queries for e in queries.query_errors(x, *rows, RBF())}
    assert found == {"cluster cost": 20, "ridge loss": 20, "kernel mean": 50}
    dear = {e.family for e in queries.query_errors(x, *rows, ConvNet(1, stem=True))}
    assert dear == {"cluster cost", "ridge loss"}


def test_rows_are_chosen_without_solving_a_regression(rng, monkeypatch):
    x, codes = rng.standard_normal((40, 3)), np.arange(40) % 2
    solved = []
    monkeypatch.setattr(krr, "fit", lambda *given: solved.append(given) or np.zeros((4, 2)))
    found = Coreset(2, method="kmedoids", random_state=0).fit(x, codes)
    assert not solved
    found.predict(x), found.predict(x)
    assert len(solved) == 1
    found.fit(x, codes).predict(x)
    assert len(solved) == 2


def test_sparse_rows_that_do_not_fit_are_refused_with_the_numbers(monkeypatch):
    x = csr_array(np.eye(100)[:, :50])
    monkeypatch.setattr(_validate, "memory_left", lambda: 3 * 4 * 100 * 50)
    Coreset(2, random_state=0).fit(x, np.arange(100) % 2)
    monkeypatch.setattr(_validate, "memory_left", lambda: 3 * 4 * 100 * 50 - 1)
    with pytest.raises(InputError, match=r"100 sparse rows of 50 numbers.*TruncatedSVD"):
        Coreset(2, random_state=0).fit(x, np.arange(100) % 2)


@pytest.mark.parametrize("kind", [csr_array, coo_array, lil_array, dok_array])
def test_sparse_rows_are_dense_in_the_least_type_that_holds_them(kind):
    codes = np.arange(20) % 2
    counts = np.eye(20)[:, :10]
    assert Coreset(2, random_state=0).fit(kind(counts), codes).X_support_.dtype == np.float32
    assert Coreset(2, random_state=0).fit(kind(counts.astype(np.int64)), codes).X_support_.dtype == np.int64
    assert Coreset(2, random_state=0).fit(kind(1e99 * counts), codes).X_support_.dtype == np.float64


def test_a_container_may_have_less_memory_than_the_machine(monkeypatch, tmp_path):
    (tmp_path / "max").write_text("1073741824\n")
    (tmp_path / "none").write_text("max\n")
    monkeypatch.setattr(_memory, "CONTAINERS", (str(tmp_path / "none"), str(tmp_path / "missing")))
    machine = _memory.memory_present()
    monkeypatch.setattr(_memory, "CONTAINERS", (str(tmp_path / "max"), str(tmp_path / "none")))
    assert _memory.memory_present() == min(2**30, machine)
    assert 0 <= _memory.memory_left() <= 2**30


def test_it_can_be_imported_without_resource_limits_as_on_windows():
    code = (
        "import sys, psutil; sys.modules['resource'] = None; import datastill, datastill.cli.app;"
        "from datastill._memory import memory_left, memory_present; assert 0 < memory_left() < memory_present()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def operations(jaxpr):
    """Count the operations of a program, those in its loops once."""
    inner = [value for e in jaxpr.eqns for value in e.params.values() if hasattr(value, "jaxpr")]
    return len(jaxpr.eqns) + sum(operations(value.jaxpr) for value in inner)


@pytest.mark.parametrize("kind", ["ntk", "nngp"])
def test_a_deep_kernel_is_no_larger_a_program_than_a_shallow_one(kind):
    def size(depth):
        def total(a):
            return FullyConnected(depth, kind=kind).block(a, a).sum()

        return operations(jax.make_jaxpr(jax.value_and_grad(total))(np.ones((4, 3), np.float32)).jaxpr)

    assert size(1) < size(3) < size(4) == size(40)


@pytest.mark.parametrize("depth", [4, 12])
@pytest.mark.parametrize("activation", ["relu", "erf"])
def test_layers_in_a_loop_are_layers(depth, activation, rng):
    x1, x2 = rng.standard_normal((5, 4)), rng.standard_normal((3, 4))
    nngp, ntk = oracles.dense(x1, x2, depth, activation)
    for kind, wanted in (("nngp", nngp), ("ntk", ntk)):
        kernel = FullyConnected(depth, activation, kind=kind)
        np.testing.assert_allclose(kernel(x1, x2), wanted, rtol=1e-12)
        np.testing.assert_allclose(kernel(x1.astype(np.float32), x2.astype(np.float32)), wanted, rtol=2e-5)
        np.testing.assert_allclose(kernel.diagonal(x1), np.diag(kernel(x1)), rtol=1e-12)


LAYOUTS = {
    "by columns": np.asfortranarray,
    "strided": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "backwards": lambda a: a[::-1].copy()[::-1],
    "read-only": lambda a: np.lib.stride_tricks.as_strided(a, writeable=False),
    "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
}
FITS = {
    "kip": lambda: KIP(2, max_iter=3, random_state=0),
    "kip of targets": lambda: KIPRegressor(4, max_iter=3, random_state=0),
    "label solve": lambda: LabelSolve(2, random_state=0),
    "k-means": lambda: Coreset(2, method="kmeans", random_state=0),
    "facility location": lambda: Coreset(2, method="facility-location", random_state=0),
    "universal": lambda: Universal(2, max_iter=4, learners=("knn",), random_state=0),
    "k-means with targets": lambda: CoresetRegressor(4, method="kmeans-targets", random_state=0),
}


@pytest.mark.parametrize("name", FITS)
def test_equal_data_gives_equal_bits_however_it_lies_in_memory(name):
    draw = np.random.default_rng(0)
    x = draw.standard_normal((60, 7)) * draw.lognormal(size=7) + 3
    y = x[:, :2].copy() if "targets" in name else np.arange(60) % 3
    first = FITS[name]().fit(x, y)
    for layout, change in LAYOUTS.items():
        there = change(x)
        np.testing.assert_array_equal(there, x)
        found = FITS[name]().fit(there, change(y) if y.ndim == 2 else y)
        np.testing.assert_array_equal(found.X_support_, first.X_support_, layout)
        np.testing.assert_array_equal(found.predict(there), first.predict(x), layout)
        assert found.support_set_.provenance["digest"] == first.support_set_.provenance["digest"]


def test_images_by_columns_give_equal_bits():
    images = np.random.default_rng(0).random((40, 5, 6))
    codes = np.arange(40) % 2
    one, two = (KIP(1, max_iter=3, random_state=0).fit(x, codes) for x in (images, np.asfortranarray(images)))
    np.testing.assert_array_equal(one.X_support_, two.X_support_)


def test_fewer_rows_keep_the_proportions_and_the_rare():
    codes = np.repeat([0, 1, 2], [9000, 900, 60])
    rows = sampling.fewer(codes, len(codes), 1000, seed=0)
    kept = np.bincount(codes[rows])
    assert kept[2] == 60
    assert kept.sum() == 1000
    assert kept[0] / kept[1] > 4
    assert (np.diff(rows) > 0).all()
    np.testing.assert_array_equal(rows, sampling.fewer(codes, len(codes), 1000, seed=0))
    assert (sampling.fewer(codes, len(codes), 1000, seed=1) != rows).any()
    np.testing.assert_array_equal(sampling.fewer(codes, len(codes), 10_000, seed=0), np.arange(len(codes)))
    assert len(sampling.fewer(None, 500, 20, seed=0)) == 20
    assert (np.bincount(np.arange(5000)[sampling.fewer(np.arange(5000) % 2500, 5000, 2600, 0)] % 2500) >= 1).all()


def test_the_default_learns_from_some_of_many_rows(monkeypatch):
    x = np.zeros((200, 1))
    data = Dataset("many", x, np.arange(200) % 2)
    assert distill.rows_for(data, {"ipc": 10}) is None
    monkeypatch.setattr(distill, "MANY_ROWS", 100)
    assert distill.rows_for(data, {"ipc": 2}) == 100
    assert distill.rows_for(data, {"ipc": None, "n_support": None}) == 100
    for budget in (0.1, 50, {"a": 1, "b": 0.5}):
        assert distill.rows_for(data, {"ipc": budget}) is None


@pytest.mark.parametrize("method", ["random", "kmeans", "universal"])
def test_a_set_of_some_rows_is_judged_beside_all(method, tmp_path):
    draw = np.random.default_rng(0)
    codes = np.repeat([0, 1], [900, 100])
    table = pd.DataFrame(draw.standard_normal((1000, 3)) + 3 * codes[:, None], columns=["a", "b", "c"])
    data = Dataset("many", table, codes, table[::10], codes[::10])
    settings = {"ipc": 2, "max_iter": 4}
    request = distill.Request(method, "classification", settings, 0, rows=300)
    result = distill.distill(data, request, tmp_path / "run")
    support = distill.SupportSet.load(tmp_path / "run")
    assert support.provenance["n_train"] == 300
    assert support.provenance["learned_from"] == {"rows": 300, "of": 1000}
    assert any("300 of the 1,000 training rows" in warning for warning in result.summary["warnings"])
    if support.indices is not None:
        pd.testing.assert_frame_equal(support.x, table.iloc[support.indices].reset_index(drop=True))
        np.testing.assert_array_equal(support.y, codes[support.indices])
    assert distill.distill(data, request, tmp_path / "run").resumed
    with pytest.raises(InputError, match="rows=3; expected 4 or more"):
        distill.distill(data, distill.Request(method, "classification", settings, 0, rows=3), tmp_path / "few")


@pytest.mark.parametrize("ridge", [0.0, 1e-3, 0.5])
def test_leverage_of_fewer_rows_than_columns_needs_no_matrix_of_columns(ridge, rng):
    x = rng.standard_normal((20, 60))
    x[5] = x[4]
    second = x.T @ x
    inverse = np.linalg.pinv(second + ridge * np.trace(second) / 60 * np.eye(60), rcond=1e-10)
    np.testing.assert_allclose(leverage(x, ridge), np.einsum("nd,de,ne->n", x, inverse, x), rtol=1e-8)
    wide = rng.standard_normal((20, 20_000)).astype(np.float32)
    assert peak_of(lambda: leverage(wide, 1e-3)) < 4 * wide.nbytes


def test_the_command_line_takes_some_rows_or_all(tmp_path, capsys):
    asked = ["distill", "digits", "--method", "kmeans", "--ipc", "1", "--learners", "none"]
    assert run([*asked, "--rows", "200", "--out", str(tmp_path / "some")]) == 0
    assert "Rows: 200 of 1,347 to learn from" in capsys.readouterr().err
    assert run([*asked, "--rows", "all", "--out", str(tmp_path / "all")]) == 0
    assert run([*asked, "--rows", "2000", "--out", str(tmp_path / "more")]) == 0
    assert "Rows:" not in capsys.readouterr().err
    sets = [distill.SupportSet.load(tmp_path / name) for name in ("some", "all", "more")]
    assert [s.provenance["n_train"] for s in sets] == [200, 1347, 1347]
    assert run([*asked, "--rows", "some", "--out", str(tmp_path / "bad")]) == 2
    assert "expected a whole number, 2 or more, or all" in capsys.readouterr().err
