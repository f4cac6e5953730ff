"""The pass on Dask: workers write the file of each shard and merge the files as a tree; messages hold paths alone.

Workers and the caller must see the same files. What a worker has finished is on disk, so a worker that is lost costs
the shard it was at, and a scheduler that is lost costs nothing that was finished.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from datastill._errors import DatastillError, InputError
from datastill.data import archive
from datastill.data.shards import Shard
from datastill.moments.collected import Collected, Recipe
from datastill.moments.files import SUFFIX, load, load_recipe, save, save_recipe
from datastill.moments.passing import Watcher, collect_to, recipe_file, report_failures, require_new

SECONDS_TO_CONNECT = 30
RECONNECTIONS = 20
LOCAL = "local:"


class Part(NamedTuple):
    """What a worker says of a shard: where its file is, what is in it, or why there is none."""

    file: str
    rows: int
    shards: tuple[str, ...]
    error: str = ""


def collect_on(
    where: str, recipe: Recipe, shards: Sequence[Shard], folder: Path, watch: Watcher | None = None
) -> Collected:
    """`collect_all` on a cluster; the result is the same to rounding.

    Args:
        where: "local:4" for four worker processes on this machine, or the address of a scheduler, such as
            "tcp://host:8786".
        recipe: of `survey`.
        shards: all data.
        folder: that workers see too, for a file of each finished shard.
        watch: told of rows.

    Raises:
        InputError: for an address that cannot be reached, without the extra `cluster`, or naming every shard that
            failed; the others are kept in the folder. Also for shards of equal rows.
    """
    folder = folder.absolute()
    archive.make_folder(folder)
    how = recipe_file(recipe, folder)
    save_recipe(recipe, how)
    with _session(where) as session:
        jobs = {shard.name: (_part, str(how), shard.absolute(), str(folder)) for shard in shards}
        found: dict[str, Part] = session.run(jobs, lambda part: watch(part.rows) if watch else None)
        failed = {n: InputError(p.error) for n, p in found.items() if p.error}
        report_failures(failed, len(found) - len(failed), folder)
        names: dict[str, str] = {}
        for name, part in found.items():
            require_new(names, name, part.shards)
        files = [found[shard.name].file for shard in shards]
        while len(files) > 1:
            pairs = list(zip(files[::2], files[1::2], strict=False))
            merged = session.run({a: (_merge, a, b) for a, b in pairs})
            files = [merged[a] for a, _ in pairs] + files[2 * len(pairs) :]
    return load(files[0])


class Session:
    """A connection to a scheduler that survives the scheduler."""

    def __init__(self, address: str) -> None:
        """Connect."""
        self._address = address
        self._client = _connected(address)

    def run(self, jobs: dict[str, tuple[Any, ...]], done: Callable[[Any], None] = lambda _: None) -> dict[str, Any]:
        """Job name -> result of (function, *arguments); what a lost scheduler did not deliver is asked for again."""
        from distributed import KilledWorker, as_completed

        results: dict[str, Any] = {}
        for _ in range(RECONNECTIONS):
            waiting = {name: job for name, job in jobs.items() if name not in results}
            futures = {self._client.submit(*job, pure=False): name for name, job in waiting.items()}
            failed, failure = "", None
            try:
                for future in as_completed(futures, loop=self._client.loop, raise_errors=False):
                    if future.status == "finished":
                        results[futures[future]] = future.result()
                        done(results[futures[future]])
                    elif future.status == "error":
                        failed, failure = futures[future], future.exception()
                        break
            except (OSError, TimeoutError):  # a closed connection, among others
                pass
            if isinstance(failure, KilledWorker):
                raise InputError(
                    f"Got {failed}, at which worker after worker died, most likely for want of memory; expected one "
                    "that is finished; try fewer features, fewer workers on a machine, or smaller shards; what is "
                    "finished is kept."
                ) from failure
            if failure is not None:  # of a job: it may be an OSError of its own
                raise failure
            if len(results) == len(jobs):
                return results
            self.close()
            self._client = _connected(self._address)
        raise InputError(
            f"Got a scheduler at {self._address} that was lost {RECONNECTIONS} times; expected one that stays; try "
            "--cluster local:2; finished shards are kept."
        )

    def close(self) -> None:
        """Without waiting for a scheduler that is gone."""
        self._client.close(timeout=2)


@contextmanager
def _session(where: str) -> Iterator[Session]:
    try:
        from distributed import LocalCluster
    except ImportError:
        raise InputError(
            f"Got --cluster {where} without Dask; expected the extra `cluster`; try pip install 'datastill[cluster]'."
        ) from None
    if not where.startswith(LOCAL):
        session = Session(where)
        try:
            yield session
        finally:
            session.close()
        return
    count = where.removeprefix(LOCAL)
    if not count.isdigit() or not int(count):
        raise InputError(f"Got --cluster {where}; expected local:N for N workers; try local:2.")
    with LocalCluster(
        n_workers=int(count), threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
    ) as local:
        session = Session(local.scheduler_address)
        try:
            yield session
        finally:
            session.close()


def _connected(address: str) -> Any:
    """A client of the scheduler, which may be starting again."""
    from distributed import Client

    deadline = time.monotonic() + SECONDS_TO_CONNECT
    while True:
        try:
            client = Client(address, timeout=5, set_as_default=False)
            break
        except (OSError, TimeoutError, ValueError) as error:
            if isinstance(error, ValueError) or time.monotonic() > deadline:
                raise InputError(
                    f"Got --cluster {address}, where no scheduler answers; expected local:N or an address such as "
                    "tcp://localhost:8786; try `dask scheduler`."
                ) from error
            time.sleep(0.5)
    try:
        client.wait_for_workers(1, timeout=SECONDS_TO_CONNECT)
    except (OSError, TimeoutError) as error:
        client.close(timeout=2)
        raise InputError(
            f"Got --cluster {address}, a scheduler that no worker joined in {SECONDS_TO_CONNECT} s; expected one or "
            f"more; try `dask worker {address}`."
        ) from error
    return client


def _part(how: str, shard: Shard, folder: str) -> Part:
    """On a worker: the file of one shard."""
    try:
        file = collect_to(_recipe(how), shard, Path(folder))
        made = load(file)
    except DatastillError as error:
        return Part("", 0, (), str(error))
    return Part(str(file), int(made.count), tuple(made.train.shards))


def _merge(a: str, b: str) -> str:
    """On a worker: the file of the sum of two files."""
    file = Path(a).with_name(f"{archive.tree_digest([Path(a).name, Path(b).name])[:32]}{SUFFIX}")
    if not file.exists():
        save(load(a) + load(b), file)
    return str(file)


@lru_cache(maxsize=1)
def _recipe(how: str) -> Recipe:
    return load_recipe(Path(how))
