"""A certificate in words: what holds for new rows, what it rests on, and what it does not say.

Bounds are rounded to the side on which they still hold; means of the held-out rows to the nearest.
"""

from collections.abc import Mapping
from typing import Any

from datastill.certify import CAP, Certificate, Statement
from datastill.evaluate.scores import counted
from datastill.report import rounding
from datastill.report.names import spoken
from datastill.report.text import escaped

LOSS_WORDS = {
    "zero-one": "The loss is 1 for a row that is given a wrong class, else 0; its mean is the share of wrong answers.",
    "brier": "The loss is half the squared distance between the probabilities given and the true class: 0 for one who "
    "is certain and right, 1 for one who is certain and wrong.",
    "squared": f"The loss is the squared error in variances of the training targets, so that 1 is about what always "
    f"answering their mean costs; errors above {CAP**0.5:g} standard deviations count as {CAP**0.5:g}.",
}
CHANCE = (
    "The statements speak of rows that are drawn, each on its own, as the held-out rows were. They hold for sets, "
    "learners and seeds that were fixed before the held-out rows were looked at."
)
LIMITS = (
    "rows from elsewhere: another time, place or instrument than that of the held-out rows",
    "a single row, class or group of rows: the statements are about the mean over all",
    "other learners, other settings, or the same learners with another seed: each was trained once, with seed 0",
    "privacy: examples may show what the training rows hold",
)
CHOSEN = (
    "a set, learner or seed that was chosen among several by its scores on these same rows; choose first, then certify "
    "on rows that had no part in the choice"
)
CONSTANT = {
    "zero-one": "always answering the commonest class is wrong on {} of them",
    "brier": "always answering the shares of the classes has a loss of {} on them",
    "squared": "always answering the mean of the training targets has a loss of {} on them",
}


def certificate_sentences(certificate: Certificate) -> list[str]:
    """Everything in the order to be read: how sure, the statements, what they rest on, what they do not say."""
    said = [sentence for s in certificate.statements for sentence in statement_text(s, certificate)]
    unsaid = [f"Nothing is said of {limit}." for limit in (*LIMITS, CHOSEN)]
    return [opening(certificate), *said, *foundations(certificate), *unsaid]


def opening(certificate: Certificate) -> str:
    """Return the sentence on the confidence of the statements."""
    sure, rows = rounding.probability(certificate.delta), counted(certificate.n, "held-out row")
    return f"With probability at least {sure} over the draw of the {rows}, all of the statements below hold together."


def foundations(certificate: Certificate) -> list[str]:
    """Return the sentences on the loss and on what the statements rest on."""
    level = f"fails with probability {rounding.level(certificate.each)} at most"
    return [LOSS_WORDS[certificate.loss], f"Each bound, and each comparison with all rows, {level}.", CHANCE]


def statement_text(statement: Statement, certificate: Certificate) -> list[str]:
    """One statement in sentences: the bound on the risk, whether it says anything, and the gap to all rows."""
    loss, name = certificate.loss, spoken(statement.learner)
    about = certificate.about or {}
    labels = f" with {spoken(statement.labels)} labels" if statement.labels in ("soft", "hard", "expanded") else ""
    seen = seen_text(statement.risk, loss)
    of = " of" if loss == "zero-one" else " on"
    sentences = [
        f"{name}, trained on the {_examples(about)}{labels}, {_bound(statement.bound, loss)} new rows drawn "
        f"as the held-out rows were ({seen}{of} the held-out rows; {spoken(statement.bound_by)})."
    ]
    if certificate.vacuous(statement):
        constant = CONSTANT[loss].format(seen_text(certificate.guessing, loss))
        sentences.append(f"This bound says nothing: {constant}.")
    if statement.low is None or statement.high is None or statement.epsilon is None or statement.full_risk is None:
        why = spoken(statement.note) or "it was not measured"
        return [*sentences, f"Nothing is said of the distance to learning from all rows: {why.removesuffix('.')}."]
    more = _between(_scale(statement.low, loss), _scale(statement.high, loss), loss)
    whole = f"{name} trained on {_all_rows(about)} ({seen_text(statement.full_risk, loss)}{of} the held-out rows)"
    loss_name = {"zero-one": "zero-one loss", "brier": "Brier loss"}.get(loss, f"squared loss divided by {CAP:g}")
    return [
        *sentences,
        f"On such rows {more} than {whole}: the set is a {rounding.at_most(statement.epsilon)}-approximation of the "
        f"data for {name} and the {loss_name} (arXiv:2011.00050, definition 1).",
    ]


