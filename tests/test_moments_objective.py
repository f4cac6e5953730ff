"""Learning from moments is learning from all rows: the same labels, the same loss, and the rows can be gone."""

import json
import pickle
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import oracles
from datastill import KIP, KIPRegressor, SupportSet, krr
from datastill._errors import InputError
from datastill.cli.app import run
from datastill.data.sharding import shards_of
from datastill.distill import kernel_objective, kip, moments_objective
from datastill.distill.objectives import Penalties
from datastill.features import RandomDense, RandomFourier
from datastill.gram import kernel_of
from datastill.moments import collect_all, load, survey
from datastill.moments.passing import forgettable
from datastill.moments.sample import held_out, row_hashes
from datastill.preprocess.augment import Augmentation

DRAW = np.random.default_rng(0)
N = 900
CENTRES = 3 * DRAW.normal(size=(3, 4))
Y = DRAW.choice(3, N, p=[0.6, 0.3, 0.1])
X = (DRAW.normal(size=(N, 4)) + CENTRES[Y]).astype(np.float32)
REAL = np.sin(X[:, 0]) + X[:, 1]
MAP = RandomFourier(60, length_scale=4.0)
QUICK = {"max_iter": 40, "patience": None, "random_state": 0}


def passed(folder, y=Y, map=MAP, **settings):
    np.savez(folder / "data.npz", x_train=X, y_train=y)
    shards = shards_of([folder / "data.npz"], rows=300)
    return collect_all(survey(shards, map, **settings), shards)


def targets(balanced=False):
    x = X.astype(np.float32)
    return kernel_objective.Targets(x, (np.eye(3) - 1 / 3).astype(np.float32)[Y], Y, balanced)


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("ridge", [0.0, 1e-4])
def test_solved_labels_are_those_of_all_rows(ridge, balanced):
    rows, penalties = X[:6], Penalties(1e-5, ridge)
    sums = moments_objective.sums_of(MAP, targets(balanced), None)
    ours = moments_objective.solve_labels(sums, rows, penalties)
    problem = kip.Problem((kernel_of(MAP),), lambda z: z, "solve", kip.optimiser(0.1, 1), penalties=penalties)
    slow = kernel_objective.solve_labels(problem, rows, targets(balanced), 0)
    np.testing.assert_allclose(ours.y_s, slow.y_s, atol=3e-3 * np.abs(slow.y_s).max())
    assert ours.rank == slow.rank == 6
    if not balanced:
        assert ours.loss == pytest.approx(slow.loss, rel=1e-3)


def test_repeated_rows_share_their_labels():
    rows = X[[0, 0, 1, 2]]
    found = moments_objective.solve_labels(moments_objective.sums_of(MAP, targets(), None), rows, Penalties(1e-5, 0))
    np.testing.assert_allclose(found.y_s[0], found.y_s[1], atol=1e-2 * np.abs(found.y_s).max())
    assert found.rank == 3


def test_ridge_is_the_best_of_its_grid_on_held_out_rows():
    rest, held = targets().take(np.arange(600)), targets().take(np.arange(600, N))
    sums = moments_objective.sums_of(MAP, rest, held)
    best = moments_objective.ridge(sums)
    phi, y = np.asarray(MAP(held.x), np.float64), held.y

    def loss(w):
        return np.mean(np.sum((phi @ w - y) ** 2, axis=1))

    losses = [loss(krr.solve(sums.train.second, sums.train.cross, reg).unwrap()) for reg in moments_objective.RIDGES]
    assert loss(best) == pytest.approx(min(losses), rel=1e-9)
    assert max(losses) > 1.01 * min(losses)


