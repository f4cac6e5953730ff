"""Results of `compare` as a `Comparison`: only what is to be shown, typed and worded; no learner is judged here."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from datastill.certify import Certificate, Statement
from datastill.data.archive import finite
from datastill.report.comparison import words
from datastill.report.comparison.entries import Entry, entries_of
from datastill.report.text import setting_text


@dataclass(frozen=True)
class Robust:
    """Robust scores of one set and learner; see `evaluate.leaderboard`."""

    set: str
    learner: str
    hlr: float
    ior: float
    lrs: float
    ars: float


@dataclass(frozen=True)
class Reliability:
    """The calibration of confidences on the held-out rows, for the first seed.

    Attributes:
        bins: (rows, mean confidence, accuracy) of each bin that has rows.
        ece: the expected calibration error.
    """

    set: str
    learner: str
    bins: tuple[tuple[int, float, float], ...]
    ece: float


@dataclass(frozen=True)
class Certified:
    """Statements on several sets and learners that hold together; the fields are those of `certify.Certificate`.

    Attributes:
        statements: (set, learner) -> what holds.
    """

    delta: float
    each: float
    loss: str
    n: int
    guessing: float
    statements: Mapping[tuple[str, str], Statement]

    def of(self, name: str, n_support: int, n_train: int) -> Certificate:
        """The statements on one set."""
        about = {"set": name, "n_support": n_support, "n_train": n_train}
        own = tuple(s for (of, _), s in self.statements.items() if of == name)
        return Certificate(self.delta, self.each, self.loss, self.n, self.guessing, own, about=about)


@dataclass(frozen=True, eq=False)
class ExampleGrid:
    """One picture for each class and source, side by side.

    Attributes:
        columns: what the pictures are, in words -> (C, h, w) or (C, h, w, c), one for each class.
        classes: names of the C classes.
    """

    columns: Mapping[str, np.ndarray]
    classes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Everything that the report of a comparison shows.

    Attributes:
        title: the dataset and how many methods and learners.
        headline: the best set and learner of the largest budget, beside all rows and random rows.
        best: the same for the other budgets.
        tally: how many verdicts were "better", "worse" and "unclear", and how many sets and learners "failed".
        sentences: what the figures hold for.
        dataset: its name.
        task: "classification" or "regression".
        metric: "accuracy" or "R²".
        n_train: rows of the original data.
        n_test: held-out rows.
        seeds: how many.
        budgets: examples per class, or in all for regression.
        methods: as they were asked for.
        learners: in order.
        asked: the way with labels that is shown first.
        entries: the standings, all ways with labels.
        robustness: robust scores; empty unless asked for.
        reliability: of sets and learners with probabilities.
        certified: the statements, or None.
        exhibit: pictures, or None.
        settings: name to text.
        warnings: sentences the reader must see.
    """

    title: str
    headline: str
    best: tuple[str, ...]
    tally: dict[str, int]
    sentences: tuple[str, ...]
    dataset: str
    task: str
    metric: str
    n_train: int
    n_test: int
    seeds: int
    budgets: tuple[int, ...]
    methods: tuple[str, ...]
    learners: tuple[str, ...]
    asked: str
    entries: tuple[Entry, ...]
    robustness: tuple[Robust, ...]
    reliability: tuple[Reliability, ...]
    certified: Certified | None
    exhibit: ExampleGrid | None
    settings: dict[str, str]
    warnings: tuple[str, ...]

    @property
    def main(self) -> tuple[Entry, ...]:
        """The entries of the way with labels that was asked for."""
        return tuple(e for e in self.entries if e.asked == self.asked)

    def as_dict(self) -> dict[str, Any]:
        """The comparison in JSON types; NaN becomes None, and of pictures only the outline is kept."""
        hidden = ("certified", "exhibit", "entries", "robustness", "reliability")
        found: dict[str, Any] = {k: v for k, v in vars(self).items() if k not in hidden}
        for name in ("entries", "robustness", "reliability"):
            found[name] = [asdict(one) for one in getattr(self, name)]
        found["certified"] = self.certified and _certified(self.certified)
        found["exhibit"] = self.exhibit and {"columns": list(self.exhibit.columns), "classes": self.exhibit.classes}
        return finite(found)

    def to_json(self) -> str:
        """`as_dict` as strict JSON text in ASCII."""
        return json.dumps(self.as_dict(), indent=2, allow_nan=False)


