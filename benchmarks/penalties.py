"""Penalties that leaving out one row at a time would choose, for learned sets and random rows: why rivals are tuned.

    python benchmarks/penalties.py --data FOLDER

FOLDER holds tabular/. Accuracy, or R², of kernel ridge regression on test rows with the penalty 1e-6, which learning
takes, and with the one of the grid that leaves rows out best: KIP on digits at 10 a class, and on California housing
200 rows with solved labels, and 200 random rows with targets of their own under two kernels, three draws each.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from six_tables import TABLES
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from datastill import KIP, CoresetRegressor, LabelSolveRegressor, krr
from datastill.data.archive import write_json
from datastill.data.dataset import versions
from datastill.data.task import with_test
from datastill.evaluate.intervals import r2
from datastill.tuning import chosen_reg

RESULTS = Path(__file__).parent / "results" / "penalties.json"
LEARNED = 1e-6
POINTS = 200
DRAWS = 3


def scores(made: Any, x_test: Any, y_test: np.ndarray) -> dict[str, float]:
    """The scores of a fitted set with either penalty, and the penalty that is chosen."""
    kernel, x_s, vectors = made.kernels_[0], made.support_features_, made.soft_labels_
    chosen = chosen_reg(kernel, x_s, vectors)
    found = {"chosen": chosen}
    for name, reg in (("learned", LEARNED), ("tuned", chosen)):
        alpha = krr.fit(kernel, x_s, vectors, reg)
        said = made.labels_.decode(krr.predict(kernel, made.space_.encode_features(x_test), x_s, alpha))
        found[name] = float(np.mean(said == y_test)) if hasattr(made, "classes_") else r2(y_test, said)
    return found


def main() -> None:
    """Write all scores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    task, read = TABLES["california_housing"]
    homes = with_test(read(parser.parse_args().data), 0, task)
    x, y = load_digits(return_X_y=True)
    x_train, x_test, y_train, y_test = train_test_split(x, y, random_state=0)
    found: dict[str, Any] = {
        "digits, KIP, 10 a class": scores(KIP(10, random_state=0).fit(x_train, y_train), x_test, y_test),
    }
    solved = LabelSolveRegressor(POINTS, random_state=0).fit(homes.x, homes.y)
    found["california_housing, label-solve, 200"] = scores(solved, homes.x_test, np.asarray(homes.y_test))
    for kernel in ("fc1", "rbf"):
        drawn = [
            CoresetRegressor(POINTS, method="random", kernel=kernel, random_state=draw).fit(homes.x, homes.y)
            for draw in range(DRAWS)
        ]
        name = f"california_housing, random rows, 200, {kernel}"
        found[name] = [scores(one, homes.x_test, np.asarray(homes.y_test)) for one in drawn]
    write_json(RESULTS, {"scores": found, "versions": versions()})


if __name__ == "__main__":
    main()
