"""Files that are whole or absent: atomic writes, tensors without pickle, and trees of values as JSON plus tensors."""

import hashlib
import json
import math
import os
import re
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import safetensors
import safetensors.numpy

from datastill._errors import InputError, OutputError
from datastill.data import dtypes

HEADER = "header"
DAMAGED = (ArithmeticError, AttributeError, LookupError, NotImplementedError, RecursionError, TypeError, ValueError)
"""What reading a stranger's values may raise, where nothing but a damaged or a forged file is to blame."""
MOST_TEXT = 2**28
"""Bytes of an array of text: each text in it takes as much as the longest."""
CHECKSUM = "checksum"
LEFTOVER = re.compile(r"\.(.+)\.[a-z0-9_]{8}")
"""Name of the temporary file of a write: a dot, the file's name, and what `tempfile.mkstemp` adds."""
OURS = re.compile(r".*\.(json|safetensors|csv|png|html|md|parquet|npz|sha256)(\.coarse|\.trial-\d+)*")
"""Names of files that this package writes."""
SECONDS_OF_A_WRITE = 3600.0
DEEPEST = 100
"""Lists and objects in one another, in a file of JSON."""


def make_folder(path: Path) -> None:
    """Create the folder and its parents; an OutputError says why when that fails."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(_cannot_write(path, error)) from error


def write_atomic(path: Path, *parts: bytes | memoryview) -> None:
    """Write a file that other readers, and a crash at any moment, see either whole or as it was before.

    A process that is killed here leaves a temporary file; see `leftovers`.

    Args:
        path: the file.
        parts: its content, one after the other.

    Raises:
        OutputError: for a full disk, a folder that cannot be written, and the like; the old file is left alone.
    """
    temporary = None
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o666 & ~_umask())
        Path(temporary).replace(path)
    except BaseException as error:
        if temporary is not None:
            with suppress(OSError):
                Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise OutputError(_cannot_write(path, error)) from error
        raise


def leftovers(folder: Path, name: str | None = None) -> list[Path]:
    """List the temporary files that killed writes have left in a folder: of one file, or of any that we write."""
    found = [(entry, LEFTOVER.fullmatch(entry.name)) for entry in folder.iterdir()]
    return [
        entry
        for entry, match in found
        if match is not None and (OURS.fullmatch(match[1]) if name is None else match[1] == name) and entry.is_file()
    ]


def sweep(folder: Path, name: str | None = None, older: float = SECONDS_OF_A_WRITE) -> None:
    """Delete such leftovers, as far as they can be deleted.

    Args:
        folder: where.
        name: of the file; None for any that we write.
        older: seconds since they were last written to, by which no write that goes on is disturbed; 0 where nobody
            else can be writing.
    """
    with suppress(OSError):
        for entry in leftovers(folder, name):
            with suppress(OSError):
                if time.time() - entry.stat().st_mtime >= older:
                    entry.unlink()


def write_json(path: Path, value: Any) -> None:
    """Write JSON types, indented, atomically; non-finite numbers become null."""
    write_atomic(path, (json.dumps(finite(value), indent=2, ensure_ascii=False) + "\n").encode())


def read_json(path: Path) -> Any:
    """Read a JSON file; an InputError says what is wrong with it."""
    try:
        _check_regular(path)
        return parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"Got {path}, which cannot be read as JSON ({_reason(error)}); expected a run's file; try another folder."
        ) from error


def parse_json(text: str) -> Any:
    """Read JSON that nobody vouches for.

    Raises:
        ValueError: for another text, and for lists and objects so deep in one another that no reader can walk them.
    """
    too_deep = ValueError(f"nested more than {DEEPEST} deep")
    try:
        found = json.loads(text)
    except RecursionError:
        raise too_deep from None
    level = [found]
    for _ in range(DEEPEST):
        nested = [one.values() if isinstance(one, dict) else one for one in level if isinstance(one, (dict, list))]
        level = [value for values in nested for value in values]
        if not level:
            return found
    raise too_deep


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object; an InputError says what is wrong with it."""
    found = read_json(path)
    if not isinstance(found, dict):
        raise InputError(f"Got {path}, which holds a {_json_type(found)}; expected a run's file; try another folder.")
    return found


