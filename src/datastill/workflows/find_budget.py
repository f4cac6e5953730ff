"""The smallest budget whose set is certified to be an ε-approximation of the data, by a search that pays for its looks.

Budgets are doubled until one is certified, then the gap below it is halved a few times. Which budgets are looked at
depends on what was found before, so the search pays for all K budgets that it could ever come to: every look is
certified at δ/K, and all that is said on the way holds together with probability at least 1 − δ, wherever it ends.
"""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from datastill import _moved
from datastill._errors import InputError
from datastill.certify import Certificate, certify, check_delta
from datastill.data import claims
from datastill.data.archive import write_json
from datastill.data.dataset import Dataset
from datastill.workflows.compare import ComparisonSettings, Encoded, check_method, made

HALVINGS = 3


class Trial(NamedTuple):
    """One budget that was tried.

    Attributes:
        budget: examples per class, or in all for regression.
        certificate: its statements.
    """

    budget: int
    certificate: Certificate

    @property
    def epsilon(self) -> float:
        """The largest certified ε over the learners."""
        return max(said.epsilon or 0.0 for said in self.certificate.statements)


class Search(NamedTuple):
    """The result of the search.

    Attributes:
        budget: the smallest budget certified to reach ε; None if none did.
        looks: in the order in which they were made.
        planned: K, the budgets that were paid for.
    """

    budget: int | None
    looks: tuple[Trial, ...]
    planned: int

    def as_dict(self) -> dict[str, Any]:
        """JSON types."""
        looks = [{"budget": k.budget, "epsilon": k.epsilon, "certificate": k.certificate.as_dict()} for k in self.looks]
        return {"budget": self.budget, "planned_looks": self.planned, "looks": looks}


def find_budget(
    data: Dataset,
    task: str,
    comparison: ComparisonSettings,
    epsilon: float,
    largest: int,
    folder: Path,
    delta: float = 0.05,
) -> Search:
    """Make sets of growing size until every learner's gap to all rows is certified to be at most ε.

    Args:
        data: with held-out rows; no row of them may be among the training rows, see `certify.overlap`.
        task: "classification" or "regression".
        comparison: one method; its learners, kernel and steps. Budgets and seeds are not looked at.
        epsilon: wanted.
        largest: budget at which to give up; at most the rows of the smallest class.
        folder: where sets and what learners did are kept, and found again.
        delta: probability that anything said on the way fails.

    Raises:
        InputError: for bad arguments, or where nothing can be certified; see `certify`.
    """
    if not epsilon > 0:
        raise InputError(f"Got --epsilon {epsilon}; expected a positive number such as 0.02.")
    if largest < 1:
        raise InputError(f"Got {largest} as the largest budget; expected 1 or more.")
    if len(comparison.methods) != 1:
        raise InputError(f"Got {len(comparison.methods)} methods; expected one.")
    check_method(comparison.methods[0], comparison.kernel)
    check_delta(delta)
    known = Encoded.of(data, task)
    with claims.held(folder) as stale:
        claims.tidy(folder, stale)
        return _search(known, comparison, epsilon, min(largest, known.smallest), folder, delta)


def _search(
    known: Encoded, comparison: ComparisonSettings, epsilon: float, largest: int, folder: Path, delta: float
) -> Search:
    """See `find_budget`; the folder is held."""
    ladder = [1]
    while ladder[-1] < largest:
        ladder.append(min(2 * ladder[-1], largest))
    planned = len({*ladder, *(b for gap in pairwise([0, *ladder]) for b in _middles(*gap, HALVINGS))})
    looks: list[Trial] = []

    def reaches(budget: int) -> bool:
        examples = made(known, comparison, f"{comparison.methods[0]} {budget}", folder / "sets", 0)
        certificate, _ = certify(
            examples, known.every, known.held, comparison.learners, delta / planned, folder=folder / "learners"
        )
        failed = [said for said in certificate.statements if said.epsilon is None]
        if failed:
            raise InputError(f"Got the learner {failed[0].learner}, for which there is no gap: {failed[0].note}.")
        certificate = replace(certificate, about={"n_support": len(examples.x), "n_train": len(known.every.x)})
        looks.append(Trial(budget, certificate))
        return looks[-1].epsilon <= epsilon

    first = next((i for i, budget in enumerate(ladder) if reaches(budget)), None)
    found = None
    if first is not None:
        low, found = [0, *ladder][first], ladder[first]
        for _ in range(HALVINGS):
            middle = (low + found) // 2
            if middle > low and reaches(middle):
                found = middle
            else:
                low = middle
    search = Search(found, tuple(looks), planned)
    write_json(folder / "budget.json", {"epsilon": epsilon, "delta": delta, **search.as_dict()})
    return search


def _middles(low: int, high: int, depth: int) -> set[int]:
    """The budgets that halving the gap could come to."""
    middle = (low + high) // 2
    if depth == 0 or middle <= low:
        return set()
    return {middle, *_middles(low, middle, depth - 1), *_middles(middle, high, depth - 1)}


if not TYPE_CHECKING:
    __getattr__ = _moved.renamed(__name__, {"Look": "Trial"})
