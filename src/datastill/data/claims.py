"""A folder that answers to one request: held by one process at a time, and sealed by digests of its files when done."""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import file_digest
from pathlib import Path
from typing import Any

from datastill._errors import InputError, OutputError
from datastill.data.archive import SECONDS_OF_A_WRITE, make_folder, read_object, sweep, write_json

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

SEAL = "files"
PARTS = ("sets", "rows", "judges", "learners")
"""Folders within that of a run, a comparison or a search, for files of their own."""


@contextmanager
def held(folder: Path) -> Iterator[float]:
    """Make the folder, and hold it as long as one command writes to it; one that stays empty is deleted again.

    The lock is one of the system's (`flock` on the folder itself): it leaves no file, and ends with the process,
    however that ends. Where there are no such locks, as on Windows and on some network drives, nothing is held.

    Yields:
        The age in seconds from which temporary files in it belong to nobody; see `archive.sweep`.

    Raises:
        InputError: if another process holds it.
        OutputError: if it cannot be made or opened.
    """
    descriptor = _locked(folder)
    try:
        yield 0.0 if descriptor is not None else SECONDS_OF_A_WRITE
    finally:
        with suppress(OSError):
            folder.rmdir()
        if descriptor is not None:
            os.close(descriptor)


def _locked(folder: Path) -> int | None:
    """A locked descriptor of the folder, which is made if missing; None where there are no locks."""
    make_folder(folder)
    if fcntl is None:
        return None
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise OutputError(
            f"Could not open {folder}: {error.strerror}; expected a folder that you may read and write; try another."
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise InputError(
            f"Got the folder {folder}, to which another run is writing; expected one that is free; try when that run "
            "has ended, or another --out."
        ) from None
    except OSError:
        os.close(descriptor)
        return None
    with suppress(FileNotFoundError):
        if os.path.samestat(os.fstat(descriptor), folder.stat()):
            return descriptor
    os.close(descriptor)  # another command, whose request was refused, has deleted it in the meantime
    return _locked(folder)


def tidy(folder: Path, older: float) -> None:
    """Delete what killed writes have left in a folder of ours and in its parts; see `archive.sweep`."""
    for place in (folder, *(folder / part for part in PARTS), *folder.glob("sets/*/")):
        sweep(place, older=older)


def seal(file: Path, identity: Mapping[str, Any], names: Iterable[str]) -> None:
    """Write the claim of a finished run: what was asked for, and the SHA-256 of its files.

    Raises:
        OutputError: if it cannot be written.
    """
    digests = {name: _digest(file.with_name(name)) for name in names}
    write_json(file, {**identity, SEAL: digests})


def broken(file: Path) -> list[str] | None:
    """List the files of a finished run that are missing or not as they were sealed; None where there is no seal.

    Raises:
        InputError: for a claim that cannot be read.
    """
    sealed = read_object(file).get(SEAL) if file.exists() else None
    if not isinstance(sealed, dict) or not all(Path(name).name == name for name in sealed):
        return None
    return [name for name, digest in sealed.items() if _digest(file.with_name(name)) != digest]


def _digest(path: Path) -> str:
    """SHA-256 of a file; nothing for one that cannot be read."""
    with suppress(OSError):
        if path.is_file():
            with path.open("rb") as file:
                return file_digest(file, "sha256").hexdigest()
    return ""
