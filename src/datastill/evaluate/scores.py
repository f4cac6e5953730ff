"""What was measured, and what it means in plain words: scores, the verdict, the headline sentence."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Role = Literal["result", "random", "all", "other"]
"""What a scored set is to the report: the set reported on, random rows, all rows, or something else."""


@dataclass(frozen=True)
class Score:
    """How well a learner does on held-out rows after training on one set.

    Attributes:
        name: the set in plain words: "KIP (learned)", "random rows", "k-means centres", "all rows".
        n_examples: rows in the set.
        value: the score: a fraction for accuracies, 1 − SSE/SST for R²; NaN when it could not be measured.
        low: lower end of its interval (NaN when there is none).
        high: upper end of its interval (NaN when there is none).
        metric: "accuracy" (or a name ending so), shown in percent, or another name such as "R²", shown as is.
        role: what the set is to the report; headline and verdict look for "result", "random" and "all".
    """

    name: str
    n_examples: int
    value: float
    low: float = math.nan
    high: float = math.nan
    metric: str = "accuracy"
    role: Role = "other"


@dataclass(frozen=True)
class Verdict:
    """The answer to "was it worth it?": an outcome for programs and a sentence for people."""

    outcome: Literal["better", "not better", "cannot tell", "not compared"]
    sentence: str


def by_role(scores: Sequence[Score], role: Role) -> Score | None:
    """The first score with this role, or None."""
    return next((score for score in scores if score.role == role), None)


def verdict(result: Score | None, random: Score | None, n_test: int = 0) -> Verdict:
    """Compare the reported set with random rows.

    The rule, in this order:

    1. "not compared" when either score is missing or is not a finite number;
    2. "better" when the low end of the result's interval lies above the high end of random's;
    3. "not better" when the result's value is at most random's value;
    4. "cannot tell" otherwise: the value is higher, but the intervals overlap, touch or are missing.

    Args:
        result: the score of the set reported on.
        random: the score of random rows, usually as many as the result has.
        n_test: held-out rows both were measured on; 0 when unknown.
    """
    if result is None or random is None or not math.isfinite(result.value) or not math.isfinite(random.value):
        return Verdict("not compared", "Not compared with random rows: a score is missing.")
    same_budget = result.n_examples == random.n_examples
    rows = "random rows with the same budget" if same_budget else counted(random.n_examples, "random row")
    where = f" on {counted(n_test, 'test row')}" if n_test else ""
    if result.low > random.high:
        return Verdict("better", f"Better than {rows}{where}: the intervals do not overlap.")
    if result.value <= random.value:
        return Verdict("not better", f"NOT better than {rows}{where}.")
    return Verdict("cannot tell", f"Cannot be told apart from {rows}{where}.")


def counted(n: int, noun: str) -> str:
    """`1 row`, `1,400 rows`."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def in_percent(metric: str) -> bool:
    """Whether scores of this metric are fractions shown in percent."""
    return metric.lower().endswith("accuracy")


def number_text(value: float, metric: str) -> str:
    """A score without its unit: `89.6` for an accuracy of 0.896, `0.871` for another metric, `—` for NaN."""
    if not math.isfinite(value):
        return "—"
    return f"{100 * value:.1f}" if in_percent(metric) else f"{value:.3f}".replace("-", "−")


def score_text(value: float, metric: str) -> str:
    """A score with its unit: `89.6 %`, `0.871`."""
    text = number_text(value, metric)
    return f"{text} %" if in_percent(metric) and text != "—" else text


def interval_text(score: Score) -> str:
    """The interval without its unit: `88.9–90.2`; empty when there is none."""
    if not (math.isfinite(score.low) and math.isfinite(score.high)):
        return ""
    join = " to " if score.low < 0 else "–"
    return number_text(score.low, score.metric) + join + number_text(score.high, score.metric)


def headline(what: str, scores: Sequence[Score], n_train: int, confidence: float = 0.95) -> str:
    """One sentence: what the set gives, what all rows give, what random rows give.

    Args:
        what: the set, as the subject of the sentence: "10 learned examples (1 per class)".
        scores: all scores; those with a role other than "other" are told.
        n_train: rows of the original data.
        confidence: level of the intervals.
    """
    result, everything, random = (by_role(scores, role) for role in ("result", "all", "random"))
    singular = what.startswith("1 ")
    stands = f"{what} {'stands' if singular else 'stand'} for {counted(n_train, 'row')}"
    if result is None:
        return f"{stands}; nothing was measured on held-out rows."
    name = f"test {result.metric}" if in_percent(result.metric) else f"a test {result.metric}"
    if not math.isfinite(result.value):
        return f"{stands}; the test {result.metric} could not be measured."
    value = score_text(result.value, result.metric)
    sentence = f"{what} {'gives' if singular else 'give'} "
    sentence += f"{value} {name}" if in_percent(result.metric) else f"{name} of {value}"
    if interval := interval_text(result):
        sentence += f" ({100 * confidence:g} % interval {interval})"
    if everything and math.isfinite(everything.value):
        verb = "gives" if everything.n_examples == 1 else "give"
        rest = score_text(everything.value, everything.metric)
        sentence += f" where {counted(everything.n_examples, 'row')} {verb} {rest}"
    if random and math.isfinite(random.value):
        verb = "gives" if random.n_examples == 1 else "give"
        rest = score_text(random.value, random.metric)
        sentence += f"; {counted(random.n_examples, 'random row')} {verb} {rest}"
    return sentence + "."
