"""The sections of docs/results.md about one set for many learners, and its table in README.md."""

import json
from pathlib import Path
from statistics import mean, median
from typing import Any

import drawing


def tables(folder: Path) -> list[str]:
    """The universal set beside random rows, k-means and herding, for the learners of the panel."""
    found = _cells(folder)
    if not found:
        return []
    lines = [
        "## One set for many learners",
        "",
        "Mean over eight learners (those of the panel) of score on test rows divided by that of all rows, for sets of "
        "the same number of examples, made with n seeds with the default settings: accuracy, for diamonds R². Random "
        "rows are as many of each class, or in proportion to the classes where these do better. *Worst* is the "
        "learner with the least share, better and worse are verdicts against random rows over the eight learners. "
        "Seconds are those of learning on two cores that did other things, too. `python benchmarks/universal.py`.",
        "",
        "| data | examples | random | k-means | herding | **universal** | worst | better, worse | n | seconds |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    return [*lines, *map(_row, found), "", *_others(folder)]


def summary(folder: Path) -> list[str]:
    """The table of README.md: ten examples a class."""
    found = [cell for cell in _cells(folder) if cell["budget"] in (10, 200)]
    if not found:
        return []
    lines = [
        "| one set, eight learners: share of what all rows teach, mean (least) | random rows | k-means | learned |",
        "|---|---|---|---|",
    ]
    for cell in found:
        shares = _shares(cell)
        random = max((name for name in shares if name.startswith("random")), key=lambda name: _mean(shares[name]))
        shown = [
            f"{100 * _mean(shares[name]):.0f} % ({100 * min(shares[name].values()):.0f} %)"
            for name in (random, "kmeans", "universal")
        ]
        lines.append(f"| {cell['data']}, {_budget(cell)} | {' | '.join(shown)} |")
    return lines


def one_learner(found: dict[str, Any] | None) -> list[str]:
    """Sets made for one learner beside the set for everybody."""
    if found is None:
        return []
    cells = list(found["cells"].values())
    everybody = {(c["data"], c["ipc"]): c["accuracy"] for c in cells if c["for"] is None}
    lines = [
        "## Sets for one learner",
        "",
        "Test accuracy in percent of a learner after the set that was made for it alone (`--for`), after the set for "
        "everybody, and after all rows; one seed. `python benchmarks/own_learner.py`.",
        "",
        "| data, per class | learner | for it alone | for everybody | all rows |",
        "|---|---|---|---|---|",
    ]
    alone = {(c["data"], c["ipc"], c["for"]): c for c in cells}
    for (data, ipc), known in everybody.items():
        for name in known:
            if (cell := alone.get((data, ipc, name))) is not None:
                figures = cell["accuracy"][name], known[name], cell["all rows"][name]
                lines.append(f"| {data}, {ipc} | {name} | {' | '.join(f'{100 * f:.1f}' for f in figures)} |")
    same = [c for c in cells if "agreement" in c]
    if same:
        said = "; ".join(f"{c['data']}: {100 * c['agreement']:.1f} %" for c in same)
        lines += [
            "",
            "From one example a class, made for it alone, logistic regression says on test rows what it says from all "
            f"rows this often: {said}. That few rows can reproduce a generalised linear model: Izzo and Zou (2023).",
        ]
    return [*lines, ""]


def ablation(found: dict[str, Any] | None) -> list[str]:
    """What each part is good for."""
    if found is None:
        return []
    cells = list(found["cells"].values())
    names, parts = (list(dict.fromkeys(c[key] for c in cells)) for key in ("data", "without"))
    learners = list(cells[0]["accuracy"])
    lines = [
        "## One set for many learners, with a part left out",
        "",
        "Test accuracy in percent, mean over eight learners and over seeds, of ten examples a class; then the "
        "change of each learner. Without the panel the last step of one way of learning is kept. "
        "`python benchmarks/ablation.py`.",
        "",
        f"| data | without | n | mean | {' | '.join(learners)} |",
        f"|---|---|---|---|{'---|' * len(learners)}",
    ]
    for name in names:
        whole = _by_learner([c for c in cells if (c["data"], c["without"]) == (name, "nothing")], learners)
        for part in parts:
            own = [c for c in cells if (c["data"], c["without"]) == (name, part)]
            if not own:
                continue
            scores = _by_learner(own, learners)
            changes = [
                f"{100 * scores[one]:.1f}" if part == "nothing" else f"{100 * (scores[one] - whole[one]):+.1f}"
                for one in learners
            ]
            lines.append(f"| {name} | {part} | {len(own)} | {100 * _mean(scores):.1f} | {' | '.join(changes)} |")
    return [*lines, ""]


def cost(found: dict[str, Any] | None) -> list[str]:
    """How the cost grows."""
    if found is None:
        return []
    lines = [
        "## What one set for many learners costs",
        "",
        "Seconds and memory of one fit with its starts and its panel, on made-up rows; memory is the largest of the "
        "process, less what it had with the rows alone. `python benchmarks/universal_cost.py`.",
        "",
        "| rows | columns | classes | per class | seconds | MiB |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {c['rows']:,} | {c['columns']:,} | {c['classes']} | {c['ipc']} | {c['seconds']:.0f} | {c['mebibytes']} |"
        for c in found["cells"].values()
    ]
    return [*lines, ""]


def corruption(found: dict[str, Any] | None) -> list[str]:
    """Accuracy by the share of every example that stays noise."""
    if found is None:
        return []
    cells = list(found["cells"].values())
    shares = sorted({c["corruption"] for c in cells})
    lines = [
        "## Examples that are mostly noise",
        "",
        f"A share ρ of the pixels of every example is noise that is never learned; {found['ipc']} images a class, "
        f"{found['steps']} steps, one seed, test accuracy in percent: of kernel ridge regression under FC1, or the "
        "mean of six other learners with the plain labels. `python benchmarks/corruption.py`.",
        "",
        "![Accuracy by the share of pixels that stays noise](corruption.svg)",
        "",
        f"| data | set | judged by | {' | '.join(f'ρ = {share:g}' for share in shares)} |",
        f"|---|---|---|{'---|' * len(shares)}",
    ]
    for (name, method, judge), values in _curves(cells).items():
        shown = [f"{100 * values[share]:.1f}" if share in values else "" for share in shares]
        lines.append(f"| {name} | {method} | {judge} | {' | '.join(shown)} |")
    return [*lines, ""]


def draw_corruption(found: dict[str, Any] | None, path: Path) -> None:
    """The same as a picture."""
    if found is None:
        return
    from matplotlib.figure import Figure

    curves = _curves(list(found["cells"].values()))
    names = list(dict.fromkeys(name for name, *_ in curves))
    figure = Figure(figsize=(4.2 * len(names), 3.4), layout="constrained")
    for place, name in enumerate(names):
        axes = figure.add_subplot(1, len(names), place + 1, title=name, xlabel="ρ, share of pixels that stays noise")
        for (own, method, judge), values in curves.items():
            if own == name and method != "random rows":
                label = method if method.startswith("KIP") else f"{method}: {judge}"
                axes.plot(list(values), [100 * v for v in values.values()], marker="o", markersize=3, label=label)
        axes.set_ylabel("test accuracy, %")
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].legend(fontsize=7, frameon=False)
    drawing.save(figure, path)


