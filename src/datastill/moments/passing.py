"""The pass: shard by shard, each to a file of its own, so that one that is interrupted goes on where it stopped."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from datastill._errors import DatastillError, InputError
from datastill.data import archive
from datastill.data.reading import Reading
from datastill.data.shards import Shard
from datastill.moments.batches import Batch, RowDigest, checked
from datastill.moments.collected import Collected, Recipe
from datastill.moments.files import SUFFIX, load, save
from datastill.moments.sample import Sample, held_out, row_hashes
from datastill.moments.streaming import Accumulator
from datastill.preprocess.augment import Augmentation, number_of_versions, versions
from datastill.preprocess.labels import ClassLabels

MEMORY = 2**28
MOST_ROWS = 2**16
COPIES = 8  # of a batch's numbers in float32 that are alive at once

Watcher = Callable[[int], None]
"""Told of rows as they are done."""


def collect(
    recipe: Recipe,
    shard: Shard,
    *,
    sampled: np.ndarray | None = None,
    memory: float = MEMORY,
    watch: Watcher | None = None,
) -> Collected:
    """The result of the pass on one shard.

    Args:
        recipe: of the whole pass.
        shard: rows.
        sampled: hashes of rows; those that have one of these, all of them, are the sample, in place of a random one.
        memory: bytes for the working arrays.
        watch: told of rows.

    Raises:
        InputError: for a shard that cannot be read, or rows or labels of another kind than in the survey.
    """
    source, space = recipe.source, recipe.space
    sides = [Accumulator(source, recipe.by_class, memory) for _ in range(2)]
    samples: list[Sample | None] = [None, None]
    digest = RowDigest()
    hows = (recipe.augment, recipe.versions), (Augmentation(), 1)
    for z, y in checked(_numbers(recipe, shard, memory), source.labels):
        digest.add(z, y)
        hashes = row_hashes(z)
        held = held_out(hashes, recipe.held)
        for side, part in enumerate((~held, held)):
            own = z[part]
            for version in versions(own, hashes[part], *hows[side]):
                sides[side].add(version if space.whitening is None else np.asarray(space.features(version)), y[part])
            fresh = _sampled(own, y[part], hashes[part], recipe.kept, sampled)
            sample = samples[side]
            samples[side] = fresh if sample is None else sample + fresh
        if watch is not None:
            watch(len(z))
    if samples[0] is None or samples[1] is None:
        raise InputError(f"Got {shard.name}, which has no rows; expected at least one; try leaving it out.")
    shards = {digest.hexdigest(): 1.0}
    train, held_out_rows = (side.moments({}) for side in sides)
    train = replace(train * (1 / number_of_versions(*hows[0])), shards=shards)
    return Collected(recipe, train, replace(held_out_rows, shards=shards), samples[0], samples[1])


def forgettable(total: Collected, shard: Shard) -> Collected:
    """Return the sums to subtract so that the rows of a shard are forgotten.

    Whatever of them is in the samples is in its samples, and its name is with it if that is in the total: the shard may
    be added again.
    """
    sampled = np.concatenate([total.starts.hashes, total.checks.hashes])
    found = collect(total.recipe, shard, sampled=sampled)
    if found.train.shards.keys() <= total.train.shards.keys():
        return found
    return replace(found, train=replace(found.train, shards={}), held=replace(found.held, shards={}))


def _sampled(z: np.ndarray, y: np.ndarray, hashes: np.ndarray, most: int, wanted: np.ndarray | None) -> Sample:
    if wanted is None:
        return Sample.of(z, y, hashes, most)
    those = np.isin(hashes, wanted)
    return Sample.of(z[those], y[those], hashes[those], sys.maxsize)


def collect_all(
    recipe: Recipe, shards: Sequence[Shard], folder: Path | None = None, watch: Watcher | None = None
) -> Collected:
    """Collect the results of the pass on all shards.

    Args:
        recipe: of `survey`.
        shards: all data.
        folder: for a file of each finished shard; those that are there already are not made again. It can be deleted
            once the result is saved. None keeps nothing.
        watch: told of rows.

    Raises:
        InputError: naming every shard that failed; the others are kept in the folder. Also for shards of equal rows.
    """
    if folder is None or len(shards) == 1:  # of one shard, a file would be as large as the result
        return merged(recipe, ((shard.name, collect(recipe, shard, watch=watch)) for shard in shards))
    archive.make_folder(folder)
    files: list[tuple[str, Path]] = []
    failed: dict[str, InputError] = {}
    for shard in shards:
        try:
            files.append((shard.name, collect_to(recipe, shard, folder, watch)))
        except InputError as error:
            failed[shard.name] = error
    report_failures(failed, len(files), folder)
    return merged(recipe, ((name, load(file)) for name, file in files))


def collect_to(recipe: Recipe, shard: Shard, folder: Path, watch: Watcher | None = None) -> Path:
    """The file of one shard in a folder of such files; made unless it is there already."""
    file = part_file(recipe, shard, folder)
    try:
        rows = load(file).count if file.exists() else 0
        if rows and watch is not None:
            watch(int(rows))
    except InputError:  # damaged: made again
        rows = 0
    if not rows:
        save(collect(recipe, shard, watch=watch), file)
    return file


def part_file(recipe: Recipe, shard: Shard, folder: Path) -> Path:
    """Named by what is read, and how."""
    return folder / f"{archive.tree_digest([_settings(recipe), shard.key])[:32]}{SUFFIX}"


def recipe_file(recipe: Recipe, folder: Path) -> Path:
    """Named by what is in it: a worker that has read it need not read it again, nor mistake it for another."""
    return folder / f"recipe-{archive.tree_digest(_settings(recipe))[:32]}{SUFFIX}"


def report_failures(failed: Mapping[str, DatastillError], finished: int, folder: Path) -> None:
    """InputError with every shard that failed, and why; nothing where none did."""
    if not failed:
        return
    causes = " ".join(f"{name}: {error}" for name, error in list(failed.items())[:5])
    others = f" and {len(failed) - 5} more" if len(failed) > 5 else ""
    raise InputError(
        f"Got {len(failed)} of {finished + len(failed)} shards that cannot be used{others}; expected all; the other "
        f"{finished} are kept in {folder}; try mending them, or leaving them out, and running this again. {causes}"
    )


def merged(recipe: Recipe, parts: Iterator[tuple[str, Collected]]) -> Collected:
    """The sum of named parts; an InputError names two whose rows are equal."""
    total: Collected | None = None
    names: dict[str, str] = {}
    for name, part in parts:
        require_new(names, name, part.train.shards)
        total = part if total is None else total + part
    if total is None:
        raise InputError("Got no shards; expected at least one.")
    return total


def require_new(names: dict[str, str], name: str, shards: Iterable[str]) -> None:
    """Enter the digests of a part's rows under its name; an InputError names both parts where one is there already."""
    for shard in shards:
        if shard in names:
            raise InputError(
                f"Got {name}, whose rows equal those of {names[shard]}; expected every shard once; try leaving one out."
            )
        names[shard] = name


