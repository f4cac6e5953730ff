"""Small multiples of a comparison, one panel for each learner: what is drawn, its legend, and the same in words."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from datastill.evaluate.scores import in_percent, score_text
from datastill.report.comparison.entries import Entry, mean_text, set_title
from datastill.report.comparison.figures import (
    RANDOM_STYLE,
    STYLES,
    Point,
    Style,
    budget_curve,
    reliability_diagram,
)
from datastill.report.comparison.summary import Comparison
from datastill.report.comparison.words import best_of, by_budget
from datastill.report.names import RANDOM, method_title, spoken
from datastill.report.pages import in_both_schemes

LOWEST = -1.0
"""Of the axis of R²; worse than that is worse in any case."""


@dataclass(frozen=True)
class Panel:
    """One figure, its heading, the same in words, and what is said below it.

    Attributes:
        note: may be empty.
    """

    name: str
    uris: dict[str, str]
    alt: str
    note: str = ""


@dataclass(frozen=True)
class Panels:
    """Figures that share a legend.

    Attributes:
        left_out: how many methods are not drawn.
    """

    panels: tuple[Panel, ...]
    legend: tuple[tuple[str, Style], ...]
    left_out: int = 0


def budget_panels(comparison: Comparison) -> Panels:
    """Scores against the budget; none where there is one budget only."""
    small = [e for e in comparison.main if e.small and e.name.budget is not None]
    if len({e.name.budget for e in small if not e.failed}) < 2:
        return Panels((), ())
    styles, left_out = _styles(small)
    scale = 100.0 if in_percent(comparison.metric) else 1.0
    drawn = [e for e in comparison.main if e.full or e.name.row in styles]
    limits = _limits([scale * v for e in drawn for v in (e.mean, e.low, e.high)], scale)
    panels = []
    for learner in comparison.learners:
        own = [e for e in drawn if e.learner == learner]
        if all(e.failed for e in own):
            continue
        series = {row: _points([e for e in own if e.small and e.name.row == row], scale) for row in styles}
        full = next((scale * e.mean for e in own if e.full), math.nan)
        label = comparison.metric + (" (%)" if scale > 1 else "")
        uris = in_both_schemes(partial(budget_curve, series, styles, full, limits, label))
        panels.append(Panel(spoken(learner), uris, _curve_text(learner, own, comparison.metric)))
    return Panels(tuple(panels), tuple((method_title(row), s) for row, s in styles.items()), left_out)


def reliability_panels(comparison: Comparison) -> Panels:
    """Accuracy against confidence for all rows, random rows, and the best set, at the largest budget."""
    budgets = by_budget(comparison.main)
    known = {(r.set, r.learner): r for r in comparison.reliability}
    largest = next((own for _, own in budgets if any((e.set, e.learner) in known for e in own)), [])
    legend = {"all rows": Style(STYLES[2].colour, (), "D"), "random rows": RANDOM_STYLE, "best set": STYLES[0]}
    panels = []
    for learner in comparison.learners:
        own = [e for e in largest if e.learner == learner and (e.set, learner) in known]
        full = next((e for e in comparison.main if e.full and e.learner == learner), None)
        best = best_of([e for e in own if not e.random])
        sources = {"all rows": full, "random rows": next((e for e in own if e.random), None), "best set": best}
        shown = {k: known[e.set, learner] for k, e in sources.items() if e is not None and (e.set, learner) in known}
        if not shown:
            continue
        bins = {name: of.bins for name, of in shown.items()}
        uris = in_both_schemes(partial(reliability_diagram, bins, legend))
        note = "; ".join(f"{set_title(r.set, comparison.task)} {score_text(r.ece, 'accuracy')}" for r in shown.values())
        alt = f"Accuracy against confidence of {spoken(learner)}, mean distance: {note}."
        panels.append(Panel(spoken(learner), uris, alt, f"Mean distance from the dotted line: {note}."))
    return Panels(tuple(panels), tuple(legend.items()))


def _styles(entries: Sequence[Entry]) -> tuple[dict[str, Style], int]:
    """Row of the heat map -> its line: random rows, and the best others; how many are left out."""
    rows = list(dict.fromkeys(e.name.row for e in entries))
    others = [row for row in rows if row != RANDOM]
    mean = {row: best.mean for row in others if (best := best_of([e for e in entries if e.name.row == row]))}
    kept = sorted(mean, key=lambda row: -mean[row])[: len(STYLES)]
    styles = {RANDOM: RANDOM_STYLE} if RANDOM in rows else {}
    styles |= dict(zip([row for row in others if row in kept], STYLES, strict=False))
    return styles, len(others) - len(kept)


def _points(own: Sequence[Entry], scale: float) -> list[Point]:
    points = [Point(e.name.budget or 0, scale * e.mean, scale * e.low, scale * e.high) for e in own]
    return sorted(points)


def _limits(values: Sequence[float], scale: float) -> tuple[float, float]:
    """A little more than the values span; the score of all rows is at most 1."""
    kept = [max(v, LOWEST * scale) for v in values if math.isfinite(v)]
    low, high = min(kept, default=0.0), max(kept, default=scale)
    margin = 0.04 * max(high - low, 0.02 * scale)
    return low - margin, high + margin


def _curve_text(learner: str, own: Sequence[Entry], metric: str) -> str:
    """The panel in words: every method at its smallest and largest budget, and all rows."""
    parts = []
    for row in dict.fromkeys(e.name.row for e in own if e.small):
        of = sorted((e for e in own if e.name.row == row and not e.failed), key=lambda e: e.name.budget or 0)
        if of:
            ends = list(dict.fromkeys([of[0], of[-1]]))
            parts.append(f"{of[0].title} " + ", ".join(f"{mean_text(e, metric)} at {e.name.budget:,}" for e in ends))
    parts += [f"all rows {mean_text(e, metric)}" for e in own if e.full]
    return f"{spoken(learner)}: {'; '.join(parts)}."
