"""Small spaces, policies and a bench of three classes, for tests of searches that train a supernet."""

from dataclasses import replace

import torch

from evonas.data.sources import Source
from evonas.evaluation import Candidate
from evonas.genomes.darts import DARTSSpace
from evonas.genomes.das import DASSpace
from evonas.genomes.fbnet import FBNetSpace
from evonas.genomes.genet import GeNetSpace
from evonas.genomes.mask_connect import MaskConnectSpace
from evonas.genomes.nasbench201 import NASBench201Space
from evonas.genomes.nasbench_macro import NASBenchMacroSpace
from evonas.genomes.proxylessnas import ProxylessNASSpace
from evonas.individual import Individual
from evonas.recipe import Recipe
from evonas.supernets.darts import DARTS
from evonas.supernets.das import DAS
from evonas.supernets.enas import ENAS
from evonas.supernets.fbnet import FBNet
from evonas.supernets.gdas import GDAS
from evonas.supernets.mask_connect import MaskConnect
from evonas.supernets.nsas import GDASNSAS
from evonas.supernets.pc_darts import PCDARTS
from evonas.supernets.proxylessnas import ProxylessNAS
from evonas.supernets.snas import SNAS
from evonas.supernets.training import NO_LIMITS, GivenBench
from evonas.support.streams import stream
from evonas.tasks.classification import ImageClassification
from evonas.tasks.splits import Split

SHAPE = (1, 8, 8)
CELLS = DARTSSpace(3, 4, search=True, input_shape=SHAPE)
SMALL = NASBench201Space(4, 1, SHAPE)
CHAIN = DASSpace((4, 6), (5, 3), (1, 2), (8,), input_shape=SHAPE, outputs=10)
MASKS = MaskConnectSpace((4, 8), 2, fan_in=2, input_shape=SHAPE)
RECIPE = Recipe(epochs=3, batch_size=24, learning_rate=0.05, nesterov=False, weight_decay=3e-4, clip_norm=5)
SPACES = [
    CELLS,
    replace(CELLS, every=True),
    SMALL,
    GeNetSpace((3, 4), (4, 6)),
    NASBenchMacroSpace((1, 1), 4, 8, SHAPE),
]
POLICIES = {
    "darts": DARTS,
    "darts 2nd": lambda space, **settings: DARTS(space, second_order=True, **settings),
    "snas": lambda space, **settings: SNAS(space, resource=1e-3, **settings),
    "gdas": GDAS,
    "enas": lambda space, **settings: ENAS(space, steps=2, samples=4, candidates=3, **settings),
    "gdas-nsas": lambda space, **settings: GDASNSAS(space, constraints=2, **settings),
    "mask-connect": MaskConnect,
    "das": lambda space, **settings: DAS(space, patterns=2, eta=1e-4, **settings),
    "pc-darts": lambda space, **settings: PCDARTS(space, beginning=1, **settings),
    "fbnet": lambda space, **settings: FBNet(space, **({"beginning": 1, "unit": 1e-3} | settings)),
    "proxylessnas": lambda space, **settings: ProxylessNAS(
        space, **({"beginning": 1, "interval": 1, "unit": 1e-3, "reference": 0.05} | settings)
    ),
}
LAYERS = FBNetSpace((8, 12), (1, 2), (1, 2), 8, False, 0, 16, 0.0, SHAPE, 3)
BLOCKS = ProxylessNASSpace((4, 8), (2, 2), (1, 2), 4, False, 4, 8, 0.0, SHAPE, 3)


def images(count, device, seed=0):
    """Three classes that a network can tell apart, the same ones on every device."""
    draws = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 3
    x = torch.randn(count, *SHAPE, generator=draws)
    x[:, :, 2:5, 2:5] += 2.0 * (labels[:, None, None, None] - 1)
    return Split(x.to(device), labels.to(device), ImageClassification(Source("digits")))


def bench(device, recipe=RECIPE, seed=0, limits=NO_LIMITS):
    return GivenBench(images(96, device), images(48, device, 1), recipe, seed, limits=limits)


def batch(device, count=16):
    """Images of noise with a label each."""
    return torch.randn(count, *SHAPE, device=device), torch.arange(count, device=device) % 3


def policy(kind, space, seed=0, **settings):
    return POLICIES[kind](space, rng=stream(seed, "policy"), **settings)


def prepared(search, device, folder=None, recipe=RECIPE, first=()):
    """A search that is ready to propose, as a run makes it."""
    search = search.begin_with([Individual(genome) for genome in first])
    search.prepare(bench(device, recipe), folder)
    return search


def judged(search, individual):
    """The outcome of what a search has proposed."""
    return search.evaluator(None)(Candidate(individual, search.policy.space, proposal=individual.proposal))


def run(search, epochs=100):
    found = []
    while len(found) < epochs and (proposed := search.generate(1)):
        found += proposed
    return found
