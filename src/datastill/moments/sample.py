"""Rows named by their content: a split that needs no list of rows, and a sample that adds as the sums do.

A row's hash is a number that depends on the row alone. Rows of the greatest hashes are held out, wherever and whenever
they turn up, so equal rows are on one side and a row that is forgotten is taken from the side it was added to. Rows of
the least hashes, of either side, are kept: a random sample of contents, each as often as it occurs; the sample of two
parts is found in the samples of each.

Source: the sample of least hashes: Broder (1997), "On the resemblance and containment of documents"; multiply-add
hashing: Dietzfelbinger (1996); the finaliser: Steele, Lea and Flood (2014), "Fast splittable pseudorandom number
generators" (SplitMix).
"""

from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np

DECIMALS = 3
FACTORS_SEED = 0x5EED
CELLS = 2**20  # numbers that are hashed at once


def row_hashes(z: np.ndarray) -> np.ndarray:
    """(n,) uint64: h = mix(Σⱼ aⱼ·round(1000·zⱼ) mod 2⁶⁴), with odd random aⱼ.

    Args:
        z: (n, …) rows as numbers; those that are equal to three decimals have one hash.
    """
    flat = z.reshape(len(z), -1)
    factors, rows = _factors(flat.shape[1]), max(CELLS // max(flat.shape[1], 1), 1)
    h = np.concatenate([_whole(flat[i : i + rows]) @ factors for i in range(0, len(flat), rows)] or [factors[:0]])
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        h = (h ^ (h >> np.uint64(shift))) * np.uint64(factor)
    found: np.ndarray = h ^ (h >> np.uint64(31))
    return found


def held_out(hashes: np.ndarray, fraction: float) -> np.ndarray:
    """(n,) bool: which rows are held out, those whose hashes are above 1 − fraction of the way."""
    return (
        hashes >= np.uint64(min(int((1 - fraction) * 2.0**64), 2**64 - 1)) if fraction else np.zeros(len(hashes), bool)
    )


@dataclass(frozen=True, eq=False)
class Sample:
    """A random sample: of each class (in regression, of all rows) the rows of the least hashes.

    Attributes:
        z: (m, …) rows as numbers, in the space of learning.
        y: (m,) numbers of their classes, or (m, k) standardised targets.
        hashes: (m,), in rising order.
        most: kept of each class.
        cuts: class (in regression, 0) -> the least hash of a row that was not kept. The sample has every row below it,
            and none above it, rows that were taken out since apart.
    """

    z: np.ndarray
    y: np.ndarray
    hashes: np.ndarray
    most: int
    cuts: dict[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, z: np.ndarray, y: np.ndarray, hashes: np.ndarray, most: int) -> "Sample":
        """Those to be kept of some rows."""
        # Rows of one hash, equal rows most likely, come in an order that does not depend on where they came from.
        order = np.lexsort((*y.reshape(len(y), int(np.prod(y.shape[1:]))).T, hashes))
        kept = _place_in_class(y[order]) < most
        keep, rest = order[kept], order[~kept][::-1]
        cuts = dict(zip(_groups(y[rest]).tolist(), hashes[rest].tolist(), strict=True))  # the least comes last
        return cls(z[keep], y[keep], hashes[keep], most, cuts)

    def __add__(self, other: "Sample") -> "Sample":
        """Return the sample of the rows of both."""
        z, y, hashes = (np.concatenate([getattr(self, n), getattr(other, n)]) for n in ("z", "y", "hashes"))
        cuts = _least(self.cuts, other.cuts)
        # Beyond a cut, rows of one part are known and those of the other are not.
        known = hashes <= _limits(y, cuts)
        found = Sample.of(z[known], y[known], hashes[known], min(self.most, other.most))
        return replace(found, cuts=_least(cuts, found.cuts))

    def __sub__(self, other: "Sample") -> "Sample":
        """Without the rows of `other`, each once; what takes their places is not known any more, so they are fewer."""
        left = dict.fromkeys(self._keys(), 0)
        for key in other._keys():
            if key in left:
                left[key] += 1
        keep = []
        for key in self._keys():
            keep.append(left[key] == 0)
            left[key] -= left[key] > 0
        kept = np.array(keep, bool)
        return Sample(self.z[kept], self.y[kept], self.hashes[kept], self.most, self.cuts)

    def shared(self, other: "Sample") -> float:
        """Estimate the fraction of the other's rows that this has seen, from those that this would keep."""
        theirs, groups = other.hashes, _groups(other.y)
        told = theirs < _limits(other.y, self.cuts)
        own = set(zip(_groups(self.y).tolist(), self.hashes.tolist(), strict=True))
        found = [row in own for row in zip(groups[told].tolist(), theirs[told].tolist(), strict=True)]
        return float(np.mean(found)) if found else 0.0

    def _keys(self) -> list[tuple[int, bytes]]:
        return [(int(h), y.tobytes()) for h, y in zip(self.hashes, self.y, strict=True)]


def _groups(y: np.ndarray) -> np.ndarray:
    """(m,) the class of each row; 0 in regression."""
    return y if y.ndim == 1 else np.zeros(len(y), np.int64)


def _limits(y: np.ndarray, cuts: dict[int, int]) -> np.ndarray:
    """(m,) uint64: the cut of each row's class; the greatest number where there is none."""
    groups, place = np.unique(_groups(y), return_inverse=True)
    return np.array([cuts.get(group, 2**64 - 1) for group in groups.tolist()], np.uint64)[place]


def _least(a: dict[int, int], b: dict[int, int]) -> dict[int, int]:
    """The lesser cut of each class."""
    return a | {group: min(cut, a.get(group, cut)) for group, cut in b.items()}


def _place_in_class(y: np.ndarray) -> np.ndarray:
    """(m,) how many earlier rows have the class of each; in regression, how many earlier rows there are."""
    if y.ndim == 2:
        return np.arange(len(y))
    order = np.argsort(y, kind="stable")
    place = np.empty(len(y), np.int64)
    place[order] = np.arange(len(y)) - np.searchsorted(y[order], y[order])
    return place


def _whole(rows: np.ndarray) -> np.ndarray:
    """Thousandths, as uint64."""
    scaled = np.clip(rows.astype(np.float64) * 10**DECIMALS, -(2.0**62), 2.0**62)
    return np.rint(scaled).astype(np.int64).view(np.uint64)


@lru_cache(maxsize=4)
def _factors(columns: int) -> np.ndarray:
    bits: np.ndarray = np.random.Philox(key=FACTORS_SEED).random_raw(columns)
    return bits | np.uint64(1)
