"""RFAD as an estimator."""

from dataclasses import replace
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

from datastill.data import sampling
from datastill.data.sampling import Budget
from datastill.distill import kip, rfad
from datastill.estimators.base import Data, Support
from datastill.estimators.on_networks import OnNetworks
from datastill.features.conv import RandomConv
from datastill.gram.features import FeatureKernel
from datastill.kernels.base import Kernel


class RFAD(OnNetworks):
    """Random feature approximation of KIP: images learned under convolutional networks drawn afresh at every step.

    With M random networks of features φ_m and k = 1/M Σ φ_m·φ_m, minimises mean CE(exp(τ) f, class) or
    ½ mean ‖f − y_t‖², f = k_ts (k_ss + reg)⁻¹ y_s, over images, their label vectors and τ; see `distill.rfad`. The
    defaults are the published ones, made for GPUs: a step passes 5,120 rows through 8 networks of 256 channels. On a
    CPU take `NetworkKIP`. The step that is best on held-out rows is kept.

    Args:
        ipc: learned examples per class: a number, a fraction of the class, or a dict from labels to either; 10, or
            half the rows of a class with fewer than 20, when neither budget is given.
        n_support: learned examples in all, a number or a fraction of the rows, spread over the classes.
        width: channels of each layer of the networks.
        depth: their layers, each of which halves the image; None takes 3, or fewer where images are small.
        networks: M.
        judges: networks of the kernel under which steps are validated and `predict` works.
        batch_size: training rows in a step.
        loss: "cross-entropy" or "square".
        learn_labels: whether label vectors are learned, or stay at the class of each example.
        max_iter: steps.
        patience: validations, each after 40 steps, without improvement before stopping; None never stops early.
        validation_fraction: of the rows, held out.
        learning_rate: of AdaBelief on the examples.
        reg: added to the diagonal of k_ss, as a fraction of its mean.
        init: where examples start; as for `KIP`.
        preprocess: "standardise", "zca", "zca-unit-norm" or "none"; None takes "zca" for images in colour, as was
            published, and "standardise" for others.
        keep_range: whether examples end within the data's range, and in its dtype.
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

    Source: Loo, Hasani, Amini, Rus (2022), arXiv:2210.12067.
    """

    def __init__(
        self,
        ipc: Budget | None = None,
        *,
        n_support: int | float | None = None,
        width: int = 256,
        depth: int | None = None,
        networks: int = 8,
        judges: int = 16,
        batch_size: int = 5120,
        loss: str = "cross-entropy",
        learn_labels: bool = True,
        max_iter: int = 100_000,
        patience: int | None = 25,
        validation_fraction: float = 0.1,
        learning_rate: float = 1e-3,
        reg: float = 5e-3,
        init: Any = "random",
        preprocess: str | None = None,
        keep_range: bool = True,
        checkpoint: str | Path | None = None,
        verbose: bool = False,
        random_state: Any = None,
    ) -> None:
        self.ipc = ipc
        self.n_support = n_support
        self.width = width
        self.depth = depth
        self.networks = networks
        self.judges = judges
        self.batch_size = batch_size
        self.loss = loss
        self.learn_labels = learn_labels
        self.max_iter = max_iter
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.learning_rate = learning_rate
        self.reg = reg
        self.init = init
        self.preprocess = preprocess
        self.keep_range = keep_range
        self.checkpoint = checkpoint
        self.verbose = verbose
        self.random_state = random_state

    def problem(self) -> kip.Problem:
        """Return the problem that a fitted estimator minimises."""
        labels = "gradient" if self.learn_labels else "fixed"
        return replace(super().problem(), labels=labels, optimiser=rfad.optimiser(float(self.learning_rate)))

    def _prepare(self, X: Any, y: Any) -> Data:
        data = super()._prepare(X, y)
        depth = self._depth_for(row := data.targets.x.shape[1:])
        self.settings_ = rfad.Settings(
            map=RandomConv(int(self.width), depth),
            networks=int(self.networks),
            batch=int(self.batch_size),
            loss=str(self.loss),
            judges=int(self.judges),
        )
        self.settings_.map.columns(row)
        kernels: list[Kernel] = [
            (1 / self.settings_.judges) * FeatureKernel(replace(self.settings_.map, seed=number))
            for number in range(1, self.settings_.judges + 1)
        ]
        self.kernels_ = (reduce(add, kernels),)
        return data

    def _learn(self, data: Data, start: Support) -> Support:
        problem = self.problem()
        rest, kept_out = sampling.split(data.codes, len(data.y), self.validation_fraction, data.seed)
        targets, held = data.targets.take(rest), data.targets.take(kept_out)
        return self._run(
            data,
            start,
            rfad.init(problem, start.z, start.vectors),
            rfad.step(problem, self.settings_, targets, data.seed),
            rfad.examples,
            rfad.validator(problem, self.settings_, held, data.seed) if len(kept_out) else None,
            self.patience,
            rfad.EVERY,
        )
