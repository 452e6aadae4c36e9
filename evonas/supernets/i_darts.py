"""I-DARTS (Jiang, Hu, Xiao, Zhang and Zhu 2019, "Improved Differentiable Architecture Search for Language Modeling and
Named Entity Recognition", EMNLP-IJCNLP, ACL D19-1367)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from evonas.supernets.darts import DARTS
from evonas.supernets.policy import Relaxation, edges_of


class ByNode(Relaxation):
    """Architecture parameters with one softmax over all (source, option) pairs of a node, instead of one for each edge,
    so that options of different edges compete.

    Raises UserError for a space whose decisions are not edges, NODE<-SOURCE.
    """

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.nodes = {node: list(into.values()) for node, into in edges_of(self, type(self).__name__).items()}

    def probabilities(self) -> Tensor:
        return self.by_node(self.logits)

    def by_node(self, logits: Tensor) -> Tensor:
        """The softmax of each node's block, [..., decisions, options]; the edges of a node follow one another."""
        blocks = [logits[..., rows, :] for rows in self.nodes.values()]
        return torch.cat([softmax(block) for block in blocks], -2)


class IDARTS(ByNode, DARTS):
    """DARTS with the softmax of a node. Which options a node keeps is the space's rule: where edges have sets of them,
    those of the largest weights, whatever their sources."""


def softmax(block: Tensor) -> Tensor:
    """One softmax over all sources and options, [..., sources, options]."""
    return block.flatten(-2).softmax(-1).view_as(block)
