"""A pass as the command line asks for it: from names and paths to moments in a file, new or updated."""

import shutil
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datastill._errors import DatastillWarning, InputError
from datastill.data import claims
from datastill.data.archive import sweep
from datastill.data.sharding import shards_of
from datastill.data.shards import Shard
from datastill.features.names import named_map
from datastill.moments import Collected, Recipe, collect_all, load, save, survey
from datastill.moments.drift import drift
from datastill.moments.files import file_of, is_moments, manifest
from datastill.moments.passing import Watcher, forgettable
from datastill.moments.survey import VERSIONS
from datastill.preprocess.augment import Augmentation
from datastill.preprocess.encoder import check_preprocessing
from datastill.progress import rows_bar


@dataclass(frozen=True)
class Request:
    """The request for a pass; see the options of `datastill moments`."""

    data: tuple[str, ...]
    features: str = ""
    add: tuple[str, ...] = ()
    forget: tuple[str, ...] = ()
    like: Path | None = None
    target: str | None = None
    task: str = "auto"
    image_size: int | None = None
    preprocess: str = "standardise"
    held: float = 0.1
    kept: int = 200
    by_class: bool = False
    shard_rows: int = 50_000
    augment: str = ""
    versions: int = VERSIONS
    cluster: str | None = None
    seed: int = 0


def carry_out(request: Request, out: Path | None, against: Path | None = None, verbose: bool = False) -> dict[str, Any]:
    """Make or update moments, write them, and describe them.

    Args:
        request: what to do.
        out: the file; None writes none, for moments that are only looked at. While the pass runs, a folder of this
            name and `.parts` holds a file of each finished shard.
        against: moments to tell the drift from.
        verbose: whether to show progress on standard error.

    Raises:
        InputError: for data, settings or moments that cannot be used together.
        OutputError: for a file that cannot be written.
    """
    if out is None:
        return _carried_out(request, out, against, verbose)
    with claims.held(_parts(out)) as stale:
        for folder, name in ((out.parent, out.name), (_parts(out), None)):
            sweep(folder, name, stale)
        return _carried_out(request, out, against, verbose)


def _carried_out(request: Request, out: Path | None, against: Path | None, verbose: bool) -> dict[str, Any]:
    """See `carry_out`; the folder of finished shards is held."""
    _check(request)
    saved = [source for source in request.data if is_moments(source)]
    fresh = [source for source in request.data if source not in saved]
    known = [load(source) for source in saved]
    if (fresh or request.add or request.forget) and out is None:
        raise InputError("Got data without --out; expected a file to write; try --out moments.safetensors.")
    if request.forget and not known:
        raise InputError("Got --forget without moments to take rows from; expected a file of moments among DATA.")
    if request.cluster is not None and not (fresh or request.add):
        raise InputError("Got --cluster without rows to add, which is all that it does; try leaving it out.")
    base: Collected | None = None
    seen: list[float] = []
    for one in known:
        base = _plus(base, one, seen)
    recipe = base.recipe if base else load(request.like).recipe if request.like else None
    description: dict[str, Any] = {}
    started, total = time.monotonic(), base
    shards = _shards(request, recipe, [*fresh, *request.add])
    if shards:
        recipe = recipe or _survey(request, shards)
        assert out is not None
        added = _collect(request, recipe, shards, _parts(out), verbose)
        seconds = time.monotonic() - started
        description |= {"seconds": seconds, "rows_per_second": added.count / seconds}
        if base is not None and out in map(file_of, saved) and added.train.shards.keys() <= base.train.shards.keys():
            warnings.warn(f"Got rows that {out} has already; nothing is added.", DatastillWarning, stacklevel=3)
            description["added"] = 0
        else:
            if base is not None:
                description["added"] = added.count
                description["drift"] = {"added rows": drift(base.whole, added.whole)._asdict()}
            total = _plus(base, added, seen)
    if seen:
        description["seen_before"] = max(seen)
    for source in request.forget:
        assert total is not None
        for shard in _shards(request, total.recipe, [source]):
            rows = forgettable(total, shard)
            total = total - rows
            description["forgotten"] = description.get("forgotten", 0) + rows.count
    if total is None:
        raise InputError("Got no data; expected at least one path or built-in name.")
    if against is not None and total.count:
        description.setdefault("drift", {})[against.name] = drift(load(against).whole, total.whole)._asdict()
    if out is not None:
        save(total, out)
        shutil.rmtree(_parts(out), ignore_errors=True)
        description["out"] = str(out)
    size = out.stat().st_size if out is not None else sum(file_of(source).stat().st_size for source in saved)
    return {**manifest(total), **description, "bytes": size, "n_shards": len(total.train.shards)}


def _check(request: Request) -> None:
    """Raise an InputError for settings that no data could make usable."""
    if request.features:
        named_map(request.features, request.seed)
    check_preprocessing(request.preprocess)
    Augmentation.parse(request.augment)


def _plus(base: Collected | None, more: Collected, seen: list[float]) -> Collected:
    """Add moments; `seen` receives the share of the rows of `more` that were there before, by their samples."""
    if base is None:
        return more
    total = base + more
    seen.append(base.starts.shared(more.starts))
    return total


def _parts(out: Path) -> Path:
    """The folder of finished shards."""
    return out.with_name(out.name + ".parts")


def _shards(request: Request, recipe: Recipe | None, sources: list[str]) -> list[Shard]:
    target = request.target if recipe is None else recipe.target
    if request.target not in (None, target):
        raise InputError(
            f"Got --target {request.target} with moments of the target {target}; expected the same; try leaving it out."
        )
    return shards_of(sources, target, request.image_size, request.shard_rows) if sources else []


def _survey(request: Request, shards: list[Shard]) -> Recipe:
    if not request.features:
        raise InputError("Got no feature map; expected --features; try --features conv for images, fourier for tables.")
    return survey(
        shards,
        named_map(request.features, request.seed),
        task=request.task,
        preprocess=request.preprocess,
        held=request.held,
        kept=request.kept,
        by_class=request.by_class,
        target=request.target,
        augment=request.augment,
        versions=request.versions,
    )


def _collect(request: Request, recipe: Recipe, shards: list[Shard], parts: Path, verbose: bool) -> Collected:
    rows = sum(shard.count for shard in shards) if verbose else 0

    def run(watch: Watcher | None) -> Collected:
        if request.cluster is None:
            return collect_all(recipe, shards, parts, watch)
        from datastill.moments.cluster import collect_on

        return collect_on(request.cluster, recipe, shards, parts, watch)

    with rows_bar("Moments", rows, verbose) as watch:
        return run(watch)
