"""Fitness by shared weights: a genome is a route through a supernet that has been trained, and nothing is trained."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from random import Random
from typing import Any, ClassVar

from deap import tools

from evonas.evaluation import Candidate, Evaluator, Outcome, identity
from evonas.evaluation.latencies import Latencies
from evonas.evaluation.parcel import LACKS, Parcel, facts_in
from evonas.evaluation.store import WeightsLost
from evonas.evaluation.training import splits_of
from evonas.individual import Individual, Toolbox
from evonas.latency import NotMeasured
from evonas.space import Space
from evonas.supernets.supernet import Supernet
from evonas.support.device import torch_threads
from evonas.tasks.task import Task

OPENED = 2  # supernets that a worker keeps


@dataclass(frozen=True)
class KeptSupernet(Parcel):
    """The weights of a supernet that has been trained, and what is known of it, in a file named by its checksum."""

    what: ClassVar[str] = "supernet"

    @classmethod
    def of(cls, file: Path) -> KeptSupernet:
        return cls(file, file.stem)

    @property
    def facts(self) -> dict[str, Any]:
        """What is known of it. Raises WeightsLost."""
        return facts_in(self.fetched())


@dataclass(frozen=True)
class SharedWeights(Evaluator):
    """What a genome is worth by the weights of a supernet: to the bit what the process that trained it would say, in
    whatever order genomes are judged, by whomever.

    space        in the form of the supernet
    supernet     the file of its weights
    objectives   the task's first metric (on the validation split), then any of its other metrics, parameters,
                 multiply_adds, latency
    latencies    the table in which latency is read
    statistics, batch_size
                 of batch norm: see `Supernet`
    limit_s      seconds for one genome
    """

    judges_anything = False

    task: Task
    space: Space
    supernet: KeptSupernet
    objectives: tuple[str, ...]
    statistics: str = "recalibrated"
    batch_size: int = 64
    device: str = "cpu"
    precision: str = "float32"
    threads: int = 1
    limit_s: float | None = None
    latencies: Latencies | None = None

    def identity(self, candidate: Candidate) -> str:
        """By the genome: two with equal networks may take other weights of the supernet."""
        return identity(
            code=list(candidate.genome),
            supernet=self.supernet.name,
            task=self.task.fingerprint,
            statistics=self.statistics,
        )

    def __call__(self, candidate: Candidate, replicate: int = 0) -> Outcome:
        graph = candidate.graph
        try:
            costs = {} if self.latencies is None else {"latency": self.latencies.of(graph)}
            with torch_threads(self.threads):
                measures = opened(self).measures(self.space.route(candidate.genome)) | costs
        except WeightsLost as lost:
            return Outcome.failure(LACKS, str(lost))
        except NotMeasured as unknown:
            return Outcome.failure("latency", str(unknown))
        measures |= {"parameters": graph.parameters, "multiply_adds": graph.multiply_adds}
        return Outcome(tuple(measures[name] for name in self.objectives), "shared", measures=measures)

    def parcels(self) -> dict[str, Parcel]:
        needed = {"supernet": self.supernet, "latencies": self.latencies}
        return {name: parcel for name, parcel in needed.items() if parcel is not None}

    def draws(self, toolbox: Toolbox, rng: Random) -> Toolbox:
        """Only genomes that the supernet holds: all of its space."""
        box = Toolbox()
        box.register("individual", tools.initIterate, Individual, partial(self.space.random, rng))
        return box


@lru_cache(maxsize=OPENED)
def opened(shared: SharedWeights) -> Supernet:
    """The supernet, kept by the process that judges. Raises WeightsLost where it cannot be read."""
    from safetensors.torch import load

    splits = splits_of(shared.task, shared.device)
    supernet = Supernet(
        shared.space.decode(shared.space.open()),
        splits.train,
        splits.validation,
        batch_size=shared.batch_size,
        statistics=shared.statistics,
        precision=shared.precision,
    )
    supernet.network.load_state_dict(load(shared.supernet.fetched()))
    return supernet


def packed(supernet: Supernet, facts: dict[str, Any]) -> bytes:
    """A supernet as a file: its weights, and what is known of it."""
    from safetensors.torch import save

    state = {name: tensor.contiguous().cpu() for name, tensor in supernet.network.state_dict().items()}
    return save(state, {"evonas": json.dumps(facts)})
