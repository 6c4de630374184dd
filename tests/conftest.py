"""What all tests share: one thread, here and in programs they start, so that they repeat exactly."""

import os
import signal

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is loaded

# Where tests run in the background or under nohup, these are ignored, and what they start would ignore them, too.
for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)
