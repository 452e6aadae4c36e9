"""The operations of a graph: what each does to shapes, what it costs, and the module that carries it out.

A shape is that of one image, without the batch: (channels, height, width), or (features,) once flattened. Torch is
loaded only where a module is made or printed.
"""

from evonas.operations.activations import ACTIVATIONS, ELU, GELU, HardSwish, LeakyReLU, Sigmoid, SiLU, Tanh
from evonas.operations.arrangement import (
    Crop,
    FirstChannels,
    LastChannels,
    PadChannels,
    PadSize,
    Resize,
    ShuffleChannels,
)
from evonas.operations.fusion import JOINS, Attention, Blend
from evonas.operations.layers import (
    AveragePool,
    BatchNorm,
    Convolution,
    Dropout,
    DropPath,
    FadingDropout,
    Flatten,
    GlobalAveragePool,
    Identity,
    Linear,
    MaxPool,
    ReLU,
    Scale,
    Sides,
    SqueezeExcite,
    Zero,
    sides,
)
from evonas.operations.learned import LearnedGroupConvolution
from evonas.operations.operation import OPERATIONS, Operation, Shape, is_own
from evonas.operations.recorded import Recorded, from_json, to_json
from evonas.support.call import Call

__all__ = [
    "ACTIVATIONS",
    "ELU",
    "GELU",
    "JOINS",
    "OPERATIONS",
    "Attention",
    "AveragePool",
    "BatchNorm",
    "Blend",
    "Call",
    "Convolution",
    "Crop",
    "DropPath",
    "Dropout",
    "FadingDropout",
    "FirstChannels",
    "Flatten",
    "GlobalAveragePool",
    "HardSwish",
    "Identity",
    "LastChannels",
    "LeakyReLU",
    "LearnedGroupConvolution",
    "Linear",
    "MaxPool",
    "Operation",
    "PadChannels",
    "PadSize",
    "ReLU",
    "Recorded",
    "Resize",
    "Scale",
    "Shape",
    "ShuffleChannels",
    "SiLU",
    "Sides",
    "Sigmoid",
    "SqueezeExcite",
    "Tanh",
    "Zero",
    "from_json",
    "is_own",
    "sides",
    "to_json",
]
