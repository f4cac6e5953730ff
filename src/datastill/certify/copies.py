"""Held-out rows that are altered training rows: brighter, shifted by a pixel, noisy, reordered, or changed in a place.

A held-out row is compared with its nearest training row in forms that such changes leave alone, and the distance is
measured against the one from that training row to its own nearest neighbour:

    ρ(z) = d(z, t) / d(t, t')        t = nearest training row to z,  t' = nearest other training row to t

Rows drawn alike have ρ around 1, and seldom far below it; a copy has ρ near 0. How seldom depends on the data: rows
of few values are near one another by nature. So training rows that are taken out and treated as held out show what is
usual, and held-out rows are copies when too many of them have a smaller ρ for chance (Fisher's exact test).

The measure adapts to each row's surroundings as in Breunig et al. (2000), "LOF: identifying density-based local
outliers", where it finds rows that are too far away.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import hypergeom

from datastill._typing import Bool, Float, Int
from datastill.certify.overlap import nearest_rows
from datastill.data import sampling
from datastill.preprocess.encoder import FeatureEncoder

LEVEL = 1e-4
"""Probability that held-out rows drawn as the training rows were are taken for copies."""
RATIOS = (0.0, 0.05, 0.1, 0.2, 0.35, 0.5)
"""Values of ρ at which rows are counted; LEVEL is shared among them."""
PARTS, MOST_USUAL = 4, 2000
"""Into which training rows are split, to be treated as held out in turn, until there are about so many."""
MOST_PAIRS = 300_000_000
"""Pairs of a held-out and a training row; where there are more, random held-out rows are looked at."""
FEW_CELLS = 256
"""Cells of a row at most, for each to be left out in turn; of wider rows the largest differences do not count."""
LEAST_SIDE = 6
"""Pixels of an image that is looked at for shifts."""
WIDTH = 64
"""Of random projections, in which nearest rows are looked for where rows are wider than twice this."""
FEWEST_NUMBERS, SHARE_IGNORED = 16, 50
"""Of rows at least so wide the largest differences do not count: one, and one more for every so many numbers."""
FAR = 20.0
"""Standard deviations from the mean beyond which numbers count as this far."""
BATCH = 4096
"""Rows whose marks are made at once."""
DECIMALS = 3
"""Of numbers that are compared for equality, in standard deviations."""


class Forms(NamedTuple):
    """Rows in forms that changes leave alone.

    Attributes:
        rows: of each form, (n, d) matrices; more than one where the row is also compared as shifted by a pixel.
        marks: (n, c) integers; rows that share one in the same column are taken for equal.
    """

    rows: list[list[Float[np.ndarray, "n d"]]]
    marks: Int[np.ndarray, "n c"]


def copies(
    held: np.ndarray, train: np.ndarray, own: np.ndarray, space: FeatureEncoder, all_rows: bool
) -> Bool[np.ndarray, " n"]:
    """Mark held-out rows that are altered copies of training rows, if there are too many of them for chance.

    Args:
        held: (n, …) rows, standardised in `space`; none equals a training row.
        train: (m, …) training rows.
        own: (s, …) examples of the set, which held-out rows may not copy either.
        space: of the rows.
        all_rows: whether every held-out row is looked at, whatever it takes.

    Returns:
        (n,) which rows are; all False where as many would be among rows that were drawn alike.
    """
    flags = np.zeros(len(held), bool)
    if len(train) < 4 or not len(held):
        return flags
    looked = np.arange(len(held))
    most = max(MOST_PAIRS // len(train), 1)
    if len(held) > most and not all_rows:
        looked = np.sort(sampling.rng(0, 18).choice(len(held), most, replace=False))
    known = np.concatenate([train, own])
    found = ratios(forms(held[looked], space, True), forms(known, space, False))
    expected = usual_ratios(train, space)
    best = min(RATIOS, key=lambda ratio: _chance(found <= ratio, expected <= ratio))
    if _chance(found <= best, expected <= best) <= LEVEL / len(RATIOS):
        flags[looked[found <= best]] = True
    return flags


def usual_ratios(train: np.ndarray, space: FeatureEncoder) -> Float[np.ndarray, " u"]:
    """Return ρ of training rows that are held out in turn, a part of them at a time; without those that equal others.

    Args:
        train: (m, …) standardised rows.
        space: of the rows.
    """
    order, found = sampling.rng(0, 17).permutation(len(train)), []
    for part in np.array_split(order, PARTS)[: max(1, PARTS * MOST_USUAL // len(train))]:
        part = part[:MOST_USUAL]
        rest = train[np.setdiff1d(order, part)]
        part = train[part]
        part = part[~_equal_rows(part, rest)]
        if len(part):
            found.append(ratios(forms(part, space, True), forms(rest, space, False)))
    return np.concatenate([np.zeros(0), *found])


def ratios(held: Forms, train: Forms) -> Float[np.ndarray, " n"]:
    """Return ρ of every held-out row, the smallest over the forms; 0 for a row that shares a mark."""
    found = np.full(len(held.marks), np.inf)
    for versions, (known,) in zip(held.rows, train.rows, strict=True):
        small = _projected([*versions, known])
        apart, of = np.full(len(found), np.inf), np.zeros(len(found), int)
        for rows, projected in zip(versions, small, strict=False):
            nearest = nearest_rows(projected, small[-1])
            distance = _distance(rows, known[nearest], ignoring=True)
            of = np.where(distance < apart, nearest, of)
            apart = np.minimum(distance, apart)
        own, place = np.unique(of, return_inverse=True)
        others = nearest_rows(small[-1][own], small[-1], different=True)
        usual = _distance(known[own], known[others], ignoring=False)[place]
        found = np.minimum(found, np.divide(apart, usual, out=np.full(len(found), np.inf), where=usual > 0))
    for j in range(held.marks.shape[1]):
        found[np.isin(held.marks[:, j], train.marks[:, j])] = 0.0
    return found


def forms(z: np.ndarray, space: FeatureEncoder, shifted: bool) -> Forms:
    """Return rows in forms that brightness, contrast, scale, order or one cell do not change.

    Args:
        z: (n, …) standardised rows.
        space: of the rows.
        shifted: whether images come with their inner parts at every place, as shifts by one pixel move them.
    """
    near = np.clip(np.asarray(z, np.float32), -FAR, FAR)
    if z.ndim == 2:
        zero = np.asarray(space.scaling.mean / space.scaling.scale, np.float32)
        return Forms([[near], [_direction(near + zero)]], _marks(z, space))
    found = [[_pattern(near)]]
    if min(z.shape[1:3]) >= LEAST_SIDE:
        places = [(i, j) for i in range(3) for j in range(3)] if shifted else [(1, 1)]
        height, width = z.shape[1] - 2, z.shape[2] - 2
        found.append([_pattern(near[:, i : i + height, j : j + width]) for i, j in places])
    return Forms(found, _marks(z, space))


def _marks(z: np.ndarray, space: FeatureEncoder) -> np.ndarray:
    """(n, c) marks: of the row with its numbers in order, and of the row without each of its cells."""
    parts = [_marks_of(z[start : start + BATCH], space) for start in range(0, max(len(z), 1), BATCH)]
    return np.concatenate(parts)


def _marks_of(z: np.ndarray, space: FeatureEncoder) -> np.ndarray:
    flat, found = z.reshape(len(z), -1), np.zeros((len(z), 0), np.uint64)
    if space.table is None:
        values = np.asarray(space.scaling.inverse(z) / np.mean(space.scaling.scale)).reshape(flat.shape)
        found = _hashes(np.sort(values, axis=1)).sum(axis=1, dtype=np.uint64)[:, None]
    widths = [column.width for column in space.table.columns] if space.table else [1] * flat.shape[1]
    if not 1 < len(widths) <= FEW_CELLS:
        return found
    cells = np.add.reduceat(_hashes(flat), np.cumsum([0, *widths[:-1]]), axis=1)
    return np.concatenate([found, cells.sum(axis=1, dtype=np.uint64)[:, None] - cells], axis=1)


def _hashes(values: np.ndarray) -> np.ndarray:
    """(n, d) 64 bits of each number, to DECIMALS, and of its column (Steele, Lea, Flood 2014, SplitMix64)."""
    columns = np.arange(1, values.shape[1] + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    rounded = np.round(values.astype(np.float64) * 10**DECIMALS).astype(np.int64).view(np.uint64)
    mixed = rounded * np.uint64(0xD1342543DE82EF95) + columns
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(31))


def _pattern(images: np.ndarray) -> np.ndarray:
    """(n, d) images without their brightness, by channel, and contrast."""
    return _direction((images - images.mean(axis=(1, 2), keepdims=True)).reshape(len(images), -1))


def _direction(flat: np.ndarray) -> np.ndarray:
    """Rows of norm 1; those of norm 0 stay."""
    norms = np.linalg.norm(flat, axis=1, keepdims=True)
    return flat / np.where(norms > 0, norms, 1)


def _projected(parts: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The rows, centred by the last part; of fewer, random columns where they are wide."""
    centre, width = parts[-1].mean(axis=0), parts[-1].shape[1]
    if width <= 2 * WIDTH:
        return [part - centre for part in parts]
    map = sampling.rng(0, 19).standard_normal((width, WIDTH), np.float32) / np.float32(WIDTH**0.5)
    return [(part - centre) @ map for part in parts]


def _distance(a: np.ndarray, b: np.ndarray, ignoring: bool) -> np.ndarray:
    """(n,) distances between rows, without the largest differences of wide ones if they are to be ignored."""
    squares = (a - b) ** 2
    width = squares.shape[1]
    if ignoring and width >= FEWEST_NUMBERS:
        kept = width - 1 - width // SHARE_IGNORED
        squares = np.partition(squares, kept - 1, axis=1)[:, :kept]
    return np.sqrt(squares.sum(axis=1, dtype=np.float64))


def _equal_rows(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    known = {row.tobytes() for row in b.astype(np.float32)}
    return np.array([row.tobytes() in known for row in a.astype(np.float32)], bool)


def _chance(found: np.ndarray, expected: np.ndarray) -> float:
    """Probability of so many or more among the first, if both were drawn alike (Fisher's exact test)."""
    both = int(found.sum() + expected.sum())
    return float(hypergeom.sf(found.sum() - 1, len(found) + len(expected), both, len(found)))
