"""The chains of SPOS and FairNAS: published networks, codes, and supernets that hold every network exactly."""

from random import Random

import pytest
import torch

from evonas.errors import UserError
from evonas.genomes.fairnas import PUBLISHED, FairNASSpace
from evonas.genomes.spos import SPOSSpace
from evonas.network import build
from evonas.space import CodeError

RELEASED = (2, 1, 0, 1, 2, 0, 2, 0, 2, 0, 2, 3, 0, 0, 0, 0, 3, 2, 3, 3)
BLOCKS = SPOSSpace((2, 2), (16, 32), 8, False, 16, 0.0, input_shape=(1, 8, 8), outputs=10)
CHAIN = FairNASSpace((8, 16), (2, 2), (1, 2), 8, False, 8, 16, 0.0, input_shape=(1, 8, 8), outputs=10)


def test_the_released_network_of_spos_has_its_published_counts():
    """3.5 M parameters and 323 M multiply-adds; the first number is that of the authors' network to the unit."""
    space = SPOSSpace()
    graph = space.decode(RELEASED)
    assert graph.parameters == 3_558_464
    assert graph.multiply_adds == 322_918_720
    assert space.count() == 4**20
    assert space.format(RELEASED) == "2101 2020 20230000 3233"
    assert space.parse(str(RELEASED)) == space.parse("2101 2020 20230000 3233") == RELEASED


@pytest.mark.parametrize(
    ("name", "parameters", "multiply_adds"),
    [
        ("FairNAS-A", 4_651_352, 388_122_848),
        ("FairNAS-B", 4_506_272, 345_297_632),
        ("FairNAS-C", 4_397_864, 321_024_992),
    ],
)
def test_the_published_networks_of_fairnas_have_their_counts(name, parameters, multiply_adds):
    """388, 345 and 321 M multiply-adds; the parameters are those of the authors' networks to the unit."""
    space = FairNASSpace()
    graph = space.decode(space.parse(name))
    assert (graph.parameters, graph.multiply_adds) == (parameters, multiply_adds)
    assert space.count() == 6**19
    assert space.format(space.parse(name)) == PUBLISHED[name]


@pytest.mark.parametrize("space", [BLOCKS, CHAIN], ids=lambda space: space.name)
def test_a_supernet_gives_what_each_network_gives_with_its_weights(space):
    form = space.supernet
    supernet, rng = build(form.decode(form.open()), seed=0).train(), Random(0)
    x, state = torch.randn(4, 1, 8, 8), supernet.state_dict()
    for _ in range(100):
        genome = space.random(rng)
        own = build(form.decode(genome), seed=1).train()
        own.load_state_dict({name: state[name] for name in own.state_dict()})
        assert torch.equal(own(x), supernet(x, form.route(genome)))
        assert space.parse(space.format(genome)) == genome


def test_norms_of_the_supernet_of_spos_have_no_scale_and_those_of_its_networks_do():
    genome = BLOCKS.random(Random(0))
    norms = BLOCKS.decode(genome).parameters - BLOCKS.supernet.decode(genome).parameters
    assert norms > 0
    assert not [name for name in build(BLOCKS.supernet.decode(genome), seed=0).state_dict() if "norm" in name
                and name.endswith(("weight", "bias"))]  # fmt: skip


@pytest.mark.parametrize(
    ("space", "code", "said"),
    [
        (BLOCKS, "0123 4", "4 digits of 0 to 3"),
        (BLOCKS, "01", "4 digits of 0 to 3"),
        (CHAIN, "e3k3 e4k3 | e3k3 e3k3", "'e4k3' is no layer"),
        (CHAIN, "e3k3", "the genome ends after 1"),
    ],
)
def test_a_faulty_code_is_refused(space, code, said):
    with pytest.raises(CodeError, match=said):
        space.parse(code)


@pytest.mark.parametrize(
    ("make", "wrong"),
    [
        (SPOSSpace, {"channels": (64, 64, 320, 640)}),
        (SPOSSpace, {"channels": (64, 160, 322, 640)}),
        (SPOSSpace, {"repeats": (4, 4)}),
        (SPOSSpace, {"input_shape": (3, 16, 16)}),
        (FairNASSpace, {"depths": (1, 2)}),
        (FairNASSpace, {"strides": (2, 2, 2, 3, 2, 1)}),
        (FairNASSpace, {"input_shape": (3, 8, 8)}),
    ],
)
def test_a_skeleton_that_cannot_be_is_refused(make, wrong):
    with pytest.raises(UserError, match=r"use|give"):
        make(**wrong)
