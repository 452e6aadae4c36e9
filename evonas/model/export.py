"""A trained network as plain PyTorch: a folder that needs torch and safetensors, and nothing of evonas.

network.py            the network as readable source, constants for its input, and how to use it on an image file
weights.safetensors   its weights, under the names of the source
network.onnx          the same network for other runtimes, where it is asked for
"""

from __future__ import annotations

import json
import os
import shutil
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evonas.errors import RunError, UserError
from evonas.model.source import exported_name, identifiers, source
from evonas.model.trained import TrainedNetwork
from evonas.operations import Shape
from evonas.support.files import write_bytes, write_text

if TYPE_CHECKING:
    from torch import nn

TOLERANCE = 1e-6  # of the exported network's outputs, relative to the largest, in float32
ONNX_TOLERANCE = 1e-4
CHECKED = 16  # random images on which both are compared


def export(trained: TrainedNetwork, folder: Path, *, onnx: bool = False, trust: bool = False) -> float:
    """Write the folder, after a check that it gives the outputs of the trained network; the largest difference.

    It is nan, and nothing was compared, where the network has operations whose classes are not known here: their source
    is written as the training recorded it, and is not run unless `trust` says so.

    Raises UserError where the folder holds something already, or onnx is asked for and cannot be had; RunError where it
    cannot be written, or the outputs differ.
    """
    from safetensors.torch import save

    folder = Path(folder).absolute()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is there already; choose another --to, or remove it first")
    network = None if trained.graph.unknown and not (trust or onnx) else trained.network(trust=trust)
    names = identifiers(trained.graph)
    weights = {exported_name(name, names): tensor for name, tensor in trained.weights().items()}
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")  # nobody else's
    try:
        write_text(partial / "network.py", source(trained))
        write_bytes(partial / "weights.safetensors", save(weights))
        difference = nan if network is None else _difference(network, partial, trained.graph.input_shape)
        if onnx and network is not None:
            _write_onnx(network, partial / "network.onnx", trained)
        if folder.exists():  # it may be where somebody stands, and stays
            for file in partial.iterdir():
                file.rename(folder / file.name)
        else:
            partial.rename(folder)
    except OSError as error:
        raise RunError(f"cannot write {folder}: {error.strerror}; choose another --to") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return difference


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


def _write_onnx(network: nn.Module, path: Path, trained: TrainedNetwork) -> None:
    """Normalised images in batches of any size go in under the name "images", "logits" come out. How to normalise them,
    and the names of the classes, are metadata of the file, as JSON."""
    import torch

    try:
        import onnxruntime
        import onnxscript  # noqa: F401  the exporter of torch needs it
    except ModuleNotFoundError as error:
        raise UserError(f"--onnx needs {error.name}; pip install 'evonas[onnx]'") from None
    images = torch.randn(CHECKED, *trained.graph.input_shape, generator=torch.Generator().manual_seed(0))
    program = torch.onnx.export(
        network, (images,), dynamo=True, input_names=["images"], output_names=["logits"], verbose=False,
        dynamic_shapes=({0: torch.export.Dim("batch")},),
    )  # fmt: skip
    assert program is not None, "with dynamo there is one"
    program.model.metadata_props.update({name: json.dumps(each) for name, each in trained.preprocessing.items()})
    program.save(path, external_data=False)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"images": images.numpy()})
    with torch.inference_mode():
        expected = network(images)
    difference = float((expected - torch.from_numpy(found)).abs().max())
    if not difference <= ONNX_TOLERANCE * max(1.0, float(expected.abs().max())):
        raise RunError(f"the ONNX network differs from the trained one by {difference:.2g}; nothing was written")
