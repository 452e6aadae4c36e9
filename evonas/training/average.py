"""The moving average of a network's weights along its training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


def averaged(network: nn.Module, decay: float) -> Any:
    """torch's AveragedModel of a network, batch statistics included: an exponential moving average, whose decay is
    smaller at first, min(decay, (1 + n) / (10 + n)) after n steps, so that it forgets the weights that were drawn (as
    in TensorFlow's ExponentialMovingAverage)."""
    from torch.optim.swa_utils import AveragedModel

    found = AveragedModel(network, use_buffers=True)
    found.multi_avg_fn = _moving(decay, found.n_averaged)
    return found


def _moving(decay: float, steps: Tensor) -> Callable[[Any, Any, Any], None]:
    """How torch's AveragedModel moves its averages. It also gives the number of steps that it has counted, but as a
    copy on the device, for which a GPU would have to be waited for in each step: `steps` itself lies on the CPU."""

    @torch.no_grad()
    def move(averages: list[Tensor], present: list[Tensor], _: Tensor | int) -> None:
        if not averages[0].is_floating_point():  # how many batches a norm has seen
            torch._foreach_copy_(averages, present)
            return
        count = int(steps)
        torch._foreach_lerp_(averages, present, 1 - min(decay, (1 + count) / (10 + count)))

    return move
