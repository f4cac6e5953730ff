"""Scores, and their meaning in plain words: the verdict and the headline sentence."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from datastill.evaluate.verdicts import BETTER, UNCLEAR, WORSE

Role = Literal["result", "random", "all", "inducing", "constant", "other"]
"""What a scored set is to the report: the set reported on, random rows, all rows, some rows with labels solved on all,
the constant prediction, or something else."""
OWN_KERNEL = "its own kernel"
"""Kernel ridge regression under the kernel that the set was made for, as a learner of verdicts."""
MANY = 4
"""Learners from which on "all" stands for their names."""
Outcome = Literal["better", "better under its own kernel only", "not better", "cannot tell", "not compared"]


@dataclass(frozen=True)
class Score:
    """The success of a learner on held-out rows after training on one set.

    Attributes:
        name: the set in plain words: "KIP (learned)", "random rows", "k-means centres", "all rows".
        n_examples: rows in the set; 0 for the constant prediction.
        value: the score: a fraction for accuracies, 1 − SSE/SST for R²; NaN when it could not be measured.
        low: lower end of its interval (NaN when there is none).
        high: upper end of its interval (NaN when there is none).
        metric: "accuracy" (or a name ending so), shown in percent, or another name such as "R²", shown as is.
        role: what the set is to the report; headline and verdict look for all roles but "other".
        learner: of a panel, that was trained on the set; its name stands before the set's, as in "knn: random rows".
            Empty for the report's own learner.
    """

    name: str
    n_examples: int
    value: float
    low: float = math.nan
    high: float = math.nan
    metric: str = "accuracy"
    role: Role = "other"
    learner: str = ""

    @property
    def trained_on(self) -> str:
        """The set, without the learner."""
        return self.name.removeprefix(f"{self.learner}: ") if self.learner else self.name


@dataclass(frozen=True)
class Verdict:
    """The answer to "was it worth it?".

    Attributes:
        outcome: for programs.
        sentence: for people.
        under: learner -> the verdict against random rows under it, in the words of `verdicts`; the first is the set's
            own kernel.
    """

    outcome: Outcome
    sentence: str
    under: dict[str, str] = field(default_factory=dict)


def by_role(scores: Sequence[Score], role: Role) -> Score | None:
    """The first score with this role, or None."""
    return next((score for score in scores if score.role == role), None)


def verdict(scores: Sequence[Score], under: Mapping[str, str], n_test: int = 0) -> Verdict:
    """Say what the verdicts under several learners amount to.

    The rule, in this order:

    1. "not compared" when the score of the set or of random rows is missing or is not a finite number;
    2. "not better" when it is worse than random rows under its own kernel, or not shown to be better and no higher, or
       no higher than the constant prediction;
    3. "cannot tell" when it is not shown to be better under its own kernel;
    4. "better" when it is shown to be better under another learner, too;
    5. "better under its own kernel only" otherwise.

    Args:
        scores: all scores, of which those of the set, of random rows and of the constant prediction are looked at.
        under: learner -> verdict, of `verdicts.verdicts_of`; the first is the set's own kernel.
        n_test: held-out rows all were measured on; 0 when unknown.
    """
    result, random, constant = (by_role(scores, role) for role in ("result", "random", "constant"))
    missing = result is None or random is None or not math.isfinite(result.value) or not math.isfinite(random.value)
    if missing or not under:
        return Verdict("not compared", "Not compared with random rows: a score is missing.", dict(under))
    assert result is not None and random is not None
    same_budget = result.n_examples == random.n_examples
    rows = "random rows with the same budget" if same_budget else counted(random.n_examples, "random row")
    rows += f" on {counted(n_test, 'test row')}" if n_test else ""
    own, *others = under.values()
    better = [name for name, said in list(under.items())[1:] if said == BETTER]
    also = listed(better)
    if len(better) == len(under) - 1 >= MANY:
        also = f"all {len(better)} learners that were asked"
    trivial = constant is not None and result.value <= constant.value
    if trivial:
        assert constant is not None
        sentence = f"NOT better than the {constant.name}, which gives {score_text(constant.value, constant.metric)}."
        return Verdict("not better", f"{sentence} {_against(own, rows, also)}", dict(under))
    if own == WORSE or (own == UNCLEAR and result.value <= random.value):
        return Verdict("not better", _against(WORSE, rows, also), dict(under))
    if own == UNCLEAR:
        return Verdict("cannot tell", _against(own, rows, also), dict(under))
    if also:
        sentence = f"Better than {rows}, under {OWN_KERNEL} and {also}{_rest(under)}."
        return Verdict("better", sentence, dict(under))
    asked = _rest(under) if others else "; no other learner was asked"
    sentence = f"Better than {rows} under {OWN_KERNEL} only{asked}."
    return Verdict("better under its own kernel only", sentence, dict(under))


def _against(own: str, rows: str, also: str) -> str:
    """Return how the set does beside random rows under its own kernel, and the learners under which it is better."""
    said = {BETTER: f"Better than {rows} under {OWN_KERNEL}", WORSE: f"NOT better than {rows} under {OWN_KERNEL}"}
    told = said.get(own, f"Cannot be told apart from {rows} under {OWN_KERNEL}")
    return f"{told}; better under {also}." if also else f"{told}."


def _rest(under: Mapping[str, str]) -> str:
    """Return the other learners under which a set is worse, or nothing is shown, as the end of a sentence."""
    others = list(under.items())[1:]
    worse, unclear = (listed([name for name, said in others if said == word]) for word in (WORSE, UNCLEAR))
    return (f"; worse under {worse}" if worse else "") + (f"; not shown under {unclear}" if unclear else "")


def listed(names: Sequence[str]) -> str:
    """Return names as words: `knn`, `knn and forest`, `knn, forest and logistic`."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def counted(n: int, noun: str) -> str:
    """`1 row`, `1,400 rows`."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def in_percent(metric: str) -> bool:
    """Return whether scores of this metric are fractions shown in percent."""
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
    """Return one sentence: the figures of the set, of all rows and of random rows.

    A figure is said to be that of all rows only where something was trained on all of them; some rows with labels
    solved on all are called so. Where a figure is no higher than the constant prediction's, the latter is given, too.

    Args:
        what: the set, as the subject of the sentence: "10 learned examples (1 per class)".
        scores: all scores.
        n_train: rows of the original data.
        confidence: level of the intervals.
    """
    result, everything, inducing, random, constant = (
        by_role(scores, role) for role in ("result", "all", "inducing", "random", "constant")
    )
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
    told = [result]
    if everything and math.isfinite(everything.value):
        sentence += f" where {_giving(counted(everything.n_examples, 'row'), everything)}"
        told.append(everything)
    elif inducing and math.isfinite(inducing.value):
        sentence += f" where {_giving(inducing.name, inducing)}"
        told.append(inducing)
    if random and math.isfinite(random.value):
        kind = random.name.removeprefix("random rows").replace(", labels solved", " with labels solved")
        sentence += f"; {_giving(counted(random.n_examples, 'random row') + kind, random)}"
        told.append(random)
    if constant and any(score.value <= constant.value for score in told):
        sentence += f"; the {_giving(constant.name, constant, 'gives')}"
    return f"{sentence}.{_worst(scores, result)}"


def panel_table(scores: Sequence[Score]) -> tuple[list[str], dict[str, dict[str, Score]]]:
    """Return the sets that a panel was trained on, and learner -> set -> score; nothing where there is no panel."""
    rows: dict[str, dict[str, Score]] = {}
    for score in scores:
        if score.learner:
            rows.setdefault(score.learner, {})[score.trained_on] = score
    return list(dict.fromkeys(name for row in rows.values() for name in row)), rows


def _worst(scores: Sequence[Score], result: Score) -> str:
    """Return a sentence on the learner of the panel that the set teaches least; empty where few were asked."""
    _, rows = panel_table(scores)
    own = {learner: row[result.name] for learner, row in rows.items() if result.name in row}
    known = {learner: score for learner, score in own.items() if math.isfinite(score.value)}
    if len(known) < 2:
        return ""
    learner = min(known, key=lambda name: known[name].value)
    drawn = [s for name, s in rows[learner].items() if name.startswith("random rows") and math.isfinite(s.value)]
    rival = max(drawn, key=lambda score: score.value, default=None)
    beside = f", where random rows give {score_text(rival.value, rival.metric)}" if rival else ""
    worst = score_text(known[learner].value, known[learner].metric)
    return f" Of {len(known)} learners trained on them the worst, {learner}, gives {worst}{beside}."


def _giving(what: str, score: Score, verb: str = "") -> str:
    """Return `1,400 rows give 97.8 %`."""
    return f"{what} {verb or ('gives' if score.n_examples == 1 else 'give')} {score_text(score.value, score.metric)}"
