"""One protocol for every set and learner: sets × learners × seeds, on the same held-out rows, in one tidy table.

Each row of the table is a job of its own. What it found is written as soon as it is known, so that an interrupted
protocol goes on where it stopped, and a learner that fails is a row that says so.
"""

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from datastill._errors import InputError
from datastill.data.archive import make_folder, read_json, write_json
from datastill.data.dataset import digest
from datastill.evaluate import metrics
from datastill.learners.named import named_learner
from datastill.learners.training import LABELS, train, train_regressor


class Examples(NamedTuple):
    """A set to learn from, as numbers.

    Attributes:
        x: (s, …) rows.
        vectors: (s, c) label vectors; in regression (s, k) targets.
        weights: (s,) row weights, or None.
    """

    x: np.ndarray
    vectors: np.ndarray
    weights: np.ndarray | None = None


class HeldOut(NamedTuple):
    """Rows that no set was made from.

    Attributes:
        x: (n, …) rows, as numbers.
        y: (n,) class numbers; in regression (n, k) targets.
        regression: which of the two.
    """

    x: np.ndarray
    y: np.ndarray
    regression: bool = False


Maker = Callable[[int], Examples]
"""A set for each seed; the same one for all, where nothing about it is random."""


def protocol(
    sets: Mapping[str, Maker],
    learners: Sequence[str],
    held: HeldOut,
    seeds: int = 3,
    labels: str = "hard",
    folder: Path | None = None,
    jobs: int = 1,
) -> pd.DataFrame:
    """Train every learner on every set with every seed, and judge it on the held-out rows.

    Args:
        sets: name -> the set for a seed.
        learners: names; see `learners.named_learner`.
        held: what all are judged on.
        seeds: how many; seed s is given to the set and to the learner, so that rows are paired over seeds.
        labels: "hard" or "expanded"; see `learners.training`.
        folder: where each row is kept as a JSON file, and found again; None keeps nothing.
        jobs: processes side by side.

    Returns:
        One row for each (set, learner, seed): `labels` and `weighted` as they were used, `n` examples, the metrics,
        `seconds` to train, and `error`, empty where the learner did not fail.

    Raises:
        InputError: for no sets, learners or seeds, or an unknown learner, before anything is trained.
    """
    if not sets or not learners or seeds < 1:
        raise InputError(
            f"Got {len(sets)} sets, {len(learners)} learners and {seeds} seeds; expected at least one each."
        )
    if labels not in LABELS:
        raise InputError(f"Got labels={labels!r}; expected one of {', '.join(LABELS)}.")
    for name in learners:
        named_learner(name, held.regression)
    if folder is not None:
        make_folder(folder)
    kept = None if folder is None else _Kept(folder, [digest(held.x), digest(held.y)])
    work = (
        delayed(_row)(name, examples, learner, seed, held, labels, kept)
        for name, maker in sets.items()
        for seed in range(seeds)
        for examples in [maker(seed)]
        for learner in learners
    )
    return pd.DataFrame(Parallel(n_jobs=jobs)(work))


class _Kept(NamedTuple):
    """Where rows are kept, and what the held-out rows are."""

    folder: Path
    held: list[str]


def _row(
    name: str, examples: Examples, learner: str, seed: int, held: HeldOut, labels: str, kept: _Kept | None
) -> dict[str, Any]:
    """One row of the table, from its file if that is of the same set, learner, seed and held-out rows."""
    path = None
    if kept is not None:
        parts = [*(digest(a) for a in examples if a is not None), *kept.held]
        key = hashlib.sha256(json.dumps([name, learner, seed, labels, parts]).encode()).hexdigest()
        path = kept.folder / f"{key[:32]}.json"
        if path.exists():
            return read_json(path)
    row = {"set": name, "learner": learner, "seed": seed, "n": len(examples.x), "error": ""}
    row["r2" if held.regression else "accuracy"] = float("nan")
    started = time.perf_counter()
    try:
        row |= _judged(examples, learner, seed, held, labels)
    except Exception as error:  # a stranger's learner may raise anything; the other rows go on
        row["error"] = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        row["seconds"] = time.perf_counter() - started
    if path is not None and not row["error"]:
        write_json(path, row)
    return row


def _judged(examples: Examples, learner: str, seed: int, held: HeldOut, labels: str) -> dict[str, Any]:
    estimator, x_test = named_learner(learner, held.regression, seed), held.x.reshape(len(held.x), -1)
    started = time.perf_counter()
    if held.regression:
        y = examples.vectors[:, 0] if examples.vectors.shape[1] == 1 else examples.vectors
        trained = train_regressor(estimator, examples.x, y, examples.weights)
    else:
        trained = train(estimator, examples.x, examples.vectors, examples.weights, labels)
    seconds = time.perf_counter() - started
    used = {"labels": trained.labels, "weighted": trained.weighted, "seconds": seconds}
    predicted = trained.estimator.predict(x_test)
    if held.regression:
        return used | metrics.of_targets(held.y, predicted)
    found = metrics.of_classes(held.y, predicted)
    if hasattr(trained.estimator, "predict_proba"):
        p = np.zeros((len(x_test), examples.vectors.shape[1]))
        p[:, trained.estimator.classes_] = trained.estimator.predict_proba(x_test)
        found |= metrics.of_probabilities(held.y, p)
    return used | found
