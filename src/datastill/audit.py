"""What a saved set is worth on held-out rows: judged by any learner, and certified."""

import datetime
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from datastill._errors import InputError
from datastill.artefact import Artefact, row_digests, split_as
from datastill.certificates import read, set_digest, write
from datastill.certify import FULL, Certificate, Check, certify
from datastill.data.archive import make_folder
from datastill.data.dataset import Dataset, Rows, digest, take, versions
from datastill.evaluate.constant import with_constant
from datastill.evaluate.draws import PROPORTIONAL, RANDOM, random_sets
from datastill.evaluate.overlap import NEAR_ROWS, overlap, usual_distance
from datastill.evaluate.protocol import Judged, Maker, protocol
from datastill.evaluate.standings import Rivals
from datastill.preprocess.space import fit_space

SET = "this set"


class Question(NamedTuple):
    """What a certificate is asked for.

    Attributes:
        learners: names; see `learners.named_learner`.
        delta: probability that any statement fails.
        loss: one of `certify.LOSSES`, or None for the usual one.
        distance: held-out rows this near to a training row count as the same; None for `overlap.usual_distance`.
        drop_seen: whether to leave out held-out rows that were training rows, or near one, instead of refusing.
    """

    learners: tuple[str, ...]
    delta: float = 0.05
    loss: str | None = None
    distance: float | None = None
    drop_seen: bool = False


class Digests(NamedTuple):
    """Digests of training rows that are not at hand."""

    values: np.ndarray


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


def rivals_of(judged: Judged) -> dict[str, Rivals]:
    """Return the random rows among the sets of `evaluate` as the rivals of the saved set, where there are any."""
    drawn = [name for name in (RANDOM, PROPORTIONAL) if (judged.table["set"] == name).any()]
    return {SET: Rivals(RANDOM, RANDOM, tuple(drawn[1:]))} if drawn else {}


def certify_set(artefact: Artefact, x: Rows, y: np.ndarray, question: Question, folder: Path) -> Certificate:
    """Check that the rows are new, state what follows from them, and write the certificate.

    Args:
        artefact: the set.
        x: held-out rows.
        y: their labels or targets.
        question: what is asked.
        folder: where the certificate is written; the set's own, mostly.

    Raises:
        InputError: with the reason, where nothing can be certified.
    """
    held = artefact.held_out(x, y)
    z = artefact.apart.encode(x)
    check, new = unseen(_known(artefact), z, question)
    dropped, digests = len(y) - len(new), row_digests(z[new])
    x, y, held = take(x, new), y[new], held._replace(x=held.x[new], y=held.y[new])
    checks = [check, _repeats(digests), *_used_before(artefact, digests, x)]
    make_folder(folder)
    certificate, losses = certify(
        artefact.examples(),
        artefact.every(),
        held,
        question.learners,
        question.delta,
        question.loss,
        folder / "learners",
    )
    measured = artefact.data is not None
    about = {**_about(artefact, x, y), "dropped": dropped, "distance": nearness(question, x) if measured else None}
    made = replace(certificate, checks=(*checks, *certificate.checks), about=about)
    write(made, losses, held.y, folder)
    return made


def _known(artefact: Artefact) -> np.ndarray | Digests:
    """The training rows, standardised, or else their digests."""
    if artefact.data is not None:
        return artefact.apart.encode(artefact.data.x)
    if artefact.digests is not None:
        return Digests(artefact.digests)
    raise InputError(
        f"Got {artefact.folder} without digests of its training rows; expected them, to check that the held-out "
        "rows are new; try --train DATA."
    )


def as_certified(artefact: Artefact, folder: Path, rows: tuple[Rows, np.ndarray]) -> tuple[Rows, np.ndarray]:
    """The held-out rows without those that the certificate in the folder left out."""
    about = read(folder)[0].about or {}
    if not about.get("dropped"):
        return rows
    question = Question((), distance=about.get("distance"), drop_seen=True)
    x, y = rows
    artefact.check_kind(x)
    new = unseen(_known(artefact), artefact.apart.encode(x), question)[1]
    return take(x, new), y[new]


def without_seen(data: Dataset, question: Question) -> tuple[Dataset, Check]:
    """The dataset without test rows that are among its training rows, and what was checked.

    Raises:
        InputError: if there are any and they are not to be dropped.
    """
    assert data.x_test is not None and data.y_test is not None
    space = fit_space(data.x)
    check, new = unseen(space.encode(data.x), space.encode(data.x_test), question)
    return replace(data, x_test=take(data.x_test, new), y_test=data.y_test[new]), check


