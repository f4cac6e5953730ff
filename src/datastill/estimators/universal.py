"""One set for many learners as estimators: `Universal` for classes, `UniversalRegressor` for real targets."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import ClassifierMixin, RegressorMixin

from datastill import _validate
from datastill._errors import InputError
from datastill.data import sampling
from datastill.data.dataset import SupportSet, take
from datastill.data.sampling import Budget
from datastill.distill import bands, kip, loop, universal
from datastill.distill.kernel_objective import Targets
from datastill.distill.pool import Nets
from datastill.distill.surrogates import families_of, surrogates
from datastill.distill.surrogates.panel import CONVOLUTIONAL, TREES
from datastill.distill.universal import Settings
from datastill.estimators.base import Data, Distiller, Support
from datastill.estimators.on_networks import DEEPEST
from datastill.evaluate.choice import Chooser
from datastill.evaluate.protocol import Examples, HeldOut
from datastill.features.conv import NORMS, RandomConv, deepest, image_shape
from datastill.gram.names import KernelLike
from datastill.learners.named import check_learners
from datastill.progress import bar
from datastill.select.methods import Chosen

EVERYBODY = ("krr", "logistic", "linear-svm", "rbf-svm", "knn", "forest", "boosting", "mlp")
"""The panel, unless some are named."""
MOST_HELD = 3000
"""Rows that are held out to choose by."""
MOST_LEARNED = 3000
"""Examples that are learned; a larger set is the best of its starts."""
MOST_NUMBERS = 20_000
"""Numbers in a row."""
VALIDATIONS = 6
LEVELS = 9
"""Grey levels of images."""
BANDS = (1.0, np.inf)
"""How far the ranks of values may be off: what is tried where trees are to be taught."""
RATES = (0.05, 0.0125)
"""Of the first step, in standard deviations: what is tried."""
TRIAL = 4
"""A trial is this part of the steps."""
NETWORKS: dict[str, int] = {"size": 6, "at_once": 1, "every": 12, "trained": 10, "oldest": 100, "targets": 1000}
"""The pool of networks that images are learned under; see `pool.Nets`."""
NETWORK_WIDTH = 32
LARGEST_LAYER = 2**24
"""Numbers in their first layer's outputs for the set; larger images and sets do without networks."""


