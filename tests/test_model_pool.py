"""FRePo and RCIG: networks, both objectives, how the pool is renewed, resuming, and the estimators."""

import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.signal import correlate2d
from sklearn.datasets import load_digits

import oracles
from datastill import RCIG, RFAD, FRePo
from datastill._errors import InputError
from datastill.cli.app import run
from datastill.distill import frepo, kip, loop, model_pool, rcig
from datastill.distill.finite_convnet import FiniteConvNet
from datastill.distill.kernel_objective import Targets
from datastill.distill.model_pool import ModelPool
from datastill.distill.objectives import Penalties
from datastill.estimators import on_model_pool
from datastill.krr import float64
from datastill.preprocess.labels import ClassLabels

N, S = 40, 6
RNG = np.random.default_rng(0)
CODES = np.arange(N) % 3
X = RNG.normal(size=(N, 7, 8, 2)).astype(np.float32) + CODES[:, None, None, None]
TARGETS = Targets(X, ClassLabels(np.arange(3)).encode(CODES), CODES)
BODY = FiniteConvNet(3, 2, normalised=True)
POOL = ModelPool(BODY, size=3, batch=20, oldest=4, trained=(1, 3))


def problem(labels="gradient", optimiser=None, project=kip.anywhere):
    rule = frepo.optimiser(0.01, 100) if optimiser is None else optimiser
    return kip.Problem((), lambda z: z, labels, rule, project, penalties=Penalties(1e-3))


def begun(pool=POOL, labels="gradient"):
    what = problem(labels)
    objective = frepo.objective(what, pool)
    state = model_pool.init(what, pool, objective, X[:S], TARGETS.y[:S], TARGETS, 0)
    return state, model_pool.step(what, pool, objective, TARGETS, 0)


def after(steps, pool=POOL, labels="gradient"):
    (state, step), losses = begun(pool, labels), []
    for number in range(steps):
        state, loss = step(state, number)
        losses.append(float(loss))
    return state, losses


# Networks


def slow_features(body, weights, x):
    a = np.zeros((len(x), 8, 8, 2))
    a[:, :7] = x  # one row of zeros below: 7 is no multiple of 4
    for block in jax.tree.map(np.asarray, weights["blocks"]):
        if "gain" in block:
            a = (a - a.mean(axis=(0, 1, 2))) / np.sqrt(a.var(axis=(0, 1, 2)) + 1e-5) * block["gain"] + block["offset"]
        filters = block["filters"]
        h = [
            sum(correlate2d(image[:, :, k], filters[:, :, k, m], "same") for k in range(image.shape[2]))
            for image in a
            for m in range(filters.shape[3])
        ]
        h = np.stack(h).reshape(len(a), -1, *a.shape[1:3]).transpose(0, 2, 3, 1) + block["shift"]
        h = np.logaddexp(0, 60 * h) / 60 if body.activation == "softplus" else np.maximum(h, 0)
        a = np.stack([oracles.average_pool(image[None])[0] for image in h])
    return a.reshape(len(a), -1)


@pytest.mark.parametrize("body", [BODY, FiniteConvNet(3, 2), FiniteConvNet(2, 2, "softplus")])
def test_features_equal_their_slow_twin(body):
    weights = body.draw(jax.random.key(0), X.shape[1:], 3)
    for block in weights["blocks"]:
        block["shift"] = block["shift"] + 0.1
    found = body.features(weights, jnp.asarray(X))
    assert found.shape == (N, 2 * 2 * 2 * body.width)
    assert oracles.relative(found, slow_features(body, weights, X.astype(np.float64))) < 1e-5
    matrix, shift = np.asarray(weights["last"]["matrix"]), np.asarray(weights["last"]["shift"])
    assert oracles.relative(body.outputs(weights, jnp.asarray(X)), np.asarray(found) @ matrix + shift) < 1e-5


def test_fresh_weights_have_variance_one_over_fan_in():
    weights = FiniteConvNet(64, 2).draw(jax.random.key(1), (8, 8, 3), 10)
    for block, fan_in in zip(weights["blocks"], (27, 9 * 64), strict=True):
        assert float(jnp.std(block["filters"])) == pytest.approx(fan_in**-0.5, rel=0.05)
        assert not block["shift"].any()
    assert weights["blocks"][1]["filters"].shape == (3, 3, 64, 128)
    assert float(jnp.std(weights["last"]["matrix"])) == pytest.approx(512**-0.5, rel=0.05)


