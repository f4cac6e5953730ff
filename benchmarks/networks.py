"""Random, herded and k-center rows of CIFAR-10, one for each class, under ConvNet-3, beside published figures.

    python benchmarks/networks.py --data FOLDER [--learners net:dc,net:dsa] [--seeds 5] [--feature-steps 400]

As published, herding and k-center look at the features of a network trained on all training images; here it is trained
for fewer steps, and its test accuracy is recorded. Each set is judged by networks from `seeds` seeds; random rows are
drawn anew for each. What is in the result file already is not computed again.
"""

import argparse
import json
import time
from pathlib import Path

import jax
import numpy as np
from flax import nnx
from timing import machine

from datastill import Coreset
from datastill.data.archive import make_folder, write_json
from datastill.data.sources import load
from datastill.learners import named_learner
from datastill.learners.networks import network
from datastill.learners.neural import Network
from datastill.preprocess.encoder import fit_encoder
from datastill.preprocess.labels import ClassLabels

RESULT = Path(__file__).parent / "results" / "networks.json"
PUBLISHED = {
    "random": [14.4, 2.0, "NCFM table 1, as in DC"],
    "herding": [21.5, 1.2, "NCFM table 1, as in DC"],
    "kcenter": [23.3, 0.9, "AP"],
}
BATCH = 500


def features(net: Network, x: np.ndarray) -> np.ndarray:
    """What the last layer sees."""
    model = network(net.how_.architecture, x.shape[1:], 10, 0)
    nnx.update(model, net.weights_.now)
    model.head = lambda z: z
    graph, state = nnx.split(model)
    forward = jax.jit(lambda part: nnx.merge(graph, state)(part))
    return np.concatenate([np.asarray(forward(x[i : i + BATCH])) for i in range(0, len(x), BATCH)])


def nearest_to_mean(x: np.ndarray, rows: np.ndarray) -> int:
    """The row nearest to the mean of rows: where k-center starts, which with one example is all of it."""
    own = x[rows].reshape(len(rows), -1)
    return int(rows[np.argmin(((own - own.mean(axis=0)) ** 2).sum(axis=1))])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--learners", default="net:dc,net:dsa")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--feature-steps", type=int, default=400)
    arguments = parser.parse_args()
    make_folder(RESULT.parent)
    found = json.loads(RESULT.read_text()) if RESULT.exists() else {"rows": []}
    data = load(arguments.data / "cifar10.npz")
    space, labels = fit_encoder(data.x), ClassLabels.fit(data.y)
    x, x_test, vectors = space.encode(data.x), space.encode(data.x_test), labels.encode(data.y)
    codes, codes_test = labels.codes(data.y), labels.codes(data.y_test)
    found |= {"machine": machine(), "published": PUBLISHED}
    if "chosen" not in found:
        started = time.perf_counter()
        net = Network("dc", seed=0, steps=arguments.feature_steps).fit(x, vectors)
        score = float(np.mean(net.predict(x_test) == codes_test))
        seen = features(net, x)
        found["features"] = {
            "steps": arguments.feature_steps,
            "test_accuracy": score,
            "seconds": time.perf_counter() - started,
        }
        chosen: dict[str, list[int]] = {}
        coreset = Coreset(1, method="herding", kernel="linear", preprocess="none", random_state=0).fit(seen, codes)
        chosen["herding"] = coreset.sample_indices_.tolist()
        chosen["kcenter"] = [nearest_to_mean(seen, np.flatnonzero(codes == c)) for c in range(10)]
        found["chosen"] = chosen
        write_json(RESULT, found)
    done = {(row["method"], row["learner"], row["seed"]) for row in found["rows"]}
    for learner in arguments.learners.split(","):
        for seed in range(arguments.seeds):
            for method in PUBLISHED:
                if (method, learner, seed) in done:
                    continue
                if method == "random":
                    draw = np.random.default_rng(seed)
                    rows = np.array([draw.choice(np.flatnonzero(codes == c)) for c in range(10)])
                else:
                    rows = np.array(found["chosen"][method])
                started = time.perf_counter()
                net = named_learner(learner, seed=seed).fit(x[rows], vectors[rows])
                trained = time.perf_counter() - started
                score = float(np.mean(net.predict(x_test) == codes_test))
                row = {"method": method, "learner": learner, "seed": seed, "accuracy": score}
                row |= {"train_seconds": round(trained, 1), "seconds": round(time.perf_counter() - started, 1)}
                found["rows"].append(row)
                write_json(RESULT, found)
                print(row, flush=True)


if __name__ == "__main__":
    main()
