"""The pass on Dask: workers write the file of each shard and merge the files as a tree; messages hold paths alone.

Workers and the caller must see the same files. What a worker has finished is on disk, so a worker that is lost costs
the shard it was at, and a scheduler that is lost costs nothing that was finished.
"""

import math
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from datastill._errors import DatastillError, DatastillWarning, InputError
from datastill.data import archive
from datastill.data.shards import Shard
from datastill.moments.collected import Collected, Recipe
from datastill.moments.files import SUFFIX, load, load_recipe, save, save_recipe
from datastill.moments.passing import Watcher, collect_to, recipe_file, report_failures, require_new

SECONDS_TO_CONNECT = 30
RECONNECTIONS = 20
LOCAL = "local:"
WORKERS_IGNORE_CTRL_C = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
"""It comes to all processes of a terminal; the caller ends them."""
SECONDS_BETWEEN_POLLS = 0.01
SECONDS_BETWEEN_LOOKS = 1.0
"""At workers, and at jobs that take too long."""
LEAST_LIMIT, TIMES_THE_MEDIAN = 60.0, 10.0
"""A job is given to another worker after so many seconds, and so many times what others take."""
FIRST_LIMIT = 600.0
"""Seconds, before any has been finished."""


class Part(NamedTuple):
    """The report of a worker on a shard: where its file is, what is in it, or why there is none."""

    file: str
    rows: int
    shards: tuple[str, ...]
    error: str = ""


def collect_on(
    where: str,
    recipe: Recipe,
    shards: Sequence[Shard],
    folder: Path,
    watch: Watcher | None = None,
    limit: float | None = None,
) -> Collected:
    """`collect_all` on a cluster; the result is the same to rounding.

    Args:
        where: "local:4" for four worker processes on this machine, or the address of a scheduler, such as
            "tcp://host:8786".
        recipe: of `survey`.
        shards: all data.
        folder: that workers see too, for a file of each finished shard.
        watch: told of rows.
        limit: seconds after which a shard is given to another worker as well, lest a worker that stands still holds up
            all; None for ten times the median of those that are finished, and a minute at least.

    Raises:
        InputError: for an address that cannot be reached, without the extra `cluster`, or naming every shard that
            failed; the others are kept in the folder. Also for shards of equal rows.
    """
    folder = folder.absolute()
    archive.make_folder(folder)
    how = recipe_file(recipe, folder)
    save_recipe(recipe, how)
    with _session(where, limit) as session:
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


@dataclass
class _Run:
    """A job that a worker was given.

    Attributes:
        name: of the job.
        start: when.
        worker: that has it, once it has taken too long; nothing before.
    """

    name: str
    start: float
    worker: str = ""


