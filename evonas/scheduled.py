"""Modules that change along a training: the contract between such a module and whoever trains it, and the learned group
convolution of CondenseNet (Huang, Liu, van der Maaten and Weinberger 2018, arXiv:1711.09224)."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

if TYPE_CHECKING:
    from evonas.recipe import Recipe


class Scheduled(nn.Module):
    """A module that hears, before each step, how far the training of its network has come. What a class does not say
    has no effect. What it changes is in its `state_dict`, so that a training can go on from there."""

    def keep(self, recipe: Recipe, now: float) -> None:
        """Be as this moment wants it: `now` is in epochs from the start, of `recipe.epochs`."""

    def pause(self) -> None:
        """An epoch is over: be as the network is judged."""

    def penalty(self) -> Tensor | None:
        """What is added to the loss of a batch."""
        return None

    @property
    def settled(self) -> bool:
        """Whether it computes what it will at the end of a training. Before that, its network is no result."""
        return True

    def finished(self) -> nn.Module:
        """What takes its place when the training is over, with the same outputs in evaluation mode: of the class that
        is exported, where that has other weights. It leaves the module as it is."""
        return self


def scheduled(network: nn.Module) -> list[Scheduled]:
    """The modules of a network that hear of its training."""
    return [module for module in network.modules() if isinstance(module, Scheduled)]


def finished(network: nn.Module) -> nn.Module:
    """The network as it is handed over after its training: itself, or a copy in which modules have their last form."""
    ends = {
        path: end
        for path, module in network.named_modules()
        if isinstance(module, Scheduled) and (end := module.finished()) is not module
    }
    if not ends:
        return network
    if "" in ends:
        return ends[""]
    found = copy.deepcopy(network)
    for path, end in ends.items():
        parent, _, name = path.rpartition(".")
        setattr(found.get_submodule(parent), name, end)
    if isinstance(found, fx.GraphModule):
        found.graph.owning_module = None  # a circle, in which memory would stay until the garbage collector comes by
    return found


class CondensedConv2d(nn.Module):
    """A 1x1 convolution in groups, each of which takes channels of its own choice: `index` has those of one group after
    the other."""

    def __init__(self, channels, groups, taken):
        super().__init__()
        self.groups = groups
        self.register_buffer("index", torch.zeros(groups * taken, dtype=torch.long))
        self.weight = nn.Parameter(torch.zeros(channels, taken, 1, 1))

    def forward(self, x):
        return nn.functional.conv2d(x.index_select(1, self.index), self.weight, groups=self.groups)


class LearnedGroupConv2d(Scheduled, nn.Conv2d):
    """A 1x1 convolution whose groups of filters each learn which inputs they take (section 3, and published code).

    It begins with all of them. In the first half of a training there are C - 1 condensing stages of equal length, and
    at the end of each, every group loses 1/C of the inputs: those of the smallest weights, by their L1 norm over the
    filters of the group. 1/C is left.

    channels   filters, in equal groups one after the other
    groups     G
    taken      inputs that each group has in the end
    inputs     C times as many
    lasso      weight of the group lasso, the sum over groups and inputs of the L2 norm over the filters of the group,
               which is added to the loss as long as inputs are still to go
    """

    exported = CondensedConv2d
    LEAST = 1e-6  # under the root of the penalty, whose slope at 0 is infinite (as the published code has it)

    def __init__(self, channels: int, groups: int, taken: int, *, inputs: int, lasso: float) -> None:
        super().__init__(inputs, channels, 1, bias=False)
        self.parts, self.taken, self.lasso = groups, taken, lasso
        self.register_buffer("kept", torch.ones(groups, inputs, dtype=torch.bool))
        self.kept: Tensor
        self.stage: int | None = None  # that was kept last; the buffer has it too, but asking a GPU would stop it
        self.register_load_state_dict_post_hook(_forget_the_stage)

    def reset_parameters(self) -> None:
        """Weights are left to `network.initialise`."""

    @property
    def stages(self) -> int:
        """C - 1."""
        return self.in_channels // self.taken - 1

    @property
    def settled(self) -> bool:
        return self._condensed(self.kept) == self.stages

    def keep(self, recipe: Recipe, now: float) -> None:
        stage = min(int(2 * now / recipe.epochs * self.stages), self.stages)
        if stage != self.stage:
            self.kept.copy_(self._pruned(stage))
            self.stage = stage

    def penalty(self) -> Tensor | None:
        if self.stage == self.stages:
            return None
        norms = self._grouped().square().sum(1).clamp(min=self.LEAST).sqrt()
        return self.lasso * norms.sum()

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self._grouped().reshape(self.weight.shape))

    def finished(self) -> CondensedConv2d:
        kept = self._pruned(self.stages)  # a training that was too short for its stages is condensed here
        end = CondensedConv2d(self.out_channels, self.parts, self.taken).to(self.weight.device, self.weight.dtype)
        with torch.no_grad():
            end.index = kept.nonzero()[:, 1]
            weights = self.weight.reshape(self.parts, -1, self.in_channels)
            left = [filters[:, inputs] for filters, inputs in zip(weights, kept, strict=True)]
            end.weight.copy_(torch.cat(left)[:, :, None, None])
        return end.train(self.training)

    def _grouped(self) -> Tensor:
        """The weights that are left, groups x filters x inputs."""
        return self.weight.reshape(self.parts, -1, self.in_channels) * self.kept[:, None]

    def _condensed(self, kept: Tensor) -> int:
        """How many stages are over: all groups lose as many inputs."""
        return (self.in_channels - int(kept[0].sum())) // self.taken

    @torch.no_grad()
    def _pruned(self, stage: int) -> Tensor:
        """Which inputs each group keeps after so many stages, groups x inputs; never more than it has now."""
        kept = self.kept.clone()
        for _ in range(self._condensed(kept), stage):
            norms = self.weight.reshape(self.parts, -1, self.in_channels).abs().sum(1)
            least = norms.masked_fill(~kept, torch.inf).argsort(dim=1, stable=True)[:, : self.taken]
            kept.scatter_(1, least, False)
        return kept


def _forget_the_stage(module: nn.Module, _: object) -> None:
    """Weights were loaded, of another moment perhaps."""
    module.stage = None  # type: ignore[assignment]
