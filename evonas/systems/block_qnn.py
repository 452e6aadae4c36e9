"""Block-QNN as a system (Zhong et al. 2018, arXiv:1708.05552)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from deap import base

from evonas.errors import UserError
from evonas.genomes.block_qnn import BlockQNNSpace
from evonas.recipe import DIGITS, RECIPES, SMALL
from evonas.strategies.q_learning import BLOCK_QNN as SCHEDULE
from evonas.strategies.q_learning import QLearning
from evonas.strategies.rewards import lean_block
from evonas.systems import Setup, System, toolboxes
from evonas.systems.q_learning import QLearningSettings, q_learning, uniform

ONE_CONVOLUTION = "(1,1,3,0,0)(2,7,0,0,0)"  # the block by whose computation that of others is counted


@dataclass(frozen=True, kw_only=True)
class BlockQNNSettings(QLearningSettings):
    """As Q-learning's, with flops_weight (mu) and density_weight (rho) of the reward, which is in per cent."""

    evaluations: int = 11_392
    initial: float = 50.0
    replays: int = 1
    flops_weight: float = 1.0
    density_weight: float = 8.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.flops_weight, self.density_weight) < 0:
            raise UserError(f"flops_weight is {self.flops_weight} and density_weight {self.density_weight}; use at "
                            "least 0")  # fmt: skip


def _strategy(toolbox: base.Toolbox, settings: BlockQNNSettings, rng: Random) -> QLearning:
    space = toolbox.space
    reward = lean_block(
        space, reference=space.decode(space.parse(ONE_CONVOLUTION)).multiply_adds,
        flops=settings.flops_weight, density=settings.density_weight,
    )  # fmt: skip
    return q_learning(toolbox, settings, rng, schedule=SCHEDULE, shaping=True, reward=reward)


_PAPER = RECIPES["block-qnn"]

BLOCK_QNN = System(
    name="block-qnn",
    about="one block, written layer by layer by Q-learning, and stacked",
    paper="Zhong et al. 2018, Practical Block-wise Neural Network Architecture Generation, arXiv:1708.05552",
    presets={
        "digits": Setup(
            BlockQNNSpace(longest=7, blocks=1, channels=8, input_shape=(1, 8, 8)),
            BlockQNNSettings(evaluations=100, rate=0.1, replays=20),
            DIGITS,
            replace(DIGITS, epochs=40),
            about="one block a stage on 8x8 pictures, in minutes",
        ),
        "small": Setup(
            BlockQNNSpace(longest=10, blocks=1, channels=16),
            BlockQNNSettings(evaluations=200, rate=0.1, replays=20),
            SMALL,
            replace(SMALL, epochs=20),
            about="one block a stage on pictures of 16x16 and more, on a small machine",
        ),
        "cifar10": Setup(
            BlockQNNSpace(),
            BlockQNNSettings(),
            _PAPER,
            replace(RECIPES["resnet-cifar"], epochs=300, milestones=(150, 225), weight_decay=5e-4),
            about="the paper's setting: 11,392 blocks, 12 epochs each (the paper's are on CIFAR-100)",
        ),
    },
    preset_for=lambda input_shape: "digits" if min(input_shape[1:]) < 16 else "small",
    toolbox=toolboxes.decision_by_decision,
    strategy=_strategy,
    control=uniform,
    scheduled=True,
)
