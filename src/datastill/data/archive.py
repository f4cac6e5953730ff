"""Files that are whole or absent: atomic writes, tensors without pickle, and trees of values as JSON plus tensors."""

import hashlib
import json
import math
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import safetensors
import safetensors.numpy

from datastill._errors import InputError, OutputError
from datastill.data import dtypes

HEADER = "header"


def make_folder(path: Path) -> None:
    """Create the folder and its parents; an OutputError says why when that fails."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(_cannot_write(path, error)) from error


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file that other readers, and a crash at any moment, see either whole or as it was before.

    Raises:
        OutputError: for a full disk, a folder that cannot be written, and the like; the old file is left alone.
    """
    temporary = None
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o666 & ~_umask())
        Path(temporary).replace(path)
    except BaseException as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise OutputError(_cannot_write(path, error)) from error
        raise


def write_json(path: Path, value: Any) -> None:
    """Write JSON types, indented, atomically; non-finite numbers become null."""
    write_atomic(path, (json.dumps(finite(value), indent=2, ensure_ascii=False) + "\n").encode())


def read_json(path: Path) -> Any:
    """Read a JSON file; an InputError says what is wrong with it."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"Got {path}, which cannot be read as JSON ({_reason(error)}); expected a run's file."
        ) from error


def write_tensors(path: Path, tensors: dict[str, np.ndarray], header: str = "") -> None:
    """Write arrays and one text as a .safetensors file, atomically; equal input gives equal bytes."""
    contiguous = {name: np.asarray(array, order="C") for name, array in sorted(tensors.items())}
    write_atomic(path, safetensors.numpy.save(contiguous, {HEADER: header}))


def read_tensors(path: Path) -> tuple[dict[str, np.ndarray], str]:
    """The arrays and the text of a .safetensors file.

    Raises:
        InputError: for a file that is missing, truncated or of another format.
    """
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, (file.metadata() or {}).get(HEADER, "")  # noqa: SIM118
    except (OSError, safetensors.SafetensorError) as error:
        raise InputError(
            f"Got {path}, which cannot be read ({_reason(error)}); expected a .safetensors file; try making it again."
        ) from error


def read_header(path: Path) -> str | None:
    """The text of a .safetensors file; None where it cannot be read."""
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            return str((file.metadata() or {}).get(HEADER, ""))
    except (OSError, safetensors.SafetensorError):
        return None


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
    """The inverse of `pack`."""
    if isinstance(value, list):
        return [unpack(v, tensors) for v in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"tensor"}:
        return tensors[value["tensor"]]
    if value.keys() == {"array", "dtype"}:
        return np.array(value["array"], dtype=object if value["dtype"] == "object" else str)
    if value.keys() == {"table"}:
        return pd.concat([_column(record, tensors) for record in value["table"]], axis=1)
    return {k: unpack(v, tensors) for k, v in value.items()}


def tree_digest(tree: Any) -> str:
    """SHA-256 of a tree of JSON types, arrays and tables; equal for equal values on every platform."""
    described, tensors = pack(tree)
    hasher = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        little = np.ascontiguousarray(tensor.astype(tensor.dtype.newbyteorder("<"), copy=False))
        hasher.update(repr((name, tensor.shape, little.dtype.str)).encode() + little.tobytes())
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


def _column(record: dict[str, Any], tensors: dict[str, np.ndarray]) -> pd.Series:
    if "values" in record:
        return pd.Series(unpack(record["values"], tensors), name=record["name"]).astype(
            dtypes.restored(record["dtype"])
        )
    codes = unpack(record["codes"], tensors)
    values = np.array([*record["categories"], None], dtype=object)[codes]
    series = pd.Series(values, name=record["name"], dtype=object)
    if record["dtype"] == "category":  # of sets that were saved before categories were kept in full
        return series.astype(pd.CategoricalDtype(record["categories"]))
    return series.astype(dtypes.restored(record["dtype"]))


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).splitlines()[0] or type(error).__name__


def _cannot_write(path: Path, error: OSError) -> str:
    return f"Could not write {path}: {_reason(error)}; expected a folder with room that you may write to; try another."