def write_tensors(path: Path, tensors: dict[str, np.ndarray], header: str = "") -> None:
    """Write arrays and one text as a .safetensors file, atomically, with a checksum over all of it.

    Equal input gives equal bytes.
    """
    contiguous = {name: np.asarray(array, order="C") for name, array in sorted(tensors.items())}
    content = memoryview(safetensors.numpy.save(contiguous, {HEADER: header}))
    start = 8 + int.from_bytes(content[:8], "little")
    described = json.loads(bytes(content[8:start]))
    described["__metadata__"][CHECKSUM] = _checksum(contiguous, header)  # two by `save` would come in any order
    written = json.dumps(described, ensure_ascii=False, separators=(",", ":")).encode()
    written += b" " * (-len(written) % 8)
    write_atomic(path, len(written).to_bytes(8, "little"), written, content[start:])


def read_tensors(path: Path) -> tuple[dict[str, np.ndarray], str]:
    """Read the arrays and the text of a .safetensors file.

    Raises:
        InputError: for a file that is missing, truncated or of another format, or whose content does not have its
            checksum; files of versions that wrote none have none to compare.
    """
    try:
        _check_regular(path)
        with safetensors.safe_open(path, framework="numpy") as file:
            described = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, safetensors.SafetensorError, MemoryError, LookupError, TypeError, ValueError) as error:
        raise InputError(
            f"Got {path}, which cannot be read ({_reason(error)}); expected a .safetensors file; try making it again."
        ) from error
    header = described.get(HEADER, "")
    if CHECKSUM in described and described[CHECKSUM] != _checksum(tensors, header):
        raise InputError(f"Got {path}, which is damaged: its checksum is of another content; try making it again.")
    return tensors, header


def read_header(path: Path) -> str | None:
    """The text of a .safetensors file; None where it cannot be read."""
    try:
        _check_regular(path)
        with safetensors.safe_open(path, framework="numpy") as file:
            return str((file.metadata() or {}).get(HEADER, ""))
    except (OSError, safetensors.SafetensorError):
        return None


def _check_regular(path: Path) -> None:
    """Raise an OSError for a device or a pipe, which a link may lead to, and which would never end."""
    if path.exists() and not path.is_file():
        raise OSError("it is no regular file")


def pack(tree: Any, name: str = "") -> tuple[Any, dict[str, np.ndarray]]:
    """A tree of JSON types, arrays and tables as (JSON, tensors): numeric arrays become {"tensor": name}.

    Args:
        tree: dicts and lists whose leaves are JSON types, NumPy scalars, arrays of numbers or text, or DataFrames.
        name: prefix of the tensors' names, which are the paths to the arrays.
    """
    tensors: dict[str, np.ndarray] = {}

    def visit(value: Any, at: str) -> Any:
        if isinstance(value, dict):
            return {str(k): visit(v, f"{at}.{k}" if at else str(k)) for k, v in value.items()}
        if isinstance(value, (list, tuple)):
            return [visit(v, f"{at}.{i}") for i, v in enumerate(value)]
        if isinstance(value, pd.DataFrame):
            return {"table": [visit_column(value.iloc[:, i], f"{at}.{i}") for i in range(value.shape[1])]}
        if isinstance(value, np.generic):
            return value.item()
        if not isinstance(value, np.ndarray):
            return value
        if value.dtype.kind in "biuf":
            tensors[at] = value
            return {"tensor": at}
        return {"array": value.tolist(), "dtype": "object" if value.dtype == object else "str"}

    def visit_column(column: pd.Series, at: str) -> Any:
        record = {"name": visit(column.name, at), "dtype": dtypes.described(column.dtype)}
        if isinstance(column.dtype, np.dtype) and column.dtype.kind in "biuf":
            return record | {"values": visit(column.to_numpy(), at)}
        codes, values = pd.factorize(column.astype(object))
        order = sorted(range(len(values)), key=lambda i: (str(type(values[i])), values[i]))
        place = np.append(np.argsort(order), -1).astype(np.int32)
        return record | {"categories": [visit(values[i], at) for i in order], "codes": visit(place[codes], at)}

    return visit(tree, name), tensors


