"""How routes through a supernet are drawn and learned, and which genome is derived: where the systems differ."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import log
from random import Random
from typing import Any

import torch
from torch import Tensor, nn

from evonas.errors import UserError
from evonas.gates import Route
from evonas.graph import Graph
from evonas.recipe import Recipe
from evonas.space import Decision, Genome, Open, Space, Token, Weights, require_sequence
from evonas.supernets.supernet import Batch
from evonas.supernets.training import Bench, SupernetTraining, batch_size
from evonas.support.streams import number
from evonas.training.memory import supernet_bytes
from evonas.training.optimizers import Adam


class Policy(nn.Module, ABC):
    """A policy that draws routes through the supernet of a space, and learns.

    space      a space whose genomes are sequences of decisions that can be left open
    genome     the genome to be searched, with open tokens; None: all are open
    generator, draws
               random generators for its draws, torch's and Python's, independent of the order of the images; reseeded
               in each epoch
    one_path   whether a step computes one network instead of all of them
    at_once    with one_path: options of a decision that a step computes beside one another, at most
    statistics of batch norm by which its routes are judged (`evonas.supernets.supernet.Supernet`)
    together   examples of a forward pass, where a step has several; None: a whole batch of the recipe
    batches    that a step of the weights needs
    keeps      whether a network keeps the limits of the search, for policies that ask; None: it has none
    stages     supernets that are trained one after another, each for an equal share of the epochs; where there are
               several, the policy is `Staged`
    best_epoch whether the result is what was derived in the epoch that is best by validation, instead of in the last
    optimizer  optimizer of its parameters

    Raises UserError if a space has no supernet, or nothing is open.
    """

    one_path = False
    at_once = 1
    statistics = "batch"
    together: int | None = None
    batches = 1
    stages = 1
    best_epoch = False
    keeps: Callable[[Graph], bool] | None = None
    optimizer: torch.optim.Optimizer

    def __init__(self, space: Space, *, rng: Random, genome: Genome | None = None) -> None:
        super().__init__()
        require_sequence(space, "a supernet")
        self.space, self.genome = space, tuple(space.open() if genome is None else genome)
        self.asked: list[Decision] = []  # the open decisions
        self.options: list[tuple[Token, ...]] = []
        for decision, token in zip(space.decisions(self.genome), self.genome, strict=True):
            if isinstance(token, Open) and len(token.options) > 1:
                self.asked.append(decision)
                self.options.append(token.options)
        if not self.asked:
            raise UserError("nothing of the genome is open; leave tokens open (space.open() leaves all)")
        self.seed = rng.getrandbits(56)
        self.generator = torch.Generator().manual_seed(self.seed)
        self.draws = Random(self.seed)

    def check(self, recipe: Recipe) -> None:
        """Raise UserError for a recipe of the weights with which it cannot learn."""

    def prepare(self, bench: Bench) -> None:
        """Called before the first epoch of each stage, with what a run gives. Raises UserError for what it cannot
        keep."""

    def graph(self) -> Graph:
        """The supernet of its genome. Raises UserError where the space has none."""
        graph = self.space.decode(self.genome)
        if not graph.is_open:
            raise UserError(f"{self.space.name}: `decode` gives a network without gates for an open genome; use "
                            "`choices` and `draft.candidate`")  # fmt: skip
        return graph

    def new_training(self, graph: Graph, bench: Bench, *, statistics: str) -> SupernetTraining:
        """The supernet, untrained."""
        return SupernetTraining(graph, bench, statistics=statistics)

    def begin(self, epoch: int, epochs: int) -> None:
        """Called before each epoch, counted from 0."""
        self.generator.manual_seed(number(self.seed, epoch))
        self.draws.seed(number(self.seed, "draws", epoch))

    def epoch(self, training: SupernetTraining) -> float:
        """Train the weights and the policy for one epoch; return the mean loss of the training batches."""
        total = torch.zeros((), device=training.device)
        training.network.train()
        for batch, held_out in training.batches():
            total += self.step(training, batch, held_out)
        return total.item() / training.steps

    def step(self, training: SupernetTraining, batch: Batch, held_out: Callable[[], Batch]) -> Tensor:
        """One step of the weights and of what the policy learns, in the order of the paper; returns the loss of the
        batch. `held_out()` draws a batch of the validation split. Only a policy with an `epoch` of its own has none."""
        raise NotImplementedError(f"{type(self).__name__} has neither `step` nor an `epoch` of its own")

    @abstractmethod
    def weights(self) -> Weights:
        """The present probability of each option of each open decision; closed ones have weight 1."""

    def derive(self, training: SupernetTraining) -> tuple[Token, ...]:
        """The genome that the search would return now."""
        return self.space.likeliest(self.weights())

    def found(self, training: SupernetTraining) -> Sequence[Genome]:
        """Genomes that the policy has found, with which a search of the trained supernet begins; by default none."""
        return ()

    def random(self, rng: Random) -> tuple[Token, ...]:
        """A random genome of the supernet: uniform over genomes if all is open, otherwise decision by decision."""
        if self.genome == self.space.open():
            return self.space.random(rng)
        drawn: tuple[Token, ...] = ()
        while (decision := self.space.next(drawn)) is not None:
            token = self.genome[len(drawn)]
            wanted = token.options if isinstance(token, Open) else (token,)
            drawn += (rng.choice([option for option in decision.options if option in wanted] or decision.options),)
        return drawn

    def largest(self) -> Sequence[Policy]:
        """The policies of all stages from this one on, with options that take the most memory."""
        return (self,)

    def prefer(self, genome: Genome) -> None:
        """Make this genome the likeliest at the beginning."""
        raise UserError(f"{type(self).__name__} cannot begin with a given network; leave `init` out")

    def state(self) -> dict[str, Any]:
        return {"policy": self.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state(self, state: dict[str, Any]) -> None:
        self.load_state_dict(state["policy"])
        self.optimizer.load_state_dict(state["optimizer"])


class Staged(Policy):
    """A policy whose supernets are trained one after another, in `stages`."""

    @abstractmethod
    def narrowed(self) -> list[tuple[Token, ...]]:
        """The options that each decision of the next stage's supernet has, by what this one has taught."""

    @abstractmethod
    def following(self, options: Sequence[Sequence[Token]]) -> Staged:
        """A fresh policy for the next stage's supernet, with these options."""


