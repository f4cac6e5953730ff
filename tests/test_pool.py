"""KIP under a pool of networks: the loss, how networks come and go, resuming, and what the sets teach."""

import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sklearn.datasets import load_digits

import oracles
from datastill import NetworkKIP
from datastill._errors import InputError
from datastill.cli.app import run
from datastill.distill import kip, loop, pool
from datastill.distill.kernel_objective import Targets
from datastill.distill.objectives import Penalties
from datastill.features.conv import RandomConv
from datastill.preprocess.labels import ClassLabels

N, S = 60, 6
RNG = np.random.default_rng(0)
CODES = np.arange(N) % 3
X = RNG.normal(size=(N, 8, 8)).astype(np.float32) + CODES[:, None, None]
LABELS = ClassLabels(np.arange(3))
TARGETS = Targets(X, LABELS.encode(CODES), CODES)
MAPS = RandomConv(4, 2), RandomConv(4, 2, norm="instance")
NETS = pool.Nets(MAPS, size=3, at_once=2, every=2, trained=5, oldest=10, targets=20)


def problem(labels="gradient", project=kip.anywhere):
    return kip.Problem((), lambda z: z, labels, optax.adam(0.05), project, penalties=Penalties(1e-2))


def started(nets=NETS, labels="gradient"):
    return pool.init(problem(labels), nets, X[:S], TARGETS.y[:S], TARGETS, 0)


def runs(state, steps, nets=NETS, labels="gradient"):
    step, losses = pool.step(problem(labels), nets, TARGETS, 0), []
    for number in range(steps):
        state, loss = step(state, number)
        losses.append(float(loss))
    return state, losses


def loss_of(map, weights, x_s, y_s, phi_t, y_t):
    some = pool.Drawn(*jax.tree.map(lambda a: jnp.asarray(a)[None], (weights, phi_t, y_t)))
    found = kip.compiled(lambda *given: pool.outputs((map.formula(),), *given, 1e-2))(
        some, jnp.asarray(x_s), jnp.asarray(y_s)
    )
    return float(np.mean(np.sum((found[0] - y_t) ** 2, axis=1)) / 2)


@pytest.mark.parametrize("norm", ["none", "instance"])
def test_the_loss_of_a_network_equals_its_slow_twin(norm):
    map = RandomConv(4, 2, seed=3, norm=norm)
    weights = map.draw(X.shape[1:])
    phi_s, phi_t = (
        oracles.convolutional_features(x[..., None], weights, True, map.w_std, map.b_std, norm) for x in (X[:S], X[S:])
    )
    alpha = np.linalg.inv(oracles.regularise(phi_s @ phi_s.T, 1e-2)) @ TARGETS.y[:S]
    expected = np.mean(np.sum((phi_t @ phi_s.T @ alpha - TARGETS.y[S:]) ** 2, axis=1)) / 2
    given = (X[:S], TARGETS.y[:S], phi_t.astype(np.float32), TARGETS.y[S:])
    assert loss_of(map, weights, *given) == pytest.approx(expected, rel=1e-4)


def test_the_loss_of_a_step_is_the_mean_over_networks_of_the_pool():
    state = started(nets := pool.Nets(MAPS, size=2, at_once=2, every=100, targets=20))
    _, losses = runs(state, 1, nets)
    each = [
        loss_of(nets.maps[m], jax.tree.map(lambda w, m=m: w[m], state.pool.weights), X[:S], TARGETS.y[:S], phi, y)
        for m, (phi, y) in enumerate(zip(state.pool.phi, state.pool.y, strict=True))
    ]
    assert losses[0] == pytest.approx(np.mean(each), rel=1e-5)


def test_networks_are_renewed_in_turn_and_drawn_afresh_when_they_are_old():
    state = started()
    assert state.pool.ages.tolist() == [0, 3, 6]
    after, _ = runs(state, 13)
    # Steps 2, 4, …, 12 renew members 1, 2, 0, 1, 2, 0; one that would be older than 10 starts anew.
    assert after.pool.ages.tolist() == [10, 0, 5]
    for weights, before in zip(jax.tree.leaves(after.pool.weights), jax.tree.leaves(state.pool.weights), strict=True):
        assert all(not np.array_equal(weights[m], before[m]) for m in range(3))


def test_kept_features_are_those_of_the_networks_as_they_are():
    after, _ = runs(started(), 9)
    for m in range(NETS.size):
        weights = jax.tree.map(lambda w, m=m: w[m], after.pool.weights)
        phi = np.asarray(NETS.formula(m).block(weights, jnp.asarray(X)))
        for kept, y in zip(np.asarray(after.pool.phi[m]), np.asarray(after.pool.y[m]), strict=True):
            distance = np.abs(phi - kept).max(axis=1)
            assert distance.min() < 1e-4
            assert (TARGETS.y[distance.argmin()] == y).all()


