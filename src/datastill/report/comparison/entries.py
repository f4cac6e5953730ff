"""Lines of the standings, typed, and how their numbers are written."""

import math
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from datastill.certify import FULL
from datastill.evaluate.constant import CONSTANT
from datastill.evaluate.scores import Score, interval_text, score_text
from datastill.evaluate.verdicts import BETTER, WORSE
from datastill.report.names import PROPORTIONAL, RANDOM, SetName, method_title, spoken


@dataclass(frozen=True)
class Entry:
    """One set and learner; numbers are NaN where they were not measured. See `evaluate.leaderboard`."""

    set: str
    learner: str
    asked: str
    labels: str
    n: int
    mean: float
    deviation: float
    low: float
    high: float
    relative_to_full: float
    rival: str
    difference: float
    p: float
    verdict: str

    @property
    def name(self) -> SetName:
        """The name of the set, taken apart."""
        return SetName.of(self.set)

    @property
    def failed(self) -> bool:
        """Return whether there is no score."""
        return not math.isfinite(self.mean)

    @property
    def full(self) -> bool:
        """Return whether the set is all rows."""
        return self.set == FULL

    @property
    def constant(self) -> bool:
        """Return whether nothing was trained: the constant prediction."""
        return self.set == CONSTANT

    @property
    def small(self) -> bool:
        """Return whether the set is one of those compared, and neither all rows nor the constant prediction."""
        return not (self.full or self.constant)

    @property
    def random(self) -> bool:
        """Return whether the rows are random ones with their own labels."""
        return self.name.method in (RANDOM, PROPORTIONAL)

    @property
    def mark(self) -> str:
        """▲ for better, ▼ for worse than random, else nothing."""
        return {BETTER: "▲", WORSE: "▼"}.get(self.verdict, "")

    @property
    def title(self) -> str:
        """The method in words."""
        return spoken(self.set) if not self.small else method_title(self.name.row)


def entries_of(standings: pd.DataFrame) -> tuple[Entry, ...]:
    """The rows of the standings table; no verdict where one of the two failed."""
    texts = ("set", "learner", "asked", "labels", "rival", "verdict")
    rows = standings[list(Entry.__dataclass_fields__)].to_dict(orient="records")
    found = (Entry(**{str(k): _typed(str(k), v, texts) for k, v in row.items()}) for row in rows)
    return tuple(e if math.isfinite(e.difference) else replace(e, verdict="") for e in found)


def _typed(name: str, value: Any, texts: tuple[str, ...]) -> Any:
    missing = value is None or (isinstance(value, float) and math.isnan(value))
    if name in texts:
        return "" if missing else str(value)
    return (0 if missing else int(value)) if name == "n" else math.nan if missing else float(value)


def mean_text(entry: Entry, metric: str) -> str:
    """`95.1 %`, `0.871`, `failed`."""
    return "failed" if entry.failed else score_text(entry.mean, metric)


def range_text(entry: Entry, metric: str) -> str:
    """`94.2–96.0`; empty where there is none."""
    return interval_text(Score(entry.set, entry.n, entry.mean, entry.low, entry.high, metric))


def share_text(share: float) -> str:
    """`98.4 %`, of what all rows give; a dash where that means nothing."""
    return f"{100 * share:.1f} %".replace("-", "−") if meaningful(share) else "—"


def meaningful(share: float) -> bool:
    """Return whether a share of the score of all rows is meaningful: it is not for negative scores of regression."""
    return math.isfinite(share) and 0 <= share < 10


def budget_text(budget: int | None, task: str) -> str:
    """`10 examples a class`, `1 example`."""
    if budget is None:
        return "other sets"
    noun = "example" if budget == 1 else "examples"
    return f"{budget:,} {noun}" + (" a class" if task == "classification" else "")


def set_title(name: str, task: str) -> str:
    """A set in words: `KIP, 10 examples a class`."""
    known = SetName.of(name)
    if known.budget is None:
        return spoken(name)
    return f"{method_title(known.row)}, {budget_text(known.budget, task)}"
