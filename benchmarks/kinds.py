"""`NetworkKIP` under networks with instance norm, without, and of both kinds: what its sets teach either kind.

    python benchmarks/kinds.py --data FOLDER [--ipc 1,10]

MNIST. Sets are learned from 50,000 training rows and judged on 3,000 others, which also stand for those of a user who
chooses between kinds; no test row is read. The judges are `net:fast`, which has no norm, and `net:dsa`, which has
instance norm. Random rows with their classes are judged beside them. What is in the result file is not computed again.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import teaching
from timing import machine

from datastill import NetworkKIP
from datastill.data.archive import read_json, write_json
from datastill.data.dataset import versions
from datastill.data.sources import load
from datastill.preprocess.encoder import fit_encoder
from datastill.preprocess.labels import ClassLabels

RESULT = Path(__file__).parent / "results" / "kinds.json"
JUDGES, ROWS, HELD = ("net:fast", "net:dsa"), 50_000, 3000
SETTINGS: dict[int, dict[str, Any]] = {
    1: {"max_iter": 2400, "target_rows": 1000, "training": 40, "oldest": 400},
    10: {"max_iter": 600, "target_rows": 1000, "networks": 5},
}
JUDGE_SEEDS = {1: 3, 10: 1}


def main() -> None:
    """Every kind at each size, and random rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--ipc", default="1,10")
    arguments = parser.parse_args()
    data = load(arguments.data / "mnist.npz")
    order = np.random.default_rng(0).permutation(len(data.x))
    rows, held = order[:ROWS], order[ROWS : ROWS + HELD]
    space, labels = fit_encoder(data.x[rows]), ClassLabels.fit(data.y[rows])
    codes, x_held, codes_held = labels.codes(data.y[rows]), space.encode(data.x[held]), labels.codes(data.y[held])
    found = read_json(RESULT) if RESULT.exists() else {"sets": {}}
    found |= {"machine": machine(), "versions": versions()}
    for ipc in map(int, arguments.ipc.split(",")):
        for norm in ("random rows", "none", "instance", "both"):
            if (name := f"{norm}, {ipc}") in found["sets"]:
                continue
            started = time.perf_counter()
            if norm == "random rows":
                own = rows[teaching.random_rows(codes, ipc, 0)]
                x, y = space.encode(data.x[own]), labels.encode(data.y[own])
            else:
                model = NetworkKIP(ipc, norm=norm, random_state=0, **SETTINGS[ipc]).fit(data.x[rows], data.y[rows])
                x, y = space.encode(model.X_support_), model.soft_labels_
            seconds = time.perf_counter() - started
            scores = {
                judge: [teaching.accuracy(judge, seed, x, y, x_held, codes_held) for seed in range(JUDGE_SEEDS[ipc])]
                for judge in JUDGES
            }
            found["sets"][name] = {"norm": norm, "ipc": ipc, "seconds": seconds, "accuracy": scores}
            print(name, found["sets"][name], flush=True)
            write_json(RESULT, found)


if __name__ == "__main__":
    main()