@pytest.mark.filterwarnings("ignore:Got 45 examples .* numerical rank 5")
def test_steps_see_what_is_far_below_the_mean_of_the_features(tmp_path):
    """A step's loss is the least of any labels, though one direction is nearly 10⁴ times the others together."""
    collected = passed(tmp_path, map=RandomDense(300, b_std=100.0), kept=20)
    settings = {**QUICK, "validation_fraction": 0}
    start = KIP(15, **{**settings, "max_iter": 0}).fit_moments(collected)
    model = KIP(15, **{**settings, "max_iter": 1}).fit_moments(collected)
    sums, penalties = model.sums_, model.problem().penalties
    second, cross = (np.asarray(a, np.float64) for a in sums.train[:2])
    phi = np.asarray(sums.map(model.space_.encode_features(start.X_support_)), np.float64)
    k_ss = oracles.regularise(phi @ phi.T, penalties.reg)
    values, vectors = np.linalg.eigh(k_ss)
    inside = (vectors / np.sqrt(values)).T @ phi  # orthonormal in k_ss
    weight = N * penalties.ridge * np.trace(k_ss) / len(k_ss)
    system = inside @ second @ inside.T + weight * np.eye(len(phi))
    beta = np.linalg.solve(system, inside @ cross)
    least = (float(sums.train.square) - np.sum(beta * (inside @ cross))) / (2 * N)
    assert model.history_[-1].loss == pytest.approx(least, rel=1e-4)


def test_a_set_is_learned_from_moments_alone(tmp_path):
    collected = passed(tmp_path)
    model = KIP(2, **QUICK).fit_moments(collected)
    assert model.score(X, Y) > 0.9
    assert model.X_support_.dtype == X.dtype
    assert model.y_support_.tolist() == [0, 0, 1, 1, 2, 2]
    assert model.history_[-1].validation_loss < 0.9 * model.history_[0].validation_loss
    assert np.isfinite(model.history_[-1].validation_loss)
    assert model.history_[-1].validation_score > 0.8
    assert model.support_set_.provenance["n_train"] == N
    assert (model.X_support_ >= X.min(axis=0) - 1e-4).all()
    again = KIP(2, **QUICK).fit_moments(collected)
    np.testing.assert_array_equal(again.X_support_, model.X_support_)
    model.support_set_.save(tmp_path / "set")
    warm = KIP(2, init=SupportSet.load(tmp_path / "set"), **{**QUICK, "max_iter": 0}).fit_moments(collected)
    np.testing.assert_allclose(warm.X_support_, model.X_support_, atol=1e-5)


def test_rows_that_were_held_out_can_be_learned_from(tmp_path):
    collected = passed(tmp_path)
    model = KIP(2, validation_fraction=0, **QUICK).fit_moments(collected)
    phi = np.asarray(collected.recipe.source.map(collected.recipe.space.encode_features(X)), np.float64)
    assert float(model.sums_.train.size) == N
    np.testing.assert_allclose(model.sums_.train.second, phi.T @ phi, rtol=1e-5, atol=1e-4)
    assert model.sums_.held is None
    assert model.sums_.checks is None
    assert all(np.isnan(record.validation_loss) for record in model.history_)
    assert model.best_iter_ == model.n_iter_


def test_the_kernel_of_a_map_is_learned_by_moments():
    by_moments = KIP(2, kernel=MAP, **QUICK).fit(X, Y)
    assert by_moments.sums_ is not None
    assert by_moments.score(X, Y) > 0.9
    assert KIP(2, kernel="fc1", **QUICK).fit(X, Y).sums_ is None
    several = KIP(2, kernel=[MAP, RandomDense(9)], **{**QUICK, "max_iter": 3}).fit(X, Y)
    assert several.sums_ is None
    copied = pickle.loads(pickle.dumps(by_moments))
    assert copied.sums_ is None
    np.testing.assert_array_equal(copied.predict(X[:50]), by_moments.predict(X[:50]))


def test_predictions_are_those_of_the_kernel():
    model = KIP(2, kernel=MAP, **QUICK).fit(X, Y)
    x = model.space_.encode_features(X[:20])
    kernel = np.asarray(model.kernels_[0](x, model.support_features_), np.float64)
    np.testing.assert_allclose(model.predict_vectors(X[:20]), kernel @ model.alpha_, atol=1e-4)


@pytest.mark.parametrize("labels", [True, "gradient", False])
def test_every_way_with_labels(labels):
    model = KIP(2, kernel=MAP, learn_labels=labels, **QUICK).fit(X, Y)
    assert model.score(X, Y) > 0.85
    assert (np.asarray(model.soft_labels_).argmax(axis=1) == [0, 0, 1, 1, 2, 2]).all() or labels is not False


def test_balanced_classes(tmp_path):
    fair = KIP(1, class_balanced=True, **QUICK).fit_moments(passed(tmp_path, by_class=True))
    recall = [np.mean(fair.predict(X[c == Y]) == c) for c in range(3)]
    assert min(recall) > 0.8
    with pytest.raises(InputError, match="by_class=True"):
        KIP(1, class_balanced=True, **QUICK).fit_moments(passed(tmp_path))