class Session:
    """A connection to a scheduler that survives the scheduler, and workers that stand still."""

    def __init__(self, address: str, limit: float | None = None) -> None:
        """Connect; `limit` as for `collect_on`."""
        self._address = address
        self._limit = limit
        self._client = _connected(address)
        self._stuck: set[str] = set()

    def run(self, jobs: dict[str, tuple[Any, ...]], done: Callable[[Any], None] = lambda _: None) -> dict[str, Any]:
        """Job name -> result of (function, *arguments); what a lost scheduler did not deliver is asked for again."""
        results: dict[str, Any] = {}
        for _ in range(RECONNECTIONS):
            failure = None
            with suppress(OSError, TimeoutError):  # a closed connection, among others
                failure = self._round(jobs, results, done)
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

    def _round(
        self, jobs: dict[str, tuple[Any, ...]], results: dict[str, Any], done: Callable[[Any], None]
    ) -> BaseException | None:
        """Add the results of jobs that have none yet; what a job failed with, if one did.

        Every thread of a worker has one job at a time, so that the age of a job is the time that it takes. One that
        takes too long is given to another worker as well, and counts when either is done with it.
        """
        from distributed import as_completed

        waiting = [name for name in reversed(jobs) if name not in results]
        running: dict[Any, _Run] = {}
        seconds: list[float] = []
        ended = as_completed(loop=self._client.loop, with_results=True, raise_errors=False)
        looked, workers = -math.inf, list[str]()
        while len(results) < len(jobs):
            if time.monotonic() - looked > SECONDS_BETWEEN_LOOKS:
                self._mark_late(running, limit_of(seconds, self._limit))
                threads = self._client.nthreads()
                workers = [worker for worker in threads if worker not in self._stuck]
                free = sum(threads[worker] for worker in workers)
                cared_for = {*waiting, *(run.name for run in running.values() if not run.worker)}
                again = {run.name for run in running.values()} - cared_for if workers else set()
                waiting, looked = [*waiting, *sorted(again)], time.monotonic()
            while waiting and sum(not run.worker for run in running.values()) < max(free, 1):
                name = waiting.pop()
                only = workers if 0 < len(workers) < len(threads) else None
                future = self._client.submit(*jobs[name], pure=False, workers=only, allow_other_workers=bool(only))
                running[future] = _Run(name, time.monotonic())
                ended.add(future)
            if not ended.has_ready():
                time.sleep(SECONDS_BETWEEN_POLLS)
                continue
            future, result = ended.next()
            run = running.pop(future)
            self._stuck.discard(run.worker)
            if future.status == "error" and run.name not in results:
                return _failure(run.name, future.exception())
            if future.status != "finished":
                raise ConnectionError  # the scheduler is lost
            if run.name not in results:
                results[run.name] = result
                seconds.append(time.monotonic() - run.start)
                done(result)
        return None

    def _mark_late(self, running: dict[Any, _Run], limit: float) -> None:
        """Look up, and tell, the workers of jobs that have become older than the limit."""
        now = time.monotonic()
        old = {future.key: run for future, run in running.items() if not run.worker and now - run.start > limit}
        if not old:
            return
        # one that is done may stand still before it has told the result; a job that is nowhere waits for a worker
        places = {key: workers[0] for key, workers in self._client.who_has().items() if workers}
        places |= {key: worker for worker, keys in self._client.processing().items() for key in keys}
        for key in old.keys() & places.keys():
            old[key].worker = places[key]
        late = sorted({run.worker for run in old.values() if run.worker})
        self._stuck |= set(late)
        if late:
            warnings.warn(
                f"Jobs on the cluster take longer than {limit:.0f} s at {', '.join(late)}; other workers get them as "
                "well, where there are any.",
                DatastillWarning,
                stacklevel=2,
            )


def limit_of(seconds: Sequence[float], given: float | None) -> float:
    """Seconds after which a job is given to another worker as well, from those that others have taken."""
    if given is not None:
        return given
    return max(LEAST_LIMIT, TIMES_THE_MEDIAN * median(seconds)) if seconds else FIRST_LIMIT


def _failure(name: str, error: BaseException) -> BaseException:
    from distributed import KilledWorker

    if not isinstance(error, KilledWorker):
        return error
    failure = InputError(
        f"Got {name}, at which worker after worker died, most likely for want of memory; expected one that is "
        "finished; try fewer features, fewer workers on a machine, or smaller shards; what is finished is kept."
    )
    failure.__cause__ = error
    return failure


@contextmanager
def _session(where: str, limit: float | None = None) -> Iterator[Session]:
    try:
        from distributed import LocalCluster
    except ImportError:
        raise InputError(
            f"Got --cluster {where} without Dask; expected the extra `cluster`; try pip install 'datastill[cluster]'."
        ) from None
    if not where.startswith(LOCAL):
        session = Session(where, limit)
        try:
            yield session
        finally:
            session.close()
        return
    count = where.removeprefix(LOCAL)
    if not count.isdigit() or not int(count):
        raise InputError(f"Got --cluster {where}; expected local:N for N workers; try local:2.")
    with LocalCluster(
        n_workers=int(count),
        threads_per_worker=1,
        processes=True,
        dashboard_address=None,
        silence_logs=50,
        preload=[WORKERS_IGNORE_CTRL_C],
    ) as local:
        session = Session(local.scheduler_address, limit)
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
    with suppress(InputError):  # it is not there, or damaged
        load(file)
        return str(file)
    save(load(a) + load(b), file)
    return str(file)


@lru_cache(maxsize=1)
def _recipe(how: str) -> Recipe:
    return load_recipe(Path(how))
