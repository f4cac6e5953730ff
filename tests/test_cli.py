"""The command line: what it prints, what it exits with, and that an interrupted run ends as an uninterrupted one."""

import json
import os
import signal
import subprocess
import sys
import time
from importlib.metadata import version

import numpy as np
import pandas as pd
import pytest

from datastill import SupportSet
from datastill.cli import distill
from datastill.cli.app import run

QUICK = ("--steps", "20", "--patience", "0")


@pytest.fixture(scope="module")
def blobs(tmp_path_factory):
    """A small .npz with two classes and a test part."""
    draw = np.random.default_rng(0)
    y = np.arange(120) % 2
    x = draw.normal(size=(120, 4)) + 3 * y[:, None]
    path = tmp_path_factory.mktemp("data") / "blobs.npz"
    np.savez(path, x_train=x[:80], y_train=y[:80], x_test=x[80:], y_test=y[80:])
    return str(path)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A CSV with numbers, whole numbers, categories and missing values, and a real and a text target."""
    draw = np.random.default_rng(1)
    frame = pd.DataFrame(
        {
            "height": draw.normal(170, 10, 90).round(1),
            "children": draw.integers(0, 5, 90),
            "town": draw.choice(["Köln", "<b>Bonn</b>", "Trier"], 90),
        }
    )
    frame.loc[::7, "height"] = np.nan
    frame["income"] = 10 * frame["children"] + draw.normal(0, 0.5, 90)
    frame["tall"] = np.where(frame["children"] > 2, "yes", "no")
    path = tmp_path_factory.mktemp("table") / "people.csv"
    frame.to_csv(path, index=False)
    return str(path)


def test_a_run_leaves_its_files_and_prints_one_json_object(blobs, tmp_path, capsys):
    assert run(["distill", blobs, "--ipc", "2", *QUICK, "--out", str(tmp_path / "run"), "--json"]) == 0
    captured = capsys.readouterr()
    printed = json.loads(captured.out)
    assert captured.err == ""
    assert printed["out"] == str(tmp_path / "run")
    assert [s["role"] for s in printed["scores"]].count("random") == 1
    assert {p.name for p in (tmp_path / "run").iterdir()} == {
        *("support.safetensors", "manifest.json", "metrics.json", "support.png", "report.html"),
        *("run.json", "rows.safetensors", "judges"),
    }
    loaded = SupportSet.load(tmp_path / "run")
    assert len(loaded) == 4
    assert loaded.classes is not None and loaded.classes.tolist() == [0, 1]


def test_the_same_command_again_computes_nothing_and_says_so(blobs, tmp_path, capsys):
    words = ["distill", blobs, "--ipc", "1", *QUICK, "--out", str(tmp_path / "run")]
    assert run(words) == 0
    before = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "run").iterdir() if p.name != "run.json"}
    capsys.readouterr()
    assert run(words) == 0
    assert "finished already" in capsys.readouterr().err
    assert before == {p.name: p.stat().st_mtime_ns for p in (tmp_path / "run").iterdir() if p.name != "run.json"}


def test_another_run_does_not_get_the_folder(blobs, tmp_path, capsys):
    assert run(["distill", blobs, "--ipc", "1", *QUICK, "--out", str(tmp_path / "run")]) == 0
    assert run(["distill", blobs, "--ipc", "2", *QUICK, "--out", str(tmp_path / "run")]) == 2
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert "holds another run" in message and "ipc: 1, not 2" in message


def test_a_folder_with_strangers_files_is_left_alone(blobs, tmp_path, capsys):
    (tmp_path / "precious.txt").write_text("mine")
    assert run(["distill", blobs, *QUICK, "--out", str(tmp_path)]) == 2
    assert "other files" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["precious.txt"]


@pytest.mark.parametrize(("target", "task"), [("tall", "classification"), ("income", "regression")])
def test_tables_come_back_in_their_own_columns(table, tmp_path, target, task, capsys):
    assert run(["distill", table, "--target", target, "--n-support", "6", *QUICK, "--out", str(tmp_path / "r")]) == 0
    assert f"Taken as {task}" in capsys.readouterr().err
    written = pd.read_csv(tmp_path / "r" / "support.csv")
    assert set(written.columns) == {"height", "children", "town", "income", "tall"}
    assert set(written["town"]) <= {"Köln", "<b>Bonn</b>", "Trier"}
    np.testing.assert_allclose(written["height"], written["height"].round(1), atol=1e-9)  # as many digits as the data
    assert pd.api.types.is_integer_dtype(written["children"]) and written["children"].between(0, 4).all()
    assert "<b>Bonn</b>" not in (tmp_path / "r" / "report.html").read_text()


@pytest.mark.parametrize(
    ("words", "fragment"),
    [
        (["distill", "no-such-thing"], "no-such-thing"),
        (["distill", "digits", "--method", "magic"], "kip"),
        (["distill", "digits", "--kernel", "fc-1"], "kernel"),
        (["distill", "digits", "--labels", "hard"], "solve"),
        (["distill", "digits", "--task", "guess"], "classification"),
        (["distill", "digits", "--ipc", "0"], "ipc=0"),
        (["distill", "digits", "--ipc", "1", "--n-support", "10"], "exactly one"),
        (["distill", "digits", "--ipc", "many"], "--ipc"),
        (["distill", "digits", "--ipc", "1.5"], "or a fraction"),
        (["distill", "digits", "--ipc", "0=3,1=x"], "cat=10,dog=0.1"),
        (["distill", "digits", "--method", "kcenter", "--ipc", "0=3,1=2"], "one for every class"),
        (["distill", "digits", "--method", "kcenter", "--ipc", "1000"], "budget of 1000 rows"),
        (["distill", "digits", "--method", "random", "--n-support", "0.2", "--allocation", "fair"], "proportional"),
        (["distill", "digits", "--method", "graph-cut", "--optimiser", "fast"], "lazier"),
        (["distill", "diabetes", "--method", "el2n"], "needs classes"),
        (["distill", "diabetes", "--method", "kmeans", "--n-support", "5000"], "budget of 5000 rows"),
        (["distill", "diabetes", "--ipc", "3"], "--n-support"),
        (["distill", "digits", "--preprocess", "wash"], "standardise"),
        (["distill", "iris", "--preprocess", "zca"], "not images"),
        (["distill", "digits", "--augment", "mirror"], "flip"),
        (["distill", "iris", "--augment", "flip"], "not images"),
        (["distill", "digits", "--corruption", "1"], "corruption"),
        (["distill", "digits", "--config", "/nowhere.toml"], "--config"),
        (["distill"], "DATA"),
        (["plan", "digits", "--ipc", "a,b"], "whole numbers"),
        (["plan", "digits", "--method", "magic"], "kip"),
        (["report", "/nowhere"], "no finished run"),
        (["frobnicate"], "frobnicate"),
        (["distill", "digits", "--frobnicate"], "frobnicate"),
    ],
)
def test_bad_arguments_give_one_line_and_exit_2(words, fragment, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run([*words, "--json"] if words[0] == "distill" and len(words) > 1 else words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.strip().splitlines()) == 1
    assert fragment in captured.err


@pytest.mark.parametrize(
    ("words", "fragment"),
    [
        (["distill", "--kernel", "fc-1"], "kernel name 'fc-1'"),
        (["distill", "--preprocess", "wash"], "preprocess='wash'"),
        (["distill", "--init", "nowhere"], "nowhere"),
        (["distill", "--learners", "oracle"], "learner 'oracle'"),
        (["distill", "--augment", "mirror"], "'mirror' as an augmentation"),
        (["distill", "--ipc", "0"], "ipc=0"),
        (["distill", "--ipc", "1", "--n-support", "10"], "exactly one"),
        (["distill", "--method", "graph-cut", "--optimiser", "fast"], "optimiser='fast'"),
        (["distill", "--n-support", "9", "--allocation", "fair", "--method", "random"], "allocation='fair'"),
        (["compare", "--methods", "magic"], "method 'magic'"),
        (["compare", "--learners", "oracle"], "learner 'oracle'"),
        (["compare", "--delta", "2"], "delta=2"),
        (["compare", "--labels", "none"], "labels='none'"),
        (["compare", "--seeds", "0"], "0 seeds"),
        (["plan", "--kernel", "fc-1"], "kernel name 'fc-1'"),
        (["moments", "--features", "fuorier", "--out", "m"], "feature map 'fuorier'"),
        (["moments", "--features", "fourier", "--preprocess", "wash", "--out", "m"], "preprocess='wash'"),
        (["evaluate", "--learners", "oracle"], "learner 'oracle'"),
        (["certify", "--learners", "oracle"], "learner 'oracle'"),
    ],
)
def test_settings_are_refused_before_the_data_are_read(words, fragment, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run([words[0], "nowhere.npz", *words[1:]]) == 2
    said = capsys.readouterr().err
    assert fragment in said
    assert len(said.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_the_version_is_told_without_the_heavy_packages():
    code = (
        "import sys; from datastill.cli.app import run; assert run(['--version']) == 0; "
        "print(*{'jax', 'sklearn', 'pandas', 'scipy'} & set(sys.modules))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown == f"datastill {version('datastill')}\n\n"


@pytest.mark.parametrize("task", ["auto", "classification", "regression"])
def test_labels_that_are_missing_are_named_whatever_the_task(task, tmp_path, capsys):
    path = tmp_path / "t.csv"
    pd.DataFrame({"a": range(6), "t": ["x", None, "x", "y", "y", "y"]}).to_csv(path, index=False)
    assert run(["distill", str(path), "--target", "t", "--task", task, *QUICK, "--out", str(tmp_path / "run")]) == 2
    assert "the first in row 1" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_an_unwritable_folder_is_said_in_one_line(blobs, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert run(["distill", blobs, *QUICK, "--out", str(tmp_path / "file" / "run"), "--json"]) == 2
    assert "Could not write" in capsys.readouterr().err


def test_options_come_from_a_config_file_and_the_command_line_wins(blobs, tmp_path, capsys):
    config = tmp_path / "c.toml"
    config.write_text('steps = 10\nipc = 2\nkernel = "linear"\n')
    words = ["distill", blobs, "--config", str(config), "--ipc", "1", "--json", "--out", str(tmp_path / "run")]
    assert run(words) == 0
    settings = json.loads((tmp_path / "run" / "run.json").read_text())["settings"]
    assert (settings["ipc"], settings["kernel"], settings["max_iter"]) == (1, "linear", 10)
    config.write_text("colour = 3\n")
    assert run(words) == 2
    assert "colour" in capsys.readouterr().err


def test_a_run_may_start_from_another(blobs, tmp_path, capsys):
    first, second = (str(tmp_path / name) for name in ("first", "second"))
    assert run(["distill", blobs, "--ipc", "1", *QUICK, "--out", first]) == 0
    assert run(["distill", blobs, "--init", first, "--steps", "0", "--out", second]) == 0
    np.testing.assert_allclose(SupportSet.load(second).x, SupportSet.load(first).x, rtol=1e-5)
    assert run(["distill", blobs, "--init", str(tmp_path / "nowhere"), "--out", str(tmp_path / "third")]) == 2
    assert "nowhere" in capsys.readouterr().err


@pytest.mark.parametrize("method", ["kcenter", "facility-location", "archetypes", "leverage"])
def test_selectors_run_by_name_with_budgets_for_each_class(method, blobs, tmp_path, capsys):
    words = ["distill", str(blobs), "--method", method, "--ipc", "0=3,1=0.1", "--kernel", "rbf", "--json"]
    assert run([*words, "--out", str(tmp_path / "run")]) == 0
    found = json.loads(capsys.readouterr().out)
    support = SupportSet.load(tmp_path / "run")
    assert np.bincount(support.y).tolist() == [3, 4]
    assert found["n_support"] == len(support) == len(support.weights)
    assert ("share of the best choice" in found["settings"]) == (method == "facility-location")
    assert ("error of cluster cost" in found["settings"]) == (method != "archetypes")
    assert [s["role"] for s in found["scores"]].count("random") == 1


def test_compare_has_a_row_for_each_set_and_learner_and_goes_on_where_it_stopped(blobs, tmp_path, capsys, monkeypatch):
    words = ["compare", str(blobs), "--methods", "kmeans,kip", "--ipc", "1,2", "--steps", "5", "--kernel", "rbf"]
    words += ["--learners", "krr:rbf,knn", "--out", str(tmp_path / "c")]
    assert run([*words, "--seeds", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    rows = found["rows"]
    sets = ["random 1", "random 2", "kmeans 1", "kmeans 2", "label-solve 1", "kip 1", "label-solve 2", "kip 2"]
    sets += ["all rows", "constant prediction"]
    rivals = {(v["set"], v["learner"]): v["rival"] for v in found["standings"]}
    assert (rivals["kip 2", "krr:rbf"], rivals["kip 2", "knn"]) == ("label-solve 2", "random 2")
    assert (rivals["kmeans 1", "knn"], rivals["all rows", "knn"]) == ("random 1", None)
    assert found["robustness"] == []
    assert [(r["set"], r["learner"]) for r in rows] == [(s, k) for s in sets for k in ("krr:rbf", "knn")]
    assert all(r["error"] == "" and 0 <= r["accuracy"] <= 1 for r in rows)
    assert {r["labels"] for r in rows if r["learner"] == "krr:rbf" and r["set"] in sets[:-1]} == {"soft"}
    assert len(pd.read_parquet(tmp_path / "c" / "table.parquet")) == 20

    monkeypatch.setattr("datastill.estimators.KIP.fit", lambda *_: pytest.fail("learned again"))
    assert run([*words, "--seeds", "1"]) == 0
    shown = capsys.readouterr().out
    assert "all rows" in shown
    assert "knn" in shown


def test_compare_says_why_a_learner_failed(blobs, tmp_path, capsys):
    words = ["compare", str(blobs), "--methods", "kmeans", "--ipc", "1", "--seeds", "1", "--out", str(tmp_path / "c")]
    assert run([*words, "--learners", "sklearn.naive_bayes:MultinomialNB"]) == 0
    captured = capsys.readouterr()
    assert "failed" in captured.out
    assert "MultinomialNB failed: ValueError: Negative values" in captured.err


def test_compare_in_regression_and_with_bad_words(tmp_path, capsys):
    words = ["compare", "diabetes", "--methods", "kmeans", "--ipc", "5", "--seeds", "1", "--out", str(tmp_path / "c")]
    assert run([*words, "--learners", "krr,knn", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert all(r["r2"] < 1 and r["labels"] == "targets" for r in rows)
    for extra, fragment in (
        (["--methods", "magic"], "magic"),
        (["--learners", "oracle"], "oracle"),
        (["--ipc", "x"], "whole numbers"),
        (["--seeds", "0"], "at least one"),
        (["--labels", "easy"], "expanded"),
        (["--methods", "kip:magic"], "kernel"),
        (["--relabel-with", "oracle"], "oracle"),
        (["--jobs", "0"], "jobs"),
        (["--memory-gb", "0.1"], "at least"),
        (["--memory-gb", "nan"], "--memory-gb nan; expected a number above 0"),
        (["--learners", "krr:magic"], "kernel"),
    ):
        assert run([*words, "--learners", "knn", *extra]) == 2
        assert fragment in capsys.readouterr().err


def test_the_version_is_the_packages(capsys):
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"datastill {version('datastill')}\n"


@pytest.mark.parametrize(
    ("words", "fragment"),
    [
        (["--method", "kmeans", "--augment", "flip"], "--augment with --method kmeans"),
        (["--method", "network-kip", "--kernel", "rbf"], "--kernel with --method network-kip"),
        (["--method", "label-solve", "--steps", "3"], "--steps with --method label-solve"),
        (["--method", "universal", "--ridge", "1"], "--ridge with --method universal"),
        (["--method", "kip", "--for", "knn"], "--for with --method kip"),
        (["--method", "kip", "--allocation", "proportional"], "--allocation with --method kip"),
        (["--memory-gb", "inf"], "--memory-gb inf; expected a number above 0"),
        (["--seed", "-1"], "--seed"),
        (["--patience", "-1"], "patience=-1"),
    ],
)
def test_options_that_would_change_nothing_are_refused(words, fragment, blobs, tmp_path, capsys):
    assert run(["distill", blobs, *words, "--out", str(tmp_path / "a")]) == 2
    assert fragment in capsys.readouterr().err
    assert not (tmp_path / "a").exists()


def test_the_steps_of_a_method_are_its_own_unless_given(blobs, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("datastill.distill.loop.Schedule", lambda *words: pytest.fail(f"steps: {words[0]}"))
    for words, steps in ((["kip"], 1000), (["rfad"], 100_000), (["kip", "--steps", "7"], 7)):
        method, *more = words
        data = "digits" if method == "rfad" else blobs
        with pytest.raises(pytest.fail.Exception, match=f"steps: {steps}$"):
            run(["distill", data, "--method", method, "--ipc", "1", *more, "--out", str(tmp_path / f"{method}{steps}")])


def test_judges_are_those_asked_for_and_networks_for_sets_that_teach_them_on_a_gpu(monkeypatch):
    judges = distill._learners
    assert judges("forest, knn", "kip") == ("forest", "knn") and judges("none", "frepo") == ("none",)
    monkeypatch.setattr("jax.default_backend", lambda: "cpu")
    assert judges(None, "frepo") == ()
    monkeypatch.setattr("jax.default_backend", lambda: "gpu")
    assert judges(None, "frepo") == ("net:dsa", "net:frepo") and judges(None, "kip") == ()


def test_judges_are_in_the_table_and_unknown_ones_refused(blobs, tmp_path, capsys):
    words = ["distill", blobs, "--ipc", "2", *QUICK, "--judge-seeds", "1", "--out", str(tmp_path / "run")]
    assert run([*words, "--learners", "knn", "--json"]) == 0
    names = [score["name"] for score in json.loads(capsys.readouterr().out)["scores"]]
    sets = ("universal set (learned)", "random rows", "k-means centres", "all rows")
    assert names[-4:] == [f"knn: {name}" for name in sets]
    assert run([*words, "--out", str(tmp_path / "other")]) == 2
    assert "--judge-seeds and no learners" in capsys.readouterr().err
    assert run([*words, "--learners", "nobody", "--out", str(tmp_path / "other")]) == 2
    assert "'nobody'; expected one of" in capsys.readouterr().err and not (tmp_path / "other").exists()
    assert run([*words, "--judges", "nobody", "--out", str(tmp_path / "other")]) == 2  # the old name
    assert "--judges is now --learners; " in (said := capsys.readouterr().err) and "'nobody'; expected one of" in said
    assert run([*words, "--judges", "knn", "--learners", "knn", "--out", str(tmp_path / "other")]) == 2
    assert "Got --learners with --judges" in capsys.readouterr().err


def test_test_labels_are_read_before_anything_is_learned(tmp_path, capsys, monkeypatch):
    x = np.arange(40.0).reshape(20, 2)
    np.savez(tmp_path / "a.npz", x_train=x, y_train=np.arange(20) % 2, x_test=x, y_test=np.arange(20) % 3)
    monkeypatch.setattr("datastill.estimators.KIP.fit", lambda *_: pytest.fail("learned"))
    assert run(["distill", str(tmp_path / "a.npz"), "--method", "kip", "--out", str(tmp_path / "r")]) == 2
    assert "2" in capsys.readouterr().err
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    ("words", "fragment"),
    [
        (["--kernel", "features:fourier"], "feature map"),
        (["--steps", "-100"], "steps=-100"),
        (["--ipc", "0"], "ipc=0"),
        (["--batch", "0"], "batch=0"),
    ],
)
def test_forecasts_of_what_cannot_be_are_refused(words, fragment, blobs, capsys):
    assert run(["plan", blobs, *words]) == 2
    assert fragment in capsys.readouterr().err


def test_plan_and_datasets_and_report_print_json(blobs, tmp_path, capsys):
    assert run(["plan", blobs, "--ipc", "1", "--kernel", "linear,rbf", "--steps", "10", "--json"]) == 0
    forecasts = json.loads(capsys.readouterr().out)["forecasts"]
    assert len(forecasts) == 4
    assert all(f["memory_bytes"] > 0 and f["seconds"] > 0 for f in forecasts)
    assert run(["datasets", "--json"]) == 0
    assert "digits" in {d["name"] for d in json.loads(capsys.readouterr().out)["datasets"]}
    assert run(["distill", blobs, "--method", "label-solve", "--ipc", "1", "--out", str(tmp_path / "r"), "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert run(["report", str(tmp_path / "r"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["scores"] == first["scores"]


def test_a_warning_of_ours_is_one_line_without_the_place_in_the_code_and_others_are_not_shown():
    warned = (
        "import warnings, datastill.cli.app as app; from datastill._errors import DatastillWarning as ours; "
        "app.run = lambda words: (warnings.warn('Got little; try more.', ours, stacklevel=1), "
        "warnings.warn('overflow encountered in exp', RuntimeWarning, stacklevel=1)) and 0; app.main()"
    )
    found = subprocess.run([sys.executable, "-c", warned], capture_output=True, text=True, check=True)
    assert found.stderr == "datastill: Got little; try more.\n"


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_run_continues_to_the_same_bits(blobs, tmp_path, stop):
    often = (
        "import datastill.distill.loop as loop, datastill.cli as cli; "
        "loop.SECONDS_BETWEEN_CHECKPOINTS = 0.2; cli.main()"
    )

    def command(folder):
        words = ["distill", blobs, "--ipc", "1", "--steps", "3000", "--patience", "0", "--out", str(folder), "--json"]
        return subprocess.Popen(
            [sys.executable, "-c", often, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "JAX_PLATFORMS": "cpu"},
        )

    def finish(folder):
        process = command(folder)
        process.communicate()
        return process.returncode

    assert finish(tmp_path / "whole") == 0
    stopped = command(tmp_path / "cut")
    checkpoint = tmp_path / "cut" / "checkpoint.safetensors"
    deadline = time.monotonic() + 60
    while not checkpoint.exists() and stopped.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert stopped.poll() is None, "the run ended before its first checkpoint"
    stopped.send_signal(stop)
    _, said = stopped.communicate()
    if stop == signal.SIGINT:
        assert stopped.returncode == 130
        assert "run the same command again" in said
    assert not (tmp_path / "cut" / "metrics.json").exists()
    assert finish(tmp_path / "cut") == 0
    for name in ("support.safetensors", "metrics.json", "support.png", "report.html"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_a_saved_set_is_evaluated_certified_and_verified(tmp_path, capsys):
    folder = str(tmp_path / "a")
    assert run(["distill", "digits", "--method", "kmeans", "--ipc", "2", "--out", folder, "--json"]) == 0
    capsys.readouterr()
    assert run(["evaluate", folder, "--learners", "knn,krr", "--seeds", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(r["set"], r["learner"]) for r in found["rows"]] == [
        (s, k) for s in ("this set", "random rows", "all rows", "constant prediction") for k in ("knn", "krr")
    ]
    assert run(["evaluate", folder, "--learners", "knn", "--seeds", "1", "--test", "digits"]) == 0
    assert "random rows" in capsys.readouterr().out

    assert run(["certify", folder, "--learners", "knn,krr", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert [s["learner"] for s in made["statements"]] == ["knn", "krr"]
    for said in made["statements"]:
        own = next(r for r in found["rows"] if (r["set"], r["learner"]) == ("this set", said["learner"]))
        assert said["risk"] == pytest.approx(1 - own["accuracy"])
        assert said["risk"] < said["bound"] < 1
        assert said["low"] < said["risk"] - said["full_risk"] < said["high"]
    assert run(["certify", folder, "--learners", "knn"]) == 0
    shown = capsys.readouterr().out
    assert "95 %" in shown
    assert "knn" in shown
    assert {p.name for p in (tmp_path / "a").glob("certificate.*")} == {
        f"certificate.{end}" for end in ("json", "safetensors", "html", "md")
    }
    assert run(["certify", folder, "--verify", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verified"]
    assert run(["certify", folder, "--verify", "--holdout", "digits"]) == 0
    assert "trained again" in capsys.readouterr().out
    saved = json.loads((tmp_path / "a" / "certificate.json").read_text())
    saved["statements"][0]["bound"] = 0.001
    (tmp_path / "a" / "certificate.json").write_text(json.dumps(saved))
    assert run(["certify", folder, "--verify"]) == 2
    assert "bound of knn is 0.001; recomputed" in capsys.readouterr().err


def test_held_out_text_is_read_as_in_training(tmp_path, capsys):
    code = np.resize(np.array(["1", "2", "3", "x"]), 120)
    frame = pd.DataFrame(
        {"code": code, "size": np.arange(120) % 7, "label": np.where(np.isin(code, ["1", "x"]), "a", "b")}
    )
    frame[:60].to_csv(tmp_path / "train.csv", index=False)
    held = frame[60:].assign(size=lambda f: f["size"] + 0.5).query("code != 'x'")
    held.to_csv(tmp_path / "held.csv", index=False)
    words = ["distill", str(tmp_path / "train.csv"), "--target", "label", "--test", str(tmp_path / "held.csv")]
    assert run([*words, "--method", "kmeans", "--ipc", "4", "--out", str(tmp_path / "a"), "--json"]) == 0
    capsys.readouterr()
    words = ["certify", str(tmp_path / "a"), "--holdout", str(tmp_path / "held.csv"), "--learners", "forest", "--json"]
    assert run([*words, "--train", str(tmp_path / "train.csv")]) == 0
    assert json.loads(capsys.readouterr().out)["statements"][0]["full_risk"] == 0


def test_the_smallest_budget_is_searched(tmp_path, capsys):
    words = ["certify", "digits", "--find-budget", "--epsilon", "0.3", "--largest", "4", "--learners", "krr"]
    assert run([*words, "--out", str(tmp_path / "s"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["budget"] == found["looks"][-1]["budget"]
    assert run([*words, "--out", str(tmp_path / "s")]) == 0
    assert "are an ε-approximation" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "fragment"),
    [
        (["evaluate", "nowhere"], "holds no support set"),
        (["certify", "nowhere"], "holds no support set"),
        (["certify", "digits", "--find-budget", "--epsilon", "0"], "--epsilon 0"),
        (["certify", "digits", "--find-budget", "--delta", "1.5"], "delta=1.5"),
        (["certify", "digits", "--find-budget", "--verify"], "one of them"),
        (["certify", "digits", "--find-budget", "--loss", "brier"], "--loss with --find-budget"),
        (["certify", "digits", "--find-budget", "--method", "magic"], "magic"),
        (["certify", "digits", "--find-budget", "--learners", "oracle"], "oracle"),
    ],
)
def test_bad_words_for_evaluate_and_certify(words, fragment, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(words) == 2
    assert fragment in capsys.readouterr().err


@pytest.mark.slow
def test_the_default_is_the_universal_set_unless_something_is_asked_of_kip(table, tmp_path, capsys):
    words = ["distill", table, "--target", "tall", "--ipc", "2", "--steps", "6"]
    assert run([*words, "--for", "knn, logistic", "--out", str(tmp_path / "for")]) == 0
    assert "Method: universal, the default." in capsys.readouterr().err
    assert run([*words, "--reg", "1e-3", "--out", str(tmp_path / "kip")]) == 0
    assert "Method: kip, since --reg is given." in capsys.readouterr().err
    choices = [
        json.loads((tmp_path / name / "manifest.json").read_text())["provenance"].get("choice")
        for name in ("for", "kip")
    ]
    assert choices[0]["learners"] == ["knn", "logistic"]
    assert choices[1] is None
    report = (tmp_path / "for" / "report.html").read_text()
    assert "universal set" in report
    assert choices[0]["chosen"] in report


def test_learners_to_teach_are_checked_first_and_taken_from_a_file(blobs, tmp_path, capsys):
    words = ["distill", blobs, "--ipc", "2", "--steps", "2", "--learners", "none"]
    assert run([*words, "--for", "nobody", "--out", str(tmp_path / "a")]) == 2
    assert "the learner 'nobody'" in capsys.readouterr().err
    (tmp_path / "own.toml").write_text('for = "knn"\n')
    assert run([*words, "--config", str(tmp_path / "own.toml"), "--out", str(tmp_path / "b")]) == 0
    manifest = json.loads((tmp_path / "b" / "manifest.json").read_text())
    assert manifest["provenance"]["settings"]["learners"] == ["knn"]
    (tmp_path / "own.toml").write_text('for = "os.path:join"\n')
    assert run([*words, "--config", str(tmp_path / "own.toml"), "--out", str(tmp_path / "c")]) == 2
    assert "may not name" in capsys.readouterr().err
