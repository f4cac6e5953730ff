"""Which optimiser on moments: the loss is exact and has no noise, so curvature may pay. No test row is read.

    python benchmarks/optimisers_moments.py --data FOLDER

FOLDER holds fashion_mnist.npz. Labels are eliminated, examples start at the same rows and stay in the data's range, and
our optimisers take as many steps, the others the seconds that Adam took, compilation left out. Gauss-Newton takes the
dual coefficients as constant in its Jacobian (Kaufman, 1975), ten steps of conjugate gradients for each of its own, and
a damping that follows its success (Levenberg, Marquardt).
"""

import argparse
import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
from moments import one_pass

from datastill import KIP
from datastill.data.archive import write_json
from datastill.data.dataset import versions
from datastill.distill import kip, moments_objective
from datastill.distill.from_moments import eliminated_loss, feature_loss, predictor
from datastill.distill.objectives import Penalties
from datastill.moments import Collected

RESULT = Path(__file__).parent / "results" / "optimisers_moments.json"
FEATURES = "conv-flip6g2:128>nystroem:2048"
BUDGETS = {1: 300, 10: 100, 50: 60}  # examples a class: steps
INNER = 10
PENALTIES = Penalties(ridge=1e-7)


class Problem:
    """The loss of examples, compiled, with what it needs."""

    def __init__(self, collected: Collected, ipc: int, seed: int) -> None:
        start = KIP(ipc, max_iter=0, random_state=seed).fit_moments(collected)
        self.sums, self.space = start.sums_, start.space_
        self.z = np.asarray(self.space.encode(start.X_support_))
        formula, weights = self.sums.map.formula(), self.sums.weights
        train, held = (moments_objective.on_device(t) for t in (self.sums.train, self.sums.held))

        def loss(z: Any) -> Any:
            return eliminated_loss(formula, weights, self.space.features(z), train, PENALTIES)

        def product(z: Any, alpha: Any, v: Any) -> Any:
            """JᵀCJv / n, with J the derivative of W = φ(z)ᵀα."""

            def of(z: Any) -> Any:
                return formula.block(weights, self.space.features(z)).T @ alpha.astype(z.dtype)

            _, moved = jax.jvp(of, (z,), (v,))
            return jax.vjp(of, z)[1]((train.second @ moved / train.size).astype(moved.dtype))[0]

        def judge(z: Any) -> Any:
            found = predictor(formula, weights, self.space.features(z), None, train, PENALTIES)
            return feature_loss(found, held), found

        self.value_and_gradient = kip.compiled(jax.value_and_grad(lambda z: loss(z)[0]))
        self.alpha = kip.compiled(lambda z: loss(z)[1])
        self.product = kip.compiled(product)
        self.judge = kip.compiled(judge)
        self.score = moments_objective.scorer(self.sums)
        self.low, self.high = (np.broadcast_to(b, self.z.shape) for b in (self.space.low, self.space.high))
        for function in (self.value_and_gradient, self.alpha, self.judge):
            jax.block_until_ready(function(self.z))
        jax.block_until_ready(self.product(self.z, self.alpha(self.z), self.z))

    def result(self, z: np.ndarray) -> dict[str, float]:
        """Losses, and accuracy on the held-out rows."""
        held, found = self.judge(z)
        return {
            "training_loss": float(self.value_and_gradient(z)[0]),
            "validation_loss": float(held),
            "validation_accuracy": self.score(np.asarray(found)),
        }


Rule = Callable[[Problem, int, float], tuple[np.ndarray, int]]
"""(problem, steps, seconds) -> (examples, steps that it took)."""