class _Universal(Distiller):
    """Hard-labelled examples that teach a panel of learners."""

    _starts = ("auto", "random", "noise")

    def check_settings(self) -> None:
        """See `Distiller.check_settings`."""
        super().check_settings()
        for name, least in (("max_iter", 0), ("learning_rate", 0), ("batch_size", 1), ("band", 0)):
            if getattr(self, name) not in (None, "auto"):
                _validate.check_between(name, getattr(self, name), least)
        _validate.check_between("validation_fraction", self.validation_fraction, 0.01, 0.9)
        _validate.check_between("corruption", self.corruption, 0, 1)
        if self.corruption and self.band not in ("auto", None):
            raise InputError(
                f"Got corruption={self.corruption:g} with band={self.band}; expected free values, since noise is in no "
                'band; try band="auto".'
            )
        if isinstance(self.learners, str) or (self.learners is not None and not len(self.learners)):
            raise InputError(
                f'Got learners={self.learners!r}; expected names of learners, or None for everybody; try ("logistic",).'
            )
        check_learners(self.learners or (), "regression" if isinstance(self, RegressorMixin) else "classification")

    def problem(self) -> kip.Problem:
        """Return that of kernel ridge regression on the finished set, by which it predicts."""
        return replace(super().problem(), labels="fixed")

    def _solves_labels(self) -> bool:
        return False

    def _initial_support(self, data: Data) -> Support:
        """Nothing yet: starts are found among the rows that are not held out."""
        return Support(np.empty((0, *data.targets.x.shape[1:]), np.float32), np.empty((0, 1)), None, None)

    def _learn(self, data: Data, start: Support) -> Support:
        """Judge the starts, try the ways of learning, learn on in the best one, and keep what the panel likes best."""
        if data.targets.x[0].size > MOST_NUMBERS:
            raise InputError(
                f"Got rows of {data.targets.x[0].size:,} numbers, on which a panel would take hours; expected "
                f"at most {MOST_NUMBERS:,}; try fewer columns (a projection, smaller images), or KIP."
            )
        rest, held = self._split(data)
        inside = data._replace(
            rows=take(data.rows, rest),
            y=data.y[rest],
            codes=None if data.codes is None else data.codes[rest],
            targets=data.targets.take(rest),
        )
        x = self.space_.encode_features(take(data.rows, held))
        truth = data.targets.y[held] if data.codes is None else data.codes[held]
        chooser = Chooser(tuple(self.learners or EVERYBODY), HeldOut(x, truth, data.codes is None))
        candidates = self._candidates(inside)
        judged = {name: chooser.scores(self._examples(candidate)) for name, candidate in candidates.items()}
        if not any(judged.values()):
            said = "; ".join(f"{name}: {why}" for name, why in chooser.failed.items())
            raise InputError(f"Got learners none of which could be trained ({said}); expected one that can.")
        first = next(iter(candidates))
        if len(candidates[first].z) <= MOST_LEARNED and int(self.max_iter):
            name, found = self._descend(inside, candidates[first], chooser, self._identity(data))
            name = f"learned from {first}, {name}"
            candidates[name], judged[name] = found, chooser.scores(self._examples(found))
        means = {name: chooser.mean(scores) for name, scores in judged.items()}
        chosen = max(means, key=lambda name: means[name])
        self.results_ = pd.DataFrame(judged).T.assign(mean=means).sort_values("mean", ascending=False, kind="stable")
        self.choice_: dict[str, Any] = {
            "chosen": chosen,
            "learners": [name for name in chooser.learners if name not in chooser.failed],
            "held_rows": len(held),
            "means": means,
            "failed": chooser.failed,
        }
        best = candidates[chosen]
        return best._replace(indices=None if best.indices is None else rest[best.indices])

    def _split(self, data: Data) -> tuple[np.ndarray, np.ndarray]:
        """Row numbers to learn from, and to choose by."""
        fraction = min(float(self.validation_fraction), MOST_HELD / len(data.y))
        rest, held = sampling.split(data.codes, len(data.y), fraction, data.seed)
        if not len(held) or (data.codes is None and (len(held) < 2 or np.ptp(data.y[held], axis=0).max() == 0)):
            raise InputError(
                f"Got {len(data.y)} rows, of which {len(held)} were held out to choose by; expected enough to tell "
                "sets apart; try more rows, a larger validation_fraction, or KIP."
            )
        return rest, held

    def _candidates(self, data: Data) -> dict[str, Support]:
        """The starts, grouped by class; the first one is learned from, and all are judged."""
        if isinstance(self.init, (SupportSet, tuple, list)):
            found = {"the given set": self._given_support(data)}
        elif self.init == "auto":
            names = ("kmeans-targets", "kmeans") if data.codes is None else ("kmeans",)
            found = {name: self._choose(name, data)._replace(chosen=None) for name in (*names, "random")}
        else:
            found = {str(self.init): super()._initial_support(data)._replace(chosen=None)}
        return {name: self._settled(_grouped(start), data.seed) for name, start in found.items()}

    def _settled(self, support: Support, seed: int) -> Support:
        """The same with noise where nothing is learned, and with values that occur, where they are not rows."""
        if self.corruption:
            support = support._replace(z=self._corrupted(support.z, seed), indices=None)
        if support.indices is not None:
            return support
        return support._replace(z=np.asarray(self.space_.occurring(support.z, _levels(support.z))))

    def _examples(self, support: Support) -> Examples:
        """A set as it will be handed out, for the panel."""
        x = self.space_.encode_features(self.space_.decode(support.z))
        weights = None if support.chosen is None else support.chosen.weights
        return Examples(x, support.vectors, weights, support.codes, "examples" if support.indices is None else "")

    def _descend(self, data: Data, start: Support, chooser: Chooser, identity: str) -> tuple[str, Support]:
        """Try each way for some steps, and learn on in the one that the panel likes best."""
        hot = data.targets.y if data.codes is None else np.eye(data.targets.y.shape[1], dtype=np.float32)[data.codes]
        problem = self._problem(data, start)
        advance, targets, ways = universal.step(problem), Targets(data.targets.x, hot), self._ways()
        bounds = {band: self._bounds(band, data, start) for band in dict.fromkeys(way.band for way in ways)}

        def judge(*found: np.ndarray) -> tuple[float, float]:
            mean = chooser.mean(chooser.scores(self._examples(_made(start.codes, *found))))
            return 1 - mean, mean

        def learned(settings: Settings, begin: tuple[np.ndarray, ...], part: str) -> loop.Progress:
            every = max(settings.steps // (VALIDATIONS if part == "all steps" else 1), 1)
            title = f"{type(self).__name__}: {len(start.z)} examples, {part}"
            score = "mean R²" if data.codes is None else "mean accuracy"
            file = None if self.checkpoint is None else f"{self.checkpoint}{'' if part == 'all steps' else '.' + part}"
            with bar(title, settings.steps, score, bool(self.verbose)) as watch:
                return universal.learn(
                    problem,
                    advance,
                    settings,
                    begin,
                    targets,
                    judge,
                    loop.Schedule(settings.steps, every, self.patience),
                    data.seed,
                    start.codes,
                    bounds[settings.band],
                    None if file is None else Path(file),
                    f"{identity} {settings}",
                    watch,
                )

        steps = max(int(self.max_iter) // TRIAL, 1) if len(ways) > 1 else 0
        tried = [
            learned(replace(way, steps=steps, networks=False), (start.z, start.vectors), f"trial-{number}")
            for number, way in enumerate(ways if steps else (), start=1)
        ]
        best = int(np.argmin([progress.best_loss for progress in tried])) if tried else 0
        progress = learned(ways[best], tried[best].best if tried else (start.z, start.vectors), "all steps")
        self._record(progress)
        self.snapshots_ = [(at, self.space_.decode(z)) for at, z in progress.snapshots]
        way = ways[best]
        bound = "free values" if way.band is None or np.isinf(way.band) else f"band {way.band:g}"
        return f"{bound}, rate {way.rate:g}", _made(start.codes, *progress.best)

    def _ways(self) -> tuple[Settings, ...]:
        """The ways of learning that are tried."""
        given = Settings(int(self.max_iter), 0.0, int(self.batch_size), None)
        trees = TREES in families_of(self.learners) and not self.corruption  # noise is in no band
        bounds = (BANDS if trees else (None,)) if self.band == "auto" else (self.band,)
        rates = RATES if self.learning_rate == "auto" else (float(self.learning_rate),)
        ways = [replace(given, band=band, rate=rate) for band in bounds for rate in rates]
        return tuple(way for way in ways if way.band != bounds[0] or way.rate == rates[0] or len(bounds) == 1)

    def _bounds(self, band: float | None, data: Data, start: Support) -> bands.Bands | None:
        """The bands of this width, of the start's classes in their order."""
        if band is None:
            return None
        codes = np.zeros(len(data.targets.y), int) if data.codes is None else data.codes
        own = np.zeros(len(start.z), int) if start.codes is None else start.codes
        z = data.targets.x if self.space_.whitening is None else self.space_.encode(data.rows)
        budget = np.bincount(own, minlength=int(codes.max()) + 1)
        return bands.bands(z.reshape(len(z), -1), codes, budget, band, data.seed)

    def _problem(self, data: Data, start: Support) -> universal.Problem:
        """Return what is minimised."""
        vectors, regression, row = data.targets.y, data.codes is None, start.z.shape[1:]
        families = families_of(self.learners)
        examples = universal.at_once(len(start.z), 1 if regression else vectors.shape[1])
        return universal.Problem(
            surrogates(families, examples, int(np.prod(row)), vectors.shape[1], regression),
            self.space_,
            _levels(start.z),
            (vectors.min(axis=0), vectors.max(axis=0)) if regression else None,
            self._mask(start.z.shape, data.seed),
            _nets(row, examples) if CONVOLUTIONAL in families and examples == len(start.z) else None,
            bool(self.row_weights),
        )

    def _describe(self, data: Data, seconds: float) -> SupportSet:
        made = super()._describe(data, seconds)
        return replace(made, provenance=made.provenance | {"choice": self.choice_})


def _made(codes: np.ndarray | None, z: np.ndarray, vectors: np.ndarray, weights: np.ndarray | None = None) -> Support:
    """A learned set."""
    chosen = None if weights is None else Chosen(None, None, weights, np.full(len(z), np.nan))
    return Support(z, vectors, codes, None, chosen)


def _nets(row: tuple[int, ...], examples: int) -> Nets | None:
    """The networks that images of this shape are learned under; None for other rows and for large sets."""
    if len(row) < 2 or (depth := min(DEEPEST, deepest(row))) < 1:
        return None
    h, w, _ = image_shape(row)
    if examples * h * w * NETWORK_WIDTH > LARGEST_LAYER:
        return None
    return Nets(tuple(RandomConv(NETWORK_WIDTH, depth, norm=norm) for norm in NORMS), **NETWORKS)


def _levels(z: np.ndarray) -> int | None:
    """Grey levels of these examples; None for rows that are no images."""
    return LEVELS if z.ndim > 2 else None


def _grouped(start: Support) -> Support:
    """The same examples in the order of their classes."""
    if start.codes is None:
        return start
    order = np.argsort(start.codes, kind="stable")
    indices = None if start.indices is None else start.indices[order]
    return start._replace(z=start.z[order], vectors=start.vectors[order], codes=start.codes[order], indices=indices)


class Universal(ClassifierMixin, _Universal):
    """Examples with plain class labels that teach nearly every learner; what `datastill distill` makes.

    The examples descend the mean loss of differentiable surrogates of families of learners, each trained on the set and
    tested on fresh rows (see `distill.universal`), while their values stay distributed as the data's
    (`distill.bands`). Of more than 100 classes, or 1,500 examples, each step learns those of some classes. Some rows (a
    fifth, at most 3,000) are held out; on them a panel of learners judges the starts (k-means centres and random rows),
    short trials of some ways of learning, and the steps of the best way. What it likes best is kept, so that the set is
    never worse on the panel than any of its starts.

    Args:
        ipc: examples per class: a number, a fraction of the class, or a dict from labels to either; 10, or half the
            rows of a class with fewer than 20, when neither budget is given.
        n_support: examples in all, a number or a fraction of the rows, spread over the classes.
        allocation: how `n_support` is spread over the classes: "balanced" or "proportional".
        learners: names of the learners that the set is for (see `learners.named_learner`): their surrogates make the
            loss, themselves the panel. None is for everybody.
        init: "auto", or one start: the name of a selector, "random", "noise", a SupportSet, or a pair (X_s, y_s).
        max_iter: steps; up to three trials, of a quarter of them each, come before.
        learning_rate: of the first step, in standard deviations of the data; falls by a cosine. "auto" tries some.
        batch_size: rows in a step.
        band: how far the rank of a value in its column and class may be from that in the data, in examples; None leaves
            values free within the data's range. "auto" tries 1 and none.
        corruption: ρ, the fraction of every example's coordinates that is noise and never learned.
        row_weights: whether a weight of each example is learned, for learners that take weights.
        patience: validations, of which there are six, without improvement before stopping; None never stops early.
        validation_fraction: of the rows, held out to choose by.
        kernel: by which `predict` predicts, as a kernel ridge regression on the set.
        reg: of that regression.
        preprocess: "standardise", "zca", "zca-unit-norm" or "none".
        checkpoint: file to resume from and to keep up to date; trials have files beside it.
        verbose: whether to show progress on standard error: a bar on a terminal, elsewhere a line every half minute.
        random_state: seed, RandomState or None.

    Attributes:
        X_support_: the examples, in X's own space.
        y_support_: (s,) their classes.
        weights_: (s,) their weights, 1 on average, if they were learned; else None.
        results_: a table of starts and learned set × learners of the panel, the best mean first.
        choice_: what was chosen, and by whom.
        history_: (step, loss, 1 − mean score, mean score) at every validation of the last run.
        support_set_: the set; its provenance says how it was chosen.

    Source: learning through learners: Wang et al. (2018), arXiv:1811.10959; Nguyen, Chen, Lee (2021), arXiv:2011.00050;
    neighbours: Kusner et al. (2014), "Stochastic neighbor compression". The several surrogates, the bands and the panel
    are our own (docs/decisions/0036-one-set-for-many-learners.md).
    """

    def __init__(
        self,
        ipc: Budget | None = None,
        *,
        n_support: int | float | None = None,
        allocation: str = "balanced",
        learners: Sequence[str] | None = None,
        init: Any = "auto",
        max_iter: int = 600,
        learning_rate: float | str = "auto",
        batch_size: int = 300,
        band: float | str | None = "auto",
        corruption: float = 0.0,
        row_weights: bool = False,
        patience: int | None = None,
        validation_fraction: float = 0.2,
        kernel: KernelLike = "fc1",
        reg: float = 1e-6,
        preprocess: str = "standardise",
        checkpoint: str | Path | None = None,
        verbose: bool = False,
        random_state: Any = None,
    ) -> None:
        self.ipc = ipc
        self.n_support = n_support
        self.allocation = allocation
        self.learners = learners
        self.init = init
        self.max_iter = max_iter
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.band = band
        self.corruption = corruption
        self.row_weights = row_weights
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.kernel = kernel
        self.reg = reg
        self.preprocess = preprocess
        self.checkpoint = checkpoint
        self.verbose = verbose
        self.random_state = random_state


class UniversalRegressor(RegressorMixin, _Universal):
    """`Universal` for real targets, by mean R²; targets are learned, too, within the range of the data's.

    The budget is `n_support` examples (20 when left out), the steps are 1,500. Starts are k-means on rows and targets
    together, k-means on rows, and random rows; the first is learned from.
    """

    def __init__(
        self,
        n_support: int | float | None = None,
        *,
        learners: Sequence[str] | None = None,
        init: Any = "auto",
        max_iter: int = 1500,
        learning_rate: float | str = "auto",
        batch_size: int = 300,
        band: float | str | None = "auto",
        corruption: float = 0.0,
        row_weights: bool = False,
        patience: int | None = None,
        validation_fraction: float = 0.2,
        kernel: KernelLike = "fc1",
        reg: float = 1e-6,
        preprocess: str = "standardise",
        checkpoint: str | Path | None = None,
        verbose: bool = False,
        random_state: Any = None,
    ) -> None:
        self.n_support = n_support
        self.learners = learners
        self.init = init
        self.max_iter = max_iter
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.band = band
        self.corruption = corruption
        self.row_weights = row_weights
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.kernel = kernel
        self.reg = reg
        self.preprocess = preprocess
        self.checkpoint = checkpoint
        self.verbose = verbose
        self.random_state = random_state
