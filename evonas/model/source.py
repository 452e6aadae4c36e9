"""A trained network as readable source in plain PyTorch, with constants for its input and how to use it on a file."""

from __future__ import annotations

import inspect
import pprint
import re
from collections.abc import Sequence

from evonas.data import picture
from evonas.errors import UserError
from evonas.graph import INPUT, Graph, Node
from evonas.model.predict import columns
from evonas.model.trained import TrainedNetwork
from evonas.support.call import merged
from evonas.support.text import words

IMPORT = ("import ", "from ")

HEAD = '''"""{title}

{counts}

    python network.py FILE|FOLDER...     prints a table (CSV) with a row for each picture: {prints}
                                         (this alone needs Pillow: pip install pillow)

or from other code, with this folder on the path:

    from network import load, prepare, read
    network = load()                        # a torch.nn.Module in evaluation mode
    outputs = network(prepare(images))      # images: (B, {channels}, {height}, {width}), values as in the training data
    outputs = network(prepare(read(path)))  # of a picture file
"""

import csv
import os
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
    """A picture file as (1, C, H, W), read as the training's pictures were. Raises what Pillow raises where it cannot,
    and ValueError where a picture cannot have so many channels."""
    from PIL import Image

    if PIXEL is None:
        raise SystemExit("network.py: say in `read` how pixels become values of the training data, and set PIXEL")
    channels, height, width = INPUT_SHAPE
    with Image.open(path) as image:
        found = bands(image, channels, (width, height), PIXEL, WHOLE)
    kind = torch.uint8 if WHOLE else torch.float32
    planes = [torch.frombuffer(bytearray(band.tobytes()), dtype=kind).view(height, width) for band in found]
    return torch.stack(planes)[None].float()


def main(paths):
    """Print a row for each picture file, and for those in each folder; 1 where one could not be read, else 0."""
    if not paths:
        print("usage: python network.py FILE|FOLDER...", file=sys.stderr)
        return 2
    network, table, failed = load(), csv.writer(sys.stdout, lineterminator="\\n"), 0
    table.writerow(["file", *COLUMNS])
    for given in paths:
        for path in filter(is_picture, files_below(given)) if os.path.isdir(given) else [given]:
            try:
                images = read(path)
            except Exception as error:  # Pillow's decoders raise many kinds
                print(f"{path}: {error}", file=sys.stderr)
                failed = 1
                continue
            with torch.inference_mode():
                table.writerow([path, *row(network(prepare(images))[0])])
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
'''

# What a row of the table says of a picture: the likeliest class and the probability of each, or the plain outputs.
CLASSIFIED = '''
CLASSES = {classes}
COLUMNS = ("class", *CLASSES)


def row(logits):
    """The likeliest class, and the probability that the network gives each class."""
    shares = logits.softmax(0).tolist()
    return [CLASSES[shares.index(max(shares))], *(f"{{share:.6f}}" for share in shares)]
'''
PLAIN = '''
COLUMNS = {columns}


def row(outputs):
    """The outputs as they are."""
    return [f"{{number:.6g}}" for number in outputs.flatten().tolist()]
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
    names, heads = trained.preprocessing["classes"], columns(trained)
    title = f"{facts['code']}: {trained.worth} test {words(trained.metric)}."
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
        prints="its outputs" if names is None else "its class, and the probability of each",
    )
    pixel, whole = trained.preprocessing["pixel"], trained.preprocessing["whole"]
    known = "a step of a picture file, 0 to 255, is this in the values of the training data"
    unknown = "the training images went below 0: `read` cannot know how; say how in it, and set this"
    head += f"PIXEL = {pixel!r}  # {unknown if pixel is None else known}\n"
    head += f"WHOLE = {whole!r}  # those are whole numbers\n"
    if names is None:
        head += PLAIN.format(columns=_listed(heads))
    else:
        head += CLASSIFIED.format(classes=_listed(names))
    body = network_source(graph)
    return f"{head}{classes}\n\n{body}\n\n{_reading()}{TAIL}"


def _reading() -> str:
    """How a search reads pictures, as it does it."""
    return inspect.getsource(picture).partition("import os\n\n")[2].rstrip() + "\n"


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
    node = next((node for node in names if key.startswith(node.replace("/", ".") + ".")), None)  # none is a folder
    if node is None:
        raise UserError(f"the weights {key!r} belong to no node of the graph; train the network again")
    return f"{names[node]}{key[len(node) :]}"


def _combined(node: Node, values: list[str]) -> str:
    if node.fusion:
        return f"[{', '.join(values)}]"
    if node.combine == "concat" and len(values) > 1:
        return f"torch.cat([{', '.join(values)}], 1)"
    return " + ".join(values)
