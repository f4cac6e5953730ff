"""The command line: what was asked for is parsed here, and done elsewhere."""

# ruff: noqa: F401, I001  the commands enter themselves into the app, in the order of its help
from datastill.cli import distill
from datastill.cli import moments
from datastill.cli import compare
from datastill.cli.app import main

__all__ = ["main"]
