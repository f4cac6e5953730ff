"""Pictures of docs/results.md as files that are equal where the pictures are."""

from pathlib import Path
from typing import Any


def save(figure: Any, path: Path) -> None:
    """A matplotlib figure as SVG, without a date, and with names that follow from the content."""
    from matplotlib import rc_context

    with rc_context({"svg.hashsalt": "datastill"}):
        figure.savefig(path, metadata={"Date": None})
