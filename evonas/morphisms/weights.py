"""The weights of a changed network, from those of its parent."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from evonas.graph import Graph
from evonas.morphisms.channels import NEW, MorphismError
from evonas.morphisms.rewrite import Heritage, Rewrite, Source, Take

HANDING_ON = 0.1  # noise of a layer that hands on what it gets, as a share of that of copies (the code of EAS)


@torch.no_grad()
def carry_over(
    child: nn.Module,
    parent: Mapping[str, Tensor],
    rewrite: Rewrite,
    *,
    noise: float = 0.0,
    generator: torch.Generator | None = None,
) -> None:
    """Give the child, a network of the rewrite's graph as it was built, what its parent had learnt: `parent` is that
    one's state_dict, which is left as it was.

    noise   of copies, so that they do not stay copies: normal, with this share of the deviation of the kernel

    Raises MorphismError where a tensor of the parent is missing or has another shape.
    """
    own = child.state_dict()
    firsts = {source.module: path for path, source in reversed(list(rewrite.sources.items()))}
    for name, tensor in own.items():
        path, source = _source(name, rewrite.sources)
        if source is None:
            tensor.copy_(_of(parent, name, tensor.shape))
        elif source.identity:
            _hand_on(child.get_submodule(path), name[len(path) + 1 :], tensor)
            if noise and tensor.dim() > 1:
                _shake(tensor, HANDING_ON * noise * _deviation(tensor), generator)
        elif source.module is not None:
            rest = name[len(path) + 1 :]
            take = source.tensors.get(rest)
            if take is None:
                tensor.copy_(_of(parent, f"{source.module}.{rest}", tensor.shape))
                if noise and firsts[source.module] != path and tensor.dim() > 1:  # a copy of the whole
                    _shake(tensor, noise * _deviation(tensor), generator)
            else:
                _take(tensor, _of(parent, f"{source.module}.{rest}"), take)
                if noise and take.rows is not None and tensor.dim() > 1:
                    deviation = noise * _deviation(tensor)
                    for row in _copies(take.rows.tolist()):
                        _shake(tensor[row], deviation, generator)


def _source(name: str, sources: Mapping[str, Source]) -> tuple[str, Source | None]:
    """The module to which a tensor belongs, and where that comes from."""
    path = name
    while "." in path:
        path = path.rpartition(".")[0]
        if path in sources:
            return path, sources[path]
    return "", None


def _of(parent: Mapping[str, Tensor], name: str, shape: Sequence[int] | None = None) -> Tensor:
    if name not in parent:
        raise MorphismError(f"the network that was changed has no tensor {name}; these are the weights of another one")
    if shape is not None and parent[name].shape != torch.Size(shape):
        raise MorphismError(f"{name} has the shape {tuple(parent[name].shape)} and not {tuple(shape)}; these are the "
                            "weights of another network")  # fmt: skip
    return parent[name]


def _take(tensor: Tensor, parent: Tensor, take: Take) -> None:
    """Fill a tensor with slices of the parent's; what is new stays as drawn, or is read as nothing."""
    for axis, index in enumerate((take.rows, take.columns)):
        if index is not None and index.max() >= parent.shape[axis]:
            raise MorphismError(f"a tensor of the shape {tuple(parent.shape)} has no channel {index.max() + 1}; these "
                                "are the weights of another network")  # fmt: skip
    drawn = tensor.clone()
    rows = torch.arange(parent.shape[0]) if take.rows is None else torch.from_numpy(take.rows)
    taken = parent[rows.clamp_min(0)].to(tensor.dtype)
    if take.columns is not None:
        columns = torch.from_numpy(take.columns)
        taken = taken[:, columns.clamp_min(0)]
        if take.reads == "share":
            counts = torch.bincount(columns[columns >= 0], minlength=parent.shape[1])
            taken = taken / counts[columns.clamp_min(0)].view(1, -1, *[1] * (taken.dim() - 2))
        taken[:, columns == NEW] = drawn[:, columns == NEW] if take.reads == "drawn" else 0
    if taken.shape != tensor.shape:
        raise MorphismError(f"a tensor of the shape {tuple(tensor.shape)} cannot be made of one of the shape "
                            f"{tuple(parent.shape)}; these are the weights of another network")  # fmt: skip
    tensor.copy_(taken)
    tensor[rows == NEW] = drawn[rows == NEW]


