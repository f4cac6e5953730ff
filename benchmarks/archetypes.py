"""What is the archetypal image of a class? Mean, medoid, archetypes and distilled image of each MNIST digit.

    python benchmarks/archetypes.py --data FOLDER

Draws docs/archetypes.png, and records what kernel ridge regression reaches on the test images from one of each.
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from datastill import KIP, Coreset, LabelSolve
from datastill.data.archive import write_json

HERE = Path(__file__).parent
EXTREMES = 3
SEEDS = 3


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
    }
    # One archetype of a class: that which accounts for most rows.
    weights = made["archetypes"].weights_.reshape(10, EXTREMES)
    leading = made["archetypes"].X_support_.reshape(10, EXTREMES, *x.shape[1:])[np.arange(10), weights.argmax(axis=1)]
    sets = {
        "class means": made["mean"].X_support_,
        "medoids": made["medoid"].X_support_,
        "archetypes (of three, the one that accounts for most)": leading,
        "distilled (KIP)": made["distilled"].X_support_,
    }
    rows = {}
    for name, images in sets.items():
        own = LabelSolve(init=(images, np.arange(10)), random_state=0).fit(x, y)
        rows[name] = {"labels solved": own.score(x_test, y_test)}
    draws = [Coreset(1, method="random", random_state=s).fit(x, y) for s in range(SEEDS)]
    solved = [LabelSolve(init=(d.X_support_, d.y_support_), random_state=0).fit(x, y) for d in draws]
    rows[f"random rows, mean of {SEEDS}"] = {"labels solved": float(np.mean([s.score(x_test, y_test) for s in solved]))}
    print(rows)
    write_json(HERE / "results" / "archetypes.json", {"data": "mnist", "kernel": "fc1", "accuracy": rows})

    extremes = made["archetypes"].X_support_.reshape(10, EXTREMES, *x.shape[1:])
    lines = [("mean", sets["class means"]), ("medoid", sets["medoids"])]
    lines += [(f"archetype {i + 1}", extremes[:, i]) for i in range(EXTREMES)]
    lines += [("distilled", sets["distilled (KIP)"])]
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
