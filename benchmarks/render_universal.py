"""The section of docs/results.md about one set for many learners."""

import json
from pathlib import Path
from statistics import mean, median
from typing import Any

SETS = ("random", "random-in-proportion", "kmeans", "herding", "universal")


def tables(folder: Path) -> list[str]:
    """The universal set beside random rows, k-means and herding, for the learners of the panel."""
    found = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json")) if "-others" not in path.name]
    if not found:
        return []
    lines = [
        "## One set for many learners",
        "",
        "Mean over eight learners (those of the panel) of score on test rows divided by that of all rows, for sets of "
        "the same number of examples, made with n seeds with the default settings: accuracy, for diamonds R². Random "
        "rows are as many of each class, or in proportion to the classes where these do better. *Worst* is the "
        "learner with the least share, better and worse are verdicts against random rows over the eight learners. "
        "Seconds are those of learning on two cores that did other things, too. `python benchmarks/universal.py`.",
        "",
        "| data | examples | random | k-means | herding | **universal** | worst | better, worse | n | seconds |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    return [*lines, *(_row(cell) for cell in sorted(found, key=lambda f: (f["data"], f["budget"]))), ""]


def _row(cell: dict[str, Any]) -> str:
    shares = {
        name: {r["learner"]: r["relative_to_full"] for r in cell["standings"] if r["set"] == name} for name in SETS
    }
    means = {name: mean(known.values()) for name, known in shares.items() if known}
    random = max(value for name, value in means.items() if name.startswith("random"))
    own = shares["universal"]
    worst = min(own, key=lambda learner: own[learner])
    verdicts = [r["verdict"] for r in cell["standings"] if r["set"] == "universal"]
    better, worse = (sum(v.startswith(word) for v in verdicts) for word in ("better", "worse"))
    budget = f"{cell['budget']} {'in all' if cell['task'] == 'regression' else 'per class'}"
    seconds = median(choice["seconds"] for choice in cell["choices"])
    return (
        f"| {cell['data']} | {budget} | {random:.3f} | {means['kmeans']:.3f} | {means['herding']:.3f} "
        f"| **{means['universal']:.3f}** | {worst} {own[worst]:.2f} | {better}, {worse} | {cell['seeds']} "
        f"| {seconds:.0f} |"
    )
