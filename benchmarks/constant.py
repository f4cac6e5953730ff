"""The score of the constant prediction on every data set of judge.py and six_tables.py: what a set must beat.

    python benchmarks/constant.py --data FOLDER

FOLDER holds tabular/, text/, mnist/ and fashion_mnist/. Accuracy of the commonest class of the training rows, or R² of
their mean target, on test rows as there (of several seeds, on those of the first). Nothing is trained.
"""

import argparse
from pathlib import Path

import numpy as np
from judge import READERS
from six_tables import TABLES

from datastill.data.archive import write_json
from datastill.data.task import guess_task, with_test
from datastill.evaluate.constant import constant_of
from datastill.evaluate.intervals import r2
from datastill.preprocess.labels import ClassLabels

RESULTS = Path(__file__).parent / "results" / "constant.json"


def main() -> None:
    """Write all scores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    scores = {}
    for name, read in ({name: read for name, (_, read) in TABLES.items()} | READERS).items():
        data = read(parser.parse_args().data)
        task, _ = guess_task(data.y)
        data = with_test(data, 0, task)
        y_test = np.asarray(data.y_test)
        if task == "regression":
            scores[name] = r2(y_test, np.full(len(y_test), constant_of(np.asarray(data.y)[:, None], True)[0]))
        else:
            labels = ClassLabels.fit(data.y)
            answer = labels.classes[int(constant_of(labels.encode(data.y), False))]
            scores[name] = float(np.mean(y_test == answer))
    write_json(RESULTS, {"scores": scores})


if __name__ == "__main__":
    main()
