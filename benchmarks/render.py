"""Render the committed result files into docs/results.md and the table of README.md.

python benchmarks/render.py
"""

import json
from collections import defaultdict
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import drawing
import render_best_of
import render_judge
import render_kernels
import render_moments
import render_selection
import render_teaching
import render_universal

HERE = Path(__file__).parent
RESULTS = HERE / "results"
PAGE = HERE.parent / "docs" / "results.md"
README = HERE.parent / "README.md"
MARKS = "<!-- results -->", "<!-- /results -->"
NAMES = {
    "plain": "KIP, fixed labels, no augmentation",
    "learned": "KIP, learned labels, augmentation",
    "label-solve": "Label Solve",
}


def read(name: str) -> Any:
    """A result file, or None."""
    path = RESULTS / name
    return json.loads(path.read_text()) if path.exists() else None


Cell = tuple[str, str, str]


def accuracies() -> dict[Cell, dict[int, list[dict[str, Any]]]]:
    """Data, kernel and method -> number of points -> one record for each seed."""
    cells: dict[Cell, dict[int, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for path in sorted((RESULTS / "tables").glob("*.json")):
        cell = json.loads(path.read_text())
        cells[cell["data"], cell["kernel"], cell["variant"]][cell["points"]].append(cell)
    return cells


def tables() -> list[str]:
    """The table of accuracies: mean over seeds, spread, published figure."""
    cells = accuracies()
    if not cells:
        return []
    lines = [
        "## Accuracy at 10, 100 and 500 points",
        "",
        "Test accuracy in percent of kernel ridge regression under the distilling kernel: mean ± standard deviation",
        "over seeds (n), and the published figure. Settings were chosen on training rows only.",
        "`python benchmarks/tables.py`.",
        "",
        "| data, kernel, method | points | here | n | published | difference | seconds to learn |",
        "|---|---|---|---|---|---|---|",
    ]
    for (data, kernel, variant), sizes in sorted(cells.items()):
        for points, runs in sorted(sizes.items()):
            scores = [run["test_accuracy"] for run in runs]
            spread = f" ± {stdev(scores):.1f}" if len(scores) > 1 else ""
            published = runs[0]["published"]
            seconds = mean(run["train_seconds"] for run in runs)
            lines.append(
                f"| {data}, {kernel}, {NAMES[variant]} | {points} | **{mean(scores):.1f}**{spread} | {len(scores)} "
                f"| {published} | {mean(scores) - published:+.1f} | {seconds:.0f} |"
            )
    return [*lines, ""]


def notebook() -> list[str]:
    """Time to the accuracy of the released notebook."""
    found = read("notebook_time.json")
    if not found:
        return []
    lines = [
        "## Time to the released notebook's accuracy",
        "",
        f"CIFAR-10, FC1 NTK, 100 points. The notebook reports {found['target_accuracy']} % after 300 steps; its",
        "settings and `KIP` ran in turns on one machine, from raw pixels, compilation included.",
        "`python benchmarks/notebook_time.py`.",
        "",
        "| round | notebook, float64 | notebook, float32 | KIP here |",
        "|---|---|---|---|",
    ]
    for number, round_ in enumerate(found["rounds"]):
        shown = [
            f"{round_[name]['accuracy']:.1f} % in {round_[name]['seconds']:.1f} s"
            for name in ("notebook_float64", "notebook_float32", "ours")
        ]
        lines.append(f"| {number} | {' | '.join(shown)} |")
    ratio = found["median_time_ratio"]
    steps = found["rounds"][0]["ours"]["steps"]
    lines += [
        "",
        f"Median ratio of times: {ratio['notebook_float64']:.1f} against float64, "
        f"{ratio['notebook_float32']:.1f} against float32; {steps} steps against 300.",
        "",
    ]
    return lines


def scaling() -> list[str]:
    """Cost of a step against rows."""
    found = read("scaling.json")
    if not found:
        return []
    lines = [
        "## Cost of a step against rows",
        "",
        f"Full-batch step, FC1 NTK, {found['columns']} columns, {found['points']} points, a budget of "
        f"{found['budget_bytes'] / 2**20:.0f} MiB for working arrays. `python benchmarks/scaling.py`.",
        "",
        "| rows | seconds a step | microseconds a row | working arrays, MiB | process peak, MiB |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {p['rows']:,} | {p['step_seconds']:.4f} | {1e6 * p['step_seconds'] / p['rows']:.2f} "
        f"| {p['working_bytes'] / 2**20:.0f} | {p['peak_bytes'] / 2**20:.0f} |"
        for p in found["curve"]
    ]
    return [*lines, "", "![seconds a step against rows](scaling.svg)", ""]


def draw_scaling() -> None:
    """The curve as a picture."""
    from matplotlib.figure import Figure

    found = read("scaling.json")
    if not found:
        return
    figure = Figure(figsize=(6, 3.2), layout="constrained")
    axes = figure.add_subplot()
    rows = [p["rows"] for p in found["curve"]]
    axes.loglog(rows, [p["step_seconds"] for p in found["curve"]], "o-", color="#0f766e", label="seconds a step")
    memory = axes.twinx()
    memory.semilogx(rows, [p["working_bytes"] / 2**20 for p in found["curve"]], "s--", color="#b45309")
    memory.axhline(found["budget_bytes"] / 2**20, color="#b45309", linewidth=0.6)
    memory.set_ylim(0)
    memory.set_ylabel("working arrays, MiB (line: budget)", color="#b45309")
    axes.set_xlabel("rows in the batch")
    axes.set_ylabel("seconds a step", color="#0f766e")
    drawing.save(figure, PAGE.parent / "scaling.svg")


def optimisers() -> list[str]:
    """Validation loss by optimiser and rate."""
    found = read("optimisers.json")
    if not found:
        return []
    lines = [
        "## Optimisers",
        "",
        f"Least validation loss within {found['steps']} steps (smaller is better) and validation accuracy there, at "
        "the best learning rate of each. `python benchmarks/optimisers.py`;",
        "see [decision 3](decisions/0003-optimiser.md).",
        "",
        "| problem | optimiser | rate | validation loss | validation accuracy, % | training loss at the end |",
        "|---|---|---|---|---|---|",
    ]
    best: dict[tuple[str, str], dict[str, Any]] = {}
    for row in found["rows"]:
        key = row["problem"], row["optimiser"]
        if "failed" not in row and (key not in best or row["validation_loss"] < best[key]["validation_loss"]):
            best[key] = row
    lines += [
        f"| {row['problem']} | {row['optimiser']} | {row['rate']} | {row['validation_loss']:.4f} "
        f"| {100 * row['validation_accuracy']:.1f} | {row['final_training_loss']:.4f} |"
        for row in best.values()
    ]
    return [*lines, ""]


def forecasts() -> list[str]:
    """Forecast against measurement."""
    found = read("plan.json")
    if not found:
        return []
    lines = [
        "## Forecasts of `datastill plan`",
        "",
        "Forecast beside what the run then took, each in a process of its own. `python benchmarks/plan.py`.",
        "",
        "| run | seconds: forecast | measured | ratio | MiB: forecast | measured | ratio |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r['name']} "
        f"| {r['forecast_seconds']:.1f} | {r['seconds']:.1f} | {r['forecast_seconds'] / r['seconds']:.2f} "
        f"| {r['forecast_bytes'] / 2**20:.0f} | {r['bytes'] / 2**20:.0f} | {r['forecast_bytes'] / r['bytes']:.2f} |"
        for r in found["rows"]
    ]
    return [*lines, ""]


def page() -> str:
    """docs/results.md."""
    sections = [part for make in (tables, notebook, scaling, forecasts, optimisers) for part in make()]
    sections += render_universal.tables(RESULTS / "universal")
    sections += render_universal.one_learner(read("own_learner.json")) + render_universal.ablation(
        read("ablation.json")
    )
    sections += render_universal.cost(read("universal_cost.json")) + render_universal.corruption(
        read("corruption.json")
    )
    sections += render_best_of.tables(RESULTS / "best_of")
    sections += render_moments.accuracies(RESULTS / "moments") + render_moments.maps(read("maps.json"))
    sections += render_moments.costs(read("moments_scale.json"))
    sections += render_moments.beside_rfad(read("rfad.json"))
    sections += render_teaching.tables(RESULTS / "teaching") + render_teaching.kinds(read("kinds.json"))
    sections += render_teaching.beside_published(RESULTS / "as_published")
    sections += render_moments.optimisers(read("optimisers_moments.json"))
    sections += render_kernels.kernels(read("conv_kernels.json")) + render_kernels.cost(read("conv_cost.json"))
    sections += render_kernels.coarse(read("coarse.json"))
    sections += render_kernels.processes(read("processes.json"))
    sections += [part for make in (render_judge.judge, render_judge.networks) for part in (*make(), "")]
    sections += render_selection.peers(read("selection.json")) + render_selection.costs(read("selection_cost.json"))
    intro = [
        "# Results",
        "",
        "Generated by `python benchmarks/render.py` from the files under `benchmarks/results/`. Absolute times are of "
        "a noisy machine with two cores; ratios were measured side by side in one run.",
        "",
    ]
    return "\n".join([*intro, *sections])


def readme() -> str:
    """README.md with its tables of results made anew."""
    lines = ["| KRR test accuracy, %: here (published) | 10 points | 100 points | 500 points |", "|---|---|---|---|"]
    for (data, kernel, variant), sizes in sorted(accuracies().items()):
        shown = [
            f"{mean(run['test_accuracy'] for run in sizes[points]):.1f} ({sizes[points][0]['published']})"
            if sizes[points]
            else "–"
            for points in (10, 100, 500)
        ]
        lines.append(f"| {data}, {kernel}, {NAMES[variant]} | {' | '.join(shown)} |")
    before, rest = README.read_text(encoding="utf-8").split(MARKS[0])
    lines = [
        *render_universal.summary(RESULTS / "universal"),
        "",
        *render_moments.summary(RESULTS / "moments"),
        "",
        *render_teaching.summary(RESULTS / "teaching"),
        "",
        *lines,
    ]
    return "\n".join([before + MARKS[0], *lines, MARKS[1] + rest.split(MARKS[1])[1]])


def main() -> None:
    draw_scaling()
    render_moments.draw_costs(read("moments_scale.json"), PAGE.parent / "moments.svg")
    render_selection.draw_costs(read("selection_cost.json"), PAGE.parent / "selection.svg")
    render_universal.draw_corruption(read("corruption.json"), PAGE.parent / "corruption.svg")
    PAGE.write_text(page(), encoding="utf-8")
    README.write_text(readme(), encoding="utf-8")


if __name__ == "__main__":
    main()
