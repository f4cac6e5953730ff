"""Judging a set on held-out rows."""
