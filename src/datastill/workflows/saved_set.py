"""A saved set opened again: its examples as numbers, and the rows that it was made from, as far as they are known.

A run keeps a digest of every training row beside its set. They tell whether a held-out row, equal in every number, was
among them, and nothing else; leave `rows.safetensors` out of what you share if even that is too much.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from datastill._errors import InputError
from datastill.data import named
from datastill.data.archive import DAMAGED, read_object, read_tensors, tree_digest, write_tensors
from datastill.data.dataset import PARTS, Dataset, Rows, SupportSet, digest
from datastill.data.sources import load
from datastill.data.task import with_test
from datastill.evaluate.protocol import Examples, HeldOut, examples_of
from datastill.preprocess import encoder as encoders
from datastill.preprocess import labels as label_maps

ROWS = "rows.safetensors"


@dataclass(frozen=True, eq=False)
class Artefact:
    """A support set with the maps that make numbers of rows and labels.

    Attributes:
        folder: where it is.
        support: the set.
        space: where rows become numbers.
        labels: where labels become vectors.
        data: the training rows with the run's own test rows; None where they were not found.
        digests: (n,) sorted digests of the training rows; None where the folder has none.
    """

    folder: Path
    support: SupportSet
    space: encoders.FeatureEncoder
    labels: label_maps.Labels
    data: Dataset | None
    digests: np.ndarray | None

    @property
    def regression(self) -> bool:
        """Return whether it predicts real targets."""
        return not isinstance(self.labels, label_maps.ClassLabels)

    def examples(self) -> Examples:
        """The set as numbers."""
        return examples_of(self.support, self.space, self.labels)

    def every(self) -> Examples | None:
        """All training rows as numbers, where they were found."""
        if self.data is None:
            return None
        return Examples(self.space.encode_features(self.data.x), self.labels.encode(self.data.y))

    @cached_property
    def comparison_encoder(self) -> encoders.FeatureEncoder:
        """Return the space in which rows are compared: standardised by the training rows where they were found."""
        return self.space if self.data is None else encoders.fit_encoder(self.data.x)

    def check_kind(self, x: Rows) -> None:
        """Raise an InputError for rows of another kind or shape than the set's."""
        table = self.space.table is not None
        if table != (not isinstance(x, np.ndarray)):
            kinds = ("a table", "arrays") if table else ("arrays", "a table")
            raise InputError(f"Got held-out rows that are {kinds[1]}; expected {kinds[0]}, as the set was made from.")
        if not table and x.shape[1:] != self.support.x.shape[1:]:
            raise InputError(
                f"Got held-out rows of shape {x.shape[1:]}; expected {self.support.x.shape[1:]}, as in the set."
            )

    def held_out(self, x: Rows, y: np.ndarray) -> HeldOut:
        """Rows and labels as numbers.

        Raises:
            InputError: for rows of another kind or shape, or labels that the training data does not have.
        """
        self.check_kind(x)
        if isinstance(self.labels, label_maps.ClassLabels):
            return HeldOut(self.space.encode_features(x), self.labels.codes(y))
        return HeldOut(self.space.encode_features(x), self.labels.encode(y), True)


def open_artefact(folder: Path, train: Dataset | None = None) -> Artefact:
    """A saved set, with its training rows if they are given or are a built-in set on this machine.

    Args:
        folder: of a run, of a set in a comparison, or `SupportSet.save`.
        train: the data that it was made from.

    Raises:
        InputError: if the folder holds no set, or one without its preprocessing, or the data are not those that it
            was made from.
    """
    support = load_support(folder)
    saved = support.preprocessing
    if not {"space", "labels"} <= set(saved):
        raise InputError(f"Got {folder}, whose set has no preprocessing; expected one that an estimator made.")
    data = split_as(support, folder, _built_in(support) if train is None else train)
    if train is not None and data is None:
        raise InputError(
            f"Got training data whose digest is not that of the rows {folder} was made from; expected the same rows "
            "in the same order; try the path or name given to `datastill distill`."
        )
    digests = read_tensors(folder / ROWS)[0].get("digests") if (folder / ROWS).exists() else None
    if digests is not None and (digests.ndim != 1 or digests.dtype != np.uint64):
        raise InputError(f"Got {folder / ROWS}, which holds no digests of rows; expected them; try leaving it out.")
    try:
        space, labels = encoders.from_state(saved["space"]), label_maps.from_state(saved["labels"])
        artefact = Artefact(folder, support, space, labels, data, digests)
        if space.dtype.kind not in "biuf" or not np.isfinite(artefact.examples().x).all():
            raise ValueError("examples that are no numbers")
    except DAMAGED as error:
        raise InputError(
            f"Got {folder}, whose set does not fit its preprocessing ({error}); expected those of one run; try making "
            "it again."
        ) from error
    return artefact


def load_support(folder: Path) -> SupportSet:
    """The set in a folder; an InputError where there is none."""
    if not (folder / "manifest.json").exists():
        raise InputError(f"Got {folder}, which holds no support set; expected manifest.json; try `datastill distill`.")
    support = SupportSet.load(folder)
    kinds = {"dataset": str, "method": str, "target": str, "n_train": int, "digest": dict, "digests": dict}
    wrong = [k for k, kind in kinds.items() if not isinstance(support.provenance.get(k, kind()), kind)]
    if wrong:
        raise InputError(
            f"Got {folder}, whose manifest has a strange {wrong[0]}; expected what a run writes; try making it again."
        )
    return support


def set_digest(support: SupportSet) -> str:
    """Return a digest of everything in a set that a learner sees."""
    return tree_digest({name: getattr(support, name) for name in PARTS if name != "indices"})


def row_digests(z: np.ndarray) -> np.ndarray:
    """(n,) the first 64 bits of each row's BLAKE2b; equal for rows whose numbers are equal to three decimals."""
    flat = np.ascontiguousarray(z.reshape(len(z), -1), np.float32).round(3) + np.float32(0)  # no negative zeros
    found = [int.from_bytes(hashlib.blake2b(row.tobytes(), digest_size=8).digest(), "little") for row in flat]
    return np.array(found, np.uint64)


def write_row_digests(folder: Path, z: np.ndarray) -> np.ndarray:
    """Keep the digests of training rows, sorted, beside their set, and return them."""
    digests = np.sort(row_digests(z))
    write_tensors(folder / ROWS, {"digests": digests})
    return digests


def _built_in(support: SupportSet) -> Dataset | None:
    name = support.provenance.get("dataset", "")
    known = named.find(name) is not None and any(r.name == name and r.on_this_machine for r in named.available())
    return load(name) if known else None


def split_as(support: SupportSet, folder: Path, data: Dataset | None) -> Dataset | None:
    """The data split as the set's run split it, if the rows are those that it was made from; else None."""
    if data is None:
        return None
    seed = read_object(folder / "run.json").get("seed", 0) if (folder / "run.json").exists() else 0
    if not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise InputError(f"Got the seed {seed!r} in {folder / 'run.json'}; expected a whole number; try --train.")
    task = "classification" if support.classes is not None else "regression"
    split = with_test(data, seed, task)
    known = [support.provenance.get(name) or {} for name in ("digest", "digests")]
    for candidate in (split, data):
        own = {"x": digest(candidate.x), "y": digest(candidate.y)}
        if any(all(k.get(part) == own[part] for part in own) for k in known):
            return candidate
    return None
