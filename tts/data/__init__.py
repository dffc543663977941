"""Preparing, the cache, datasets, batches."""
