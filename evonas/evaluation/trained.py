"""Fitness by training: decode, build, train by a recipe, and measure the accuracy."""

from __future__ import annotations

import time
from dataclasses import dataclass

from evonas.data import Source, load
from evonas.evaluation import Genome, Outcome, identity
from evonas.recipe import Recipe
from evonas.space import Space
from evonas.streams import number


@dataclass(frozen=True)
class TrainedAccuracy:
    """What a network is worth after training from fresh weights; in a `final` one, test accuracy after training on all.

    objectives   accuracy (of the validation part), then any of parameters, multiply_adds, latency (ms; not repeatable)
    timeout_s    a network that needs longer is a recorded failure
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
    final: bool = False

    def key(self, genome: Genome) -> str:
        training = self._training(genome)
        return training if self.final else "/".join([training, *self.objectives[1:]])

    def _training(self, genome: Genome) -> str:
        """The identity of the training, which does not hang on what else is measured."""
        return identity(
            digest=self.space.decode(genome).digest(),
            task=load(self.source).fingerprint,
            part="train+validation" if self.final else "train",
            recipe=self.recipe.to_json(),
            origin="fresh",
        )

    def __call__(self, genome: Genome, replicate: int = 0) -> Outcome:
        import torch  # here, so that listing and steering a search need not pay for it
        from safetensors.torch import save

        from evonas.latency import latency
        from evonas.network import build
        from evonas.training import TrainingFailed, accuracy, task_on, train

        graph = self.space.decode(genome)
        task = task_on(self.source, self.device)
        if graph.output_shape != (task.classes,):
            return Outcome.failure(
                "shape", f"the network ends in {graph.output_shape}; there are {task.classes} classes"
            )
        seed = number(self.seed, "train", self._training(genome), replicate)
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # two threads cost more than they give where several processes share a machine
        start = time.monotonic()
        try:
            network = build(graph.simplified(training=True), seed=seed)
            curve = train(
                network,
                task.train.joined(task.validation) if self.final else task.train,
                self.recipe,
                seed=seed,
                validation=None if self.final else task.validation,
                precision=self.precision,
                deadline=None if self.timeout_s is None else start + self.timeout_s,
            )
            value = accuracy(network, task.test, precision=self.precision) if self.final else curve[-1]
            measures = {"accuracy": value, "parameters": graph.parameters, "multiply_adds": graph.multiply_adds}
            if "latency" in self.objectives and not self.final:
                measures["latency"] = latency(network, task.validation.images[:1], precision=self.precision)
        except TrainingFailed as failure:
            return Outcome.failure(failure.kind, str(failure), seconds=_since(start))
        finally:
            torch.set_num_threads(threads)
        weights = save({k: v.contiguous().cpu() for k, v in network.state_dict().items()}) if self.final else None
        return Outcome(
            (value,) if self.final else tuple(measures[name] for name in self.objectives),
            epochs=self.recipe.epochs,
            seconds=_since(start),
            curve=tuple(curve),
            measures=measures,
            weights=weights,
        )


def _since(start: float) -> float:
    return round(time.monotonic() - start, 4)