def test_real_targets(tmp_path):
    model = KIPRegressor(12, **QUICK).fit_moments(passed(tmp_path, REAL))
    assert model.score(X, REAL) > 0.8
    assert model.history_[-1].validation_score > 0.7


def test_an_interrupted_fit_ends_in_the_same_bits(tmp_path):
    collected = passed(tmp_path)
    whole = KIP(2, **QUICK).fit_moments(collected)
    file = tmp_path / "checkpoint.safetensors"
    original = moments_objective.loop.run

    def interrupted(state, step, *arguments):
        def slow(state, number):
            if number == 17:
                raise KeyboardInterrupt
            return step(state, number)

        return original(state, slow, *arguments)

    seconds = moments_objective.loop.SECONDS_BETWEEN_CHECKPOINTS
    try:
        moments_objective.loop.SECONDS_BETWEEN_CHECKPOINTS = -np.inf
        moments_objective.loop.run = interrupted
        with pytest.raises(KeyboardInterrupt):
            KIP(2, checkpoint=file, **QUICK).fit_moments(collected)
    finally:
        moments_objective.loop.run, moments_objective.loop.SECONDS_BETWEEN_CHECKPOINTS = original, seconds
    assert file.exists()
    resumed = KIP(2, checkpoint=file, **QUICK).fit_moments(collected)
    np.testing.assert_array_equal(resumed.X_support_, whole.X_support_)


def test_without_kept_rows_learning_starts_at_noise(tmp_path):
    collected = passed(tmp_path, kept=0)
    assert len(collected.starts.z) == len(collected.checks.z) == 0
    model = KIP(2, **{**QUICK, "max_iter": 120}).fit_moments(collected)
    assert model.score(X, Y) > 0.85
    assert np.isnan(model.history_[-1].validation_score)
    assert len(np.unique(model.X_support_, axis=0)) == 6
    regression = KIPRegressor(5, **QUICK).fit_moments(passed(tmp_path, REAL, kept=0))
    assert regression.X_support_.shape == (5, 4)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda f: KIPRegressor(3, **QUICK).fit_moments(passed(f)), "try KIP"),
        (lambda f: KIP(1, **QUICK).fit_moments(passed(f, REAL)), "try KIPRegressor"),
        (lambda f: KIP(5, **QUICK).fit_moments(passed(f, map=RandomFourier(5))), "rank at most 10"),
        (lambda f: KIP(5, kernel=RandomFourier(5), **QUICK).fit(X, Y), "rank at most 10"),
        (lambda f: KIP(5, max_iter=-1).fit_moments(passed(f)), "max_iter"),
    ],
)
def test_what_cannot_be_learned_is_refused(act, message, tmp_path):
    with pytest.raises(InputError, match=message) as caught:
        act(tmp_path)
    assert "\n" not in str(caught.value)


