"""What all tests share: one thread, so that they are fast side by side and give the same numbers."""

import torch

torch.set_num_threads(1)
