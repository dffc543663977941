"""Tests are small: one thread each is faster than several that wait for each other."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
