"""What the search of a system derives, and what a network of its space is worth by its final recipe, for scripts that
set one beside the other. Pictures are shrunk to SIZE x SIZE where they are larger. With EVONAS_SMALL=1: one epoch."""

import os
import tempfile
import time
from pathlib import Path

import evonas
from evonas.data.sources import Source
from evonas.graph import Graph
from evonas.network import build
from evonas.run.problem import fitted
from evonas.systems import registry
from evonas.systems.setup import Setup
from evonas.tasks.classification import ImageClassification
from evonas.training.course import train
from evonas.training.train import evaluate

SMALL = bool(os.environ.get("EVONAS_SMALL"))
SIZE = 16


def size_of(data: str) -> int | None:
    return None if data == "digits" else SIZE


def setup_for(name: str, data: str) -> tuple[ImageClassification, Setup]:
    """The data as a task, and the preset of a system that fits it."""
    system, task = registry.system(name), ImageClassification(Source(data, size=size_of(data)))
    suited = registry.setup(system, system.preset_for(task.input_shape)).suited(task.augmentation())
    return task, fitted(suited, (task.input_shape, task.output_shape), {})


def derived(name: str, data: str, seed: int) -> tuple[str, float]:
    """The code that a search derives, and its core seconds."""
    settings = {"final.epochs": 1} | ({"search.epochs": 1} if SMALL else {})
    with tempfile.TemporaryDirectory() as place:
        start = time.process_time()
        run = evonas.search(
            name, data, size=size_of(data), seed=seed, settings=settings, baseline=False, workers=1, executor="serial",
            out=Path(place) / "run", progress=False,
        )  # fmt: skip
        return run.best.code, round(time.process_time() - start, 1)


def trained(name: str, data: str, graph: Graph, seed: int) -> dict:
    """A network by the final recipe on all but the test images: its test accuracy, what it costs, and core seconds."""
    task, setup = setup_for(name, data)
    splits, network, start = task.splits("cpu"), build(graph, seed=seed), time.process_time()
    train(network, splits.whole, setup.final.lasting(1) if SMALL else setup.final, seed=seed)
    return {
        "parameters": graph.parameters, "multiply_adds": graph.multiply_adds,
        "accuracy": round(evaluate(network, splits.test)["accuracy"], 4),
        "core_s": round(time.process_time() - start, 1),
    }  # fmt: skip
