"""Certificates checked: everything that one states is computed again, and what cannot be is said first.

A certificate comes with its set from the same maker, so no file beside it can vouch for it: digests and seals in the
same folder can be made to fit. Only rows that the reader has can show that it is true. Without them, a certificate is
shown to agree with itself and no more.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from datastill._errors import InputError
from datastill.certify import LOSSES as LOSS_NAMES
from datastill.certify import (
    NOT_AT_HAND,
    Certificate,
    Check,
    Losses,
    check_delta,
    checked_loss,
    measured,
    stated,
)
from datastill.data.archive import DAMAGED
from datastill.data.dataset import Rows, versions
from datastill.evaluate.protocol import HeldOut
from datastill.learners.named import is_import_path
from datastill.preprocess.labels import ClassLabels
from datastill.workflows.certificate_files import CERTIFICATE, LABELS, lacking, pages, read
from datastill.workflows.certify import Sample, about_set, row_facts, sample
from datastill.workflows.saved_set import Artefact
from datastill.workflows.unseen import known_rows, unseen

TOLERANCE = 1e-9
LOSS_TOLERANCE = 1e-4
"""Of losses computed again: products of matrices round differently from machine to machine."""
MOST_SHOWN = 200
OF_ROWS = ("held_out", "dropped", "distance", "date", "versions")
ROWS_ABSENT = "that the losses are those of these learners, on rows that were never seen (try --holdout and --train)"
TRAINING_ABSENT = (
    "that the held-out rows were never seen, at this distance and with so many left out, since the training rows are "
    "not at hand (try --train)"
)
ALWAYS = ("the date", "the versions of packages", "the names of the data and of the method")
"""Parts of a certificate that no rows can show."""


class Recorded(NamedTuple):
    """A certificate as it was read.

    Attributes:
        certificate: what it states.
        losses: of every learner, by name.
        y: (n,) held-out class numbers, or (n, k) targets.
    """

    certificate: Certificate
    losses: dict[str, Losses]
    y: np.ndarray


class Verified(NamedTuple):
    """The outcome of checking a certificate.

    Attributes:
        checks: parts that were computed again and agree.
        unverified: parts that were not computed again.
    """

    checks: tuple[Check, ...]
    unverified: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """The line to be read first."""
        beyond = [part for part in self.unverified if part not in ALWAYS]
        if not beyond:
            return f"Verified from the rows. NOT verified, since no rows can show it: {', '.join(ALWAYS)}."
        return f"NOT verified: {'; '.join(self.unverified)}. The rest agrees with what was recomputed."


def verify(
    artefact: Artefact, folder: Path, rows: tuple[Rows, np.ndarray] | None = None, named: Sequence[str] = ()
) -> Verified:
    """Compute everything again that a certificate states, as far as the rows at hand allow.

    Learners that the certificate names by import path are its maker's code: they are not imported.

    Args:
        artefact: the set; with its training rows, gaps and the novelty of rows are computed again, too.
        folder: of the certificate.
        rows: the held-out rows that it was made from and their labels.
        named: learners that the user names, which may be imported.

    Raises:
        InputError: naming the first thing that does not agree.
    """
    recorded = _read(folder, artefact)
    certificate = recorded.certificate
    held = HeldOut(recorded.y, recorded.y, artefact.regression)
    classes = artefact.examples().vectors.shape[1]
    again = stated(recorded.losses, held, classes, certificate.delta, certificate.loss)
    known = dict(certificate.about or {})
    about = {**about_set(artefact), **{name: known[name] for name in OF_ROWS}}
    looked = certificate.checks[: len(certificate.checks) - len(again.checks)]
    checks = [
        Check("the set", "is the one that was certified, with its labels, classes and preprocessing"),
        Check("the statements", f"of all {len(recorded.losses)} learners follow from the recorded losses"),
    ]
    unverified: list[str] = []
    new = None
    if rows is None:
        unverified += [ROWS_ABSENT, "the digests of the rows, their distance and number left out, and the checks"]
    else:
        new, same = _rows_again(artefact, known, rows)
        if same:
            about |= {"dropped": new.dropped, "distance": new.distance}
            looked = new.checks
            checks.append(Check("the held-out rows", looked[0].found))
        about["held_out"] = row_facts(new.x, new.y)
        if not same or artefact.data is None:
            unverified.append(TRAINING_ABSENT)
        _agree("held-out labels", recorded.y.tolist(), new.held.y.tolist())
    if artefact.data is None:
        unverified.append("which rows the set was made from, and how many")
    expected = replace(again, checks=(*looked, *again.checks), about=about)
    said, found = (json.loads(json.dumps(one.as_dict())) for one in (certificate, expected))
    for one, other in zip(said.pop("statements"), found.pop("statements"), strict=True):
        for name, value in other.items():
            _agree(f"{name} of {other['learner']}", one[name], value)
    _agree("", said, found)
    unverified += _free_notes(recorded) + _words(certificate, folder)
    if new is not None:
        trained, missing = _trained_again(recorded, artefact, new.held, named)
        checks += trained
        unverified += missing
    return Verified(tuple(checks), (*unverified, *ALWAYS))


def _rows_again(artefact: Artefact, about: Mapping[str, Any], rows: tuple[Rows, np.ndarray]) -> tuple[Sample, bool]:
    """Select the new held-out rows, and return whether they were checked as for the certificate.

    A certificate that was made without the training rows has no distance: digests of them were compared.
    """
    distance, drop = about["distance"], bool(about["dropped"])
    if artefact.data is not None and distance is not None:
        return sample(artefact, *rows, distance, drop), True
    if artefact.data is not None:
        unseen(known_rows(artefact), rows[0], None, drop)
    digests = np.zeros(0, np.uint64) if artefact.digests is None else artefact.digests
    return sample(replace(artefact, data=None, digests=digests), *rows, None, drop), distance is None


def _read(folder: Path, artefact: Artefact) -> Recorded:
    """The certificate and its losses; an InputError unless all in them is of the kind that it should be."""
    certificate, tensors = read(folder)
    losses, y = {}, tensors.get(LABELS, np.zeros(0))
    try:
        _check_kinds(certificate)
        check_delta(certificate.delta)
        for i, said in enumerate(certificate.statements):
            full = tensors.get(f"{i}.full")
            losses[said.learner] = Losses(tensors[f"{i}.small"], full, said.labels, said.note if full is None else "")
        names = {LABELS, *(f"{i}.small" for i in range(len(losses)))}
        names |= {f"{i}.full" for i, of in enumerate(losses.values()) if of.full is not None}
        if len(losses) != len(certificate.statements) or tensors.keys() != names:
            raise ValueError("losses of other learners than the statements'")
        _check_losses(losses, y, certificate.loss, artefact)
    except DAMAGED as error:
        raise lacking(folder, error) from None
    return Recorded(certificate, losses, y)


def _check_kinds(certificate: Certificate) -> None:
    """ValueError unless what is computed with, and what is only shown, are of the kinds that they should be."""
    about = certificate.about
    if not isinstance(about, dict):
        raise ValueError("about")
    texts = [about["date"], *about["held_out"].values(), *(text for item in about["versions"].items() for text in item)]
    texts += [text for s in certificate.statements for text in (s.learner, s.labels, s.note)]
    texts += [text for check in certificate.checks for text in check]
    distance, dropped = about["distance"], about["dropped"]
    if not (
        all(isinstance(text, str) for text in texts)
        and isinstance(about["versions"], dict)
        and set(about["held_out"]) == {"x", "y"}
        and certificate.statements
        and isinstance(certificate.delta, float)
        and (distance is None or (isinstance(distance, float) and distance >= 0))
        and type(dropped) is int
        and dropped >= 0
    ):
        raise ValueError("a number, a text or the statements")


def _check_losses(losses: Mapping[str, Losses], y: np.ndarray, loss: str, artefact: Artefact) -> None:
    """ValueError unless there are losses in [0, 1] for every label, and labels of this set's classes or targets."""
    checked_loss(loss, HeldOut(y, y, artefact.regression))
    vectors = artefact.examples().vectors
    if isinstance(artefact.labels, ClassLabels):
        fit = y.ndim == 1 and y.dtype.kind in "iu" and len(y) > 0 and 0 <= y.min() <= y.max() < vectors.shape[1]
    else:
        fit = y.ndim == 2 and y.dtype.kind == "f" and y.shape[1] == vectors.shape[1] and bool(np.isfinite(y).all())
    if not fit:
        raise ValueError("labels that are not the set's")
    for of in losses.values():
        for values in (of.small, of.full):
            if values is None:
                continue
            inside = (
                values.shape == y.shape[:1] and values.dtype.kind == "f" and bool(((values >= 0) & (values <= 1)).all())
            )
            if not inside or (loss == LOSS_NAMES[0] and not np.isin(values, (0, 1)).all()):
                raise ValueError("losses that are none")


