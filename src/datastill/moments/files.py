"""Moments as one file: tensors and, in its header, the manifest that says what they are. Whole or absent."""

import importlib.metadata
import json
from pathlib import Path
from typing import Any

import numpy as np

from datastill._errors import InputError
from datastill.data import archive
from datastill.moments import triangle
from datastill.moments.record import Moments
from datastill.moments.source import source_from_state, source_state

SCHEMA = "datastill.moments/1"
SUMS = ("second", "cross", "first", "counts")
PACKAGES = ("datastill", "jax", "numpy", "scipy")


def save(moments: Moments, path: str | Path) -> None:
    """Write a .safetensors file whose header is the manifest (`manifest`), atomically; no pickle.

    Raises:
        OutputError: if the folder cannot be made or the file not be written.
    """
    path = Path(path)
    archive.make_folder(path.parent)
    described, tensors = archive.pack(source_state(moments.source), "source")
    written = {"source": described, **manifest(moments)}
    tensors |= {name: getattr(moments, name) for name in SUMS}
    archive.write_tensors(path, tensors, json.dumps(written, ensure_ascii=False, allow_nan=False))


def load(path: str | Path) -> Moments:
    """Read what `save` wrote.

    Raises:
        InputError: for a file that is missing, truncated, no moments, of a newer schema, or damaged.
    """
    tensors, header = archive.read_tensors(Path(path))
    try:
        written = json.loads(header)
        schema = written.get("schema")
    except (ValueError, AttributeError):
        schema = None
    if schema != SCHEMA:
        raise InputError(
            f"Got {path}, which is not a file of the schema {SCHEMA!r}; expected one written by `moments.save` or "
            "`datastill moments`; try upgrading datastill."
        )
    try:
        source = source_from_state(archive.unpack(written["source"], tensors))
        sums = {name: tensors[name] for name in SUMS}
        found = Moments(source, square=written["square"], shards=written["shards"], **sums)
        whole = _whole(found)
    except InputError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"Got {path}, whose manifest is damaged ({error}); expected one; try making it again."
        ) from error
    if not whole:
        raise InputError(f"Got {path}, whose sums do not belong together; expected one pass's; try making it again.")
    return found


def manifest(moments: Moments) -> dict[str, Any]:
    """What the sums are, in JSON types: counts by class, shards, digests of what must be the same to be added."""
    return {
        "schema": SCHEMA,
        "map": repr(moments.source.map),
        "columns": moments.columns,
        "rows": moments.count,
        "counts": moments.counts.tolist(),
        "by_class": moments.by_class,
        "square": moments.square,
        "shards": moments.shards,
        "digests": moments.source.digests,
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
    }


def _whole(moments: Moments) -> bool:
    columns, outputs = moments.columns, moments.source.outputs
    return (
        moments.source.map.columns(moments.source.row) == columns
        and moments.second.shape in ((1, triangle.entries(columns)), (outputs, triangle.entries(columns)))
        and moments.cross.shape == (columns, outputs)
        and moments.counts.ndim == 1
        and all(np.isfinite(getattr(moments, name)).all() for name in SUMS)
    )
