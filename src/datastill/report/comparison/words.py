"""A comparison in sentences: what was best, how often random rows were beaten, and what the figures hold for."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from datastill.evaluate.constant import WORDS
from datastill.evaluate.scores import counted, in_percent
from datastill.evaluate.verdicts import BETTER, UNCLEAR, WORSE
from datastill.learners.kernel_ridge import INDUCING_ROWS, MOST_ROWS
from datastill.report.comparison.entries import Entry, budget_text, mean_text, meaningful, range_text, share_text
from datastill.report.names import SOLVED, spoken


class Facts(NamedTuple):
    """Context of the sentences besides the standings."""

    task: str
    metric: str
    n_train: int
    n_test: int
    seeds: int


def best_of(entries: Sequence[Entry]) -> Entry | None:
    """The highest mean among those that did not fail."""
    return max((e for e in entries if not e.failed), key=lambda e: e.mean, default=None)


def by_budget(entries: Sequence[Entry]) -> list[tuple[int | None, list[Entry]]]:
    """The entries of small sets, largest budget first."""
    small = [e for e in entries if e.small]
    budgets = sorted({e.name.budget for e in small}, key=lambda b: -1 if b is None else b, reverse=True)
    return [(budget, [e for e in small if e.name.budget == budget]) for budget in budgets]


def best_set(entries: Sequence[Entry]) -> str:
    """The name of the set that the first headline is about; empty where nothing was measured."""
    found = (best_of(own) for _, own in by_budget(entries))
    return next((best.set for best in found if best is not None), "")


def headlines(entries: Sequence[Entry], facts: Facts) -> list[str]:
    """The best set and learner of each budget, largest first; one sentence that says so where nothing was measured."""
    found = []
    for budget, own in by_budget(entries):
        best = best_of(own)
        if best is not None:
            found.append(f"Best of {budget_text(budget, facts.task)}: {_told(best, own, entries, facts)}")
    return found or ["Nothing was measured: every learner failed on every set."]


def _told(best: Entry, own: Sequence[Entry], entries: Sequence[Entry], facts: Facts) -> str:
    learner = spoken(best.learner)
    told = f"{learner} reaches {_score(best, facts.metric)}"
    if interval := range_text(best, facts.metric):
        told += f" ({interval})"
    told += f" with {best.title}"
    full = next((e for e in entries if e.full and e.learner == best.learner), None)
    if full and full.failed:
        told += "; with all rows it failed"
    elif full and not in_percent(facts.metric):
        told += f"; {_everything(best.learner, facts)} give it {mean_text(full, facts.metric)}"
    elif meaningful(best.relative_to_full):
        told += f", {share_text(best.relative_to_full)} of what {_everything(best.learner, facts)} give it"
    if best.random:
        other = best_of([e for e in own if not e.random])
        if other is None:
            return f"{told}.{_beside_constant(best, entries, facts)}"
        rest = f"the best method, {other.title}, gives {spoken(other.learner)} {_score(other, facts.metric)}"
        return f"{told}. No method does better; {rest}.{_beside_constant(best, entries, facts)}"
    rivals = [e for e in own if e.learner == best.learner and not e.failed and e.set != best.set]
    given = next((e for e in rivals if e.random and e.name.taught == best.name.taught), None)
    solved = next((e for e in rivals if e.set == best.rival and e.name.base == SOLVED), None)
    if given:
        told += f"; {given.title} give it {mean_text(given, facts.metric)}"
    if given and solved:
        told += f", with solved labels {mean_text(solved, facts.metric)}"
    return f"{told}.{_beside_constant(best, entries, facts)}"


def _everything(learner: str, facts: Facts) -> str:
    """Return `all 1,400 rows`, and how kernel ridge regression learns from more rows than it can solve for."""
    through = learner.partition(":")[0] == "krr" and facts.n_train > MOST_ROWS
    return f"all {facts.n_train:,} rows" + (f", through {INDUCING_ROWS:,} of them," if through else "")


def _beside_constant(best: Entry, entries: Sequence[Entry], facts: Facts) -> str:
    """Return a sentence where even the best is not above the constant prediction."""
    constant = next((e for e in entries if e.constant and e.learner == best.learner), None)
    if constant is None or best.mean > constant.mean:
        return ""
    return f" The constant prediction gives {mean_text(constant, facts.metric)}: the set is no better than it."


def _score(entry: Entry, metric: str) -> str:
    text = mean_text(entry, metric)
    return text if in_percent(metric) else f"an {metric} of {text}"


def tally(entries: Sequence[Entry]) -> dict[str, int]:
    """Return how many verdicts there are of each kind, and how many sets and learners failed or beat no constant."""
    kinds = {"better": BETTER, "worse": WORSE, "unclear": UNCLEAR}
    constant = {(e.learner, e.asked): e.mean for e in entries if e.constant}
    trivial = [e for e in entries if e.small and e.mean <= constant.get((e.learner, e.asked), -math.inf)]
    return {k: sum(e.verdict == v for e in entries) for k, v in kinds.items()} | {
        "failed": sum(e.failed for e in entries),
        "trivial": len(trivial),
    }


def tally_text(found: dict[str, int]) -> str:
    """The tally as a sentence; empty where nothing was compared."""
    asked = found["better"] + found["worse"] + found["unclear"]
    if not asked:
        return ""
    told = (
        f"Better than random rows in {found['better']} of {counted(asked, 'comparison')}, worse in {found['worse']}; "
        f"{found['unclear']} cannot be told apart."
    )
    trivial = found.get("trivial", 0)
    if trivial:
        told += f" {counted(trivial, 'score')} of sets {'is' if trivial == 1 else 'are'} no higher than the constant "
        told += "prediction's."
    return told


def sentences(entries: Sequence[Entry], facts: Facts) -> list[str]:
    """Return the sentences on what the figures hold for, and what they do not."""
    found = [
        f"Scores are {'means over ' + str(facts.seeds) + ' seeds' if facts.seeds > 1 else 'of one seed'}, on the same "
        f"{counted(facts.n_test, 'held-out row')}. Intervals are at 95 %, for the draw of the rows"
        + (" and of the seeds." if facts.seeds > 1 else " alone.")
    ]
    if any(e.verdict for e in entries):
        found.append(
            "▲ better and ▼ worse than random rows of the same budget, with labels that came about in the same way, or "
            "than random rows in proportion to the classes where those do better; with probability 95 % none of these "
            "marks is wrong (Holm)."
        )
    if any(e.constant for e in entries):
        found.append(f"The constant prediction is the {WORDS[facts.task == 'regression']} of the training rows.")
    if facts.n_train > MOST_ROWS and any(e.full and e.learner.partition(":")[0] == "krr" for e in entries):
        found.append(
            f"Kernel ridge regression learns from all rows through {INDUCING_ROWS:,} random ones, with labels solved "
            "on all."
        )
    if any(e.full for e in entries) and facts.seeds > 1:
        found.append("All rows were judged once, with the first seed.")
    found.append(
        "The best is named after a look at these same rows, which flatters it a little. Measure it on new rows before "
        "you rely on it. Another learner, or other settings, may do much better or much worse."
    )
    if failed := sum(e.failed for e in entries):
        found.append(f"No score, since the learner failed: {failed} of {len(entries)} sets and learners.")
    return found