def _trained_again(
    recorded: Recorded, artefact: Artefact, held: HeldOut, named: Sequence[str]
) -> tuple[list[Check], list[str]]:
    """Train the learners again on the rows at hand and compare their losses; return checks, and parts not computed."""
    known = [name for name in recorded.losses if not is_import_path(name) or name in named]
    strange = [name for name in recorded.losses if name not in known]
    unverified = []
    if strange:
        unverified.append(
            f"the losses of {', '.join(strange)}, which would run code that the certificate names (try --learners with "
            "its name, if you trust it)"
        )
    loss = recorded.certificate.loss
    found = measured(artefact.examples(), artefact.every(), held, known, loss, None) if known else {}
    for learner, losses in found.items():
        said = recorded.losses[learner]
        _agree(f"the use of labels by {learner}", said.labels, losses.labels)
        for part, value in (("the set", losses.small), ("all rows", losses.full)):
            recorded_value = said.small if part == "the set" else said.full
            if value is None and recorded_value is not None:
                unverified.append(f"the losses of {learner} trained on all rows")
            if value is not None and recorded_value is not None:
                off = float(np.mean(abs(value - recorded_value)))
                if off > LOSS_TOLERANCE:
                    raise InputError(
                        f"Got a certificate whose losses of {learner} on {part} differ by {off:.2g} a row from those "
                        "of the learner trained again; expected equal ones."
                    )
        if said.full is None and losses.full is None:
            _agree(f"why nothing is said of all rows for {learner}", said.note, losses.note)
    checks = (
        [Check("the learners", f"{', '.join(found)}: trained again, they have the recorded losses")] if found else []
    )
    return checks, unverified


