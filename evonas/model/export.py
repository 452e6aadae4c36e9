"""A trained network as plain PyTorch: a folder that needs torch and safetensors, and nothing of evonas.

network.py            the network as readable source, constants for its input, and how to use it on an image file
weights.safetensors   its weights, under the names of the source
network.onnx          the same network for other runtimes, where it is asked for
"""

from __future__ import annotations

import pprint
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evonas import operations
from evonas.errors import RunError, UserError
from evonas.graph import INPUT, Graph, Node
from evonas.model.trained import TrainedNetwork
from evonas.operations import Operation, Shape
from evonas.support.files import write_bytes, write_text

if TYPE_CHECKING:
    from torch import nn

TOLERANCE = 1e-6  # of the exported network's outputs, relative to the largest, in float32
ONNX_TOLERANCE = 1e-4
CHECKED = 16  # random images on which both are compared


def export(trained: TrainedNetwork, folder: Path, *, onnx: bool = False) -> float:
    """Write the folder, after a check that it gives the outputs of the trained network; the largest difference.

    Raises UserError where the folder holds something already, or onnx is asked for and cannot be had; RunError where it
    cannot be written, or the outputs differ.
    """
    from safetensors.torch import save

    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is there already; choose another --to, or remove it first")
    network = trained.network()
    names = identifiers(trained.graph)
    weights = {exported_name(name, names): tensor.contiguous() for name, tensor in network.state_dict().items()}
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        write_text(partial / "network.py", source(trained))
        write_bytes(partial / "weights.safetensors", save(weights))
        difference = _difference(network, partial, trained.graph.input_shape)
        if onnx:
            _write_onnx(network, partial / "network.onnx", trained.graph.input_shape)
        if folder.exists():
            folder.rmdir()
        partial.rename(folder)
    except OSError as error:
        raise RunError(f"cannot write {folder}: {error.strerror}; choose another --to") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return difference


# ---- the source -----------------------------------------------------------------------------------------------------

# how each operation is written in PyTorch, for an input of a shape
SOURCES: dict[type[Operation], Callable[[Any, Shape], str]] = {
    operations.Convolution: lambda op, shape: _call(
        "nn.Conv2d", shape[0], op.channels, op.kernel,
        stride=(op.stride, 1), padding=(op.padding, 0), dilation=(op.dilation, 1), groups=(op.groups, 1),
        bias=(op.bias, True),
    ),
    operations.BatchNorm: lambda op, shape: _call("nn.BatchNorm2d", shape[0], affine=(op.affine, True)),
    operations.ReLU: lambda op, shape: "nn.ReLU()",
    operations.MaxPool: lambda op, shape: _call("nn.MaxPool2d", op.kernel, op.stride, padding=(op.padding, 0)),
    operations.AveragePool: lambda op, shape: _call(
        "nn.AvgPool2d", op.kernel, op.stride, padding=(op.padding, 0), count_include_pad=(not op.padding, True)
    ),
    operations.GlobalAveragePool: lambda op, shape: "GlobalAverage()",
    operations.Flatten: lambda op, shape: "nn.Flatten()",
    operations.Linear: lambda op, shape: _call("nn.Linear", shape[0], op.features, bias=(op.bias, True)),
    operations.Dropout: lambda op, shape: _call("nn.Dropout", op.rate),
    operations.DropPath: lambda op, shape: "nn.Identity()",  # a matter of training
    operations.Identity: lambda op, shape: "nn.Identity()",
    operations.Zero: lambda op, shape: _call("Zeros", op.stride),
    operations.Crop: lambda op, shape: _call("Crop", op.rows, op.columns),
    operations.FirstChannels: lambda op, shape: _call("Channels", 0, op.channels),
    operations.LastChannels: lambda op, shape: _call("Channels", shape[0] - op.channels, shape[0]),
    operations.ShuffleChannels: lambda op, shape: _call("nn.ChannelShuffle", op.groups),
    operations.PadChannels: lambda op, shape: _call("PadChannels", op.channels),
    operations.PadSize: lambda op, shape: _call("PadSize", op.height, op.width),
    operations.SqueezeExcite: lambda op, shape: _call("SqueezeExcite", shape[0], op.units),
    operations.Resize: lambda op, shape: _call("nn.Upsample", (op.height, op.width), mode=("nearest", None)),
}  # fmt: skip

# what PyTorch has no module for
CLASSES = {
    "GlobalAverage": '''class GlobalAverage(nn.Module):
    """The mean of each channel."""

    def forward(self, x):  # (B, C, H, W) -> (B, C)
        return x.mean((2, 3))
''',
    "Zeros": '''class Zeros(nn.Module):
    """Zeros of the size that a stride leaves."""

    def __init__(self, stride):
        super().__init__()
        self.stride = stride

    def forward(self, x):
        return torch.zeros_like(x[:, :, :: self.stride, :: self.stride] if self.stride > 1 else x)
''',
    "Crop": '''class Crop(nn.Module):
    """Without the first rows and columns."""

    def __init__(self, rows, columns):
        super().__init__()
        self.rows, self.columns = rows, columns

    def forward(self, x):
        return x[:, :, self.rows :, self.columns :]
''',
    "Channels": '''class Channels(nn.Module):
    """Some of the channels of an image."""

    def __init__(self, begin, end):
        super().__init__()
        self.begin, self.end = begin, end

    def forward(self, x):
        return x[:, self.begin : self.end]
''',
    "PadChannels": '''class PadChannels(nn.Module):
    """Zeros behind the channels of an image."""

    def __init__(self, channels):
        super().__init__()
        self.channels = channels

    def forward(self, x):
        return nn.functional.pad(x, (0, 0, 0, 0, 0, self.channels - x.shape[1]))
''',
    "PadSize": '''class PadSize(nn.Module):
    """Zeros around an image, up to a size."""

    def __init__(self, height, width):
        super().__init__()
        self.height, self.width = height, width

    def forward(self, x):
        rows, columns = self.height - x.shape[2], self.width - x.shape[3]
        return nn.functional.pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))
''',
    "SqueezeExcite": '''class SqueezeExcite(nn.Module):
    """Each channel times a number between 0 and 1, made of the means of all channels."""

    def __init__(self, channels, units):
        super().__init__()
        self.squeeze, self.excite = nn.Linear(channels, units), nn.Linear(units, channels)

    def forward(self, x):
        shares = self.excite(self.squeeze(x.mean((2, 3))).relu()).sigmoid()
        return x * shares[:, :, None, None]
''',
}

