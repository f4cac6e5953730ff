"""Choose the set that teaches a panel of learners best, on rows held out of the training rows."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from joblib.externals.loky import ProcessPoolExecutor
from threadpoolctl import threadpool_limits

from datastill.data.dataset import digest
from datastill.evaluate.protocol import Examples, HeldOut, judged_row
from datastill.learners.named import is_import_path

WORST = -1.0
"""An R² below which a regressor is no worse: one learner that is far off says nothing of the others."""


@dataclass
class Chooser:
    """A panel of learners, and the rows that it judges sets on.

    Attributes:
        learners: names; see `learners.named_learner`.
        held: the rows.
        seed: of learners.
        seconds: that a stranger's learner may take for a set; it has no part any more once it takes longer.
        failed: what learners failed with; they are left out, for all sets alike.
        known: what was found of the sets so far, by their digests.
        process: where strangers' learners are trained; its own, since joblib fails where another has made the one that
            it uses again.
    """

    learners: Sequence[str]
    held: HeldOut
    seed: int = 0
    seconds: float = 60.0
    failed: dict[str, str] = field(default_factory=dict)
    known: dict[tuple[str, ...], dict[str, float]] = field(default_factory=dict)
    process: ProcessPoolExecutor | None = None

    def scores(self, examples: Examples) -> dict[str, float]:
        """Accuracy, or R², of every learner that has not failed, trained on a set."""
        weights = "" if examples.weights is None else digest(examples.weights)
        key = digest(examples.x), digest(examples.vectors), weights, examples.learned
        if key not in self.known:
            self.known[key] = self._trained(examples)
        return self.known[key]

    def _trained(self, examples: Examples) -> dict[str, float]:
        found = {}
        for name in self.learners:
            if name in self.failed:
                continue
            record = self._record(name, examples)
            if record["error"]:
                self.failed[name] = str(record["error"])
                continue
            found[name] = max(float(record[self.held.metric]), WORST)
        return found

    def mean(self, scores: dict[str, float]) -> float:
        """Return the mean over the learners that are left; NaN where there are none."""
        left = [score for name, score in scores.items() if name not in self.failed]
        return float(np.mean(left)) if left else float("nan")

    def _record(self, name: str, examples: Examples) -> dict[str, Any]:
        where = {"seed": self.seed, "asked": "hard"}
        if not is_import_path(name):
            with threadpool_limits(1):  # small sets: threads would wait for each other for longer than they work
                return judged_row(examples, name, where, self.held)[0]
        if self.process is None:
            self.process = ProcessPoolExecutor(max_workers=1)
        try:
            self.process.submit(_ready).result()  # a start is none of a learner's seconds
            return self.process.submit(judged_row, examples, name, where, self.held).result(timeout=self.seconds)[0]
        except TimeoutError:
            error = f"it took more than {self.seconds:g} seconds for {len(examples.x):,} examples"
        except Exception as failure:  # a process that was killed, or exited
            error = f"its process ended ({type(failure).__name__})"
        self.process.shutdown(kill_workers=True)
        self.process = None
        return {"error": error}


def _ready() -> None:
    """Import what training needs, since this module does."""