def _free_notes(recorded: Recorded) -> list[str]:
    """The learners that failed on all rows, as the certificate says, for reasons in its maker's words."""
    free = [name for name, of in recorded.losses.items() if of.full is None and of.note != NOT_AT_HAND]
    return [f"why nothing is said of all rows for {', '.join(free)}"] if free else []


def _words(certificate: Certificate, folder: Path) -> list[str]:
    """Pages that say it in the words of another version, which cannot be compared; other words are refused."""
    unverified = []
    for name, content in pages(certificate).items():
        path = folder / name
        if not path.exists() or path.read_bytes() == content:
            continue
        theirs = dict((certificate.about or {}).get("versions", {})).get("datastill")
        if theirs == versions()["datastill"]:
            raise InputError(
                f"Got {path}, which does not say what {CERTIFICATE} does; expected the same; try certifying again."
            )
        unverified.append(f"{name}, written by version {theirs} of datastill")
    return unverified


def _agree(where: str, stated: Any, found: Any) -> None:
    """InputError naming the first part in which two JSON values differ."""
    if isinstance(stated, dict) and isinstance(found, dict) and stated.keys() == found.keys():
        for name in found:
            _agree(f"{where}.{name}".lstrip("."), stated[name], found[name])
    elif isinstance(stated, list) and isinstance(found, list) and len(stated) == len(found):
        for i, (one, other) in enumerate(zip(stated, found, strict=True)):
            _agree(f"{where}[{i}]", one, other)
    elif not _same(stated, found):
        shown, recomputed = (repr(value)[:MOST_SHOWN] for value in (stated, found))
        raise InputError(
            f"Got a certificate in which {where or 'the whole'} is {shown}; recomputed, it is {recomputed}."
        )


def _same(stated: Any, found: Any) -> bool:
    if isinstance(stated, float) and isinstance(found, float):
        return abs(stated - found) <= TOLERANCE
    return type(stated) is type(found) and bool(stated == found)
