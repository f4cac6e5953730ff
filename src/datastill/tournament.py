"""A tournament: methods × budgets × learners × seeds on one dataset, kept in a folder and resumed from it.

sets/NAME-SEED/      every support set, as a run would save it
rows/                every row of the table, as soon as it is known
table.parquet, table.json     all of them
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from datastill._errors import InputError
from datastill.data.archive import make_folder, write_atomic
from datastill.data.dataset import Dataset, SupportSet, digest
from datastill.evaluate.protocol import Examples, HeldOut, protocol
from datastill.evaluate.verdicts import BETTER, WORSE, verdicts
from datastill.preprocess.labels import ClassLabels, Labels, RealTargets
from datastill.preprocess.space import Space, fit_space
from datastill.runs import METHODS

FULL = "all rows"
MARKS = {BETTER: " ▲", WORSE: " ▼"}


@dataclass(frozen=True)
class Entrants:
    """Who takes part.

    Attributes:
        methods: names; "random" is added if it is not among them.
        budgets: examples per class, or in all for regression.
        learners: names; see `learners.named_learner`.
        seeds: how many.
        kernel: of the methods.
        steps: of KIP.
        labels: "hard" or "expanded", for learners that take no label vectors.
    """

    methods: tuple[str, ...]
    budgets: tuple[int, ...]
    learners: tuple[str, ...]
    seeds: int = 3
    kernel: str = "fc1"
    steps: int = 1000
    labels: str = "hard"


def compare(data: Dataset, task: str, entrants: Entrants, folder: Path, jobs: int = 1) -> pd.DataFrame:
    """The table of `evaluate.protocol` for every method and budget, random rows, and all rows.

    Args:
        data: with test rows; see `runs.with_test`.
        task: "classification" or "regression".
        entrants: who takes part.
        folder: made if missing; the same call continues it.
        jobs: learners trained side by side.

    Raises:
        InputError: for unknown methods or learners, or data that cannot be used.
    """
    unknown = [m for m in entrants.methods if m not in METHODS]
    if unknown:
        raise InputError(f"Got the method {unknown[0]!r}; expected some of {', '.join(METHODS)}.")
    make_folder(folder)
    space = fit_space(data.x)
    labels: Labels = ClassLabels.fit(data.y) if task == "classification" else RealTargets.fit(data.y)
    every = Examples(space.encode(data.x), labels.encode(data.y))
    y_test = np.asarray(data.y_test)
    held_y = labels.codes(y_test) if isinstance(labels, ClassLabels) else labels.encode(y_test)
    held = HeldOut(space.encode(data.x_test), held_y, task == "regression")
    identity = digest(data.y) + digest(data.x)
    methods = tuple(dict.fromkeys(("random", *entrants.methods)))
    sets: dict[str, Any] = {
        f"{method} {budget}": partial(_made, data, space, task, entrants, method, budget, folder / "sets", identity)
        for method in methods
        for budget in entrants.budgets
    }
    sets[FULL] = lambda seed: every
    table = protocol(sets, entrants.learners, held, entrants.seeds, entrants.labels, folder / "rows", jobs)
    write_atomic(folder / "table.json", table.to_json(orient="records", indent=2).encode())
    write_atomic(folder / "table.parquet", table.to_parquet())
    return table


def _made(
    data: Dataset,
    space: Space,
    task: str,
    entrants: Entrants,
    method: str,
    budget: int,
    folder: Path,
    identity: str,
    seed: int,
) -> Examples:
    """The set of a method for a seed: from its folder if it is there and of the same data and settings, else made."""
    where = folder / f"{method}-{budget}-{seed}"
    wanted = {"data": identity, "kernel": entrants.kernel, "steps": entrants.steps if method == "kip" else None}
    support = SupportSet.load(where) if (where / "manifest.json").exists() else None
    if support is None or support.provenance.get("wanted") != wanted:
        kind = METHODS[method][task == "regression"]
        settings: dict[str, Any] = {"kernel": entrants.kernel, "random_state": seed}
        settings |= {"n_support": budget} if task == "regression" else {"ipc": budget}
        settings |= {"method": method} if "method" in kind._get_param_names() else {}
        settings |= {"max_iter": entrants.steps} if "max_iter" in kind._get_param_names() else {}
        support = kind(**settings).fit(data.x, data.y).support_set_
        support.provenance["wanted"] = wanted
        support.save(where)
    assert support.soft_labels is not None
    return Examples(space.encode(support.x), support.soft_labels, support.weights)


def judged(table: pd.DataFrame, entrants: Entrants, n_test: int) -> pd.DataFrame:
    """The verdict on each method and budget against random rows of the same budget, for each learner."""
    rivals = {
        f"{method} {budget}": f"random {budget}"
        for method in dict.fromkeys(entrants.methods)
        for budget in entrants.budgets
        if method != "random"
    }
    metric = _metric(table)
    return verdicts(table, rivals, n_test if metric == "accuracy" else 0, metric)


def plain(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as JSON values; what was not measured is None."""
    return [{k: None if pd.isna(v) else v for k, v in row.items()} for row in table.to_dict(orient="records")]


def ranked(table: pd.DataFrame, seeds: int) -> pd.DataFrame:
    """Mean and standard deviation over seeds of the score of each set and learner, sets in the order of the table."""
    groups = table.groupby(["set", "learner"], sort=False)[_metric(table)]
    found = pd.DataFrame({"mean": groups.mean(), "deviation": groups.std() if seeds > 1 else np.nan})
    return found.reset_index()


def wide(table: pd.DataFrame, found: pd.DataFrame, learners: Sequence[str], seeds: int) -> list[tuple[str, ...]]:
    """One line for each set: its name, and "mean ± deviation" for each learner, marked where the verdict is clear."""
    marks = {(r.set, r.learner): MARKS.get(r.verdict, "") for r in found.itertuples()}
    cells = {
        (r.set, r.learner): (r.mean, r.deviation, marks.get((r.set, r.learner), ""))
        for r in ranked(table, seeds).itertuples()
    }
    lines = []
    for name in dict.fromkeys(table["set"]):
        shown = [_cell(*cells[name, learner]) for learner in learners]
        lines.append((name, *shown))
    return lines


def _metric(table: pd.DataFrame) -> str:
    return "accuracy" if "accuracy" in table else "r2"


def _cell(mean: float, deviation: float, mark: str) -> str:
    if not np.isfinite(mean):
        return "failed"
    spread = f" ± {100 * deviation:.1f}" if np.isfinite(deviation) else ""
    return f"{100 * mean:.1f}{spread}{mark}"
