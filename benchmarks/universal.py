"""One set for every learner beside random rows, k-means and herding, for the learners and data sets of judge.py.

    python benchmarks/universal.py --data FOLDER [--only NAME] [--budgets 1,10] [--seeds 5] [--others]

Budgets are per class; of diamonds, 20 times as many in all. Sets are learned with the default settings, the same for
all data sets, from training rows alone, of which they hold some out to choose by. All sets are judged on test rows.
What learners make of all rows is from results/judge. With --others the learners are such as are neither on the panel
nor in the loss. Sets that were made are kept in the work folder, and known scores are not computed again.
"""

import argparse
import importlib.util
import json
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from judge import LEARNERS, READERS, read
from timing import machine

from datastill import Coreset, CoresetRegressor, SupportSet, Universal, UniversalRegressor
from datastill.data.archive import make_folder, write_json
from datastill.data.dataset import versions
from datastill.evaluate.leaderboard import Baselines, leaderboard
from datastill.evaluate.protocol import Examples, examples_of, protocol
from datastill.workflows.compare import Encoded

RESULTS = Path(__file__).parent / "results" / "universal"
JUDGED = Path(__file__).parent / "results" / "judge"
BASELINES = ("random", "kmeans", "herding")
TARGETS_PER_CLASS = 20
"""Examples in regression, for each that a class would have."""
OTHERS = (
    *("sklearn.naive_bayes:GaussianNB", "sklearn.discriminant_analysis:QuadraticDiscriminantAnalysis"),
    *("sklearn.ensemble:ExtraTreesClassifier", "sklearn.neighbors:KNeighborsClassifier"),
    *("sklearn.gaussian_process:GaussianProcessClassifier", "lightgbm:LGBMClassifier", "xgboost:XGBClassifier"),
)


def made(known: Encoded, method: str, budget: int, folder: Path, seed: int) -> Examples:
    """The set of a method for a seed, from its folder if it is there."""
    regression = known.held.regression
    where = folder / f"{method}-{budget}-{seed}"
    if not (where / "manifest.json").exists():
        given: dict[str, Any] = {"n_support" if regression else "ipc": budget, "random_state": seed}
        if method == "random-in-proportion":
            given = {
                "n_support": budget * len(known.labels.classes),
                "allocation": "proportional",
                "random_state": seed,
            }
        if method == "universal":
            estimator = (UniversalRegressor if regression else Universal)(**given)
        else:
            name = "random" if method.startswith("random") else method
            estimator = (CoresetRegressor if regression else Coreset)(**given, method=name)
        estimator.fit(known.rows.x, known.rows.y).support_set_.save(where)
    return examples_of(SupportSet.load(where), known.space, known.labels)


def spoken(work: Path, budget: int, seeds: int) -> list[dict[str, Any]]:
    """What each learned set says of its choice, and how long it took."""
    found = []
    for seed in range(seeds):
        provenance = SupportSet.load(work / f"universal-{budget}-{seed}").provenance
        found.append({"seconds": provenance["seconds"], **provenance["choice"]})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only")
    parser.add_argument("--budgets", default="1,10")
    parser.add_argument("--work", type=Path, default=Path("runs/universal"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--others", action="store_true")
    arguments = parser.parse_args()
    make_folder(RESULTS)
    for name in arguments.only.split(",") if arguments.only else READERS:
        data, task = read(name, arguments.data)
        known = Encoded.of(data, task)
        judged_before = json.loads((JUDGED / f"{name}.json").read_text())["standings"]
        full = {row["learner"]: row["mean"] for row in judged_before if row["set"] == "all rows"}
        learners = LEARNERS
        if arguments.others:
            if task == "regression":
                continue
            learners = tuple(n for n in OTHERS if importlib.util.find_spec(n.partition(":")[0].partition(".")[0]))
            learners += ("net:mlp", *(("net:fast",) if known.held.x.ndim > 2 else ()))
        for per_class in map(int, arguments.budgets.split(",")):
            budget = per_class * (TARGETS_PER_CLASS if task == "regression" else 1)
            started, work = time.perf_counter(), arguments.work / name
            rivals = [*BASELINES, *(("random-in-proportion",) if len(known.drawn) > 1 else ())]
            sets = {m: partial(made, known, m, budget, work) for m in (*rivals, "universal")}
            rows = work / "rows"
            judged = protocol(sets, learners, known.held, arguments.seeds, folder=rows)
            others = tuple(m for m in rivals if m == "random-in-proportion")
            found = leaderboard(
                judged,
                {m: Baselines("random", "random", others) for m in ("universal", "kmeans", "herding")},
                "universal",
            ).drop(columns="relative_to_full")
            found["relative_to_full"] = [
                row.mean_ / full[row.learner] if full.get(row.learner) and not arguments.others else np.nan
                for row in found.rename(columns={"mean": "mean_"}).itertuples()
            ]
            result = {
                "data": name,
                "task": task,
                "budget": budget,
                "seeds": arguments.seeds,
                "learners": list(learners),
                "standings": found.to_dict(orient="records"),
                "choices": spoken(work, budget, arguments.seeds),
                "failures": judged.failures,
                "seconds": round(time.perf_counter() - started, 1),
                "machine": machine(),
                "versions": versions(),
            }
            ending = "-others" if arguments.others else ""
            write_json(RESULTS / f"{name}-{budget}{ending}.json", result)
            means = found.groupby("set")[["mean", "relative_to_full"]].mean().round(3)
            verdicts = found[found["set"] == "universal"]["verdict"].value_counts().to_dict()
            print(name, budget, means.to_dict(orient="index"), verdicts, f"{result['seconds']:.0f} s", flush=True)


if __name__ == "__main__":
    main()
