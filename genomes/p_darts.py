"""The supernets of P-DARTS (Chen, Xie, Wu and Tian 2019, "Progressive Differentiable Architecture Search",
arXiv:1904.12760)."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from evonas.genomes.darts import DARTSSpace
from evonas.operations import FadingDropout, Operation


@dataclass(frozen=True)
class PDARTSSupernet(DARTSSpace):
    """DARTS cells in a search whose skip connections, where they are identities, drop some elements (search space
    regularization).

    dropout   rate from which their dropout falls
    rests     epochs in which alpha rests
    """

    dropout: float = 0.0
    rests: int = 0

    @classmethod
    def of(cls, space: DARTSSpace, **having: Any) -> PDARTSSupernet:
        """The supernet of a space of DARTS cells, in which some fields are different."""
        return cls(**{field.name: getattr(space.supernet, field.name) for field in fields(DARTSSpace)} | having)

    def behind(self, operation: str, stride: int) -> tuple[Operation, ...]:
        return (FadingDropout(self.dropout, self.rests),) if operation == "skip_connect" and stride == 1 else ()
