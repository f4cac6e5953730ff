"""One protocol for every set and learner: sets × learners × seeds, on the same held-out rows, in one tidy table.

Each row of the table is a job of its own. What it found is written as soon as it is known, sealed as `kept` says, so
that an interrupted protocol goes on where it stopped, and a learner that fails is a row that says so.
"""

import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from joblib import Parallel, delayed, parallel_config
from joblib.externals.loky.process_executor import TerminatedWorkerError

from datastill._errors import InputError
from datastill.data.archive import make_folder, sweep
from datastill.data.dataset import SupportSet, digest, versions
from datastill.evaluate import kept, metrics
from datastill.learners.named import identity, is_random, named_learner
from datastill.learners.training import as_seen, class_probabilities, train, train_regressor, use_of_labels
from datastill.preprocess.encoder import FeatureEncoder
from datastill.preprocess.labels import ClassLabels, Labels
from datastill.progress import count_bar, wanted

PROCESS = 2**30
"""Bytes a process takes before it has read anything: Python, JAX, scikit-learn. Measured: 0.4 to 0.9 GiB."""
COPIES = 4
"""Times a learner holds its rows: as given, in float64, scaled, sorted."""


class Examples(NamedTuple):
    """A set to learn from, as numbers.

    Attributes:
        x: (s, …) rows.
        vectors: (s, c) label vectors; in regression (s, k) targets.
        weights: (s,) row weights, or None.
        codes: (s,) the class that each row stands for; None for that of its largest label, and in regression.
        learned: "examples" where these were learned, "labels" where only label vectors were solved for rows, else
            empty; what was learned for a kernel is no sample, so that leaving one out says nothing of new rows.
    """

    x: np.ndarray
    vectors: np.ndarray
    weights: np.ndarray | None = None
    codes: np.ndarray | None = None
    learned: str = ""


def examples_of(support: SupportSet, space: FeatureEncoder, labels: Labels) -> Examples:
    """A support set as numbers of this space, its classes numbered by these labels."""
    codes = labels.codes(support.y) if isinstance(labels, ClassLabels) else None
    vectors = labels.encode(support.y) if support.soft_labels is None else support.soft_labels
    return Examples(space.encode_features(support.x), vectors, support.weights, codes, _learned(support))


def _learned(support: SupportSet) -> str:
    """Return which part of a set was learned, by the method that made it; nothing where that is not known."""
    method = str(support.provenance.get("method", ""))
    if not method or method.startswith("Coreset"):
        return ""
    return "labels" if method.startswith("LabelSolve") else "examples"


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

    @property
    def metric(self) -> str:
        """The score that is looked at first; more is better."""
        return "r2" if self.regression else "accuracy"


VERSIONS = versions() | {"learners": "2"}
"""A kept row is of these; with another version, or learners with other settings, it is computed again."""

Maker = Callable[[int], Examples]
"""A set for each seed; the same one for all, where nothing about it is random."""


@dataclass(frozen=True, eq=False)
class Judged:
    """The results of the protocol.

    Attributes:
        table: one row for each set, learner, way with labels and seed.
        arrays: row number -> arrays by name: "losses", (n,) of each held-out row: 0 or 1, in regression the squared
            error averaged over columns; for learners with probabilities also "brier", (n,) ‖p − onehot(y)‖², and
            "reliability", see `metrics.reliability`. None of them where the learner failed.
        metric: the column that is looked at first.
    """

    table: pd.DataFrame
    arrays: list[dict[str, np.ndarray]]
    metric: str

    @property
    def failures(self) -> list[str]:
        """Return the failures of learners as sentences, each once."""
        said = dict.fromkeys(zip(self.table["learner"], self.table["error"], strict=True))
        return [f"{learner} failed: {error}" for learner, error in said if error]

    def of(self, name: str, learner: str, asked: str | None = None) -> np.ndarray:
        """Row numbers of one set and learner without failures, in the order of seeds."""
        t = self.table
        chosen = (t["set"] == name) & (t["learner"] == learner) & (t["error"] == "")
        if asked is not None:
            chosen &= t["asked"] == asked
        return np.flatnonzero(chosen)