def summarise_comparison(
    standings: pd.DataFrame,
    *,
    dataset: str,
    task: str,
    n_train: int,
    n_test: int,
    seeds: int,
    budgets: Sequence[int],
    methods: Sequence[str],
    learners: Sequence[str],
    asked: str = "soft",
    robustness: pd.DataFrame | None = None,
    reliability: Mapping[tuple[str, str], np.ndarray] | None = None,
    certified: Certified | None = None,
    exhibit: ExampleGrid | None = None,
    settings: Mapping[str, object] | None = None,
    warnings: Sequence[str] = (),
) -> Comparison:
    """Gather what the report of a comparison shows.

    Args:
        standings: of `evaluate.leaderboard`; sets are named "METHOD BUDGET", with ", labelled by a teacher" where so,
            and "all rows".
        dataset: its name.
        task: "classification" or "regression".
        n_train: rows of the original data.
        n_test: held-out rows.
        seeds: how many.
        budgets: examples per class, or in all for regression.
        methods: as they were asked for.
        learners: in order.
        asked: the way with labels that is shown first.
        robustness: of `evaluate.leaderboard.robustness`; may be empty.
        reliability: (set, learner) -> (bins, 3) of `metrics.reliability`.
        certified: statements on sets and learners.
        exhibit: for image data, pictures side by side.
        settings: name to value, shown in this order.
        warnings: sentences the reader must see.
    """
    metric = "accuracy" if task == "classification" else "R²"
    entries = entries_of(standings)
    main = [e for e in entries if e.asked == asked]
    facts = words.Facts(task, metric, n_train, n_test, seeds)
    headlines = words.headlines(main, facts)
    robust = [] if robustness is None else robustness.to_dict(orient="records")
    several = f"{_count(methods, 'method')}, {_count(learners, 'learner')}"
    return Comparison(
        title=f"{dataset} · {several}",
        headline=headlines[0],
        best=tuple(headlines[1:]),
        tally=words.tally(main),
        sentences=tuple(words.sentences(main, facts)),
        dataset=dataset,
        task=task,
        metric=metric,
        n_train=n_train,
        n_test=n_test,
        seeds=seeds,
        budgets=tuple(budgets),
        methods=tuple(methods),
        learners=tuple(learners),
        asked=asked,
        entries=entries,
        robustness=tuple(Robust(**{str(k): v for k, v in row.items()}) for row in robust),
        reliability=tuple(_reliability(*key, bins) for key, bins in (reliability or {}).items()),
        certified=certified,
        exhibit=exhibit,
        settings={str(name): setting_text(value) for name, value in (settings or {}).items()},
        warnings=tuple(warnings),
    )


def _count(items: Sequence[str], noun: str) -> str:
    return f"{len(items)} {noun}{'' if len(items) == 1 else 's'}"


def _reliability(name: str, learner: str, bins: np.ndarray) -> Reliability:
    counts, confidence, accuracy = np.asarray(bins, float).T
    ece = float(np.sum(counts * abs(accuracy - confidence)) / max(counts.sum(), 1))
    kept = [(int(n), float(c), float(a)) for n, c, a in zip(counts, confidence, accuracy, strict=True) if n > 0]
    return Reliability(name, learner, tuple(kept), ece)


def _certified(certified: Certified) -> dict[str, Any]:
    level = Certificate(certified.delta, certified.each, certified.loss, certified.n, certified.guessing, ())
    statements = [
        {"set": name, **asdict(one), "vacuous": level.vacuous(one)} for (name, _), one in certified.statements.items()
    ]
    return {k: getattr(certified, k) for k in ("delta", "each", "loss", "n", "guessing")} | {"statements": statements}