def one_epoch(policy: Policy, training: SupernetTraining) -> float:
    """Train a supernet and its policy for one epoch; returns the mean loss, which need not be finite."""
    policy.begin(training.epochs, training.recipe.epochs)
    with torch.random.fork_rng([training.device] if training.device.type == "cuda" else []):
        torch.manual_seed(policy.generator.initial_seed())  # for dropout
        loss = policy.epoch(training)
    training.epochs += 1
    return loss


def require_memory(policy: Policy, graph: Graph, bench: Bench) -> None:
    """Raises UserError where the training of the supernet would take more memory than it may."""
    if bench.memory is None:
        return
    size = min(batch_size(bench), policy.together or batch_size(bench))
    needed = supernet_bytes(
        graph,
        replace(bench.recipe, batch_size=size),
        paths=policy.at_once if policy.one_path else None,
        device=bench.train.device.type,
        precision=bench.precision,
    )
    if needed > bench.memory:
        raise UserError(f"the supernet takes about {needed / 2**20:,.0f} MiB to train in batches of {size}, over the "
                        f"limit of {bench.memory / 2**20:,.0f}; choose a smaller batch_size, or fewer channels or "
                        "layers")  # fmt: skip


def diverged(loss: float, training: SupernetTraining) -> str:
    """What is to be said of a loss that is not finite."""
    return (f"the loss of the supernet is {loss} in epoch {training.epochs} of {training.recipe.epochs}; start again "
            "with a lower learning_rate, or clip_norm=5")  # fmt: skip


def gradients(loss: Tensor, of: Sequence[Tensor]) -> list[Tensor]:
    """The gradients of a loss, with zeros for parameters on which it does not depend, as when `none` has been drawn."""
    found = torch.autograd.grad(loss, of, allow_unused=True)
    return [torch.zeros_like(each) if gradient is None else gradient for each, gradient in zip(of, found, strict=True)]


