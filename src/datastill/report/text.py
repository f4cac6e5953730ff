"""Text that all reports share: outside text escaped for Markdown, and settings as text."""

import re

from datastill._text import printable

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~&@$])")
_LINK = re.compile(r"(?i)\b(https?|ftp|www)([:.])")
"""Some readers turn bare addresses into links."""


def escaped(text: str) -> str:
    """One line on which no character means anything to Markdown or HTML."""
    return _LINK.sub(r"\1\\\2", _SPECIAL.sub(r"\\\1", printable(text)))


def setting_text(value: object) -> str:
    """A setting as text: `1e-06`, `yes`, `none`, `1, 10`."""
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    if isinstance(value, (list, tuple)):
        return ", ".join(setting_text(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
