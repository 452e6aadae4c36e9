"""Fitness by training: decode, build, train by a recipe, and measure the accuracy."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from evonas.data.shared import shared
from evonas.data.sources import Source
from evonas.evaluation import EvaluationError, Genome, Outcome, identity
from evonas.graph import Graph
from evonas.recipe import Recipe
from evonas.space import Space
from evonas.support.device import torch_threads
from evonas.support.stopwatch import UNWATCHED, Stopwatch
from evonas.support.streams import number
from evonas.training.memory import splits_within, training_bytes

if TYPE_CHECKING:
    from evonas.tasks.splits import Task


@dataclass(frozen=True)
class Origin:
    """The weights with which a training begins.

    name     of what is inherited, which stands for its content; fresh: all are drawn
    weights  as safetensors: copied where name and shape agree; the others are drawn
    parent   id of the individual that they come from
    epochs   that they have been trained for, along the whole ancestry
    warning  why there are none, where there should be
    """

    name: str = "fresh"
    weights: bytes | None = field(default=None, repr=False)
    parent: int | None = None
    epochs: int = 0
    warning: str | None = None


FRESH = Origin()
HANGS, LOADING_S = 1.5, 60.0  # over the limit of a training by so much: it hangs; seconds to import torch and load data


@dataclass(frozen=True)
class TrainedAccuracy:
    """What a network is worth after training; in a `final` one, test accuracy after training on all.

    objectives   accuracy (of the validation part), then any of parameters, multiply_adds, latency (ms; not repeatable)
    timeout_s    a network that needs longer is a recorded failure
    memory       bytes that a training may take; a network that needs more is a recorded failure, without being built,
    accumulate   or is trained with each batch in parts, as many as it takes
    threads      of the CPU for torch
    profile      say where the time went
    data         fingerprint of the images, which a worker's must have; None: whatever they are
    origin       the weights that it begins with
    final        train on training and validation data, then read the test part, once
    keeps        the weights come back too

    The seed of a training is a stream of the run's seed and the identity of the evaluation, so it depends neither on
    the order of evaluations nor on the worker.
    """

    space: Space
    source: Source
    recipe: Recipe
    seed: int
    objectives: tuple[str, ...] = ("accuracy",)
    device: str = "cpu"
    precision: str = "float32"
    timeout_s: float | None = None
    memory: int | None = None
    accumulate: bool = False
    threads: int = 1
    profile: bool = False
    final: bool = False
    keeps: bool = False
    data: str | None = None
    origin: Origin = FRESH

    @property
    def overdue_s(self) -> float | None:
        """A training looks at its limit after every step. Where it hangs, loading the data included, this ends it."""
        return None if self.timeout_s is None else HANGS * self.timeout_s + LOADING_S

    def key(self, genome: Genome) -> str:
        training = self._training(genome, self.space.decode(genome))
        return training if self.final else "/".join([training, *self.objectives[1:]])

    def _training(self, genome: Genome, graph: Graph) -> str:
        """The identity of the training, which does not hang on what else is measured. Names matter where weights are
        inherited or will be, since they are by name."""
        by_name = self.origin.name != FRESH.name or (self.keeps and not self.final)
        named = {"names": graph.simplified(training=True).to_json()} if by_name else {}
        return identity(
            digest=graph.digest(),
            task=self.data or shared(self.source).fingerprint,
            part="train+validation" if self.final else "train",
            recipe=self._recipe(genome).to_json(),
            origin=self.origin.name,
            **named,
        )

    def _recipe(self, genome: Genome) -> Recipe:
        """A genome may say something of its training in a search; a final training is by the final recipe."""
        return self.recipe if self.final else self.space.recipe(genome, self.recipe)

    def __call__(self, genome: Genome, replicate: int = 0) -> Outcome:

        from evonas.evaluation.inheritance import inherit, saved
        from evonas.network import build
        from evonas.training.latency import latency, wait
        from evonas.training.train import TrainingFailed, accuracy, train

        task = _task(self.source, self.device, self.data)
        start = time.monotonic()
        watch = Stopwatch(wait=partial(wait, task.whole.device)) if self.profile else UNWATCHED
        watch.begin("build")
        graph = self.space.decode(genome)
        if graph.output_shape != (task.classes,):
            return Outcome.failure(
                "shape", f"the network ends in {graph.output_shape}; there are {task.classes} classes"
            )
        recipe = self._recipe(genome)
        splits = self._splits(graph)
        if splits is None:
            return Outcome.failure("memory", self._too_large(graph))
        seed = number(self.seed, "train", self._training(genome, graph), replicate)
        try:
            with torch_threads(self.threads):
                network = build(graph.simplified(training=True), seed=seed)
                copied, tensors = inherit(network, self.origin.weights)
                curve = train(
                    network,
                    task.whole if self.final else task.train,
                    recipe,
                    seed=seed,
                    validation=None if self.final else task.validation,
                    precision=self.precision,
                    splits=splits,
                    deadline=None if self.timeout_s is None else start + self.timeout_s,
                    watch=watch,
                )
                watch.begin("evaluation")
                value = (
                    accuracy(network, task.test, precision=self.precision)
                    if self.final
                    else max(curve[-min(recipe.best_of, recipe.epochs) :])  # none from before a restart
                )
                measures = {"accuracy": value, "parameters": graph.parameters, "multiply_adds": graph.multiply_adds}
                if "latency" in self.objectives and not self.final:
                    image = next(task.validation[:1].batches())[0]
                    measures["latency"] = latency(network, image, precision=self.precision)
        except TrainingFailed as failure:
            return Outcome.failure(failure.kind, str(failure), seconds=_since(start))
        watch.begin("other")
        epochs = len(curve) or recipe.epochs  # with those before a restart
        lineage = {"from": self.origin.parent, "epochs": self.origin.epochs + epochs, "copied": copied,
                   "tensors": tensors}  # fmt: skip
        return Outcome(
            (value,) if self.final else tuple(measures[name] for name in self.objectives),
            epochs=epochs,
            seconds=_since(start),
            curve=tuple(curve),
            measures=measures,
            weights=saved(network) if self.keeps else None,
            lineage=lineage if self.keeps and not self.final else {},
            warning=self.origin.warning,
            profile=watch.stop(),
        )

    def _splits(self, graph: Graph) -> int | None:
        """Into how many parts each batch goes; None where the training would take too much memory."""
        if self.memory is None:
            return 1
        splits = splits_within(graph, self.recipe, self.memory, device=self.device, precision=self.precision)
        return splits if self.accumulate or splits == 1 else None

    def _too_large(self, graph: Graph) -> str:
        needed = training_bytes(graph, self.recipe, device=self.device, precision=self.precision)
        advice = "" if self.accumulate else ", or allow batches in parts (--accumulate)"
        return (f"about {needed / 2**20:,.0f} MiB to train in batches of {self.recipe.batch_size}, over the limit of "
                f"{(self.memory or 0) / 2**20:,.0f}; give it more memory (fewer workers){advice}")  # fmt: skip


@dataclass(frozen=True)
class AsTrained:
    """Test accuracy of a network with the weights that a search has left it with: nothing is trained."""

    space: Space
    source: Source
    origin: Origin
    device: str = "cpu"
    precision: str = "float32"
    threads: int = 1
    data: str | None = None

    def key(self, genome: Genome) -> str:
        return identity(code=list(genome), task=self.data, origin=self.origin.name, part="test")

    def __call__(self, genome: Genome, replicate: int = 0) -> Outcome:
        import torch

        from evonas.evaluation.inheritance import inherit
        from evonas.network import build
        from evonas.training.train import accuracy

        if self.origin.weights is None:
            return Outcome.failure("weights", self.origin.warning or "there are none")
        task = _task(self.source, self.device, self.data)
        graph = self.space.decode(genome)
        with torch_threads(self.threads):
            network = build(graph.simplified(training=True))
            copied, tensors = inherit(network, self.origin.weights)
            if copied < tensors:
                return Outcome.failure("weights", f"only {copied} of {tensors} tensors are those of this network")
            network.to(device=task.test.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
            value = accuracy(network, task.test, precision=self.precision)
        measures = {"accuracy": value, "parameters": graph.parameters, "multiply_adds": graph.multiply_adds}
        lineage = {"from": self.origin.parent, "epochs": self.origin.epochs}
        return Outcome((value,), measures=measures, weights=self.origin.weights, lineage=lineage)


def _task(source: Source, device: str, fingerprint: str | None) -> Task:
    """The images on the device. Raises EvaluationError where they are not those that the search began with."""
    from evonas.tasks.splits import task_on

    task = task_on(source, device, fingerprint)
    if fingerprint not in (None, task.fingerprint):
        raise EvaluationError(f"{source.name} on {socket.gethostname()} holds other images than those that the search "
                              "began with; give all hosts the same")  # fmt: skip
    return task


def _since(start: float) -> float:
    return round(time.monotonic() - start, 4)