JUDGES = ("krr", "krr, labels solved", "mean of others")


def _curves(cells: list[dict[str, Any]]) -> dict[tuple[str, str, str], dict[float, float]]:
    """(data, set, judge) -> ρ -> accuracy."""
    found: dict[tuple[str, str, str], dict[float, float]] = {}
    for cell in sorted(cells, key=lambda c: (c["data"], c["set"], c["corruption"])):
        for judge in JUDGES:
            if judge in cell:
                found.setdefault((cell["data"], cell["set"], judge), {})[cell["corruption"]] = cell[judge]
    return found


def _by_learner(cells: list[dict[str, Any]], learners: list[str]) -> dict[str, float]:
    return {name: mean(cell["accuracy"][name] for cell in cells) for name in learners}


def _cells(folder: Path) -> list[dict[str, Any]]:
    found = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json")) if "-others" not in path.name]
    return sorted(found, key=lambda cell: (cell["data"], cell["budget"]))


def _others(folder: Path) -> list[str]:
    """Learners that are neither on the panel nor in the loss."""
    found = [json.loads(path.read_text()) for path in sorted(folder.glob("*-others.json"))]
    if not found:
        return []
    lines = [
        "Learners that are neither on the panel nor in the loss, at their defaults; score on test rows in percent, and "
        "the verdict against random rows:",
        "",
        "| data | examples | learner | random | k-means | **universal** | verdict |",
        "|---|---|---|---|---|---|---|",
    ]
    for cell in sorted(found, key=lambda cell: (cell["data"], cell["budget"])):
        for learner in cell["learners"]:
            own = {r["set"]: r for r in cell["standings"] if r["learner"] == learner and r["mean"] is not None}
            start = f"| {cell['data']} | {_budget(cell)} | {learner.split(':')[-1]} |"
            if "universal" not in own:
                lines.append(f"{start} | | | cannot be trained |")
                continue
            random = max((r["mean"] for name, r in own.items() if name.startswith("random")), default=None)
            shown = random, own["kmeans"]["mean"] if "kmeans" in own else None, own["universal"]["mean"]
            figures = " | ".join("–" if f is None else f"{100 * f:.1f}" for f in shown)
            verdict = own["universal"]["verdict"]
            lines.append(f"{start} {figures} | {verdict} |")
    return [*lines, ""]


def _budget(cell: dict[str, Any]) -> str:
    return f"{cell['budget']} {'in all' if cell['task'] == 'regression' else 'per class'}"


def _shares(cell: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Set -> learner -> share of all rows' score."""
    found: dict[str, dict[str, float]] = {}
    for row in cell["standings"]:
        found.setdefault(row["set"], {})[row["learner"]] = row["relative_to_full"]
    return found


def _mean(shares: dict[str, float]) -> float:
    return mean(shares.values())


def _row(cell: dict[str, Any]) -> str:
    shares = _shares(cell)
    means = {name: _mean(known) for name, known in shares.items()}
    random = max(value for name, value in means.items() if name.startswith("random"))
    own = shares["universal"]
    worst = min(own, key=lambda learner: own[learner])
    verdicts = [r["verdict"] for r in cell["standings"] if r["set"] == "universal"]
    better, worse = (sum(v.startswith(word) for v in verdicts) for word in ("better", "worse"))
    seconds = median(choice["seconds"] for choice in cell["choices"])
    return (
        f"| {cell['data']} | {_budget(cell)} | {random:.3f} | {means['kmeans']:.3f} | {means['herding']:.3f} "
        f"| **{means['universal']:.3f}** | {worst} {own[worst]:.2f} | {better}, {worse} | {cell['seeds']} "
        f"| {seconds:.0f} |"
    )
