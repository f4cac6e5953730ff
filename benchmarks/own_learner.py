"""Sets made for one learner beside the set for everybody: each learner of the panel on the set that is for it alone.

    python benchmarks/own_learner.py --data FOLDER [--only NAME] [--budgets 1,10,50] [--learners logistic,knn]

`Universal(learners=(name,))` and `Universal()` with the same budget and seed; accuracy on test rows of that learner,
beside what it makes of all rows (results/judge). For logistic regression at one example a class it is also recorded how
often the model from the set says on test rows what the model from all rows says (Izzo and Zou 2023: few rows can
reproduce a generalised linear model). Results are kept cell by cell, so that a run can be interrupted.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from judge import LEARNERS, READERS, read
from timing import machine

from datastill import Universal
from datastill.data.archive import write_json
from datastill.data.dataset import versions
from datastill.evaluate.protocol import Examples, HeldOut, examples_of, judged_row
from datastill.learners import named_learner
from datastill.workflows.compare import Encoded

RESULT = Path(__file__).parent / "results" / "own_learner.json"
JUDGED = Path(__file__).parent / "results" / "judge"
DATA = ("mnist", "fashion_mnist")


def taught(examples: Examples, held: HeldOut, learners: tuple[str, ...]) -> dict[str, float]:
    """Test accuracy of each learner on a set."""
    rows = {name: judged_row(examples, name, {"seed": 0, "asked": "hard"}, held)[0] for name in learners}
    return {name: float(row[held.metric]) for name, row in rows.items()}


def agreement(known: Encoded, model: Universal, learner: str) -> float:
    """How often the learner says on test rows the same after the set as after all rows."""
    x_s = known.space.encode_features(model.X_support_)
    few = named_learner(learner).fit(x_s.reshape(len(x_s), -1), model.y_support_)
    x = known.space.encode_features(known.rows.x)
    whole = named_learner(learner).fit(x.reshape(len(x), -1), np.asarray(known.rows.y))
    rows = known.held.x.reshape(len(known.held.x), -1)
    return float(np.mean(few.predict(rows) == whole.predict(rows)))


def main() -> None:
    """Fill in the cells that are missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", choices=tuple(READERS))
    parser.add_argument("--budgets", default="1,10")
    parser.add_argument("--learners", default=",".join(LEARNERS))
    arguments = parser.parse_args()
    found: dict[str, Any] = json.loads(RESULT.read_text()) if RESULT.exists() else {"cells": {}}
    for name in [arguments.only] if arguments.only else DATA:
        known = Encoded.of(*read(name, arguments.data))
        judged = json.loads((JUDGED / f"{name}.json").read_text())["standings"]
        full = {row["learner"]: row["mean"] for row in judged if row["set"] == "all rows"}
        for ipc in map(int, arguments.budgets.split(",")):
            for learner in (None, *arguments.learners.split(",")):
                key = f"{name}, {ipc}, {learner or 'everybody'}"
                if key in found["cells"]:
                    continue
                started = time.perf_counter()
                chosen = None if learner is None else (learner,)
                model = Universal(ipc, learners=chosen, random_state=0).fit(known.rows.x, known.rows.y)
                cell: dict[str, Any] = {"data": name, "ipc": ipc, "for": learner}
                cell["seconds"] = round(time.perf_counter() - started, 1)
                examples = examples_of(model.support_set_, known.space, known.labels)
                cell["accuracy"] = taught(examples, known.held, LEARNERS if learner is None else (learner,))
                cell["all rows"] = {one: full[one] for one in cell["accuracy"]}
                if ipc == 1 and learner == "logistic":
                    cell["agreement"] = agreement(known, model, learner)
                found["cells"][key] = cell
                write_json(RESULT, found | {"machine": machine(), "versions": versions()})
                print(key, cell, flush=True)


if __name__ == "__main__":
    main()
