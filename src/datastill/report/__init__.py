"""Reports: numbers gathered into a `Summary`, drawn as figures, rendered as HTML, Markdown or JSON."""

from datastill.evaluate.scores import Score, Verdict, verdict
from datastill.report.figures import learning_curve, support_grid
from datastill.report.html import render
from datastill.report.markdown import to_markdown
from datastill.report.summary import Summary, summarise

__all__ = [
    "Score",
    "Summary",
    "Verdict",
    "learning_curve",
    "render",
    "summarise",
    "support_grid",
    "to_markdown",
    "verdict",
]