class Relaxation(Policy):
    """A policy with architecture parameters (alpha), one for each option of each open decision, trained by Adam.

    learning_rate, betas, weight_decay   settings of Adam; the decay is an L2 term in the gradient
    initial                              standard deviation of the initial alphas
    beginning                            number of initial epochs in which only the weights learn

    A subclass defines `step`, in which alpha learns only where `learning` is true.
    """

    symbol = "alpha"  # what its paper calls the architecture parameters
    there: Tensor  # [decisions, options]: False where a decision has fewer

    def __init__(
        self,
        space: Space,
        *,
        rng: Random,
        genome: Genome | None = None,
        learning_rate: float = 3e-4,
        betas: tuple[float, float] = (0.5, 0.999),
        weight_decay: float = 1e-3,
        initial: float = 1e-3,
        beginning: int = 0,
    ) -> None:
        super().__init__(space, rng=rng, genome=genome)
        if beginning < 0:
            raise UserError(f"beginning is {beginning}; use at least 0 epochs")
        self.beginning, self.learning = beginning, beginning == 0
        if learning_rate <= 0 or weight_decay < 0:
            raise UserError(f"the learning rate of alpha is {learning_rate} and its decay {weight_decay}; use more "
                            "than 0, and at least 0")  # fmt: skip
        most = max(map(len, self.options))
        there = [[place < len(options) for place in range(most)] for options in self.options]
        self.register_buffer("there", torch.tensor(there), persistent=False)
        self.alpha = nn.Parameter(initial * torch.randn(len(there), most, generator=self.generator))
        self.optimizer = Adam([self.alpha], learning_rate, betas, weight_decay=weight_decay)

    def check(self, recipe: Recipe) -> None:
        super().check(recipe)
        if self.beginning >= recipe.epochs:
            raise UserError(f"beginning is {self.beginning} of {recipe.epochs} epochs; leave some in which "
                            f"{self.symbol} learns")  # fmt: skip

    def begin(self, epoch: int, epochs: int) -> None:
        super().begin(epoch, epochs)
        self.learning = epoch >= self.beginning

    # ---- routes ---------------------------------------------------------------------------------------------------

    @property
    def logits(self) -> Tensor:
        """The alphas, [decisions, options], with minus infinity where a decision has fewer options."""
        return self.alpha.masked_fill(~self.there, -torch.inf)

    def probabilities(self) -> Tensor:
        return self.logits.softmax(1)

    def soft(self, weights: Tensor) -> Route:
        """The soft route on which each option has its weight, [decisions, options]."""
        rows = [row.unbind() for row in weights.unbind()]
        return {
            decision.name: dict(zip(options, row, strict=False))
            for decision, options, row in zip(self.asked, self.options, rows, strict=True)
        }

    def hard(self, chosen: Sequence[int]) -> Route:
        """The hard route on which each decision takes the option at the chosen place."""
        return {
            decision.name: options[place]
            for decision, options, place in zip(self.asked, self.options, chosen, strict=True)
        }

    def gumbel(self) -> Tensor:
        """Noise of the standard Gumbel distribution for each option, [decisions, options]."""
        waits = torch.empty(self.alpha.shape).exponential_(generator=self.generator)
        return -waits.clamp_min(torch.finfo(waits.dtype).tiny).log().to(self.alpha.device)

    # ---- learning -------------------------------------------------------------------------------------------------

    def learn_together(self, training: SupernetTraining, loss: Tensor, clip: float = 0.0) -> None:
        """One step of the architecture parameters and one of the weights, from one loss.

        clip   bound on the gradients of the architecture parameters; 0: none
        """
        training.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if clip:
            nn.utils.clip_grad_norm_(self.parameters(), clip)
        self.learn([parameter.grad for parameter in self.parameters()])  # type: ignore[misc]
        training.apply()

    def learn(self, gradients: Sequence[Tensor]) -> None:
        """One step of Adam with the gradients of all architecture parameters."""
        for parameter, gradient in zip(self.parameters(), gradients, strict=True):
            parameter.grad = gradient
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def weights(self) -> Weights:
        return self._with_closed(self.probabilities())

    def _with_closed(self, weights: Tensor) -> Weights:
        rows = weights.detach().cpu().tolist()
        known: dict[str, dict[Token, float]] = {
            decision.name: {token.options[0] if isinstance(token, Open) else token: 1.0}
            for decision, token in zip(self.space.decisions(self.genome), self.genome, strict=True)
        }
        for decision, options, row in zip(self.asked, self.options, rows, strict=True):
            known[decision.name] = dict(zip(options, row, strict=False))
        return known

    @torch.no_grad()
    def prefer(self, genome: Genome) -> None:
        """Give the option of this genome a probability of three quarters in each decision; several share it."""
        route = self.space.route(genome)
        for row, (decision, options) in enumerate(zip(self.asked, self.options, strict=True)):
            wanted = route.get(decision.name)
            for option in wanted if isinstance(wanted, Mapping) else (wanted,):
                if option in options:
                    self.alpha[row, options.index(option)] += log(3 * (len(options) - 1))


def edges_of(policy: Relaxation, who: str) -> dict[str, dict[int, int]]:
    """node -> {source: place of its decision}, for a space whose decisions are edges. Raises UserError for others."""
    into: dict[str, dict[int, int]] = {}
    for place, decision in enumerate(policy.asked):
        node, arrow, source = decision.name.partition("<-")
        if not arrow or not source.isdigit():
            raise UserError(f"{who} weighs edges, but {decision.name!r} of {policy.space.name} is not an edge; use "
                            "DARTS, or name the decisions of edges NODE<-SOURCE")  # fmt: skip
        into.setdefault(node, {})[int(source)] = place
    return into
