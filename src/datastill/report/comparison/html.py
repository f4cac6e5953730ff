"""A `Comparison` as one self-contained HTML file."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from datastill.data.archive import finite
from datastill.evaluate.scores import counted
from datastill.report.certificate.text import CHANCE, LIMITS, LOSS_WORDS, opening, statement_text
from datastill.report.comparison.entries import (
    Entry,
    budget_text,
    mean_text,
    meaningful,
    range_text,
    set_title,
    share_text,
)
from datastill.report.comparison.panels import Panels, budget_panels, reliability_panels
from datastill.report.comparison.summary import Certified, Comparison, ExampleGrid
from datastill.report.comparison.words import best_set, by_budget, tally_text
from datastill.report.names import method_title, spoken
from datastill.report.pages import render_page
from datastill.report.pictures import Picture, data_uri, picture
from datastill.report.rounding import at_least, at_most

ACROSS = 10
"""Classes side by side in the gallery."""
MAX_CLASSES = 50


@dataclass(frozen=True)
class Cell:
    """One cell of a table coloured by the share of what all rows give.

    Attributes:
        text: the score, or the share.
        small: its interval.
        heat: 0 to 100, or None for no colour.
        mark: ▲, ▼ or nothing.
        about: all that is known of it, for those who point at it.
    """

    text: str
    small: str
    heat: float | None
    mark: str
    verdict: str
    about: str


@dataclass(frozen=True)
class Line:
    """One row of such a table."""

    name: str
    cells: tuple[Cell | None, ...]


@dataclass(frozen=True)
class Group:
    """The rows of one budget."""

    name: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Sheet:
    """Pictures of some classes: the classes, and one line of pictures for each source."""

    classes: tuple[str, ...]
    lines: tuple[tuple[str, tuple[Picture, ...]], ...]


def render_comparison(comparison: Comparison) -> str:
    """Render the report of a comparison as one HTML file that loads nothing and runs no script."""
    main = comparison.main
    shares = [e.relative_to_full for e in main if meaningful(e.relative_to_full)]
    coldest = math.floor(10 * min(shares, default=0.0)) / 10
    chosen = best_set(main)
    return render_page(
        "comparison.html.j2",
        c=comparison,
        verdicts=tally_text(comparison.tally),
        outcome=outcome(comparison.tally),
        groups=heat_map(comparison, min(coldest, 0.9)),
        transfer=transfer(comparison, min(coldest, 0.9)),
        scale=(f"{100 * min(coldest, 0.9):.0f} %", "100 % and more"),
        curves=budget_panels(comparison),
        reliability=reliability_panels(comparison) if comparison.reliability else Panels((), ()),
        sheets=sheets(comparison.exhibit) if comparison.exhibit else (),
        left_out=max(len(comparison.exhibit.classes) - MAX_CLASSES, 0) if comparison.exhibit else 0,
        certified=None if comparison.certified is None else certified_text(comparison, comparison.certified, chosen),
        limits=LIMITS,
        rows=[standing(e, comparison) for e in comparison.entries],
        robust=[robust_row(r, comparison.task) for r in finite([vars(r) for r in comparison.robustness])],
    )


def outcome(tally: dict[str, int]) -> str:
    """Return the colour of the verdicts: of "better" where most are, of "not better" where more are worse.

    Where half of the scores or more are no higher than the constant prediction's, no colour says "better".
    """
    asked = tally["better"] + tally["worse"] + tally["unclear"]
    if 2 * tally["better"] > asked and 2 * tally.get("trivial", 0) < asked:
        return "better"
    return "not-better" if tally["worse"] > tally["better"] else "cannot-tell"


def heat_map(comparison: Comparison, coldest: float) -> tuple[Group, ...]:
    """Return methods × learners for each budget, and all rows and the constant prediction below."""
    groups = []
    main = comparison.main
    for budget, own in reversed(by_budget(main)):
        lines = [
            _line(comparison, [e for e in own if e.name.row == row], coldest)
            for row in dict.fromkeys(e.name.row for e in own)
        ]
        groups.append(Group(budget_text(budget, comparison.task), tuple(lines)))
    if full := [e for e in main if e.full]:
        groups.append(Group(counted(comparison.n_train, "row"), (_line(comparison, full, coldest),)))
    if constant := [e for e in main if e.constant]:
        groups.append(Group("no rows", (_line(comparison, constant, coldest),)))
    return tuple(groups)


def _line(comparison: Comparison, own: Sequence[Entry], coldest: float) -> Line:
    by_learner = {e.learner: e for e in own}
    found = [by_learner.get(learner) for learner in comparison.learners]
    return Line(own[0].title, tuple(None if e is None else _cell(e, comparison, coldest) for e in found))


def _cell(entry: Entry, comparison: Comparison, coldest: float) -> Cell:
    metric = comparison.metric
    text, small = mean_text(entry, metric).removesuffix(" %"), range_text(entry, metric)
    about = [f"{set_title(entry.set, comparison.task)}, {spoken(entry.learner)}: {mean_text(entry, metric)}"]
    about += [f"95 % interval {small}"] if small else []
    about += [f"{share_text(entry.relative_to_full)} of all rows"] if meaningful(entry.relative_to_full) else []
    about += [f"{entry.verdict} (p = {entry.p:.2g})"] if entry.verdict else []
    return Cell(text, small, heat(entry.relative_to_full, coldest), entry.mark, entry.verdict, "; ".join(about))


def heat(share: float, coldest: float) -> float | None:
    """0 at the coldest share, 100 at the score of all rows."""
    if not meaningful(share):
        return None
    return round(100 * min(max((share - coldest) / (1 - coldest), 0), 1), 1)


def transfer(comparison: Comparison, coldest: float) -> tuple[Group, ...]:
    """Sets × learners: shares of what the same learner reaches on all rows, and the least of them."""
    groups = []
    for budget, own in reversed(by_budget(comparison.main)):
        lines = []
        for row in dict.fromkeys(e.name.row for e in own):
            by_learner = {e.learner: e for e in own if e.name.row == row}
            known = [by_learner[learner].relative_to_full for learner in comparison.learners if learner in by_learner]
            whole = len(known) == len(comparison.learners) and all(meaningful(share) for share in known)
            shares = [*known, min(known) if whole else math.nan]
            lines.append(Line(method_title(row), tuple(_share_cell(share, coldest) for share in shares)))
        groups.append(Group(budget_text(budget, comparison.task), tuple(lines)))
    measured = any(meaningful(e.relative_to_full) for e in comparison.main if e.small)
    return tuple(groups) if measured else ()


def _share_cell(share: float, coldest: float) -> Cell:
    text = share_text(share)
    return Cell(text.removesuffix(" %"), "", heat(share, coldest), "", "", text)


def sheets(exhibit: ExampleGrid) -> tuple[Sheet, ...]:
    """The gallery, cut into sheets of ten classes."""
    values = np.concatenate([np.asarray(images, float).ravel() for images in exhibit.columns.values()])
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    found = []
    for start in range(0, min(len(exhibit.classes), MAX_CLASSES), ACROSS):
        part = slice(start, min(start + ACROSS, MAX_CLASSES))
        classes = exhibit.classes[part]
        lines = [
            (name, tuple(_picture(i, c, name, low, high) for i, c in zip(images[part], classes, strict=True)))
            for name, images in exhibit.columns.items()
        ]
        found.append(Sheet(tuple(classes), tuple(lines)))
    return tuple(found)


def _picture(image: np.ndarray, of: str, name: str, low: float, high: float) -> Picture:
    return Picture(data_uri(picture(image, low, high)), f"class {of}: {name}", "")


@dataclass(frozen=True)
class Guarantee:
    """Return the statements of a comparison in words.

    Attributes:
        chosen: the set that the sentences describe.
        paragraphs: one for each learner.
        rows: set, learner, held-out risk, bound, gap, ε, for every statement.
    """

    opening: str
    chosen: str
    paragraphs: tuple[str, ...]
    foundations: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def certified_text(comparison: Comparison, certified: Certified, chosen: str) -> Guarantee:
    """Every statement as numbers, those on one set in sentences as well."""
    sizes = {e.set: e.n for e in comparison.entries}
    own = certified.of(chosen, sizes.get(chosen, 0), comparison.n_train)
    paragraphs = tuple(" ".join(statement_text(s, own)) for s in own.statements)
    rows = []
    for (name, learner), s in certified.statements.items():
        gap = "—" if s.low is None or s.high is None else f"{at_least(s.low)} to {at_most(s.high)}"
        epsilon = "—" if s.epsilon is None else at_most(s.epsilon)
        bound = at_most(s.bound) + (" (says nothing)" if own.vacuous(s) else "")
        rows.append((set_title(name, comparison.task), learner, f"{s.risk:.3f}", bound, gap, epsilon))
    said = (
        LOSS_WORDS[certified.loss],
        f"The statements on {len(rows)} sets and learners hold together; so the best of them may be picked out.",
        CHANCE,
    )
    return Guarantee(opening(own), set_title(chosen, comparison.task), paragraphs, said, tuple(rows))


def standing(entry: Entry, comparison: Comparison) -> tuple[str, ...]:
    """A line of the full table as text."""
    metric = comparison.metric
    points = 100 if metric == "accuracy" else 1

    def number(value: float, digits: int) -> str:
        return f"{value:.{digits}f}".replace("-", "−") if math.isfinite(value) else "—"

    digits = 1 if points == 100 else 3
    return (
        *(entry.set, entry.learner, entry.labels or "—", f"{entry.n:,}", mean_text(entry, metric)),
        *(number(points * entry.deviation, digits), range_text(entry, metric) or "—"),
        *(share_text(entry.relative_to_full), entry.rival or "—", number(points * entry.difference, digits)),
        *(f"{entry.p:.2g}" if math.isfinite(entry.p) else "—", entry.verdict or "—"),
    )


def robust_row(row: dict[str, float | str | None], task: str) -> tuple[str, ...]:
    """A line of the robust scores as text."""
    numbers = [row[k] for k in ("hlr", "ior", "lrs", "ars")]
    shown = ["—" if v is None else f"{v:.3f}".replace("-", "−") for v in numbers]
    return (set_title(str(row["set"]), task), str(row["learner"]), *shown)
