"""Geometry by one matrix a sample, light by one table a sample."""

TRAINING_ONLY = ("mosaic", "paste")
"""Settings of `augment` that make one image of several: sheets and copies on disk are of one image each."""
