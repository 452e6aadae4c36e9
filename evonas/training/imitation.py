"""A network learns to give what its parent gave, before its training, where the change was not exact (Cai et al. 2018,
arXiv:1806.02639, section 3.2; the values are those of the authors' code, but for the bound on gradients, without which
some networks learn nothing: those with pooling alone on a path have logits that are far too large)."""

from __future__ import annotations

from torch import fx, nn

from evonas.recipe import Recipe
from evonas.tasks.splits import Split
from evonas.training.course import train
from evonas.training.distillation import Guide

EXAMPLES = 1000  # from which it learns; in the code these are of the validation part, here of the training part
RECIPE = Recipe(batch_size=100, learning_rate=0.02, weight_decay=0.0, warmup=0, clip_norm=5, distill=1.0, hard=0.0)


def imitate(
    network: nn.Module, parent: fx.GraphModule, split: Split, epochs: int, *, seed: int, deadline: float | None = None
) -> None:
    """Squared errors of logits, on the first examples of a split, in place. Raises TrainingFailed as
    `Training.epoch` does, also after the deadline, by `time.monotonic`."""
    device = split.device
    guide = Guide(parent.to(device))
    train(network.to(device), split[:EXAMPLES], RECIPE.lasting(epochs), seed=seed, teacher=guide, deadline=deadline)