def test_without_training_every_renewal_is_a_fresh_network():
    nets = pool.Nets(MAPS, size=2, at_once=1, every=1, trained=0, targets=20)
    after, losses = runs(started(nets), 5, nets)
    assert after.pool.ages.tolist() == [0, 0]
    assert len(set(losses)) == 5


@pytest.mark.parametrize("norm", ["none", "instance"])
def test_training_brings_a_network_nearer_to_the_set(norm):
    map = RandomConv(8, 2, norm=norm)
    nets = pool.Nets((map,), trained=200)
    weights = jax.tree.map(lambda w: w[0], started(nets).pool.weights)
    train = pool._trainer(map, nets)
    trained = train(weights, jax.random.key(0), jnp.asarray(X), jnp.asarray(TARGETS.y))

    def left_over(weights):
        phi = np.asarray(map.block(weights, jnp.asarray(X)), np.float64)
        beta = np.linalg.solve(phi.T @ phi + 1e-3 * np.eye(phi.shape[1]), phi.T @ TARGETS.y)
        return np.mean((phi @ beta - TARGETS.y) ** 2)

    assert left_over(trained) < 0.8 * left_over(weights)


def test_a_step_meets_both_architectures_as_evenly_as_can_be():
    for size, at_once, expected in ((4, 2, [1, 1]), (5, 4, [2, 2]), (5, 5, [3, 2])):
        nets = pool.Nets(MAPS, size=size, at_once=at_once)
        for seed in range(20):
            some = pool._drawn(nets, np.random.default_rng(seed))
            assert len(set(some.tolist())) == at_once
            assert np.bincount(some % 2).tolist() == expected
            assert (np.diff(some % 2) >= 0).all()
    alone = [pool._drawn(pool.Nets(MAPS, size=5, at_once=1), np.random.default_rng(seed))[0] for seed in range(50)]
    assert set(alone) == set(range(5))


def test_fixed_labels_stay_and_learned_ones_move():
    fixed, learned = (runs(started(labels=labels), 3, labels=labels)[0].learned.y for labels in ("fixed", "gradient"))
    assert (np.asarray(fixed) == TARGETS.y[:S]).all()
    assert np.abs(np.asarray(learned) - TARGETS.y[:S]).max() > 1e-3


def test_a_run_that_is_resumed_ends_in_the_same_bits(tmp_path):
    step, schedule = pool.step(problem(), NETS, TARGETS, 0), loop.Schedule(9, 3, None)

    def run(path, stop=None):
        def until(state, number):
            if number == stop:
                raise KeyboardInterrupt
            return step(state, number)

        return loop.run(started(), until, lambda s: (np.asarray(s.learned.z),), None, schedule, path, "a")

    whole = run(None)
    path = tmp_path / "checkpoint"
    saving, loop.SECONDS_BETWEEN_CHECKPOINTS = loop.SECONDS_BETWEEN_CHECKPOINTS, -np.inf
    try:
        with pytest.raises(KeyboardInterrupt):
            run(path, stop=5)
    finally:
        loop.SECONDS_BETWEEN_CHECKPOINTS = saving
    assert path.exists()
    np.testing.assert_array_equal(run(path).best[0], whole.best[0])


def test_labels_cannot_be_eliminated():
    with pytest.raises(InputError, match="gradient or fixed"):
        pool.step(problem("solve"), NETS, TARGETS, 0)


@pytest.mark.parametrize("wrong", [{"at_once": 4}, {"every": 0}, {"targets": 0}, {"trained": -1}, {"size": 0}])
def test_pools_that_cannot_be_are_refused(wrong):
    with pytest.raises(InputError, match="expected 1 or more of each"):
        pool.Nets((RandomConv(4),), **{"size": 3, **wrong})


# The estimator


@pytest.fixture(scope="module")
def digits():
    x, y = load_digits(return_X_y=True)
    return x.reshape(-1, 8, 8).astype(np.uint8), y


@pytest.fixture(scope="module")
def learned(digits):
    x, y = digits
    settings = {"width": 8, "max_iter": 150, "target_rows": 300, "training": 20, "oldest": 100}
    return NetworkKIP(1, **settings, random_state=0).fit(x[:1200], y[:1200])


