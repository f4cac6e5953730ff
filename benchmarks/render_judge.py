"""The results of benchmarks/judge.py and networks.py as Markdown."""

import json
from collections import Counter
from pathlib import Path
from statistics import mean, stdev
from typing import Any

RESULTS = Path(__file__).parent / "results"
ORDER = ("mnist", "fashion_mnist", "newsgroups", "letter", "adult", "diamonds")
TITLES = {
    "mnist": "MNIST",
    "fashion_mnist": "Fashion-MNIST",
    "newsgroups": "20 newsgroups",
    "letter": "letter",
    "adult": "Adult",
    "diamonds": "diamonds",
}
MARKS = {"better than random": " ▲", "worse than random": " ▼"}
FULL = "all rows"
UNTUNED = (
    "These figures are from before the penalty of krr was chosen by cross-validation: it was 1e-6 for every set, which "
    "can be hard on random rows with noisy labels. Random rows were not drawn in proportion to the classes either, "
    "which makes a harder rival on Adult."
)


def judge() -> list[str]:
    """Methods × learners for every data set, and how often each method was better or worse than random rows."""
    paths = [RESULTS / "judge" / f"{name}.json" for name in ORDER]
    found = [json.loads(path.read_text()) for path in paths if path.exists()]
    if not found:
        return []
    seconds = sum(f["seconds"] for f in found)
    lines = [
        "## Methods and learners",
        "",
        f"`benchmarks/judge.py`: {len(found)} data sets, {found[0]['seeds']} seeds, {seconds / 60:.0f} minutes "
        f"on {found[0]['machine']}. Score on test rows in %, mean over seeds: accuracy, for diamonds R². ▲ better, ▼ "
        "worse than random rows of the same budget and labels; all marks of a table together hold with 95 %. *Label "
        f"Solve* is random rows with solved labels, the rival of KIP where a learner takes label vectors (krr). KIP: "
        f"{found[0]['kip_steps']} steps. Weighted methods use their weights where the learner takes them. The constant "
        "prediction is the commonest class, or the mean target, of the training rows (`benchmarks/constant.py`): a set "
        "that is not above it says nothing about new rows. Where there are more than 10,000 rows, krr learns from all "
        "of them through 2,000, with labels solved on all." + ("" if all("krr" in f for f in found) else f" {UNTUNED}"),
        "",
        *_counts(found),
    ]
    for f in found:
        lines += ["", *_table(f)]
    return lines


def _counts(found: list[dict[str, Any]]) -> list[str]:
    methods = list(dict.fromkeys(r["set"].rpartition(" ")[0] for f in found for r in f["standings"] if r["rival"]))
    lines = [
        "| Beside random rows, over all data sets, budgets and learners | better | not distinguishable | worse |",
        "| --- | ---: | ---: | ---: |",
    ]
    for method in methods:
        said = Counter(
            r["verdict"]
            for f in found
            for r in f["standings"]
            if r["set"].rpartition(" ")[0] == method and r["mean"] is not None
        )
        unclear = said["not distinguishable from random"]
        lines.append(f"| {method} | {said['better than random']} | {unclear} | {said['worse than random']} |")
    return lines


def _table(found: dict[str, Any]) -> list[str]:
    learners = list(dict.fromkeys(r["learner"] for r in found["standings"]))
    lines = [
        f"### {TITLES[found['data']]}",
        "",
        f"{found['rows']:,} rows, {found['test_rows']:,} test rows; {found['seconds'] / 60:.0f} minutes"
        f"{' in several calls' if found['in_several_calls'] else ''}, {found['peak_gib']:.1f} GiB.",
        "",
        f"| {'examples' if found['task'] == 'regression' else 'per class'} | {' | '.join(learners)} |",
        f"| --- |{' ---: |' * len(learners)}",
    ]
    cells = {(r["set"], r["learner"]): r for r in found["standings"]}
    names = dict.fromkeys(r["set"] for r in found["standings"])
    lines += [f"| {name} | {' | '.join(_cell(cells[name, learner]) for learner in learners)} |" for name in names]
    constant = _constants().get(found["data"])
    if constant is not None:
        lines.append(
            f"| constant prediction | {' | '.join([f'{round(100 * constant, 1) + 0.0:.1f}'] * len(learners))} |"
        )
    for failure in found["failures"]:
        lines += ["", f"{failure['set']}, {failure['learner']}: {failure['error']}"]
    return lines


def _constants() -> dict[str, float]:
    """Return data set -> the score of the constant prediction."""
    path = RESULTS / "constant.json"
    return json.loads(path.read_text())["scores"] if path.exists() else {}


def _cell(row: dict[str, Any]) -> str:
    return "failed" if row["mean"] is None else f"{100 * row['mean']:.1f}{MARKS.get(row['verdict'], '')}"


def networks() -> list[str]:
    """Rows of CIFAR-10 under ConvNet-3, beside published figures."""
    path = RESULTS / "networks.json"
    if not path.exists():
        return []
    found = json.loads(path.read_text())
    learners = list(dict.fromkeys(row["learner"] for row in found["rows"]))
    lines = [
        "## The field's network",
        "",
        "CIFAR-10, one image for each class, test accuracy of ConvNet-3 in %, mean ± deviation over network seeds "
        f"(fresh random rows for each): `benchmarks/networks.py` on {found['machine']}. Herding and k-center "
        f"look at features of a network trained on all images for {found['features']['steps']} steps "
        f"({100 * found['features']['test_accuracy']:.0f} % test accuracy; in publications it is trained to the end).",
        "",
        f"| | published | {' | '.join(f'`{learner}`' for learner in learners)} |",
        f"| --- | ---: |{' ---: |' * len(learners)}",
    ]
    published = {method: f"{v} ± {d} [{source}]" for method, (v, d, source) in found["published"].items()}
    for method in dict.fromkeys([*published, *(row["method"] for row in found["rows"])]):
        cells = []
        for learner in learners:
            own = [100 * r["accuracy"] for r in found["rows"] if (r["method"], r["learner"]) == (method, learner)]
            cells.append(f"{mean(own):.1f} ± {stdev(own):.1f} ({len(own)})" if len(own) > 1 else "not run")
        lines.append(f"| {method} | {published.get(method, '–')} | {' | '.join(cells)} |")
    return lines
