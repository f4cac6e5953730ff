"""Datasets and support sets: reading, sampling, writing."""
