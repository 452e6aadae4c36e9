"""Fitness by shared weights: a genome is a route through a supernet that has been trained, and nothing is trained."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from random import Random
from typing import Any

from deap import tools

from evonas.errors import RunError
from evonas.evaluation import Candidate, Evaluator, Outcome, identity
from evonas.evaluation.evaluator import Job
from evonas.evaluation.inheritance import WeightsLost, stored
from evonas.evaluation.training import splits_of
from evonas.individual import Individual, Toolbox
from evonas.space import Space
from evonas.supernets.supernet import Supernet
from evonas.support.device import torch_threads
from evonas.tasks.task import Task

LACKS = "lacks"  # the kind of a failure of a worker that has not got the supernet
OPENED = 2  # supernets that a worker keeps


@dataclass(frozen=True)
class SharedWeights(Evaluator):
    """What a genome is worth by the weights of a supernet: to the bit what the process that trained it would say, in
    whatever order genomes are judged, by whomever.

    space        in the form of the supernet
    file         that holds the supernet, named by the checksum of its content; a worker that cannot read it is sent
                 the supernet, once
    objectives   the task's first metric (on the validation split), then any of its other metrics, parameters,
                 multiply_adds
    statistics, batch_size
                 of batch norm: see `Supernet`
    limit_s      seconds for one genome
    content      the supernet itself, for a worker that has not got it
    """

    judges_anything = False

    task: Task
    space: Space
    file: Path
    objectives: tuple[str, ...]
    statistics: str = "recalibrated"
    batch_size: int = 64
    device: str = "cpu"
    precision: str = "float32"
    threads: int = 1
    limit_s: float | None = None
    content: bytes | None = field(default=None, compare=False, repr=False)

    def identity(self, candidate: Candidate) -> str:
        """By the genome: two with equal networks may take other weights of the supernet."""
        return identity(
            code=list(candidate.genome), supernet=self.file.stem, task=self.task.fingerprint, statistics=self.statistics
        )

    def __call__(self, candidate: Candidate, replicate: int = 0) -> Outcome:
        graph = candidate.graph
        try:
            with torch_threads(self.threads):
                measures = opened(self).measures(self.space.route(candidate.genome))
        except WeightsLost as lost:
            return Outcome.failure(LACKS, str(lost))
        measures |= {"parameters": graph.parameters, "multiply_adds": graph.multiply_adds}
        return Outcome(tuple(measures[name] for name in self.objectives), "shared", measures=measures)

    def once_more(self, candidate: Candidate, replicate: int, outcome: Outcome) -> Job | None:
        """A worker that has not got the supernet is sent it. Raises RunError where it is lost here too."""
        if not (outcome.error or "").startswith(f"{LACKS}:") or self.content is not None:
            return None
        return Job(replace(self, content=whole(self.file)), candidate, replicate)

    def draws(self, toolbox: Toolbox, rng: Random) -> Toolbox:
        """Only genomes that the supernet holds: all of its space."""
        box = Toolbox()
        box.register("individual", tools.initIterate, Individual, partial(self.space.random, rng))
        return box


@lru_cache(maxsize=OPENED)
def opened(shared: SharedWeights) -> Supernet:
    """The supernet, kept by the process that judges. Raises WeightsLost where it cannot be read."""
    from safetensors.torch import load

    content = shared.content or stored(shared.file)
    splits = splits_of(shared.task, shared.device)
    supernet = Supernet(
        shared.space.decode(shared.space.open()),
        splits.train,
        splits.validation,
        batch_size=shared.batch_size,
        statistics=shared.statistics,
        precision=shared.precision,
    )
    supernet.network.load_state_dict(load(content))
    return supernet


def whole(file: Path) -> bytes:
    """The file of a supernet. Raises RunError where it is lost."""
    try:
        return stored(file)
    except WeightsLost as lost:
        raise RunError(f"the supernet of this search is lost: {lost}; put {file} back, or train another one in a new "
                       "run") from None  # fmt: skip


def packed(supernet: Supernet, facts: dict[str, Any]) -> bytes:
    """A supernet as a file: its weights, and what is known of it."""
    from safetensors.torch import save

    state = {name: tensor.contiguous().cpu() for name, tensor in supernet.network.state_dict().items()}
    return save(state, {"evonas": json.dumps(facts)})


def facts_in(content: bytes) -> dict[str, Any]:
    """What a file of a supernet says of it."""
    size = int.from_bytes(content[:8], "little")
    return json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["evonas"])
