"""One torch thread in every process of the tests: two cost more than they give on a busy machine."""

import os

os.environ |= {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}

import torch  # noqa: E402

torch.set_num_threads(1)
