"""The search that all supernet systems share: each proposal is the genome derived after one more epoch."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from functools import partial
from math import isfinite, log
from pathlib import Path
from random import Random
from typing import Any

from deap import tools

from evonas.errors import RunError, UserError
from evonas.evaluation import Candidate, Evaluator, Genome, Known, Outcome, identity
from evonas.graph import Graph
from evonas.individual import Individual, Toolbox
from evonas.space import Token, Weights
from evonas.strategies.strategy import Strategy
from evonas.supernets.collapse import collapse, skips_of
from evonas.supernets.policy import Policy, Staged, diverged, one_epoch, require_memory
from evonas.supernets.training import Bench, SupernetTraining, stage_of
from evonas.support.device import torch_threads
from evonas.training import checkpoint

DECIMALS = 4  # of the numbers in a proposal
CHECKPOINT = "supernet.checkpoint"


class WeightsOfNow(Evaluator):
    """Judges genomes by the weights of a supernet in training. What its search has proposed is judged already; any
    other genome that the supernet holds is judged by the weights of now, in the process that has them."""

    judges_anything = False

    def __init__(self, search: SupernetSearch) -> None:
        self.search = search

    def identity(self, candidate: Candidate) -> str:
        epoch = candidate.proposal.get("epoch", self.search.handed_out)
        return identity(code=list(candidate.genome), origin=f"supernet after epoch {epoch}")

    def __call__(self, candidate: Candidate, replicate: int = 0) -> Outcome:
        if "epoch" in candidate.proposal:
            return self.search.outcome(candidate.proposal["epoch"])
        return self.search.judge(candidate.genome)

    def job(self, candidate: Candidate, replicate: int = 0) -> Known:
        return Known(self(candidate, replicate))

    def epoch_seconds(self, candidate: Candidate, outcome: Outcome) -> float:
        """What took the seconds was all networks at once."""
        return self.search.share(candidate.graph) * super().epoch_seconds(candidate, outcome)

    def draws(self, toolbox: Toolbox, rng: Random) -> Toolbox:
        """Only genomes that the supernet holds."""
        box = Toolbox()
        box.register("individual", tools.initIterate, Individual, partial(self.search.policy.random, rng))
        return box


class SupernetSearch(Strategy):
    """Trains the supernet of a policy's genome; after each epoch of the recipe it proposes what the policy derives.

    Its fitness is the task's first metric of that route through the supernet, on the validation split: a rough guide,
    not the value that the network will reach (status `shared`). The genome of the last epoch is the result, or that of
    the best one where the policy says so (SNAS). Otherwise the earlier ones are provisional, and can be inspected,
    trained and compared like any other.

    statistics   batch norm statistics for the evaluation of a route: see `SupernetTraining`

    After each epoch `supernet.checkpoint` contains everything that is needed to continue, so an interrupted search ends
    as if it had not been interrupted; on a CPU, the result is identical to the bit.
    """

    population = ()  # nobody has children
    endless = False  # it ends with the recipe's epochs

    def __init__(self, policy: Policy, *, statistics: str = "batch") -> None:
        self.policy, self.statistics = policy, statistics
        self.training: SupernetTraining | None = None
        self.narrowed: list[list[tuple[Token, ...]]] = []  # the options of each stage after the first, up to now
        self.derived: list[tuple[tuple[Any, ...], dict[str, Any], float, float]] = []
        self.handed_out = 0
        self._first: tuple[Genome, ...] = ()
        self._judged: dict[tuple[int, tuple[Any, ...]], Outcome] = {}  # by epoch and genome

    def check(self, problem: Any, *, inherit: bool = False) -> None:
        reasons = {
            "it has no data": problem.task is None,
            "there is an evaluate": problem.evaluate is not None,
            "there are several objectives": len(problem.objectives) > 1,
            "children are to inherit weights": inherit,
        }
        for why, is_so in reasons.items():
            if is_so:
                raise UserError(
                    f"a supernet is trained on a task, for its first metric alone, and has no children: {why}"
                )
        self.policy.check(problem.search)

    def begin_with(self, first: Sequence[Individual]) -> SupernetSearch:
        """The policy begins with a network as the likeliest. Raises UserError for more than one."""
        if len(first) > 1:
            raise UserError(f"there are {len(first)} networks to begin with; give a supernet at most one")
        self._first = tuple(map(tuple, first))
        return self

    def prepare(self, bench: Bench, folder: Path | None = None) -> None:
        """What a run gives before anything is asked: data and a recipe, and where to keep the supernet (None: nowhere).

        Raises UserError where the space has no supernet, or its training would take too much memory; RunError for a
        checkpoint that cannot be read.
        """
        self.checkpoint = None if folder is None else folder / CHECKPOINT
        self.bench = bench
        self.policy.check(bench.recipe)
        for policy in self.policy.largest():
            require_memory(policy, policy.graph(), bench)
        for genome in self._first:
            self.policy.prefer(genome)
        if self.checkpoint is not None and self.checkpoint.exists():
            self._load(self.checkpoint)
        else:
            self.training = self._begun()

    def evaluator(self, usual: Evaluator) -> WeightsOfNow:
        """Genomes are judged by the weights of the supernet."""
        return WeightsOfNow(self)

    # ---- a strategy -----------------------------------------------------------------------------------------------

    def generate(self, n: int | None = None) -> list[Individual]:
        """Train for an epoch and return the derived genome; [] after the last epoch."""
        if self.training is None:
            raise UserError("a supernet search trains by itself; pass it to evonas.search, or call `prepare` first")
        if self.handed_out == len(self.derived):
            if len(self.derived) >= self.bench.recipe.epochs:
                return []
            self._epoch()
        genome, said, _, _ = self.derived[self.handed_out]
        self.handed_out += 1
        individual = Individual(genome)
        individual.operator, individual.proposal = type(self.policy).__name__.lower(), said
        individual.provisional = not self.policy.best_epoch and self.handed_out < self.bench.recipe.epochs
        return [individual]

    @property
    def ended(self) -> str:  # type: ignore[override]
        return f"{len(self.derived)} epochs of the supernet"

    def update(self, individuals: Iterable[Individual]) -> None:
        """Do nothing: its proposals are already evaluated."""

    def outcome(self, epoch: int) -> Outcome:
        """What the genome derived after an epoch, counted from 1, is worth by the shared weights of then."""
        assert self.training is not None, "it has proposed it"
        _, said, value, seconds = self.derived[epoch - 1]
        measures = {self.training.task.metric.name: value, "loss": said["loss"]}
        return Outcome(
            (value,), "shared", epochs=1, seconds=seconds, measures=measures, warning=collapse(*said["skips"])
        )

    def judge(self, genome: Genome) -> Outcome:
        """What any genome is worth by the shared weights of now. Remembered, since it may be asked for twice."""
        assert self.training is not None, "it has been prepared"
        asked = len(self.derived), tuple(genome)
        if asked not in self._judged:
            start = time.monotonic()
            with torch_threads(1):
                value = self.training.score(self.policy.space.route(genome))
            seconds = round(time.monotonic() - start, 4)
            measures = {self.training.task.metric.name: value}
            self._judged[asked] = Outcome((value,), "shared", seconds=seconds, measures=measures)
        return self._judged[asked]

    def share(self, graph: Graph) -> float:
        """The approximate time of an epoch of stand-alone training of the network of a graph, as a fraction of the time
        of an epoch here, which has two steps per batch, through the supernet or through one path of it."""
        if self.policy.one_path or self.training is None:
            return 0.5
        return 0.5 * graph.multiply_adds / self.training.network.meta["graph"].multiply_adds

    # ---- an epoch -------------------------------------------------------------------------------------------------

    def _begun(self) -> SupernetTraining:
        """The supernet of the present policy, not yet trained."""
        bench = stage_of(self.bench, len(self.narrowed), self.policy.stages)
        training = self.policy.new_training(self.policy.graph(), bench, statistics=self.statistics)
        self.policy.to(training.device)
        self.policy.prepare(self.bench)
        return training

    def _follow(self, options: list[tuple[Token, ...]] | None = None) -> None:
        """The policy of the next stage takes the place of the present one, which says with what options, where they are
        not known."""
        assert isinstance(self.policy, Staged), "only such a policy has further stages"
        options = self.policy.narrowed() if options is None else options
        self.narrowed.append(options)
        self.policy = self.policy.following(options)

    @torch_threads(1)  # the same numbers on every machine
    def _epoch(self) -> None:
        assert self.training is not None
        start = time.monotonic()
        if self.training.epochs == self.training.recipe.epochs:
            self._follow()
            self.training = self._begun()
        training, policy = self.training, self.policy
        loss = one_epoch(policy, training)
        if not isfinite(loss):
            raise RunError(diverged(loss, training))
        genome = tuple(policy.derive(training))
        value = training.score(policy.space.route(genome))
        skips = skips_of(genome, policy.space.decisions(genome))
        said = {"epoch": len(self.derived) + 1, "loss": round(loss, DECIMALS), "skips": skips} | described(
            policy.weights()
        )
        self.derived.append((genome, said, value, round(time.monotonic() - start, 4)))
        if self.checkpoint is not None:
            self._save(self.checkpoint)

    def _save(self, path: Path) -> None:
        assert self.training is not None
        state = {
            "training": self.training.state(),
            "policy": self.policy.state(),
            "narrowed": [[list(options) for options in stage] for stage in self.narrowed],
            "derived": [list(each) for each in self.derived],
        }
        checkpoint.write(path, state)

    def _load(self, path: Path) -> None:
        state = checkpoint.read(path, "restore the original, or start again in another directory")
        for stage in state["narrowed"]:
            self._follow([tuple(options) for options in stage])
        self.training = self._begun()
        self.training.load_state(state["training"])
        self.policy.load_state(state["policy"])
        self.derived = [(tuple(genome), said, value, seconds) for genome, said, value, seconds in state["derived"]]


def described(weights: Weights) -> dict[str, Any]:
    """A description of a policy: the mean entropy of its open decisions (nats), and the probability of each option."""
    shares, entropies = {}, []
    for name, of in weights.items():
        if len(of) > 1:
            total = sum(of.values()) or 1.0
            entropies.append(-sum(w / total * log(w / total) for w in of.values() if w > 0))
            shares[name] = {str(option): round(weight, DECIMALS) for option, weight in of.items()}
    return {"entropy": round(sum(entropies) / max(len(entropies), 1), DECIMALS), "weights": shares}
