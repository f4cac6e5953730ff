"""The parts of the results page about selectors: beside their peers, and what they cost."""

from pathlib import Path
from typing import Any

import drawing
import numpy as np

NAMES = {
    "apricot": "apricot 0.6.1",
    "submodlib": "submodlib 0.0.3",
    "coreax": "coreax 1.0.0",
    "skmatter": "scikit-matter 0.4.1",
    "loop": "NumPy loop",
    "goodpoints_g0": "goodpoints 0.6.3, g=0",
    "goodpoints_g4": "goodpoints 0.6.3, g=4",
}
COLOURS = ("#0f766e", "#b45309", "#4338ca", "#be123c", "#57534e", "#65a30d")


def peers(found: Any) -> list[str]:
    """Each work: seconds, memory and quality, and the ratio of each peer to this library."""
    if not found:
        return []
    lines = [
        "## Selection beside its peers",
        "",
        "The same rows and budget, each selection in a process of its own, in turns on one machine; medians of n "
        "rounds. Facility location is judged by Σ_i (c − min_j ‖x_i − x_j‖²), c the largest squared distance seen, and "
        "by the cost Σ_i min_j ‖x_i − x_j‖² itself. `python benchmarks/selection.py`.",
        "",
        "| work | by | n | seconds | times datastill | peak, GiB | quality |",
        "|---|---|---|---|---|---|---|",
    ]
    for work, results in found["works"].items():
        ours = results["datastill"]
        for who, result in results.items():
            name = NAMES.get(who, who)
            if "failed" in result:
                lines.append(f"| {work} | {name} | – | – | – | – | does not run: {result['failed']} |")
                continue
            ratio = "" if who == "datastill" else f"{result['seconds'] / ours['seconds']:.2g}"
            first = f" (first call {result['first_seconds']:.2f})" if "first_seconds" in result else ""
            cells = (
                work,
                name,
                result["rounds"],
                f"{result['seconds']:.2f}{first}",
                ratio,
                f"{result['peak_bytes'] / 2**30:.1f}",
                _quality(result),
            )
            lines.append(f"| {' | '.join(map(str, cells))} |")
    if "passes" in found:
        passes = found["passes"]
        lines += [
            "",
            f"10⁶ × 50 float32 rows, in units of one pass that sums every row ({passes['pass_seconds']:.3f} s): "
            f"lightweight coreset probabilities {passes['lightweight']:.1f}, ridge leverage scores "
            f"{passes['leverage']:.1f}, and with XᵀX estimated from 100,000 rows {passes['leverage_sampled']:.1f}.",
        ]
    return [*lines, ""]


def _quality(result: dict[str, float]) -> str:
    if "mmd" in result:
        return f"MMD {result['mmd']:.5f}"
    if "radius" in result:
        return f"radius {result['radius']:.4f}"
    return f"objective {result['objective']:.5g}, cost {result['cost']:.5g}"


def costs(found: Any) -> list[str]:
    """A table of the cost of each method at the base size and at a million rows, and the picture of the curves."""
    if not found:
        return []
    n, k, d = found["base"]
    lines = [
        "## What a selector costs",
        "",
        f"One selection without classes, {n:,} rows of {d} columns, {k} picks, one of the three varied at a time; the "
        f"exponents are slopes between the two largest sizes. A dash: more than {found['limit_seconds']} s. "
        "`python benchmarks/selection_cost.py`.",
        "",
        f"| method | seconds | with rows | with picks | with columns | {_largest(found):,} rows, seconds | GiB |",
        "|---|---|---|---|---|---|---|",
    ]
    for method, curves in found["methods"].items():
        base = next((p["seconds"] for p in curves["rows"] if p["size"] == n), float("nan"))
        last = next((p for p in curves["rows"] if p["size"] == _largest(found)), None)
        million = "– | –" if last is None else f"{last['seconds']:.1f} | {last['peak_bytes'] / 2**30:.1f}"
        slopes = " | ".join(_slope(curves[axis]) for axis in ("rows", "budget", "columns"))
        shown = f"{method} (two at a time)" if curves.get("contended") else method
        lines.append(f"| {shown} | {base:.2f} | {slopes} | {million} |")
    return [*lines, "", "![seconds against rows, picks and columns](selection.svg)", ""]


def _largest(found: Any) -> int:
    return max(p["size"] for curves in found["methods"].values() for p in curves["rows"])


def _slope(curve: list[dict[str, float]]) -> str:
    if len(curve) < 2:
        return "–"
    (before, last) = curve[-2:]
    return f"{np.log(last['seconds'] / before['seconds']) / np.log(last['size'] / before['size']):.1f}"


def draw_costs(found: Any, path: Path) -> None:
    """Seconds against rows, picks and columns, one line for each method."""
    from matplotlib.figure import Figure

    if not found:
        return
    figure = Figure(figsize=(9, 5.2), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    for axes, axis, label in zip(panels, ("rows", "budget", "columns"), ("rows", "picks", "columns"), strict=True):
        for number, (method, curves) in enumerate(found["methods"].items()):
            points = curves[axis]
            axes.loglog(
                [p["size"] for p in points],
                [p["seconds"] for p in points],
                marker="os^"[number // len(COLOURS)],
                color=COLOURS[number % len(COLOURS)],
                linestyle=("-", "--", ":")[number // len(COLOURS)],
                linewidth=1,
                markersize=3,
                label=method,
            )
        axes.set_xlabel(label)
        axes.grid(linewidth=0.3)
    panels[0].set_ylabel("seconds")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=6, fontsize=8)
    drawing.save(figure, path)
