"""Judge a saved set on held-out rows by any learner, and certify it."""

import datetime
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from datastill import _moved
from datastill._errors import InputError
from datastill.certify import FULL, Certificate, Check, certify
from datastill.data.archive import make_folder
from datastill.data.dataset import Dataset, Rows, digest, take, versions
from datastill.evaluate.constant import with_constant
from datastill.evaluate.draws import PROPORTIONAL, RANDOM, random_sets
from datastill.evaluate.leaderboard import Baselines
from datastill.evaluate.protocol import HeldOut, Judged, Maker, protocol
from datastill.workflows.certificate_files import write
from datastill.workflows.saved_set import Artefact, set_digest, split_as
from datastill.workflows.unseen import known_rows, nearness, repeats, rows_of, unseen, used_before

SET = "this set"


class CertificateSettings(NamedTuple):
    """A request for a certificate.

    Attributes:
        learners: names; see `learners.named_learner`.
        delta: probability that any statement fails.
        loss: one of `certify.LOSSES`, or None for the usual one.
        distance: held-out rows this near to a training row count as the same; None for `overlap.typical_distance`.
        drop_seen: whether to leave out held-out rows that were training rows, or near one, instead of refusing.
    """

    learners: tuple[str, ...]
    delta: float = 0.05
    loss: str | None = None
    distance: float | None = None
    drop_seen: bool = False


class Sample(NamedTuple):
    """New held-out rows, with the checks that they passed.

    Attributes:
        x: the rows.
        y: their labels or targets.
        held: both as numbers.
        checks: that the rows passed.
        dropped: how many rows were left out.
        distance: within which rows counted as the same; None where the training rows were not at hand.
    """

    x: Rows
    y: np.ndarray
    held: HeldOut
    checks: tuple[Check, ...]
    dropped: int
    distance: float | None


def held_out_rows(artefact: Artefact, given: Dataset | None, option: str) -> tuple[Rows, np.ndarray]:
    """The held-out rows that are meant: the test part of what is given, else all of it; else the run's own test rows.

    Args:
        artefact: the set.
        given: what the user names, or None.
        option: how the user names it.

    Raises:
        InputError: if nothing is given and the run's own data were not found.
    """
    own = artefact.data
    if given is None:
        if own is None or own.x_test is None or own.y_test is None:
            raise InputError(
                f"Got no held-out rows, and the data that {artefact.folder} was made from are not a built-in set on "
                f"this machine; expected both as paths or names; try {option} DATA."
            )
        return own.x_test, own.y_test
    if given.x_test is not None and given.y_test is not None:
        return given.x_test, given.y_test
    split = split_as(artefact.support, artefact.folder, given)  # the run's own data, before a part was held out
    if split is not None and split.x_test is not None and split.y_test is not None:
        return split.x_test, split.y_test
    return given.x, given.y


def evaluate(
    artefact: Artefact,
    x: Rows,
    y: np.ndarray,
    learners: Sequence[str],
    seeds: int,
    labels: str,
    jobs: int,
    folder: Path,
) -> Judged:
    """Judge a saved set, and beside it the constant prediction and, where known, random rows and all rows.

    Args:
        artefact: the set.
        x: held-out rows.
        y: their labels or targets.
        learners: names; see `learners.named_learner`.
        seeds: how many.
        labels: see `learners.training`.
        jobs: learners trained side by side.
        folder: where rows of the table are kept.
    """
    examples, every, held = artefact.examples(), artefact.every(), artefact.held_out(x, y)
    sets: dict[str, Maker] = {SET: lambda seed: examples}
    if every is not None:
        sets |= {**random_sets(examples, every), FULL: lambda seed: every}
    judged = protocol(sets, learners, held, seeds, labels, folder, jobs, once={FULL})
    return with_constant(judged, every, held)


def baselines_of(judged: Judged) -> dict[str, Baselines]:
    """Return the random rows among the sets of `evaluate` as the baselines of the saved set, where there are any."""
    drawn = [name for name in (RANDOM, PROPORTIONAL) if (judged.table["set"] == name).any()]
    return {SET: Baselines(RANDOM, RANDOM, tuple(drawn[1:]))} if drawn else {}


def without_seen(data: Dataset, settings: CertificateSettings) -> tuple[Dataset, Check]:
    """Return the dataset without test rows that are among its training rows, and what was checked.

    Raises:
        InputError: if there are any and they are not to be dropped.
    """
    assert data.x_test is not None and data.y_test is not None
    check, new = unseen(rows_of(data), data.x_test, settings.distance, settings.drop_seen)
    return replace(data, x_test=take(data.x_test, new), y_test=data.y_test[new]), check


def sample(artefact: Artefact, x: Rows, y: np.ndarray, distance: float | None, drop_seen: bool) -> Sample:
    """Return the held-out rows that a certificate of this set may rest on.

    Raises:
        InputError: if rows were seen and are not to be dropped; see `unseen`.
    """
    held = artefact.held_out(x, y)
    check, new = unseen(known_rows(artefact), x, distance, drop_seen)
    dropped, within = len(y) - len(new), None if artefact.data is None else nearness(distance, x)
    x, y, held = take(x, new), y[new], held._replace(x=held.x[new], y=held.y[new])
    z = artefact.comparison_encoder.encode(x)
    return Sample(x, y, held, (check, repeats(z), *used_before(artefact, z, x)), dropped, within)


def about_set(artefact: Artefact) -> dict[str, Any]:
    """Return the facts of a set that a certificate gives: its numbers and digests, and what it says of its making."""
    known, data = artefact.support.provenance, artefact.data
    digests = known.get("digests") or known.get("digest") or {}
    return {
        "dataset": known.get("dataset", ""),
        "method": known.get("method", ""),
        "n_support": len(artefact.support),
        "n_train": known.get("n_train") if data is None else len(data.y),
        "digest": set_digest(artefact.support),
        "training": {part: digests.get(part) for part in ("x", "y")},
    }


def certify_set(artefact: Artefact, x: Rows, y: np.ndarray, settings: CertificateSettings, folder: Path) -> Certificate:
    """Check that the rows are new, state what follows from them, and write the certificate.

    Args:
        artefact: the set.
        x: held-out rows.
        y: their labels or targets.
        settings: what is asked.
        folder: where the certificate is written; the set's own, mostly.

    Raises:
        InputError: with the reason, where nothing can be certified.
    """
    rows = sample(artefact, x, y, settings.distance, settings.drop_seen)
    make_folder(folder)
    certificate, losses = certify(
        artefact.examples(),
        artefact.every(),
        rows.held,
        settings.learners,
        settings.delta,
        settings.loss,
        folder / "learners",
    )
    about = {**_about(artefact, rows.x, rows.y), "dropped": rows.dropped, "distance": rows.distance}
    certificate = replace(certificate, checks=(*rows.checks, *certificate.checks), about=about)
    write(certificate, losses, rows.held.y, folder)
    return certificate


def _about(artefact: Artefact, x: Rows, y: np.ndarray) -> dict[str, Any]:
    """The facts about a set, and about the rows that its certificate rests on."""
    return {
        **about_set(artefact),
        "held_out": row_facts(x, y),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "versions": versions(),
    }


def row_facts(x: Rows, y: np.ndarray) -> dict[str, str]:
    """Return the digests of rows and of their labels."""
    return {"x": digest(x), "y": digest(y)}


if not TYPE_CHECKING:
    __getattr__ = _moved.renamed(__name__, {"Question": "CertificateSettings", "rivals_of": "baselines_of"})
