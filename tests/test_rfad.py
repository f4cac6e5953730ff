"""RFAD: the loss, the networks of a step, what is learned, and the estimator."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.datasets import load_digits

import oracles
from datastill import RFAD
from datastill._errors import InputError
from datastill.cli.app import run
from datastill.distill import kip, rfad
from datastill.distill.kernel_objective import Targets
from datastill.distill.networks import fresh, key_of, weight_shapes
from datastill.distill.objectives import Penalties
from datastill.features.conv import RandomConv
from datastill.kernels import ConvNet
from datastill.krr import float64
from datastill.preprocess.labels import ClassLabels

N, S = 40, 6
RNG = np.random.default_rng(0)
CODES = np.arange(N) % 3
X = RNG.normal(size=(N, 8, 8)).astype(np.float32) + CODES[:, None, None]
TARGETS = Targets(X, ClassLabels(np.arange(3)).encode(CODES), CODES)
MAP = RandomConv(4, 2)


def problem(labels="gradient", rate=1e-3):
    return kip.Problem((), lambda z: z, labels, rfad.optimiser(rate), penalties=Penalties(1e-2))


def settings(**changed):
    return rfad.Settings(**{"map": MAP, "networks": 3, "batch": N, "judges": 2, **changed})


def kernels_of(keys, x_s, x_t):
    """k_ss and k_ts by the slow twin of the features, averaged over the networks of these keys."""
    each = []
    for key in keys:
        weights = jax.tree.map(np.asarray, fresh(key, weight_shapes(MAP, X.shape[1:])))
        phi = [oracles.convolutional_features(x[..., None], weights, True, MAP.w_std, MAP.b_std) for x in (x_s, x_t)]
        each.append((phi[0] @ phi[0].T, phi[1] @ phi[0].T))
    return [np.mean(blocks, axis=0) for blocks in zip(*each, strict=True)]


@pytest.mark.parametrize("loss", rfad.LOSSES)
def test_the_loss_equals_its_slow_twin(loss):
    state = rfad.init(problem(), X[:S], TARGETS.y[:S])
    step = rfad.step(problem(), settings(loss=loss), TARGETS, 0)
    state, first = step(state, 0)
    mixing, temperature = np.asarray(state.others["mixing"]), float(state.others["temperature"])
    x_s, y_s = (np.asarray(a, np.float64) for a in rfad.examples(state))
    assert np.abs(mixing - np.eye(64)).max() > 0
    _, second = step(state, 1)
    for value, z, y, log_scale, number in ((first, X[:S], TARGETS.y[:S], 0.0, 0), (second, x_s, y_s, temperature, 1)):
        k_ss, k_ts = kernels_of(jax.random.split(key_of(0, 31, number), 3), z, X)
        f = oracles.predict(k_ss, k_ts, y, 1e-2)
        if loss == "square":
            expected = 0.5 * np.mean(np.sum((f - TARGETS.y) ** 2, axis=1))
        else:
            scores = np.exp(log_scale) * f
            expected = np.mean(np.log(np.exp(scores).sum(axis=1)) - scores[np.arange(N), CODES])
        assert float(value) == pytest.approx(expected, rel=1e-4)


def test_the_kernel_is_that_of_the_infinite_network_in_the_mean():
    with float64(True):
        map = RandomConv(64, 2)
        networks = rfad.draw(map, 60, key_of(3), X.shape[1:])
        phi_t = rfad.features(map, networks, jnp.asarray(X[3:8]))
        k_ss, k_ts = rfad.mean_kernels(map, networks, jnp.asarray(X[:3]), phi_t)
    kernel = ConvNet(2, kind="nngp")
    assert oracles.relative(k_ss, kernel(X[:3])) < 0.03
    assert oracles.relative(k_ts, kernel(X[3:8], X[:3])) < 0.03


def test_networks_and_targets_are_functions_of_the_step():
    state = rfad.init(problem(), X[:S], TARGETS.y[:S])
    step = rfad.step(problem(), settings(batch=10), TARGETS, 0)
    losses = [float(step(state, number)[1]) for number in (0, 0, 1)]
    assert losses[0] == losses[1] != losses[2]


def test_labels_may_stay():
    state = rfad.init(problem("fixed"), X[:S], TARGETS.y[:S])
    after, _ = rfad.step(problem("fixed"), settings(), TARGETS, 0)(state, 0)
    np.testing.assert_array_equal(after.y, TARGETS.y[:S])
    assert float(after.others["temperature"]) != 0


@pytest.mark.parametrize(
    ("changed", "message"),
    [({"networks": 0}, "networks=0"), ({"batch": 0}, "batch=0"), ({"loss": "hinge"}, "'hinge'; expected one of cross")],
)
def test_settings_are_checked(changed, message):
    with pytest.raises(InputError, match=message):
        settings(**changed)


QUICK = {"width": 8, "networks": 2, "judges": 2, "batch_size": 200, "random_state": 0}


def test_a_set_predicts_better_than_where_it_started_and_is_of_the_images_own_kind():
    x, y = load_digits(return_X_y=True)
    x = x.reshape(-1, 8, 8).astype(np.uint8)
    learned, start = (RFAD(1, max_iter=steps, learning_rate=0.02, **QUICK).fit(x[:1200], y[:1200]) for steps in (60, 0))
    assert learned.X_support_.dtype == np.uint8 and learned.X_support_.shape == (10, 8, 8)
    assert learned.settings_.map.depth == 3 and learned.n_iter_ == 60
    assert learned.score(x[1200:], y[1200:]) > start.score(x[1200:], y[1200:]) + 0.03
    assert learned.history_[-1].validation_score > learned.history_[0].validation_score
    assert [record.step for record in learned.history_] == [0, 40, 60]


@pytest.mark.slow
def test_the_command_line_makes_such_a_set(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(RFAD.__init__, "__kwdefaults__", RFAD.__init__.__kwdefaults__ | QUICK)
    words = ["distill", "digits", "--method", "rfad", "--ipc", "1", "--steps", "5", "--seed", "1"]
    assert run([*words, "--out", str(tmp_path / "run"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["method"] == "RFAD"
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["provenance"]["settings"]["learning_rate"] == 1e-3
