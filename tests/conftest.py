"""What all tests share: one thread, here and in programs they start, so that they repeat exactly."""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is loaded
