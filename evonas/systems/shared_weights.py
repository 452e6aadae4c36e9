"""Systems that train one supernet and then search it: SPOS, SETN, FairNAS, PC-NAS and NSAS. Torch is loaded with their
policies."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from evonas.genomes.darts import DARTSSpace
from evonas.genomes.fairnas import FairNASSpace
from evonas.genomes.nasbench201 import NASBench201Space
from evonas.genomes.spos import SPOSSpace
from evonas.operators.by_decision import toolbox, uniform_toolbox
from evonas.recipe import DIGITS_FINAL, RECIPES, SMALL_FINAL, Recipe
from evonas.space import Space
from evonas.systems.system import Preset, System

if TYPE_CHECKING:
    from evonas.supernets.fair import Fair
    from evonas.supernets.nsas import NSAS as Remembering
    from evonas.supernets.setn import SETN as Template
    from evonas.supernets.shrinking import Shrinking
    from evonas.supernets.uniform import Uniform


def uniform(space: Space, *, rng: Random, bins: int = 0, statistics: str = "recalibrated") -> Uniform:
    """Uniform single paths: each batch trains one random genome.

    bins         of equal width between the fewest and the most multiply-adds, of which one is drawn first; 0: none
    statistics   of batch norm by which genomes are judged later: recalibrated for each, of the batch, or the running
                 ones of all
    """
    from evonas.supernets.uniform import Uniform

    return Uniform(space, rng=rng, bins=bins, statistics=statistics)


def fair(
    space: Space, *, rng: Random, mean: bool = False, same_batch: bool = True, statistics: str = "recalibrated"
) -> Fair:
    """Strict fairness: in each step of the weights every option of every decision is trained once.

    mean         gradients of a round are averaged, not summed
    same_batch   all genomes of a round see the same batch
    statistics   of batch norm by which genomes are judged later
    """
    from evonas.supernets.fair import Fair

    return Fair(space, rng=rng, mean=mean, same_batch=same_batch, statistics=statistics)


def setn(
    space: Space, *, rng: Random, alpha_rate: float = 3e-4, alpha_decay: float = 1e-3, statistics: str = "batch"
) -> Template:
    """A template network of uniform paths, and an evaluator that learns which operations are likely to be good.

    alpha_rate   learning rate of the evaluator, by Adam
    alpha_decay  its weight decay
    statistics   of batch norm by which genomes are judged later
    """
    from evonas.supernets.setn import SETN

    return SETN(space, rng=rng, alpha_rate=alpha_rate, alpha_decay=alpha_decay, statistics=statistics)


def shrinking(
    space: Space,
    *,
    rng: Random,
    pool: int = 5,
    completions: int = 10,
    interval: int = 1,
    statistics: str = "recalibrated",
) -> Shrinking:
    """A pool of partial genomes that becomes longer by a decision every few epochs, and with which paths begin.

    pool          partial genomes that are kept
    completions   random ones of a partial genome, each judged on a held-out batch
    interval      epochs after each decision; those before the first one are the warm-up
    statistics    of batch norm by which genomes are judged later
    """
    from evonas.supernets.shrinking import Shrinking

    return Shrinking(space, rng=rng, pool=pool, completions=completions, interval=interval, statistics=statistics)


def nsas(
    space: Space,
    *,
    rng: Random,
    beta: float = 0.5,
    constraints: int = 8,
    recent: int = 50,
    statistics: str = "recalibrated",
) -> Remembering:
    """Uniform paths, each with a few different genomes whose losses are to stay low.

    beta         weight of their losses
    constraints  how many they are
    recent       how many of the genomes drawn last may come to be one of them
    statistics   of batch norm by which genomes are judged later
    """
    from evonas.supernets.nsas import NSAS

    return NSAS(space, rng=rng, beta=beta, constraints=constraints, recent=recent, statistics=statistics)


_SEARCH = Recipe(epochs=40, batch_size=64, learning_rate=0.05, warmup=2, crop=4, flip=True, clip_norm=5)
_SEARCH_DIGITS = replace(_SEARCH, epochs=200, warmup=10, crop=1, flip=False)  # few steps each

# ---- SPOS -----------------------------------------------------------------------------------------------------------

_QUICK = {"population": 20, "generations": 9, "parents": 5}
SPOS = System(
    name="spos",
    about="choice blocks of ShuffleNetV2: single paths train a supernet, whose weights evolution then searches",
    paper="Guo et al. 2020, Single Path One-Shot Neural Architecture Search with Uniform Sampling, arXiv:1904.00420",
    strategy="spos",
    supernet="uniform",
    toolbox=toolbox,
    presets={
        "small": Preset(
            SPOSSpace((2, 3, 3), (32, 64, 128), 16, False, 256, 0.0, input_shape=(3, 32, 32), outputs=10),
            _SEARCH,
            SMALL_FINAL,
            _QUICK,
            about="eight blocks on pictures of 16x16 and more, on a small machine",
            adapts=True,
        ),
        "digits": Preset(
            SPOSSpace((3, 3), (32, 64), 16, False, 128, 0.0, input_shape=(1, 8, 8), outputs=10),
            _SEARCH_DIGITS,
            DIGITS_FINAL,
            _QUICK,
            about="six blocks on 8x8 pictures, in minutes",
            adapts=True,
        ),
        "imagenet": Preset(
            SPOSSpace(),
            RECIPES["spos-search"],
            RECIPES["spos"],
            supernet={"bins": 6},
            about="as published: twenty blocks on pictures of 224x224 (--max-multiply-adds 330M)",
        ),
    },
)

# ---- SETN -----------------------------------------------------------------------------------------------------------

_FAST = {"alpha_rate": 0.01}
SETN = System(
    name="setn",
    about="cells of NAS-Bench-201: an evaluator learns which genomes to judge by the weights of uniform paths",
    paper="Dong and Yang 2019, One-Shot Neural Architecture Search via Self-Evaluated Template Network, "
    "arXiv:1910.05733",
    strategy="preferred",
    supernet="setn",
    toolbox=uniform_toolbox,
    presets={
        "small": Preset(
            NASBench201Space(channels=16, cells=1, input_shape=(3, 32, 32)),
            _SEARCH,
            SMALL_FINAL,
            {"candidates": 50},
            supernet=_FAST,
            about="three cells on pictures of 16x16 and more, on a small machine",
            adapts=True,
        ),
        "digits": Preset(
            NASBench201Space(channels=8, cells=1, input_shape=(1, 8, 8)),
            _SEARCH_DIGITS,
            DIGITS_FINAL,
            {"candidates": 50},
            supernet=_FAST,
            about="three cells on 8x8 pictures, in minutes",
            adapts=True,
        ),
        "cifar10": Preset(
            NASBench201Space(),
            RECIPES["setn-search"],
            RECIPES["darts"],
            about="as the authors' code has it for NAS-Bench-201; half of the images for the evaluator "
            "(--validation 0.5)",
        ),
    },
)

# ---- FairNAS and PC-NAS: one space ----------------------------------------------------------------------------------

_CHAIN = FairNASSpace(
    (24, 40, 80), (2, 3, 3), (1, 2, 2), 16, False, 16, 256, 0.0, input_shape=(3, 32, 32), outputs=10
)  # fmt: skip
_CHAIN_DIGITS = FairNASSpace((16, 32), (2, 3), (1, 2), 16, False, 16, 128, 0.0, input_shape=(1, 8, 8), outputs=10)
FAIRNAS = System(
    name="fairnas",
    about="chains of inverted residuals: in each step of a supernet every choice is trained once; then NSGA-II",
    paper="Chu, Zhang and Xu 2021, FairNAS: Rethinking Evaluation Fairness of Weight Sharing Neural Architecture "
    "Search, arXiv:1907.01845",
    strategy="nsga2",
    supernet="fair",
    costs=("multiply_adds", "parameters"),
    presets={
        "small": Preset(
            _CHAIN,
            replace(_SEARCH, epochs=8, warmup=1),  # a step is as long as six of a single path
            SMALL_FINAL,
            {"population": 20, "generations": 9},
            about="eight layers on pictures of 16x16 and more, on a small machine",
            adapts=True,
        ),
        "digits": Preset(
            _CHAIN_DIGITS,
            replace(_SEARCH_DIGITS, epochs=40, warmup=2),
            DIGITS_FINAL,
            {"population": 20, "generations": 9},
            about="five layers on 8x8 pictures, in minutes",
            adapts=True,
        ),
        "imagenet": Preset(
            FairNASSpace(),
            RECIPES["fairnas-search"],
            RECIPES["mnasnet"],
            {"population": 64, "generations": 20},
            about="nineteen layers on pictures of 224x224, as published; the recipes are from memory and MnasNet's",
        ),
    },
)
PC_NAS = System(
    name="pc-nas",
    about="chains of inverted residuals: the networks that share weights become fewer, layer by layer",
    paper="Li et al. 2020, Improving One-Shot NAS by Suppressing the Posterior Fading, arXiv:1910.02543",
    strategy="given",
    supernet="shrinking",
    presets={
        "small": Preset(
            _CHAIN,
            _SEARCH,
            SMALL_FINAL,
            supernet={"interval": 2},
            about="eight layers on pictures of 16x16 and more, on a small machine",
            adapts=True,
        ),
        "digits": Preset(
            _CHAIN_DIGITS,
            _SEARCH_DIGITS,
            DIGITS_FINAL,
            supernet={"interval": 25},
            about="five layers on 8x8 pictures, in minutes",
            adapts=True,
        ),
        "imagenet": Preset(
            FairNASSpace(),
            RECIPES["fairnas-search"],
            RECIPES["mnasnet"],
            supernet={"interval": 5},
            about="nineteen layers on pictures of 224x224; pool, intervals and recipes of the paper are not known",
        ),
    },
)

# ---- NSAS -----------------------------------------------------------------------------------------------------------

NSAS = System(
    name="nsas",
    about="cells of two nodes' sums: a step also keeps the losses of a few, diverse genomes low; then random search",
    paper="Zhang et al. 2020, Overcoming Multi-Model Forgetting in One-Shot NAS with Diversity Maximization, CVPR",
    strategy="sampling",
    supernet="nsas",
    toolbox=uniform_toolbox,
    presets={
        "small": Preset(
            DARTSSpace(layers=5, channels=8),
            replace(_SEARCH, epochs=15, warmup=1),
            SMALL_FINAL,
            {"evaluations": 50},
            supernet={"constraints": 2},
            about="five cells on pictures of 16x16 and more, on a small machine",
            adapts=True,
        ),
        "digits": Preset(
            DARTSSpace(layers=3, channels=8, input_shape=(1, 8, 8)),
            replace(_SEARCH_DIGITS, epochs=30, warmup=2),
            DIGITS_FINAL,
            {"evaluations": 50},
            supernet={"constraints": 2},
            about="three cells on 8x8 pictures, in minutes",
            adapts=True,
        ),
        "cifar10": Preset(
            DARTSSpace(layers=20, channels=36),
            RECIPES["nsas-search"],
            RECIPES["darts"],
            {"evaluations": 50},
            supernet={"supernet_layers": 8, "supernet_channels": 16},
            about="as published; half of the images to judge genomes by (--validation 0.5)",
        ),
    },
)
