"""A trained network as a folder of plain PyTorch."""

import csv
import json
import os
import re
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save
from torch import nn

from evonas import modules
from evonas.data.sources import Source, load
from evonas.errors import RunError, UserError
from evonas.genomes.genet import CIFAR10, DIGITS, MNIST, SMALL, GeNetSpace
from evonas.graph import INPUT, Draft
from evonas.model.export import export
from evonas.model.source import exported_name, identifiers, network_source
from evonas.model.trained import TrainedNetwork, keep
from evonas.modules import MODULES
from evonas.network import build
from evonas.operations import (
    ACTIVATIONS,
    OPERATIONS,
    AveragePool,
    BatchNorm,
    Convolution,
    Crop,
    Dropout,
    DropPath,
    FadingDropout,
    FirstChannels,
    Flatten,
    GlobalAveragePool,
    Identity,
    LastChannels,
    LeakyReLU,
    LearnedGroupConvolution,
    Linear,
    MaxPool,
    PadChannels,
    PadSize,
    ReLU,
    Resize,
    Scale,
    ShuffleChannels,
    SqueezeExcite,
    Zero,
)
from evonas.scheduled import finished
from evonas.support.call import OCCUPIED, PRESENT, exported
from evonas.support.streams import stream
from evonas.tasks.classification import ImageClassification


def every_operation():
    """Each operation at least once, with options that are not its defaults; sums, a concatenation, a hyphened name."""
    draft = Draft((3, 9, 9))
    draft.node("stem", [INPUT], Convolution(8, 3, bias=True), BatchNorm(affine=False), ReLU())
    draft.node(
        "left+right/3-conv",
        ["stem"],
        Convolution(8, 3, dilation=2, groups=4),
        BatchNorm(),
        ReLU(),
        Dropout(0.3),
        DropPath(),
        FadingDropout(0.3, 2),
        LearnedGroupConvolution(8, groups=2, condensation=4),
    )
    draft.node("left+right/3=conv", ["stem"], Identity())
    draft.node("none", ["stem"], Zero())
    draft.node("attended", ["left+right/3-conv", "left+right/3=conv"], combine="attention")
    draft.node("sum", ["left+right/3-conv", "left+right/3=conv", "none", "attended"])
    draft.node("flat_1x7", ["stem"], Convolution(8, (1, 7), (1, 2)), Convolution(8, (7, 1), (2, 1)))
    draft.node("cropped", ["stem"], Crop(1, 1), Convolution(8, 1, stride=2, padding=0))
    draft.node("shrunk", ["stem"], Zero(stride=2))
    draft.node("max", ["sum"], FirstChannels(5), MaxPool(3, 2, 1))
    draft.node("shuffled", ["sum"], ShuffleChannels(4), LastChannels(3), MaxPool(3, 2, 1))
    draft.node("mean", ["sum"], AveragePool(3, 2, 1))
    draft.node("activated", ["mean"], LeakyReLU(0.2), *(kind() for kind in ACTIVATIONS))
    draft.node("padded", ["cropped"], Convolution(8, 1, padding=1, dilation=1), MaxPool(2, 1))
    draft.node("joined", ["max", "shuffled", "mean", "activated", "shrunk", "flat_1x7", "padded"], combine="concat")
    draft.node("stretched", ["joined"], PadChannels(64), Resize(3, 5), PadSize(4, 8), Scale(0.5), SqueezeExcite(3))
    draft.node("pooled", ["stretched"], GlobalAveragePool())
    draft.node("flat", ["pooled"], Flatten(), Linear(10, bias=False))
    return draft.graph()


def trained(folder, graph, *, seed=0, code="a code", device="cpu"):
    """A folder as a training leaves it; statistics of batch norms are not those of a new network."""
    network = finished(build(graph, seed=seed)).to(device=device, memory_format=torch.channels_last)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            torch.manual_seed(seed)
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 2)
    keep(
        folder,
        weights=save({name: tensor.contiguous() for name, tensor in network.state_dict().items()}),
        graph=graph,
        preprocessing=ImageClassification(Source("digits")).preprocessing(),
        facts={
            "code": code,
            "metric": "accuracy",
            "test_accuracy": 0.5,
            "data": "digits",
            "epochs": 1,
            "trained_on": "train",
            "recipe": {},
            "precision": "float32",
        },
    )
    return TrainedNetwork.open(folder)


ALONE = """
import json, sys
import torch
sys.path.insert(0, "exported")
from network import Network, load
assert "evonas" not in sys.modules
torch.backends.cudnn.allow_tf32 = False
images = torch.load("images.pt")
with torch.inference_mode():
    torch.save(load().to(images.device)(images), "outputs.pt")
print(json.dumps([name for name, _ in load().named_children()]))
"""


