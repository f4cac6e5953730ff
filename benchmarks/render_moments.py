"""The sections of docs/results.md about moments."""

import json
from collections import defaultdict
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import drawing

BUDGETS = (1, 10, 50)
SETS = ("mnist", "fashion_mnist", "cifar10")


def _cells(folder: Path) -> dict[tuple[str, int], list[dict[str, Any]]]:
    """(data, examples per class) -> its runs."""
    cells: dict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
    for path in sorted(folder.glob("*.json")):
        run = json.loads(path.read_text())
        cells[run["dataset"], run["ipc"]].append(run)
    return cells


def summary(folder: Path) -> list[str]:
    """The same in brief, for README.md."""
    cells = _cells(folder)
    lines = ["| KRR test accuracy, %: here, from moments (KIP ConvNet) | 1 a class | 10 | 50 |", "|---|---|---|---|"]
    for name in SETS:
        shown = [
            f"{mean(run['accuracy'] for run in runs):.1f} ({runs[0]['published']})" if runs else "–"
            for runs in (cells.get((name, ipc)) for ipc in BUDGETS)
        ]
        lines.append(f"| {name} | {' | '.join(shown)} |")
    return lines


def accuracies(folder: Path) -> list[str]:
    """KIP from moments beside KIP ConvNet as published."""
    cells = _cells(folder)
    if not cells:
        return []
    lines = [
        "## KIP from moments",
        "",
        "Test accuracy in percent of kernel ridge regression under the map's own kernel, mean ± standard deviation "
        "over seeds (n); the published figure is KIP ConvNet's under its own (Nguyen et al., 2021, arXiv:2107.13034). "
        "Random rows have as many rows and solved labels; all rows is ridge regression on the same features, of nine "
        "tenths of the training rows, its penalty chosen on the rest; it is no upper bound, since few examples make a "
        "predictor of low rank, which is another penalty. Network is `net:fast` trained on the set with its label "
        "vectors, and in brackets on as many random rows with labels of their own and with solved ones. KIP learns "
        "from all training rows. Minutes are of two CPU cores, the pass over the data included, beside the limit we "
        "set ourselves; machines that ran it differ in speed by up to a factor of three. Maps and settings were chosen "
        "on validation rows (those of CIFAR-10 from 10 a class on and of Fashion-MNIST at 1 in scripts that are not "
        "kept; of Fashion-MNIST at 50, map and ridge each by itself). "
        "`python benchmarks/moments.py`.",
        "",
        "| data, per class | map | here | n | published | random | all rows | network | minutes | limit |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name in SETS:
        for ipc in BUDGETS:
            runs = cells.get((name, ipc))
            if not runs:
                lines.append(f"| {name}, {ipc} | | not run | | | | | | | |")
                continue
            scores = [run["accuracy"] for run in runs]
            spread = f" ± {stdev(scores):.1f}" if len(scores) > 1 else ""
            lines.append(
                f"| {name}, {ipc} | `{runs[0]['features']}` | **{mean(scores):.1f}**{spread} | {len(scores)} "
                f"| {runs[0]['published']} | {mean(r['random'] for r in runs):.1f} | {runs[0]['ceiling']:.1f} "
                f"| {_networks(runs)} | {mean(r['minutes'] for r in runs):.1f} | {runs[0]['limit_minutes']} |"
            )
    return [*lines, ""]


def _networks(runs: list[dict[str, Any]]) -> str:
    """Of networks trained on the sets and on random rows, where they were."""
    if not all("network" in run for run in runs):
        return "not run"
    ours, own, solved = (
        mean(run[name] for run in runs) for name in ("network", "network_random", "network_random_solved")
    )
    return f"{ours:.1f} ({own:.1f}; {solved:.1f})"


def maps(found: dict[str, Any] | None) -> list[str]:
    """Ridge regression in each feature map, on validation rows."""
    if not found:
        return []
    lines = [
        "## Feature maps",
        "",
        f"What ridge regression on {found['rows']:,} training rows reaches on {found['held']:,} other ones: "
        "accuracy in percent, and half the mean squared distance to the label vectors. Seconds are those of taking the "
        "features of all these rows and adding up their products. No test row is read. `python benchmarks/maps.py`.",
        "",
        "| data | map | columns | accuracy | loss | seconds |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {run['dataset']} | `{run['features']}` | {run['columns']:,} | {run['accuracy']:.1f} | {run['loss']:.4f} "
        f"| {run['seconds']:.0f} |"
        for name in SETS
        for run in found["maps"]
        if run["dataset"] == name
    ]
    return [*lines, ""]


def costs(found: dict[str, Any] | None) -> list[str]:
    """The pass, and what follows, against the number of rows."""
    if not found:
        return []
    settings = found["settings"]
    lines = [
        "## Cost of a pass against rows",
        "",
        f"Generated Parquet of {settings['table_columns']} columns, map `{settings['features']}` "
        f"({found['sizes'][0]['columns']:,} features), each size in a process of its own. The share is that of the "
        "machine's rate for a float32 matrix product, measured beside it, with C counted as a full product, of which "
        "half is computed. What a pass takes in all counts, starting and merging included. Memory is that of a batch: "
        "shards of 10⁷ rows have ten times the rows of those of 10⁶. Learning "
        f"is {settings['steps']} steps of {settings['examples']} examples after the pass. "
        "`python benchmarks/moments_scale.py`.",
        "",
        "| rows | shards | survey, s | pass, s | rows/s | share of the product rate | peak memory, MiB | learning, s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r['rows']:,} | {r['shards']} | {r['survey_seconds']:.1f} | {r['pass_seconds']:.1f} "
        f"| {r['rows_per_second']:,.0f} | {r['share_of_product_rate']:.2f} | {r['peak_memory_mib']:.0f} "
        f"| {r['distil_seconds']:.1f} |"
        for r in found["sizes"]
    ]
    return [*lines, "", "![seconds against rows](moments.svg)", ""]


def draw_costs(found: dict[str, Any] | None, path: Path) -> None:
    """The curve as a picture."""
    from matplotlib.figure import Figure

    if not found:
        return
    figure = Figure(figsize=(6, 3.2), layout="constrained")
    axes = figure.add_subplot()
    rows = [r["rows"] for r in found["sizes"]]
    axes.loglog(rows, [r["pass_seconds"] for r in found["sizes"]], "o-", color="#0f766e", label="the pass")
    axes.loglog(rows, [r["distil_seconds"] for r in found["sizes"]], "s--", color="#b45309", label="learning after it")
    axes.set_ylim(1)
    axes.set_xlabel("rows")
    axes.set_ylabel("seconds")
    axes.legend(frameon=False)
    drawing.save(figure, path)


def optimisers(found: dict[str, Any] | None) -> list[str]:
    """Optimisers on moments, given equal seconds."""
    if not found:
        return []
    settings = found["settings"]
    lines = [
        "## Optimisers on moments",
        "",
        f"Fashion-MNIST, map `{settings['features']}`, labels eliminated with ridge "
        f"{settings['ridge']:.0e}, examples within the data's range; our "
        "optimisers from the same rows for as many steps, the others as long as Adam takes, mean over seeds (n). No "
        "test row is read. `python benchmarks/optimisers_moments.py`; see "
        "[decision 28](decisions/0028-l-bfgs-from-moments.md).",
        "",
        "| per class | optimiser | steps | seconds | training loss | validation loss | validation accuracy, % | n |",
        "|---|---|---|---|---|---|---|---|",
    ]
    groups: dict[tuple[int, str], list[dict[str, Any]]] = defaultdict(list)
    for row in found["rows"]:
        groups[row["ipc"], row["optimiser"]].append(row)
    lines += [
        f"| {ipc} | {name} | {mean(r['steps'] for r in rows):.0f} | {mean(r['seconds'] for r in rows):.0f} "
        f"| {mean(r['training_loss'] for r in rows):.4f} "
        f"| {mean(r['validation_loss'] for r in rows):.4f} "
        f"| {100 * mean(r['validation_accuracy'] for r in rows):.1f} | {len(rows)} |"
        for (ipc, name), rows in groups.items()
    ]
    return [*lines, ""]


def beside_rfad(found: dict[str, Any] | None) -> list[str]:
    """KIP from moments and RFAD as published, on one machine."""
    if not found:
        return []
    ours, theirs = found["moments"], found["rfad"]
    return [
        "## Beside RFAD",
        "",
        f"MNIST, one image a class, in one run on {found['machine']}. KIP from moments (`{ours['features']}`, "
        f"{ours['steps']} steps) reaches {ours['accuracy']:.1f} % of test rows in {ours['seconds']:.0f} s, the pass "
        f"included; RFAD's published figure is {found['published']}. RFAD with its published settings (8 fresh "
        f"networks of 256 channels and 5,120 targets a step) makes {theirs['steps']} steps in "
        f"{theirs['seconds'] / ours['seconds']:.0f} times as long ({theirs['seconds_a_step']:.0f} s each), from "
        f"{theirs['accuracy_before']:.1f} to {theirs['accuracy']:.1f} % of the first 2,000 test rows under its own "
        "kernel. `python benchmarks/rfad.py`.",
        "",
    ]