@pytest.mark.parametrize("wrong", [{"width": 0}, {"depth": 0}, {"activation": "tanh"}])
def test_bodies_that_cannot_be_are_refused(wrong):
    with pytest.raises(InputError, match=re.escape(next(iter(map(str, wrong.values()))))):
        FiniteConvNet(**wrong)


# FRePo


def frepo_loss(phi_s, phi_t, y_s, y_t, own, reg=1e-3):
    f = oracles.predict(phi_s @ phi_s.T, phi_t @ phi_s.T, y_s, reg)
    best = np.sort(own, axis=1)
    margin = np.minimum(best[:, -1] - best[:, -2], 1 / y_t.shape[1])
    return np.mean(np.sum((f - y_t) ** 2, axis=1)) / 2 - margin.mean()


@pytest.mark.parametrize("flip", [False, True])
def test_frepo_descends_its_slow_twin(flip):
    pool = ModelPool(BODY, flip=flip)
    weights = BODY.draw(jax.random.key(0), X.shape[1:], 3)
    y_s, x_t, y_t = RNG.normal(size=(S, 3)).astype(np.float32), X[S:], TARGETS.y[S:]
    learned = {"z": jnp.asarray(X[:S]), "y": jnp.asarray(y_s)}
    value, gradient, kept = frepo.objective(problem(), pool).slope(
        learned, weights, jnp.asarray(x_t), jnp.asarray(y_t), {}
    )
    phi_t = slow_features(BODY, weights, x_t.astype(np.float64))

    def twin(z, y):
        x_s, all_y = (np.concatenate([z, z[:, :, ::-1]]), np.concatenate([y, y])) if flip else (z, y)
        return frepo_loss(slow_features(BODY, weights, x_s), phi_t, all_y, y_t, y)

    z, y = X[:S].astype(np.float64), y_s.astype(np.float64)
    assert kept == {}
    assert float(value) == pytest.approx(twin(z, y), rel=1e-4)
    for name, along in (("z", RNG.normal(size=z.shape)), ("y", RNG.normal(size=y.shape))):
        ends = [twin(*(a + t * along if n == name else a for n, a in (("z", z), ("y", y)))) for t in (1e-5, -1e-5)]
        slope = (ends[0] - ends[1]) / 2e-5
        assert float(np.sum(np.asarray(gradient[name]) * along)) == pytest.approx(slope, rel=2e-3)


def test_first_labels_are_scaled_as_published():
    y = np.eye(100, dtype=np.float32) - 0.01
    np.testing.assert_allclose(frepo.first_labels(y), y / 10**0.5)


# RCIG


def solved_exactly(body, weights, x_s, y_s, x_t, penalty):
    """f on targets of the inner problem's exact solution, by the Jacobian of all outputs."""
    free = {"blocks": weights["blocks"], "shift": weights["last"]["shift"]}

    def outputs(free, x):
        last = {"matrix": weights["last"]["matrix"], "shift": free["shift"]}
        return body.outputs({"blocks": free["blocks"], "last": last}, x)

    def jacobian(x):
        leaves = jax.tree.leaves(jax.jacobian(outputs)(free, x))
        return jnp.concatenate([leaf.reshape(len(x) * y_s.shape[1], -1) for leaf in leaves], axis=1)

    phi_s, phi_t, c = body.features(weights, x_s), body.features(weights, x_t), y_s.shape[1]
    j_s, k = jacobian(x_s), phi_s @ phi_s.T
    whole = j_s @ j_s.T + jnp.kron(k, jnp.eye(c)) + penalty * len(x_s) * jnp.eye(len(j_s))
    w = j_s.T @ jnp.linalg.solve(whole, y_s.ravel())
    a = jnp.linalg.solve(k + penalty * len(x_s) * jnp.eye(len(k)), y_s - (j_s @ w).reshape(y_s.shape))
    return (jacobian(x_t) @ w).reshape(-1, c) + phi_t @ phi_s.T @ a, w


def rcig_loss(learned, f, y_t):
    fit = optax.softmax_cross_entropy(jnp.exp(learned["temperature"]) * f, (y_t > 0).astype(f.dtype))
    best = jnp.sort(learned["y"], axis=1)
    return jnp.mean(fit) - jnp.mean(jnp.minimum(best[:, -1] - best[:, -2], 0.5 / y_t.shape[1]))