def ours(rule: str, rate: float) -> Rule:
    """The steps that are wanted of a rule of `kip.optimiser`; the seconds do not matter."""

    def run(problem: Problem, steps: int, _: float) -> tuple[np.ndarray, int]:
        how = kip.Problem((), lambda z: z, "solve", kip.optimiser(rate, steps, rule), problem.space.clip)
        move = kip.compiled(kip.mover(how))
        state = kip.init(how, problem.z, np.zeros((len(problem.z), 1)))
        for _step in range(steps):
            value, gradient = problem.value_and_gradient(state.z)
            state = move(state, {"z": gradient}, value)
        return np.asarray(state.z), steps

    return run


def quasi_newton(problem: Problem, _: int, seconds: float) -> tuple[np.ndarray, int]:
    """L-BFGS-B: limited memory, within bounds."""
    started, best, calls = time.perf_counter(), [np.inf, problem.z], 0

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal calls
        if time.perf_counter() - started > seconds:
            raise TimeoutError
        z = flat.reshape(problem.z.shape).astype(np.float32)
        value, gradient = problem.value_and_gradient(z)
        calls += 1
        if float(value) < best[0]:
            best[:] = float(value), z
        return float(value), np.asarray(gradient, np.float64).ravel()

    bounds = scipy.optimize.Bounds(problem.low.ravel(), problem.high.ravel())
    settings = {"maxiter": 10**6, "maxfun": 10**6, "maxcor": 20}
    with contextlib.suppress(TimeoutError):
        scipy.optimize.minimize(
            loss, problem.z.ravel().astype(np.float64), jac=True, method="L-BFGS-B", bounds=bounds, options=settings
        )
    return best[1], calls


def gauss_newton(problem: Problem, _: int, seconds: float) -> tuple[np.ndarray, int]:
    """Damped Gauss-Newton by conjugate gradients."""
    started, z, steps, damping = time.perf_counter(), jnp.asarray(problem.z), 0, 1e-3
    value, gradient = problem.value_and_gradient(z)
    while time.perf_counter() - started < seconds:
        alpha = problem.alpha(z)
        move, rest = jnp.zeros_like(z), -gradient
        direction, square = rest, jnp.vdot(rest, rest)
        for _ in range(INNER):
            image = problem.product(z, alpha, direction) + damping * direction
            along = square / jnp.vdot(direction, image)
            move, rest = move + along * direction, rest - along * image
            square, before = jnp.vdot(rest, rest), square
            direction = rest + square / before * direction
        there = problem.space.clip(z + move)
        new_value, new_gradient = problem.value_and_gradient(there)
        if new_value < value:
            z, value, gradient, damping = there, new_value, new_gradient, damping / 3
        else:
            damping *= 4
        steps += 1
    return np.asarray(z), steps


RULES: dict[str, Rule] = {
    "Adam, 0.1": ours("adam", 0.1),
    "Adam, 0.2": ours("adam", 0.2),
    "Muon, 0.1": ours("muon", 0.1),
    "Muon, 0.2": ours("muon", 0.2),
    "L-BFGS": ours("lbfgs", 0.1),
    "L-BFGS-B, SciPy": quasi_newton,
    "Gauss-Newton": gauss_newton,
}


def main() -> None:
    """Every rule from the same rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=2)
    arguments = parser.parse_args()
    collected, _ = one_pass(arguments.data, "fashion_mnist", FEATURES)
    rows: list[dict[str, Any]] = []
    for ipc, wanted in BUDGETS.items():
        for seed in range(arguments.seeds):
            problem = Problem(collected, ipc, seed)
            seconds = 0.0
            for name, rule in RULES.items():
                started = time.perf_counter()
                z, steps = rule(problem, wanted, seconds)
                taken = time.perf_counter() - started
                seconds = seconds or taken
                row = {"ipc": ipc, "seed": seed, "optimiser": name, "steps": steps, "seconds": taken}
                rows.append(row | problem.result(z))
                print(rows[-1], flush=True)
                settings = {"features": FEATURES, "inner": INNER, "ridge": PENALTIES.ridge}
                write_json(RESULT, {"settings": settings, "rows": rows, "versions": versions()})


if __name__ == "__main__":
    main()
