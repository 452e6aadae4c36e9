"""Fitness by training: decode, build, train by a recipe, and measure the accuracy."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass
from functools import partial

from evonas.data import Source
from evonas.evaluation import EvaluationError, Genome, Outcome, identity
from evonas.graph import Graph
from evonas.memory import splits_within, training_bytes
from evonas.recipe import Recipe
from evonas.shared_data import shared
from evonas.space import Space
from evonas.stopwatch import UNWATCHED, Stopwatch
from evonas.streams import number

HANGS, LOADING_S = 1.5, 60.0  # over the limit of a training by so much: it hangs; seconds to import torch and load data


@dataclass(frozen=True)
class TrainedAccuracy:
    """What a network is worth after training from fresh weights; in a `final` one, test accuracy after training on all.

    objectives   accuracy (of the validation part), then any of parameters, multiply_adds, latency (ms; not repeatable)
    timeout_s    a network that needs longer is a recorded failure
    memory       bytes that a training may take; a network that needs more is a recorded failure, without being built,
    accumulate   or is trained with each batch in parts, as many as it takes
    threads      of the CPU for torch
    profile      say where the time went
    data         fingerprint of the images, which a worker's must have; None: whatever they are
    final        train on training and validation data, then read the test part, once; the weights come back too

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
    data: str | None = None

    @property
    def overdue_s(self) -> float | None:
        """A training looks at its limit after every step. Where it hangs, loading the data included, this ends it."""
        return None if self.timeout_s is None else HANGS * self.timeout_s + LOADING_S

    def key(self, genome: Genome) -> str:
        training = self._training(self.space.decode(genome))
        return training if self.final else "/".join([training, *self.objectives[1:]])

    def _training(self, graph: Graph) -> str:
        """The identity of the training, which does not hang on what else is measured."""
        return identity(
            digest=graph.digest(),
            task=self.data or shared(self.source).fingerprint,
            part="train+validation" if self.final else "train",
            recipe=self.recipe.to_json(),
            origin="fresh",
        )

    def __call__(self, genome: Genome, replicate: int = 0) -> Outcome:
        import torch  # here, so that listing and steering a search need not pay for it
        from safetensors.torch import save

        from evonas.batches import task_on
        from evonas.latency import latency, wait
        from evonas.network import build
        from evonas.training import TrainingFailed, accuracy, train

        task = task_on(self.source, self.device, self.data)
        if self.data not in (None, task.fingerprint):
            raise EvaluationError(
                f"{self.source.name} on {socket.gethostname()} holds other images than those that the search began "
                "with; give all hosts the same"
            )
        start = time.monotonic()
        watch = Stopwatch(wait=partial(wait, task.whole.device)) if self.profile else UNWATCHED
        watch.begin("build")
        graph = self.space.decode(genome)
        if graph.output_shape != (task.classes,):
            return Outcome.failure(
                "shape", f"the network ends in {graph.output_shape}; there are {task.classes} classes"
            )
        splits = self._splits(graph)
        if splits is None:
            return Outcome.failure("memory", self._too_large(graph))
        seed = number(self.seed, "train", self._training(graph), replicate)
        threads = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        try:
            network = build(graph.simplified(training=True), seed=seed)
            curve = train(
                network,
                task.whole if self.final else task.train,
                self.recipe,
                seed=seed,
                validation=None if self.final else task.validation,
                precision=self.precision,
                splits=splits,
                deadline=None if self.timeout_s is None else start + self.timeout_s,
                watch=watch,
            )
            watch.begin("evaluation")
            value = accuracy(network, task.test, precision=self.precision) if self.final else curve[-1]
            measures = {"accuracy": value, "parameters": graph.parameters, "multiply_adds": graph.multiply_adds}
            if "latency" in self.objectives and not self.final:
                image = next(task.validation[:1].batches())[0]
                measures["latency"] = latency(network, image, precision=self.precision)
        except TrainingFailed as failure:
            return Outcome.failure(failure.kind, str(failure), seconds=_since(start))
        finally:
            torch.set_num_threads(threads)
        watch.begin("other")
        weights = save({k: v.contiguous().cpu() for k, v in network.state_dict().items()}) if self.final else None
        return Outcome(
            (value,) if self.final else tuple(measures[name] for name in self.objectives),
            epochs=self.recipe.epochs,
            seconds=_since(start),
            curve=tuple(curve),
            measures=measures,
            weights=weights,
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


def _since(start: float) -> float:
    return round(time.monotonic() - start, 4)
