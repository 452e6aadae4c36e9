"""The training of a supernet as a phase of its own: it ends in weights, which other phases then search."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import isfinite
from random import Random
from typing import ClassVar, Protocol

from evonas.evaluation import Candidate, Evaluator, Outcome, identity
from evonas.evaluation.evaluator import EvaluationError
from evonas.evaluation.keeper import Keeper
from evonas.evaluation.store import WeightStore
from evonas.evaluation.training import splits_of
from evonas.graph import Graph
from evonas.individual import Individual
from evonas.recipe import Recipe
from evonas.space import Decision, Genome, Space
from evonas.supernets.policy import Policy, diverged, one_epoch, require_memory
from evonas.supernets.shared import packed
from evonas.supernets.training import GivenBench, SupernetTraining
from evonas.support.device import torch_threads
from evonas.support.streams import stream
from evonas.tasks.task import Task
from evonas.training import checkpoint

JUDGED = 5  # random genomes whose mean says how far a supernet is


class Making(Protocol):
    """What makes a policy, and says itself by name and settings (`evonas.systems.setup.Trained`)."""

    def policy(self, space: Space, rng: Random) -> Policy: ...


@dataclass(frozen=True)
class Whole(Space):
    """The supernet of a space as the only network of a space of its own."""

    name: ClassVar[str] = "supernet"
    of: Space

    def next(self, prefix: Genome) -> Decision | None:
        return None

    def decode(self, genome: Genome) -> Graph:
        return self.of.decode(self.of.open())


@dataclass(frozen=True)
class SupernetTrainer(Evaluator):
    """Trains a supernet by a policy. Its value is the mean, by the task's first metric on the validation split, of a
    few random genomes; what matters are the weights that it leaves, with what the policy has learnt.

    space    in the form of the supernet
    policy   that is made in the process that trains
    memory   bytes that the training may take; None: no limit
    keeps    whether a network keeps the limits of the search, for policies that ask; None: it has none
    """

    judges_anything = False

    task: Task
    space: Space
    policy: Making
    recipe: Recipe
    seed: int
    device: str = "cpu"
    precision: str = "float32"
    memory: int | None = None
    threads: int = 1
    keeps: Callable[[Graph], bool] | None = None

    @property
    def epochs(self) -> int:  # type: ignore[override]
        return self.recipe.epochs

    def identity(self, candidate: Candidate) -> str:
        return identity(
            supernet=self.space.to_json(),
            policy=str(self.policy),
            task=self.task.fingerprint,
            recipe=self.recipe.to_json(),
        )

    def made(self) -> Policy:
        """A fresh policy. Raises UserError where it cannot learn on this space, or by this recipe."""
        policy = self.policy.policy(self.space, stream(self.seed, "supernet", "policy"))
        policy.keeps = self.keeps
        policy.check(self.recipe)
        return policy

    def __call__(self, candidate: Candidate, replicate: int = 0) -> Outcome:
        start = time.monotonic()
        splits = splits_of(self.task, self.device)
        bench = GivenBench(splits.train, splits.validation, self.recipe, self.seed, self.precision, self.memory)
        graph, policy = candidate.graph, self.made()
        require_memory(policy, graph, bench)
        until = self.recipe.epochs if candidate.epochs is None else candidate.epochs
        losses: list[float] = []
        with torch_threads(self.threads):
            training = SupernetTraining(graph, bench, statistics=policy.statistics, together=policy.together)
            policy.to(training.device)
            if candidate.state is not None:
                state = checkpoint.unpacked(candidate.state)
                training.load_state(state["training"])
                policy.load_state(state["policy"])
                losses = state["losses"]
            before = training.epochs
            while training.epochs < until:
                losses.append(one_epoch(policy, training))
                if not isfinite(losses[-1]):
                    raise EvaluationError(diverged(losses[-1], training))
            ended = training.epochs == self.recipe.epochs
            value = self._mean(training)
            state = {"training": training.state(), "policy": policy.state(), "losses": losses}
            return Outcome(
                (value,),
                status="full" if ended else "partial",
                epochs=training.epochs - before,
                reached=training.epochs,
                seconds=round(time.monotonic() - start, 4),
                losses=tuple(losses),
                measures={self.task.metric.name: value, "parameters": graph.parameters},
                state=None if ended else checkpoint.packed(state),
                weights=packed(training, self._facts(policy, training)) if ended else None,
            )

    def _mean(self, training: SupernetTraining) -> float:
        rng = stream(self.seed, "supernet", "judged")
        routes = [self.space.route(self.space.random(rng)) for _ in range(JUDGED)]
        return sum(map(training.score, routes)) / JUDGED

    def _facts(self, policy: Policy, training: SupernetTraining) -> dict[str, object]:
        weights = {name: {str(option): weight for option, weight in of.items()}
                   for name, of in policy.weights().items()}  # fmt: skip
        return {
            "space": self.space.to_json(),
            "task": self.task.fingerprint,
            "policy": str(self.policy),
            "epochs": training.epochs,
            "seed": self.seed,
            "statistics": policy.statistics,
            "batch_size": training.batch_size,
            "weights": weights,
            "genomes": [self.space.format(genome) for genome in policy.found(training)],
        }


class SupernetKeeper(Keeper):
    """The supernet is on disk before the journal says that it has been trained."""

    def __init__(self, store: WeightStore) -> None:
        self.store = store

    def begin(self, individual: Individual, candidate: Candidate) -> None:
        candidate.keeps = True

    def keep(self, individual: Individual, outcome: Outcome) -> Outcome:
        if outcome.weights is None:
            return outcome
        return replace(outcome, weights=None, kept=self.store.put(outcome.weights))