def test_rcig_descends_what_the_exact_solution_of_its_inner_problem_says():
    body, penalty, rows = FiniteConvNet(2, 1, "softplus"), 0.05, X[:, :4, :4]
    weights, y_t = body.draw(jax.random.key(0), rows.shape[1:], 3), jnp.asarray(TARGETS.y[S:])
    learned = {
        "z": jnp.asarray(rows[:S]),
        "y": jnp.asarray(TARGETS.y[:S] + 0.1 * RNG.normal(size=(S, 3)).astype(np.float32)),
        "temperature": jnp.asarray(0.5),
    }
    settings = rcig.Settings(penalty, inner_steps=2500, inverse_steps=2500)
    objective = rcig.objective(problem(optimiser=rcig.optimiser(1e-3)), ModelPool(body), settings)
    kept = {"rates": jnp.asarray([1e-3, 1e-2]), "smooth": jnp.zeros(2), "steps": jnp.zeros(())}
    value, total, kept = objective.slope(learned, weights, jnp.asarray(rows[S:]), y_t, kept)
    assert float(kept["steps"]) == 1

    with float64(True):
        exact = jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), (learned, weights, rows[S:], y_t))

        def outer(own, fixed):
            """With w of `fixed`, or of `own` where there is none."""
            own_weights, x_t, y = exact[1:]
            if fixed is None:
                return rcig_loss(own, solved_exactly(body, own_weights, own["z"], own["y"], x_t, penalty)[0], y)
            free = {"blocks": own_weights["blocks"], "shift": own_weights["last"]["shift"]}
            tangent = jax.flatten_util.ravel_pytree(free)[1](fixed)
            full = {
                "blocks": tangent["blocks"],
                "last": {"matrix": jnp.zeros_like(own_weights["last"]["matrix"]), "shift": tangent["shift"]},
            }

            def out(x):
                return jax.jvp(lambda p: body.outputs(p, x), (own_weights,), (full,))[1]

            phi_s, phi_t = body.features(own_weights, own["z"]), body.features(own_weights, x_t)
            k = phi_s @ phi_s.T + penalty * S * jnp.eye(S)
            return rcig_loss(own, out(x_t) + phi_t @ phi_s.T @ jnp.linalg.solve(k, own["y"] - out(own["z"])), y)

        w = solved_exactly(body, exact[1], exact[0]["z"], exact[0]["y"], exact[2], penalty)[1]
        expected, whole = jax.value_and_grad(lambda own: outer(own, None))(exact[0])
        again, direct = jax.value_and_grad(lambda own: outer(own, w))(exact[0])
    assert float(again) == pytest.approx(float(expected), rel=1e-6)
    assert float(value) == pytest.approx(float(expected), rel=1e-3)
    for name in learned:
        d, i = np.asarray(direct[name]), np.asarray(whole[name] - direct[name])
        cut = min(1, np.linalg.norm(d) / (np.linalg.norm(i) + 1e-30))
        assert oracles.relative(total[name], d + cut * i) < 0.02
    assert np.abs(np.asarray(whole["z"] - direct["z"])).max() > 0.05 * np.abs(np.asarray(direct["z"])).max()


def test_rates_are_raised_while_losses_fall():
    body = FiniteConvNet(2, 1, "softplus")
    weights = body.draw(jax.random.key(0), X.shape[1:], 3)
    learned = {"z": jnp.asarray(X[:S]), "y": jnp.asarray(TARGETS.y[:S]), "temperature": jnp.zeros(())}
    objective = rcig.objective(problem(optimiser=rcig.optimiser(1e-3)), ModelPool(body), rcig.Settings())
    rates = np.asarray(objective.start(learned, weights, jnp.asarray(X[S:]), jnp.asarray(TARGETS.y[S:]))["rates"])
    assert (rates > 0.7 * np.array([1e-5, 5e-5])).all()
    assert rates[0] < 1


@pytest.mark.parametrize(("fell", "factor"), [((50, 50), 1.05), ((30, 30), 0.9), ((35, 36), 1.05)])
def test_rates_are_tuned_every_fifty_steps(fell, factor):
    kept = {"rates": jnp.array([1e-3, 2e-3]), "smooth": jnp.asarray(fell) - 1.0, "steps": jnp.asarray(49.0)}
    found = rcig._retuned(kept, jnp.ones(2))
    np.testing.assert_allclose(found["rates"], factor * np.array([1e-3, 2e-3]), rtol=1e-6)
    assert float(found["steps"]) == 0 and not found["smooth"].any()


