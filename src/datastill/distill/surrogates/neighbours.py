"""Soft nearest neighbours as a surrogate: every example has a vote that falls with its squared distance.

    A(S)(x)_c = log Σ_{j of class c} exp(−e^t ‖x − z_j‖²/d)          targets: Σ_j p_j y_j, p the votes over their sum

As the temperature t grows this is the nearest neighbour.

Source: Goldberger et al. (2004), "Neighbourhood components analysis"; learned examples: Kusner et al. (2014),
"Stochastic neighbor compression".
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from datastill._typing import Array, Float
from datastill.distill.surrogates.base import Pair, Surrogate, square_distances

FAR = -1e30
"""The logarithm of a vote that does not count."""


@dataclass(frozen=True)
class Neighbours(Surrogate):
    """Learners of near examples.

    Attributes:
        regression: whether outputs are targets.
        fixed: the logarithm of the temperature; None learns it. Of targets a soft average is the better prediction, so
            that a learned temperature moves away from the nearest neighbour.
    """

    regression: bool = False
    fixed: float | None = None

    def outputs(self, pair: Pair, y: Float[Array, "s c"], sharp: Float[Array, ""]) -> Float[Array, "t c"]:
        """See `Surrogate.outputs`."""
        sharp = sharp if self.fixed is None else jnp.asarray(self.fixed, pair.s.dtype)
        votes = -jnp.exp(sharp) * square_distances(pair) / pair.s.shape[1]
        if self.regression:
            return jax.nn.softmax(votes, axis=1) @ y
        codes, each = jnp.argmax(y, axis=1), votes.T
        top = jax.lax.stop_gradient(jax.ops.segment_max(each, codes, y.shape[1]))
        top = jnp.maximum(top, FAR)  # of a class without examples
        sums = jax.ops.segment_sum(jnp.exp(each - top[codes]), codes, y.shape[1])
        return (top + jnp.log(jnp.maximum(sums, jnp.finfo(votes.dtype).tiny))).T
