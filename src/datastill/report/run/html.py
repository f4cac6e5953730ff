"""A `Summary` as one self-contained HTML file: no network, no scripts, every outside text escaped."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from datastill.evaluate.scores import Score, interval_text, panel_table, score_text
from datastill.report.pages import in_both_schemes, render_page
from datastill.report.pictures import Picture, data_uri
from datastill.report.run.figures import learning_curve, pictures
from datastill.report.run.gallery import Block, Gallery, Panel
from datastill.report.run.summary import Summary
from datastill.report.run.table import TextTable, text_table


@dataclass(frozen=True)
class Bar:
    """One line of the comparison, in words and as lengths in percent of the common axis.

    Attributes:
        zero: where the score zero is; 0 unless there are negative scores.
        left: start of the bar.
        width: its length; None when there is no score.
        low: lower end of the whisker; None when there is no interval.
        high: upper end of the whisker.
    """

    score: Score
    value: str
    interval: str
    zero: float
    left: float
    width: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Strip:
    """The pictures of one block of a panel."""

    label: str
    state: int | None
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class Card:
    """One panel of pictures."""

    name: str
    total: int
    shown: int
    strips: tuple[Strip, ...]


def render(summary: Summary) -> str:
    """The report as the text of one HTML file.

    It loads nothing, runs no script and states so in a Content-Security-Policy; the examples at each saved
    step are chosen with radio buttons and CSS. Text from the summary is escaped and set apart (`<bdi>`).
    """
    gallery = summary.gallery
    as_table = gallery.kind == "table"
    table = text_table(gallery) if as_table else TextTable((), ())
    curves = {}
    if summary.history:
        curves = in_both_schemes(lambda ink: learning_curve(summary.history, summary.metric, ink))
    return render_page(
        "report.html.j2",
        summary=summary,
        gallery=gallery,
        bars=bars([score for score in summary.scores if not score.learner]),
        panel=panel(summary.scores),
        curves=curves,
        curve_alt=_curve_text(summary),
        table=table,
        cards=() if as_table else cards(gallery),
        notes=_notes(gallery, table),
        last=len(gallery.states) - 1,
        wide=any(panel.shown > 2 for panel in gallery.panels),
        level=f"{100 * summary.confidence:g} %",
    )


def panel(scores: Sequence[Score]) -> tuple[tuple[str, ...], tuple[tuple[str, tuple[str, ...]], ...]]:
    """The sets that a panel of learners was trained on, and each learner with its scores."""
    sets, rows = panel_table(scores)

    def cell(score: Score | None) -> str:
        return "—" if score is None else score_text(score.value, score.metric)

    return tuple(sets), tuple((learner, tuple(cell(row.get(name)) for name in sets)) for learner, row in rows.items())


def bars(scores: Sequence[Score]) -> tuple[Bar, ...]:
    """Bars on a common axis from 0 to 1, longer to the left, down to −1, when there are negative scores."""
    ends = [end for score in scores for end in (score.value, score.low) if math.isfinite(end)]
    start = max(min([0.0, *ends]), -1.0)

    def place(value: float) -> float:
        return round(100 * (min(max(value, start), 1.0) - start) / (1.0 - start), 2)

    made = []
    for score in scores:
        zero, end = place(0.0), place(score.value) if math.isfinite(score.value) else None
        ranged = math.isfinite(score.low) and math.isfinite(score.high)
        made.append(
            Bar(
                score=score,
                value=score_text(score.value, score.metric),
                interval=interval_text(score),
                zero=zero,
                left=zero if end is None else min(zero, end),
                width=None if end is None else round(abs(end - zero), 2),
                low=place(score.low) if ranged else None,
                high=place(score.high) if ranged else None,
            )
        )
    return tuple(made)


def cards(gallery: Gallery) -> tuple[Card, ...]:
    """The panels of a gallery of images or strips, with every picture encoded."""
    made = []
    for panel, drawn in zip(gallery.panels, pictures(gallery), strict=True):
        blocks = zip(gallery.blocks(panel), drawn, strict=True)
        strips = tuple(_strip(gallery, panel, block, images) for block, images in blocks)
        made.append(Card(panel.name, panel.total, panel.shown, strips))
    return tuple(made)


def _strip(gallery: Gallery, panel: Panel, block: Block, drawn: Sequence[Image.Image]) -> Strip:
    of = f"class {panel.name}: " if panel.name else ""
    made = []
    for i, image in enumerate(drawn):
        if block.state is None:
            made.append(Picture(data_uri(image), f"{of}{block.label}", ""))
            continue
        target = panel.targets[i] if panel.targets else ""
        about = f", target {target}" if target else ""
        step = gallery.states[block.state].removesuffix(" (kept)")
        at = "the finished set" if step == "kept" else f"step {step}"
        made.append(Picture(data_uri(image), f"{of}{block.label} example {i + 1}{about}, {at}", target))
    return Strip(block.label, block.state, tuple(made))


def _notes(gallery: Gallery, table: TextTable) -> list[str]:
    """Sentences below the gallery: how to read it, and what is left out."""
    notes = []
    has_mean = any(panel.mean is not None for panel in gallery.panels)
    if has_mean and any(not column.numeric for column in table.columns):
        notes.append("The mean of a column of categories is its most frequent one.")
    if gallery.kind == "strips":
        notes.append("Each line is one row: a cell for each column, dark for low values and light for high.")
    if gallery.notes:
        notes += [*gallery.notes, "All examples are in the run's folder."]
    return notes


def _curve_text(summary: Summary) -> str:
    """The learning curve in words."""
    losses = [progress for progress in summary.history if math.isfinite(progress.loss)]
    if not losses:
        return "Learning curve without finite values."
    first, last = losses[0], losses[-1]
    text = f"The loss went from {first.loss:.3g} at step {first.step:,}"
    text += f" to {last.loss:.3g} at step {last.step:,}."
    checked = [(p.step, p.validation) for p in summary.history if p.validation is not None]
    finite = [(step, value) for step, value in checked if math.isfinite(value)]
    if finite:
        step, best = max(finite, key=lambda pair: pair[1])
        text += f" The best validation {summary.metric} was {score_text(best, summary.metric)}, at step {step:,}."
    return text