@pytest.mark.parametrize("wrong", [{"penalty": 0.0}, {"inner_steps": 1}, {"inverse_steps": 1}])
def test_rcig_settings_are_checked(wrong):
    with pytest.raises(InputError, match="expected a penalty above 0"):
        rcig.Settings(**wrong)


# The pool


def test_networks_age_by_their_training_and_are_drawn_afresh():
    state, _ = begun()
    assert [int(m.age) for m in state.members] == [0, 1, 2]
    state, _ = after(12)
    assert all(0 <= int(m.age) < POOL.oldest + POOL.trained[1] for m in state.members)
    for_ever, _ = after(12, ModelPool(BODY, size=1, batch=20, oldest=1000, trained=(2, 2)))
    assert int(for_ever.members[0].age) == 24
    always_new, _ = after(3, ModelPool(BODY, size=1, batch=20, oldest=1, trained=(1, 1)))
    assert int(always_new.members[0].age) in (0, 1)


def test_training_brings_a_network_nearer_to_the_set():
    pool = ModelPool(BODY, size=1, batch=20, oldest=1000, trained=(80, 80), rate=0.01)
    state, step = begun(pool)
    now, _ = step(state, 0)

    def distance(member):
        f = BODY.outputs(member.weights, now.learned.z)
        return float(jnp.mean(jnp.sum((f - now.learned.y) ** 2, axis=1)))

    assert distance(now.members[0]) < 0.3 * distance(state.members[0])


def test_what_is_handed_out_is_an_exponential_mean():
    pool = ModelPool(BODY, size=1, batch=20, average=0.75)
    state, step = begun(pool)
    mean = np.array(state.learned.z)
    for number in range(3):
        state, _ = step(state, number)
        mean = 0.75 * mean + 0.25 * np.asarray(state.learned.z)
    np.testing.assert_allclose(model_pool.examples(state)[0], mean, rtol=1e-5, atol=1e-6)
    last, _ = after(3, ModelPool(BODY, size=1, batch=20))
    np.testing.assert_array_equal(model_pool.examples(last)[0], last.learned.z)


def test_fixed_labels_stay_and_learned_ones_move():
    fixed, learned = (after(3, labels=labels)[0].learned.y for labels in ("fixed", "gradient"))
    np.testing.assert_array_equal(fixed, TARGETS.y[:S])
    assert np.abs(np.asarray(learned) - TARGETS.y[:S]).max() > 1e-4


def test_steps_are_functions_of_their_number_and_resume_in_the_same_bits(tmp_path):
    def run_to(path, stop=None):
        state, step = begun()

        def until(state, number):
            if number == stop:
                raise KeyboardInterrupt
            return step(state, number)

        return loop.run(state, until, model_pool.examples, None, loop.Schedule(8, 3, None), path, "a")

    whole = run_to(None)
    saving, loop.SECONDS_BETWEEN_CHECKPOINTS = loop.SECONDS_BETWEEN_CHECKPOINTS, -np.inf
    try:
        with pytest.raises(KeyboardInterrupt):
            run_to(tmp_path / "checkpoint", stop=5)
    finally:
        loop.SECONDS_BETWEEN_CHECKPOINTS = saving
    np.testing.assert_array_equal(run_to(tmp_path / "checkpoint").best[0], whole.best[0])


def test_labels_cannot_be_eliminated():
    with pytest.raises(InputError, match="gradient or fixed"):
        begun(labels="solve")


@pytest.mark.parametrize(
    "wrong", [{"size": 0}, {"batch": 0}, {"oldest": 0}, {"trained": (2, 1)}, {"trained": (-1, 1)}, {"average": 1.0}]
)
def test_pools_that_cannot_be_are_refused(wrong):
    with pytest.raises(InputError, match="expected"):
        ModelPool(BODY, **wrong)


# The estimators

QUICK = {"width": 8, "networks": 3, "random_state": 0}
FAST = {FRePo: {"learning_rate": 0.01}, RCIG: {"learning_rate": 0.03, "inner_steps": 5, "inverse_steps": 5}}


