"""Contents of files and folders, and one line that says why when they cannot be read."""

import zlib
from pathlib import Path

from datastill._errors import InputError
from datastill.data import bounds

LONGEST_REASON = 160
SYSTEM_FILES = ("Thumbs.db", "desktop.ini", "__MACOSX", "_SUCCESS", "_metadata", "_common_metadata")


class NoRows(InputError):
    """A file that has no rows, which is no fault where it is one of several."""


def read_bytes(path: Path, expected: str) -> bytes:
    """The file's content; a .gz file's is decompressed.

    Args:
        path: the file.
        expected: what it should have been, for the message.

    Raises:
        InputError: for a file that cannot be opened, is empty, or is damaged .gz, or such that expands
            beyond measure.
    """
    try:
        packed = path.suffix.lower() == ".gz" and path.stat().st_size > 0
        content = bounds.decompressed(path) if packed else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise unreadable(path, error, expected) from error
    if not content:
        raise NoRows(f"Got {path}, which is empty; expected {expected}; try making or copying it again.")
    return content


def unreadable(path: Path, error: BaseException, expected: str) -> InputError:
    """The exception for a file that the library that should read it gave up on."""
    if isinstance(error, PermissionError):
        advice = "try `chmod u+r` on it, or another account"
    else:
        advice = "try making or copying it again"
    return InputError(f"Got {path}, which cannot be read ({reason(error)}); expected {expected}; {advice}.")


def reason(error: BaseException) -> str:
    """Return the message of an exception in one short line."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())[:LONGEST_REASON].rstrip(" .")


def listed(names: list[str], most: int = 20) -> str:
    """Names as one line of text, cut after `most`."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return (", ".join(repr(name) for name in names[:most]) or "nothing") + more


def visible(folder: Path) -> list[Path]:
    """List the folder sorted by name, without hidden and system files.

    Raises:
        InputError: for a folder that cannot be listed.
    """
    try:
        entries = sorted(folder.iterdir(), key=lambda entry: entry.name)
    except OSError as error:
        raise unreadable(folder, error, "a folder") from error
    return [entry for entry in entries if not entry.name.startswith(".") and entry.name not in SYSTEM_FILES]
