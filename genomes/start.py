"""The network with which a space begins: what a genome changes, removes or shrinks."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar

from evonas.errors import UserError
from evonas.genomes.residual import reference, stem_halvings
from evonas.graph import INPUT, Draft, Graph
from evonas.operations import (
    AveragePool,
    BatchNorm,
    Convolution,
    Flatten,
    GlobalAveragePool,
    Linear,
    MaxPool,
    Operation,
    ReLU,
)
from evonas.recipe import Recipe
from evonas.space import Decision, Genome, Space

LAYER = re.compile(r"(?P<kind>conv|pool|mean|fc)(?P<width>\d{0,4})(x(?P<kernel>\d))?")
DENSE = re.compile(r"dense(?P<layers>\d{1,3})x(?P<growth>\d{1,3})(g(?P<groups>\d{1,2}))?")
BLOCKS = 3  # of a DenseNet


@lru_cache(maxsize=16)
def start_graph(start: str, input_shape: tuple[int, ...], outputs: int) -> Graph:
    """The graph in a field `start`: the text of a graph as JSON (`Graph.to_json`); a chain of layers, such as
    conv16-pool-conv32x5-pool-fc64, as `plain_chain` reads it; a DenseNet-BC such as dense2x48g4, with 2 layers in each
    block, a growth of 48 and 4 groups; or, where it is empty, the residual network by hand in the size that suits the
    input. Raises UserError for another text, and for a graph of another shape."""
    if not start:
        return reference(input_shape, outputs).decode(())
    if dense := DENSE.fullmatch(start):
        layers, growth, groups = (int(dense[name] or 1) for name in ("layers", "growth", "groups"))
        return dense_net(layers, growth, groups, input_shape, outputs)
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


def dense_net(layers: int, growth: int, groups: int, input_shape: tuple[int, ...], outputs: int) -> Graph:
    """DenseNet-BC (Huang et al. 2017, arXiv:1608.06993): blocks whose layers, of a 1x1 convolution with 4 times the
    growth and a 3x3 convolution in groups, read all layers before them; half of all channels go on to the next one."""
    if min(layers, growth, groups) < 1 or growth % groups:
        raise UserError(f"start is a DenseNet with {layers} layers, a growth of {growth} and {groups} groups; use at "
                        "least 1, and a growth that the groups divide")  # fmt: skip
    draft = Draft(input_shape)
    strides = [2] * stem_halvings(input_shape) or [1]
    features = [str(draft.node("stem", [INPUT], *(Convolution(2 * growth, stride=stride) for stride in strides)))]
    for block in range(1, BLOCKS + 1):
        if block > 1:
            width = sum(draft.shape(name)[0] for name in features) // 2
            halved = (BatchNorm(), ReLU(), Convolution(width, 1), AveragePool())
            features = [str(draft.node(f"transition{block - 1}", features, *halved, combine="concat"))]
        for layer in range(1, layers + 1):
            steps = (BatchNorm(), ReLU(), Convolution(4 * growth, 1), BatchNorm(), ReLU(),
                     Convolution(growth, groups=groups))  # fmt: skip
            features.append(str(draft.node(f"block{block}/layer{layer}", features, *steps, combine="concat")))
    draft.node("classifier", features, BatchNorm(), ReLU(), GlobalAveragePool(), Linear(outputs), combine="concat")
    try:
        return draft.graph()
    except ValueError as error:
        raise UserError(f"a DenseNet of {BLOCKS} blocks is no network for inputs of {input_shape}: {error}") from None


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
                            "by -, a DenseNet such as dense2x48g4, or the JSON of a graph")  # fmt: skip
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


def recipe_of_start(recipe: Recipe, epochs: int, rate: float) -> Recipe:
    """The recipe of a start, which has a training of its own, since what is made of it only goes on: with so many
    epochs and this learning rate; where they are 0, with those of the recipe."""
    recipe = recipe.lasting(epochs or recipe.epochs)
    return replace(recipe, learning_rate=rate or recipe.learning_rate)


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