def _settings(recipe: Recipe) -> list[Any]:
    settings = [recipe.held, recipe.kept, recipe.by_class, asdict(recipe.augment), recipe.versions]
    if recipe.reading != Reading():
        settings.append(recipe.reading.as_json())
    return [recipe.source.digests, *settings]


def _numbers(recipe: Recipe, shard: Shard, memory: float) -> Iterator[Batch]:
    """(z, y) batches: rows as numbers in the space of learning, and classes' numbers or standardised targets."""
    labels, row = recipe.source.labels, recipe.source.row
    size = int(max(1, min(MOST_ROWS, memory // (4 * COPIES * max(int(np.prod(row)), 1)))))
    for rows, y in shard.batches(size, recipe.like):
        if isinstance(rows, pd.DataFrame) != bool(recipe.space.columns):
            kinds = ("arrays", "a table") if recipe.space.columns else ("a table", "arrays")
            raise InputError(f"Got {shard.name} with rows of {kinds[0]}; expected {kinds[1]}, as in the other rows.")
        if isinstance(rows, np.ndarray) and rows.shape[1:] != row:
            raise InputError(f"Got {shard.name} with rows of shape {rows.shape[1:]}; expected {row}, as in the others.")
        yield recipe.space.encode(rows), labels.codes(y) if isinstance(labels, ClassLabels) else labels.encode(y)
