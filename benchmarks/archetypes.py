"""What is the archetypal image of a class? Mean, medoid, archetypes and learned images of each MNIST digit.

    python benchmarks/archetypes.py --data FOLDER

Draws docs/archetypes.png, and records what kernel ridge regression with solved labels, and what three learners with the
plain labels, reach on the test images from one of each.
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from datastill import KIP, Coreset, LabelSolve, Universal
from datastill.data.archive import write_json
from datastill.learners import named_learner

HERE = Path(__file__).parent
EXTREMES = 3
SEEDS = 3
LEARNERS = ("logistic", "knn", "forest")


def taught(images: np.ndarray, x_test: np.ndarray, y_test: np.ndarray) -> float:
    """The mean accuracy of learners trained on one image of each digit."""
    flat, tests = images.reshape(10, -1), x_test.reshape(len(x_test), -1)
    return float(np.mean([named_learner(name).fit(flat, np.arange(10)).score(tests, y_test) for name in LEARNERS]))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    arguments = parser.parse_args()
    with np.load(arguments.data / "mnist.npz") as data:
        x, y, x_test, y_test = (data[name] for name in ("x_train", "y_train", "x_test", "y_test"))
    made = {
        "mean": Coreset(1, method="kmeans", random_state=0).fit(x, y),
        "medoid": Coreset(1, method="kmedoids", random_state=0).fit(x, y),
        "archetypes": Coreset(EXTREMES, method="archetypes", random_state=0).fit(x, y),
        "distilled": KIP(1, random_state=0).fit(x, y),
        "universal": Universal(1, random_state=0).fit(x, y),
    }
    # One archetype of a class: that which accounts for most rows.
    weights = made["archetypes"].weights_.reshape(10, EXTREMES)
    leading = made["archetypes"].X_support_.reshape(10, EXTREMES, *x.shape[1:])[np.arange(10), weights.argmax(axis=1)]
    sets = {
        "class means": made["mean"].X_support_,
        "medoids": made["medoid"].X_support_,
        "archetypes (of three, the one that accounts for most)": leading,
        "learned for one kernel (KIP)": made["distilled"].X_support_,
        "learned for many learners (Universal)": made["universal"].X_support_,
    }
    rows = {}
    for name, images in sets.items():
        own = LabelSolve(init=(images, np.arange(10)), random_state=0).fit(x, y)
        rows[name] = {"labels solved": own.score(x_test, y_test), "plain labels": taught(images, x_test, y_test)}
    draws = [Coreset(1, method="random", random_state=s).fit(x, y) for s in range(SEEDS)]
    solved = [LabelSolve(init=(d.X_support_, d.y_support_), random_state=0).fit(x, y) for d in draws]
    rows[f"random rows, mean of {SEEDS}"] = {
        "labels solved": float(np.mean([s.score(x_test, y_test) for s in solved])),
        "plain labels": float(np.mean([taught(d.X_support_, x_test, y_test) for d in draws])),
    }
    print(rows)
    write_json(
        HERE / "results" / "archetypes.json", {"data": "mnist", "kernel": "fc1", "learners": LEARNERS, "accuracy": rows}
    )

    extremes = made["archetypes"].X_support_.reshape(10, EXTREMES, *x.shape[1:])
    lines = [("mean", sets["class means"]), ("medoid", sets["medoids"])]
    lines += [(f"archetype {i + 1}", extremes[:, i]) for i in range(EXTREMES)]
    lines += [("KIP", made["distilled"].X_support_), ("Universal", made["universal"].X_support_)]
    figure = Figure(figsize=(8, 0.8 * len(lines)), layout="constrained")
    panels = figure.subplots(len(lines), 10)
    for panel_row, (name, images) in zip(panels, lines, strict=True):
        for axes, image in zip(panel_row, images, strict=True):
            axes.imshow(image, cmap="gray_r", interpolation="nearest")
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
        panel_row[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
    figure.savefig(HERE.parent / "docs" / "archetypes.png", dpi=110)


if __name__ == "__main__":
    main()