@pytest.fixture(scope="module")
def digits():
    x, y = load_digits(return_X_y=True)
    return x.reshape(-1, 8, 8).astype(np.uint8), y


@pytest.mark.slow
@pytest.mark.parametrize("estimator", [FRePo, RCIG])
def test_a_set_predicts_better_than_where_it_started_and_is_of_the_images_own_kind(estimator, digits):
    x, y = digits
    learned, start = (
        estimator(1, max_iter=steps, **QUICK, **FAST[estimator]).fit(x[:1200], y[:1200]) for steps in (100, 0)
    )
    assert learned.X_support_.dtype == np.uint8 and learned.X_support_.shape == (10, 8, 8)
    assert learned.X_support_.max() <= 16 and learned.y_support_.tolist() == list(range(10))
    assert learned.n_iter_ == 100 and not learned.pool_.flip
    assert learned.score(x[1200:], y[1200:]) > start.score(x[1200:], y[1200:]) + 0.03


def test_images_in_colour_are_flipped():
    model = FRePo(1, max_iter=0, **QUICK).fit(X, CODES)
    assert model.pool_.flip
    assert not FRePo(1, max_iter=0, flip=False, **QUICK).fit(X, CODES).pool_.flip


@pytest.mark.parametrize("estimator", [FRePo, RCIG, RFAD])
def test_images_in_colour_are_whitened(estimator):
    def whitening(x, **settings):
        return estimator(1, max_iter=0, width=8, random_state=0, **settings).fit(x, CODES).space_.whitening

    assert whitening(X) is not None and not whitening(X).unit_norm
    assert whitening(X, preprocess="standardise") is None
    assert whitening(X[..., :1]) is None and whitening(X[..., 0]) is None


@pytest.mark.slow
def test_whitened_images_are_learned():
    learned = FRePo(2, max_iter=20, learning_rate=0.01, **QUICK).fit(X, CODES)
    assert learned.X_support_.shape == (6, 7, 8, 2) and learned.score(X, CODES) > 0.6  # by chance 1/3
    assert learned.X_support_.min() >= X.min() - 1e-4 and learned.X_support_.max() <= X.max() + 1e-4


@pytest.mark.parametrize("estimator", [FRePo, RCIG])
@pytest.mark.parametrize(
    ("rows", "settings", "message"),
    [
        (np.zeros((20, 5)), {}, "expected images"),
        (np.zeros((20, 8, 8)), {"depth": 5}, "5 layers"),
        (np.zeros((20, 8, 8)), {"networks": 0}, "networks=0; expected a whole number"),
        (np.zeros((20, 8, 8)), {"width": 0}, "width"),
        (np.zeros((20, 8, 8)), {"batch_size": "auto"}, "batch_size='auto'; expected a whole number"),
    ],
)
def test_what_cannot_be_learned_is_refused(estimator, rows, settings, message):
    with pytest.raises(InputError, match=message):
        estimator(1, **(QUICK | settings)).fit(rows + RNG.normal(size=rows.shape), np.arange(20) % 2)


@pytest.mark.parametrize("estimator", [FRePo, RCIG])
def test_a_batch_above_the_memory_is_refused_with_the_numbers(estimator, monkeypatch):
    monkeypatch.setattr(on_model_pool, "memory_present", lambda: 2 * 4 * 20 * 64 * 8 - 1)
    with pytest.raises(InputError, match=r"batch_size=1024 with networks of 8 channels on images of 8×8 pixels"):
        estimator(1, max_iter=0, **QUICK).fit(RNG.normal(size=(20, 8, 8)), np.arange(20) % 2)
    assert (
        estimator(1, max_iter=0, batch_size=19, **QUICK).fit(RNG.normal(size=(20, 8, 8)), np.arange(20) % 2).n_iter_
        == 0
    )


@pytest.mark.slow
@pytest.mark.parametrize(("name", "estimator"), [("frepo", FRePo), ("rcig", RCIG)])
def test_the_command_line_makes_such_a_set(name, estimator, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(estimator.__init__, "__kwdefaults__", estimator.__init__.__kwdefaults__ | QUICK)
    words = ["distill", "digits", "--method", name, "--ipc", "1", "--steps", "3", "--seed", "1"]
    assert run([*words, "--out", str(tmp_path / "run"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["method"] == estimator.__name__
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["provenance"]["settings"]["max_iter"] == 3
