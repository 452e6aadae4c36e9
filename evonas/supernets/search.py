"""The search that all supernet systems share: each proposal is the genome derived after one more epoch."""

from __future__ import annotations

import io
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import isfinite, log
from pathlib import Path
from pickle import UnpicklingError
from random import Random
from typing import Any

import torch

from evonas.errors import RunError, UserError
from evonas.evaluation import Genome, Outcome, identity
from evonas.graph import Graph
from evonas.individual import Individual
from evonas.recipe import Recipe
from evonas.space import Weights
from evonas.supernets.collapse import collapse, skips_of
from evonas.supernets.policy import Policy
from evonas.supernets.training import Bench, SupernetTraining
from evonas.support.device import torch_threads
from evonas.support.files import write_bytes
from evonas.training.memory import supernet_bytes

DIGITS = 4  # decimals of the numbers in a proposal


@dataclass(frozen=True)
class Judged:
    """The accuracy of a genome with the weights of a supernet, as an evaluation whose result is already known."""

    outcome: Outcome
    epoch: int

    def key(self, genome: Genome) -> str:
        return identity(code=list(genome), origin=f"supernet after epoch {self.epoch}")

    def __call__(self, genome: Genome, replicate: int = 0) -> Outcome:
        return self.outcome


class SupernetSearch:
    """Trains the supernet of a policy's genome; after each epoch of the recipe it proposes what the policy derives.

    Its fitness is the accuracy of that route through the supernet on the validation split: a rough guide, not the
    accuracy that the network will reach (status `shared`). The genome of the last epoch is the result; the earlier ones
    are provisional, and can be inspected, trained and compared like any other.

    statistics   batch norm statistics for the evaluation of a route: see `SupernetTraining`

    After each epoch `supernet.pt` contains everything that is needed to continue, so an interrupted search ends as if
    it had not been interrupted; on a CPU, the result is identical to the bit.
    """

    population: tuple[Individual, ...] = ()
    writes = True

    def __init__(self, policy: Policy, *, statistics: str = "batch") -> None:
        self.policy, self.statistics = policy, statistics
        self.training: SupernetTraining | None = None
        self.derived: list[tuple[tuple[Any, ...], dict[str, Any], float, float]] = []
        self._handed_out = 0
        self._judged: dict[tuple[int, tuple[Any, ...]], Outcome] = {}  # (epoch, genome) -> its evaluation

    def check(self, recipe: Recipe) -> None:
        """Raise UserError for a recipe with which the policy cannot learn."""
        self.policy.check(recipe)

    def prepare(self, bench: Bench, checkpoint: Path | None = None, first: Sequence[Genome] = ()) -> None:
        """Called by a run before all else, with images and a recipe, the file for the supernet (None: it is not kept),
        and the genomes to begin with, at most one.

        Raises UserError if more are given, the space has no supernet, or its training would take too much memory;
        RunError for a checkpoint that cannot be read.
        """
        if len(first) > 1:
            raise UserError(f"there are {len(first)} networks to begin with; give a supernet at most one")
        self.checkpoint = checkpoint
        graph = self.policy.space.decode(self.policy.genome)
        if not graph.is_open:
            raise UserError(f"{self.policy.space.name}: `decode` gives a network without gates for an open genome; use "
                            "`choices` and `draft.candidate`")  # fmt: skip
        self.check(bench.recipe)
        self._check_memory(graph, bench)
        self.training = SupernetTraining(graph, bench, statistics=self.statistics)
        self.policy.to(self.training.device)
        for genome in first:
            self.policy.prefer(genome)
        if checkpoint is not None and checkpoint.exists():
            self._load(checkpoint)

    def _check_memory(self, graph: Graph, bench: Bench) -> None:
        if bench.memory is None:
            return
        needed = supernet_bytes(
            graph,
            replace(bench.recipe, batch_size=bench.batch_size),
            one_path=self.policy.one_path,
            device=bench.train.device.type,
            precision=bench.precision,
        )
        if needed > bench.memory:
            raise UserError(f"the supernet takes about {needed / 2**20:,.0f} MiB to train in batches of "
                            f"{bench.batch_size}, over the limit of {bench.memory / 2**20:,.0f}; choose a smaller "
                            "batch_size, or fewer channels or layers")  # fmt: skip

    # ---- a strategy -----------------------------------------------------------------------------------------------

    def generate(self, n: int | None = None) -> list[Individual]:
        """Train for an epoch and return the derived genome; [] after the last epoch."""
        if self.training is None:
            raise UserError("a supernet search trains by itself; pass it to evonas.search, or call `prepare` first")
        if self._handed_out == len(self.derived):
            if self.training.epochs >= self.training.recipe.epochs:
                return []
            self._epoch()
        genome, said, _, _ = self.derived[self._handed_out]
        self._handed_out += 1
        individual = Individual(genome)
        individual.operator, individual.proposal = type(self.policy).__name__.lower(), said
        individual.provisional = self._handed_out < self.training.recipe.epochs
        return [individual]

    @property
    def ended(self) -> str:
        """The reason why it proposes nothing more."""
        return f"{len(self.derived)} epochs of the supernet"

    def update(self, individuals: Iterable[Individual]) -> None:
        """Do nothing: its proposals are already evaluated."""

    def evaluation(self, individual: Individual) -> Judged:
        """The evaluation of one of its proposals, or of any other genome with the present weights."""
        if individual.proposal:
            epoch = individual.proposal["epoch"]
            _, said, value, seconds = self.derived[epoch - 1]
            measures = {"accuracy": value, "loss": said["loss"]}
            outcome = Outcome(
                (value,), "shared", epochs=1, seconds=seconds, measures=measures, warning=collapse(*said["skips"])
            )
            return Judged(outcome, epoch)
        return Judged(self._judge(tuple(individual)), self._handed_out)

    def _judge(self, genome: tuple[Any, ...]) -> Outcome:
        """Evaluate a genome. The result is cached, because it is needed twice: for the description and the outcome."""
        assert self.training is not None
        asked = self.training.epochs, genome
        if asked not in self._judged:
            start = time.monotonic()
            with torch_threads(1):
                value = self.training.accuracy(self.policy.space.route(genome))
            seconds = round(time.monotonic() - start, 4)
            self._judged[asked] = Outcome((value,), "shared", seconds=seconds, measures={"accuracy": value})
        return self._judged[asked]

    def random(self, rng: Random) -> tuple[Any, ...]:
        """A random genome of those that the supernet contains."""
        return self.policy.random(rng)

    def share(self, graph: Graph) -> float:
        """The approximate time of an epoch of stand-alone training of the network of a graph, as a fraction of the time
        of an epoch here, which has two steps per batch, through the supernet or through one path of it."""
        if self.policy.one_path or self.training is None:
            return 0.5
        return 0.5 * graph.multiply_adds / self.training.supernet.meta["graph"].multiply_adds

    # ---- an epoch -------------------------------------------------------------------------------------------------

    @torch_threads(1)  # the same numbers on every machine
    def _epoch(self) -> None:
        training, policy = self.training, self.policy
        assert training is not None
        start = time.monotonic()
        policy.begin(training.epochs, training.recipe.epochs)
        with torch.random.fork_rng([training.device] if training.device.type == "cuda" else []):
            torch.manual_seed(policy.generator.initial_seed())  # for dropout
            loss = policy.epoch(training)
        training.epochs += 1
        if not isfinite(loss):
            raise RunError(f"the loss of the supernet is {loss} in epoch {training.epochs} of "
                           f"{training.recipe.epochs}; start again with a lower learning_rate, or "
                           "clip_norm=5")  # fmt: skip
        genome = tuple(policy.derive(training))
        value = training.accuracy(policy.space.route(genome))
        skips = skips_of(genome, policy.space.decisions(genome))
        said = {"epoch": training.epochs, "loss": round(loss, DIGITS), "skips": skips} | described(policy.weights())
        self.derived.append((genome, said, value, round(time.monotonic() - start, 4)))
        if self.checkpoint is not None:
            self._save(self.checkpoint)

    def _save(self, path: Path) -> None:
        assert self.training is not None
        written = io.BytesIO()
        state = {
            "training": self.training.state(),
            "policy": self.policy.state(),
            "derived": [list(each) for each in self.derived],
        }
        torch.save(state, written)
        write_bytes(path, written.getvalue())

    def _load(self, path: Path) -> None:
        assert self.training is not None
        try:
            state = torch.load(path, map_location=self.training.device, weights_only=True)
            self.training.load_state(state["training"])
            self.policy.load_state(state["policy"])
        except (RuntimeError, KeyError, ValueError, EOFError, UnpicklingError) as error:
            why = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise RunError(f"{path} cannot be read ({why}); restore the original, or start again in another "
                           "directory") from error  # fmt: skip
        self.derived = [(tuple(genome), said, value, seconds) for genome, said, value, seconds in state["derived"]]


def described(weights: Weights) -> dict[str, Any]:
    """A description of a policy: the mean entropy of its open decisions (nats), and the probability of each option."""
    shares, entropies = {}, []
    for name, of in weights.items():
        if len(of) > 1:
            total = sum(of.values()) or 1.0
            entropies.append(-sum(w / total * log(w / total) for w in of.values() if w > 0))
            shares[name] = {str(option): round(weight, DIGITS) for option, weight in of.items()}
    return {"entropy": round(sum(entropies) / max(len(entropies), 1), DIGITS), "weights": shares}