def unpack(value: Any, tensors: dict[str, np.ndarray]) -> Any:
    """The inverse of `pack`.

    Raises:
        KeyError: for a tensor that is not there, or that stands in two places, as `pack` puts none.
        ValueError: for text that would take far more memory than its JSON.
    """
    return _unpack(value, dict(tensors))


def _unpack(value: Any, tensors: dict[str, np.ndarray]) -> Any:
    """Unpack a value as `unpack` does, and remove what is used from `tensors`."""
    if isinstance(value, list):
        return [_unpack(v, tensors) for v in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"tensor"}:
        return tensors.pop(value["tensor"])
    if value.keys() == {"array", "dtype"}:
        array = np.array(value["array"], dtype=object)
        return array if value["dtype"] == "object" else _text_array(array)
    if value.keys() == {"table"}:
        return pd.concat([_column(record, tensors) for record in value["table"]], axis=1)
    return {k: _unpack(v, tensors) for k, v in value.items()}


def tree_digest(tree: Any) -> str:
    """SHA-256 of a tree of JSON types, arrays and tables; equal for equal values on every platform."""
    described, tensors = pack(tree)
    return _checksum(tensors, json.dumps(described, sort_keys=True))


def _checksum(tensors: Mapping[str, np.ndarray], header: str) -> str:
    """SHA-256 of arrays, with their names, shapes and types, and of a text."""
    hasher = hashlib.sha256(header.encode())
    for name, tensor in sorted(tensors.items()):
        little = np.ascontiguousarray(tensor.astype(tensor.dtype.newbyteorder("<"), copy=False))
        hasher.update(repr((name, tensor.shape, little.dtype.str)).encode())
        hasher.update(little.reshape(-1).view(np.uint8).data)
    return hasher.hexdigest()


def finite(value: Any) -> Any:
    """The same JSON value with null for every non-finite number, and Python scalars for NumPy's."""
    if isinstance(value, dict):
        return {str(k): finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _text_array(texts: np.ndarray) -> np.ndarray:
    """Text at a fixed width, which is that of the longest."""
    width = max((len(str(text)) for text in texts.flat), default=0)
    if 4 * width * texts.size > MOST_TEXT:
        raise ValueError(f"{texts.size} texts, the longest of {width} characters")
    return texts.astype(str)


def _column(record: dict[str, Any], tensors: dict[str, np.ndarray]) -> pd.Series:
    if "values" in record:
        values = _unpack(record["values"], tensors)
        return pd.Series(values, name=record["name"]).astype(dtypes.restored(record["dtype"]))
    codes = _unpack(record["codes"], tensors)
    values = np.array([*record["categories"], None], dtype=object)[codes]
    series = pd.Series(values, name=record["name"], dtype=object)
    if record["dtype"] == "category":  # of sets that were saved before categories were kept in full
        return series.astype(pd.CategoricalDtype(record["categories"]))
    return series.astype(dtypes.restored(record["dtype"]))


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def _json_type(value: Any) -> str:
    return "null" if value is None else {list: "list", str: "text", bool: "boolean"}.get(type(value), "number")


def _reason(error: Exception) -> str:
    return next(iter((getattr(error, "strerror", None) or str(error)).splitlines()), "") or type(error).__name__


def _cannot_write(path: Path, error: OSError) -> str:
    return f"Could not write {path}: {_reason(error)}; expected a folder with room that you may write to; try another."