def protocol(
    sets: Mapping[str, Maker],
    learners: Sequence[str],
    held: HeldOut,
    seeds: int = 3,
    labels: str | Sequence[str] = "soft",
    folder: Path | None = None,
    jobs: int = 1,
    memory: int | None = None,
    once: Collection[str] = (),
) -> Judged:
    """Train every learner on every set with every seed, and judge it on the held-out rows.

    A row that cannot differ between seeds (equal examples, a learner without chance) is computed once and stands for
    all of them.

    Args:
        sets: name -> the set for a seed.
        learners: names; see `learners.named_learner`.
        held: what all are judged on.
        seeds: how many; seed s is given to the set and to the learner, so that rows are paired over seeds.
        labels: one or several of "soft", "hard", "expanded"; see `learners.training`.
        folder: where each row is kept as a file, and found again by the user who had it computed; None keeps
            nothing.
        jobs: processes side by side, the cores shared evenly among them.
        memory: bytes for all processes together; fewer run side by side where the largest set would not fit.
        once: sets that are judged with the first seed alone, since learning from them takes long.

    Returns:
        Rows with `asked` (of `labels`), `labels` and `weighted` (as they were used), `n` examples, the metrics,
        `seconds` to train, and `error`, empty where the learner did not fail.

    Raises:
        InputError: for no sets, learners or seeds, or an unknown learner, before anything is trained; if a process was
            killed, which is said with what to try.
    """
    if not sets or not learners or seeds < 1:
        raise InputError(
            f"Got {len(sets)} sets, {len(learners)} learners and {seeds} seeds; expected at least one each."
        )
    ways = [labels] if isinstance(labels, str) else list(labels)
    for name in learners:
        for way in ways:
            use_of_labels(named_learner(name, held.regression), way)
    if folder is not None:
        kept.refuse_link(folder)
        make_folder(folder)
        sweep(folder)
    plan = list(_planned(sets, learners, held, {name: 1 if name in once else seeds for name in sets}, ways))
    jobs = _processes(jobs, memory, held, [examples for _, examples, _, _ in plan])
    once = {key: (examples, learner, row) for key, examples, learner, row in reversed(plan)}
    secret = b"" if folder is None else kept.own_key()
    paths = {key: None if folder is None else folder / f"{key}.safetensors" for key in once}
    work = (delayed(judged_row)(*once[key], held, paths[key], secret) for key in once)
    try:
        with parallel_config(
            backend="loky", inner_max_num_threads=max((os.cpu_count() or 1) // jobs, 1) if jobs > 1 else None
        ):
            found = {}
            with count_bar("Judging", len(once), "trainings", wanted()) as watch:
                for key, result in zip(once, Parallel(n_jobs=jobs, return_as="generator")(work), strict=True):
                    found[key] = result
                    if watch is not None:
                        watch()
    except TerminatedWorkerError:
        raise InputError(
            f"Got {jobs} processes side by side, one of which was killed, most likely for want of memory; rows that "
            "were finished are kept; try fewer jobs or a memory budget."
        ) from None
    rows = [{**found[key][0], **row} for key, _, _, row in plan]
    columns = ["set", "learner", "asked", "seed", "n", held.metric, "error"]
    table = pd.DataFrame(rows).reindex(columns=[*columns, *(k for k in _names(rows) if k not in columns)])
    return Judged(table, [found[key][1] for key, _, _, _ in plan], held.metric)


def _planned(
    sets: Mapping[str, Maker], learners: Sequence[str], held: HeldOut, seeds: Mapping[str, int], ways: Sequence[str]
) -> Iterator[tuple[str, Examples, str, dict[str, Any]]]:
    """(key, examples, learner, where in the table): equal keys have equal results."""
    held_digests = [digest(held.x), digest(held.y)]
    identities = {learner: identity(learner) for learner in learners}
    for name, maker in sets.items():
        last: tuple[Examples, list[str]] | None = None
        for seed in range(seeds[name]):
            examples = maker(seed)
            if last is None or last[0] is not examples:
                last = examples, [*("" if a is None else digest(a) for a in examples[:4]), *held_digests]
            for learner in learners:
                estimator = named_learner(learner, held.regression, seed)
                chance = seed if is_random(estimator) else 0
                for way in ways:
                    use = "targets" if held.regression else use_of_labels(estimator, way)
                    parts = [VERSIONS, identities[learner], chance, use, examples.learned, last[1]]
                    key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]
                    where = {"set": name, "learner": learner, "asked": way, "seed": seed}
                    yield key, examples, learner, where


