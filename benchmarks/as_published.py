"""`NetworkKIP` beside FRePo and RFAD as published, for sets that teach networks, side by side on one machine.

    python benchmarks/as_published.py --data FOLDER [--images mnist] [--ipc 1] [--method frepo | rfad] [--times 20]

NetworkKIP runs first; then the method for `times` as long, with its published settings, from random rows. FRePo: 10
networks of 128, 256 and 512 channels with batch norm, 1,024 targets at every step, LAMB at 0.0003. RFAD: 8 fresh
networks of 256 channels and 5,120 targets at every step, AdaBelief at 0.001, cross-entropy, learned labels and matrix.
All sets are judged by `net:fast`, five seeds, on all test rows, and so is what the method starts from.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import teaching
from timing import machine, run_for

from datastill import NetworkKIP
from datastill.data.archive import write_json
from datastill.data.dataset import versions
from datastill.data.sources import load
from datastill.distill import frepo, kip, model_pool, rfad
from datastill.distill.finite_convnet import FiniteConvNet
from datastill.distill.kernel_objective import Targets
from datastill.distill.model_pool import ModelPool
from datastill.distill.objectives import Penalties
from datastill.preprocess.encoder import fit_encoder
from datastill.preprocess.labels import ClassLabels

RESULTS = Path(__file__).parent / "results" / "as_published"
# Fewer steps than in tables.py, so that many times as long is not a day.
OURS = {
    1: teaching.SETTINGS["cpu"] | {"max_iter": 2400},
    10: teaching.SETTINGS["cpu, many"] | {"max_iter": 400},
}
JUDGE, SEEDS = "net:fast", 5
FREPO_STEPS = 500_000

# Rows and their label vectors, and all targets -> the state before the first step, the step, and what gives examples.
Method = Callable[[np.ndarray, np.ndarray, Targets], tuple[Any, Callable[[Any, int], Any], Callable[[Any], Any]]]


def frepo_as_published(z: np.ndarray, vectors: np.ndarray, targets: Targets) -> Any:
    """Zhou, Nezhadarya, Ba (2022), arXiv:2206.00719."""
    pool, rule = ModelPool(FiniteConvNet(normalised=True)), frepo.optimiser(frepo.RATE, FREPO_STEPS)
    problem = kip.Problem((), lambda z: z, "gradient", rule, penalties=Penalties(1e-6))
    objective = frepo.objective(problem, pool)
    state = model_pool.init(problem, pool, objective, z, frepo.first_labels(vectors), targets, 0)
    return state, model_pool.step(problem, pool, objective, targets, 0), model_pool.examples


def rfad_as_published(z: np.ndarray, vectors: np.ndarray, targets: Targets) -> Any:
    """Loo, Hasani, Amini, Rus (2022), arXiv:2210.12067."""
    problem = kip.Problem((), lambda z: z, "gradient", rfad.optimiser(1e-3), penalties=Penalties(5e-3))
    return rfad.init(problem, z, vectors), rfad.step(problem, rfad.Settings(), targets, 0), rfad.examples


METHODS: dict[str, Method] = {"frepo": frepo_as_published, "rfad": rfad_as_published}


def main() -> None:
    """NetworkKIP, then the method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--images", default="mnist", choices=("mnist", "fashion_mnist"))
    parser.add_argument("--ipc", type=int, default=1, choices=OURS)
    parser.add_argument("--method", default="frepo", choices=METHODS)
    parser.add_argument("--times", type=float, default=20)
    options = parser.parse_args()
    data = load(options.data / f"{options.images}.npz")
    space, labels = fit_encoder(data.x), ClassLabels.fit(data.y)
    codes, vectors = labels.codes(data.y), labels.encode(data.y)
    x_test, codes_test = space.encode(data.x_test), labels.codes(data.y_test)

    def judged(x: np.ndarray, y: np.ndarray) -> list[float]:
        return [teaching.accuracy(JUDGE, seed, x, y, x_test, codes_test) for seed in range(SEEDS)]

    started = time.perf_counter()
    model = NetworkKIP(options.ipc, random_state=0, **OURS[options.ipc]).fit(data.x, data.y)
    seconds = time.perf_counter() - started
    ours = {
        "settings": OURS[options.ipc],
        "seconds": seconds,
        "accuracy": judged(space.encode(model.X_support_), model.soft_labels_),
    }
    print(ours, flush=True)

    targets = Targets(space.encode(data.x), vectors, codes)
    rows = teaching.random_rows(codes, options.ipc, 0)
    state, step, examples = METHODS[options.method](targets.x[rows], vectors[rows], targets)
    before = judged(*examples(state))
    state, ran = run_for(options.times * seconds, state, step)
    theirs = {**ran, "accuracy_before": before, "accuracy": judged(*examples(state))}
    print(theirs, flush=True)
    RESULTS.mkdir(exist_ok=True)
    write_json(
        RESULTS / f"{options.images}-{options.ipc}-{options.method}.json",
        {
            "data": options.images,
            "ipc": options.ipc,
            "method": options.method,
            "judge": JUDGE,
            "network_kip": ours,
            "as_published": theirs,
            "machine": machine(),
            "versions": versions(),
        },
    )


if __name__ == "__main__":
    main()
