"""Old names of modules: they import the module of the new name, with a deprecation warning, for one release."""

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from types import ModuleType

MOVED = {
    "artefact": "workflows.saved_set",
    "audit": "workflows.certify",
    "budget": "workflows.find_budget",
    "certificates": "workflows.certificate_files",
    "evaluate.bounds": "certify.bounds",
    "evaluate.copies": "certify.copies",
    "evaluate.overlap": "certify.overlap",
    "passes": "workflows.moments",
    "plan": "workflows.plan",
    "runs": "workflows.distill",
    "tournament": "workflows.compare",
}
"""Names below `datastill.`, old -> new."""


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
