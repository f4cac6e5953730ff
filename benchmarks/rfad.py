"""KIP from moments beside RFAD as published: MNIST, one image a class, side by side on one machine.

    python benchmarks/rfad.py --data FOLDER [--times 50]

KIP from moments runs first, with its pass; then RFAD for `times` as long: 8 fresh networks of 256 channels and 5,120
targets at every step, AdaBelief at 0.001, cross-entropy, learned labels and matrix. The seconds of RFAD are its
steps by the median step, so that a pause costs it nothing. Both are judged by KRR under their own kernels: from moments
on all test rows, RFAD on the first 2,000 (16 networks take three minutes for these alone), before its first step and
after its last.
"""

import argparse
import time
from pathlib import Path

import teaching
from moments import one_pass
from timing import machine, run_for

from datastill import KIP
from datastill.data.archive import write_json
from datastill.data.dataset import versions
from datastill.data.sources import load
from datastill.distill import kip, rfad
from datastill.distill.kernel_objective import Targets
from datastill.distill.objectives import Penalties
from datastill.preprocess.encoder import fit_encoder
from datastill.preprocess.labels import ClassLabels

RESULT = Path(__file__).parent / "results" / "rfad.json"
# Loo et al. (2022), arXiv:2210.12067, table 1: MNIST, one image a class, KRR.
PUBLISHED = 94.4
FEATURES, STEPS, RATE = "conv8:128", 40, 0.2
JUDGED = 2_000


def main() -> None:
    """KIP from moments, then RFAD."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--times", type=float, default=50)
    arguments = parser.parse_args()
    data = load(arguments.data / "mnist.npz")

    started = time.perf_counter()
    collected, _ = one_pass(arguments.data, "mnist", FEATURES)
    model = KIP(1, learning_rate=RATE, max_iter=STEPS, patience=None, random_state=0).fit_moments(collected)
    seconds = time.perf_counter() - started
    ours = {
        "features": FEATURES,
        "steps": STEPS,
        "seconds": seconds,
        "accuracy": 100 * float(model.score(data.x_test, data.y_test)),
    }
    print(ours, flush=True)

    space, labels = fit_encoder(data.x), ClassLabels.fit(data.y)
    codes, vectors = labels.codes(data.y), labels.encode(data.y)
    targets = Targets(space.encode(data.x), vectors, codes)
    test = Targets(
        space.encode(data.x_test)[:JUDGED], labels.encode(data.y_test)[:JUDGED], labels.codes(data.y_test)[:JUDGED]
    )
    problem = kip.Problem((), lambda z: z, "gradient", rfad.optimiser(1e-3), penalties=Penalties(5e-3))
    rows = teaching.random_rows(codes, 1, 0)
    settings = rfad.Settings()
    state, step = rfad.init(problem, targets.x[rows], vectors[rows]), rfad.step(problem, settings, targets, 0)
    judge = rfad.validator(problem, settings, test, 0)
    before = 100 * judge(state)[1]
    state, ran = run_for(arguments.times * seconds, state, step)
    found = {**ran, "accuracy_before": before, "accuracy": 100 * judge(state)[1]}
    write_json(
        RESULT,
        {
            "moments": ours,
            "rfad": found,
            "published": PUBLISHED,
            "machine": machine(),
            "versions": versions(),
        },
    )
    print(found, flush=True)


if __name__ == "__main__":
    main()
