"""One torch thread in every process of the tests: two cost more than they give on a busy machine."""

import os

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")

import torch

torch.set_num_threads(1)