def outputs_alone(folder, images):
    """Outputs of the exported network in a process of its own, which cannot import evonas."""
    torch.save(images, folder / "images.pt")
    done = subprocess.run([sys.executable, "-c", ALONE], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return torch.load(folder / "outputs.pt"), json.loads(done.stdout)


GRAPHS = {
    "every operation": every_operation(),
    "digits": DIGITS.decode(DIGITS.parse("1-01/1-01-100")).simplified(),
    "the paper's MNIST": MNIST.decode(MNIST.random(stream(1, "mnist"))).simplified(),
    "the paper's CIFAR-10": CIFAR10.decode(CIFAR10.random(stream(1, "cifar"))).simplified(),
    "small": SMALL.decode(SMALL.random(stream(2, "small"))),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_the_exported_network_gives_the_same_outputs_without_evonas(tmp_path, name, device):
    graph = GRAPHS[name]
    kept = trained(tmp_path / "kept", graph, device=device)
    assert export(kept, tmp_path / "exported") <= 1e-6
    assert {path.name for path in (tmp_path / "exported").iterdir()} == {"network.py", "weights.safetensors"}
    images = torch.randn(5, *graph.input_shape, device=device)
    found, _ = outputs_alone(tmp_path, images)
    with torch.inference_mode():
        expected = kept.network().to(device)(images)
    assert torch.allclose(found, expected, rtol=0, atol=1e-6 if device == "cpu" else 1e-4)


def test_every_operation_can_be_built_and_written():
    assert set(MODULES) == set(OPERATIONS)
    assert {type(op) for node in every_operation().nodes for op in node.operations} == set(OPERATIONS.values())


def test_printed_classes_are_the_plain_ones(tmp_path):
    export(trained(tmp_path / "kept", every_operation()), tmp_path / "exported")
    text = (tmp_path / "exported" / "network.py").read_text()
    plain = {
        "Attention", "Channels", "CondensedConv2d", "Crop", "GlobalAverage", "Network", "PadChannels", "PadSize",
        "Scale", "SqueezeExcite", "Zeros",
    }  # fmt: skip
    assert set(re.findall(r"^class (\w+)\(nn\.Module\):$", text, re.M)) == plain
    assert not re.search("Dense|Undrawn|Learned|Tensor|->.*:$", text, re.M)

    class Further(modules.Conv2d):
        pass

    assert exported(Further) is Further


def test_names_are_those_of_the_graph_and_shapes_stand_in_comments():
    text = network_source(DIGITS.decode(DIGITS.parse("1-01/1-01-100")))
    assert "self.stage2_output(stage2_node3 + stage2_node4)  # (B, 24, 4, 4)" in text
    assert "conv=nn.Conv2d(1, 12, 3, padding=1, bias=False)," in text


def test_names_that_python_would_take_for_one_stay_apart():
    names = identifiers(every_operation())
    assert len(set(names.values())) == len(names)
    assert names["left+right/3-conv"] == "left_right_3_conv"
    assert all(name.isidentifier() for name in names.values())


def test_an_image_file_is_classified_by_the_exported_folder(tmp_path):
    from PIL import Image

    data = load(Source("digits"))
    graph = GRAPHS["digits"]
    export(trained(tmp_path / "kept", graph), tmp_path / "exported")
    pixels = (data.x_test[0, 0] * (255 / 16)).round().astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "digit.png")
    done = subprocess.run(
        [sys.executable, "exported/network.py", "digit.png"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    network = TrainedNetwork.open(tmp_path / "kept").network()
    image = (torch.tensor(data.x_test[:1]).float() - data.mean[0]) / data.std[0]
    shares = network(image)[0].softmax(0)
    head, row = csv.reader(done.stdout.splitlines())
    assert head == ["file", "class", *"0123456789"]
    assert row[:2] == ["digit.png", str(int(shares.argmax()))]
    assert [float(share) for share in row[2:]] == pytest.approx(shares.tolist(), abs=1e-5)


def test_text_from_outside_cannot_break_the_source(tmp_path):
    kept = trained(tmp_path / "kept", GRAPHS["digits"], code='"""\nimport os\\ {x} "')
    assert export(kept, tmp_path / "exported") <= 1e-6


def with_own(own):
    """A network with a user's operations."""
    draft = Draft((1, 8, 8))
    draft.node("stem", [INPUT], Convolution(4), own.Mish())
    draft.node("block", ["stem"], own.Depthwise(), own.Depthwise(5))
    draft.node("classifier", ["block"], GlobalAveragePool(), Linear(10))
    return draft.graph()


def test_operations_of_a_users_are_exported_with_the_source_of_their_classes(tmp_path, own):
    graph = with_own(own)
    kept = trained(tmp_path / "kept", graph)
    assert export(kept, tmp_path / "exported") <= 1e-6
    text = (tmp_path / "exported" / "network.py").read_text()
    assert text.count("class DepthwiseBlock(nn.Module):") == 1
    assert "import torch.nn.functional as F\n\nINPUT_SHAPE" in text
    assert "depthwise_2=DepthwiseBlock(4, kernel=5)," in text
    images = torch.randn(5, *graph.input_shape)
    found, _ = outputs_alone(tmp_path, images)
    with torch.inference_mode():
        assert torch.allclose(found, kept.network()(images), rtol=0, atol=1e-6)


STRANGER = """
import math, sys
from pathlib import Path
from evonas.errors import UserError
from evonas.model.export import export
from evonas.model.trained import TrainedNetwork
kept = TrainedNetwork.open("kept")
assert math.isnan(export(kept, Path("exported")))
assert export(kept, Path("trusted"), trust=True) <= 1e-6
assert Path("exported/network.py").read_text() == Path("trusted/network.py").read_text()
for refused in (kept.network, lambda: export(kept, Path("third"), onnx=True)):
    try:
        refused()
    except UserError as error:
        assert "import the file that defines it first" in str(error)
    else:
        raise AssertionError
assert not Path("third").exists()
assert "own_operations" not in sys.modules
"""


def test_a_process_without_a_users_file_exports_without_comparing_or_running_it(tmp_path, own):
    kept = trained(tmp_path / "kept", with_own(own))
    done = subprocess.run(
        [sys.executable, "-c", STRANGER], cwd=tmp_path, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    images = torch.randn(5, 1, 8, 8)
    found, _ = outputs_alone(tmp_path, images)
    with torch.inference_mode():
        assert torch.allclose(found, kept.network()(images), rtol=0, atol=1e-6)


def test_names_that_an_exported_file_defines_are_those_that_classes_may_not_have(tmp_path):
    export(trained(tmp_path / "kept", GRAPHS["digits"]), tmp_path / "exported")
    file = {"__name__": "network", "__file__": str(tmp_path / "exported" / "network.py")}
    exec((tmp_path / "exported" / "network.py").read_text(), file)
    assert {name for name in file if not name.startswith("__")} | {"network"} == OCCUPIED | set(PRESENT)


def test_an_onnx_network_has_a_users_operations(tmp_path, own):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    kept = trained(tmp_path / "kept", with_own(own))
    export(kept, tmp_path / "exported", onnx=True)
    session = onnxruntime.InferenceSession(tmp_path / "exported" / "network.onnx")
    images = torch.randn(3, 1, 8, 8)
    (found,) = session.run(None, {"images": images.numpy()})
    with torch.inference_mode():
        assert np.allclose(found, kept.network()(images).numpy(), atol=1e-4)


def test_an_onnx_network_gives_the_same_outputs_for_any_number_of_images(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    kept = trained(tmp_path / "kept", GRAPHS["every operation"])
    export(kept, tmp_path / "exported", onnx=True)
    session = onnxruntime.InferenceSession(tmp_path / "exported" / "network.onnx")
    for count in (1, 7):
        images = torch.randn(count, 3, 9, 9)
        (found,) = session.run(None, {"images": images.numpy()})
        with torch.inference_mode():
            assert np.allclose(found, kept.network()(images).numpy(), atol=1e-4)
    known = session.get_modelmeta().custom_metadata_map
    assert {name: json.loads(text) for name, text in known.items()} == kept.preprocessing
    assert json.loads(known["classes"]) == list("0123456789")


def test_nothing_is_written_over(tmp_path):
    kept = trained(tmp_path / "kept", GRAPHS["digits"])
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").write_text("mine")
    with pytest.raises(UserError, match="is there already; choose another --to"):
        export(kept, tmp_path / "there")
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["file"]


def test_an_export_that_differs_is_an_error_and_leaves_nothing(tmp_path, monkeypatch):
    kept = trained(tmp_path / "kept", GRAPHS["digits"])
    monkeypatch.setattr(nn.ReLU, "exported", nn.Tanh, raising=False)
    with pytest.raises(RunError, match="differs from the trained one by"):
        export(kept, tmp_path / "exported")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept"]


def test_a_folder_without_a_network_is_refused(tmp_path):
    with pytest.raises(UserError, match="holds no trained network"):
        TrainedNetwork.open(tmp_path)


def test_exported_source_of_a_hundred_genomes_equals_the_built_network():
    space = GeNetSpace((3, 4), (4, 4))
    for seed in range(100):
        graph = space.decode(space.random(stream(seed, "export")))
        written = {"nn": nn, "torch": torch, "OrderedDict": OrderedDict}
        exec(network_source(graph), written)
        ours, theirs = build(graph, seed=seed).eval(), written["Network"]().eval()
        names = identifiers(graph)
        theirs.load_state_dict({exported_name(key, names): value for key, value in ours.state_dict().items()})
        images = torch.randn(2, 1, 8, 8)
        with torch.inference_mode():
            assert torch.equal(ours(images), theirs(images))
