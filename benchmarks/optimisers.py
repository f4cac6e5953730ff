"""Which optimiser: validation loss after equal steps, on three problems, over learning rates. No test row is read.

python benchmarks/optimisers.py --data FOLDER
"""

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optax
import optax.contrib
from sklearn.datasets import load_digits

from datastill import KIP
from datastill.data.archive import write_json
from datastill.distill import kip

RESULT = Path(__file__).parent / "results" / "optimisers.json"
RATES = (0.03, 0.1, 0.3)
STEPS = 150
SEED = 100
RULES: dict[str, Callable[[Any], optax.GradientTransformation]] = {
    "Adam": optax.adam,
    "Muon": lambda schedule: optax.contrib.muon(schedule, consistent_rms=1.0),
    "SGD, momentum 0.9": lambda schedule: optax.chain(
        optax.normalize_by_update_norm(), optax.scale(64.0), optax.sgd(schedule, 0.9)
    ),
}


def problems(data: Path) -> dict[str, tuple[np.ndarray, np.ndarray, dict[str, Any]]]:
    """Name -> (X, y, settings)."""
    digits = load_digits(return_X_y=True)
    found = {"digits, 10 points": (digits[0].reshape(-1, 8, 8), digits[1], {"n_support": 10})}
    for name, points in (("mnist", 10), ("cifar10", 100)):
        path = data / f"{name}.npz"
        if path.exists():
            with np.load(path) as file:
                found[f"{name}, {points} points"] = (file["x_train"], file["y_train"], {"n_support": points})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("DATASTILL_DATA", "."))
    options = parser.parse_args()
    chosen = kip.optimiser
    rows = []
    for problem, (X, y, settings) in problems(Path(options.data)).items():
        for rule, make in RULES.items():
            for rate in RATES:
                kip.optimiser = lambda rate, steps, make=make: make(optax.cosine_decay_schedule(rate, steps))
                model = KIP(
                    **settings, max_iter=STEPS, learning_rate=rate, patience=None, random_state=SEED,
                    validation_fraction=0.3 if len(X) < 5000 else 5000 / len(X),
                )  # fmt: skip
                started = time.perf_counter()
                try:
                    model.fit(X, y)
                except ArithmeticError as error:
                    rows.append({"problem": problem, "optimiser": rule, "rate": rate, "failed": str(error)})
                    continue
                best = min(model.history_, key=lambda record: record.validation_loss)
                row = {
                    "problem": problem,
                    "optimiser": rule,
                    "rate": rate,
                    "validation_loss": best.validation_loss,
                    "validation_accuracy": best.validation_score,
                    "final_training_loss": model.history_[-1].loss,
                    "seconds": time.perf_counter() - started,
                }
                rows.append(row)
                print(row, flush=True)
                write_json(RESULT, {"steps": STEPS, "seed": SEED, "schedule": "cosine to 0", "rows": rows})
    kip.optimiser = chosen


if __name__ == "__main__":
    main()
