"""Batch processing: a folder of pictures is inverted, one task for each."""
