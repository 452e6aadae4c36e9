"""A trained network as a folder: what it is, its weights, and what goes in.

training.json         code, test accuracy, recipe, data, ...
graph.json            the architecture, as `Graph.to_json` gives it
weights.safetensors   weights and statistics, by name
preprocessing.json    mean and std of each channel, the value of one step of a file's pixels, class names; the network
                      takes (x - mean) / std
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evonas.data.sources import ImageData
from evonas.errors import UserError
from evonas.graph import Graph
from evonas.support.files import read_json, write_bytes, write_json

if TYPE_CHECKING:
    from torch import nn


def keep(folder: Path, *, weights: bytes, graph: Graph, data: ImageData, facts: dict[str, Any]) -> None:
    """Write a folder. Raises RunError where it cannot be written."""
    write_json(folder / "graph.json", graph.to_json())
    preprocessing = {"mean": data.mean, "std": data.std, "pixel": data.pixel, "classes": data.classes}
    write_json(folder / "preprocessing.json", preprocessing)
    write_bytes(folder / "weights.safetensors", weights)
    write_json(folder / "training.json", facts)  # the last one: with it the folder is whole


@dataclass(frozen=True)
class TrainedNetwork:
    """`facts` is training.json; `preprocessing` has mean, std and classes."""

    folder: Path
    graph: Graph
    facts: dict[str, Any]
    preprocessing: dict[str, Any]

    def __repr__(self) -> str:
        return f"<{self.facts['code']}, {self.test_accuracy:.2%} test accuracy, in {self.folder}>"

    @staticmethod
    def exists(folder: Path) -> bool:
        return (folder / "training.json").exists() and (folder / "weights.safetensors").exists()

    @classmethod
    def open(cls, folder: Path | str) -> TrainedNetwork:
        """Raises UserError where the folder holds no trained network."""
        folder = Path(folder)
        try:
            return cls(
                folder,
                Graph.from_json(read_json(folder / "graph.json")),
                read_json(folder / "training.json"),
                read_json(folder / "preprocessing.json"),
            )
        except FileNotFoundError:
            if (folder / "request.json").exists():
                raise UserError(f"{folder} holds a training that has not ended; go on with the same 'evonas train' and "
                                "--resume") from None  # fmt: skip
            raise UserError(f"{folder} holds no trained network; train one with 'evonas train'") from None

    @property
    def test_accuracy(self) -> float:
        return self.facts["test_accuracy"]

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
