"""Old names of modules and of what is in them: for one release they work, with a deprecation warning."""

import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from types import ModuleType
from typing import Any

MOVED = {
    "artefact": "workflows.saved_set",
    "audit": "workflows.certify",
    "budget": "workflows.find_budget",
    "certificates": "workflows.certificate_files",
    "distill.body": "distill.finite_convnet",
    "distill.fit": "distill.kernel_objective",
    "distill.fit_moments": "distill.moments_objective",
    "distill.quasi_newton": "distill.lbfgs",
    "evaluate.bounds": "certify.bounds",
    "evaluate.copies": "certify.copies",
    "evaluate.overlap": "certify.overlap",
    "evaluate.standings": "evaluate.leaderboard",
    "passes": "workflows.moments",
    "plan": "workflows.plan",
    "preprocess.space": "preprocess.encoder",
    "runs": "workflows.distill",
    "tournament": "workflows.compare",
}
"""Names below `datastill.`, old -> new."""


def renamed(module: str, names: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the `__getattr__` of a module whose members were renamed, old -> new (PEP 562)."""

    def get(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        said = f"{module}.{name} is now {names[name]}; the old name will be removed in the next release."
        warnings.warn(said, DeprecationWarning, 2)
        return getattr(sys.modules[module], names[name])

    return get


class _Alias(Loader):
    """Give the module of the new name in place of one of its own."""

    def __init__(self, new: str) -> None:
        self.new = new

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Import the module of the new name."""
        module = import_module(self.new)
        self.spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Run nothing: the module has run under its own name, whose specification it gets back."""
        module.__spec__ = self.spec


class Finder(MetaPathFinder):
    """Find modules by their old names."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return how to import an old name; None for any other name."""
        package, _, name = fullname.partition(".")
        if package != "datastill" or name not in MOVED:
            return None
        new = f"{package}.{MOVED[name]}"
        warnings.warn(
            f"{fullname} is now {new}; the old name will be removed in the next release.", DeprecationWarning, 2
        )
        return spec_from_loader(fullname, _Alias(new))


def install() -> None:
    """Let old names be imported, once."""
    if not any(isinstance(finder, Finder) for finder in sys.meta_path):
        sys.meta_path.append(Finder())
