"""Every method beside random rows and all rows, for eight learners, on six data sets: the grid of docs/judge.md.

    python benchmarks/judge.py --data FOLDER [--only NAME] [--work FOLDER] [--seeds 5] [--jobs 2]

FOLDER holds mnist/ and fashion_mnist/ (IDX), tabular/ and text/20news-bydate.tar.xz. Newsgroups are TF-IDF of the
bodies (headers left out), then 100 components of a truncated SVD, both fitted on the training part. What is kept in the
work folder is not computed again; a result made in several calls says so, its seconds being those of all calls.
"""

import argparse
import json
import resource
import tarfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from timing import machine

from datastill.data.archive import make_folder, write_json
from datastill.data.dataset import Dataset
from datastill.data.sources import load
from datastill.data.task import guess_task, with_test
from datastill.workflows.compare import ComparisonSettings, compare

RESULTS = Path(__file__).parent / "results" / "judge"
METHODS = ("kmeans", "herding", "kcenter", "facility-location", "leverage", "label-solve", "kip")
LEARNERS = ("krr", "logistic", "linear-svm", "rbf-svm", "knn", "forest", "boosting", "mlp")
STEPS = 300
ADULT = (
    *("age", "workclass", "fnlwgt", "education", "education_num", "marital", "occupation", "relationship", "race"),
    *("sex", "gain", "loss", "hours", "country", "class"),
)
KEPT = ("set", "learner", "labels", "n", "mean", "deviation", "low", "high", "relative_to_full", "rival")


def newsgroups(folder: Path) -> Dataset:
    parts: dict[str, tuple[list[str], list[str]]] = {"train": ([], []), "test": ([], [])}
    with tarfile.open(folder / "text" / "20news-bydate.tar.xz") as archive:
        for member in archive:
            if not member.isfile():
                continue
            *_, part, group, _ = member.name.split("/")
            texts, labels = parts["test" if part.endswith("test") else "train"]
            file = archive.extractfile(member)
            assert file is not None
            texts.append(file.read().decode("latin1").partition("\n\n")[2])
            labels.append(group)
    words = TfidfVectorizer(sublinear_tf=True, min_df=3, stop_words="english", max_features=50_000)
    few = TruncatedSVD(100, random_state=0)
    x = few.fit_transform(words.fit_transform(parts["train"][0])).astype(np.float32)
    x_test = few.transform(words.transform(parts["test"][0])).astype(np.float32)
    return Dataset("newsgroups", x, np.array(parts["train"][1]), x_test, np.array(parts["test"][1]))


def table(folder: Path, name: str, sep: str, target: str) -> Dataset:
    frame = pd.read_csv(folder / "tabular" / name, sep=sep)
    return Dataset(name.partition(".")[0], frame.drop(columns=target), frame[target].to_numpy())


def adult(folder: Path) -> Dataset:
    reading = {"names": ADULT, "skipinitialspace": True, "na_values": "?"}
    train = pd.read_csv(folder / "tabular" / "adult.data.gz", **reading).dropna(subset=["class"])
    test = pd.read_csv(folder / "tabular" / "adult.test.gz", skiprows=1, **reading).dropna(subset=["class"])
    y, y_test = (part.pop("class").str.rstrip(".").to_numpy(object).astype(str) for part in (train, test))
    return Dataset("adult", train, y, test, y_test)


READERS: dict[str, Callable[[Path], Dataset]] = {
    "letter": lambda folder: table(folder, "letter.tsv.gz", "\t", "target"),
    "diamonds": lambda folder: table(folder, "diamonds.csv.gz", ",", "price"),
    "newsgroups": newsgroups,
    "adult": adult,
    "fashion_mnist": lambda folder: load(folder / "fashion_mnist"),
    "mnist": lambda folder: load(folder / "mnist"),
}


def read(name: str, folder: Path) -> tuple[Dataset, str]:
    """A data set with test rows, and its task."""
    data = replace(READERS[name](folder), name=name)
    task, _ = guess_task(data.y)
    return with_test(data, 0, task), task


def _spent(folder: Path, path: Path) -> float:
    """Seconds of earlier calls: as recorded, or from the first to the last file of one that recorded nothing."""
    if path.exists():
        return float(json.loads(path.read_text())["seconds"])
    times = [file.stat().st_mtime for file in folder.rglob("*") if file.is_file()]
    return max(times) - min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only")
    parser.add_argument("--work", type=Path, default=Path("runs/judge"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    make_folder(RESULTS)
    for name in [arguments.only] if arguments.only else READERS:
        data, task = read(name, arguments.data)
        budgets = (20, 200) if task == "regression" else (1, 10)
        entrants = ComparisonSettings(METHODS, budgets, LEARNERS, arguments.seeds, steps=STEPS)
        folder = arguments.work / name
        resumed = (folder / "rows").exists()
        path = RESULTS / f"{name}.json"
        before = _spent(folder, path) if resumed else 0.0
        started = time.perf_counter()
        outcome = compare(data, task, entrants, folder, arguments.jobs)
        seconds = time.perf_counter() - started
        found = outcome.standings
        failed = outcome.judged.table[outcome.judged.table["error"] != ""]
        times = outcome.judged.table.groupby(["set", "learner"], sort=False)["seconds"].median()
        result = {
            "data": name,
            "task": task,
            "rows": len(data.x),
            "test_rows": len(data.y_test),
            "seeds": arguments.seeds,
            "kip_steps": STEPS,
            "krr": "reg chosen by cross-validation",
            "seconds": round(before + seconds, 1),
            "in_several_calls": resumed,
            "jobs": arguments.jobs,
            "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
            "machine": machine(),
            "standings": found[[*KEPT, "difference", "p", "verdict"]].to_dict(orient="records"),
            "failures": failed[["set", "learner", "error"]].drop_duplicates().to_dict(orient="records"),
            "learning_seconds": times.round(3).reset_index().to_dict(orient="records"),
        }
        write_json(path, result)
        print(name, f"{seconds:.0f} s", found["verdict"].value_counts().to_dict(), flush=True)


if __name__ == "__main__":
    main()
