"""A trained network as a folder: what it is, its weights, and what goes in.

training.json         code, the task's first metric on the test split, recipe, data, ...
graph.json            the architecture, as `Graph.to_json` gives it
weights.safetensors   weights and statistics, by name
preprocessing.json    mean and std of each channel, the value of one step of a file's pixels, whether values are whole
                      numbers, class names; the network takes (x - mean) / std
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from evonas.errors import UserError
from evonas.graph import Graph
from evonas.support.files import read_json, write_bytes, write_json
from evonas.support.schema import VERSION, check_version, checked
from evonas.support.text import shown, words

if TYPE_CHECKING:
    from torch import nn


class Facts(Struct):
    """training.json, as far as every one has it."""

    schema: int
    code: str
    metric: str
    epochs: int
    trained_on: str
    recipe: dict[str, Any]
    data: str | None
    precision: str
    id: int | None = None


class Preprocessing(Struct):
    """preprocessing.json: what an input becomes, and what the outputs are called; None: they are plain numbers."""

    mean: list[float] | None
    std: list[float] | None
    pixel: float | None
    whole: bool
    classes: list[str] | None


def keep(folder: Path, *, weights: bytes, graph: Graph, preprocessing: dict[str, Any], facts: dict[str, Any]) -> None:
    """Write a folder. Raises RunError where it cannot be written."""
    write_json(folder / "graph.json", graph.to_json())
    write_json(folder / "preprocessing.json", preprocessing)
    write_bytes(folder / "weights.safetensors", weights)
    write_json(folder / "training.json", {"schema": VERSION} | facts)  # the last one: with it the folder is whole


@dataclass(frozen=True)
class TrainedNetwork:
    """`facts` is training.json; `preprocessing` has mean, std and classes."""

    folder: Path
    graph: Graph
    facts: dict[str, Any]
    preprocessing: dict[str, Any]

    def __repr__(self) -> str:
        return f"<{self.facts['code']}, {shown(self.metric, self.test)} test {words(self.metric)}, in {self.folder}>"

    @staticmethod
    def exists(folder: Path) -> bool:
        return (folder / "training.json").exists() and (folder / "weights.safetensors").exists()

    @classmethod
    def open(cls, folder: Path | str) -> TrainedNetwork:
        """Raises UserError where the folder holds no trained network."""
        folder = Path(folder)
        try:
            facts = read_json(folder / "training.json")
            check_version(facts, str(folder))
            checked(facts, Facts, str(folder / "training.json"))
            preprocessing = read_json(folder / "preprocessing.json")
            checked(preprocessing, Preprocessing, str(folder / "preprocessing.json"))
            return cls(folder, Graph.from_json(read_json(folder / "graph.json")), facts, preprocessing)
        except FileNotFoundError:
            if (folder / "request.json").exists():
                raise UserError(f"{folder} holds a training that has not ended; go on with the same 'evonas train' and "
                                "--resume") from None  # fmt: skip
            raise UserError(f"{folder} holds no trained network; train one with 'evonas train'") from None

    @property
    def metric(self) -> str:
        """The name of the task's first metric."""
        return self.facts["metric"]

    @property
    def test(self) -> float:
        """Its value on the test split."""
        return self.facts[f"test_{self.metric}"]

    def network(self, *, trust: bool = False) -> nn.Module:
        """The network with its weights, on the CPU, in evaluation mode.

        forward takes (x - mean) / std as float32 (B, C, H, W) and gives logits (B, classes).

        trust   run the source that the folder has of operations whose classes are not known here; else they are a
                UserError
        """
        from safetensors.torch import load_file

        from evonas.network import build

        network = build(self.graph, trust=trust)
        network.load_state_dict(load_file(self.folder / "weights.safetensors"))
        return network.eval()
