"""One selection by one peer, in the peers' own environment: `python peers.py WHO ROWS.npy K SCALE OUT`.

Started by selection.py, which makes that environment. Only the selection is timed, from rows in memory to picks.
"""

import json
import resource
import sys
import time
from pathlib import Path

import numpy as np


def apricot(x, k, scale):
    from apricot import FacilityLocationSelection

    return FacilityLocationSelection(k, metric="euclidean", optimizer="lazy").fit(x).ranking


def submodlib(x, k, scale):
    from submodlib import FacilityLocationFunction

    # Its own "euclidean" is another similarity: it is handed the one that all are judged by.
    square = np.einsum("nd,nd->n", x, x)
    similarity = square[:, None] + square - 2 * (x @ x.T)
    np.subtract(similarity.max(), similarity, out=similarity)
    model = FacilityLocationFunction(n=len(x), mode="dense", sijs=similarity, separate_rep=False)
    picks = model.maximize(k, "LazyGreedy", False, False, 0.1, False, False)
    return np.array([i for i, _ in picks])


def coreax(x, k, scale):
    import jax
    from coreax import Data
    from coreax.kernels import SquaredExponentialKernel
    from coreax.solvers import KernelHerding

    solver = KernelHerding(k, kernel=SquaredExponentialKernel(length_scale=scale))
    coreset, _ = solver.reduce(Data(jax.numpy.asarray(x)))
    return np.asarray(coreset.unweighted_indices)


def skmatter(x, k, scale):
    from skmatter.sample_selection import FPS

    return FPS(n_to_select=k, initialize=0).fit(x).selected_idx_


def loop(x, k, scale):
    picks, least = [0], np.full(len(x), np.inf, np.float32)
    for _ in range(k - 1):
        least = np.minimum(least, np.sum((x - x[picks[-1]]) ** 2, axis=1))
        picks.append(int(least.argmax()))
    return np.array(picks)


def goodpoints_g0(x, k, scale, g=0):
    from goodpoints.compress import compresspp_kt

    return compresspp_kt(x.astype(np.float64), b"gaussian", k_params=np.array([2 * scale**2]), g=g, seed=0)


def goodpoints_g4(x, k, scale):
    return goodpoints_g0(x, k, scale, g=4)


WARM = {"goodpoints_g0": (1024, 32), "goodpoints_g4": (1024, 32)}
COMPILED = ("coreax",)


def first_and_again(select, x, k, scale, compiled, few=(300, 3)):
    """(seconds of the first call or None, seconds, picks): what is compiled for its shapes runs twice."""
    seconds, first = [], None
    if not compiled:
        select(x[: few[0]], few[1], scale)
    for _ in range(2 if compiled else 1):
        started = time.perf_counter()
        found = np.asarray(select(x, k, scale))
        seconds.append(time.perf_counter() - started)
    if compiled:
        first = seconds[0]
    return first, seconds[-1], found


if __name__ == "__main__":
    who, data, k, scale, out = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), Path(sys.argv[5])
    rows = np.load(data)
    first, seconds, found = first_and_again(globals()[who], rows, k, scale, who in COMPILED, WARM.get(who, (300, 3)))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    record = {"first_seconds": first, "seconds": seconds, "peak_bytes": peak, "picks": found.tolist()}
    out.write_text(json.dumps(record))
