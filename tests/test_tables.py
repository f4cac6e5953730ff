"""The benchmark of the published tables: which cells are chosen, and that none is learned twice."""

import importlib
from pathlib import Path

import numpy as np
import pytest

from datastill import load
from datastill.data.task import with_test

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture
def tables(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("tables")


@pytest.mark.parametrize(
    ("name", "wanted", "expected"),
    [
        ("mnist-network-kip-1-seed0", None, True),
        ("mnist-network-kip-1-seed0", ["mnist"], True),
        ("mnist-network-kip-1-seed0", ["network-kip-1"], True),
        ("mnist-network-kip-1-seed0", ["mnist-network-kip-1-seed0"], True),
        ("fashion_mnist-network-kip-1-seed0", ["mnist-network-kip-1-seed0"], False),
        ("mnist-network-kip-10-seed0", ["network-kip-1"], False),
        ("mnist-network-kip-10-seed0", ["cifar10", "seed0"], True),
    ],
)
def test_cells_are_chosen_by_whole_parts_of_their_names(tables, name, wanted, expected):
    assert tables.selected(name, wanted) is expected


def test_a_cell_goes_on_where_it_was_stopped(tables, monkeypatch, tmp_path):
    teaching = tables.teaching
    monkeypatch.setattr(teaching, "RESULTS", tmp_path)
    monkeypatch.setattr(teaching, "JUDGES", ("net:fast",))
    data = with_test(load("digits"), 0, "classification")
    cell = teaching.Cell("digits", "network-kip", 1, {"max_iter": 3, "width": 4, "training": 1, "target_rows": 50})

    class Stops(teaching.NetworkKIP):
        def _finish(self, *arguments):
            raise KeyboardInterrupt

    monkeypatch.setitem(teaching.METHODS, "network-kip", Stops)
    with pytest.raises(KeyboardInterrupt):
        teaching.run(cell, data, 0, np.inf)
    folder = tmp_path / f"{cell.name}-seed0"
    assert (folder / "checkpoint.safetensors").exists() and not (folder / "figures.json").exists()

    monkeypatch.setitem(teaching.METHODS, "network-kip", teaching.NetworkKIP)
    assert teaching.run(cell, data, 0, 0.0) is None  # no time for judges
    found = teaching.read_json(folder / "figures.json")
    assert found["steps"] == 3 and found["seconds"] is None and found["networks"]["learned"] == {}
    assert not (folder / "checkpoint.safetensors").exists()

    monkeypatch.setitem(teaching.METHODS, "network-kip", None)  # nothing is learned again
    monkeypatch.setattr(teaching, "JUDGE_SEEDS", 1)
    judged = teaching.run(cell, data, 0, np.inf)
    assert [len(judged["networks"][which]["net:fast"]) for which in ("learned", "random")] == [1, 1]
