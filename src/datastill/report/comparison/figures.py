"""Figures of a comparison (SVG): scores against the budget, and confidence against accuracy."""

import io
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from datastill.report.pictures import QUIET

WIDTH, HEIGHT = 3.6, 2.7
SMALLEST = 3.0
"""Points, of the mark for the bin with the fewest rows."""


class Style(NamedTuple):
    """The style of a line, in the page's legend too.

    Attributes:
        colour: of both schemes.
        dashes: lengths on and off, in line widths; empty for an unbroken line.
        marker: of matplotlib.
    """

    colour: str
    dashes: tuple[float, ...] = ()
    marker: str = "o"

    @property
    def svg(self) -> str:
        """The dashes in pixels of the legend."""
        return " ".join(f"{2 * length:g}" for length in self.dashes)


RANDOM_STYLE = Style("#858d99", (3, 2))
STYLES = (
    Style("#12897f", (), "o"),
    Style("#d9541e", (), "s"),
    Style("#3f7fdc", (), "D"),
    Style("#b64c9d", (), "^"),
    Style("#8d8500", (5, 1.5), "v"),
    Style("#7c66e3", (5, 1.5), "P"),
    Style("#c27c00", (1, 1), "X"),
)


class Point(NamedTuple):
    """A score at a budget, with its interval; already in the units of the axis."""

    budget: int
    mean: float
    low: float
    high: float


def budget_curve(
    series: Mapping[str, Sequence[Point]],
    styles: Mapping[str, Style],
    full: float,
    limits: tuple[float, float],
    label: str,
    ink: str,
) -> bytes:
    """One panel: a line and a band for each method, and a level line for all rows; SVG bytes.

    Args:
        series: method -> its points by budget; values that are not finite are left out.
        styles: method -> how it is drawn.
        full: score of all rows; NaN for no line.
        limits: of the score's axis.
        label: of the score's axis.
        ink: colour of axes and text.
    """
    with mpl.rc_context({"svg.hashsalt": "datastill", "font.size": 9.0, "axes.linewidth": 0.6}):
        figure, ax = _panel(ink)
        budgets = sorted({p.budget for points in series.values() for p in points})
        if math.isfinite(full):
            ax.axhline(full, color=ink, linewidth=1.0, linestyle=(0, (1, 2)))
        for name, points in series.items():
            style, kept = styles[name], [p for p in points if math.isfinite(p.mean)]
            x, y = [p.budget for p in kept], [p.mean for p in kept]
            ends = [(p.low, p.high) if math.isfinite(p.low + p.high) else (p.mean, p.mean) for p in kept]
            lows, highs = [low for low, _ in ends], [high for _, high in ends]
            ax.fill_between(x, lows, highs, color=style.colour, alpha=0.1, linewidth=0)
            line = (0, style.dashes) if style.dashes else "-"
            ax.plot(x, y, color=style.colour, linestyle=line, linewidth=1.5, marker=style.marker, markersize=4)
        if budgets and budgets[-1] >= 4 * budgets[0]:
            ax.set_xscale("log")
        ax.xaxis.set_major_locator(FixedLocator(budgets))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_xticks(budgets, [f"{b:,}" for b in budgets])
        ax.set_ylim(*limits)
        ax.set_ylabel(label, color=ink)
        return _svg(figure)


def reliability_diagram(
    bins: Mapping[str, Sequence[tuple[int, float, float]]], styles: Mapping[str, Style], ink: str
) -> bytes:
    """One panel: accuracy against confidence by bin, marks as large as the bin's share of rows; SVG bytes.

    Args:
        bins: name -> (rows, mean confidence, accuracy).
        styles: name -> how it is drawn.
        ink: colour of axes and text.
    """
    with mpl.rc_context({"svg.hashsalt": "datastill", "font.size": 9.0, "axes.linewidth": 0.6}):
        figure, ax = _panel(ink)
        ax.plot([0, 100], [0, 100], color=ink, linewidth=0.8, linestyle=(0, (1, 2)))
        for name, found in bins.items():
            if not found:
                continue
            style, total = styles[name], sum(n for n, *_ in found)
            x, y = [100 * c for _, c, _ in found], [100 * a for *_, a in found]
            line = (0, style.dashes) if style.dashes else "-"
            ax.plot(x, y, color=style.colour, linestyle=line, linewidth=1.2, alpha=0.5)
            sizes = [SMALLEST**2 * (1 + 6 * n / total) for n, *_ in found]
            ax.scatter(x, y, s=sizes, color=style.colour, marker=style.marker, zorder=3, linewidth=0)
        ax.set_xlim(0, 103)
        ax.set_ylim(-3, 103)
        ax.set_xlabel("confidence (%)", color=ink)
        ax.set_ylabel("accuracy (%)", color=ink)
        return _svg(figure)


def _panel(ink: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    FigureCanvasAgg(figure)
    ax = figure.subplots()
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(QUIET)
    ax.tick_params(colors=ink, length=3, width=0.6, which="both", labelsize=8.5)
    ax.grid(axis="y", color=QUIET, alpha=0.25, linewidth=0.5)
    return figure, ax


def _svg(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return buffer.getvalue()
