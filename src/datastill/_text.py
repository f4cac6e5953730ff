"""Strangers' text on its way to a terminal or a page: one line, every character of which can be seen.

Names of classes, columns and files come from data that others made. Written as they are, an escape sequence in one of
them would rename a terminal's window or clear its screen, and a change of direction would show a sentence backwards.
"""

import json

HIDDEN = "�"
"""Shown in place of a character that cannot be seen."""


def printable(text: str) -> str:
    """Return the text on one line: blanks of every kind as one space, other characters without a glyph as HIDDEN.

    Control characters, changes of direction, zero-width characters, lone surrogates and unassigned code points have no
    glyph; what `str.isprintable` accepts is left as it is.
    """
    shown = "".join(c if c.isprintable() else " " if c.isspace() else HIDDEN for c in text)
    return " ".join(shown.split())


def printable_json(text: str) -> str:
    r"""Return JSON text with every character that cannot be seen as its `\u` escape, which means the same to a reader.

    Args:
        text: JSON on one line, in which such characters occur within strings only.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escape(c) for c in text)


def _escape(letter: str) -> str:
    return f"\\u{ord(letter):04x}" if ord(letter) < 0x80 else json.dumps(letter)[1:-1]
