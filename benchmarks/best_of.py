"""The best of several sets beside k-means and random rows, on six tables: what `datastill distill TABLE` does.

    python benchmarks/best_of.py --data FOLDER [--only NAME] [--budgets 10,100] [--seeds 5]

FOLDER holds tabular/. Adult has test rows of its own; of the others a quarter is held out, another one for each seed;
at most 5,000 of them judge. k-means and random rows are made from all training rows, the best of several from four
fifths, the rest being what it chooses by. Where classes differ much in size, random rows are drawn in proportion to
them, too. Learners of the panel are those that it is chosen by; the others never are. A
table, budget and seed that has its result is not run again.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from judge import adult, table

from datastill import BestOf, BestOfRegressor, Coreset, CoresetRegressor
from datastill.data.archive import make_folder, read_json, write_json
from datastill.data.dataset import Dataset, take, versions
from datastill.data.task import with_test
from datastill.estimators.best_of import PANEL
from datastill.evaluate.constant import CONSTANT, with_constant
from datastill.evaluate.draws import imbalanced
from datastill.evaluate.protocol import examples_of, protocol
from datastill.tournament import Encoded

RESULTS = Path(__file__).parent / "results" / "best_of"
OTHERS = ("linear-svm", "rbf-svm", "mlp")
MOST_TEST = 5000
TABLES: dict[str, tuple[str, Callable[[Path], Dataset]]] = {
    "adult": ("classification", adult),
    "letter": ("classification", lambda folder: table(folder, "letter.tsv.gz", "\t", "target")),
    "magic": ("classification", lambda folder: table(folder, "magic.tsv.gz", "\t", "target")),
    "shuttle": ("classification", lambda folder: table(folder, "shuttle.tsv.gz", "\t", "target")),
    "diamonds": ("regression", lambda folder: table(folder, "diamonds.csv.gz", ",", "price")),
    "california_housing": (
        "regression",
        lambda folder: table(folder, "california_housing_ageron.csv.gz", ",", "median_house_value"),
    ),
}


def with_few_test_rows(data: Dataset, task: str, seed: int) -> Dataset:
    """With test rows, at most 5,000."""
    data = with_test(data, seed, task)
    rows = np.random.default_rng(seed).permutation(len(data.y_test))[:MOST_TEST]
    return replace(data, x_test=take(data.x_test, rows), y_test=data.y_test[rows])


def run(data: Dataset, task: str, budget: int, seed: int) -> dict[str, Any]:
    """The scores of one seed: set -> learner -> score."""
    data = with_few_test_rows(data, task, seed)
    known = Encoded.of(data, task)
    if task == "regression":
        given: dict[str, Any] = {"n_support": 2 * budget}
        coreset, best_of = CoresetRegressor, BestOfRegressor
    else:
        labels, counts = np.unique(data.y, return_counts=True)
        given = {"ipc": {str(label): min(budget, int(n)) for label, n in zip(labels, counts, strict=True)}}
        coreset, best_of = Coreset, BestOf
    makers = {
        "random": coreset(**given, method="random", random_state=seed),
        "kmeans": coreset(**given, method="kmeans", random_state=seed),
        "best-of": best_of(**given, random_state=seed),
    }
    if task == "classification" and imbalanced(counts):
        total = sum(given["ipc"].values())
        drawn = {"n_support": total, "allocation": "proportional", "random_state": seed}
        makers["random in proportion"] = coreset(method="random", **drawn)
    sets, seconds = {}, {}
    for name, estimator in makers.items():
        started = time.perf_counter()
        support = estimator.fit(data.x, data.y).support_set_
        seconds[name] = time.perf_counter() - started
        sets[name] = examples_of(support, known.space, known.labels)
    judged = protocol({name: lambda _, s=s: s for name, s in sets.items()}, [*PANEL, *OTHERS], known.held, 1)
    judged = with_constant(judged, known.every, known.held)
    scores = judged.table.pivot(index="set", columns="learner", values=judged.metric)
    return {
        "seed": seed,
        "metric": judged.metric,
        "scores": {name: scores.loc[name].to_dict() for name in [*makers, CONSTANT]},
        "krr": "reg chosen by cross-validation",
        "failures": judged.failures,
        "examples": {name: len(examples.x) for name, examples in sets.items()},
        "choice": makers["best-of"].support_set_.provenance["choice"],
        "seconds": seconds,
    }


def main() -> None:
    """Everything that has no result yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", default="")
    parser.add_argument("--budgets", default="10,100")
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    make_folder(RESULTS)
    for budget in map(int, arguments.budgets.split(",")):
        for name, (task, read) in TABLES.items():
            if arguments.only not in ("", name):
                continue
            path = RESULTS / f"{name}-{budget}.json"
            empty = {"dataset": name, "task": task, "budget": budget, "panel": PANEL, "others": OTHERS}
            found = read_json(path) if path.exists() else empty | {"versions": versions(), "runs": []}
            for seed in range(arguments.seeds):
                if any(run["seed"] == seed for run in found["runs"]):
                    continue
                found["runs"].append(run(read(arguments.data), task, budget, seed))
                write_json(path, found)
                last = found["runs"][-1]
                means = {s: round(float(np.nanmean(list(v.values()))), 3) for s, v in last["scores"].items()}
                print(
                    name, budget, seed, means, last["choice"]["chosen"], round(last["seconds"]["best-of"]), flush=True
                )


if __name__ == "__main__":
    main()