HEAD = '''"""{title}

{counts}

    python network.py IMAGE...     prints the class of each image file (this alone needs Pillow: pip install pillow)

or from other code, with this folder on the path:

    from network import load, prepare
    network = load()                        # a torch.nn.Module in evaluation mode
    logits = network(prepare(images))       # images: (B, {channels}, {height}, {width}), values as in the training data
"""

import sys
from collections import OrderedDict
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

INPUT_SHAPE = {shape}  # channels, height, width
MEAN = {mean}  # of each channel over the training images; the network takes (x - MEAN) / STD
STD = {std}
CLASSES = {classes}

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
            shares = network(prepare(read(path))).softmax(1)[0]
        best = int(shares.argmax())
        print(f"{path}: {CLASSES[best]} ({shares[best]:.1%})")
'''


def source(trained: TrainedNetwork) -> str:
    """network.py, whole."""
    graph, facts = trained.graph, trained.facts
    shape = graph.input_shape
    if len(shape) != 3:
        raise UserError(f"the network takes {shape}, and no images; only networks for images can be exported")
    title = f"{facts['code']}: {facts['test_accuracy']:.2%} test accuracy."
    head = HEAD.format(
        title=title.replace("\\", "/").replace('"""', "'''"),
        counts=f"{graph.parameters:,} parameters, {graph.multiply_adds:,} multiply-adds for one image.",
        shape=tuple(shape),
        channels=shape[0],
        height=shape[1],
        width=shape[2],
        mean=tuple(trained.preprocessing["mean"]),
        std=tuple(trained.preprocessing["std"]),
        classes=pprint.pformat(tuple(trained.preprocessing["classes"]), width=100, compact=True),
    )
    pixel = trained.preprocessing["pixel"]
    known = "a pixel of an image file, 0 to 255, times this is a value of the training data"
    unknown = "the training images went below 0: `read` cannot know how; say how in it, and set this"
    head += f"PIXEL = {pixel!r}  # {unknown if pixel is None else known}\n"
    body = network_source(graph)
    extra = "".join(f"\n\n{text}" for name, text in CLASSES.items() if f"{name}(" in body)
    return f"{head}{extra}\n\n{body}{TAIL}"


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
            attributes += [f"            {step}={SOURCES[type(op)](op, shape)}," for step, op, shape in steps]
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


def _call(name: str, *values: Any, **options: tuple[Any, Any]) -> str:
    """A call in source; an option is (value, default), and is left out where the two are equal."""
    given = [repr(value) for value in values]
    given += [f"{option}={value!r}" for option, (value, default) in options.items() if value != default]
    return f"{name}({', '.join(given)})"


# ---- the check ------------------------------------------------------------------------------------------------------


def _difference(network: nn.Module, folder: Path, shape: Shape) -> float:
    """The largest difference of outputs between the trained network and what was written, over random images."""
    import torch
    from torch import Generator

    written: dict[str, Any] = {"__name__": "network", "__file__": str(folder / "network.py")}
    exec(compile((folder / "network.py").read_text(encoding="utf-8"), "network.py", "exec"), written)
    images = torch.randn(CHECKED, *shape, generator=Generator().manual_seed(0))
    with torch.inference_mode():
        expected, found = network(images), written["load"]()(images)
    difference = float((expected - found).abs().max())
    if not difference <= TOLERANCE * max(1.0, float(expected.abs().max())):
        raise RunError(f"the exported network differs from the trained one by {difference:.2g}; nothing was written, "
                       "please report this with the run's best/graph.json")  # fmt: skip
    return difference


def _write_onnx(network: nn.Module, path: Path, shape: Shape) -> None:
    """Images in batches of any size go in under the name "images", "logits" come out."""
    import torch

    try:
        import onnxruntime
        import onnxscript  # noqa: F401  the exporter of torch needs it
    except ModuleNotFoundError as error:
        raise UserError(f"--onnx needs {error.name}; pip install 'evonas[onnx]'") from None
    images = torch.randn(CHECKED, *shape, generator=torch.Generator().manual_seed(0))
    torch.onnx.export(
        network, (images,), path, dynamo=True, input_names=["images"], output_names=["logits"], verbose=False,
        external_data=False, dynamic_shapes=({0: torch.export.Dim("batch")},),
    )  # fmt: skip
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"images": images.numpy()})
    with torch.inference_mode():
        expected = network(images)
    difference = float((expected - torch.from_numpy(found)).abs().max())
    if not difference <= ONNX_TOLERANCE * max(1.0, float(expected.abs().max())):
        raise RunError(f"the ONNX network differs from the trained one by {difference:.2g}; nothing was written")
