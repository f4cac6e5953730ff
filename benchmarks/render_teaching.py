"""The section of docs/results.md about sets that teach networks."""

import json
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from teaching import IMAGES, JUDGE_SEEDS, JUDGES, ON_GPUS, cells

TITLES = {"frepo": "FRePo", "rfad": "RFAD"}
NETWORKS = {"net:dsa": "width 128, instance norm", "net:frepo": "widths 128 to 512, no norm"}
# Best published sets of pixels under the same network. Under ConvNet-3 of width 128 with instance norm: DC
# (arXiv:2006.05929) and IDC without multi-formation (arXiv:2205.14959); under the wide one without norm: RCIG, as
# `teaching.PUBLISHED`, which the files of results hold.
WITH_NORM = {
    ("mnist", 1): "91.7", ("mnist", 10): "98.0",
    ("fashion_mnist", 1): "70.7", ("fashion_mnist", 10): "85.3",
}  # fmt: skip


Run = dict[str, Any]


def _found(folder: Path) -> dict[tuple[Any, ...], Run]:
    """(data, method, examples per class, seed, device) -> the run."""
    runs = [json.loads(path.read_text()) for path in sorted(folder.glob("*/figures.json"))]
    return {tuple(run[part] for part in ("data", "method", "ipc", "seed", "device")): run for run in runs}


def summary(folder: Path) -> list[str]:
    """The same in brief, for README.md."""
    found = _found(folder)
    budgets = sorted({ipc for _, method, ipc, *_ in found if method == "network-kip"})
    lines = [
        "| ConvNet trained on the set, test accuracy, %: here (random rows, best published, same network) | "
        + " | ".join([f"{budgets[0]} a class", *map(str, budgets[1:])])
        + " |",
        "|---" * (1 + len(budgets)) + "|",
    ]
    for data in IMAGES:
        cells = [[run for key, run in found.items() if key[:3] == (data, "network-kip", ipc)] for ipc in budgets]
        judged = {
            judge for runs in cells for run in runs for judge, scores in run["networks"]["learned"].items() if scores
        }
        lines += [
            f"| {data}, {NETWORKS[judge]} | {' | '.join(_in_brief(runs, judge) for runs in cells)} |"
            for judge in JUDGES
            if judge in judged
        ]
    return lines


def _in_brief(runs: list[Run], judge: str) -> str:
    """Return the mean score of a network on a cell's sets, on random rows, and on the best published set."""
    learned, random = ([x for run in runs for x in run["networks"][k].get(judge, [])] for k in ("learned", "random"))
    if not learned:
        return "not run"
    beside = f"{mean(random):.1f}" if random else "not run"
    return f"{mean(learned):.1f} ({beside}, {_published(runs[0], judge)})"


def _published(run: Run, judge: str) -> str:
    """Return the best published figure of a cell under this network."""
    return WITH_NORM.get((run["data"], run["ipc"]), "") if judge == "net:dsa" else str(run["published"] or "")


