"""A trained network as readable source in plain PyTorch, with constants for its input and how to use it on a file."""

from __future__ import annotations

import pprint
import re
from collections.abc import Sequence

from evonas.errors import UserError
from evonas.graph import INPUT, Graph, Node
from evonas.model.trained import TrainedNetwork
from evonas.support.call import merged
from evonas.support.text import shown, words

IMPORT = ("import ", "from ")

HEAD = '''"""{title}

{counts}

    python network.py IMAGE...     prints {prints} of each image file (this alone needs Pillow: pip install pillow)

or from other code, with this folder on the path:

    from network import load, prepare
    network = load()                        # a torch.nn.Module in evaluation mode
    outputs = network(prepare(images))      # images: (B, {channels}, {height}, {width}), values as in the training data
"""

import sys
from collections import OrderedDict
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn
{imports}
INPUT_SHAPE = {shape}  # channels, height, width
MEAN = {mean}  # of each channel over the training images; the network takes (x - MEAN) / STD
STD = {std}
'''

TAIL = '''

def load(weights=Path(__file__).with_name("weights.safetensors")):
    """The trained network, in evaluation mode."""
    network = Network()
    network.load_state_dict(load_file(weights))
    return network.eval()


def prepare(images):
    """Images (B, C, H, W), in the values of the training data, as the network takes them."""
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (MEAN, STD))
    return (images.float() - mean) / std


def read(path):
    """An image file as (1, C, H, W): resized, and grey where the network takes one channel."""
    from PIL import Image

    if PIXEL is None:
        raise SystemExit("network.py: say in `read` how pixels become values of the training data, and set PIXEL")
    channels, height, width = INPUT_SHAPE
    image = Image.open(path).convert("L" if channels == 1 else "RGB").resize((width, height))
    pixels = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).view(1, height, width, channels)
    return pixels.permute(0, 3, 1, 2).float() * PIXEL


if __name__ == "__main__":
    network = load()
    for path in sys.argv[1:]:
        with torch.inference_mode():
            print(f"{path}: {said(network(prepare(read(path)))[0])}")
'''

# How an output is printed: as the likeliest of its classes, or as the numbers that it is.
CLASSIFIED = '''
CLASSES = {classes}


def said(logits):
    """The likeliest class, and its probability."""
    shares = logits.softmax(0)
    best = int(shares.argmax())
    return f"{{CLASSES[best]}} ({{shares[best]:.1%}})"
'''
PLAIN = '''

def said(outputs):
    """The outputs as they are."""
    return " ".join(f"{number:.6g}" for number in outputs.flatten().tolist())
'''


def source(trained: TrainedNetwork) -> str:
    """network.py, whole."""
    graph, facts = trained.graph, trained.facts
    shape = graph.input_shape
    if len(shape) != 3:
        raise UserError(f"the network takes {shape}, and no images; only networks for images can be exported")
    steps = [(op, shape) for node in graph.nodes for _, op, shape in graph.steps(node)]
    texts = merged(op.module(shape) for op, shape in steps).values()
    imports = [text for text in texts if text.startswith(IMPORT)]
    classes = "".join(f"\n\n{text}" for text in texts if text not in imports)
    names = trained.preprocessing["classes"]
    title = f"{facts['code']}: {shown(trained.metric, trained.test)} test {words(trained.metric)}."
    head = HEAD.format(
        title=title.replace("\\", "/").replace('"""', "'''"),
        counts=f"{graph.parameters:,} parameters, {graph.multiply_adds:,} multiply-adds for one image.",
        imports="".join(f"{line}\n" for line in imports),
        shape=tuple(shape),
        channels=shape[0],
        height=shape[1],
        width=shape[2],
        mean=tuple(trained.preprocessing["mean"] or (0.0,) * shape[0]),
        std=tuple(trained.preprocessing["std"] or (1.0,) * shape[0]),
        prints="the outputs" if names is None else "the class",
    )
    pixel = trained.preprocessing["pixel"]
    known = "a pixel of an image file, 0 to 255, times this is a value of the training data"
    unknown = "the training images went below 0: `read` cannot know how; say how in it, and set this"
    head += f"PIXEL = {pixel!r}  # {unknown if pixel is None else known}\n"
    head += PLAIN if names is None else CLASSIFIED.format(classes=_listed(names))
    body = network_source(graph)
    return f"{head}{classes}\n\n{body}{TAIL}"


def _listed(names: Sequence[str]) -> str:
    return pprint.pformat(tuple(names), width=100, compact=True)


def network_source(graph: Graph) -> str:
    """The class Network: one attribute a node, with its operations by name, and one line of `forward` a node."""
    names = identifiers(graph)
    attributes, lines = [], []
    values = {INPUT: "x"}
    for node in graph.nodes:
        steps = list(graph.steps(node))
        value = _combined(node, [values[edge.source] for edge in node.inputs])
        if steps:
            name = names[node.name]
            attributes.append(f"        self.{name} = steps(")
            attributes += [f"            {step}={op.module(shape).source()}," for step, op, shape in steps]
            attributes.append("        )")
            value = f"self.{name}({value})"
        values[node.name] = names[node.name]
        shape = ", ".join(map(str, graph.shapes[node.name]))
        lines.append(f"        {names[node.name]} = {value}  # (B, {shape})")
    lines.append(f"        return {values[graph.output]}")
    shape = ", ".join(map(str, graph.input_shape))
    return "\n".join(
        [
            "def steps(**modules):",
            '    """Modules that follow one another, each under its name."""',
            "    return nn.Sequential(OrderedDict(modules))",
            "",
            "",
            "class Network(nn.Module):",
            "    def __init__(self):",
            "        super().__init__()",
            *attributes,
            "",
            f"    def forward(self, x):  # (B, {shape})",
            *lines,
            "",
        ]
    )


def identifiers(graph: Graph) -> dict[str, str]:
    """Node -> a Python name of its own: stage1/node2 is stage1_node2."""
    taken = {"x", "self", "steps", "torch", "nn"}
    names = {}
    for node in graph.nodes:
        plain = re.sub(r"\W", "_", node.name)
        plain = f"node_{plain}" if plain[0].isdigit() else plain
        name, number = plain, 2
        while name in taken:
            name, number = f"{plain}_{number}", number + 1
        taken.add(name)
        names[node.name] = name
    return names


def exported_name(key: str, names: dict[str, str]) -> str:
    """A name of our weights, stage1.node2.conv.weight, in the exported network: stage1_node2.conv.weight."""
    node = next(node for node in names if key.startswith(node.replace("/", ".") + "."))  # none is another's folder
    return f"{names[node]}{key[len(node) :]}"


def _combined(node: Node, values: list[str]) -> str:
    if node.combine == "concat" and len(values) > 1:
        return f"torch.cat([{', '.join(values)}], 1)"
    return " + ".join(values)
