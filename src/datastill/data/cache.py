"""The folder of downloaded files, each with its SHA-256 checksum beside it."""

import hashlib
import os
import sys
from pathlib import Path

from datastill._errors import InputError
from datastill.data.archive import sweep, write_atomic
from datastill.data.raw import read_bytes, unreadable

CACHE_FOLDER = "DATASTILL_CACHE"


def folder() -> Path:
    """Where downloads are kept: DATASTILL_CACHE, else `datastill` in the user's folder for such files."""
    given = os.environ.get(CACHE_FOLDER)
    if given:
        return Path(given).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local") / "datastill"
    if sys.platform == "darwin":
        return Path.home() / "Library/Caches/datastill"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "datastill"


def store(path: Path, content: bytes) -> None:
    """Write the file and, before it, its checksum, so that a file is never there without one.

    Raises:
        OutputError: if they cannot be written.
    """
    sweep(path.parent)
    write_atomic(_sidecar(path), f"{hashlib.sha256(content).hexdigest()}  {path.name}\n".encode())
    write_atomic(path, content)


def verify(path: Path) -> None:
    """Compare the file with its checksum.

    Raises:
        InputError: if they differ, or either cannot be read.
    """
    expected = read_bytes(_sidecar(path), f"the checksum of {path.name}").split()[:1]
    try:
        with path.open("rb") as file:
            actual = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise unreadable(path, error, "a downloaded data set") from error
    if expected != [actual.encode()]:
        raise InputError(
            f"Got {path}, whose SHA-256 is not the one noted when it was downloaded; expected an unchanged file; "
            "try deleting it, and it is downloaded again."
        )


def _sidecar(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")