def tables(folder: Path) -> list[str]:
    """Networks on learned images beside random rows; cells that have no file are "not run"."""
    found = _found(folder)
    if not found:
        return []
    lines = [
        "## Sets that teach networks",
        "",
        "Test accuracy in percent of networks that the sets never saw, mean ± standard deviation over networks (n): "
        "`net:dsa` is ConvNet-3 of width 128 with instance norm, `net:frepo` a ConvNet of widths 128, 256, 512 without "
        "norm, each trained as published, on the learned images with their label vectors or on random rows with their "
        "classes. KRR is that of the set under its own kernel (of network-kip: random networks that took no part, "
        "one of each kind; of convnet-kip: the exact NTK of ConvNet-3, for digits ConvNet-2); in brackets is KIP "
        "ConvNet as published, which has a stem and up to 50,000 steps. "
        "Published is the best set of pixels under the same network: DC (arXiv:2006.05929) at 1 a class of MNIST and "
        "IDC without multi-formation (arXiv:2205.14959) for `net:dsa`, "
        "RCIG (arXiv:2302.06755) for `net:frepo`. Seconds are those of learning; settings were "
        "chosen on validation rows of MNIST (the rate of convnet-kip of Fashion-MNIST), steps by time: at 1 a class "
        "half an hour on slower cores, at 10 ten minutes. "
        "`python benchmarks/tables.py --cells network-kip convnet-kip`.",
        "",
        "| data, per class | method | KRR | "
        + " | ".join(f"{judge} | random rows | published" for judge in JUDGES)
        + " | seconds | device |",
        "|---" * (3 + 3 * len(JUDGES) + 2) + "|",
    ]
    here, elsewhere = ([(cell.data, cell.method, cell.ipc) for cell in cells(device)] for device in ("cpu", "gpu"))
    for data, method, ipc in dict.fromkeys([*here, *elsewhere]):
        runs = [run for key, run in found.items() if key[:3] == (data, method, ipc)]
        if not runs and (data, method, ipc) in here:
            lines.append(f"| {data}, {ipc} | {method} | not run" + " |" * (3 * len(JUDGES) + 3))
        for run in runs:
            networks = run["networks"]
            seconds = "resumed" if run["seconds"] is None else f"{run['seconds']:.0f}"
            kernel = f" ({run['published_kernel']})" if method == "convnet-kip" and run.get("published_kernel") else ""
            shown = [
                cell
                for judge in JUDGES
                for cell in (
                    *(_shown(networks[which].get(judge, [])) for which in ("learned", "random")),
                    _published(run, judge),
                )
            ]
            lines.append(
                f"| {data}, {ipc} | {method} | {run['own_kernel']:.1f}{kernel} | {' | '.join(shown)} "
                f"| {seconds} | {run['device']}, {run['cores']} cores |"
            )
    absent = [method for method in ON_GPUS if not any(key[1] == method and key[4] != "cpu" for key in found)]
    lines += [
        f"| all images, 1 to 50 | {method}, on a GPU | not run{' |' * (3 * len(JUDGES) + 3)}" for method in absent
    ]
    return [*lines, ""]


def beside_published(folder: Path) -> list[str]:
    """`NetworkKIP` and methods as published, on one machine."""
    found = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    if not found:
        return []
    lines = [
        "## Beside FRePo and RFAD",
        "",
        f"`NetworkKIP`, then a method with its published settings for many times as long, in one run on "
        f"{found[0]['machine']}. Test accuracy in percent of `{found[0]['judge']}`, trained on the images with their "
        "label vectors, mean ± standard deviation over networks (n); FRePo is published after 500,000 steps, RFAD "
        "after up to 100,000. Fewer steps of `NetworkKIP` than in the table above, so that the others have time. "
        "`python benchmarks/as_published.py`.",
        "",
        "| data, per class | NetworkKIP | seconds | method | starts at | reaches | in times as long | steps, each |",
        "|---" * 8 + "|",
    ]
    for run in found:
        ours, theirs = run["network_kip"], run["as_published"]
        lines.append(
            f"| {run['data']}, {run['ipc']} | {_shown(ours['accuracy'])} | {ours['seconds']:.0f} "
            f"| {TITLES[run['method']]} | {_shown(theirs['accuracy_before'])} | {_shown(theirs['accuracy'])} "
            f"| {theirs['seconds'] / ours['seconds']:.0f} | {theirs['steps']}, {theirs['seconds_a_step']:.1f} s |"
        )
    return [*lines, ""]


def kinds(found: dict[str, Any] | None) -> list[str]:
    """What sets teach that were learned under networks of one kind, and of both."""
    if not found:
        return []
    lines = [
        "## Kinds of networks in the pool",
        "",
        f"MNIST, `NetworkKIP` on {found['machine']}, from 50,000 training rows; accuracy in percent on 3,000 others of "
        "networks without norm (`net:fast`) and with instance norm (`net:dsa`), mean ± standard deviation over as many "
        "networks as the brackets say. `python benchmarks/kinds.py`; see "
        "[decision 29](decisions/0029-two-kinds-of-networks-in-a-pool.md).",
        "",
        "| per class | networks in the pool | net:fast | net:dsa | seconds |",
        "|---|---|---|---|---|",
    ]
    names = {"none": "without norm", "instance": "with instance norm", "both": "both"}
    for row in found["sets"].values():
        scores = " | ".join(_shown(row["accuracy"][judge]) for judge in ("net:fast", "net:dsa"))
        seconds = f"{row['seconds']:.0f}" if row["norm"] in names else ""
        lines.append(f"| {row['ipc']} | {names.get(row['norm'], row['norm'])} | {scores} | {seconds} |")
    return [*lines, ""]


def _shown(scores: list[float]) -> str:
    if not scores:
        return "not run"
    count = "" if len(scores) == JUDGE_SEEDS else f" ({len(scores)})"
    return f"{mean(scores):.1f}" + (f" ± {stdev(scores):.1f}" if len(scores) > 1 else "") + count
