"""Block-QNN as a system (Zhong et al. 2018, arXiv:1708.05552)."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from evonas.errors import UserError
from evonas.genomes.block_qnn import BlockQNNSpace
from evonas.operators.by_decision import stepwise_toolbox
from evonas.recipe import DIGITS_FINAL, DIGITS_RECIPE, RECIPES, SMALL_FINAL, SMALL_RECIPE
from evonas.space import Space
from evonas.strategies.q_learning import BLOCK_QNN_SCHEDULE, QLearning, scaled
from evonas.strategies.rewards import lean_block
from evonas.systems.metaqnn import UNIFORM
from evonas.systems.system import Preset, System

ONE_CONVOLUTION = "(1,1,3,0,0)(2,7,0,0,0)"  # the block by whose computation that of others is counted


def block_qnn(
    space: Space,
    *,
    rng: Random,
    flops_weight: float = 1.0,
    density_weight: float = 8.0,
    rate: float = 0.01,
    discount: float = 1.0,
    initial: float = 50.0,
    replays: int = 1,
    at_once: bool = False,
    evaluations: int = 11_392,
) -> QLearning:
    """Q-learning of blocks, with rewards in per cent that are shaped, and reduced by computation and density.

    flops_weight     mu, of the logarithm of the multiply-adds
    density_weight   rho, of the logarithm of the density
    rate             alpha, the share of the difference that an update makes up for
    discount         gamma, of the value of the next state
    initial          value of a token that was never chosen
    replays          genomes that are learnt again after each
    at_once          a new genome is learnt as it arrives too, not by replays alone
    evaluations      over which the paper's schedule of epsilon is stretched
    """
    if not isinstance(space, BlockQNNSpace):
        raise UserError(f"block-qnn judges blocks of its own space, which {space.name} is not; use q-learning")
    if min(flops_weight, density_weight) < 0 or evaluations < 1:
        raise UserError(f"flops_weight is {flops_weight}, density_weight {density_weight} and evaluations "
                        f"{evaluations}; use at least 0, 0 and 1")  # fmt: skip
    one = space.decode(space.parse(ONE_CONVOLUTION)).multiply_adds
    return QLearning(
        space, rng=rng, schedule=scaled(BLOCK_QNN_SCHEDULE, evaluations), distinct=False, rate=rate, discount=discount,
        initial=initial, replays=replays, at_once=at_once, shaping=True, evaluations=evaluations,
        reward=lean_block(space, reference=one, flops=flops_weight, density=density_weight),
    )  # fmt: skip


_QUICK = {"rate": 0.1, "replays": 20, "at_once": True}

BLOCK_QNN = System(
    name="block-qnn",
    about="one block, written layer by layer by Q-learning, and stacked",
    paper="Zhong et al. 2018, Practical Block-wise Neural Network Architecture Generation, arXiv:1708.05552",
    strategy="block-qnn",
    toolbox=stepwise_toolbox,
    baseline=UNIFORM,
    presets={
        "digits": Preset(
            BlockQNNSpace(longest=7, blocks=1, channels=8, input_shape=(1, 8, 8)),
            DIGITS_RECIPE,
            DIGITS_FINAL,
            _QUICK | {"evaluations": 100},
            about="one block a stage on 8x8 pictures, in minutes",
            adapts=True,
        ),
        "small": Preset(
            BlockQNNSpace(longest=10, blocks=1, channels=16),
            SMALL_RECIPE,
            SMALL_FINAL,
            _QUICK | {"evaluations": 200},
            about="one block a stage on pictures of 16x16 and more, on a small machine",
            adapts=True,
        ),
        "cifar10": Preset(
            BlockQNNSpace(),
            RECIPES["block-qnn"],
            replace(RECIPES["resnet-cifar"], epochs=300, milestones=(150, 225), weight_decay=5e-4),
            about="the paper's setting: 11,392 blocks, 12 epochs each (the paper's are on CIFAR-100)",
        ),
    },
)
