"""Fitness by training: decode, build, train by a recipe, and measure what the task asks for."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any

from evonas.evaluation.candidate import FRESH, Candidate
from evonas.evaluation.evaluator import EvaluationError, Evaluator, identity
from evonas.evaluation.latencies import Latencies
from evonas.evaluation.outcome import Outcome
from evonas.evaluation.parcel import LACKS, Parcel
from evonas.evaluation.store import WeightsLost
from evonas.evaluation.teacher import Teacher
from evonas.graph import Graph
from evonas.latency import NotMeasured
from evonas.recipe import Recipe
from evonas.support.device import torch_threads
from evonas.support.stopwatch import UNWATCHED, Stopwatch
from evonas.support.streams import number
from evonas.tasks.task import DataDiffer, Task
from evonas.training.memory import splits_within, training_bytes

if TYPE_CHECKING:
    from torch import nn

    from evonas.tasks.splits import Splits

HERITAGE_BATCH = 64  # examples with whose statistics inserted batch norms begin (the code of EAS)
HANGS, LOADING_S = 1.5, 60.0  # over the limit of a training by so much: it hangs; seconds to import torch and load data


@dataclass(frozen=True)
class Training(Evaluator):
    """What a network is worth after training; in a `final` one, on the test split after training on all other data.

    objectives   the task's first metric (on the validation split), then any of its other metrics, parameters,
                 multiply_adds, latency (ms; not repeatable, unless it is read in a table)
    latencies    the table of a device in which latency is read; None: it is measured on the one that trains
    timeout_s    a network that needs longer is a recorded failure; its process is ended where it hangs
    allowed_s    the same, where it is the run that has no more time; None: it has
    memory       bytes that a training may take; a network that needs more is a recorded failure, without being built,
    accumulate   or is trained with each batch in parts, as many as it takes
    threads      of the CPU for torch
    profile      say where the time went
    teacher      by which recipes that distil are trained
    final        train on training and validation data; at the end of the schedule the test split is read, once

    The seed of a training is a stream of the run's seed and the identity of the training, so it depends neither on the
    order of evaluations nor on the worker.
    """

    task: Task
    recipe: Recipe
    seed: int
    objectives: tuple[str, ...] = ()
    device: str = "cpu"
    precision: str = "float32"
    timeout_s: float | None = None
    allowed_s: float | None = None
    memory: int | None = None
    accumulate: bool = False
    threads: int = 1
    profile: bool = False
    latencies: Latencies | None = None
    teacher: Teacher | None = None
    final: bool = False

    @property
    def epochs(self) -> int:  # type: ignore[override]
        return self.recipe.epochs

    @property
    def limit_s(self) -> float | None:  # type: ignore[override]
        """A training looks at its limit after every step. Where it hangs, loading the data included, this ends it."""
        return None if self.timeout_s is None else HANGS * self.timeout_s + LOADING_S

    def identity(self, candidate: Candidate) -> str:
        """It stands for the training and for what else is measured. Names of nodes matter where weights are or will
        be inherited, since that goes by name."""
        recipe = self._recipe(candidate)
        taught = {"teacher": self.teacher.name} if self.teacher is not None and recipe.distills else {}
        by_name = candidate.origin.name != FRESH.name or (candidate.keeps and not self.final)
        by_name = by_name or bool(recipe.features)
        named: dict[str, Any] = {"names": candidate.graph.simplified(training=True).to_json()} if by_name else {}
        if by_name and candidate.space.has_heritage:  # what was copied depends on how the network came to be
            named["genome"] = list(candidate.genome)
        training = identity(
            digest=candidate.digest,
            task=self.task.fingerprint,
            part="train+validation" if self.final else "train",
            recipe=recipe.to_json(),
            origin=candidate.origin.name,
            **taught,
            **named,
        )
        if self.final:
            return training
        by = "" if self.latencies is None else f" by {self.latencies.table.fingerprint}"
        return "/".join([training, *(name + by * (name == "latency") for name in self.objectives[1:])])

    def _recipe(self, candidate: Candidate) -> Recipe:
        """A genome may say something of its training."""
        space = candidate.space
        return (space.final_recipe if self.final else space.recipe)(candidate.genome, self.recipe)

    def __call__(self, candidate: Candidate, replicate: int = 0) -> Outcome:
        from evonas.network import build
        from evonas.scheduled import finished
        from evonas.training.checkpoint import packed, unpacked
        from evonas.training.course import Course
        from evonas.training.distillation import differing
        from evonas.training.latency import latency, wait
        from evonas.training.train import TrainingFailed, final_test
        from evonas.training.weights import saved

        splits, metric, origin = splits_of(self.task, self.device), self.task.metric, candidate.origin
        start = time.monotonic()
        watch = Stopwatch(wait=partial(wait, splits.whole.device)) if self.profile else UNWATCHED
        watch.begin("build")
        graph = candidate.graph
        if graph.output_shape != self.task.output_shape:
            return Outcome.failure(
                "shape", f"the network ends in {graph.output_shape}; the task wants {self.task.output_shape}"
            )
        recipe = self._recipe(candidate)
        reached = recipe.epochs if candidate.epochs is None else candidate.epochs
        teacher = self.teacher if recipe.distills else None
        try:
            guide = None if teacher is None else teacher.guide(self.task, self.device)
            takes = self.latencies.of(graph) if self.latencies is not None and self._times else None
        except WeightsLost as lost:
            return Outcome.failure(LACKS, str(lost))
        except NotMeasured as unknown:
            return Outcome.failure("latency", str(unknown))
        if teacher is not None and (differs := differing(recipe, graph.simplified(training=True), teacher.graph)):
            return Outcome.failure("shape", differs)
        parts = self._parts(graph, recipe)
        if parts is None:
            return Outcome.failure("memory", self._too_large(graph, recipe))
        training = (candidate.identity or self.identity(candidate)).partition("/")[0]
        seed = number(self.seed, "train", training, replicate)
        allowed = min(self.timeout_s or inf, self.allowed_s or inf)
        deadline = None if allowed == inf else start + allowed
        try:
            with torch_threads(self.threads):
                network: nn.Module = build(graph.simplified(training=True), seed=seed)
                copied, tensors = self._inherit(network, candidate, splits, seed, deadline)
                course = Course(
                    network,
                    splits.whole if self.final else splits.train,
                    recipe,
                    seed=seed,
                    validation=None if self.final else splits.validation,
                    precision=self.precision,
                    splits=parts,
                    teacher=guide,
                    watch=watch,
                )
                if candidate.state is not None:
                    course.load_state(unpacked(candidate.state))
                before = len(course.curve) or course.epochs
                course.go(reached, deadline=deadline)
                watch.begin("evaluation")
                answers, ended = None, reached == recipe.epochs
                measures: dict[str, float] = {}
                if self.final and ended:
                    network = finished(network)
                    measures, answers = final_test(network, splits.test)
                elif not self.final:
                    curve = course.curve
                    last = curve[-min(recipe.best_of, reached) :]  # none from before a restart
                    measures = curve[-1] | {metric.name: metric.best(each[metric.name] for each in last)}
                measures |= {"parameters": graph.parameters, "multiply_adds": graph.multiply_adds}
                if takes is not None:
                    measures["latency"] = takes
                elif self._times:
                    one = next(splits.validation[:1].batches())[0]
                    measures["latency"] = latency(network, one, precision=self.precision)
        except TrainingFailed as failure:
            return Outcome.failure(failure.kind, str(failure), seconds=_since(start))
        watch.begin("other")
        epochs = (len(course.curve) or reached) - before  # with those before a restart
        lineage = {"from": origin.parent, "epochs": origin.epochs + epochs, "copied": copied, "tensors": tensors}
        wanted = (metric.name,) * ended if self.final else (metric.name, *self.objectives[1:])
        return Outcome(
            tuple(measures[name] for name in wanted),
            status="full" if ended else "partial",
            epochs=epochs,
            reached=0 if candidate.epochs is None else reached,
            seconds=_since(start),
            curve=tuple(each[metric.name] for each in course.curve),
            losses=tuple(course.losses),
            state=None if ended else packed(course.state()),
            measures=measures,
            weights=saved(network) if candidate.keeps and ended else None,
            answers=answers if candidate.keeps else None,
            lineage=lineage if candidate.keeps and not self.final else {},
            warning=origin.warning,
            profile=watch.stop(),
        )

    def _inherit(
        self, network: nn.Module, candidate: Candidate, splits: Splits, seed: int, deadline: float | None
    ) -> tuple[int, int]:
        """What the network begins with, where that is not as drawn; how many tensors are inherited, and how many there
        are. Raises TrainingFailed where it is to imitate its parent, and cannot before the deadline."""
        from evonas.network import build
        from evonas.training.weights import grow, inherit

        heritage = candidate.heritage(seed)
        if heritage is None:
            return inherit(network, candidate.origin.weights)
        batch = next(splits.train[:HERITAGE_BATCH].batches())[0]
        grown = grow(network, candidate.origin.weights, heritage, partial(build, seed=seed), batch, seed)
        if heritage.imitation and candidate.state is None:  # else the training has begun before
            from evonas.training.imitation import imitate

            assert candidate.origin.genome is not None, "it has left a heritage"
            parent = build(candidate.space.decode(candidate.origin.genome).simplified(training=True))
            inherit(parent, candidate.origin.weights)
            imitate(
                network,
                parent,
                splits.train,
                heritage.imitation,
                seed=number(seed, "imitation"),
                deadline=deadline,
            )
        return grown

    def parcels(self) -> dict[str, Parcel]:
        needed = {"teacher": self.teacher, "latencies": self.latencies if self._times else None}
        return {name: parcel for name, parcel in needed.items() if parcel is not None}

    @property
    def _times(self) -> bool:
        """Whether latency is wanted."""
        return "latency" in self.objectives and not self.final

    @property
    def _where(self) -> dict[str, Any]:
        """What the memory of a training depends on beside its network and recipe."""
        taught = self.teacher is not None and self.recipe.distills
        teacher = self.teacher.graph if self.teacher is not None and taught else None
        return {"device": self.device, "precision": self.precision, "teacher": teacher}

    def _parts(self, graph: Graph, recipe: Recipe) -> int | None:
        """Into how many parts each batch goes; None where the training would take too much memory."""
        if self.memory is None:
            return 1
        parts = splits_within(graph, self._in_batches(recipe), self.memory, **self._where)
        return parts if self.accumulate or parts == 1 else None

    def _in_batches(self, recipe: Recipe) -> Recipe:
        """With batches of no more examples than there are."""
        train, validation, _ = self.task.counts
        return replace(recipe, batch_size=min(recipe.batch_size, train + validation * self.final))

    def _too_large(self, graph: Graph, recipe: Recipe) -> str:
        recipe = self._in_batches(recipe)
        needed = training_bytes(graph, recipe, **self._where)
        advice = "" if self.accumulate else ", or allow batches in parts (--accumulate)"
        return (f"about {needed / 2**20:,.0f} MiB to train in batches of {recipe.batch_size}, over the limit of "
                f"{(self.memory or 0) / 2**20:,.0f}; give it more memory (fewer workers){advice}")  # fmt: skip


@dataclass(frozen=True)
class AsTrained(Evaluator):
    """The test split by the weights with which a candidate begins, which a search has left: nothing is trained."""

    task: Task
    device: str = "cpu"
    threads: int = 1

    def identity(self, candidate: Candidate) -> str:
        return identity(
            code=list(candidate.genome), task=self.task.fingerprint, origin=candidate.origin.name, part="test"
        )

    def __call__(self, candidate: Candidate, replicate: int = 0) -> Outcome:
        import torch

        from evonas.network import build
        from evonas.scheduled import finished
        from evonas.training.train import final_test
        from evonas.training.weights import inherit, saved

        origin = candidate.origin
        if origin.weights is None:
            return Outcome.failure("weights", origin.warning or "there are none")
        test = splits_of(self.task, self.device).test
        graph = candidate.graph
        with torch_threads(self.threads):
            network: nn.Module = build(graph.simplified(training=True))
            copied, tensors = inherit(network, origin.weights)
            if copied < tensors:
                return Outcome.failure("weights", f"only {copied} of {tensors} tensors are those of this network")
            network = finished(network)
            network.to(device=test.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
            measures, answers = final_test(network, test)
        value = measures[self.task.metric.name]
        measures |= {"parameters": graph.parameters, "multiply_adds": graph.multiply_adds}
        lineage = {"from": origin.parent, "epochs": origin.epochs}
        return Outcome((value,), measures=measures, weights=saved(network), answers=answers, lineage=lineage)


def splits_of(task: Task, device: str) -> Splits:
    """The data on the device. Raises EvaluationError where they are not those that the search began with."""
    try:
        return task.splits(device)
    except DataDiffer as differ:
        raise EvaluationError(str(differ)) from None


def _since(start: float) -> float:
    return round(time.monotonic() - start, 4)
