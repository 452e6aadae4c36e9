"""A teacher on its way to where networks are trained: a trained network in a file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from evonas.errors import UserError
from evonas.evaluation.parcel import Parcel, facts_in
from evonas.evaluation.store import stored
from evonas.graph import Graph
from evonas.tasks.task import Task

if TYPE_CHECKING:
    from torch import Tensor

    from evonas.training.distillation import Guide

OPENED = 2  # teachers that a worker keeps


@dataclass(frozen=True)
class Teacher(Parcel):
    """A trained network by which others are trained, in a file named by its checksum.

    text   its graph, as JSON
    value  what it is worth by the task's first metric, on pictures that it has not learnt from
    """

    what: ClassVar[str] = "teacher"

    text: str
    value: float

    @classmethod
    def read(cls, file: Path) -> Teacher:
        """The teacher of a file. Raises WeightsLost where it is missing, or not what it was."""
        facts = facts_in(stored(file))
        return cls(file, file.stem, facts["graph"], facts["value"])

    @property
    def graph(self) -> Graph:
        return _graph(self.text)

    def guide(self, task: Task, device: str) -> Guide:
        """The network, ready to be imitated on this device, as every training of this process has it. Raises
        WeightsLost where it cannot be read."""
        return _opened(self, task, device)

    def check(self, task: Task) -> None:
        """Raises UserError where it cannot teach what is to be learnt."""
        shapes, wanted = (self.graph.input_shape, self.graph.output_shape), (task.input_shape, task.output_shape)
        if shapes != wanted:
            raise UserError(f"the teacher maps {shapes[0]} to {shapes[1]}, but the data have inputs of {wanted[0]} and "
                            f"outputs of {wanted[1]}; give a teacher that was trained on such data")  # fmt: skip
        pixels = facts_in(self.fetched())["pixel"], task.preprocessing()["pixel"]
        if (pixels[0] is None) != (pixels[1] is None):
            raise UserError("the values of the teacher's data may have another unit than those of these data, since of "
                            "one of them it is not known what a pixel of a picture file is; give both as such files, "
                            "or as arrays with values from 0 to 255, or from 0 to 1")  # fmt: skip


@lru_cache(maxsize=OPENED)
def _graph(text: str) -> Graph:
    """Kept here and not in a teacher, which travels with every training."""
    return Graph.from_json(json.loads(text))


@lru_cache(maxsize=OPENED)
def _opened(teacher: Teacher, task: Task, device: str) -> Guide:
    import torch
    from safetensors.torch import load

    from evonas.network import build
    from evonas.scheduled import finished
    from evonas.training.distillation import Guide

    content = teacher.fetched()
    network = finished(build(teacher.graph))
    network.load_state_dict(load(content))
    network.to(device=torch.device(device), memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Guide(network, _affine(facts_in(content), task.preprocessing(), device))  # type: ignore[arg-type]


def _affine(theirs: dict[str, Any], own: dict[str, Any], device: str) -> tuple[Tensor, Tensor] | None:
    """What makes of an image that was normalised for this task one that was normalised for the teacher's."""
    import torch

    if all(theirs[name] == own[name] for name in ("mean", "std", "pixel")):
        return None
    unit = (theirs["pixel"] or 1.0) / (own["pixel"] or 1.0)  # of theirs, in one of ours
    mean, std, other_mean, other_std = (
        torch.tensor([default] if each is None else each, dtype=torch.float32, device=device).view(-1, 1, 1)
        for each, default in ((own["mean"], 0.0), (own["std"], 1.0), (theirs["mean"], 0.0), (theirs["std"], 1.0))
    )
    return unit * std / other_std, (unit * mean - other_mean) / other_std


def packed(weights: bytes, graph: Graph, value: float, preprocessing: dict[str, Any]) -> bytes:
    """A teacher as a file: the weights of a network as it is built of its graph, and what is known of it."""
    from safetensors.torch import load, save

    facts = {
        "graph": json.dumps(graph.to_json()),
        "value": value,
        "mean": preprocessing["mean"],
        "std": preprocessing["std"],
        "pixel": preprocessing["pixel"],
    }
    return save(load(weights), {"evonas": json.dumps(facts)})