def headline(certificate: Certificate) -> str:
    """The lowest bound in one sentence. All hold together, so it may be picked out."""
    useful = [s for s in certificate.statements if not certificate.vacuous(s)]
    if not useful:
        return "Nothing useful could be certified: no bound is better than answering without a look at the row."
    best = min(useful, key=lambda s: s.bound)
    sure, examples = rounding.probability(certificate.delta), _examples(certificate.about or {})
    bound = _bound(best.bound, certificate.loss)
    return f"With probability at least {sure}, {spoken(best.learner)} trained on the {examples} {bound} new rows."


def facts(certificate: Certificate) -> dict[str, str]:
    """`about` as names and texts, groups taken apart: "digests: x"."""
    found: dict[str, str] = {}
    for name, value in (certificate.about or {}).items():
        entries = value.items() if isinstance(value, Mapping) else [("", value)]
        for part, one in entries:
            found[f"{name}: {part}" if part else str(name)] = _fact(one)
    return found


def certificate_markdown(certificate: Certificate) -> str:
    """The certificate as Markdown; text from outside is escaped."""
    lines = ["# Certificate", "", escaped(headline(certificate)), "", escaped(opening(certificate)), ""]
    for statement in certificate.statements:
        lines += [f"- {escaped(' '.join(statement_text(statement, certificate)))}"]
    lines += ["", *(f"{escaped(sentence)}\n" for sentence in foundations(certificate))]
    lines += ["Nothing is said of", "", *(f"- {escaped(limit)}" for limit in (*LIMITS, CHOSEN))]
    if certificate.checks:
        lines += ["", "| Check | Found |", "| --- | --- |"]
        lines += [f"| {escaped(check.name)} | {escaped(check.found)} |" for check in certificate.checks]
    if known := facts(certificate):
        lines += ["", "| About | |", "| --- | --- |"]
        lines += [f"| {escaped(name)} | {escaped(value)} |" for name, value in known.items()]
    return "\n".join([*lines, ""]).encode("utf-8", "replace").decode("utf-8")


def _examples(about: Mapping[str, Any]) -> str:
    n = about.get("n_support")
    return counted(n, "example") if isinstance(n, int) else "set"


def _all_rows(about: Mapping[str, Any]) -> str:
    n = about.get("n_train")
    return f"all {n:,} rows" if isinstance(n, int) else "all rows"


def _bound(value: float, loss: str) -> str:
    """Return the sentence on the bound of the risk."""
    if loss == "zero-one":
        return f"is wrong on at most {rounding.percent_at_most(value)} % of"
    if loss == "brier":
        return f"has a Brier loss of at most {rounding.at_most(value)} on"
    return f"has a squared error of at most {rounding.at_most(_scale(value, loss))} variances on"


def _scale(value: float, loss: str) -> float:
    """Format a loss for a sentence: squared errors in variances."""
    return value * CAP if loss == "squared" else value


def seen_text(risk: float, loss: str) -> str:
    """A mean over the held-out rows."""
    if loss == "zero-one":
        return f"{100 * risk:.1f} %" if risk else "none"
    return f"{_scale(risk, loss):.3f}"


def _between(low: float, high: float, loss: str) -> str:
    """Return the interval of the excess loss: both ends rounded outwards."""
    if loss == "zero-one":
        up, down, unit, verb = rounding.percent_at_most, rounding.percent_at_least, " percentage points", "is wrong"
        words = ("more often", "less often")
    else:
        up, down, unit, verb, words = rounding.at_most, rounding.at_least, "", "loses", ("more", "less")
    if low < 0 < high:
        less = words[1].removesuffix(" often")
        return f"it {verb} between {up(-low)}{unit} {less} and {up(high)} {words[0]}"
    if low >= 0:
        return f"it {verb} between {down(low)} and {up(high)}{unit} {words[0]}"
    return f"it {verb} between {down(-high)} and {up(-low)}{unit} {words[1]}"


def _fact(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    if isinstance(value, (list, tuple)):
        return ", ".join(_fact(item) for item in value)
    return f"{value:,}" if isinstance(value, int) else f"{value:g}" if isinstance(value, float) else str(value)
