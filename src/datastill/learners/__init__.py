"""The algorithms a small set is judged by: scikit-learn's learners by name, or any estimator by import path."""

from datastill.learners.named import LEARNERS, named_learner

__all__ = ["LEARNERS", "named_learner"]
