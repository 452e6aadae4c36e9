"""PC-DARTS: a part of the channels, and a weight for each edge (Xu et al. 2020)."""

from dataclasses import replace

import pytest
import torch
from benches import CELLS, SHAPE, policy, prepared, run
from devices import agree

from evonas.errors import UserError
from evonas.genomes.darts import OPERATIONS, DARTSSpace
from evonas.genomes.genet import GeNetSpace
from evonas.network import build
from evonas.supernets.pc_darts import PCDARTS
from evonas.supernets.search import SupernetSearch
from evonas.support.streams import stream


def test_pc_darts_search_network_on_imagenet_has_the_size_in_the_authors_log():
    space = DARTSSpace(8, 16, "imagenet", search=True, partial=2, input_shape=(3, 224, 224), outputs=1000)
    assert space.decode(space.open()).parameters == 956_512


def test_without_partial_channels_and_edge_weights_pc_darts_is_darts(device):
    plain, edged = policy("darts", CELLS).to(device), PCDARTS(CELLS, rng=stream(0, "policy")).to(device)
    assert torch.equal(plain.alpha, edged.alpha)
    edged.scaled = edged.probabilities
    supernet, x = build(CELLS.decode(CELLS.open())).to(device), torch.randn(4, *SHAPE, device=device)
    with torch.no_grad():
        assert agree(supernet(x, plain.route()), supernet(x, edged.route()), device)


def test_channels_that_go_by_are_copied_and_shuffled():
    space = DARTSSpace(1, 8, search=True, partial=4, input_shape=SHAPE)
    graph = space.decode(space.open())
    shuffle = next(node for node in graph.nodes if node.name.endswith("2-0/joined"))
    assert shuffle.combine == "concat"
    network = build(graph)
    module = network.get_submodule(shuffle.name.replace("/", "."))[-1]
    x = torch.arange(8.0).view(1, 8, 1, 1)
    assert module(x).flatten().tolist() == [0, 2, 4, 6, 1, 3, 5, 7]


def test_bypassing_channels_come_through_to_the_bit(device):
    space = DARTSSpace(3, 8, search=True, partial=4, input_shape=SHAPE)
    supernet = build(space.decode(space.open())).to(device).eval()
    seen = {}
    for path in ("cell0.2-0.first", "cell0.2-0.rest", "cell0.2-0.joined"):
        supernet.get_submodule(path).register_forward_hook(lambda m, args, out, path=path: seen.update({path: out}))
    genome = space.genome(space.genotype_of("PC_DARTS_cifar"))
    with torch.inference_mode():
        supernet(torch.randn(2, *SHAPE, device=device), space.route(genome))
    joined = seen["cell0.2-0.joined"].unflatten(1, (2, 4)).transpose(1, 2).flatten(1, 2)  # shuffled back
    assert torch.equal(joined[:, 2:], seen["cell0.2-0.rest"])


def test_edge_weights_of_a_node_sum_to_one_and_are_shared_by_the_cells_of_a_kind(device):
    space = DARTSSpace(3, 8, search=True, partial=4, input_shape=SHAPE)
    chosen = PCDARTS(space, rng=stream(0, "pc")).to(device)
    with torch.no_grad():
        chosen.beta.normal_()
    for of in chosen.edges().values():
        assert sum(of.values()).item() == pytest.approx(1.0, abs=1e-6)
    assert len(chosen.edges()) == 8


def test_constant_edge_weights_derive_what_alpha_alone_does(device):
    space = DARTSSpace(3, 8, search=True, partial=4, input_shape=SHAPE)
    edged = PCDARTS(space, rng=stream(0, "pc")).to(device)
    with torch.no_grad():
        edged.alpha.copy_(torch.randn(edged.alpha.shape, generator=torch.Generator().manual_seed(1)))
        edged.beta.fill_(0.3)
        alone = space.likeliest(edged._with_closed(edged.probabilities()))
        assert edged.derive(None) == alone
        edged.beta[2:5] = torch.tensor([0.0, 9.0, 0.0], device=device)  # into normal/3
    assert edged.weights()["normal/3<-1"][OPERATIONS[4]] > edged.weights()["normal/3<-0"][OPERATIONS[4]]


def kept_for_gradients(space, route):
    """The bytes of what autograd keeps of a forward pass through a supernet, weights apart."""
    supernet, found = build(space.decode(space.open())), {}
    weights = {weight.untyped_storage().data_ptr() for weight in supernet.parameters()}
    held = []  # so that no storage is freed and another one takes its place

    def keep(tensor):
        held.append(tensor)
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            found[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        supernet(torch.randn(4, *SHAPE), route)
    return sum(found.values())


def test_partial_channels_keep_less_of_a_forward_pass_than_all_channels():
    """The activations inside the operations fall to 1/K; what goes by, and what follows, does not."""
    whole = DARTSSpace(3, 8, search=True, input_shape=SHAPE)
    of_all = kept_for_gradients(whole, policy("darts", whole).route())
    shares = []
    for k in (2, 4):
        space = replace(whole, partial=k)
        shares.append(kept_for_gradients(space, PCDARTS(space, rng=stream(0, "pc")).route()) / of_all)
    assert shares == [pytest.approx(0.57, abs=0.03), pytest.approx(0.34, abs=0.03)]


def test_alpha_and_beta_rest_in_the_first_epochs(device):
    space = DARTSSpace(3, 8, search=True, partial=4, input_shape=SHAPE)
    chosen = PCDARTS(space, rng=stream(0, "pc"), beginning=2)
    search = prepared(SupernetSearch(chosen), device)
    before = [parameter.detach().clone() for parameter in chosen.parameters()]
    run(search, 2)
    assert all(torch.equal(a, b) for a, b in zip(before, chosen.parameters(), strict=True))
    run(search, 1)
    assert not any(torch.equal(a, b) for a, b in zip(before, chosen.parameters(), strict=True))
    with pytest.raises(UserError, match="weighs edges"):
        PCDARTS(GeNetSpace(), rng=stream(0, "pc"))
