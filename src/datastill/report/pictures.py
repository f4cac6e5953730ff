"""Drawing that all reports share: their colours, and single examples as pictures."""

import base64
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

INK, QUIET, PAPER = "#1c2024", "#6b7280", "#ffffff"
MAX_THUMBNAIL = 96
"""Sides of an example in pixels, at most."""


@dataclass(frozen=True)
class Picture:
    """An image element: its data URI, its text alternative, and a caption (possibly empty)."""

    uri: str
    alt: str
    caption: str


def picture(image: np.ndarray, low: float, high: float) -> Image.Image:
    """One example as a picture: black at `low`, white at `high`, sides of at most `MAX_THUMBNAIL` pixels.

    Args:
        image: (h, w) or (h, w, c); three or four channels are red, green, blue; others are averaged.
        low: value drawn black (missing values too).
        high: value drawn white.
    """
    values = np.nan_to_num(np.asarray(image, dtype=float), nan=low, posinf=high, neginf=low)
    if values.ndim == 3:
        values = values[..., :3] if values.shape[-1] in (3, 4) else values.mean(axis=-1)
    span = high - low if high > low else 1.0
    drawn = Image.fromarray((255 * np.clip((values - low) / span, 0, 1)).round().astype(np.uint8))
    drawn.thumbnail((MAX_THUMBNAIL, MAX_THUMBNAIL), Image.Resampling.BOX)
    return drawn


def data_uri(drawn: Image.Image) -> str:
    """A picture as the text of a `data:` URI holding a PNG."""
    return "data:image/png;base64," + base64.b64encode(png(drawn)).decode("ascii")


def png(drawn: Image.Image) -> bytes:
    """Return a picture as the bytes of a PNG file."""
    buffer = io.BytesIO()
    drawn.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()
