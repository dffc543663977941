"""Tests. `tests/benchmarks` measures."""
