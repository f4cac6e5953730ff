"""The result of a pass as one file: tensors and, in its header, the manifest that describes them. Whole or absent."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from datastill._errors import InputError
from datastill.data import archive, named
from datastill.data.dataset import versions
from datastill.data.reading import Reading
from datastill.moments import triangle
from datastill.moments.collected import Collected, Recipe
from datastill.moments.record import Moments
from datastill.moments.sample import Sample
from datastill.moments.source import Source, source_from_state, source_state
from datastill.preprocess.augment import Augmentation

KIND = "datastill.moments/"
SCHEMA = f"{KIND}1"
SUFFIX = ".safetensors"
SIDES = ("train", "held")
SAMPLES = ("starts", "checks")
SUMS = ("second", "cross", "first", "counts")
ROWS = ("z", "y", "hashes")


def save(collected: Collected, path: str | Path) -> None:
    """Write a .safetensors file whose header is the manifest (`manifest`), atomically; no pickle.

    Raises:
        OutputError: if the folder cannot be made or the file not be written.
    """
    path = Path(path)
    archive.make_folder(path.parent)
    written, tensors = _described(collected.recipe)
    written |= manifest(collected) | {"cuts": {name: getattr(collected, name).cuts for name in SAMPLES}}
    for side in SIDES:
        tensors |= {f"{side}.{name}": getattr(getattr(collected, side), name) for name in SUMS}
    for sample in SAMPLES:
        tensors |= {f"{sample}.{name}": getattr(getattr(collected, sample), name) for name in ROWS}
    archive.write_tensors(path, tensors, json.dumps(written, ensure_ascii=False, allow_nan=False))


def load(path: str | Path) -> Collected:
    """Read what `save` wrote; the suffix may be left out.

    Raises:
        InputError: for a file that is missing, truncated, no moments, of a newer schema, or damaged.
    """
    tensors, header = archive.read_tensors(path := file_of(path))
    written = _manifest(header)
    if written is None:
        raise InputError(
            f"Got {path}, which is not a file of the schema {SCHEMA!r}; expected one written by `moments.save` or "
            "`datastill moments`; try upgrading datastill."
        )
    try:
        recipe = _recipe(written, tensors)
        source = recipe.source
        sides = [_moments(source, side, written, tensors) for side in SIDES]
        samples = [_sample(name, recipe, written, tensors) for name in SAMPLES]
        found = Collected(recipe, sides[0], sides[1], samples[0], samples[1])
        whole = all(map(_whole, sides)) and all(_matching(sample, source) for sample in samples)
    except InputError:
        raise
    except (ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError) as error:
        raise InputError(
            f"Got {path}, whose manifest is damaged ({error}); expected one; try making it again."
        ) from error
    if not whole:
        raise InputError(f"Got {path}, whose sums do not belong together; expected one pass's; try making it again.")
    return found


def save_recipe(recipe: Recipe, path: Path) -> None:
    """Write how a pass is made, atomically."""
    written, tensors = _described(recipe)
    archive.write_tensors(path, tensors, json.dumps(written, ensure_ascii=False, allow_nan=False))


def load_recipe(path: Path) -> Recipe:
    """Read what `save_recipe` wrote."""
    tensors, header = archive.read_tensors(path)
    return _recipe(archive.parse_json(header), tensors)


def file_of(path: str | Path) -> Path:
    """The path of a file of moments, whose suffix may be left out."""
    path = Path(path)
    return path if path.suffix == SUFFIX or path.exists() else path.with_name(path.name + SUFFIX)


def is_moments(path: str | Path) -> bool:
    """Return whether `save` wrote the file at a path, of any schema; damaged files count, which `load` refuses."""
    if named.find(str(path)) is not None:
        return False
    path = file_of(path)
    if path.suffix != SUFFIX or not path.is_file():
        return False
    header = archive.read_header(path)
    return header is None or str(_written(header).get("schema", "")).startswith(KIND)


def manifest(collected: Collected) -> dict[str, Any]:
    """Describe the sums in JSON types: counts by class, shards, digests of what must agree for addition."""
    recipe, train, held = collected.recipe, collected.train, collected.held
    return {
        "schema": SCHEMA,
        "task": recipe.source.task,
        "map": repr(recipe.source.map),
        "columns": train.columns,
        "rows": collected.count,
        "counts": {side: getattr(collected, side).counts.tolist() for side in SIDES},
        "square": {side: getattr(collected, side).square for side in SIDES},
        **_settings(recipe),
        "shards": {"train": train.shards, "held": held.shards},
        "digests": recipe.source.digests,
        "packages": versions(),
    }


def _manifest(header: str) -> dict[str, Any] | None:
    """The manifest in a header; None where it is not of this schema."""
    written = _written(header)
    return written if written.get("schema") == SCHEMA else None


def _written(header: str) -> dict[str, Any]:
    """Return the manifest in a header; empty where there is none."""
    try:
        written = archive.parse_json(header)
    except ValueError:
        return {}
    return written if isinstance(written, dict) else {}


def _settings(recipe: Recipe) -> dict[str, Any]:
    return {
        "by_class": recipe.by_class,
        "held_fraction": recipe.held,
        "kept": recipe.kept,
        "target": recipe.target,
        "augment": asdict(recipe.augment),
        "versions": recipe.versions,
        "reading": recipe.reading.as_json(),
    }


def _described(recipe: Recipe) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The recipe as JSON types and tensors."""
    described, tensors = archive.pack(source_state(recipe.source), "source")
    return {"source": described, **_settings(recipe)}, tensors


def _recipe(written: dict[str, Any], tensors: dict[str, np.ndarray]) -> Recipe:
    source = source_from_state(archive.unpack(written["source"], tensors))
    settings = {name: written[name] for name in ("kept", "by_class", "target", "versions")}
    settings |= {"augment": Augmentation(**written["augment"]), "reading": Reading.from_json(written.get("reading"))}
    return Recipe(source, held=written["held_fraction"], **settings)


def _moments(source: Source, side: str, written: dict[str, Any], tensors: dict[str, np.ndarray]) -> Moments:
    sums = {name: tensors[f"{side}.{name}"] for name in SUMS}
    return Moments(source, square=written["square"][side], shards=written["shards"][side], **sums)


def _sample(name: str, recipe: Recipe, written: dict[str, Any], tensors: dict[str, np.ndarray]) -> Sample:
    z, y, hashes = (tensors[f"{name}.{part}"] for part in ROWS)
    cuts = {int(group): cut for group, cut in written.get("cuts", {}).get(name, {}).items()}
    return Sample(z, y, hashes, recipe.kept, cuts)


def _whole(moments: Moments) -> bool:
    columns, outputs = moments.columns, moments.source.outputs
    return (
        moments.source.map.columns(moments.source.row) == columns
        and moments.second.shape in ((1, triangle.entries(columns)), (outputs, triangle.entries(columns)))
        and moments.cross.shape == (columns, outputs)
        and moments.counts.ndim == 1
        and all(np.isfinite(getattr(moments, name)).all() for name in SUMS)
    )


def _matching(sample: Sample, source: Source) -> bool:
    rows = len(sample.hashes)
    return sample.z.shape == (rows, *source.row) and len(sample.y) == rows and bool(np.isfinite(sample.z).all())
