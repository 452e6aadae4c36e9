"""What holds for every space whose genomes can be left open: a network is its route through the supernet."""

import pytest
import torch
from devices import agree

from evonas.gates import Is
from evonas.genomes.darts import DARTSSpace
from evonas.genomes.enas import ENASMicroSpace
from evonas.genomes.enas_macro import ENASMacroSpace
from evonas.genomes.genet import GeNetSpace
from evonas.genomes.mask_connect import MaskConnectSpace
from evonas.genomes.nasbench201 import NASBench201Space
from evonas.genomes.nasbench_macro import NASBenchMacroSpace
from evonas.genomes.one_shot import OneShotSpace
from evonas.graph import INPUT, Draft
from evonas.network import build, extract
from evonas.operations import Convolution, GlobalAveragePool, Linear, Zero
from evonas.support.streams import stream

SHAPE = (3, 8, 8)
SPACES = [
    GeNetSpace((3, 4), (4, 6), input_shape=SHAPE, dense=12, dropout=0.3),
    NASBench201Space(4, 1, SHAPE),
    NASBenchMacroSpace((1, 1), 4, 8, SHAPE),
    NASBench201Space(4, 1, SHAPE, partial=2),
    DARTSSpace(3, 4, search=True, input_shape=SHAPE),
    ENASMicroSpace(1, 4, 3, search=True, input_shape=SHAPE),
    ENASMacroSpace(4, 4, search=True, input_shape=SHAPE),
    DARTSSpace(3, 4, search=True, every=True, input_shape=SHAPE),
    DARTSSpace(3, 8, search=True, partial=4, input_shape=SHAPE),
    OneShotSpace(3, 4, 3, input_shape=SHAPE),
    MaskConnectSpace((4, 8), 2, fan_in=2, input_shape=SHAPE),
    MaskConnectSpace((4, 8), 2, fan_in=2, cardinality=3, inner=2, input_shape=SHAPE),
]
every_space = pytest.mark.parametrize(
    "space",
    [*SPACES[:5], *(pytest.param(space, marks=pytest.mark.slow) for space in SPACES[5:])],
    ids=lambda space: f"{space.name}{getattr(space, 'every', False) * ' every'}{getattr(space, 'partial', 1)}",
)


def genomes(space, count=100):
    """The first and the last option of every decision, and random ones."""
    ends = []
    for which in (0, -1):
        genome = ()
        while (decision := space.next(genome)) is not None:
            genome += (decision.options[which],)
        ends.append(genome)
    return ends + [space.random(stream(seed, "route")) for seed in range(count - 2)]


def trained(space, device):
    """A supernet whose statistics are not those of a fresh one."""
    supernet = build(space.decode(space.open())).to(device)
    for genome in genomes(space, 6)[2:]:
        supernet(torch.randn(8, *SHAPE, device=device), space.route(genome))
    return supernet


@every_space
def test_the_network_of_a_genome_equals_the_supernet_on_its_route_bitwise(space, device):
    supernet, images = trained(space, device).eval(), torch.randn(2, *SHAPE, device=device)
    with torch.inference_mode():
        for genome in genomes(space):
            alone = extract(supernet, space.decode(genome)).to(device)
            assert not alone.training
            assert agree(supernet(images, space.route(genome)), alone(images), device), space.format(genome)


@every_space
def test_a_one_hot_soft_route_equals_the_hard_one_bitwise(space, device):
    supernet, images = trained(space, device).eval(), torch.randn(2, *SHAPE, device=device)
    with torch.inference_mode():
        for genome in genomes(space, 20):
            hard, options = space.route(genome), {d.name: d.options for d in space.decisions(genome)}
            expected = supernet(images, hard)
            sparse = hard | {name: {hard[name]: 1.0} for name in options}
            zero, one = torch.tensor(0.0, device=device), torch.tensor(1.0, device=device)
            dense = hard | {name: {o: one if o == hard[name] else zero for o in options[name]} for name in options}
            assert agree(supernet(images, sparse), expected, device)
            assert agree(supernet(images, dense), expected, device)


def test_what_follows_a_zero_may_give_something_else():
    draft = Draft(SHAPE)
    one = draft.candidate("a/one", INPUT, Is("a", "one"), Convolution(3))
    other = draft.candidate("a/other", INPUT, Is("a", "other"), Zero(), Convolution(3, bias=True))
    draft.node("sum", [one, other], GlobalAveragePool(), Linear(2))
    supernet = build(draft.graph())
    with torch.no_grad():
        supernet.a.other.conv.bias.fill_(1.0)
        images, half = torch.randn(2, *SHAPE), {"a": {"one": 0.5, "other": 0.5}}
        alone = supernet(images, {"a": {"one": 0.5}})
        assert not torch.allclose(supernet(images, half), alone)


@every_space
def test_a_training_step_on_a_hard_route_leaves_everything_else_unchanged(space, device):
    supernet, genome = trained(space, device), space.random(stream(3, "route"))
    alone = build(space.decode(genome))
    own = set(alone.state_dict())
    learned = {name for name, _ in alone.named_parameters()}
    before = {name: tensor.clone() for name, tensor in supernet.state_dict().items()}
    optimizer = torch.optim.SGD(supernet.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    optimizer.zero_grad(set_to_none=True)
    supernet(torch.randn(8, *SHAPE, device=device), space.route(genome)).square().sum().backward()
    optimizer.step()
    assert {name for name, weights in supernet.named_parameters() if weights.grad is not None} == learned
    for name, tensor in supernet.state_dict().items():
        if name not in own:
            assert torch.equal(tensor, before[name]), name
    assert any(not torch.equal(supernet.state_dict()[name], before[name]) for name in own)