def _processes(jobs: int, memory: int | None, held: HeldOut, examples: Sequence[Examples]) -> int:
    """Return how many processes fit in memory."""
    if jobs < 1:
        raise InputError(f"Got {jobs} jobs; expected 1 or more.")
    if memory is None:
        return jobs
    need = PROCESS + COPIES * (max(e.x.nbytes for e in examples) + held.x.nbytes)
    if need > memory:
        raise InputError(
            f"Got a memory budget of {memory / 2**30:.1f} GiB; expected at least {need / 2**30:.1f} GiB, which one "
            "learner may need on the largest set; try fewer rows."
        )
    return max(min(jobs, memory // need), 1)


def judged_row(
    examples: Examples,
    learner: str,
    where: dict[str, Any],
    held: HeldOut,
    path: Path | None = None,
    secret: bytes = b"",
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Train one learner on one set and judge it: a row of the table, and its arrays.

    Args:
        examples: the set.
        learner: its name.
        where: the row's "seed", and "asked", the way with labels.
        held: what it is judged on.
        path: the row's file, from which it is read if this user's program wrote it; None keeps nothing.
        secret: the key that says so; see `kept`.
    """
    found = None if path is None else kept.find(path, secret)
    if found is not None:
        return found
    record: dict[str, Any] = {"n": len(examples.x), "error": "", held.metric: float("nan")}
    tensors: dict[str, np.ndarray] = {}
    started = time.perf_counter()
    try:
        with redirect_stdout(sys.stderr):  # a stranger's learner may print, and raise anything; the other rows go on
            measured, tensors = _judged(examples, learner, where["seed"], held, where["asked"])
        record |= measured
    except (Exception, SystemExit) as error:
        said = "".join(c if c.isprintable() else " " for c in str(error))
        record["error"] = f"{type(error).__name__}: {' '.join(said.split())[:300]}"
        record["seconds"] = time.perf_counter() - started
    if path is not None and not record["error"]:
        kept.keep(path, record, tensors, secret)
    return record, tensors


def _judged(
    examples: Examples, learner: str, seed: int, held: HeldOut, labels: str
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    estimator = named_learner(learner, held.regression, seed)
    started = time.perf_counter()
    if held.regression:
        learned = bool(examples.learned)
        trained = train_regressor(estimator, examples.x, examples.vectors, examples.weights, learned)
    else:
        learned = examples.learned == "examples" or (examples.learned == "labels" and labels != "hard")
        trained = train(estimator, examples.x, examples.vectors, examples.weights, labels, examples.codes, learned)
    seconds = time.perf_counter() - started
    used = {"labels": trained.labels, "weighted": trained.weighted, "seconds": seconds}
    x_test = as_seen(trained.estimator, held.x)
    classes = 0 if held.regression else examples.vectors.shape[1]
    predicted = _checked(trained.estimator.predict(x_test), held, classes)
    losses = metrics.losses(held.y, predicted, held.regression)
    if held.regression:
        return used | metrics.of_targets(held.y, predicted), {"losses": losses}
    found = metrics.of_classes(held.y, predicted)
    if not hasattr(trained.estimator, "predict_proba"):
        return used | found, {"losses": losses}
    p = class_probabilities(trained.estimator, x_test, classes)
    if not np.isfinite(p).all():
        raise ValueError("its probabilities are not finite")
    found |= metrics.of_probabilities(held.y, p)
    return used | found, {
        "losses": losses,
        "brier": metrics.brier_losses(held.y, p).astype(np.float32),
        "reliability": metrics.reliability(held.y, p),
    }


def _checked(predicted: Any, held: HeldOut, classes: int) -> np.ndarray:
    """Predictions of the right shape and kind; anything else is the learner's failure."""
    found = np.asarray(predicted)
    if held.regression:
        if found.shape not in ({held.y.shape, (len(held.y),)} if held.y.shape[1] == 1 else {held.y.shape}):
            raise ValueError(f"it predicts an array of shape {found.shape}; expected {held.y.shape}")
        if found.dtype.kind not in "fiu" or not np.isfinite(found).all():
            raise ValueError("its predictions are not all finite numbers")
        return found
    if found.shape != held.y.shape:
        raise ValueError(f"it predicts an array of shape {found.shape}; expected {held.y.shape}")
    if not np.isin(found, np.arange(classes)).all():
        raise ValueError("it predicts classes that it was not given")
    return found


def _names(rows: Sequence[dict[str, Any]]) -> list[str]:
    """All keys, in the order of their first appearance."""
    return list(dict.fromkeys(k for row in rows for k in row))
