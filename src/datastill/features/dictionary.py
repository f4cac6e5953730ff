"""The words of a dictionary: patches of the data, whitened, as filters that act on raw patches."""

from dataclasses import dataclass

import numpy as np

from datastill._errors import InputError
from datastill._typing import Float
from datastill.features.numbers import uniforms
from datastill.features.values import Values

PATCHES = 50_000  # drawn for the whitening, and to choose words from
CONTRAST = 0.05  # added to a patch's variance, in squared units of standardised pixels
WHITENING = 0.1  # of the mean eigenvalue, added to all
FAINTEST = 0.2  # the fraction of patches, those of least norm after whitening, that are no words


@dataclass(frozen=True, eq=False, repr=False)
class Dictionary(Values):
    """The dictionary that `PatchConv` learns from rows. Dictionaries of equal values are equal.

    Attributes:
        filters: (size, size, channels, K); filter k of a patch p is word_k · W(p − mean p).
        offsets: (K,) word_k · W(mean q).
        threshold: t.
        mean: (F − 1,) of each pooled response.
        scale: (F − 1,) their deviations, floored.
    """

    filters: Float[np.ndarray, "size size channels k"]
    offsets: Float[np.ndarray, " k"]
    threshold: float
    mean: Float[np.ndarray, " f"]
    scale: Float[np.ndarray, " f"]


def sample_patches(images: np.ndarray, size: int, seed: int) -> Float[np.ndarray, "n d"]:
    """Patches of (n, h, w, c) images at random places, each q = (p − mean p)/√(var p + 0.05), float64."""
    places = np.array([len(images), images.shape[1] - size + 1, images.shape[2] - size + 1])
    number, row, column = (uniforms(seed, "patches.places", (PATCHES, 3)) * places).astype(int).T
    offset = np.arange(size)
    patches = images[
        number[:, None, None], row[:, None, None] + offset[:, None], column[:, None, None] + offset[None, :]
    ]
    patches = patches.reshape(PATCHES, -1).astype(np.float64)
    patches -= patches.mean(axis=1, keepdims=True)
    return patches / np.sqrt(patches.var(axis=1, keepdims=True) + CONTRAST)


def words_of(
    patches: Float[np.ndarray, "n d"], words: int, channels: int
) -> tuple[Float[np.ndarray, "size size channels k"], Float[np.ndarray, " k"]]:
    """Filters and offsets, float32, of the first words that are not faint.

    The whitening is W = (Cov q + 0.1·tr/d · I)^(−1/2), and a word a whitened patch of norm 1.

    Raises:
        InputError: if the patches are too few or all flat.
    """
    size = round((patches.shape[1] // channels) ** 0.5)
    mean = patches.mean(axis=0)
    centred = patches - mean
    eigenvalues, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
    average = eigenvalues.mean()
    if not average > 0 or words > (1 - FAINTEST) * len(patches):
        raise InputError(
            f"Got images whose patches give no {words} words; expected images that vary, and at most "
            f"{int((1 - FAINTEST) * len(patches))} words; try fewer, or another map."
        )
    whitening = (vectors / np.sqrt(eigenvalues + WHITENING * average)) @ vectors.T
    whitened = centred @ whitening
    norms = np.linalg.norm(whitened, axis=1)
    chosen = np.flatnonzero(norms > np.quantile(norms, FAINTEST))[:words]
    if len(chosen) < words:
        raise InputError(f"Got images whose patches give {len(chosen)} words; expected {words}; try fewer.")
    filters = whitened[chosen] / norms[chosen, None] @ whitening  # (K, d), W symmetric
    offsets = filters @ mean
    filters -= filters.mean(axis=1, keepdims=True)
    return (
        filters.T.reshape(size, size, channels, words).astype(np.float32),
        offsets.astype(np.float32),
    )
