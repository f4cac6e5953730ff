"""Feature maps on validation rows: what ridge regression reaches in each, and what it takes. No test row is read.

    python benchmarks/maps.py --data FOLDER [--only fashion_mnist]

FOLDER holds mnist.npz, fashion_mnist.npz and cifar10.npz. Of the training part, 20,000 rows to learn from and 10,000 to
judge by; the penalty is the one of `moments_objective.RIDGES` with the least loss on the latter. A map that is in the
result file is not measured again.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from moments import accuracy

from datastill import krr
from datastill.data.archive import write_json
from datastill.data.dataset import versions
from datastill.distill import moments_objective
from datastill.distill.from_moments import feature_loss
from datastill.distill.kernel_objective import Targets
from datastill.features.names import named_map
from datastill.preprocess.encoder import fit_encoder
from datastill.preprocess.labels import ClassLabels

RESULT = Path(__file__).parent / "results" / "maps.json"
ROWS, HELD = 20_000, 10_000
MAPS = {
    "mnist": (
        "conv8:256>relu:4096",
        "conv8:256>relu:8192",
        "conv8:256>nystroem:4096",
        "conv8o3:256>nystroem:4096",
        "conv8o3:256>nystroem:8192",
        "conv8o3:256>nystroem:12288",
    ),
    "fashion_mnist": (
        "conv-flip6:256>relu:4096",
        "conv-flip6:256>relu:8192",
        "conv-flip6g4:128>relu:8192",
        "conv-flip6g4:128>nystroem:4096",
        "conv-flip6o4:128>nystroem:4096",
    ),
    "cifar10": (
        "conv-flip5:256>relu:8192",
        "conv-flip5g4:256>relu:8192",
        "conv-flip5:512>nystroem:4096",
        "conv-flip5o3:512>nystroem:4096",
    ),
}


def split(path: Path) -> tuple[Targets, Targets]:
    """Rows to learn from and rows to judge by, standardised by the former."""
    with np.load(path) as file:
        x, y = file["x_train"], file["y_train"]
    order = np.random.default_rng(7).permutation(len(x))[: ROWS + HELD]
    space, labels = fit_encoder(x[order[:ROWS]]), ClassLabels.fit(y)

    def targets(rows: np.ndarray) -> Targets:
        return Targets(space.encode_features(x[rows]), labels.encode(y[rows]), labels.codes(y[rows]))

    return targets(order[:ROWS]), targets(order[ROWS:])


def measured(features: str, train: Targets, held: Targets) -> dict[str, Any]:
    """Accuracy and loss of ridge regression on the rows to judge by; seconds of both passes over rows."""
    map = named_map(features).resolve(train.x)
    started = time.perf_counter()
    sums = moments_objective.sums_of(map, train, held)
    seconds = time.perf_counter() - started
    weights = moments_objective.ridge(sums)
    with krr.float64(True):
        loss = float(feature_loss(weights, sums.held))
    return {
        "features": features,
        "columns": map.columns(train.x.shape[1:]),
        "accuracy": accuracy(sums, weights, held.x, held.codes),
        "loss": loss,
        "seconds": seconds,
    }


def main() -> None:
    """Every map that has no figure yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    found = json.loads(RESULT.read_text()) if RESULT.exists() else {"rows": ROWS, "held": HELD, "maps": []}
    for name, maps in MAPS.items():
        done = {run["features"] for run in found["maps"] if run["dataset"] == name}
        wanted = [features for features in maps if features not in done]
        if arguments.only not in ("", name) or not wanted:
            continue
        train, held = split(arguments.data / f"{name}.npz")
        for features in wanted:
            found["maps"].append({"dataset": name} | measured(features, train, held))
            print(json.dumps(found["maps"][-1]), flush=True)
            write_json(RESULT, found | {"versions": versions()})


if __name__ == "__main__":
    main()
