"""What each part of the universal set is good for: the mean of the panel with one part left out.

    python benchmarks/ablation.py --data FOLDER [--only NAME] [--seeds 2]

Sets of ten examples a class of two data sets, made with the default settings but for what is left out: one family of
surrogates; the grey levels (images); the bands; the choice by the panel, so that the last step of the first way is
kept. Judged by the learners of the panel on test rows. Results are kept cell by cell, so that a run can be interrupted.
"""

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from judge import LEARNERS, READERS, read
from own_learner import taught
from timing import machine

from datastill import Universal
from datastill.data.archive import write_json
from datastill.data.dataset import versions
from datastill.distill.surrogates.panel import CONVOLUTIONAL, EVERY, TREES
from datastill.estimators import universal
from datastill.evaluate.choice import Chooser
from datastill.evaluate.protocol import examples_of
from datastill.workflows.compare import Encoded

RESULT = Path(__file__).parent / "results" / "ablation.json"
DATA = ("mnist", "letter")
IPC = 10
FAMILIES = tuple(name for name in EVERY if name != TREES)
PARTS = ("nothing", *FAMILIES, "levels", "bands", "panel")
OF_IMAGES = (CONVOLUTIONAL, "levels")
"""What rows that are no images do without anyway."""


@contextmanager
def without(part: str) -> Iterator[dict[str, Any]]:
    """What the estimator is given, while this part is left out."""
    if part in FAMILIES:
        left = tuple(name for name in EVERY if name != part)
        with patch.object(universal, "families_of", lambda learners: left):
            yield {}
    elif part == "levels":
        with patch.object(universal, "LEVELS", None):
            yield {}
    elif part == "panel":
        turns = iter(range(1, 1_000_000))  # each set is liked better than those before it
        with patch.object(Chooser, "mean", lambda self, scores: next(turns) / 1_000_000):
            yield {"band": 1.0, "learning_rate": 0.05}
    else:
        yield {"band": None} if part == "bands" else {}


def main() -> None:
    """Fill in the cells that are missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", choices=tuple(READERS))
    parser.add_argument("--seeds", type=int, default=2)
    arguments = parser.parse_args()
    found: dict[str, Any] = json.loads(RESULT.read_text()) if RESULT.exists() else {"cells": {}}
    for name in [arguments.only] if arguments.only else DATA:
        known = Encoded.of(*read(name, arguments.data))
        for seed in range(arguments.seeds):
            for part in PARTS:
                key = f"{name}, {part}, {seed}"
                if key in found["cells"] or (part in OF_IMAGES and known.held.x.ndim == 2):
                    continue
                with without(part) as given:
                    model = Universal(IPC, random_state=seed, **given).fit(known.rows.x, known.rows.y)
                scores = taught(examples_of(model.support_set_, known.space, known.labels), known.held, LEARNERS)
                cell = {"data": name, "without": part, "seed": seed, "mean": float(np.mean(list(scores.values())))}
                found["cells"][key] = cell | {"accuracy": scores}
                write_json(RESULT, found | {"ipc": IPC, "machine": machine(), "versions": versions()})
                print(key, round(cell["mean"], 4), flush=True)


if __name__ == "__main__":
    main()
