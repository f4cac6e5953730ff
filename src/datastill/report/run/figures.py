"""The figures of a run: its examples as pictures, the contact sheet (PNG), the learning curve (SVG)."""

import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator
from PIL import Image, ImageDraw, ImageFont

from datastill._errors import InputError
from datastill.data.dataset import Rows
from datastill.evaluate.scores import in_percent
from datastill.report.pictures import INK, PAPER, QUIET, picture, png
from datastill.report.run.gallery import Gallery
from datastill.report.run.summary import Progress

TILE, GAP, CAPTION, MARGIN, LABEL = 64, 8, 20, 24, 132
STRIP_WIDTH, STRIP_HEIGHT = 512, 18


def pictures(gallery: Gallery) -> list[list[list[Image.Image]]]:
    """Every shown row as a picture: by panel, by block (in the order of `Gallery.blocks`), by row.

    Images are drawn in the gallery's value range; rows of tables and vectors as a strip of coloured cells,
    each column scaled from its smallest to its largest value shown.
    """
    blocks = [[block.rows for block in gallery.blocks(panel)] for panel in gallery.panels]
    if gallery.kind == "images":
        low, high = gallery.value_range
        return [[[picture(row, low, high) for row in np.asarray(rows)] for rows in panel] for panel in blocks]
    scaled = iter(_scaled([rows for panel in blocks for rows in panel]))
    return [[[_strip(row) for row in next(scaled)] for _ in panel] for panel in blocks]


def support_grid(gallery: Gallery) -> bytes:
    """The finished examples on one white sheet, as PNG bytes.

    One captioned cell for each example when no class has two (or there are no classes), else one row of
    examples for each class, its name at the left.
    """
    rows = []
    for panel, drawn in zip(gallery.panels, pictures(gallery), strict=True):
        rows.append((panel.name, panel.targets, [_enlarged(one, gallery.kind) for one in drawn[-1]]))
    cells = [(targets[i] if targets else name, one) for name, targets, row in rows for i, one in enumerate(row)]
    if not cells:
        return png(_sheet([("no examples", Image.new("RGB", (TILE, TILE), PAPER))], across=1))
    if gallery.kind == "images" and all(targets or len(row) <= 1 for _, targets, row in rows):
        across = max(1, round((1.6 * len(cells)) ** 0.5)) if len(cells) > 5 else len(cells)
        return png(_sheet(cells, across))
    if gallery.kind == "images":
        return png(_ledger([(name, row) for name, _, row in rows]))
    lines = [(caption if i == 0 or caption != cells[i - 1][0] else "", [one]) for i, (caption, one) in enumerate(cells)]
    return png(_ledger(lines))


def learning_curve(history: Sequence[Progress], metric: str = "accuracy", ink: str = INK) -> bytes:
    """Loss, and below it the validation score, against the step, as SVG bytes with a transparent background.

    Args:
        history: the recorded steps; values that are not finite are left out.
        metric: name of the validation score.
        ink: colour of axes and text.

    Raises:
        InputError: when the history is empty.
    """
    if not history:
        raise InputError("Got an empty history, expected at least one step.")
    loss = [(p.step, p.loss) for p in history if np.isfinite(p.loss)]
    percent = 100.0 if in_percent(metric) else 1.0
    checked = [(p.step, p.validation) for p in history if p.validation is not None]
    scores = [(step, percent * value) for step, value in checked if np.isfinite(value)]
    panels = [("loss", loss, "#d9541e")]
    if scores:
        panels.append((f"validation {metric}" + (" (%)" if percent > 1 else ""), scores, "#12897f"))
    with mpl.rc_context({"svg.hashsalt": "datastill", "font.size": 10.0, "axes.linewidth": 0.6}):
        figure = Figure(figsize=(4.9, 1.2 + 1.5 * len(panels)), layout=ConstrainedLayoutEngine(hspace=0.15))
        FigureCanvasAgg(figure)
        axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
        for ax, (name, points, colour) in zip(axes, panels, strict=True):
            _plot(ax, name, points, colour, ink)
        axes[-1].set_xlabel("step", color=ink)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return buffer.getvalue()


def _plot(ax: Axes, name: str, points: Sequence[tuple[int, float]], colour: str, ink: str) -> None:
    """One quiet panel: a title in place of an axis label, a dot on the last point."""
    ax.set_title(name, loc="left", fontsize=10, color=ink)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(QUIET)
    ax.tick_params(colors=ink, length=3, width=0.6, which="both", labelsize=9)
    ax.grid(axis="y", color=QUIET, alpha=0.25, linewidth=0.5)
    if not points:
        ax.text(0.5, 0.5, "no finite values", transform=ax.transAxes, ha="center", va="center", color=ink)
        return
    steps, values = zip(*points, strict=True)
    ax.plot(steps, values, color=colour, linewidth=1.6)
    ax.plot(steps[-1:], values[-1:], "o", color=colour, markersize=4.5)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    if min(values) > 0 and max(values) > 20 * min(values):
        ax.set_yscale("log")


