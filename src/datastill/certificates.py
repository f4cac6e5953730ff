"""Certificates as files: written, and checked again by recomputing everything that they say.

certificate.json            the statements, what they rest on, and digests
certificate.safetensors     the held-out losses of every learner, from which the statements follow
certificate.html, .md       the same in words
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from datastill._errors import InputError
from datastill.artefact import Artefact
from datastill.certify import SCHEMA, Certificate, Check, Losses, certify, guessing, state
from datastill.data.archive import read_json, read_tensors, tree_digest, write_atomic, write_json, write_tensors
from datastill.data.dataset import PARTS, Rows, SupportSet, digest
from datastill.evaluate.protocol import HeldOut
from datastill.report import certificate_markdown, render_certificate

CERTIFICATE, LOSSES = "certificate.json", "certificate.safetensors"
LABELS = "held_out"
TOLERANCE = 1e-9
LOSS_TOLERANCE = 1e-4
"""Of losses computed again: products of matrices round differently from machine to machine."""


def write(certificate: Certificate, losses: Mapping[str, Losses], y: np.ndarray, folder: Path) -> None:
    """Write the certificate, its losses and its page; each file is whole or as before, the certificate comes last.

    Args:
        certificate: what is stated.
        losses: of every learner, in the order of the statements.
        y: held-out class numbers, or targets, by which guessing is recomputed.
        folder: where.
    """
    tensors: dict[str, np.ndarray] = {LABELS: y}
    for i, of in enumerate(losses.values()):
        tensors |= {f"{i}.small": of.small} | ({} if of.full is None else {f"{i}.full": of.full})
    write_tensors(folder / LOSSES, tensors)
    write_atomic(folder / "certificate.md", certificate_markdown(certificate).encode())
    write_atomic(folder / "certificate.html", render_certificate(certificate).encode())
    write_json(folder / CERTIFICATE, certificate.as_dict())


def verify(artefact: Artefact, folder: Path, held: tuple[Rows, np.ndarray] | None = None) -> list[Check]:
    """Recompute a certificate: its set, its levels and its statements from the losses; with rows, the losses as well.

    Args:
        artefact: the set.
        folder: of the certificate.
        held: the held-out rows that it was made from and their labels, to train the learners again.

    Returns:
        What was recomputed and found to agree.

    Raises:
        InputError: naming the first thing that does not agree.
    """
    certificate, tensors = read(folder)
    about = dict(certificate.about or {})
    _agree("the set", about.get("digest"), set_digest(artefact.support))
    count, recorded = len(certificate.statements), {k.partition(".")[0] for k in tensors} - {LABELS}
    if not (0 < certificate.delta < 1 and recorded == {str(i) for i in range(count)} and LABELS in tensors):
        raise InputError(
            f"Got a certificate of {count} learners at delta={certificate.delta} beside losses of {len(recorded)}; "
            "expected those of the same learners; try certifying anew."
        )
    _agree("the level of each statement", certificate.each, certificate.delta / (2 * count))
    y = tensors[LABELS]
    _agree("the risk of guessing", certificate.guessing, guessing(HeldOut(y, y, y.ndim > 1), certificate.loss))
    for i, said in enumerate(certificate.statements):
        losses = Losses(tensors[f"{i}.small"], tensors.get(f"{i}.full"), said.labels, said.note)
        _agree("the number of held-out rows", certificate.n, len(losses.small))
        again = state(said.learner, losses, certificate.each, certificate.loss)
        for name, value in again.__dict__.items():
            _agree(f"{name} of {said.learner}", getattr(said, name), value)
    found = [
        Check("the set", "is the one that was certified, with its labels, classes and preprocessing"),
        Check("the levels", f"{2 * count} statements share delta = {certificate.delta:g} evenly"),
        Check("the statements", f"of all {count} learners follow from the recorded losses"),
    ]
    return found if held is None else [*found, _again(certificate, tensors, artefact, *held)]


def read(folder: Path) -> tuple[Certificate, dict[str, np.ndarray]]:
    """A certificate and its losses.

    Raises:
        InputError: if the folder holds none, or a damaged one.
    """
    if not (folder / CERTIFICATE).exists():
        raise InputError(f"Got {folder}, which holds no certificate; expected {CERTIFICATE}; try `datastill certify`.")
    saved = read_json(folder / CERTIFICATE)
    if not isinstance(saved, dict) or saved.get("schema") != SCHEMA:
        raise InputError(f"Got {folder / CERTIFICATE}, which is no certificate of the schema {SCHEMA!r}.")
    try:
        certificate = Certificate.from_dict(saved)
        numbers = (certificate.delta, certificate.each, certificate.n, certificate.guessing)
        if not all(isinstance(value, (int, float)) for value in numbers) or not certificate.statements:
            raise TypeError("a number or the statements")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"Got {folder / CERTIFICATE}, which lacks a part ({error}); try certifying anew.") from None
    return certificate, read_tensors(folder / LOSSES)[0]


def _again(
    certificate: Certificate, tensors: Mapping[str, np.ndarray], artefact: Artefact, x: Rows, y: np.ndarray
) -> Check:
    """The learners trained again have the losses on record."""
    held = (certificate.about or {}).get("held_out", {})
    _agree("the held-out rows", held.get("x"), digest(x))
    _agree("the held-out labels", held.get("y"), digest(y))
    learners = [said.learner for said in certificate.statements]
    judged = artefact.held_out(x, y)
    _, losses = certify(artefact.examples(), artefact.every(), judged, learners, certificate.delta, certificate.loss)
    unchecked = []
    for i, learner in enumerate(learners):
        _agree(f"the use of labels by {learner}", certificate.statements[i].labels, losses[learner].labels)
        for name, value in (("small", losses[learner].small), ("full", losses[learner].full)):
            stated = tensors.get(f"{i}.{name}")
            if value is None or stated is None:
                unchecked += [learner] * (value is not None or stated is not None)
                continue
            off = float(np.mean(abs(value - stated)))
            if off > LOSS_TOLERANCE:
                raise InputError(
                    f"Got a certificate whose losses of {learner} differ by {off:.2g} a row from those of the learner "
                    "trained again; expected equal ones."
                )
    found = "trained again on the set, have the recorded losses on the held-out rows"
    if unchecked:
        found += f"; those of all rows were NOT checked for {', '.join(unchecked)}: the training rows are not at hand"
    return Check("the learners", found)


def set_digest(support: SupportSet) -> str:
    """A digest of everything in a set that a learner sees."""
    return tree_digest({name: getattr(support, name) for name in PARTS if name != "indices"})


def _agree(what: str, stated: Any, found: Any) -> None:
    close = (
        abs(stated - found) <= TOLERANCE
        if isinstance(stated, float) and isinstance(found, (int, float))
        else stated == found
    )
    if not close:
        raise InputError(f"Got a certificate in which {what} is {stated!r}; recomputed, it is {found!r}.")