# The command line


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A table in two parts, some of its rows, and moments of the first part."""
    folder = tmp_path_factory.mktemp("moments")
    table = pd.DataFrame(X.astype(float).round(3), columns=list("abcd")).assign(town=np.where(Y == 1, "Köln", "Bonn"))
    table["class"] = np.array(["x", "y", "z"])[Y]
    table[:600].to_parquet(folder / "first.parquet", row_group_size=200)
    table[600:].to_csv(folder / "second.csv", index=False)
    table[100:130].to_csv(folder / "gone.csv", index=False)
    table.to_csv(folder / "all.csv", index=False)
    assert run(["moments", str(folder / "first.parquet"), "--target", "class", "--features", "fourier:40",
                "--shard-rows", "200", "--out", str(folder / "m.safetensors"), "--json"]) == 0  # fmt: skip
    return folder


def test_moments_are_made_and_described(files, capsys):
    assert run(["moments", str(files / "m.safetensors"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["rows"] == 600
    assert found["n_shards"] == 3
    assert found["columns"] == 80
    assert found["target"] == "class"
    assert run(["moments", str(files / "m.safetensors")]) == 0
    assert "600, of which" in capsys.readouterr().out
    assert not (files / "m.safetensors.parts").exists()


def test_rows_are_added_and_forgotten(files, tmp_path, capsys):
    m, out = str(files / "m.safetensors"), str(tmp_path / "more.safetensors")
    assert run(["moments", m, "--add", str(files / "second.csv"), "--out", out, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["rows"], found["added"]) == (900, 300)
    assert 0.3 < found["drift"]["added rows"]["ratio"] < 3
    assert found["seen_before"] == 0
    assert run(["moments", out, "--forget", str(files / "gone.csv"), "--out", out, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["rows"], found["forgotten"]) == (870, 30)
    left = str(tmp_path / "less.safetensors")
    assert run(["moments", str(files / "second.csv"), "--like", m, "--out", left, "--json"]) == 0
    assert run(["moments", m, left, "--out", str(tmp_path / "sum.safetensors"), "--drift", m, "--json"]) == 0
    assert not list(tmp_path.glob("*.parts"))
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["rows"] == 900
    whole, parts = load(tmp_path / "sum.safetensors"), load(out)
    gone = whole - parts
    assert gone.count == 30


def test_a_row_of_one_side_alone_may_be_added(files, tmp_path, capsys):
    known = load(files / "m.safetensors").recipe
    second = pd.read_csv(files / "second.csv")
    held = held_out(row_hashes(known.space.encode(second.drop(columns="class"))), known.held)
    assert held.any()
    second[held][:1].to_csv(tmp_path / "one.csv", index=False)
    m, one, out = (str(path) for path in (files / "m.safetensors", tmp_path / "one.csv", tmp_path / "out.safetensors"))
    assert run(["moments", m, "--add", one, "--out", out, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["rows"] == 601 and found["drift"]["added rows"]["mmd"] > 0


def test_rows_that_are_there_already_are_told_however_they_are_cut(files, tmp_path, capsys):
    m, again = str(files / "m.safetensors"), ["--add", str(files / "first.parquet"), "--shard-rows", "600"]
    assert run(["moments", m, *again, "--out", str(tmp_path / "out.safetensors")]) == 0
    assert "About 100% of the added rows equal rows that were there before" in capsys.readouterr().err
    assert load(tmp_path / "out.safetensors").count == 1200
    again = ["--like", m, "--shard-rows", "600", "--out", str(tmp_path / "again.safetensors")]
    assert run(["moments", str(files / "first.parquet"), *again]) == 0
    assert run(["moments", m, str(tmp_path / "again.safetensors"), "--out", str(tmp_path / "sum.safetensors")]) == 0
    assert "About 100% of the added rows" in capsys.readouterr().err


@pytest.mark.slow
def test_a_pass_that_is_killed_goes_on_where_it_stopped(tmp_path):
    for i in range(40):
        np.savez(tmp_path / f"{i}.npz", x_train=X[i * 20 : i * 20 + 20], y_train=Y[i * 20 : i * 20 + 20])
    data = [str(tmp_path / f"{i}.npz") for i in range(40)]
    asked = ["moments", *data, "--features", "fourier:400", "--json", "--out"]
    out = tmp_path / "m.safetensors"
    slow = (
        "import time, datastill.moments.passing as passing, datastill.cli as cli; collect = passing.collect; "
        "passing.collect = lambda *a, **k: (time.sleep(0.05), collect(*a, **k))[1]; cli.main()"
    )
    killed = subprocess.Popen([sys.executable, "-c", slow, *asked, str(out)], stdout=subprocess.DEVNULL)
    made = tmp_path / "m.safetensors.parts"
    while killed.poll() is None and len(list(made.glob("*.safetensors"))) < 5:
        time.sleep(0.02)
    killed.kill()
    assert killed.wait() == -signal.SIGKILL and not out.exists()
    before = {file: file.stat().st_mtime_ns for file in made.glob("*.safetensors")}
    assert 5 <= len(before) < 40
    kept = {}
    original = shutil.rmtree

    def looked_at(folder, **settings):
        kept.update({file: file.stat().st_mtime_ns for file in Path(folder).glob("*.safetensors")})
        original(folder, **settings)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shutil, "rmtree", looked_at)
        assert run([*asked, str(out)]) == 0
    assert len(kept) == 40 and before.items() <= kept.items()
    assert run([*asked, str(tmp_path / "whole.safetensors")]) == 0
    ours, whole = load(out), load(tmp_path / "whole.safetensors")
    np.testing.assert_array_equal(ours.train.second, whole.train.second)
    assert ours.count == 800


def test_a_set_is_distilled_when_the_data_are_gone(files, tmp_path, capsys):
    shutil.copy(files / "second.csv", tmp_path / "data.csv")
    m = str(tmp_path / "m.safetensors")
    assert run(["moments", str(tmp_path / "data.csv"), "--target", "class", "--features", "fourier:40", "--keep", "0",
                "--out", m, "--json"]) == 0  # fmt: skip
    (tmp_path / "data.csv").unlink()
    test, out = str(files / "first.parquet"), str(tmp_path / "run")
    assert run(["distill", m, "--ipc", "2", "--steps", "40", "--test", test, "--out", out, "--json"]) == 0
    scores = json.loads(capsys.readouterr().out.splitlines()[-1])["scores"]
    assert {s["role"]: s["value"] for s in scores}["result"] > 0.8


def test_test_rows_without_a_label_are_refused(files, tmp_path, capsys):
    table = pd.read_csv(files / "second.csv")
    table.loc[3, "class"] = None
    table.to_csv(tmp_path / "test.csv", index=False)
    asked = ["distill", str(files / "m.safetensors"), "--ipc", "1", "--test", str(tmp_path / "test.csv")]
    assert run([*asked, "--out", str(tmp_path / "run")]) == 2
    assert "label" in capsys.readouterr().err


def test_a_set_is_distilled_and_started_again_from_the_last(files, tmp_path, capsys):
    m, quick = str(files / "m.safetensors"), ["--steps", "40", "--patience", "0"]
    assert run(["distill", m, "--ipc", "2", *quick, "--out", str(tmp_path / "a"), "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert any("--test" in warning for warning in first["warnings"])
    roles = {s["role"]: s for s in first["scores"]}
    assert {"result", "random", "all"} <= set(roles)
    assert roles["result"]["value"] > 0.8
    assert pd.read_csv(tmp_path / "a" / "support.csv")["town"].isin(["Köln", "Bonn"]).all()
    test = ["--test", str(files / "second.csv")]
    assert (
        run(
            [
                "distill",
                m,
                "--ipc",
                "2",
                *quick,
                *test,
                "--init",
                str(tmp_path / "a"),
                "--out",
                str(tmp_path / "b"),
                "--json",
            ]
        )
        == 0
    )
    second = json.loads(capsys.readouterr().out)
    assert second["n_test"] == 300
    assert not any("--test" in warning for warning in second["warnings"])
    assert "on average" in second["settings"]["examples moved by"]
    assert run(["distill", m, "--ipc", "2", *quick, "--out", str(tmp_path / "a"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["resumed_finished_run"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["moments", "digits"], "--out"),
        (["moments", "digits", "--out", "m.safetensors"], "--features"),
        (["moments", "digits", "--out", "m.npz", "--features", "conv"], "ends in .safetensors"),
        (["moments", "digits", "--out", "m.safetensors", "--features", "deep"], "feature map"),
        (
            ["moments", "digits", "--out", "m.safetensors", "--forget", "digits", "--features", "relu"],
            "without moments",
        ),
        (["moments", "nowhere", "--out", "m.safetensors", "--features", "relu"], "nowhere"),
        (["moments", "{m}", "--forget", "{second}", "--out", "{out}"], "to be subtracted"),
        (["moments", "{m}", "{m}", "--out", "{out}"], "both"),
        (["moments", "digits", "--like", "{m}", "--out", "{out}"], "expected"),
        (["moments", "digits", "--features", "relu:8", "--out", "{out}", "--cluster", "moon"], "scheduler"),
        (["moments", "{m}", "--forget", "digits", "--out", "{out}", "--cluster", "local:2"], "without rows to add"),
        (["moments", "digits", "--features", "relu:500000", "--out", "{out}"], "GiB"),
        (["moments", "{m}", "--add", "{second}", "--target", "a", "--out", "{out}"], "target class"),
        (["compare", "{m}", "--ipc", "1"], "no rows"),
        (["distill", "{m}", "--method", "kmeans"], "expected kip"),
        (["distill", "{m}", "--ipc", "50"], "rank at most"),
        (["distill", "{m}", "--task", "regression"], "moments for classification"),
        (["moments", "{m}", "--add", "{second}", "--held", "0.3", "--out", "{out}"], "--held with moments"),
        (
            ["moments", "digits", "--features", "relu:8", "--task", "clasification", "--out", "{out}"],
            "expected classification, regression or auto",
        ),
    ],
)
def test_misuse_is_told_in_one_line(files, tmp_path, arguments, message, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("datastill.moments.cluster.SECONDS_TO_CONNECT", 1)
    names = {"m": files / "m.safetensors", "second": files / "second.csv", "out": tmp_path / "out.safetensors"}
    assert run([a.format(**names) for a in arguments]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert len(said.splitlines()) == 1


def test_learning_from_moments_stops_early_and_keeps_its_best_step(tmp_path):
    collected = passed(tmp_path)
    settings = {"max_iter": 4_000, "learning_rate": 0.5, "random_state": 0}
    model = KIP(1, patience=2, **settings).fit_moments(collected)
    losses = [record.validation_loss for record in model.history_]
    assert losses.index(min(losses)) == len(losses) - 3
    assert model.history_[-1].step < 4_000
    sums, x_s = model.sums_, jnp.asarray(model.space_.encode_features(model.X_support_))
    with krr.float64(True):
        train, held = moments_objective.on_device(sums.train), moments_objective.on_device(sums.held)
        found = moments_objective.predictor(sums.map, sums.weights, x_s, None, train, model.problem().penalties)
        assert float(moments_objective.feature_loss(found, held)) == pytest.approx(min(losses), rel=1e-3)


def test_a_class_that_is_forgotten_gets_no_examples(tmp_path):
    collected = passed(tmp_path)
    for k in (1, 2):
        rows = np.flatnonzero(np.equal(Y, k))
        np.savez(tmp_path / "gone.npz", x_train=X[rows], y_train=Y[rows])
        left = collected - forgettable(collected, shards_of([tmp_path / "gone.npz"])[0])
        model = KIP(2, **QUICK).fit_moments(left)
        assert model.y_support_.tolist() == [c for c in range(3) for _ in range(2) if c != k]


def test_fractions_are_of_the_data_and_not_of_the_rows_that_were_kept(tmp_path):
    collected = passed(tmp_path, kept=3)
    assert len(KIP(n_support=0.02, **QUICK).fit_moments(collected).X_support_) == round(0.02 * len(X))
    per_class = np.bincount(KIP(ipc=0.02, **QUICK).fit_moments(collected).y_support_)
    assert per_class.tolist() == [round(0.02 * n) for n in np.bincount(Y)]


def test_the_suffix_may_be_left_out(files, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(["moments", "iris", "--features", "fourier:20", "--out", "m"]) == 0
    assert "classification, 3 classes" in capsys.readouterr().out
    assert run(["distill", "m", "--ipc", "1", "--steps", "2", "--out", "run", "--json"]) == 0
    assert (tmp_path / "m.safetensors").exists()


def test_options_of_a_pass_are_kept(tmp_path):
    out = tmp_path / "m.safetensors"
    words = ["--keep", "0", "--by-class", "--held", "0.2", "--augment", "shift=1", "--versions", "3"]
    assert run(["moments", "digits", "--features", "conv4:8", *words, "--out", str(out), "--json"]) == 0
    found = load(out)
    assert len(found.starts.z) == len(found.checks.z) == 0
    assert found.train.by_class and found.recipe.versions == 3 and found.recipe.augment == Augmentation.parse("shift=1")
    assert 0.1 < found.held.count / found.count < 0.3


@pytest.mark.filterwarnings("ignore:Got 201 examples .* numerical rank")
def test_many_examples_are_learned_by_curvature(tmp_path, monkeypatch):
    rules = []
    rule_of = kip.optimiser
    monkeypatch.setattr(
        kip, "optimiser", lambda rate, steps, rule="muon": rules.append(rule) or rule_of(rate, steps, rule)
    )
    collected = passed(tmp_path, map=RandomFourier(300, length_scale=4.0), kept=100)
    model = KIP(n_support=201, **{**QUICK, "max_iter": 5}).fit_moments(collected)
    KIP(2, **{**QUICK, "max_iter": 1}).fit_moments(collected)
    assert [rule for rule in rules if rule != "muon"] == ["lbfgs", "adam"]
    assert model.history_[-1].validation_loss < model.history_[0].validation_loss
