"""One torch thread for all tests: two 2-thread processes on two cores run up to ten times slower."""

import torch

torch.set_num_threads(1)
