"""A finished run as a `Summary`: only what is to be shown, typed and worded; nothing is measured here."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from datastill.data.archive import finite
from datastill.data.dataset import Rows, SupportSet
from datastill.evaluate.scores import Score, Verdict, by_role, counted, headline, verdict
from datastill.report.run.gallery import Gallery, build_gallery
from datastill.report.text import setting_text


@dataclass(frozen=True)
class Progress:
    """One recorded step of the optimisation; `validation` is None where it was not measured."""

    step: int
    loss: float
    validation: float | None = None


@dataclass(frozen=True, eq=False)
class Summary:
    """Everything a report shows.

    Attributes:
        title: the dataset and the method.
        headline: one sentence: what the set gives, against all rows and random rows.
        verdict: whether it beats random rows, by the rule of `scores.verdict`.
        dataset: name of the dataset.
        method: name of the method.
        learner: the algorithm the scores hold for; empty when unknown.
        n_train: rows of the original data.
        n_test: held-out rows the scores were measured on.
        n_support: rows of the support set.
        confidence: level of all intervals.
        metric: name of the scores' metric.
        scores: rows of the comparison table.
        history: the learning curve.
        gallery: the examples by class and saved step.
        settings: name to text, in the order they are shown.
        warnings: sentences the reader must see.
        files: names of the files in the run's folder.
        usage: Python code that loads the set.
    """

    title: str
    headline: str
    verdict: Verdict
    dataset: str
    method: str
    learner: str
    n_train: int
    n_test: int
    n_support: int
    confidence: float
    metric: str
    scores: tuple[Score, ...]
    history: tuple[Progress, ...]
    gallery: Gallery
    settings: dict[str, str]
    warnings: tuple[str, ...]
    files: tuple[str, ...]
    usage: str

    def as_dict(self) -> dict[str, Any]:
        """The summary in JSON types; NaN becomes None, and of the gallery only the outline is kept."""
        plain = ("title", "headline", "dataset", "method", "learner", "n_train", "n_test", "n_support")
        outline = {
            "kind": self.gallery.kind,
            "states": list(self.gallery.states),
            "classes": [{"name": p.name, "total": p.total, "shown": p.shown} for p in self.gallery.panels],
            "notes": list(self.gallery.notes),
        }
        return {
            **{name: getattr(self, name) for name in plain},
            "verdict": asdict(self.verdict),
            "confidence": self.confidence,
            "metric": self.metric,
            "scores": [finite(asdict(score)) for score in self.scores],
            "history": [finite(asdict(progress)) for progress in self.history],
            "gallery": outline,
            "settings": dict(self.settings),
            "warnings": list(self.warnings),
            "files": list(self.files),
            "usage": self.usage,
        }

    def to_json(self) -> str:
        """`as_dict` as strict JSON text in ASCII, so that it can be written anywhere."""
        return json.dumps(self.as_dict(), indent=2, allow_nan=False)


def summarise(
    support: SupportSet,
    *,
    dataset: str,
    method: str,
    n_train: int,
    n_test: int = 0,
    scores: Sequence[Score] = (),
    under: Mapping[str, str] | None = None,
    learner: str = "",
    history: Sequence[tuple[int, float, float | None]] = (),
    snapshots: Sequence[tuple[int, Rows]] = (),
    class_means: Rows | None = None,
    nearest: Rows | None = None,
    class_names: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    value_range: tuple[float, float] | None = None,
    settings: Mapping[str, object] | None = None,
    warnings: Sequence[str] = (),
    files: Sequence[str] = (),
    folder: str = ".",
    confidence: float = 0.95,
) -> Summary:
    """Gather a finished run into what its report shows.

    Args:
        support: the finished set.
        dataset: name of the dataset.
        method: name of the method, such as "KIP".
        n_train: rows of the original data.
        n_test: held-out rows the scores were measured on; 0 when there were none.
        scores: rows of the comparison, in the order they are shown; `Score.role` marks what headline and verdict tell.
        under: learner -> verdict on the set against random rows, of `verdicts.verdicts_of`, the set's own kernel first.
        learner: the algorithm the scores hold for, in words.
        history: (step, loss, validation score or None), in step order.
        snapshots: (step, rows) with the rows in the order of `support.x`; the finished set is added when the
            last snapshot differs from it.
        class_means: one row for each class, in the order of `support.classes`; one row for regression. A
            table holds the most frequent category where a column has categories.
        nearest: likewise, the real row of each class that is nearest to its examples.
        class_names: what to call the classes; the labels themselves by default.
        columns: column names for (n, d) arrays.
        value_range: values drawn black and white in images; by default 0 to 255 for bytes, else what the
            finished examples and the references span.
        settings: name to value, shown in this order.
        warnings: sentences the reader must see.
        files: names of the files in the run's folder.
        folder: the run's folder, as the usage example should give it.
        confidence: level of the scores' intervals.

    Raises:
        InputError: when snapshots, references or names do not match the support set in number.
    """
    gallery = build_gallery(
        support, snapshots, class_means, nearest, class_names, columns=columns, value_range=value_range
    )
    result = by_role(scores, "result")
    what = f"{counted(len(support), f'{gallery.noun} example')}{_per_class_text(support)}"
    metric = scores[0].metric if scores else ("accuracy" if support.classes is not None else "R²")
    return Summary(
        title=f"{dataset} · {method}",
        headline=headline(what, scores, n_train, confidence),
        verdict=verdict(scores, under or {}, n_test),
        dataset=dataset,
        method=method,
        learner=learner,
        n_train=n_train,
        n_test=n_test,
        n_support=len(support),
        confidence=confidence,
        metric=metric if result is None else result.metric,
        scores=tuple(scores),
        history=tuple(Progress(int(step), float(loss), score) for step, loss, score in history),
        gallery=gallery,
        settings={str(name): setting_text(value) for name, value in (settings or {}).items()},
        warnings=tuple(warnings),
        files=tuple(files),
        usage=_usage(support, folder),
    )


def _per_class_text(support: SupportSet) -> str:
    """` (1 per class)`, ` (1 to 3 per class)`; empty for regression."""
    if support.classes is None:
        return ""
    counts = [int(np.sum(np.asarray(support.y) == label)) for label in support.classes]
    low, high = min(counts, default=0), max(counts, default=0)
    return f" ({low} per class)" if low == high else f" ({low} to {high} per class)"


def _usage(support: SupportSet, folder: str) -> str:
    labels = "labels" if support.classes is not None else "target values"
    lines = [
        "from datastill import SupportSet",
        "",
        f"support = SupportSet.load({json.dumps(folder, ensure_ascii=False)})",
        f"support.x, support.y   # the {counted(len(support), 'example')} and their {labels}",
    ]
    if support.soft_labels is not None:
        lines.append("support.soft_labels    # what kernel ridge regression is trained on")
    return "\n".join(lines)
