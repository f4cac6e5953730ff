"""The constant prediction stands in the table of every command, as text and as JSON."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits

from datastill.cli.app import run as run_command
from datastill.evaluate.constant import CONSTANT, constant_of


@pytest.fixture
def table(tmp_path, rng):
    """A table of three usual rows for each rare one, in which the numbers say a little."""
    label = np.where(np.arange(240) % 4 == 0, "rare", "usual")
    frame = pd.DataFrame(rng.normal(size=(240, 3)) + (label == "rare")[:, None], columns=["a", "b", "c"])
    frame.assign(label=label).to_csv(tmp_path / "table.csv", index=False)
    frame.assign(label=2 * frame["a"] + rng.normal(size=240)).to_csv(tmp_path / "reals.csv", index=False)
    return tmp_path


def printed(capsys, *words):
    """The one JSON object that a command prints."""
    capsys.readouterr()
    assert run_command([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(("name", "answer"), [("table.csv", 0.75), ("reals.csv", 0.0)])
def test_every_command_that_judges_tells_the_constant_prediction(table, name, answer, capsys):
    data, run, tournament = str(table / name), str(table / "run"), str(table / "tournament")
    budget = ["--n-support", "8"] if name == "reals.csv" else ["--ipc", "4"]
    made = printed(capsys, "distill", data, "--target", "label", "--method", "kmeans", *budget, "--out", run)
    for summary in (made, printed(capsys, "report", run)):
        score = next(s for s in summary["scores"] if s["role"] == "constant")
        assert score["value"] == pytest.approx(answer, abs=0.05) and score["low"] <= score["value"] <= score["high"]
    page = (table / "run" / "report.html").read_text(encoding="utf-8")
    assert f"{CONSTANT} (" in page
    judged = printed(capsys, "evaluate", run, "--train", data, "--learners", "knn", "--seeds", "1")
    compare = ["--target", "label", "--methods", "kmeans", "--ipc", "8", "--learners", "knn", "--seeds", "2"]
    several = printed(capsys, "compare", data, *compare, "--out", tournament)
    for found in (judged["standings"], several["standings"], printed(capsys, "report", tournament)["entries"]):
        row = next(row for row in found if row["set"] == CONSTANT)
        assert row["mean"] == pytest.approx(answer, abs=0.05) and row["low"] <= row["mean"] <= row["high"]
    assert CONSTANT in (table / "tournament" / "report.html").read_text(encoding="utf-8")
    assert CONSTANT in (table / "tournament" / "report.md").read_text(encoding="utf-8")
    in_proportion = {row["set"] for row in several["standings"]} & {"random-in-proportion 8"}
    assert bool(in_proportion) == (name == "table.csv")
    drawn = {row["set"] for row in judged["standings"]} & {"random rows in proportion"}
    assert bool(drawn) == (name == "table.csv")


def test_the_constant_is_the_commonest_class_or_the_mean():
    codes = load_digits(return_X_y=True)[1]
    assert constant_of((np.eye(10) - 0.1)[codes], False) == np.bincount(codes).argmax()
    np.testing.assert_allclose(constant_of(np.array([[1.0, 2.0], [3.0, 6.0]]), True), [2.0, 4.0])
