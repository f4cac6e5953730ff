"""Workflows: what each command does, from names and paths to files."""
