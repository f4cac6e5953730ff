"""A `Summary` as a short Markdown text."""

import re

from datastill.evaluate.scores import interval_text, score_text
from datastill.report.run.summary import Summary
from datastill.report.text import escaped


def to_markdown(summary: Summary) -> str:
    """Headline, verdict, comparison table, warnings and usage; text from outside is escaped."""
    percent = f"{100 * summary.confidence:g} % interval"
    lines = [
        f"# {escaped(summary.title)}",
        "",
        escaped(summary.headline),
        "",
        f"**{escaped(summary.verdict.sentence)}**",
    ]
    if summary.scores:
        lines += [
            "",
            f"| Trained on | Examples | Test {escaped(summary.metric)} | {percent} |",
            "| --- | ---: | ---: | ---: |",
        ]
        for score in summary.scores:
            cells = (
                f"{score.n_examples:,}",
                score_text(score.value, score.metric),
                interval_text(score) or "—",
            )
            lines.append(f"| {escaped(score.name)} | {' | '.join(cells)} |")
    if summary.learner:
        lines += ["", f"Learner: {escaped(summary.learner)}. Other learners may do better or worse."]
    if summary.warnings:
        lines += ["", "Warnings:", ""] + [f"- {escaped(warning)}" for warning in summary.warnings]
    fence = "`" * max(3, 1 + max(map(len, re.findall(r"`+", summary.usage)), default=0))
    lines += ["", f"{fence}python", summary.usage, fence, ""]
    return "\n".join(lines).encode("utf-8", "replace").decode("utf-8")
