"""How much of every learned example can stay noise: ρ-corruption of KIP and of the universal set.

    python benchmarks/corruption.py --data FOLDER_OF_NPZ [--only NAME] [--steps 300]

A fraction ρ of the pixels of every example is noise, drawn once; the others are learned. KIP with labels solved, and
with fixed labels, is judged by kernel ridge regression under its kernel (FC1); the universal set, whose labels are
hard, by the same with these labels and with labels solved, and by the mean of the other learners of the panel. Random
rows of the same size stand beside them. All are judged on test rows, at ten images a class. Results are kept cell by
cell, so that a run can be interrupted.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from own_learner import taught
from timing import machine

from datastill import KIP, Coreset, LabelSolve, Universal
from datastill.data.archive import write_json
from datastill.data.dataset import Dataset, versions
from datastill.data.sources import load
from datastill.evaluate.protocol import HeldOut, examples_of

RESULT = Path(__file__).parent / "results" / "corruption.json"
DATA = ("mnist", "cifar10")
IPC = 10
FRACTIONS = (0.0, 0.3, 0.5, 0.8, 0.9, 0.95)
SETS = ("KIP, labels solved", "KIP, fixed labels", "universal")
LEARNERS = ("logistic", "linear-svm", "rbf-svm", "knn", "forest", "mlp")


def cell(name: str, data: Dataset, fraction: float, steps: int) -> dict[str, Any]:
    """What one set reaches on the test rows."""
    started = time.perf_counter()
    given: dict[str, Any] = {"corruption": fraction, "max_iter": steps, "random_state": 0}
    model: Any
    if name == "universal":
        model = Universal(IPC, **given)
    elif name.startswith("KIP"):
        model = KIP(IPC, learn_labels=name == SETS[0], **given)
    else:
        model = Coreset(IPC, method="random", random_state=0)
    model.fit(data.x, data.y)
    seconds = time.perf_counter() - started
    found = {"seconds": round(seconds, 1), "krr": float(model.score(data.x_test, data.y_test))}
    if not name.startswith("KIP"):
        own = LabelSolve(init=(model.X_support_, model.y_support_), random_state=0).fit(data.x, data.y)
        found["krr, labels solved"] = float(own.score(data.x_test, data.y_test))
        held = HeldOut(model.space_.encode_features(data.x_test), model.labels_.codes(data.y_test), False)
        examples = examples_of(model.support_set_, model.space_, model.labels_)
        others = taught(examples, held, LEARNERS)
        found |= others | {"mean of others": float(np.mean(list(others.values())))}
    return found


def main() -> None:
    """Fill in the cells that are missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", choices=DATA)
    parser.add_argument("--steps", type=int, default=300)
    arguments = parser.parse_args()
    known: dict[str, Any] = json.loads(RESULT.read_text()) if RESULT.exists() else {"cells": {}}
    for name in [arguments.only] if arguments.only else DATA:
        data = load(arguments.data / f"{name}.npz")
        for method, fraction in [("random rows", 0.0), *((m, f) for f in FRACTIONS for m in SETS)]:
            key = f"{name}, {method}, {fraction:g}"
            if key in known["cells"]:
                continue
            found = cell(method, data, fraction, arguments.steps)
            known["cells"][key] = {"data": name, "set": method, "corruption": fraction, **found}
            about = {"ipc": IPC, "steps": arguments.steps, "machine": machine(), "versions": versions()}
            write_json(RESULT, known | about)
            print(key, found, flush=True)


if __name__ == "__main__":
    main()
