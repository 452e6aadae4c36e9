"""The auxiliary classifier of cell networks: a second loss in the middle of a network, while it is trained."""

from __future__ import annotations

from evonas.graph import INPUT, Draft, Graph
from evonas.operations import AveragePool, BatchNorm, Convolution, Flatten, Linear, ReLU, Shape

POOL, STRIDE = 5, 3
SQUEEZED, WIDE = 128, 768


def head(shape: Shape, outputs: int) -> Graph:
    """Pooled 5x5 by 3, squeezed by a 1x1 convolution, and one convolution over all that is left (Szegedy et al. 2015;
    sizes of the code of NASNet and of DARTS). Maps smaller than the pool are not pooled.

    shape   of the feature map (channels, height, width)
    """
    draft = Draft(shape)
    pool = (AveragePool(POOL, STRIDE, 0),) if min(shape[1:]) >= POOL else ()
    squeezed = draft.node("squeezed", [INPUT], ReLU(), *pool, Convolution(SQUEEZED, 1), BatchNorm(), ReLU())
    _, height, width = draft.shape(str(squeezed))
    draft.node("wide", [squeezed], Convolution(WIDE, (height, width), padding=0), BatchNorm(), ReLU())
    draft.node("classifier", ["wide"], Flatten(), Linear(outputs))
    return draft.graph()
