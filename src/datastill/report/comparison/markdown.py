"""A `Comparison` as a short Markdown text."""

from datastill.report.certificate.text import opening, statement_text
from datastill.report.comparison.entries import Entry, budget_text, mean_text, range_text, set_title
from datastill.report.comparison.summary import Comparison
from datastill.report.comparison.words import best_set, by_budget, tally_text
from datastill.report.text import escaped


def comparison_markdown(comparison: Comparison) -> str:
    """Headline, verdicts, one table for each budget, guarantees, what the figures hold for; text is escaped."""
    c = comparison
    lines = [f"# {escaped(c.title)}", "", escaped(c.headline), "", *(f"{escaped(text)}\n" for text in c.best)]
    if verdicts := tally_text(c.tally):
        lines += [f"**{escaped(verdicts)}**", ""]
    full, constant = [e for e in c.main if e.full], [e for e in c.main if e.constant]
    header = " | ".join(escaped(learner) for learner in c.learners)
    for budget, own in reversed(by_budget(c.main)):
        lines += [f"| {escaped(budget_text(budget, c.task))} | {header} |", "| --- |" + " ---: |" * len(c.learners)]
        lines += [_line([e for e in own if e.name.row == row], c) for row in dict.fromkeys(e.name.row for e in own)]
        lines += [_line(own, c) for own in (full, constant) if own]
        lines += [""]
    lines += [f"{escaped(sentence)}\n" for sentence in c.sentences]
    if c.certified is not None and (name := best_set(c.main)):
        size = next(e.n for e in c.main if e.set == name)
        own_certificate = c.certified.of(name, size, c.n_train)
        lines += [f"{escaped(opening(own_certificate))} For {escaped(set_title(name, c.task))}:", ""]
        lines += [f"- {escaped(' '.join(statement_text(s, own_certificate)))}" for s in own_certificate.statements]
        lines += [""]
    if c.warnings:
        lines += ["Warnings:", "", *(f"- {escaped(warning)}" for warning in c.warnings), ""]
    return "\n".join(lines).encode("utf-8", "replace").decode("utf-8")


def _line(own: list[Entry], c: Comparison) -> str:
    by_learner = {e.learner: e for e in own}
    cells = [_cell(by_learner[learner], c.metric) if learner in by_learner else "" for learner in c.learners]
    return f"| {escaped(own[0].title)} | {' | '.join(cells)} |"


def _cell(entry: Entry, metric: str) -> str:
    interval = range_text(entry, metric)
    return f"{mean_text(entry, metric)}{f' ({interval})' if interval else ''}{f' {entry.mark}' if entry.mark else ''}"
