"""KIP under a pool of networks as an estimator: `NetworkKIP`, whose sets are made to teach networks."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optax

from datastill._errors import InputError
from datastill.data.sampling import Budget
from datastill.distill import kip, pool
from datastill.estimators.base import Data, Support
from datastill.estimators.on_networks import OnNetworks, judging_kernels
from datastill.features.conv import NORMS, RandomConv

# Chosen on validation rows of MNIST and Fashion-MNIST at 1 and 10 examples a class (benchmarks/kinds.py). Narrow
# networks without norm that are trained for long suit few examples, and teach both kinds of networks; of 100 they make
# a set that teaches networks with norm barely better than random rows do.
FEW = 32
FOR_FEW: dict[str, Any] = {"norm": "none", "width": 32, "at_once": 2, "training": 80, "oldest": 800}
FOR_MANY: dict[str, Any] = {"norm": "both", "width": 64, "at_once": 1, "training": 10, "oldest": 100}
ARCHITECTURES = {norm: (norm,) for norm in NORMS} | {"both": NORMS}


class NetworkKIP(OnNetworks):
    """Images learned under a pool of small convolutional networks that are trained on them: sets that teach networks.

    Minimises ½ mean ‖φ(x_t) φ(x_s)ᵀ α − y_t‖², α = (φ(x_s) φ(x_s)ᵀ + reg)⁻¹ y_s, over images x_s and label vectors
    y_s, averaged over networks drawn from a pool, by Adam with a cosine schedule; see `distill.pool`. The labels are
    those that were learned beside the images: give them to networks as they are.

    Args:
        ipc: learned examples per class: a number, a fraction of the class, or a dict from labels to either; 10, or
            half the rows of a class with fewer than 20, when neither budget is given.
        n_support: learned examples in all, a number or a fraction of the rows, spread over the classes.
        width: channels of each layer of the networks; None takes 32 for up to 32 examples, else 64.
        norm: of the networks: "none", "instance" (norm), or "both", networks of either kind in turn; None takes "none"
            for up to 32 examples, else "both".
        depth: their layers, each of which halves the image; None takes 3, or fewer where images are small.
        networks: in the pool.
        at_once: networks whose losses a step averages; None takes 2 for up to 32 examples, else 1.
        renewal: steps between two renewals, each of one network.
        training: training steps on the set at a renewal; None takes 80 for up to 32 examples, else 10.
        oldest: training steps after which a network is drawn afresh; None takes 800 for up to 32 examples, else 100.
        target_rows: training rows whose features a network keeps.
        learn_labels: whether label vectors are learned, or stay at the class of each example.
        max_iter: steps.
        learning_rate: of the first step, in units of the standardised data; falls by a cosine.
        reg: added to the diagonal of φ(x_s) φ(x_s)ᵀ, as a fraction of its mean.
        init: where examples start; as for `KIP`.
        preprocess: "standardise", "zca", "zca-unit-norm" or "none"; None takes "zca" for images in colour and
            "standardise" for others.
        keep_range: whether examples stay within the data's range, and in its dtype.
        checkpoint: file to resume from and to keep up to date.
        verbose: whether to show progress on standard error: a bar on a terminal, elsewhere a line every half minute.
        random_state: seed, RandomState or None.

    Attributes:
        X_support_: the learned images, in X's own space.
        y_support_: (s,) the class each was learned for.
        soft_labels_: (s, C) their label vectors.
        n_iter_: steps done.
        snapshots_: pairs (step, examples) from start to end.
        support_set_: all of it as a `SupportSet`.

    Source: Zhou, Nezhadarya, Ba (2022), arXiv:2206.00719; Loo et al. (2022), arXiv:2210.12067; what differs is said in
    `distill.pool`.
    """

    def __init__(
        self,
        ipc: Budget | None = None,
        *,
        n_support: int | float | None = None,
        width: int | None = None,
        norm: str | None = None,
        depth: int | None = None,
        networks: int = 10,
        at_once: int | None = None,
        renewal: int = 6,
        training: int | None = None,
        oldest: int | None = None,
        target_rows: int = 2000,
        learn_labels: bool = True,
        max_iter: int = 1200,
        learning_rate: float = 0.03,
        reg: float = 5e-3,
        init: Any = "random",
        preprocess: str | None = "standardise",
        keep_range: bool = True,
        checkpoint: str | Path | None = None,
        verbose: bool = False,
        random_state: Any = None,
    ) -> None:
        self.ipc = ipc
        self.n_support = n_support
        self.width = width
        self.norm = norm
        self.depth = depth
        self.networks = networks
        self.at_once = at_once
        self.renewal = renewal
        self.training = training
        self.oldest = oldest
        self.target_rows = target_rows
        self.learn_labels = learn_labels
        self.max_iter = max_iter
        self.learning_rate = learning_rate
        self.reg = reg
        self.init = init
        self.preprocess = preprocess
        self.keep_range = keep_range
        self.checkpoint = checkpoint
        self.verbose = verbose
        self.random_state = random_state

    def check_settings(self) -> None:
        """See `Distiller.check_settings`."""
        super().check_settings()
        if self.norm is not None and self.norm not in ARCHITECTURES:
            raise InputError(f"Got norm={self.norm!r}; expected one of {', '.join(ARCHITECTURES)}.")

    def problem(self) -> kip.Problem:
        """Return the problem that a fitted estimator minimises."""
        rate = optax.cosine_decay_schedule(float(self.learning_rate), max(int(self.max_iter), 1))
        return replace(
            super().problem(),
            labels="gradient" if self.learn_labels else "fixed",
            optimiser=optax.adam(rate),
            project=self.space_.clip if self.keep_range else kip.anywhere,
        )

    def _prepare(self, X: Any, y: Any) -> Data:
        data = super()._prepare(X, y)
        row = data.targets.x.shape[1:]
        self.kernels_ = judging_kernels(self._depth_for(row), row)  # what a start is chosen under
        return data

    def _nets(self, examples: int, depth: int) -> pool.Nets:
        """The pool that so many examples are learned under."""
        usual = FOR_FEW if examples <= FEW else FOR_MANY
        own = {name: getattr(self, name) for name in usual}
        chosen = usual | {name: value for name, value in own.items() if value is not None}
        return pool.Nets(
            maps=tuple(RandomConv(int(chosen["width"]), depth, norm=norm) for norm in ARCHITECTURES[chosen["norm"]]),
            size=int(self.networks),
            at_once=int(chosen["at_once"]),
            every=int(self.renewal),
            trained=int(chosen["training"]),
            oldest=int(chosen["oldest"]),
            targets=int(self.target_rows),
        )

    def _learn(self, data: Data, start: Support) -> Support:
        row = data.targets.x.shape[1:]
        self.nets_ = self._nets(len(start.z), self._depth_for(row))
        self.kernels_ = judging_kernels(self._depth_for(row), row, tuple(map.norm for map in self.nets_.maps))
        problem = self.problem()
        return self._run(
            data,
            start,
            pool.init(problem, self.nets_, start.z, start.vectors, data.targets, data.seed),
            pool.step(problem, self.nets_, data.targets, data.seed),
            lambda state: (np.asarray(state.learned.z), np.asarray(state.learned.y)),
        )
