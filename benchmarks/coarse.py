"""KIP under an exact ConvNet NTK from a coarse start, beside as much work from random rows.

    python benchmarks/coarse.py --data FOLDER [--images mnist fashion_mnist] [--steps 60]

FOLDER holds mnist.npz and fashion_mnist.npz. One image a class is learned from 10,000 training rows and judged on 2,000
others; no test row is read. A coarse start adds an eighth of the steps' work at half the size and a sixty-fourth at
a quarter of it; the run from random rows makes that many more steps instead. Images that have their figures in the file
are not run again.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import timing

from datastill import KIP, Dataset, load
from datastill.data.archive import read_json, write_json
from datastill.data.dataset import versions

RESULT = Path(__file__).parent / "results" / "coarse.json"
TRAIN, HELD = 10_000, 2_000
WORK = 1 + 1 / 8 + 1 / 64
SETTINGS = {"kernel": "convnet3", "batch_size": 200, "keep_range": False}
RATES = {"coarse": 0.1, "random": 0.2}
WHOLE = {"validation_fraction": 0, "patience": None, "random_state": 0}


def run(data: Dataset, init: str, steps: int) -> dict[str, Any]:
    """Accuracy on rows held out, in percent, of one image a class, and the time that it took."""
    order = np.random.default_rng(100).permutation(len(data.y))
    held, rows = order[:HELD], order[HELD : HELD + TRAIN]
    started = time.perf_counter()
    kip = KIP(1, init=init, max_iter=steps, learning_rate=RATES[init], **SETTINGS, **WHOLE).fit(
        data.x[rows], data.y[rows]
    )
    seconds = time.perf_counter() - started
    return {"steps": steps, "accuracy": 100 * kip.score(data.x[held], data.y[held]), "seconds": seconds}


def main() -> None:
    """Figures of each set of images, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--images", nargs="+", default=["mnist", "fashion_mnist"])
    parser.add_argument("--steps", type=int, default=60)
    given = parser.parse_args()
    found = read_json(RESULT) if RESULT.exists() else {"settings": SETTINGS, "learning_rates": RATES, "images": {}}
    for images in given.images:
        if images not in found["images"]:
            data = load(given.data / f"{images}.npz")
            runs = {
                "coarse": run(data, "coarse", given.steps),
                "random": run(data, "random", round(WORK * given.steps)),
            }
            found["images"][images] = runs
            print(images, json.dumps(runs), flush=True)
            write_json(RESULT, found | {"machine": timing.machine(), "versions": versions()})


if __name__ == "__main__":
    main()
