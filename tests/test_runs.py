"""A run's folder, the plan before it and the bar beside it."""

import io
import sys
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from datastill import Dataset, progress
from datastill._errors import InputError
from datastill.data.sharding import shards_of
from datastill.data.task import guess_task, with_test
from datastill.distill import loop
from datastill.evaluate.panel import PANEL
from datastill.features import RandomFourier
from datastill.kernels import RBF, ConvNet, FullyConnected
from datastill.learners.named import named_learner
from datastill.moments import collect_all, survey
from datastill.moments.sample import Sample
from datastill.workflows import distill as workflow
from datastill.workflows import plan
from datastill.workflows.saved_set import open_artefact


@pytest.fixture
def blobs():
    draw = np.random.default_rng(0)
    y = np.arange(100) % 2
    return Dataset("blobs", draw.normal(size=(100, 3)) + 2 * y[:, None], y)


@pytest.mark.parametrize(
    ("y", "task"),
    [
        (np.array(["a", "b", "a"]), "classification"),
        (np.array([True, False, True]), "classification"),
        (np.array([1, 5, 1]), "classification"),
        (np.array([0.0, 1.0, 2.0]), "classification"),
        (np.array([0.5, 1.0, 2.0]), "regression"),
        (np.arange(500), "regression"),
        (np.array([[1, 2], [3, 4], [5, 6]]), "regression"),
        (np.array([[0.5, 2], [3, 4], [5, 6]]), "regression"),
    ],
    ids=["text", "true or false", "two integers", "whole floats", "reals", "many integers", "columns", "real columns"],
)
def test_the_task_is_told_from_the_labels(y, task):
    assert guess_task(y)[0] == task


def test_a_quarter_of_each_class_is_held_out(blobs):
    split = with_test(blobs, 0, "classification")
    assert abs(len(split.x_test) - 25) <= 1
    assert abs(np.bincount(split.y_test)[0] - np.bincount(split.y_test)[1]) <= 1
    together = np.concatenate([split.x, split.x_test])
    assert {row.tobytes() for row in together} == {row.tobytes() for row in blobs.x}
    assert with_test(split, 1, "classification") is split


def request(**settings):
    return workflow.Request("kip", "classification", {"ipc": 1, "max_iter": 5, **settings}, 0)


def test_a_run_is_done_once_and_refused_to_others(blobs, tmp_path):
    data = with_test(blobs, 0, "classification")
    first = workflow.distill(data, request(), tmp_path / "run")
    again = workflow.distill(data, request(), tmp_path / "run")
    assert not first.resumed and again.resumed
    assert first.summary == again.summary
    with pytest.raises(InputError, match="max_iter: 5, not 6"):
        workflow.distill(data, request(max_iter=6), tmp_path / "run")
    other = with_test(Dataset("blobs", blobs.x + 1, blobs.y), 0, "classification")
    with pytest.raises(InputError, match="different data"):
        workflow.distill(other, request(), tmp_path / "run")


