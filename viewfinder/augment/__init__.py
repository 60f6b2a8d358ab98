"""Geometry by one matrix a sample, light by one table a sample."""
