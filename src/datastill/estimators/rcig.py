"""RCIG as an estimator."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from datastill.data.sampling import Budget
from datastill.distill import kip, rcig
from datastill.distill.finite_convnet import FiniteConvNet
from datastill.distill.model_pool import Learned, ModelPool, Objective
from datastill.estimators.on_model_pool import OnModelPool


class RCIG(OnModelPool):
    """Images learned by implicit gradients through linearised networks, the last layer of each in closed form.

    Minimises the cross-entropy, at a learned temperature, of networks of a pool that are trained on the images in
    their linearisation; see `distill.rcig`. What is handed out is an exponential mean over the steps. The defaults are
    the published ones, made for GPUs; on a CPU take `NetworkKIP`.

    Args:
        ipc: learned examples per class: a number, a fraction of the class, or a dict from labels to either; 10, or
            half the rows of a class with fewer than 20, when neither budget is given.
        n_support: learned examples in all, a number or a fraction of the rows, spread over the classes.
        width: channels of the first block of the networks; each of the others has twice as many as the one before.
        depth: their blocks, each of which halves the image; None takes 3, or fewer where images are small.
        networks: in the pool.
        batch_size: training rows in a step.
        oldest: training steps on the set after which a network is drawn afresh.
        training: most training steps of a network after a step; at least 1 is made.
        inner_steps: of Adam on the set, in the linearisation.
        inverse_steps: of Adam towards the inverse Hessian's product.
        flip: whether every example's mirror image is put beside it wherever the set is used; None does so for images in
            colour. The mirror images are not handed out.
        learn_labels: whether label vectors are learned, or stay at the class of each example.
        max_iter: steps.
        learning_rate: of AdaBelief on examples and labels.
        reg: penalty of the inner problem, for each example, an absolute number; in `predict`, what is added to the
            diagonal of the kernel matrix of the examples, as a fraction of its mean.
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

    Source: Loo, Hasani, Lechner, Rus (2023), arXiv:2302.06755.
    """

    def __init__(
        self,
        ipc: Budget | None = None,
        *,
        n_support: int | float | None = None,
        width: int = 128,
        depth: int | None = None,
        networks: int = 30,
        batch_size: int = 1024,
        oldest: int = 100,
        training: int = 15,
        inner_steps: int = 20,
        inverse_steps: int = 20,
        flip: bool | None = None,
        learn_labels: bool = True,
        max_iter: int = 10_000,
        learning_rate: float = rcig.RATE,
        reg: float = 5e-4,
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
        self.training = training
        self.inner_steps = inner_steps
        self.inverse_steps = inverse_steps
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
        return replace(super().problem(), optimiser=rcig.optimiser(float(self.learning_rate)))

    def _pool(self, depth: int, flip: bool) -> ModelPool:
        return ModelPool(
            FiniteConvNet(int(self.width), depth, "softplus"),
            size=int(self.networks),
            batch=int(self.batch_size),
            oldest=int(self.oldest),
            trained=(1, int(self.training)),
            rate=rcig.POOL_RATE,
            average=rcig.AVERAGE,
            flip=flip,
        )

    def _objective(self, problem: kip.Problem) -> Objective:
        settings = rcig.Settings(float(self.reg), int(self.inner_steps), int(self.inverse_steps))
        return rcig.objective(problem, self.pool_, settings)

    def _others(self) -> Learned:
        return rcig.others()
