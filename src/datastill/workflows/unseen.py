"""Look whether held-out rows are new: figures measured on rows that the set was made from are void.

A held-out row was seen when it equals a training row or an example of the set, or nearly, or is an altered copy of one.
"""

from typing import NamedTuple

import numpy as np

from datastill._errors import InputError
from datastill.certify import Check
from datastill.certify.copies import copies
from datastill.certify.overlap import NEAR_ROWS, overlap, typical_distance
from datastill.data.dataset import Dataset, Rows, digest
from datastill.preprocess.encoder import FeatureEncoder, fit_encoder
from datastill.workflows.saved_set import Artefact, row_digests


class Known(NamedTuple):
    """Rows that held-out rows are compared with.

    Attributes:
        space: by which rows are standardised.
        train: (m, …) training rows, standardised; None where they are not at hand.
        digests: of the training rows, where only these are known.
        own: (s, …) examples of the set, standardised.
    """

    space: FeatureEncoder
    train: np.ndarray | None
    digests: np.ndarray | None
    own: np.ndarray


def known_rows(artefact: Artefact) -> Known:
    """Return the rows of a saved set.

    Raises:
        InputError: where neither training rows nor their digests are at hand.
    """
    space, data = artefact.comparison_encoder, artefact.data
    if data is None and artefact.digests is None:
        raise InputError(
            f"Got {artefact.folder} without digests of its training rows; expected them, to check that the held-out "
            "rows are new; try --train DATA."
        )
    own = space.encode(artefact.support.x)
    return Known(space, None if data is None else space.encode(data.x), artefact.digests if data is None else None, own)


def rows_of(data: Dataset) -> Known:
    """Return the training rows of a dataset, of which there is no set yet."""
    space = fit_encoder(data.x)
    train = space.encode(data.x)
    return Known(space, train, None, train[:0])


def unseen(known: Known, x: Rows, distance: float | None, drop_seen: bool) -> tuple[Check, np.ndarray]:
    """Return the check, and the indices of the new held-out rows.

    Args:
        known: the rows that they are compared with.
        x: held-out rows.
        distance: rows nearer than this count as the same; None for the usual one.
        drop_seen: whether to leave out rows that were seen instead of refusing.

    Raises:
        InputError: if rows were seen and are not to be dropped, or if none is new.
    """
    z, within = known.space.encode(x), nearness(distance, x)
    if known.train is None and distance:
        raise InputError("Got --distance without the training rows, which measure it; try --train DATA.")
    found = _seen(known, z, within, drop_seen)
    seen = np.unique(np.concatenate(list(found.values())))
    counts = [f"{len(rows):,} {words}" for words, rows in found.items() if len(rows)]
    counted = f"of which {' and '.join(counts)}"
    if len(seen) == len(z):
        raise InputError(f"Got {len(z):,} held-out rows, {counted}: none is left; expected rows never trained on.")
    if len(seen) and not drop_seen:
        raise InputError(
            f"Got {len(z):,} held-out rows, {counted}{_repeated(known)}; expected rows that were never trained on; try "
            "other rows, or --drop-seen, which leaves them out and certifies for rows unlike those of training."
        )
    what = _searched(known, len(z), within)
    if len(seen):
        what += f", once {len(seen):,} that did were left out: the statements are about rows unlike those of training"
    return Check("never seen", what), np.setdiff1d(np.arange(len(z)), seen)


def nearness(distance: float | None, rows: Rows) -> float:
    """Return the distance within which rows count as the same: as asked, else the usual one."""
    if distance is None:
        return typical_distance(rows) if isinstance(rows, np.ndarray) else NEAR_ROWS
    if not distance >= 0:
        raise InputError(f"Got --distance {distance}; expected 0 or more, in standard deviations.")
    return float(distance)


def repeats(z: np.ndarray) -> Check:
    """Return how many held-out rows repeat another one: false precision, unless they were drawn so."""
    count = len(z) - len(np.unique(row_digests(z)))
    if not count:
        return Check("no repeats", "no held-out row repeats another")
    return Check(
        "repeats",
        f"{count:,} of {len(z):,} held-out rows repeat another: the statements hold if each was drawn on its own and "
        "not if rows were copied",
    )


def used_before(artefact: Artefact, z: np.ndarray, x: Rows) -> list[Check]:
    """Return whether held-out rows also gave the scores of the run's own report.

    Args:
        artefact: the set.
        z: held-out rows, standardised.
        x: the same rows.
    """
    own = None if artefact.data is None else artefact.data.x_test
    if own is not None:
        count = int(np.isin(row_digests(z), row_digests(artefact.comparison_encoder.encode(own))).sum())
    else:
        whole = (artefact.support.provenance.get("digests") or {}).get("x_test")
        count = len(x) if digest(x) == whole else 0
    if not count:
        return []
    found = f"{count:,} of these rows also served for the scores of the run's own report: choose between sets by others"
    return [Check("used before", found)]


def _seen(known: Known, z: np.ndarray, distance: float, every: bool) -> dict[str, np.ndarray]:
    """Numbers of the held-out rows by how they were seen."""
    rows = np.concatenate([known.own if known.train is None else known.train, known.own])
    found = overlap(z, rows, distance)
    examples = np.intersect1d(found.equal, overlap(z, known.own).equal) if len(known.own) else found.equal[:0]
    trained = overlap(z, known.train).equal if known.train is not None else found.equal[:0]
    if known.digests is not None:
        trained = np.flatnonzero(np.isin(row_digests(z), known.digests))
    altered = found.equal[:0]
    if known.train is not None:
        rest = np.setdiff1d(np.arange(len(z)), [*found.equal, *found.near])
        altered = rest[copies(z[rest], known.train, known.own, known.space, every)]
    return {
        "equal training rows": trained,
        "equal examples of the set": np.setdiff1d(examples, trained),
        f"are within {distance:g} standard deviations of one": np.setdiff1d(found.near, trained),
        "are altered copies of one (brighter, shifted, noisy, reordered, or changed in one place)": altered,
    }


def _searched(known: Known, n: int, distance: float) -> str:
    """The check in words."""
    own = f" or of the {len(known.own):,} examples of the set" if len(known.own) else ""
    if known.train is None:
        assert known.digests is not None
        return (
            f"none of {n:,} held-out rows has the digest of one of {len(known.digests):,} training rows or equals one "
            f"of the {len(known.own):,} examples of the set; altered copies were not looked for, since the training "
            "rows were not at hand"
        )
    within = f" or is within {distance:g} standard deviations of one" if distance else ""
    return (
        f"none of {n:,} held-out rows equals one of {len(known.train):,} training rows{own}{within}, and no more of "
        "them than chance allows are like one but for brightness, a shift by one pixel, noise, order or one number"
    )


def _repeated(known: Known) -> str:
    if known.train is None:
        return ""
    repeated = len(known.train) - len(np.unique(row_digests(known.train)))
    return f" ({repeated:,} of the {len(known.train):,} training rows repeat one another, too)" if repeated else ""
