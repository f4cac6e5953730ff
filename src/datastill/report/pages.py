"""The base of all pages: one self-contained file that loads nothing and runs nothing, every outside text escaped."""

import base64
import functools
import unicodedata
from collections.abc import Callable
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from datastill.report.pictures import INK

DARK_INK = "#e5e7eb"
TURNS = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
"""Unicode's classes of characters that change the direction of the text after them."""


def render_page(template: str, **values: Any) -> str:
    """The text of a page, whose template extends `base.html.j2` and its Content-Security-Policy."""
    return _environment().get_template(template).render(**values)


def in_both_schemes(draw: Callable[[str], bytes]) -> dict[str, str]:
    """A figure on a light and on a dark page, as `data:` URIs.

    Args:
        draw: ink colour -> SVG.
    """
    drawn = {"light": draw(INK), "dark": draw(DARK_INK)}
    return {k: "data:image/svg+xml;base64," + base64.b64encode(svg).decode("ascii") for k, svg in drawn.items()}


@functools.cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("datastill.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_clean,
    )


def _clean(value: Any) -> Any:
    """Return text without the characters that HTML or UTF-8 cannot hold, or that turn the direction of what follows."""
    if not isinstance(value, str) or value.isprintable():
        return value
    held = "".join(c if c.isprintable() or c == "\n" or not _forbidden(c) else "�" for c in value)
    return type(value)(held)


def _forbidden(letter: str) -> bool:
    code = ord(letter)
    control = code < 32 or 127 <= code < 160 or 0xD800 <= code < 0xE000
    return control or unicodedata.bidirectional(letter) in TURNS
