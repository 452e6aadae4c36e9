"""A training step whose gradients are laid out as their tensors, against one that leaves them as views; one thread.

python benchmarks/layouts.py
"""

from functools import partial

import torch
import torch.nn.functional as F
from paired import interleaved, sized

from evonas import modules, network
from evonas.network import build
from evonas.support.streams import stream
from evonas.systems.registry import system

ROUNDS = sized(9, 1)
DENSE = modules.DenseGradient


class Views:
    """What stands in for `DenseGradient`: nothing."""

    @staticmethod
    def apply(x: torch.Tensor) -> torch.Tensor:
        return x


def step(net: torch.nn.Module, x: torch.Tensor, gradient: type) -> None:
    modules.DenseGradient = network.DenseGradient = gradient
    net.zero_grad(set_to_none=True)
    F.cross_entropy(net(x), torch.zeros(len(x), dtype=torch.int64)).backward()


def main() -> None:
    torch.set_num_threads(1)
    x = torch.randn(64, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    for name in ("amoebanet", "darts", "nsga-net", "hierarchical"):
        space = system(name).preset("small").space
        graph = space.decode(space.random(stream(0, "x")))
        net = build(graph.simplified(training=True)).to(memory_format=torch.channels_last)
        programs = {"dense": partial(step, net, x, DENSE), "views": partial(step, net, x, Views)}
        times = interleaved(programs, rounds=ROUNDS)
        print(f"{name}: {times.ratio('dense', 'views')} of the time with views", flush=True)


if __name__ == "__main__":
    main()