def test_the_set_is_of_the_images_own_kind(learned, digits):
    assert learned.X_support_.dtype == np.uint8
    assert learned.X_support_.shape == (10, 8, 8)
    assert learned.X_support_.max() <= 16
    assert learned.y_support_.tolist() == list(range(10))
    assert learned.nets_.maps[0].depth == 3
    assert learned.n_iter_ == 150
    assert learned.support_set_.provenance["settings"]["width"] == 8


@pytest.mark.parametrize(
    ("ipc", "norms", "width", "trained"), [(3, ["none"], 32, 80), (4, ["none", "instance"], 64, 10)]
)
def test_many_examples_get_wider_networks_of_both_kinds(digits, ipc, norms, width, trained):
    x, y = digits
    few = {"max_iter": 0, "networks": 2, "target_rows": 20, "random_state": 0}
    chosen = NetworkKIP(ipc, **few).fit(x[:200], y[:200]).nets_
    assert [(map.norm, map.width) for map in chosen.maps] == [(norm, width) for norm in norms]
    assert chosen.trained == trained
    given = NetworkKIP(ipc, norm="instance", width=5, training=7, **few).fit(x[:200], y[:200])
    assert given.nets_.maps == (RandomConv(5, given.nets_.maps[0].depth, norm="instance"),)
    assert (given.nets_.trained, given.nets_.oldest) == (7, chosen.oldest)
    assert given.kernels_[0].map.norm == "instance"


def test_it_predicts_better_than_where_it_started(learned, digits):
    x, y = digits
    start = NetworkKIP(1, width=8, max_iter=0, target_rows=300, random_state=0).fit(x[:1200], y[:1200])
    assert learned.score(x[1200:], y[1200:]) > start.score(x[1200:], y[1200:]) + 0.03


def test_rows_of_another_shape_are_told_by_their_shape(learned):
    with pytest.raises(InputError, match=r"rows of shape \(8, 4\); expected \(8, 8\)"):
        learned.predict(np.zeros((2, 8, 4), np.uint8))


def test_equal_seeds_give_equal_sets(digits):
    x, y = digits
    settings = {"width": 4, "max_iter": 8, "training": 3, "target_rows": 50}
    one, two, other = (NetworkKIP(1, **settings, random_state=s).fit(x[:300], y[:300]) for s in (0, 0, 1))
    np.testing.assert_array_equal(one.soft_labels_, two.soft_labels_)
    np.testing.assert_array_equal(one.X_support_, two.X_support_)
    assert not np.array_equal(one.X_support_, other.X_support_)


@pytest.mark.parametrize(
    ("rows", "settings", "message"),
    [
        ((20, 5), {}, "expected images"),
        ((20, 1, 8), {}, "2×2 at least"),
        ((20, 8, 8), {"depth": 4}, "try depth=3"),
        ((20, 8, 8), {"width": 0}, "width=0"),
        ((20, 8, 8), {"norm": "batch"}, "expected one of none, instance, both"),
        ((20, 8, 8), {"at_once": 11}, "no more at once"),
        ((20, 8, 8), {"depth": 0}, "depth=0; expected a whole number, 1 or more"),
        ((20, 8, 8), {"depth": 2.7}, "depth=2.7; expected a whole number"),
        ((20, 8, 8), {"width": "a"}, "width='a'; expected a whole number"),
        ((20, 8, 8), {"oldest": -1}, "oldest=-1; expected a whole number"),
        ((20, 8, 8), {"norm": "both", "at_once": 1, "networks": 1}, "1 networks of 2 kinds"),
        ((20, 8, 8), {"ipc": 0}, "ipc"),
    ],
)
def test_what_cannot_be_learned_is_refused(rows, settings, message):
    x = np.random.default_rng(0).normal(size=rows)
    with pytest.raises(InputError, match=re.escape(message)):
        NetworkKIP(**{"ipc": 1, "max_iter": 1, **settings}).fit(x, np.arange(20) % 2)


@pytest.mark.slow
def test_the_command_line_makes_such_a_set(tmp_path, capsys):
    words = ["distill", "digits", "--method", "network-kip", "--ipc", "1", "--steps", "20", "--seed", "1"]
    assert run([*words, "--out", str(tmp_path / "run"), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["method"] == "network KIP"
    assert [score["role"] for score in printed["scores"]].count("random") == 1
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["provenance"]["settings"]["learning_rate"] == 0.03
    assert manifest["provenance"]["settings"]["reg"] == 5e-3


def test_targets_are_not_classes(capsys):
    assert run(["distill", "diabetes", "--method", "network-kip", "--n-support", "5"]) == 2
    assert "it needs classes" in capsys.readouterr().err
