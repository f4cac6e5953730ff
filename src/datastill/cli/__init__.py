"""The command line: what was asked for is parsed here, and done elsewhere."""

from datastill.cli import judging, making  # noqa: F401  the commands enter themselves into the app
from datastill.cli.app import main

__all__ = ["main"]
