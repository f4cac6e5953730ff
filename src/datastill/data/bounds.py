"""Bounds on what a file may ask for: what it declares is compared with the memory before any of it is taken."""

import gzip
import zipfile
from pathlib import Path
from typing import Any

from datastill._errors import InputError
from datastill._memory import memory_present

LARGE = 2**28
"""Bytes up to which any file may expand."""
EXPANSION = 1000
"""Times its own size that a file may expand to: deflate ends at 1,032, on zeros alone."""
NUMBER = 8
"""Bytes of a cell in memory, at least: a float64, or where a text is."""


def most(size: int) -> int:
    """Bytes that a file of so many bytes may expand to."""
    return max(LARGE, EXPANSION * size)


def check_expansion(path: Path, expanded: int) -> None:
    """Refuse a file that would expand to more than honest files do.

    Args:
        path: the file.
        expanded: bytes that it declares, or is known to need.

    Raises:
        InputError: with the numbers.
        OSError: for a file that is not there.
    """
    size = path.stat().st_size
    if expanded > most(size):
        raise InputError(
            f"Got {path} of {size:,} bytes, which expands to {expanded / 2**30:.1f} GiB or more; expected at most "
            f"{EXPANSION:,} times its size; try another file, or one that is not compressed."
        )


def check_room(path: Path, expanded: int) -> None:
    """Refuse a file whose content does not fit in memory.

    Raises:
        InputError: with the numbers.
    """
    present = memory_present()
    if expanded > present:
        raise InputError(
            f"Got {path}, which needs {expanded / 2**30:.1f} GiB of memory; expected at most {present / 2**30:.1f} "
            "GiB; try fewer rows, or `datastill moments`, which reads files in parts."
        )


def check_parquet(path: Path, metadata: Any) -> int:
    """Refuse a Parquet file that expands beyond measure; return the bytes that it expands to.

    One value that is repeated 10⁹ times takes no bytes there, yet rows.

    Args:
        path: the file.
        metadata: of `pyarrow.parquet.ParquetFile`.

    Raises:
        InputError: as `check_expansion`.
    """
    declared = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    expanded = max(declared, NUMBER * metadata.num_rows * metadata.num_columns)
    check_expansion(path, expanded)
    return expanded


def check_zip(path: Path) -> None:
    """Refuse a zip file whose members, by its directory, expand beyond measure or do not fit in memory.

    Raises:
        InputError: as `check_expansion` and `check_room`.
        OSError, zipfile.BadZipFile: for a file that is none.
    """
    with zipfile.ZipFile(path) as archive:
        expanded = sum(member.file_size for member in archive.infolist())
    check_expansion(path, expanded)
    check_room(path, expanded)


def decompressed(path: Path) -> bytes:
    """Read a .gz file, as far as it may expand.

    Raises:
        InputError: as `check_expansion` and `check_room`.
        OSError, EOFError, zlib.error: for damaged content.
    """
    most_bytes = min(most(path.stat().st_size), memory_present())
    with gzip.open(path) as file:
        found = file.read(most_bytes + 1)
    check_expansion(path, len(found))
    check_room(path, len(found))
    return found
