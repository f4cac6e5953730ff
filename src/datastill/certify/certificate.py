"""A guarantee on held-out data: what learners trained on a small set risk, and how far that is from all rows.

    risk    R(S) = E ℓ(A(S), z)                      an upper bound from n held-out losses
    gap     R(S) − R(T), T all rows                   a two-sided interval from the paired losses
    ε       max(|low|, |high|)                        S is an ε-approximation of T for the learner A and the loss ℓ

A learner is trained once, with seed 0, and the statement is about that predictor: chance is the draw of the held-out
rows alone. With L learners and both statements for each, every one is made at δ/(2L), so that all hold
together with probability at least 1 − δ (Bonferroni). Rows are taken in a random order, fixed in advance, since the
betting bounds read them one by one.

Losses, all in [0, 1]:

    zero-one   1 for a wrong class
    brier      ½ ‖p − onehot(y)‖², for learners with probabilities
    squared    min(mean over targets of (y − f)², 9)/9, in standard deviations of the training targets

Source: Nguyen, Chen, Lee (2021), arXiv:2011.00050, definition 1; for the bounds see `certify.bounds`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from datastill._errors import InputError
from datastill.certify import bounds
from datastill.data import sampling
from datastill.evaluate.protocol import Examples, HeldOut, Judged, Maker, protocol

SCHEMA = "datastill.certificate/2"
LOSSES = ("zero-one", "brier", "squared")
LEAST_DELTA = 1e-9
SET, FULL = "the set", "all rows"
NOT_AT_HAND = "the training data were not at hand"
CAP = 9.0
"""Squared errors above this, in variances of the training targets, count as this."""


class Check(NamedTuple):
    """A condition of the certificate that was looked into, and what was found."""

    name: str
    found: str


@dataclass(frozen=True)
class Statement:
    """A statement about one learner.

    Attributes:
        learner: its name.
        labels: how it used the labels of the set.
        risk: mean held-out loss of what it learned from the set.
        bound: what its true risk does not exceed.
        bound_by: "Clopper–Pearson" or "betting".
        bernstein: the empirical Bernstein bound at the same level, for reference.
        full_risk: mean held-out loss of what it learned from all rows; None where that was not possible.
        low: lower end of the gap to all rows.
        high: upper end.
        epsilon: max(|low|, |high|).
        note: why there is no gap; empty where there is one.
    """

    learner: str
    labels: str
    risk: float
    bound: float
    bound_by: str
    bernstein: float
    full_risk: float | None = None
    low: float | None = None
    high: float | None = None
    epsilon: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Certificate:
    """Statements that hold together with probability at least 1 − δ, and what they rest on.

    Attributes:
        delta: δ.
        each: the level at which each statement is made.
        loss: one of LOSSES.
        n: held-out rows.
        guessing: risk of always answering what is best without looking at a row, on the same held-out rows.
        statements: one for each learner.
        checks: the conditions.
        about: the set, the data and the versions, as names and values.
    """

    delta: float
    each: float
    loss: str
    n: int
    guessing: float
    statements: tuple[Statement, ...]
    checks: tuple[Check, ...] = ()
    about: Mapping[str, Any] | None = None

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> "Certificate":
        """The inverse of `as_dict`."""
        fields = {k: saved[k] for k in ("delta", "each", "loss", "n", "guessing", "about")}
        statements = tuple(Statement(**{k: v for k, v in s.items() if k != "vacuous"}) for s in saved["statements"])
        return cls(statements=statements, checks=tuple(Check(**c) for c in saved["checks"]), **fields)

    def vacuous(self, statement: Statement) -> bool:
        """Return whether the bound on the risk is no better than guessing."""
        return statement.bound >= self.guessing

    def as_dict(self) -> dict[str, Any]:
        """JSON types."""
        shown = [{**asdict(s), "vacuous": self.vacuous(s)} for s in self.statements]
        checks = [check._asdict() for check in self.checks]
        fields = {k: getattr(self, k) for k in ("delta", "each", "loss", "n", "guessing")}
        return {"schema": SCHEMA, **fields, "statements": shown, "checks": checks, "about": dict(self.about or {})}


class Losses(NamedTuple):
    """Held-out losses of one learner, in [0, 1], in the order in which the bounds read them.

    Attributes:
        small: (n,) trained on the set.
        full: (n,) trained on all rows, or None.
        labels: how it used the labels of the set.
        note: why there is no `full`.
    """

    small: np.ndarray
    full: np.ndarray | None
    labels: str
    note: str = ""


def certify(
    examples: Examples,
    every: Examples | None,
    held: HeldOut,
    learners: Sequence[str],
    delta: float = 0.05,
    loss: str | None = None,
    folder: Path | None = None,
) -> tuple[Certificate, dict[str, Losses]]:
    """Train every learner on the set and on all rows, and state what follows from the held-out losses.

    Args:
        examples: the set.
        every: all rows; None leaves out the gap.
        held: rows that had no part in making the set; see `certify.overlap`.
        learners: names; see `learners.named_learner`.
        delta: probability that any statement fails.
        loss: one of LOSSES; by default "zero-one", in regression "squared".
        folder: where what learners do is kept, and found again.

    Raises:
        InputError: for bad arguments, a learner that fails on the set, classes without held-out rows, or too few rows
            to say anything.
    """
    loss = checked_loss(loss, held)
    check_delta(delta)
    learners = list(dict.fromkeys(learners))
    if not learners:
        raise InputError("Got no learners; expected at least one, such as logistic.")
    classes = examples.vectors.shape[1]
    conditions(classes, held, delta / (2 * len(learners)), loss)
    losses = measured(examples, every, held, learners, loss, folder)
    return stated(losses, held, classes, delta, loss), losses


def measured(
    examples: Examples, every: Examples | None, held: HeldOut, learners: Sequence[str], loss: str, folder: Path | None
) -> dict[str, Losses]:
    """Train learners on the set and on all rows, and return their held-out losses; arguments as of `certify`."""
    sets: dict[str, Maker] = {SET: lambda seed: examples}
    if every is not None:
        sets[FULL] = lambda seed: every
    judged = protocol(sets, learners, held, seeds=1, folder=folder)
    return {name: losses_of(judged, SET, name, loss) for name in learners}


def stated(losses: Mapping[str, Losses], held: HeldOut, classes: int, delta: float, loss: str) -> Certificate:
    """Return what follows from the losses of learners, each statement at δ/(2L).

    Args:
        losses: of every learner, by name.
        held: the held-out rows; only their labels are looked at.
        classes: C; not looked at in regression.
        delta: probability that any statement fails.
        loss: one of LOSSES.

    Raises:
        InputError: where nothing can be stated; see `conditions`.
    """
    each = delta / (2 * len(losses))
    checks = conditions(classes, held, each, loss)
    statements = tuple(state(name, found, each, loss) for name, found in losses.items())
    return Certificate(delta, each, loss, len(held.y), guessing(held, loss), statements, tuple(checks))


def losses_of(judged: Judged, name: str, learner: str, loss: str) -> Losses:
    """Return the losses that the certificate rests on, from the first seed of the protocol.

    Args:
        judged: of the protocol, with the set of all rows under the name FULL, if at all.
        name: of the set.
        learner: its name.
        loss: one of LOSSES.

    Raises:
        InputError: if the learner failed on the set, or has no such loss.
    """
    rows, full = judged.of(name, learner), judged.of(FULL, learner)
    if not len(rows):
        failed = judged.table[(judged.table["set"] == name) & (judged.table["learner"] == learner)]["error"].iloc[0]
        raise InputError(f"Got the learner {learner}, which failed on the set: {failed}; try another.")
    small = _bounded(judged.arrays[rows[0]], learner, loss)
    labels = str(judged.table["labels"].iloc[rows[0]])
    if len(full):
        return Losses(small, _bounded(judged.arrays[full[0]], learner, loss), labels)
    errors = judged.table[(judged.table["set"] == FULL) & (judged.table["learner"] == learner)]["error"]
    note = f"trained on all rows it failed: {errors.iloc[0]}" if len(errors) else NOT_AT_HAND
    return Losses(small, None, labels, note)


def state(learner: str, losses: Losses, each: float, loss: str) -> Statement:
    """The statement that follows from losses, each half of it at level `each`.

    Args:
        learner: its name.
        losses: in an order that does not depend on their values.
        each: probability that the bound on the risk fails, and that the interval for the gap fails.
        loss: one of LOSSES.
    """
    small = np.asarray(losses.small, np.float64)
    bernstein = bounds.empirical_bernstein(small, each)
    if loss == "zero-one":
        bound, by = bounds.clopper_pearson(int(small.sum()), len(small), each), "Clopper–Pearson"
    else:
        bound, by = bounds.betting(small, each), "betting"
    said = Statement(learner, losses.labels, float(small.mean()), bound, by, bernstein, note=losses.note)
    if losses.full is None:
        return said
    full = np.asarray(losses.full, np.float64)
    low, high = bounds.gap(small, full, each)
    return replace(said, full_risk=float(full.mean()), low=low, high=high, epsilon=max(abs(low), abs(high)))


def check_delta(delta: float) -> None:
    """Raise an InputError unless it is a probability that means something."""
    if not LEAST_DELTA <= delta < 1:
        raise InputError(f"Got delta={delta}; expected a number from {LEAST_DELTA:g} to 1, such as 0.05.")


def checked_loss(loss: str | None, held: HeldOut) -> str:
    """The loss, or the usual one of the task; an InputError if it does not fit the task."""
    usual = "squared" if held.regression else "zero-one"
    if loss is not None and (loss not in LOSSES or (loss == "squared") != held.regression):
        fitting = "squared" if held.regression else "zero-one or brier"
        task = "real targets" if held.regression else "classes"
        raise InputError(f"Got the loss {loss!r} for {task}; expected {fitting}.")
    return loss or usual


def guessing(held: HeldOut, loss: str) -> float:
    """Risk of the best constant answer on these rows: the commonest class, their shares, the mean training target."""
    if loss == "squared":
        return float(np.minimum(np.mean(held.y.astype(np.float64) ** 2, axis=1), CAP).mean() / CAP)
    shares = np.bincount(held.y) / len(held.y)
    return float(1 - shares.max() if loss == "zero-one" else (1 - np.sum(shares**2)) / 2)


def enough_rows(n: int, each: float, guess: float) -> Check:
    """Refuse so few rows that not even a learner without a single error could be distinguished from guessing.

    Raises:
        InputError: with the number of rows it takes: ln(each)/ln(1 − guess).
    """
    if guess <= 0:
        raise InputError(
            "Got held-out rows that one constant answer gets right; expected rows of at least two classes or values."
        )
    need = 1 if guess >= 1 else int(np.ceil(np.log(each) / np.log1p(-guess))) + 1
    if n < need:
        raise InputError(
            f"Got {n} held-out rows; expected at least {need}, with which a learner without errors would differ from "
            "guessing at this level; try more rows, fewer learners or a larger delta."
        )
    return Check("enough rows", f"{n:,} held-out rows; at least {need:,} are needed to say anything")


def conditions(classes: int, held: HeldOut, each: float, loss: str) -> list[Check]:
    """Check the conditions of a statement, and return what was found.

    Args:
        classes: C; not looked at in regression.
        held: the held-out rows.
        each: the level of each statement.
        loss: one of LOSSES.

    Raises:
        InputError: where a class does not occur, or there are too few rows.
    """
    return [*_classes_present(classes, held), enough_rows(len(held.y), each, guessing(held, loss))]


def _classes_present(classes: int, held: HeldOut) -> list[Check]:
    if held.regression:
        return []
    missing = sorted(set(range(classes)) - set(np.unique(held.y).tolist()))
    if missing:
        raise InputError(
            f"Got held-out rows without {len(missing)} of {classes} classes (first: number {missing[0]} in sorted "
            "order); expected rows of every class, since nothing can be said of a class that was not seen; try more "
            "rows."
        )
    return [Check("classes present", f"all {classes} classes occur among the held-out rows")]


def _bounded(arrays: Mapping[str, np.ndarray], learner: str, loss: str) -> np.ndarray:
    """(n,) float32 losses in [0, 1], in a random order that is the same for all learners and sets."""
    if loss == "brier" and "brier" not in arrays:
        raise InputError(f"Got the loss 'brier' for {learner}, which gives no probabilities; try zero-one.")
    values = arrays["brier"] / 2 if loss == "brier" else arrays["losses"]
    if loss == "squared":
        values = np.minimum(values, CAP) / CAP
    return np.clip(values, 0, 1).astype(np.float32)[sampling.rng(0, 13).permutation(len(values))]
