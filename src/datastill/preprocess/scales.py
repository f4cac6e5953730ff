"""Images at half and at twice their size."""

from typing import Any

import numpy as np

from datastill._typing import Float


def mean_of_four(images: Any) -> Any:
    """(n, h, w[, c]) -> means of 2×2 pixels, an array of either library; a last odd row or column is dropped."""
    n, h, w, *channels = images.shape
    even = images[:, : h // 2 * 2, : w // 2 * 2]
    return even.reshape(n, h // 2, 2, w // 2, 2, *channels).mean(axis=(2, 4))


def halved(images: np.ndarray) -> Float[np.ndarray, "n half_h half_w *c"]:
    """`mean_of_four` of images of any numbers, float32."""
    return np.asarray(mean_of_four(images.astype(np.float32)))


def doubled(images: np.ndarray, height: int, width: int) -> Float[np.ndarray, "n height width *c"]:
    """Every pixel four times, and the last row or column once more for an odd side: `halved` gives them back."""
    halves = images.shape[1:3]
    rows, columns = (np.minimum(np.arange(n) // 2, half - 1) for n, half in zip((height, width), halves, strict=True))
    return images[:, rows][:, :, columns]