def test_a_refused_request_leaves_no_folder_behind(blobs, tmp_path):
    data = with_test(blobs, 0, "classification")
    with pytest.raises(InputError, match="ipc=0"):
        workflow.distill(data, request(ipc=0), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_disk_that_fills_up_loses_no_checkpoint(blobs, tmp_path, monkeypatch):
    data = with_test(blobs, 0, "classification")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(workflow.report, "render", full)
    with pytest.raises(OSError, match="No space left"):
        workflow.distill(data, request(), tmp_path / "run")
    assert (tmp_path / "run" / "checkpoint.safetensors").exists()
    monkeypatch.undo()
    resumed = workflow.distill(data, request(), tmp_path / "run")
    whole = workflow.distill(data, request(), tmp_path / "whole")
    assert resumed.summary == whole.summary


def test_unseen_test_classes_are_refused(blobs, tmp_path):
    data = with_test(blobs, 0, "classification")
    strange = Dataset("blobs", data.x, data.y, data.x_test, data.y_test + 1)
    with pytest.raises(InputError, match=r"training data does not have: 2"):
        workflow.distill(strange, request(), tmp_path / "run")


def test_test_rows_that_are_not_finite_are_refused_before_anything_is_learned(blobs, tmp_path):
    data = with_test(blobs, 0, "classification")
    broken = data.x_test.copy()
    broken[1, 0] = np.inf
    with pytest.raises(InputError, match=r"the test rows with 1 entries that are inf, the first at \[1, 0\]"):
        workflow.distill(replace(data, x_test=broken), request(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_forecast_grows_with_what_is_asked(blobs):
    shape = plan.Shape.of(blobs, "classification")
    assert (shape.rows, shape.row_shape, shape.classes, shape.outputs) == (100, (3,), (50, 50), 2)

    def forecast(method, kernel, ipc, steps):
        return plan.forecast(shape, method, kernel, ipc, steps, 5000, 2**30, plan.Baseline(1.0, 2.0**28))

    small = forecast("kip", FullyConnected(1), 1, 10)
    large = forecast("kip", FullyConnected(1), 1, 100_000)
    assert large.seconds > small.seconds + 1  # 99,990 steps more
    assert small.memory_bytes >= 2**28
    assert small.n_support == 2
    solve = forecast("label-solve", RBF(), 5, 0)
    assert solve.step_seconds == 0 < solve.seconds
    assert solve.n_support == 10
    with pytest.raises(InputError, match="label-solve"):
        forecast("magic", RBF(), 1, 1)


def test_a_forecast_under_a_dear_kernel_probes_few_rows(monkeypatch):
    shape = plan.Shape(60_000, 10_000, (8, 8, 1), (6_000,) * 10, 10, 2**26)
    monkeypatch.setattr(plan, "PROBE_WORK", 3e5)  # 16 rows
    dear = plan.forecast(shape, "kip", ConvNet(1), 1, 100, 80, 2**30, plan.Baseline(1.0, 2.0**28))
    assert dear.step_seconds > 0
    assert dear.seconds > 100 * dear.step_seconds + 7 * 60_000 * 10 / 1e6  # rivals' labels, at 10⁶ pairs a second


def test_dear_covariances_grow_with_the_square_of_rows(monkeypatch):
    x, met = np.ones((40, 8, 8, 1), np.float32), []

    def seconds(work):
        before = len(met)
        work()
        return 3.0 if len(met) > before else 0.5  # of covariances, and of a solution

    monkeypatch.setattr(ConvNet, "__call__", lambda self, rows: met.append(len(rows)) or np.eye(len(rows)))
    monkeypatch.setattr(plan, "_timed", seconds)
    monkeypatch.setattr(plan, "PROBE_WORK", 20**2 * ConvNet(1).activations(x.shape[1:]))
    assert plan._exact_cost(ConvNet(1), x, np.ones((40, 2)), 80) == 3 * 4**2 + 0.5 * 2**3
    assert met == [20, 20]


def test_a_forecast_holds_at_least_what_its_trials_held(monkeypatch):
    shape = plan.Shape(100, 20, (3,), (50, 50), 2, 10**4)
    monkeypatch.setattr(plan, "peak_memory", lambda: 2**40)
    found = plan.forecast(shape, "kip", FullyConnected(1), 1, 10, None, 2**30, plan.Baseline(1.0, 2.0**28))
    assert 2**40 <= found.memory_bytes < 2**40 + 2**20


def test_cheap_kernels_are_forecast_before_dear_ones_hold_memory(monkeypatch):
    made = []

    def recorded(shape, method, kernel, ipc, *_):
        made.append((method, kernel, ipc))
        return plan.Forecast(method, repr(kernel), 2 * ipc, 1.0, 1.0, 1.0)

    monkeypatch.setattr(plan, "forecast", recorded)
    shape = plan.Shape(100, 20, (8, 8, 1), (50, 50), 2, 10**4)
    dear, cheap = ConvNet(1), FullyConnected(1)
    asked = [("kip", dear, 1), ("kip", cheap, 1), ("label-solve", dear, 1), ("label-solve", cheap, 1)]
    found = plan.forecasts(shape, asked, 10, None, 2**30, plan.Baseline(1.0, 1.0))
    assert made == [("label-solve", cheap, 1), ("kip", cheap, 1), ("label-solve", dear, 1), ("kip", dear, 1)]
    assert [(one.method, one.kernel) for one in found] == [(method, repr(kernel)) for method, kernel, _ in asked]


def test_shapes_of_tables_and_of_real_targets():
    frame = pd.DataFrame({"a": [1.0, 2.0, np.nan], "b": ["x", "y", "x"]})
    shape = plan.Shape.of(Dataset("t", frame, np.array([0.5, 1.5, 2.5])), "regression")
    assert shape.classes is None
    assert (shape.outputs, shape.rows) == (1, 3)
    assert shape.columns == 4  # a number, whether it is missing, and two categories


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_the_bar_shows_loss_score_and_time_left_on_a_terminal(monkeypatch):
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(progress, "Console", lambda **_: Console(file=screen, force_terminal=True, width=120))
    with progress.bar("KIP: 10 examples", 100, "accuracy", True) as watch:
        watch(loop.Progress(step=40, loss=0.1234, history=[loop.Record(40, 0.1234, 0.2, 0.875)]))
    text = screen.getvalue()
    for part in ("KIP: 10 examples", "40/100", "0.1234", "validation accuracy", "0.875"):
        assert part in text


def test_the_bar_of_a_pass_shows_rows_and_their_speed(monkeypatch):
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(progress, "Console", lambda **_: Console(file=screen, force_terminal=True, width=120))
    with progress.rows_bar("Moments", 12_345, True) as watch:
        for _ in range(3):
            time.sleep(0.05)
            watch(2_000)
    text = screen.getvalue()
    for part in ("Moments", "6,000/12,345 rows", " rows/s", "0:00:0"):
        assert part in text


def test_without_a_terminal_a_line_says_how_far_it_is(monkeypatch):
    screen, clock = io.StringIO(), iter([0.0, 10.0, 40.0, 50.0, 100.0])
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with progress.bar("KIP", 1000, "accuracy", True) as watch:
        for step in (200, 300, 310, 600):  # a resumed run: its first call tells where it began
            watch(loop.Progress(step=step, loss=0.5, history=[loop.Record(step, 0.5, 0.2, 0.875)]))
    assert screen.getvalue().splitlines() == [
        "KIP: 300 of 1,000 steps, loss 0.5000, validation accuracy 0.875, about 4 min left",
        "KIP: 600 of 1,000 steps, loss 0.5000, validation accuracy 0.875, about 90 s left",
    ]


def test_units_are_counted_on_a_terminal(monkeypatch):
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(progress, "Console", lambda **_: Console(file=screen, force_terminal=True, width=120))
    with progress.count_bar("Judging", 12, "trainings", True) as watch:
        watch()
    assert "1/12 trainings" in screen.getvalue()


@pytest.mark.parametrize("screen", [io.StringIO(), Terminal()], ids=["no terminal", "terminal"])
def test_nothing_is_shown_where_nobody_wants_it(screen, monkeypatch):
    monkeypatch.setattr(sys, "stderr", screen)
    bars = (
        progress.bar("KIP", 10, "R²", False),
        progress.rows_bar("Moments", 10, False),
        progress.count_bar("Judging", 2, "trainings", False),
    )
    for shown in bars:
        with shown as watch:
            assert watch is None
    assert screen.getvalue() == ""


def test_a_start_that_is_not_there_leaves_no_folder_behind(blobs, tmp_path):
    with pytest.raises(InputError, match="tpyo"):
        workflow.distill(with_test(blobs, 0, "classification"), request(init=str(tmp_path / "tpyo")), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_coarse_start_leaves_no_checkpoint_behind(tmp_path, rng):
    y = np.arange(60) % 2
    data = with_test(Dataset("images", rng.random((60, 8, 8)) + y[:, None, None], y), 0, "classification")
    workflow.distill(data, request(kernel="convnet2", init="coarse"), tmp_path / "run")
    assert (tmp_path / "run" / "metrics.json").exists()
    assert not list((tmp_path / "run").glob("checkpoint*"))


def test_a_coarse_start_of_a_table_leaves_no_folder_behind(blobs, tmp_path):
    with pytest.raises(InputError, match='init="coarse"'):
        workflow.distill(with_test(blobs, 0, "classification"), request(init="coarse"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_class_none_of_whose_rows_were_kept_does_not_stop_a_run(blobs, tmp_path):
    """From moments, the rows that are at hand are a sample."""
    y = np.where(np.arange(100) < 96, blobs.y, 2)
    np.savez(tmp_path / "data.npz", x_train=blobs.x, y_train=y)
    shards = shards_of([tmp_path / "data.npz"])
    collected = collect_all(survey(shards, RandomFourier(30), held=0.3, kept=9), shards)
    starts = collected.starts
    kept = starts.y != 2
    fewer = Sample(starts.z[kept], starts.y[kept], starts.hashes[kept], starts.most, starts.cuts)
    collected = replace(collected, starts=fewer)
    asked = replace(request(ipc=2), judges=("knn",), judge_seeds=1)
    found = workflow.distill(workflow.sampled(collected, "blobs"), asked, tmp_path / "run", collected=collected)
    scores = {score["name"]: score for score in found.summary["scores"]}
    assert next(iter(scores.values()))["n_examples"] == 6
    assert scores["random rows, labels solved"]["n_examples"] == scores["knn: random rows"]["n_examples"] == 4


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_judges_are_trained_on_the_set_and_on_random_rows(blobs, tmp_path, task):
    real = task == "regression"
    data = with_test(replace(blobs, y=blobs.x.sum(axis=1)) if real else blobs, 0, task)
    settings = {"n_support": 6, "max_iter": 5} if real else {"ipc": 3, "max_iter": 5}
    asked = workflow.Request("kip", task, settings, 0, ("forest", "knn"), 2)
    found = workflow.distill(data, asked, tmp_path / "run").summary
    scores = {score["name"]: score for score in found["scores"]}
    names = [f"{learner}: {of}" for learner in ("forest", "knn") for of in ("KIP (learned)", "random rows")]
    assert list(scores)[-4:] == names and all(scores[name]["n_examples"] == 6 for name in names)
    assert scores["KIP (learned)"]["role"] == "result" and {scores[name]["role"] for name in names} == {"other"}
    assert scores["knn: KIP (learned)"]["value"] == pytest.approx(by_hand(data, tmp_path / "run", real, "knn"))
    assert any("learner's name before the set" in warning for warning in found["warnings"])
    assert len(list((tmp_path / "run" / "judges").iterdir())) == 2 + 1 + 2 + 2  # knn has no chance on the same set
    assert workflow.distill(data, asked, tmp_path / "run").resumed
    with pytest.raises(InputError, match=r"judges: \['forest', 'knn'\], not \['knn'\]"):
        workflow.distill(data, replace(asked, judges=("knn",)), tmp_path / "run")


def by_hand(data, folder, real, learner):
    """The score of a learner that is trained on a saved set."""
    opened = open_artefact(folder, data)
    examples, x_test = opened.examples(), opened.space.encode_features(data.x_test)
    model = named_learner(learner, real)
    if real:
        return model.fit(examples.x, examples.vectors[:, 0]).score(x_test, opened.labels.encode(data.y_test)[:, 0])
    return model.fit(examples.x, opened.support.y).score(x_test, data.y_test)


def test_an_unknown_judge_is_refused_before_anything_is_learned(blobs, tmp_path, monkeypatch):
    data = with_test(blobs, 0, "classification")
    monkeypatch.setattr(workflow, "make_estimator", lambda *_: pytest.fail("began to learn"))
    with pytest.raises(InputError, match="'nobody'"):
        workflow.distill(data, replace(request(), judges=("krr", "nobody")), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_judge_that_fails_is_said_and_the_run_goes_on(blobs, tmp_path):
    data = with_test(blobs, 0, "classification")
    found = workflow.distill(
        data, replace(request(), judges=("net:fast", "knn"), judge_seeds=1), tmp_path / "run"
    ).summary
    assert any(warning.startswith("net:fast failed: ") for warning in found["warnings"])
    names = [score["name"] for score in found["scores"]]
    assert names[-2:] == ["knn: KIP (learned)", "knn: random rows"]


def test_every_run_asks_a_panel_unless_told_not_to_or_the_set_is_large(blobs, tmp_path, monkeypatch):
    monkeypatch.setattr(workflow, "PANEL", PANEL)
    data = with_test(blobs, 0, "classification")
    found = workflow.distill(data, request(), tmp_path / "default").summary
    assert list(found["verdict"]["under"]) == ["its own kernel", *PANEL]
    assert [s["name"].partition(":")[0] for s in found["scores"][-2 * len(PANEL) :: 2]] == list(PANEL)
    assert workflow.distill(data, request(), tmp_path / "default").resumed
    none = workflow.distill(data, replace(request(), judges=workflow.NO_JUDGES), tmp_path / "none").summary
    assert list(none["verdict"]["under"]) == ["its own kernel"]
    assert none["verdict"]["outcome"] != "better" and not (tmp_path / "none" / "judges").exists()
    monkeypatch.setattr("datastill.evaluate.panel.MOST_NUMBERS", 1)
    large = workflow.distill(data, request(), tmp_path / "large").summary
    assert large["verdict"] == none["verdict"]


def test_chosen_rows_are_judged_with_a_penalty_as_fairly_chosen_as_their_rivals(tmp_path):
    """Random rows as the set and as its rivals: targets that are mostly noise, which 1e-6 would interpolate."""
    draw = np.random.default_rng(0)
    x = draw.standard_normal((500, 3))
    data = with_test(Dataset("noise", x, x[:, 0] + 2 * draw.standard_normal(500)), 0, "regression")
    asked = workflow.Request("random", "regression", {"n_support": 80, "kernel": "rbf"}, 0, workflow.NO_JUDGES)
    scores = {s["role"]: s for s in workflow.distill(data, asked, tmp_path / "run").summary["scores"]}
    assert scores["result"]["value"] > 0 and scores["random"]["value"] > 0
    assert abs(scores["result"]["value"] - scores["random"]["value"]) < 0.15
