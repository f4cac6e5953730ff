"""`NetworkKIP` beside FRePo as published: MNIST, one image a class, side by side on one machine.

    python benchmarks/frepo.py --data FOLDER [--times 20]

NetworkKIP runs first; then FRePo for `times` as long, with its published settings: 10 networks of 128, 256 and 512
channels with batch norm, 1,024 targets at every step, LAMB at 0.0003. The seconds of FRePo are its steps by the median
step, so that a pause costs it nothing. Both sets are judged by `net:fast`, five seeds, on all test rows, and so are
the random rows, with their classes, that FRePo starts from.
"""

import argparse
import time
from pathlib import Path

import jax
import numpy as np
import teaching
from timing import machine

from datastill import NetworkKIP
from datastill.data.archive import write_json
from datastill.data.dataset import versions
from datastill.data.sources import load
from datastill.distill import frepo, kip, model_pool
from datastill.distill.body import Body
from datastill.distill.fit import Targets
from datastill.distill.model_pool import ModelPool
from datastill.distill.objectives import Penalties
from datastill.preprocess.labels import ClassLabels
from datastill.preprocess.space import fit_space

RESULT = Path(__file__).parent / "results" / "frepo.json"
OURS = teaching.SETTINGS["cpu"] | {"max_iter": 2400}  # a tenth of the steps of tables.py, so that 20 times fit
JUDGE, SEEDS, PUBLISHED_STEPS = "net:fast", 5, 500_000


def main() -> None:
    """NetworkKIP, then FRePo."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--times", type=float, default=20)
    arguments = parser.parse_args()
    data = load(arguments.data / "mnist.npz")
    space, labels = fit_space(data.x), ClassLabels.fit(data.y)
    codes, vectors = labels.codes(data.y), labels.encode(data.y)
    x_test, codes_test = space.encode(data.x_test), labels.codes(data.y_test)

    def judged(x: np.ndarray, y: np.ndarray) -> list[float]:
        return [teaching.accuracy(JUDGE, seed, x, y, x_test, codes_test) for seed in range(SEEDS)]

    started = time.perf_counter()
    model = NetworkKIP(1, random_state=0, **OURS).fit(data.x, data.y)
    seconds = time.perf_counter() - started
    ours = {
        "settings": OURS,
        "seconds": seconds,
        "accuracy": judged(space.encode(model.X_support_), model.soft_labels_),
    }
    print(ours, flush=True)

    targets = Targets(space.encode(data.x), vectors, codes)
    draw = np.random.default_rng(0)
    rows = [int(draw.choice(np.flatnonzero(codes == c))) for c in range(10)]
    pool = ModelPool(Body(normalised=True))
    problem = kip.Problem(
        (), lambda z: z, "gradient", frepo.optimiser(frepo.RATE, PUBLISHED_STEPS), penalties=Penalties(1e-6)
    )
    objective, first = frepo.objective(problem, pool), frepo.first_labels(vectors[rows])
    state = model_pool.init(problem, pool, objective, targets.x[rows], first, targets, 0)
    step = model_pool.step(problem, pool, objective, targets, 0)
    found: dict[str, object] = {"accuracy_before": judged(targets.x[rows], first)}
    took: list[float] = []
    while not took or float(np.median(took)) * len(took) < arguments.times * seconds:
        began = time.perf_counter()
        state, loss = step(state, len(took))
        last = float(jax.block_until_ready(loss))
        took.append(time.perf_counter() - began)
        if len(took) % 20 == 0:
            print(len(took), float(np.median(took)), last, flush=True)
    found |= {
        "steps": len(took),
        "seconds_a_step": float(np.median(took)),
        "seconds": float(np.median(took)) * len(took),
        "accuracy": judged(*model_pool.examples(state)),
    }
    write_json(
        RESULT,
        {"judge": JUDGE, "network_kip": ours, "frepo": found, "machine": machine(), "versions": versions()},
    )
    print(found, flush=True)


if __name__ == "__main__":
    main()