def unseen(known: np.ndarray | Digests, z: np.ndarray, question: Question) -> tuple[Check, np.ndarray]:
    """(what was checked, the numbers of the held-out rows that are new).

    Args:
        known: the standardised training rows, or their digests, by which equal rows are found and near ones are not.
        z: held-out rows in the same space.
        question: its `distance` and `drop_seen`.

    Raises:
        InputError: if rows were seen and are not to be dropped, or if none is new.
    """
    distance = nearness(question, z)
    hint = ""
    if isinstance(known, Digests):
        if question.distance:
            raise InputError("Got --distance without the training rows, which measure it; try --train DATA.")
        seen = np.flatnonzero(np.isin(row_digests(z), known.values))
        what = f"none of {len(z):,} held-out rows has the digest of one of {len(known.values):,} training rows"
        what += "; nearly equal rows were not looked for, since the training rows were not at hand"
        counted = f"{len(seen)} held-out rows that equal training rows"
    else:
        found = overlap(z, known, distance)
        seen = np.concatenate([found.equal, found.near])
        what = f"none of {len(z):,} held-out rows equals one of {len(known):,} training rows"
        what += f" or is within {distance:g} standard deviations of one" if distance else ""
        counted = f"{len(found.equal)} held-out rows that equal training rows"
        counted += f" and {len(found.near)} within {distance:g} of one" if distance else ""
        repeated = len(known) - len(np.unique(row_digests(known))) if len(seen) else 0
        hint = f" ({repeated} of the {len(known)} training rows repeat one another, too)" if repeated else ""
    if len(seen) and not question.drop_seen:
        raise InputError(
            f"Got {counted}{hint}; expected rows that were never trained on; try other rows, or --drop-seen, which "
            "leaves them out and certifies for rows unlike those of training."
        )
    if len(seen) == len(z):
        raise InputError(f"Got {counted}, which are all; expected rows that were never trained on.")
    if len(seen):
        what += f", once {len(seen):,} that did were left out: the statements are about rows unlike those of training"
    return Check("never seen", what), np.setdiff1d(np.arange(len(z)), seen)


def _repeats(digests: np.ndarray) -> Check:
    """How many held-out rows repeat another one: no defect where they were drawn so, and false precision otherwise."""
    repeats = len(digests) - len(np.unique(digests))
    if not repeats:
        return Check("no repeats", "no held-out row repeats another")
    return Check(
        "repeats",
        f"{repeats:,} of {len(digests):,} held-out rows repeat another: the statements hold if each was drawn on its "
        "own and not if rows were copied",
    )


def _used_before(artefact: Artefact, digests: np.ndarray, x: Rows) -> list[Check]:
    """Whether held-out rows, by their digests, also gave the scores of the run's own report."""
    own = None if artefact.data is None else artefact.data.x_test
    if own is not None:
        count = int(np.isin(digests, row_digests(artefact.apart.encode(own))).sum())
    else:
        whole = artefact.support.provenance.get("digests", {}).get("x_test")
        count = len(x) if digest(x) == whole else 0
    if not count:
        return []
    found = f"{count:,} of these rows also served for the scores of the run's own report: choose between sets by others"
    return [Check("used before", found)]


def nearness(question: Question, rows: Rows) -> float:
    """The distance within which rows count as the same: as asked, else the usual one."""
    if question.distance is None:
        return usual_distance(rows) if isinstance(rows, np.ndarray) else NEAR_ROWS
    if not question.distance >= 0:
        raise InputError(f"Got --distance {question.distance}; expected 0 or more, in standard deviations.")
    return question.distance


def _about(artefact: Artefact, x: Rows, y: np.ndarray) -> dict[str, Any]:
    known = artefact.support.provenance
    return {
        "set": artefact.folder.name,
        "dataset": known.get("dataset", ""),
        "method": known.get("method", ""),
        "n_support": len(artefact.support),
        "n_train": known.get("n_train"),
        "digest": set_digest(artefact.support),
        "training": known.get("digests") or known.get("digest"),
        "held_out": {"x": digest(x), "y": digest(y)},
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "versions": versions(),
    }
