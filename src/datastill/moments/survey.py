"""Survey all data before the pass: find their labels, and the space and feature map that fit a sample."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from datastill._errors import InputError
from datastill._memory import memory_present
from datastill._validate import check_present
from datastill.data import cells, images, tables
from datastill.data.dataset import Dataset
from datastill.data.labels import check_classes, check_targets, class_values, guess_task, is_one_hot, plain
from datastill.data.raw import listed
from datastill.data.reading import Reading
from datastill.data.shards import ImageShard, Shard, TextShard, joined
from datastill.features.base import FeatureMap
from datastill.moments import triangle
from datastill.moments.collected import Recipe
from datastill.moments.source import Source
from datastill.preprocess import encoder as encoders
from datastill.preprocess import labels as label_maps
from datastill.preprocess.augment import Augmentation, number_of_versions

TASKS = ("auto", "classification", "regression")
VERSIONS = 4
SIDES = 2
COPIES = 2  # of a side's C in full where it is learned from: for NumPy and for JAX
ROWS_AT_ONCE = 1000
SAMPLED_ROWS = 20_000
SAMPLED_SHARDS = 20
SAMPLED_NUMBERS = 2**26


def survey(
    shards: Sequence[Shard],
    map: FeatureMap,
    *,
    task: str = "auto",
    preprocess: str = "standardise",
    held: float = 0.1,
    kept: int = 200,
    by_class: bool = False,
    target: str | None = None,
    augment: Augmentation | str = "",
    versions: int = VERSIONS,
) -> Recipe:
    """Return the settings of the pass over these shards.

    The labels of all rows are read, a shard at a time, and nothing else of them. The space (means, scales, ranges,
    categories) and whatever the map takes from data come from a sample: some 20,000 rows of at most 20 evenly spaced
    shards.

    Args:
        shards: all data.
        map: φ, resolved or not.
        task: "classification", "regression", or "auto" to tell from the labels.
        preprocess: see `fit_encoder`.
        held: the fraction of rows held out to judge by.
        kept: rows of each class (in regression, in all) kept of either side.
        by_class: whether Σ φφᵀ is kept apart by class.
        target: the target column, of tables; kept for later shards.
        augment: of images, each of which counts as its augmented versions in equal parts; the pass takes as many times
            as long.
        versions: how many, the image itself among them.

    Raises:
        InputError: for settings out of range, labels that are missing or of mixed kinds, or rows that do not fit
            together.
    """
    if not 0 <= held <= 0.5:
        raise InputError(f"Got held={held}; expected a fraction from 0 to 0.5; try 0.1.")
    if kept < 0:
        raise InputError(f"Got kept={kept}; expected 0 or more rows of each class; try 200.")
    if task not in TASKS:
        raise InputError(f"Got task={task!r}; expected one of {', '.join(TASKS)}.")
    seen, reading = _labels(shards, target)
    some = np.concatenate([part.some for part in seen])
    if task == "auto":
        task = guess_task(some)[0]
    labels: label_maps.Labels
    if task == "classification":
        labels = label_maps.ClassLabels.fit(check_classes(class_values(some)))
        if is_one_hot(some):
            reading = replace(
                reading, notes=(*reading.notes, f"The labels are one-hot rows, taken as {len(labels.classes)} classes.")
            )
    else:
        check_targets(some)
        labels = _standardised(seen)
    if by_class and task != "classification":
        raise InputError("Got by_class for real targets; expected classes; try leaving it out.")
    rows, reading = _sample(shards, reading)
    space = encoders.fit_encoder(rows, preprocess)
    x = space.encode_features(rows)
    if not np.isfinite(x).all():
        raise InputError("Got NaN or inf in the rows; expected finite numbers; try dropping those rows.")
    source = Source(map.resolve(x), x.shape[1:], labels, encoders.state(space))
    _check_size(source.map.columns(source.row), source.outputs if by_class else 1)
    how = Augmentation.parse(augment) if isinstance(augment, str) else augment
    if how and (x.ndim < 3 or versions < 1):
        raise InputError(
            f"Got augment with versions={versions} for rows of shape {x.shape[1:]}; expected images, and 1 or more."
        )
    many = number_of_versions(how, versions)
    return Recipe(source, float(held), int(kept), by_class, target, how, many, reading)


def _check_size(columns: int, groups: int) -> None:
    """Refuse, with the numbers, sums that do not fit in memory while they are made and learned from."""
    sums = SIDES * groups * triangle.entries(columns)
    needed, present = 8 * (sums + COPIES * SIDES * columns**2), memory_present()
    if needed > present:
        raise InputError(
            f"Got a map of {columns:,} features, whose sums need {needed / 2**30:.1f} GiB; this machine has "
            f"{present / 2**30:.1f} GiB; try fewer features{', or leaving out by_class' if groups > 1 else ''}."
        )


class _Seen(NamedTuple):
    """Summarise the labels of a shard: enough to infer the task, and the classes or the scale of targets.

    Attributes:
        some: every different label, once; of real numbers and of rows of numbers, some that show what they are.
        rows: n.
        mean: (k,), if they are numbers.
        squares: (k,) Σ (y − mean)², if they are numbers.
        flat: whether they came as (n,).
    """

    some: np.ndarray
    rows: int
    mean: np.ndarray | None
    squares: np.ndarray | None
    flat: bool

    @classmethod
    def of(cls, y: np.ndarray) -> "_Seen":
        """Check that no label is missing."""
        y = plain(y)
        check_present(y)
        if is_one_hot(y):
            some = np.unique(y, axis=0)
        elif y.ndim > 1:
            others = [i for i in range(0, len(y), ROWS_AT_ONCE) if not is_one_hot(y[i : i + ROWS_AT_ONCE])]
            some = y[others[0] : others[0] + ROWS_AT_ONCE].copy()  # a view would hold the whole
        elif y.dtype.kind == "f" and (real := y != np.floor(y)).any():
            some = y[real][:2].copy()
        else:
            some = np.unique(y)
        try:
            columns = y.astype(np.float64).reshape(len(y), -1)
        except (TypeError, ValueError):
            return cls(some, len(y), None, None, y.ndim == 1)
        mean = columns.mean(axis=0)
        return cls(some, len(y), mean, np.sum((columns - mean) ** 2, axis=0), y.ndim == 1)


def _labels(shards: Sequence[Shard], target: str | None) -> tuple[list[_Seen], Reading]:
    """Read the labels of each shard, one held at a time, and how they were read."""
    bits = max((shard.bits for shard in shards if isinstance(shard, ImageShard) and shard.bits), default=None)
    found, reading = [_Seen.of(shard.labels()) for shard in shards], images.reading(bits)
    if not _alike(found):  # a class called 1 in one part of a file and x in another
        text = Dataset("like", pd.DataFrame(), np.array(["text"]))
        found = [_Seen.of(shard.labels(text)) for shard in shards]
    if target is not None and _alike(found) and found[0].some.dtype.kind == "U":
        different = pd.DataFrame({target: np.unique(np.concatenate([seen.some for seen in found]))})
        if any(isinstance(shard, TextShard) for shard in shards):
            _, reading = cells.read_numbers(different, lambda _: different)
        if target in reading.numbers:
            written = Dataset("like", pd.DataFrame(), np.zeros(1), reading=reading)
            found = [_Seen.of(shard.labels(written)) for shard in shards]
        else:
            cells.alike(Path(shards[0].path), different, target)
    for shard, seen in zip(shards, found, strict=True):
        if not _alike([found[0], seen]):
            raise InputError(
                f"Got {shard.name} with labels such as {seen.some[0]!r} where {shards[0].name} has "
                f"{found[0].some[0]!r}; expected labels of one kind; try converting one of them."
            )
    return found, reading


def _alike(seen: Sequence[_Seen]) -> bool:
    """All text or all numbers, and in as many columns."""
    return len({(part.some.dtype.kind in "OUS", part.some.shape[1:]) for part in seen}) == 1


def _standardised(seen: Sequence[_Seen]) -> label_maps.TargetScaler:
    """Standardise targets of all shards by their deviations within shards and between them."""
    n = np.array([part.rows for part in seen], np.float64)
    means, squares = (np.array([getattr(part, name) for part in seen]) for name in ("mean", "squares"))
    mean = n @ means / n.sum()
    variance = (squares.sum(axis=0) + n @ (means - mean) ** 2) / n.sum()
    return label_maps.TargetScaler.of(mean, np.sqrt(variance), seen[0].flat)


def _sample(shards: Sequence[Shard], reading: Reading) -> tuple[encoders.Rows, Reading]:
    """Some rows of some of the shards, in order, and how they were read; `reading` is that of the labels."""
    chosen = [shards[i] for i in np.unique(np.linspace(0, len(shards) - 1, SAMPLED_SHARDS).round().astype(int))]
    chosen = [replace(s, bits=reading.bits) if isinstance(s, ImageShard) else s for s in chosen]
    one = np.asarray(chosen[0].sample(1)[0])
    rows = max(min(SAMPLED_ROWS, SAMPLED_NUMBERS // max(one[:1].size, 1)) // len(chosen), 1)

    parts = [shard.sample(rows)[0] for shard in chosen]
    columns = [set(part.columns) for part in parts if isinstance(part, pd.DataFrame)]
    if odd := [name for some in columns for name in sorted(some ^ columns[0])]:
        raise InputError(
            f"Got shards some of which are without the columns {listed(odd, 5)}; expected the same columns in all; try "
            "giving those shards by themselves."
        )
    if any(np.shape(part)[1:] != np.shape(parts[0])[1:] for part in parts):
        shapes = sorted({str(np.shape(part)[1:]) for part in parts})
        raise InputError(f"Got shards with rows of shapes {', '.join(shapes)}; expected one; try making them alike.")
    sample = joined(parts)
    if not isinstance(sample, pd.DataFrame):
        return sample, reading

    def sampled(text: set[str]) -> pd.DataFrame:
        """With these columns as text."""
        like = Dataset("like", sample.astype(dict.fromkeys(text, str)), np.zeros(len(sample)))
        return joined([shard.sample(rows, like)[0] for shard in chosen])

    text = set(tables.mixed_columns(sample))  # digits here, letters there: text everywhere
    table, found = sampled(text) if text else sample, Reading()
    if any(isinstance(shard, TextShard) for shard in shards):
        table, found = cells.read_numbers(table, lambda more: sampled(text | more))
    notes = [*reading.notes, *found.notes, *cells.alike(Path(shards[0].path), table, None)]
    if blanks := set().union(*(shard.blanks() for shard in chosen)):
        notes.append(cells.blanks_said(blanks))
    return table, Reading({**reading.numbers, **found.numbers}, reading.bits, tuple(notes))
