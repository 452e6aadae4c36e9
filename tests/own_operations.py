"""Operations as a user writes them. Tests load this file by the fixture `own`: no process knows it otherwise."""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import nn

from evonas.operations import Call, Operation

SLOPE = 0.25


@dataclass(frozen=True)
class Mish(Operation):
    name = "mish"
    keeps = "input"

    def module(self, shape):
        return Call(nn.Mish)


def leaky(x):
    return F.leaky_relu(x, SLOPE)


class DepthwiseBlock(nn.Module):
    """A depthwise and a pointwise convolution."""

    def __init__(self, channels, kernel=3):
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels, bias=False)
        self.pointwise = nn.Conv2d(channels, channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x):
        return leaky(self.norm(self.pointwise(self.depthwise(x))))


@dataclass(frozen=True)
class Depthwise(Operation):
    name = "depthwise"
    keeps_besides = 12  # what lies between its four layers
    kernel: int = 3
    sizes: tuple[int, ...] = (1, 2)

    def module(self, shape):
        return Call(DepthwiseBlock, shape[0], kernel=self.kernel)

    def parameters(self, shape):
        return shape[0] * (self.kernel**2 + shape[0] + 2)

    def multiply_adds(self, shape):
        channels, height, width = shape
        return channels * (self.kernel**2 + channels) * height * width

    def __str__(self):
        return f"depthwise {self.kernel}x{self.kernel}"
