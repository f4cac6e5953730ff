"""The source of moments: only those of the same features of the same kind of rows may be added."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from datastill._errors import InputError
from datastill.data import archive
from datastill.features.base import FeatureMap
from datastill.features.states import from_state, state
from datastill.preprocess import labels as label_maps
from datastill.preprocess.labels import ClassLabels, Labels


@dataclass(frozen=True, eq=False)
class Source:
    """The rows and features that the sums run over.

    Attributes:
        map: φ, resolved.
        row: the shape of a row as φ sees it.
        labels: the classes in their order, or how real targets were standardised.
        preprocessing: between the user's rows and those φ sees, as plain values and arrays.
    """

    map: FeatureMap
    row: tuple[int, ...]
    labels: Labels
    preprocessing: dict[str, Any] = field(default_factory=dict)

    @property
    def outputs(self) -> int:
        """Classes, or columns of targets."""
        return len(self.labels.classes if isinstance(self.labels, ClassLabels) else self.labels.mean)

    @property
    def task(self) -> str:
        """Return the task: "classification" or "regression"."""
        return "classification" if isinstance(self.labels, ClassLabels) else "regression"

    @cached_property
    def digests(self) -> dict[str, str]:
        """A SHA-256 for each part that moments must have in common."""
        parts = {
            "feature map": state(self.map),
            "rows": list(self.row),
            "preprocessing": self.preprocessing,
            "labels": label_maps.state(self.labels),
        }
        return {name: archive.tree_digest(tree) for name, tree in parts.items()}

    def require_same(self, other: "Source") -> None:
        """InputError, naming both, unless moments of the other may be added to moments of this."""
        mine, theirs = self._words(other), other._words(self)
        for part, value in self.digests.items():
            if value != other.digests[part]:
                raise InputError(
                    f"Got moments with {part} {mine[part]} and with {part} {theirs[part]}; expected the same {part}; "
                    "try making one of them again as the other was made."
                )

    def _words(self, other: "Source") -> dict[str, str]:
        """Each part, shown as what tells it from the other's."""
        if isinstance(self.labels, ClassLabels):
            shown = ", ".join(map(str, self.labels.classes[:10].tolist()))
            labels = f"[{shown}{', …' if len(self.labels.classes) > 10 else ''}]"
        else:
            labels = f"standardised by mean {self.labels.mean.tolist()} and scale {self.labels.scale.tolist()}"
        return {
            "feature map": repr(self.map),
            "rows": f"of shape {self.row}",
            "preprocessing": _first_difference(self.preprocessing, other.preprocessing),
            "labels": labels,
        }


def _first_difference(mine: dict[str, Any], theirs: dict[str, Any]) -> str:
    """Return our value of the first setting that differs."""
    for name in sorted(mine.keys() | theirs.keys()):
        digest = archive.tree_digest(mine.get(name))
        if digest != archive.tree_digest(theirs.get(name)):
            value = mine.get(name)
            shown = f"{np.ravel(value)[:3]} …" if isinstance(value, np.ndarray) else repr(value)[:60]
            return f"whose {name} is {'none' if value is None else shown} ({digest[:8]})"
    return "of the same values"


def source_state(source: Source) -> dict[str, Any]:
    """Return the state from which the source is rebuilt, as JSON types and arrays."""
    return {
        "map": state(source.map),
        "row": list(source.row),
        "labels": label_maps.state(source.labels),
        "preprocessing": source.preprocessing,
    }


def source_from_state(saved: dict[str, Any]) -> Source:
    """The inverse of `source_state`."""
    labels = label_maps.from_state(saved["labels"])
    return Source(from_state(saved["map"]), tuple(saved["row"]), labels, saved["preprocessing"])
