"""A trained network, changed so that it computes the same with more weights."""

from __future__ import annotations

from collections.abc import Sequence
from os.path import relpath
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from evonas.errors import UserError
from evonas.model.trained import TrainedNetwork, keep
from evonas.morphisms import Heritage, parsed
from evonas.support.streams import stream

if TYPE_CHECKING:
    from torch import Tensor


def edit(
    trained: TrainedNetwork,
    edits: Sequence[str],
    folder: Path,
    *,
    batch: Tensor | None = None,
    noise: float = 0.0,
    seed: int = 0,
    of_run: Path | None = None,
    trust: bool = False,
) -> float:
    """Write the network after these edits, KIND:PLACE:VALUE, into a folder; the largest difference of its outputs from
    those of the network as it was. What is known of its tests goes with it where edits are exact and without noise.

    batch   inputs (B, C, H, W) for which they are compared, and with whose statistics inserted batch norms begin; None:
            noise with the mean and deviation of training inputs
    noise   of what has been copied, as a share of the deviation of its weights
    seed    of which channels are copied
    of_run  the run from which the network is
    trust   run the source that the folder has of operations whose classes are not known here

    Raises UserError where an edit cannot be made, and for a folder that holds something else.
    """
    import torch

    from evonas.morphisms.weights import inherited
    from evonas.network import build
    from evonas.training.weights import saved

    if any((folder / name).exists() for name in ("training.json", "request.json", "config.json")):
        raise UserError(f"{folder} holds something else; choose another folder")
    before = trained.network(trust=trust)
    rng: Random = stream(seed, "edits")
    graph, rewrites, same = trained.graph, [], not noise
    for text in edits:
        change = parsed(text)
        same = same and change.exact(graph)
        rewrites.append(change.apply(graph, rng))
        graph = rewrites[-1].graph
    heritage = Heritage(tuple(rewrites), tuple(edits), noise)
    generator = torch.Generator().manual_seed(seed)
    if batch is None:
        batch = torch.randn(64, *trained.graph.input_shape, generator=generator)
    weights, _ = inherited(heritage, before.state_dict(), lambda graph: build(graph, trust=trust), batch, generator)
    after = build(graph, trust=trust).eval()
    after.load_state_dict(weights)
    with torch.inference_mode():
        difference = (after(batch) - before(batch)).abs().max().item()
    known = {
        name: value
        for name, value in trained.facts.items()
        if name not in ("schema", "checksum", "checksums") and (same or not name.startswith(("test_", "validation_")))
    }
    keep(
        folder,
        weights=saved(after),
        graph=graph,
        preprocessing=trained.preprocessing,
        answers=trained.answers if same else None,
        facts=known
        | {"code": " ".join([trained.facts["code"], *edits])}
        | ({} if of_run is None else {"of_run": relpath(of_run.resolve(), folder.resolve())}),
    )
    return difference
