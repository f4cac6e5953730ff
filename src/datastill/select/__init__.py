"""Choosing or averaging rows: the classic summaries."""
