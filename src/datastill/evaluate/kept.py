"""Results that are kept as files, and believed only if this user's own program wrote them.

What a learner found takes long to find again, so it is kept beside the set that it was trained on. That folder may
have come from someone else, who could have written anything there. So each file carries a seal, an HMAC of its content
and name under a key that never leaves this user's cache folder; what has another seal, or none, is computed again.
"""

import hashlib
import hmac
import json
import os
import secrets
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from datastill._errors import InputError
from datastill.data import cache as user_cache
from datastill.data.archive import read_tensors, tree_digest, write_tensors

KEY_FILE = "key"
KEY_BYTES = 32


def keep(path: Path, value: Any, tensors: dict[str, np.ndarray], key: bytes) -> None:
    """Write a JSON value and arrays, sealed.

    Args:
        path: of the file, whose name says what the result belongs to.
        value: JSON types.
        tensors: arrays by name.
        key: see `own_key`.
    """
    described = json.dumps(value)
    header = {"value": described, "seal": seal(key, path.name, described, tree_digest(tensors))}
    write_tensors(path, tensors, json.dumps(header))


def find(path: Path, key: bytes) -> tuple[Any, dict[str, np.ndarray]] | None:
    """Return the value and the arrays of a file; None where it is absent, damaged, or sealed with another key."""
    with suppress(InputError, ValueError, TypeError, KeyError, RecursionError):
        if path.exists():
            tensors, header = read_tensors(path)
            written = json.loads(header)
            expected = seal(key, path.name, written["value"], tree_digest(tensors))
            if hmac.compare_digest(expected.encode(), str(written["seal"]).encode("utf-8", "replace")):
                return json.loads(written["value"]), tensors
    return None


def refuse_link(folder: Path) -> None:
    """Raise an InputError for a folder that is a link: in a stranger's folder it could lead anywhere."""
    if folder.is_symlink():
        raise InputError(f"Got {folder}, which is a link to another folder; expected a folder; try deleting the link.")


def seal(key: bytes, *parts: str) -> str:
    """Return the HMAC-SHA256 of texts, in hexadecimal."""
    return hmac.new(key, json.dumps(parts).encode(), hashlib.sha256).hexdigest()


@cache
def own_key() -> bytes:
    """Return this user's key, made when it is first needed; one for this process alone where it cannot be kept."""
    path = user_cache.folder() / KEY_FILE
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _write_once(path, secrets.token_bytes(KEY_BYTES))
        found = path.read_bytes()
        if len(found) == KEY_BYTES:
            return found
    return secrets.token_bytes(KEY_BYTES)


def _write_once(path: Path, content: bytes) -> None:
    """Write a file that only this user may read, whole, unless another process has just done so."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        with suppress(FileExistsError):
            Path(path).hardlink_to(temporary)
    finally:
        Path(temporary).unlink(missing_ok=True)
