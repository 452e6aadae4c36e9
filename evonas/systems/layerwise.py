"""The systems that choose a block for each layer by gradients, and weigh what it costs: FBNet and ProxylessNAS. Torch
is loaded with a policy.

FBNet          Wu et al. 2019, arXiv:1812.03443
ProxylessNAS   Cai, Zhu and Han 2019, arXiv:1812.00332
"""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from evonas.genomes.fbnet import FBNetSpace
from evonas.genomes.proxylessnas import ProxylessNASSpace
from evonas.operators.by_decision import uniform_toolbox
from evonas.recipe import DIGITS_FINAL, RECIPES, SMALL_FINAL, Recipe
from evonas.space import Space
from evonas.systems.system import Preset, System

if TYPE_CHECKING:
    from evonas.supernets.search import SupernetSearch


def fbnet(
    space: Space,
    *,
    rng: Random,
    unit: float = 1.0,
    scale: float = 0.2,
    power: float = 0.6,
    hot: float = 5.0,
    cooling: float = 0.045,
    beginning: int = 10,
    drawn: int = 0,
    theta_rate: float = 0.01,
    theta_decay: float = 5e-4,
) -> SupernetSearch:
    """FBNet: the gradient of Gumbel softmax samples, by the loss times a power of the logarithm of the latency. It
    lasts for the search recipe's epochs.

    unit          milliseconds, or millions of multiply-adds without a target in ms, that count as one
    scale         alpha, by which the loss is multiplied
    power         beta, of the logarithm of the latency; 0: it counts for nothing
    hot           temperature at the beginning
    cooling       its decay in an epoch of 90; in a search of fewer epochs it falls as far
    beginning     epochs in which the weights alone learn
    drawn         networks drawn in the end beside the likeliest; the best by the supernet's weights is taken
    theta_rate    learning rate of the architecture parameters, by Adam
    theta_decay   their weight decay
    """
    from evonas.supernets.fbnet import FBNet
    from evonas.supernets.search import SupernetSearch

    return SupernetSearch(
        FBNet(
            space.supernet, rng=rng, unit=unit, scale=scale, power=power, hot=hot, cooling=cooling, beginning=beginning,
            drawn=drawn, learning_rate=theta_rate, weight_decay=theta_decay,
        )
    )  # fmt: skip


def proxylessnas(
    space: Space,
    *,
    rng: Random,
    mode: str = "full_v2",
    term: str = "mul#log",
    unit: float = 1.0,
    reference: float = 0.0,
    scale: float = 0.2,
    power: float = 0.3,
    share: float = 0.1,
    interval: int = 5,
    beginning: int = 41,
    alpha_rate: float = 1e-3,
) -> SupernetSearch:
    """ProxylessNAS: one path a step, and the gradient of its binary gates, by loss and latency. It lasts for the search
    recipe's epochs.

    mode         of a step of alpha: full runs all options, full_v2 in pairs, two a drawn pair of them
    term         mul#log or add#linear: how the latency counts in the loss
    unit         milliseconds, or millions of multiply-adds without a target in ms, that count as one
    reference    latency (ms) or millions of multiply-adds that are aimed at, where no limit is given; 0: none
    scale        alpha of mul#log, by which the loss is multiplied
    power        beta of mul#log
    share        lambda of add#linear
    interval     steps of the weights before one of alpha
    beginning    epochs in which the weights alone learn
    alpha_rate   learning rate of the architecture parameters, by Adam
    """
    from evonas.supernets.proxylessnas import ProxylessNAS
    from evonas.supernets.search import SupernetSearch

    return SupernetSearch(
        ProxylessNAS(
            space.supernet, rng=rng, mode=mode, term=term, unit=unit, reference=reference, scale=scale, power=power,
            share=share, interval=interval, beginning=beginning, learning_rate=alpha_rate,
        )
    )  # fmt: skip


_SEARCH = Recipe(epochs=20, batch_size=64, learning_rate=0.05, warmup=2, crop=4, flip=True, clip_norm=5)
_DIGITS = replace(_SEARCH, epochs=30, crop=1, flip=False)
_MICRO = 0.001  # networks of small pictures take less than a ms, or a million multiply-adds

FBNET = System(
    name="fbnet",
    about="layers of mobile blocks, accurate and quick at once: the gradient of samples that become one-hot",
    paper="Wu et al. 2019, FBNet: Hardware-Aware Efficient ConvNet Design via Differentiable Neural Architecture "
    "Search, arXiv:1812.03443",
    strategy="fbnet",
    front="fbnet",  # which refuses several objectives: a supernet is trained for one
    toolbox=uniform_toolbox,
    presets={
        "small": Preset(
            FBNetSpace(
                (16, 24, 32, 64), (1, 2, 2, 2), (1, 2, 2, 1), 16, False, 0, 256, 0.0, input_shape=(3, 32, 32),
                outputs=10,
            ),
            _SEARCH,
            SMALL_FINAL,
            {"unit": _MICRO, "theta_rate": 0.05, "beginning": 4},
            about="seven layers on pictures of 16x16 and more, on a small machine",
            adapts=True,
        ),
        "digits": Preset(
            FBNetSpace((16, 24, 32), (1, 2, 2), (1, 2, 1), 16, False, 0, 128, 0.0, input_shape=(1, 8, 8), outputs=10),
            _DIGITS,
            DIGITS_FINAL,
            {"unit": _MICRO, "theta_rate": 0.05, "beginning": 6},
            about="five layers on 8x8 pictures, in minutes",
            adapts=True,
        ),
        "imagenet": Preset(
            FBNetSpace(),
            RECIPES["fbnet-search"],
            RECIPES["fbnet"],
            about="as published: 22 layers on pictures of 224x224, of 100 classes in the search",
        ),
    },
)  # fmt: skip
PROXYLESSNAS = System(
    name="proxylessnas",
    about="layers of mobile blocks or none, accurate and quick at once: binary gates, in the memory of two paths",
    paper="Cai, Zhu and Han 2019, ProxylessNAS: Direct Neural Architecture Search on Target Task and Hardware, "
    "arXiv:1812.00332",
    strategy="proxylessnas",
    front="proxylessnas",
    toolbox=uniform_toolbox,
    presets={
        "small": Preset(
            ProxylessNASSpace(
                (24, 40, 80), (2, 3, 3), (1, 2, 2), 16, False, 16, 256, 0.0, input_shape=(3, 32, 32), outputs=10
            ),
            replace(_SEARCH, epochs=40),
            SMALL_FINAL,
            {"unit": _MICRO, "reference": 10.0, "alpha_rate": 0.02, "beginning": 10},
            about="eight layers on pictures of 16x16 and more, on a small machine",
            adapts=True,
        ),
        "digits": Preset(
            ProxylessNASSpace(
                (16, 32), (2, 3), (1, 2), 16, False, 16, 128, 0.0, input_shape=(1, 8, 8), outputs=10
            ),
            replace(_DIGITS, epochs=60, warmup=4),
            DIGITS_FINAL,
            {"unit": _MICRO, "reference": 0.3, "alpha_rate": 0.02, "beginning": 15},
            about="five layers on 8x8 pictures, in minutes",
            adapts=True,
        ),
        "imagenet": Preset(
            ProxylessNASSpace(),
            RECIPES["proxylessnas-search"],
            RECIPES["proxylessnas"],
            {"reference": 320.0},
            about="as published: 21 layers on pictures of 224x224 (--target-ms 80 for a phone, with its table)",
        ),
    },
)  # fmt: skip