def _scaled(parts: Sequence[Rows]) -> list[np.ndarray]:
    """Rows as numbers from 0 to 1, column by column over all parts; categories in order of their names."""
    frames = [part if isinstance(part, pd.DataFrame) else _frame(part) for part in parts]
    columns = []
    for j in range(frames[0].shape[1] if frames else 0):
        column = pd.concat([frame.iloc[:, j].astype(object) for frame in frames], ignore_index=True)
        values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=np.nan, copy=True)
        if np.isnan(values).sum() > column.isna().sum():
            values = pd.factorize(column.astype(str), sort=True)[0].astype(float)
        values[~np.isfinite(values)] = np.nan
        low, high = (np.nanmin(values), np.nanmax(values)) if np.isfinite(values).any() else (0.0, 0.0)
        columns.append(np.nan_to_num((values - low) / (high - low) if high > low else 0.5 + 0 * values))
    stacked = np.stack(columns, axis=1) if columns else np.zeros((sum(map(len, frames)), 1))
    return np.split(stacked, np.cumsum([len(frame) for frame in frames])[:-1])


def _frame(part: np.ndarray) -> pd.DataFrame:
    flat = np.asarray(part).reshape(len(part), -1)
    if flat.shape[1] > STRIP_WIDTH and flat.dtype != object:
        bounds = np.linspace(0, flat.shape[1], STRIP_WIDTH, endpoint=False).astype(int)
        widths = np.diff([*bounds, flat.shape[1]])
        flat = np.add.reduceat(flat.astype(float), bounds, axis=1) / widths
    return pd.DataFrame(flat)


def _strip(values: np.ndarray) -> Image.Image:
    coloured = mpl.colormaps["cividis"](values[None, :], bytes=True)[..., :3]
    return Image.fromarray(np.ascontiguousarray(coloured))


def _enlarged(drawn: Image.Image, kind: str) -> Image.Image:
    """A small image grown by a whole factor without smoothing; a strip stretched to the sheet's width."""
    if kind != "images":
        return drawn.convert("RGB").resize((STRIP_WIDTH, STRIP_HEIGHT), Image.Resampling.NEAREST)
    factor = max(1, round(TILE / max(drawn.size)))
    grown = (drawn.width * factor, drawn.height * factor)
    return drawn.convert("RGB").resize(grown, Image.Resampling.NEAREST)


def _font() -> ImageFont.FreeTypeFont:
    path = Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    return ImageFont.truetype(str(path), 12, layout_engine=ImageFont.Layout.BASIC)


def _fitted(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """The text on one line, cut with an ellipsis where it is too long."""
    line = "".join(letter if letter.isprintable() else " " for letter in text[:80])
    if len(text) <= 80 and font.getlength(line) <= width:
        return line
    while line and font.getlength(line + "…") > width:
        line = line[:-1]
    return line + "…"


def _sheet(cells: Sequence[tuple[str, Image.Image]], across: int) -> Image.Image:
    """A grid of pictures with a caption under each."""
    font = _font()
    wide, high = max(one.width for _, one in cells), max(one.height for _, one in cells)
    wide = max(wide, TILE)
    down = -(-len(cells) // across)
    size = (
        2 * MARGIN + across * (wide + 2 * GAP) - 2 * GAP,
        2 * MARGIN + down * (high + CAPTION + GAP) - GAP,
    )
    sheet = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(sheet)
    for i, (caption, one) in enumerate(cells):
        left = MARGIN + (i % across) * (wide + 2 * GAP)
        top = MARGIN + (i // across) * (high + CAPTION + GAP)
        sheet.paste(one, (left + (wide - one.width) // 2, top))
        fitted = _fitted(caption, font, wide + GAP)
        pen.text((left + wide / 2, top + high + 3), fitted, fill=INK, font=font, anchor="ma")
    return sheet


def _ledger(rows: Sequence[tuple[str, Sequence[Image.Image]]]) -> Image.Image:
    """A line of pictures for each class, its name at the left."""
    font = _font()
    drawn = [one for _, row in rows for one in row]
    wide, high = max(one.width for one in drawn), max(one.height for one in drawn)
    across = max(len(row) for _, row in rows)
    label = min(LABEL, 2 * GAP + round(max(font.getlength(name[:80]) for name, _ in rows)))
    width = 2 * MARGIN + label + across * (wide + GAP) - GAP
    sheet = Image.new("RGB", (width, 2 * MARGIN + len(rows) * (high + GAP) - GAP), PAPER)
    pen = ImageDraw.Draw(sheet)
    for i, (name, row) in enumerate(rows):
        top = MARGIN + i * (high + GAP)
        fitted = _fitted(name, font, label - 2 * GAP)
        pen.text((MARGIN + label - 2 * GAP, top + high / 2), fitted, fill=INK, font=font, anchor="rm")
        for j, one in enumerate(row):
            sheet.paste(one, (MARGIN + label + j * (wide + GAP), top))
    return sheet
