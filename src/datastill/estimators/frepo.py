"""FRePo as an estimator."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from datastill.data.sampling import Budget
from datastill.distill import frepo, kip
from datastill.distill.finite_convnet import FiniteConvNet
from datastill.distill.model_pool import ModelPool, Objective
from datastill.estimators.on_model_pool import OnModelPool


class FRePo(OnModelPool):
    """Images learned under a pool of networks trained on them, the last layer of each solved for in closed form.

    With φ the features of a network of the pool and f = φ_t φ_sᵀ (φ_s φ_sᵀ + reg)⁻¹ y_s, minimises ½ mean ‖f − y_t‖²
    less a margin of the labels; see `distill.frepo`. The defaults are the published ones, made for GPUs; on a CPU take
    `NetworkKIP`.

    Args:
        ipc: learned examples per class: a number, a fraction of the class, or a dict from labels to either; 10, or
            half the rows of a class with fewer than 20, when neither budget is given.
        n_support: learned examples in all, a number or a fraction of the rows, spread over the classes.
        width: channels of the first block of the networks; each of the others has twice as many as the one before.
        depth: their blocks, each of which halves the image; None takes 3, or fewer where images are small.
        networks: in the pool.
        batch_size: training rows in a step.
        oldest: training steps on the set after which a network is drawn afresh.
        batch_norm: whether the networks have batch norm.
        flip: whether every example's mirror image is put beside it wherever the set is used; None does so for images in
            colour. The mirror images are not handed out.
        learn_labels: whether label vectors are learned, or stay at the class of each example.
        max_iter: steps.
        learning_rate: of LAMB on examples and labels; falls by a cosine to a tenth.
        reg: added to the diagonal of φ_s φ_sᵀ, as a fraction of its mean.
        init: where examples start; as for `KIP`.
        preprocess: "standardise", "zca", "zca-unit-norm" or "none"; None takes "zca" for images in colour, as was
            published, and "standardise" for others.
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

    Source: Zhou, Nezhadarya, Ba (2022), arXiv:2206.00719.
    """

    def __init__(
        self,
        ipc: Budget | None = None,
        *,
        n_support: int | float | None = None,
        width: int = 128,
        depth: int | None = None,
        networks: int = 10,
        batch_size: int = 1024,
        oldest: int = 100,
        batch_norm: bool = True,
        flip: bool | None = None,
        learn_labels: bool = True,
        max_iter: int = 500_000,
        learning_rate: float = frepo.RATE,
        reg: float = 1e-6,
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
        self.batch_size = batch_size
        self.oldest = oldest
        self.batch_norm = batch_norm
        self.flip = flip
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

    def problem(self) -> kip.Problem:
        """Return the problem that a fitted estimator minimises."""
        return replace(super().problem(), optimiser=frepo.optimiser(float(self.learning_rate), int(self.max_iter)))

    def _pool(self, depth: int, flip: bool) -> ModelPool:
        return ModelPool(
            FiniteConvNet(int(self.width), depth, normalised=bool(self.batch_norm)),
            size=int(self.networks),
            batch=int(self.batch_size),
            oldest=int(self.oldest),
            flip=flip,
        )

    def _objective(self, problem: kip.Problem) -> Objective:
        return frepo.objective(problem, self.pool_)

    def _vectors(self, y: Any) -> Any:
        return frepo.first_labels(y)
