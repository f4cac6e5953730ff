"""Standard output of the command line: one table for people, or one JSON object for programs.

Imports are inside the functions, so that `datastill --help` answers at once.
"""

import json
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from datastill._text import printable, printable_json


def say(text: str, aside: bool = False) -> None:
    """Print one line of text; what a terminal would obey is taken out.

    Args:
        text: which may quote names that others chose.
        aside: whether it is a note, for standard error, and no part of the result.
    """
    print(printable(text), file=sys.stderr if aside else sys.stdout)


def print_json(value: Any) -> None:
    """Print one JSON object on standard output; null for what is no finite number."""
    from datastill.data.archive import finite

    print(printable_json(json.dumps(finite(value), ensure_ascii=False)))


def print_summary(result: Any, folder: Path) -> None:
    """The comparison table, the verdict in words, and where the report is."""
    summary = result.summary
    percent = str(summary["metric"]).endswith("accuracy")

    def number(value: float | None) -> str:
        return "–" if value is None else f"{100 * value:.1f} %" if percent else f"{value:.3f}"

    print_table(
        summary["title"],
        ("trained on", "examples", summary["metric"], "95 % interval"),
        [
            (
                s["name"],
                f"{s['n_examples']:,}",
                number(s["value"]),
                f"{number(s['low'])} to {number(s['high'])}",
            )
            for s in summary["scores"]
            if not s.get("learner")
        ],
    )
    _print_panel(summary["scores"], number)
    say(summary["verdict"]["sentence"])
    if result.resumed:
        say("This run was finished already; nothing was computed again.", aside=True)
    say(f"Report: {(folder / 'report.html').resolve()}")


def _print_panel(scores: Sequence[dict[str, Any]], number: Callable[[float | None], str]) -> None:
    """A table of the learners of a panel and the sets that they were trained on."""
    cells = {}
    for score in scores:
        if learner := score.get("learner"):
            cells[learner, score["name"].removeprefix(f"{learner}: ")] = score["value"]
    if not cells:
        return
    sets = list(dict.fromkeys(name for _, name in cells))
    learners = dict.fromkeys(learner for learner, _ in cells)
    rows = [(learner, *(number(cells.get((learner, name))) for name in sets)) for learner in learners]
    print_table("Learners trained on each", ("learner", *sets), rows)


def print_table(title: str, header: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """A table for people, the first column of words, the others of numbers."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD)
    for i, name in enumerate(header):
        table.add_column(Text(printable(name)), justify="left" if i == 0 else "right")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    console = Console()
    console.width = max(console.width, 100) if not console.is_terminal else console.width
    console.print(Text(printable(title), style="bold"))
    console.print(table)


def print_facts(title: str, facts: Sequence[tuple[str, str]]) -> None:
    """Names and what is to be said of each, on lines of their own."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for name, value in facts:
        table.add_row(Text(printable(name), style="dim"), Text(printable(value)))
    console = Console()
    console.width = max(console.width, 100) if not console.is_terminal else console.width
    console.print(Text(printable(title), style="bold"))
    console.print(Padding(table, (0, 2)))


def print_standings(title: str, found: Any, learners: Sequence[str], asked: str, first: str = "set") -> None:
    """A table of sets and learners: mean ± deviation in %, marked where the verdict is clear.

    Args:
        title: above it.
        found: of `evaluate.leaderboard`.
        learners: its columns.
        asked: the way with labels that is shown.
        first: what sets are called.
    """
    from datastill.evaluate.verdicts import BETTER, WORSE

    marks, own = {BETTER: " ▲", WORSE: " ▼"}, found[found["asked"] == asked]

    def cell(row: Any) -> str:
        if not math.isfinite(row.mean):
            return "failed"
        spread = f" ± {100 * row.deviation:.1f}" if math.isfinite(row.deviation) else ""
        return f"{100 * row.mean:.1f}{spread}{marks.get(row.verdict, '')}"

    cells = {(row.set, row.learner): cell(row) for row in own.itertuples()}
    lines = [(name, *(cells[name, learner] for learner in learners)) for name in dict.fromkeys(own["set"])]
    print_table(title, (first, *learners), lines)


def bytes_text(count: float) -> str:
    """`512 MiB`, `1.50 GiB`."""
    return f"{count / 2**30:.2f} GiB" if count >= 2**29 else f"{count / 2**20:.0f} MiB"


def seconds_text(seconds: float) -> str:
    """`12.3 s`, `5.1 min`."""
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.1f} min"
