"""The search of NAO (Luo, Tian, Qin, Chen and Liu 2018, "Neural Architecture Optimization", arXiv:1808.07233,
algorithm 1): uphill from the best genomes in the continuous space of `nao_model.py`, with which torch is loaded."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import TYPE_CHECKING, Any

from deap import base

from evonas.errors import UserError
from evonas.individual import Individual
from evonas.space import require_sequence
from evonas.strategies.rewards import accuracy
from evonas.strategies.strategy import Strategy

if TYPE_CHECKING:
    from evonas.strategies.nao_model import EncoderPredictorDecoder

PAPER = {  # sections 4.1 and 3.2, and the authors' first code: 600 random genomes, and two rounds of 200
    "initial": 600, "seeds": 200, "new": 200, "eta": 10.0, "trade_off": 0.9, "epochs": 1000, "batch": 100,
    "learning_rate": 1e-3, "embedding": 32, "units": 96, "layers": 0, "evaluations": 1000,
}  # fmt: skip
RAISES = 20  # of the step, at most, in a round
TRIES = 100  # to draw a genome that has not been proposed, before one is proposed again


class NAO(Strategy):
    """Random genomes, then rounds: a network learns to encode, judge and decode all genomes so far; from the best of
    them it goes uphill in its states, and what it decodes there is evaluated.

    toolbox        a DEAP toolbox with individual, whose space has genomes that are sequences of decisions
    initial        genomes with a valid fitness before the first round
    seeds          K, the best genomes, from which a round goes uphill
    new            genomes of a round
    eta            length of the step uphill; it is raised by half of itself until enough decoded genomes are new
    trade_off      lambda, the weight of the predictor's error in the loss; the rest is the decoder's
    epochs         of the network's training in each round
    batch          genomes to a step of it
    learning_rate  of Adam
    weight_decay   of Adam
    exchange       in training, branches whose order does not matter (`Space.branches`) change places by chance
    embedding      length of a token's embedding
    units          of the LSTMs of encoder and decoder
    layers         of the predictor
    dense          units of each of them
    dropout        in the predictor
    evaluations    number of evaluations that it plans to make

    A genome is new where neither it nor another of its round has been proposed before. Where a round finds too few,
    random ones take their place, of operator "random" as at the beginning. Others have the genome that they were
    reached from as their parent, the operator "nao", and in their proposal the step and the predicted worth, which is
    between those of the worst (0) and the best (1) genome so far. The first objective counts; failed individuals are
    left out.

    No worker waits: while the first fitnesses are missing, further random genomes are drawn, and a later round begins
    with what has been told by then; if that is nothing new, the network stays as it is.

    Raises UserError for a space whose genomes are not sequences of decisions, and for a setting out of its range.
    """

    roles = ("individual",)

    def __init__(
        self,
        toolbox: base.Toolbox,
        *,
        rng: Random,
        initial: int = 40,
        seeds: int = 20,
        new: int = 20,
        eta: float = 3.0,
        trade_off: float = 0.8,
        epochs: int = 80,
        batch: int = 20,
        learning_rate: float = 3e-3,
        weight_decay: float = 1e-4,
        exchange: bool = True,
        embedding: int = 32,
        units: int = 48,
        layers: int = 1,
        dense: int = 100,
        dropout: float = 0.1,
        evaluations: int = 200,
    ) -> None:
        require_sequence(toolbox.space, "NAO")
        counts = {"initial": initial, "seeds": seeds, "new": new, "epochs": epochs, "batch": batch,
                  "embedding": embedding, "units": units, "dense": dense,
                  "evaluations": evaluations}  # fmt: skip
        for name, count in counts.items():
            if count < 1:
                raise UserError(f"{name} is {count}; use at least 1")
        if eta <= 0 or learning_rate <= 0 or weight_decay < 0 or layers < 0:
            raise UserError(f"eta is {eta}, learning_rate {learning_rate}, weight_decay {weight_decay} and layers "
                            f"{layers}; use more than 0 for the first two, and at least 0 for the others")  # fmt: skip
        if not 0 <= trade_off <= 1 or not 0 <= dropout < 1:
            raise UserError(f"trade_off is {trade_off} and dropout {dropout}; use from 0 to 1, and to below 1")
        self.toolbox, self.rng, self.evaluations = toolbox, rng, evaluations
        self.initial, self.seeds, self.new, self.eta = initial, seeds, new, eta
        self.training: dict[str, Any] = {
            "trade_off": trade_off, "epochs": epochs, "batch": batch, "learning_rate": learning_rate,
            "weight_decay": weight_decay, "exchange": exchange,
        }  # fmt: skip
        self.sizes: dict[str, Any] = {
            "embedding": embedding,
            "units": units,
            "layers": layers,
            "dense": dense,
            "dropout": dropout,
        }
        self.told: list[Individual] = []  # in the order of their results, without those that failed
        self.model: EncoderPredictorDecoder | None = None
        self._learnt = 0  # how many had been told when the model was trained
        self._proposed: set[tuple] = set()
        self._waiting: list[Individual] = []  # of a round, not yet proposed

    @property
    def population(self) -> Iterable[Individual]:  # type: ignore[override]
        return [*self.best(), *self._waiting]

    def best(self) -> list[Individual]:
        """The K best genomes so far, each once, from the best on; of equal ones the earlier."""
        ranked = sorted((each for each in self.told if each.fitness.valid), key=accuracy, reverse=True)
        once = {tuple(each): each for each in reversed(ranked)}
        return [each for each in ranked if once[tuple(each)] is each][: self.seeds]

    def generate(self, n: int | None = None) -> list[Individual]:
        if n is None:
            n = self.new if len(self.told) >= self.initial else self.initial
        return [self._next() for _ in range(n)]

    def update(self, individuals: Iterable[Individual]) -> None:
        self.told += [individual for individual in individuals if individual.fitness.valid]

    def _next(self) -> Individual:
        if not self._waiting and len(self.told) >= self.initial:
            self._waiting = self._round()
        individual = self._waiting.pop(0) if self._waiting else self._random()
        self._proposed.add(tuple(individual))
        return individual

    def _random(self) -> Individual:
        for _ in range(TRIES):
            individual = self.toolbox.individual()
            if tuple(individual) not in self._proposed:
                break
        return individual

    def _round(self) -> list[Individual]:
        if self.model is None or self._learnt < len(self.told):
            self._learn()
        found = self._uphill()
        taken = {tuple(individual) for individual in found}
        for _ in range(TRIES * (self.new - len(found))):
            if len(found) == self.new:
                break
            if (drawn := tuple(individual := self.toolbox.individual())) not in self._proposed | taken:
                found.append(individual)
                taken.add(drawn)
        return found

    def _learn(self) -> None:
        from evonas.strategies.nao_model import EncoderPredictorDecoder, widest

        space, pool = self.toolbox.space, [each for each in self.told if each.fitness.valid]
        genomes = [tuple(each) for each in pool]
        width, seed = widest(space, genomes), self.rng.getrandbits(63)
        self.model = EncoderPredictorDecoder(space, seed=seed, width=width, **self.sizes)
        self.model.fit(genomes, [accuracy(each) for each in pool], **self.training)
        self._learnt = len(self.told)

    def _uphill(self) -> list[Individual]:
        """New genomes, at most `new`: those of the shortest steps first, of equal ones those from the best seeds."""
        assert self.model is not None
        seeds = self.best()
        states, gradient = self.model.gradients([tuple(seed) for seed in seeds])
        found: dict[tuple, Individual] = {}
        for raised in range(RAISES + 1):
            eta = self.eta * (1 + raised / 2)
            for seed, (genome, predicted) in zip(seeds, self.model.ascend(states, gradient, eta), strict=True):
                if genome in found or genome in self._proposed:
                    continue
                child = found[genome] = Individual(genome)
                child.parents, child.operator = seed.sources, "nao"
                child.proposal = {"eta": eta, "predicted": round(predicted, 4)}
                if len(found) == self.new:
                    return list(found.values())
        return list(found.values())
