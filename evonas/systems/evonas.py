"""The search that evonas makes where no system is named: over blocks around the residual network by hand, which it is
to beat at no more multiply-adds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random

from evonas.genomes.blocks import BlockSpace
from evonas.individual import Toolbox
from evonas.operators import by_decision
from evonas.recipe import DIGITS_FINAL, SMALL_FINAL
from evonas.space import Genome, Space
from evonas.systems.system import Preset, System

EPOCHS = 12  # of a training of the search that is not stopped


def by_hand(space: Space) -> Sequence[Genome]:
    """The search begins with the network that it is to beat."""
    return [space.by_hand()] if isinstance(space, BlockSpace) else []


def as_by_hand(space: Space) -> Mapping[str, int]:
    """No network costs more than the one by hand."""
    counts = [space.decode(genome).multiply_adds for genome in by_hand(space)]
    return {"multiply_adds": max(counts)} if counts else {}


def toolbox(space: Space, *, rng: Random, redraw_rate: float = 0.3, change_rate: float = 0.1) -> Toolbox:
    """Individuals are drawn near the network by hand, where the space has it: most of a whole space is far worse.

    redraw_rate   probability that a decision is not as in the network by hand
    change_rate   probability that a mutation changes a decision
    """
    by_decision.check_rates(redraw_rate=redraw_rate)
    box = by_decision.toolbox(space, rng=rng, change_rate=change_rate)
    for genome in by_hand(space):
        box.register("individual", by_decision.init_near, genome, space, redraw_rate, rng=rng)
    return box


EVONAS = System(
    name="evonas",
    about="stages of residual, inverted and separable blocks, from the residual network by hand on",
    paper="",
    strategy="guided",
    toolbox=toolbox,
    baseline=None,  # its time is the search's: what it has to beat is the network by hand
    fidelity="asha:eta=3,least=2",
    begins=by_hand,
    most=as_by_hand,
    presets={
        "small": Preset(
            BlockSpace(),
            SMALL_FINAL.lasting(EPOCHS),
            SMALL_FINAL,
            {"evaluations": 200},
            about="pictures of 16x16 and more, on a small machine",
            adapts=True,
        ),
        "digits": Preset(
            BlockSpace(input_shape=(1, 8, 8)),
            DIGITS_FINAL.lasting(EPOCHS),
            DIGITS_FINAL,
            {"evaluations": 60},
            about="8x8 pictures, in minutes",
            adapts=True,
        ),
    },
)