def _copies(rows: Sequence[int]) -> list[int]:
    """The places of all but the first of equal rows, without new ones."""
    first = {row: place for place, row in reversed(list(enumerate(rows)))}
    return [place for place, row in enumerate(rows) if row != NEW and first[row] != place]


def _deviation(tensor: Tensor) -> float:
    return tensor.std().item() if tensor.numel() > 1 else 0.0


def _shake(tensor: Tensor, deviation: float, generator: torch.Generator | None) -> None:
    tensor += deviation * torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype)


def _hand_on(module: nn.Module, name: str, tensor: Tensor) -> None:
    """A tensor of a module that does nothing."""
    if isinstance(module, nn.BatchNorm2d):
        tensor.copy_({  # y = gamma * (x - mean) / sqrt(var + eps) + beta = x
            "weight": torch.full_like(tensor, math.sqrt(1 + module.eps)),
            "bias": torch.zeros_like(tensor),
            "running_mean": torch.zeros_like(tensor),
            "running_var": torch.ones_like(tensor),
            "num_batches_tracked": torch.zeros_like(tensor),
        }[name])  # fmt: skip
        return
    tensor.zero_()
    if name == "weight":
        for side in reversed(tensor.shape[2:]):
            tensor = tensor[..., side // 2]
        channels = torch.arange(len(tensor))
        tensor[channels, channels % tensor.shape[1]] = 1  # each sees its own, the only one of its group if depthwise


def inherited(
    heritage: Heritage,
    parent: Mapping[str, Tensor],
    make: Callable[[Graph], nn.Module],
    batch: Tensor,
    generator: torch.Generator,
) -> tuple[Mapping[str, Tensor], int]:
    """The weights that come from a parent's by one change after the other, and how many tensors of them do: `make`
    builds the network of a graph, with weights of its own for what is new.

    batch   of inputs, with whose statistics inserted batch norms begin
    """
    norms: list[str] = []
    new: set[str] = set()
    for rewrite in heritage.rewrites:
        network = make(rewrite.graph)
        carry_over(network, parent, rewrite, noise=heritage.noise, generator=generator)
        parent = network.state_dict()
        names = {source.module: path for path, source in rewrite.sources.items() if source.module is not None}
        fresh = {path: source for path, source in rewrite.sources.items() if source.module is None}
        own = {name.rpartition(".")[0] for name in parent}  # what has no tensors may be shared, and have another name
        norms = [names.get(path, path) for path in norms]
        norms += [path for path in fresh if path in own and _is_norm(network, path)]
        new = {names.get(path, path) for path in new} | set(fresh)
    if norms:
        calibrate(network, norms, batch)
    return parent, sum(not any(name.startswith(f"{path}.") for path in new) for name in parent)


def _is_norm(network: nn.Module, path: str) -> bool:
    return isinstance(network.get_submodule(path), nn.BatchNorm2d)


@torch.no_grad()
def calibrate(network: nn.Module, paths: Iterable[str], batch: Tensor) -> None:
    """Batch norms that do nothing, by the statistics of what they get of a batch (B, C, H, W), so that in training they
    begin near what they will come to:

        running_mean = beta = mean,    running_var = var,    gamma = sqrt(var + eps)

    (Chen, Goodfellow and Shlens 2016, section 3.2). In evaluation mode the network computes what it did.
    """
    norms = [network.get_submodule(path) for path in paths]
    seen: dict[int, Tensor] = {}
    hooks = [norm.register_forward_pre_hook(lambda norm, given: seen.update({id(norm): given[0]})) for norm in norms]
    training = network.training
    network.eval()(batch)
    network.train(training)
    for hook, norm in zip(hooks, norms, strict=True):
        hook.remove()
        assert isinstance(norm, nn.BatchNorm2d), "what was inserted to normalise"
        assert norm.running_mean is not None, "it has"
        assert norm.running_var is not None, "statistics"
        variance, mean = torch.var_mean(seen[id(norm)], (0, 2, 3), correction=0)
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.bias.copy_(mean)
        norm.weight.copy_((variance + norm.eps).sqrt())
