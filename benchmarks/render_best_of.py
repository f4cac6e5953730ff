"""The section of docs/results.md about the best of several sets."""

import json
from collections import Counter
from pathlib import Path
from statistics import mean, stdev
from typing import Any

PROPORTIONAL = "random in proportion"
SETS = ("random", "kmeans", "best-of")
TITLES = {"accuracy": "accuracy, %", "r2": "R² × 100"}


def tables(folder: Path) -> list[str]:
    """The best of several sets beside k-means and random rows, under learners that chose it and others."""
    found = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    found.sort(key=lambda f: (f["budget"], f["task"], f["dataset"]))
    if not found:
        return []
    lines = [
        "## Tables",
        "",
        "`BestOf`, the default for tables until the universal set took its place, beside k-means and random rows with "
        "the same budget: score on test rows, mean ± standard deviation "
        "over seeds (n). *Panel* is the mean over the learners by which the set is chosen, on other rows than these; "
        "*others* the mean over learners that had no part in it (linear and RBF support vector machines, a multilayer "
        "perceptron). Regression has twice as many examples in all as a class has otherwise; its scores are R². Random "
        "rows are as many of each class, or in proportion to the classes where these do better (both were judged where "
        "classes differ much in size). Constant is the constant prediction: the commonest class, or the mean target. "
        "In rows with † the penalty of kernel ridge regression, one of the panel's five learners, was 1e-6 for every "
        "set, which is hard on random rows; in the others random rows and k-means have it chosen by cross-validation "
        "on their own rows. The script that made them went with it.",
        "",
        "| table | examples | score | constant | random, panel | k-means, panel | **best of, panel** | random, others "
        "| k-means, others | **best of, others** | n | kept | seconds |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    constants = json.loads((folder.parent / "constant.json").read_text())["scores"]
    lines += [_row(cell, constants) for cell in found]
    for budget in sorted({cell["budget"] for cell in found}):
        cells = [cell for cell in found if cell["budget"] == budget]
        means = [mean(_scores(cell, name, part)) for part in ("panel", "others") for name in SETS for cell in cells]
        n = len(cells)
        average = [f"{mean(means[i : i + n]):.1f}" for i in range(0, len(means), n)]
        examples = f"{budget} per class"
        lines.append(f"| **mean of {n}** | {examples} | | | {' | '.join(average)} | | | |")
    return [*lines, ""]


def _row(cell: dict[str, Any], constants: dict[str, float]) -> str:
    runs, regression = cell["runs"], cell["task"] == "regression"
    examples = f"{2 * cell['budget']} in all" if regression else f"{cell['budget']} per class"
    shown = []
    for part in ("panel", "others"):
        for name in SETS:
            values = _scores(cell, name, part)
            text = f"{mean(values):.1f}" + (f" ± {stdev(values):.1f}" if len(values) > 1 else "")
            shown.append(f"**{text}**" if name == "best-of" else text)
    chosen = Counter(run["choice"]["chosen"] for run in runs)
    kept = "; ".join(name if n == 1 else f"{name} ({n})" for name, n in chosen.most_common())
    seconds = mean(run["seconds"]["best-of"] for run in runs)
    metric = TITLES[runs[0]["metric"]]
    name = cell["dataset"] + ("" if all("krr" in run for run in runs) else " †")
    constant = round(100 * constants[cell["dataset"]], 1) + 0.0
    about = f"{name} | {examples} | {metric} | {constant:.1f}"
    return f"| {about} | {' | '.join(shown)} | {len(runs)} | {kept} | {seconds:.0f} |"


def _scores(cell: dict[str, Any], name: str, part: str) -> list[float]:
    """Return 100 × the mean over the learners of a part, for each seed; of random rows the better kind."""
    known = cell["runs"][0]["scores"]
    kinds = [kind for kind in (name, PROPORTIONAL if name == "random" else name) if kind in known]
    found = [
        [100 * mean(run["scores"][kind][learner] for learner in cell[part]) for run in cell["runs"]] for kind in kinds
    ]
    return max(found, key=mean)
