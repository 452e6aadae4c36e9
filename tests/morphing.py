"""What tests of changed networks have in common."""

import torch

TOLERANCE = 1e-12  # of the largest output, in float64


def settled(network, seed=2):
    """The network as after a training: statistics, scales, shifts and biases are not those that it was made with."""
    draws = torch.Generator().manual_seed(seed)
    network.double().eval()
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if name.endswith("running_var"):
                tensor.copy_(torch.rand(tensor.shape, generator=draws, dtype=tensor.dtype) + 0.5)
            elif tensor.dim() == 1:
                tensor.copy_(torch.randn(tensor.shape, generator=draws, dtype=tensor.dtype) + name.endswith("weight"))
    return network


def images(graph, seed=5):
    draws = torch.Generator().manual_seed(seed)
    return torch.randn(3, *graph.input_shape, generator=draws, dtype=torch.float64)


@torch.no_grad()
def outputs(network, graph):
    return network.eval()(images(graph))


def deviation(after, before):
    return ((after - before).abs().max() / before.abs().max().clamp_min(1)).item()
