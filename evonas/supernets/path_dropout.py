"""Path dropout, as in One-Shot (Bender et al. 2018, "Understanding and Simplifying One-Shot Architecture Search", ICML,
PMLR 80, pages 550-559)."""

from __future__ import annotations

from random import Random

import torch
from torch import Tensor

from evonas.errors import UserError
from evonas.gates import Route
from evonas.network import RouteGates
from evonas.space import Space
from evonas.supernets.supernet import Batch
from evonas.supernets.training import SupernetTraining
from evonas.supernets.uniform import Fixed
from evonas.support.text import listed


class PathDropout(Fixed):
    """Each step trains the whole supernet without the paths that it drops at random. A path is a bit of the genome;
    those into one operation are the bits whose names are equal up to the last `/`. Of k such paths each is dropped
    by itself with the probability p = r^(1/k), so that all of them are with the probability r, whatever k. Each p rises
    linearly from 0 at the first step of the training to its value at the last one.

    Each batch is split into ghost batches, which have a draw of their own, the same for all cells, and batch norm
    statistics of their own. A step follows the mean of their gradients; weights that none of them used stay unchanged,
    and do not decay. What is kept is not scaled up by 1 / (1 - p), of which the paper says nothing.

    dropped   probability r that all paths into an operation are dropped, at the last step
    ghost     examples of a ghost batch, at least; a smaller batch is one

    Raises UserError for a space whose open decisions are not all bits, False or True, with such names, and for one
    whose supernet needs some path.
    """

    one_path = False

    def __init__(
        self, space: Space, *, rng: Random, dropped: float = 0.1, ghost: int = 32, statistics: str = "batch"
    ) -> None:
        super().__init__(space, rng=rng, statistics=statistics)
        if not 0 <= dropped < 1 or ghost < 2:
            raise UserError(f"dropped is {dropped} and ghost {ghost}; use a probability below 1, and at least 2")
        self.ghost = self.together = ghost
        self.paths: dict[str, list[str]] = {}  # into each operation
        for decision, options in zip(self.asked, self.options, strict=True):
            group, named, _ = decision.name.rpartition("/")
            if not named or [type(option) for option in options] != [bool, bool]:
                raise UserError(f"path dropout needs bits, False or True, with names such as block2/input/0, and "
                                f"{space.name} asks for {decision.name}, one of {listed(options)}: train by another "
                                "policy, such as uniform")  # fmt: skip
            self.paths.setdefault(group, []).append(decision.name)
        self.rates = {group: dropped ** (1 / len(paths)) for group, paths in self.paths.items()}
        self._require_nothing_needed()

    def _require_nothing_needed(self) -> None:
        """Raises UserError where the supernet cannot do without all of its paths at once."""
        try:
            RouteGates(self.space.decode(self.genome))({decision.name: False for decision in self.asked})
        except ValueError as error:
            raise UserError(f"path dropout may drop all paths of {self.space.name}, but then {error}; let `decode` "
                            "give it zeros, or train by another policy, such as uniform") from None  # fmt: skip

    def epoch(self, training: SupernetTraining) -> float:
        training.network.train()
        before, last = training.epochs * training.steps, training.recipe.epochs * training.steps - 1
        losses = [
            self.descend(training, batch, (before + step) / max(last, 1))
            for step, (batch, _) in enumerate(training.batches())
        ]
        return torch.stack(losses).mean().item()

    def descend(self, training: SupernetTraining, batch: Batch, share: float) -> Tensor:
        """One step of the weights, after this share of the training; the mean loss of the ghost batches."""
        training.optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), device=training.device)
        for inputs, targets in self.ghosts(batch):
            loss = training.loss((inputs, targets), self.draw(share)) * (len(targets) / len(batch[1]))
            loss.backward()
            total += loss.detach()
        training.apply()
        return total

    def ghosts(self, batch: Batch) -> list[Batch]:
        """A batch in parts of equal size, as many as there may be."""
        count = max(len(batch[1]) // self.ghost, 1)
        return list(zip(*(tensor.tensor_split(count) for tensor in batch), strict=True))

    def draw(self, share: float) -> Route:
        """A route with the paths that are kept, after this share of the training."""
        return {
            path: self.draws.random() >= share * self.rates[group]
            for group, paths in self.paths.items()
            for path in paths
        }
