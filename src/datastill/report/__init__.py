"""Reports: numbers gathered into a `Summary` or a `Comparison`, drawn, and rendered as HTML, Markdown or JSON."""

from typing import TYPE_CHECKING

from datastill import _moved
from datastill.evaluate.scores import Score, Verdict, verdict
from datastill.report.certificate.html import render_certificate
from datastill.report.certificate.text import certificate_markdown, certificate_sentences, statement_text
from datastill.report.comparison.html import render_comparison
from datastill.report.comparison.markdown import comparison_markdown
from datastill.report.comparison.summary import Certified, Comparison, ExampleGrid, summarise_comparison
from datastill.report.run.figures import learning_curve, support_grid
from datastill.report.run.html import render
from datastill.report.run.markdown import to_markdown
from datastill.report.run.summary import Summary, summarise

__all__ = [
    "Certified",
    "Comparison",
    "ExampleGrid",
    "Score",
    "Summary",
    "Verdict",
    "certificate_markdown",
    "certificate_sentences",
    "comparison_markdown",
    "learning_curve",
    "render",
    "render_certificate",
    "render_comparison",
    "statement_text",
    "summarise",
    "summarise_comparison",
    "support_grid",
    "to_markdown",
    "verdict",
]


if not TYPE_CHECKING:
    __getattr__ = _moved.renamed(__name__, {"Exhibit": "ExampleGrid"})
