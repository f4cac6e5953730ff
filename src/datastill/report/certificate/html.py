"""A certificate as one self-contained HTML file."""

from dataclasses import dataclass

from datastill.certify import Certificate
from datastill.report.certificate.text import (
    CHOSEN,
    LIMITS,
    facts,
    foundations,
    headline,
    opening,
    seen_text,
    statement_text,
)
from datastill.report.names import spoken
from datastill.report.pages import render_page


@dataclass(frozen=True)
class ShownStatement:
    """One statement, in words and as lengths in percent of an axis from 0 to a little more than guessing.

    Attributes:
        risk: length of the held-out loss.
        bound: where the bound is.
        guessing: where the best constant answer is.
    """

    name: str
    sentences: tuple[str, ...]
    risk: float
    bound: float
    guessing: float
    vacuous: bool


def render_certificate(certificate: Certificate) -> str:
    """The certificate as the text of one HTML file: it loads nothing and runs no script."""
    about = {str(k): v for k, v in (certificate.about or {}).items()}
    title = " · ".join(spoken(str(about[k])) for k in ("dataset", "method") if about.get(k)) or "a small set"
    return render_page(
        "certificate.html.j2",
        c=certificate,
        title=title,
        headline=headline(certificate),
        opening=opening(certificate),
        useful=not all(certificate.vacuous(s) for s in certificate.statements),
        proofs=proofs(certificate),
        guessing=seen_text(certificate.guessing, certificate.loss),
        foundations=foundations(certificate),
        limits=(*LIMITS, CHOSEN),
        facts=facts(certificate),
    )


def proofs(certificate: Certificate) -> tuple[ShownStatement, ...]:
    """The statements with their places on a common axis."""
    end = max([certificate.guessing, *(s.bound for s in certificate.statements)], default=1.0) * 1.05 or 1.0

    def place(value: float) -> float:
        return round(100 * min(max(value / end, 0), 1), 2)

    return tuple(
        ShownStatement(
            spoken(s.learner),
            tuple(statement_text(s, certificate)),
            place(s.risk),
            place(s.bound),
            place(certificate.guessing),
            certificate.vacuous(s),
        )
        for s in certificate.statements
    )
