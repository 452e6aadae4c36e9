"""The network with which a space begins: what a genome changes, removes or shrinks."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

from evonas.errors import UserError
from evonas.genomes.residual import reference
from evonas.graph import INPUT, Draft, Graph
from evonas.operations import BatchNorm, Convolution, Flatten, GlobalAveragePool, Linear, MaxPool, Operation, ReLU
from evonas.space import Decision, Genome, Space

LAYER = re.compile(r"(?P<kind>conv|pool|mean|fc)(?P<width>\d{0,4})(x(?P<kernel>\d))?")


@lru_cache(maxsize=16)
def start_graph(start: str, input_shape: tuple[int, ...], outputs: int) -> Graph:
    """The graph in a field `start`: the text of a graph as JSON (`Graph.to_json`); a chain of layers, such as
    conv16-pool-conv32x5-pool-fc64, as `plain_chain` reads it; or, where it is empty, the residual network by hand in
    the size that suits the input. Raises UserError for another text, and for a graph of another shape."""
    if not start:
        return reference(input_shape, outputs).decode(())
    if not start.lstrip().startswith("{"):
        return plain_chain(start, input_shape, outputs)
    try:
        data = json.loads(start)
    except (ValueError, RecursionError) as error:
        raise UserError(f"start is no graph ({error}); give the JSON of one, as json.dumps(graph.to_json())") from None
    graph = Graph.from_json(data)
    if graph.is_open:
        raise UserError("start is a supernet; give a network without open gates")
    if (graph.input_shape, graph.output_shape) != (tuple(input_shape), (outputs,)):
        raise UserError(f"start maps {graph.input_shape} to {graph.output_shape}, and the space {tuple(input_shape)} "
                        f"to {(outputs,)}; give a graph of these shapes")  # fmt: skip
    return graph


def plain_chain(text: str, input_shape: tuple[int, ...], outputs: int) -> Graph:
    """Layers one after the other, each a node, and a linear classifier. Raises UserError for another text.

    conv16x5   convolution with 16 channels and kernel 5, where none is said 3; batch norm and ReLU
    pool       max pooling by 2
    mean       the mean of each channel over the image
    fc64       linear layer with 64 units and ReLU, after what is left of an image
    """
    draft, last, image = Draft(input_shape), INPUT, True
    for number, word in enumerate(text.split("-"), 1):
        layer = LAYER.fullmatch(word)
        wide = layer is not None and layer["kind"] in ("conv", "fc")
        if layer is None or bool(layer["width"]) != wide or (layer["kernel"] and layer["kind"] != "conv"):
            raise UserError(f"start has {word!r} as layer {number}; use conv16, conv16x5, pool, mean and fc64, joined "
                            "by -, or the JSON of a graph")  # fmt: skip
        operations: tuple[Operation, ...]
        if layer["kind"] == "conv":
            operations = (Convolution(int(layer["width"]), int(layer["kernel"] or 3)), BatchNorm(), ReLU())
        elif layer["kind"] == "fc":
            operations = (*(Flatten(),) * image, Linear(int(layer["width"])), ReLU())
        else:
            operations = (MaxPool(),) if layer["kind"] == "pool" else (GlobalAveragePool(),)
        image = image and layer["kind"] not in ("fc", "mean")
        last = draft.node(f"{layer['kind']}{number}", [last], *operations) or last
    draft.node("classifier", [last], *(Flatten(),) * image, Linear(outputs))
    try:
        return draft.graph()
    except ValueError as error:
        raise UserError(f"the start {text!r} is no network for inputs of {input_shape}: {error}") from None


@dataclass(frozen=True)
class GivenGraph(Space):
    """A given network as the only one of a space: its genome is ().

    start   as of `start_graph`
    """

    name: ClassVar[str] = "given-graph"
    start: str = ""
    input_shape: tuple[int, ...] = (3, 32, 32)
    outputs: int = 10

    @classmethod
    def of(cls, graph: Graph) -> GivenGraph:
        return cls(json.dumps(graph.to_json()), graph.input_shape, graph.output_shape[0])

    def next(self, prefix: Genome) -> Decision | None:
        return None

    def decode(self, genome: Genome) -> Graph:
        self.decisions(genome)
        return start_graph(self.start, self.input_shape, self.outputs)
