"""What every test stands on: four virtual devices, annotations that are checked, and seeded randomness."""

import os
from pathlib import Path

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=4".strip()
# Compiling is most of what the tests would do; what is compiled once is kept, between runs too. Processes beside each
# other have a folder each, as what one is writing another would read in half.
os.environ["JAX_COMPILATION_CACHE_DIR"] = str(
    Path(__file__).resolve().parents[1] / ".pytest_cache" / f"jax-{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}"
)
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"

import hypothesis
import jax
import jaxtyping
import numpy as np
import pytest

# Importing one of these checks the annotations of its every call from here on, array shapes among them. The borders
# (readers of files, estimators, the command line) are not among them: their tests give wrong types on purpose.
CHECKED = (
    *(
        "kernels",
        "features",
        "gram",
        "moments",
        "krr",
        "tuning",
        "distill",
        "preprocess",
        "select",
        "evaluate",
        "report",
        "runs",
        "plan",
    ),
    *("data.archive", "data.dataset", "data.sampling", "progress", "_validate"),
)
jaxtyping.install_import_hook([f"datastill.{name}" for name in CHECKED], "checked.annotations")

hypothesis.settings.register_profile("local", deadline=None, max_examples=25)
hypothesis.settings.register_profile("ci", deadline=None, max_examples=25, derandomize=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "local")


@pytest.fixture(scope="module", autouse=True)
def forget_programs():
    """Every compiled program holds pieces of mapped memory; a process that keeps all of them runs out of pieces."""
    yield
    jax.clear_caches()


@pytest.fixture(autouse=True)
def small_panel(monkeypatch):
    """The learners that judge every run by default cost more than most of what is tested here; one of them will do."""
    monkeypatch.setattr("datastill.workflows.distill.PANEL", ("knn",))
    monkeypatch.setattr("datastill.estimators.universal.EVERYBODY", ("knn",))


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def shared():
    """The folder of data and frozen vectors that lies beside the checkout, or in $DATASTILL_DATA."""
    beside = Path(__file__).resolve().parents[1].parent / "shared"
    places = [Path(os.environ["DATASTILL_DATA"])] if os.environ.get("DATASTILL_DATA") else []
    for place in [*places, beside]:
        if place.is_dir():
            return place
    pytest.skip(f"no data at {beside} or in $DATASTILL_DATA")
