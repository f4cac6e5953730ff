"""Submodular objectives: set functions whose gains fall as the set grows, so that greedy comes near the best set.

    f(A ∪ {j}) − f(A) ≥ f(B ∪ {j}) − f(B)        for A ⊆ B

All start from f(∅) = 0. An objective is frozen; what a growing set has reached is a state that `start` makes and `add`
changes. `greedy` has the optimisers.

Sources: Krause, Golovin (2014), "Submodular function maximization"; Wei, Iyer, Bilmes (2015), "Submodularity in data
subset selection and active learning" (feature-based); Chen, Zhang, Zhou (2018), arXiv:1709.05135 (log-determinant).
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_array, issparse

from datastill._errors import InputError
from datastill.kernels.base import Kernel
from datastill.select.similarity import checked, column, column_sums

CONCAVE = {"sqrt": np.sqrt, "log": np.log1p}
BLOCK = 2**22


class Objective(ABC):
    """A set function f.

    Attributes:
        size: candidates.
        monotone: whether no gain is negative, which the guarantees of greedy need.
    """

    monotone: bool = True
    size: int

    @abstractmethod
    def start(self) -> Any:
        """The state of the empty set."""

    @abstractmethod
    def gains(self, state: Any, candidates: np.ndarray) -> np.ndarray:
        """(c,) f(A ∪ {j}) − f(A), float64, for candidates not in A."""

    @abstractmethod
    def add(self, state: Any, pick: int) -> None:
        """Change the state to that of A ∪ {pick}."""

    def value(self, picks: Any) -> float:
        """f of a set of candidates."""
        state, total = self.start(), 0.0
        for pick in np.asarray(picks, int):
            total += float(self.gains(state, np.array([pick]))[0])
            self.add(state, int(pick))
        return total


class FacilityLocation(Objective):
    """f(A) = Σ_i max_{j∈A} S_ij: every row is represented by its best pick.

    Args:
        similarity: (rows, candidates), dense or sparse, non-negative; see `similarity`.
    """

    def __init__(self, similarity: Any) -> None:
        self.similarity = checked(similarity)
        self.size = self.similarity.shape[1]

    def start(self) -> np.ndarray:
        """(rows,) how well each is represented."""
        return np.zeros(self.similarity.shape[0], np.float32)

    def gains(self, state: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        """See `Objective.gains`."""
        return column_sums(self.similarity, candidates, lambda s, rows: np.maximum(s - state[rows], 0))

    def add(self, state: np.ndarray, pick: int) -> None:
        """See `Objective.add`."""
        rows, values = column(self.similarity, pick)
        state[rows] = np.maximum(state[rows], values)


class SaturatedCoverage(Objective):
    """f(A) = Σ_i min(Σ_{j∈A} S_ij, α Σ_j S_ij): every row is covered by all picks, up to a share of all there is.

    Args:
        similarity: (rows, candidates), dense or sparse, non-negative.
        alpha: share of a row's whole similarity at which it is satisfied, in (0, 1].

    Source: Lin, Bilmes (2011), "A class of submodular functions for document summarization", eq. (4).
    """

    def __init__(self, similarity: Any, alpha: float = 0.1) -> None:
        if not 0 < alpha <= 1:
            raise InputError(f"Got alpha={alpha}; expected more than 0 and at most 1.")
        self.similarity = checked(similarity)
        self.size = self.similarity.shape[1]
        self.room = (alpha * np.asarray(self.similarity.sum(axis=1, dtype=np.float64))).astype(np.float32)

    def start(self) -> np.ndarray:
        """(rows,) what each may still gain."""
        return self.room.copy()

    def gains(self, state: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        """See `Objective.gains`."""
        return column_sums(self.similarity, candidates, lambda s, rows: np.minimum(s, state[rows]))

    def add(self, state: np.ndarray, pick: int) -> None:
        """See `Objective.add`."""
        rows, values = column(self.similarity, pick)
        state[rows] = np.maximum(state[rows] - values, 0)


class GraphCut(Objective):
    """f(A) = λ Σ_i Σ_{j∈A} S_ij − Σ_{i,j∈A} S_ij: near to all rows, far from each other.

    Args:
        similarity: (n, n), symmetric, dense or sparse, non-negative.
        weight: λ; monotone from 2 on.

    Source: Iyer, Bilmes (2015); λ as in Kothawade et al. (2022).
    """

    def __init__(self, similarity: Any, weight: float = 2.0) -> None:
        if not weight >= 0:
            raise InputError(f"Got weight={weight}; expected 0 or more.")
        self.similarity = checked(similarity)
        self.size = self.similarity.shape[1]
        if self.similarity.shape[0] != self.size or abs(self.similarity - self.similarity.T).max() > 1e-4:
            raise InputError(f"Got a similarity of shape {similarity.shape}; expected a symmetric one of all pairs.")
        self.monotone = weight >= 2
        whole = weight * np.asarray(self.similarity.sum(axis=0, dtype=np.float64))
        self.alone = whole - np.asarray(self.similarity.diagonal(), np.float64)

    def start(self) -> np.ndarray:
        """(n,) Σ_{j∈A} S_ij."""
        return np.zeros(self.size)

    def gains(self, state: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        """See `Objective.gains`."""
        return self.alone[candidates] - 2 * state[candidates]

    def add(self, state: np.ndarray, pick: int) -> None:
        """See `Objective.add`."""
        rows, values = column(self.similarity, pick)
        state[rows] += values


class FeatureBased(Objective):
    """f(A) = Σ_u g(Σ_{j∈A} x_ju): every feature is wanted, with diminishing returns; no pair of rows is compared.

    Args:
        x: (n, d) non-negative features, dense or scipy sparse.
        concave: g: "sqrt", or "log" for log(1 + ·).
    """

    def __init__(self, x: Any, concave: str = "sqrt") -> None:
        if concave not in CONCAVE:
            raise InputError(f"Got concave={concave!r}; expected one of {', '.join(CONCAVE)}.")
        checked(x)
        self.x = csr_array(x, dtype=np.float64) if issparse(x) else np.asarray(x, np.float64)
        self.size, self.concave = self.x.shape[0], CONCAVE[concave]

    def start(self) -> np.ndarray:
        """(d,) Σ_{j∈A} x_j."""
        return np.zeros(self.x.shape[1])

    def gains(self, state: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        """See `Objective.gains`."""
        now = self.concave(state)
        if isinstance(self.x, np.ndarray):
            step = max(BLOCK // max(len(state), 1), 1)
            parts = (candidates[i : i + step] for i in range(0, len(candidates), step))
            sums = [(self.concave(state + self.x[part]) - now).sum(axis=1) for part in parts]
            return np.concatenate(sums) if sums else np.zeros(0)
        rows = self.x[candidates]
        rows.data = self.concave(state[rows.indices] + rows.data) - now[rows.indices]
        return np.asarray(rows.sum(axis=1))

    def add(self, state: np.ndarray, pick: int) -> None:
        """See `Objective.add`."""
        if isinstance(self.x, np.ndarray):
            state += self.x[pick]
        else:
            part = slice(self.x.indptr[pick], self.x.indptr[pick + 1])
            state[self.x.indices[part]] += self.x.data[part]


@dataclass
class Elimination:
    """The residual kernel diagonal of every candidate after the picks, and the rows of the Cholesky factor."""

    left: np.ndarray
    factor: list[np.ndarray]


class LogDeterminant(Objective):
    """f(A) = log det(I + K_A / σ²): picks that are each not explained by the others; the greedy MAP of a DPP.

    The gain of j is log(1 + v_j/σ²), v_j what is left of k_jj after regressing on the picks; a pick updates all v by
    one column of K and one row of the Cholesky factor, so K is never held whole: O(n k²) time, O(n k) memory.

    Args:
        x: rows as the kernel sees them.
        kernel: any kernel.
        noise: σ² as a fraction of the mean of k_jj.

    Source: Chen, Zhang, Zhou (2018), arXiv:1709.05135, algorithm 1, with K + σ²I for K.
    """

    def __init__(self, x: np.ndarray, kernel: Kernel, noise: float = 0.1) -> None:
        if not noise > 0:
            raise InputError(f"Got noise={noise}; expected more than 0.")
        self.x, self.kernel, self.size = x, kernel.resolve(x), len(x)
        self.diagonal = np.asarray(self.kernel.diagonal(x), np.float64)
        self.noise = noise * float(self.diagonal.mean()) or 1.0

    def start(self) -> Elimination:
        """Nothing is eliminated yet."""
        return Elimination(self.diagonal.copy(), [])

    def gains(self, state: Elimination, candidates: np.ndarray) -> np.ndarray:
        """See `Objective.gains`."""
        return np.log1p(np.maximum(state.left[candidates], 0) / self.noise)

    def add(self, state: Elimination, pick: int) -> None:
        """See `Objective.add`."""
        row = np.array(self.kernel(self.x, self.x[pick : pick + 1]), np.float64)[:, 0]
        for before in state.factor:
            row -= before[pick] * before
        row /= np.sqrt(max(state.left[pick], 0) + self.noise)
        state.factor.append(row)
        state.left -= row**2
