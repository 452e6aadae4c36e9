"""AmoebaNet as a system: NASNet cells by aging evolution (Real et al. 2019, arXiv:1802.01548), and published cells."""

from __future__ import annotations

from dataclasses import replace

from evonas.genomes.nasnet import NASNetSpace
from evonas.operators.amoebanet import toolbox
from evonas.recipe import DIGITS_FINAL, DIGITS_RECIPE, RECIPES, SMALL_FINAL, SMALL_RECIPE
from evonas.systems.system import Preset, System

_DIGITS, _SMALL = replace(DIGITS_RECIPE, clip_norm=5), replace(SMALL_RECIPE, clip_norm=5)
_PAPER = RECIPES["amoebanet"]

AMOEBANET = System(
    name="amoebanet",
    about="NASNet cells, normal and reduction; the oldest of a population dies",
    paper="Real et al. 2019, Regularized Evolution for Image Classifier Architecture Search, arXiv:1802.01548",
    strategy="aging",
    toolbox=toolbox,
    presets={
        "small": Preset(
            NASNetSpace(normals=1, channels=8),
            _SMALL,
            SMALL_FINAL,
            {"population": 20, "sample": 5, "evaluations": 60},
            about="five cells on pictures of 16x16 and more, on a small machine",
            adapts=True,
        ),
        "digits": Preset(
            NASNetSpace(normals=1, channels=8, input_shape=(1, 8, 8)),
            _DIGITS,
            DIGITS_FINAL,
            {"population": 10, "sample": 5, "evaluations": 40},
            about="five cells on 8x8 pictures, in minutes",
            adapts=True,
        ),
        "cifar10": Preset(
            NASNetSpace(normals=3, channels=24),
            replace(_PAPER, epochs=25, drop_path=0.0, auxiliary=0.0),
            _PAPER,
            about="the paper's search: 20,000 trainings of 25 epochs (its final networks have normals=6, channels=32)",
        ),
    },
)
