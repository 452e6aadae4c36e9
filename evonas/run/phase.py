"""A phase of a run: what one strategy has asked and been told so far."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from math import inf

from evonas.errors import UserError
from evonas.evaluation import Candidate, Decoder, Evaluator, Outcome
from evonas.evaluation.keeper import Keeper
from evonas.individual import Individual
from evonas.ranking import Best, alike
from evonas.run.trainings import Trainings
from evonas.space import CodeError, Space
from evonas.strategies import Strategy, adopt


@dataclass
class Phase:
    """A phase of a run: what one strategy has asked and been told so far. It may be taken up again with a larger
    budget.

    evaluator      of its candidates
    space          of its genomes, or what decodes them; None where nothing needs a graph
    roles          decoders for those that stand for something of another space, such as "reference"
    weights        of the fitness: one for each value of an outcome, positive to maximise
    rejects        why a candidate is not to be evaluated, as where it breaks a limit; empty: it is. What is rejected is
                   told to the strategy with an invalid fitness, costs nothing and does not count as an evaluation
    repeats_cost   a genome that comes again is evaluated again, as where a table stands for trainings
    keeper         of what comes with the outcomes
    trainings      that stop before their end, or go on, as a scheduler says
    enough         why nothing more need be asked, whatever the budget; empty: more may be. Asked before each proposal
    """

    name: str
    strategy: Strategy
    evaluator: Evaluator
    space: Space | Decoder | None = None
    roles: Mapping[str, Decoder] = field(default_factory=dict)
    weights: tuple[float, ...] = (1.0,)
    rejects: Callable[[Candidate], str] = lambda candidate: ""
    repeats_cost: bool = False
    keeper: Keeper = field(default_factory=Keeper)
    trainings: Trainings = field(default_factory=Trainings)
    enough: Callable[[Phase], str] = lambda phase: ""
    asked: list[Individual] = field(default_factory=list)
    outcomes: dict[int, Outcome] = field(default_factory=dict)  # by id of the individual: the last one of each
    keys: dict[int, str] = field(default_factory=dict)  # by id: identity and replicate
    waiting: dict[str, list[Individual]] = field(default_factory=dict)  # by key in evaluation: those with equal keys
    heard: set[int] = field(default_factory=set)  # ids of which the strategy has been told
    trained: int = 0  # networks whose results were not reused, and what they cost:
    jobs: int = 0
    epochs: int = 0
    seconds: float = 0.0
    core_seconds: float = 0.0
    repeats: int = 0  # reused results since the last one that was not
    rejected: int = 0
    ended_because: str | None = None

    def __post_init__(self) -> None:
        self.strategy = adopt(self.strategy)
        self.trainings.sign = 1 if self.weights[0] > 0 else -1
        if isinstance(self.space, Space):
            self.space = Decoder(self.space)

    def propose(self) -> list[Individual]:
        """What the strategy proposes next, if anything, its tokens as its space has them. Raises UserError for what is
        not of the space, of which there would be no code."""
        proposed = self.strategy.generate(1)
        if not isinstance(proposed, list | tuple) or len(proposed) > 1:
            raise UserError(f"the strategy gives {proposed!r:.100}, and one was asked for; generate(n) gives a list of "
                            "at most n individuals")  # fmt: skip
        for individual in proposed:
            if not isinstance(individual, Individual):
                raise UserError(f"the strategy proposes {individual!r:.100}; give evonas.individual.Individual(tokens)")
            if (decoder := self._decoder(individual)) is not None:
                try:
                    individual[:] = decoder.space.plain(individual)
                except CodeError as error:
                    raise UserError(f"the strategy proposes what is not of {decoder.space.name}: {error}") from None
        return proposed

    def candidate(self, individual: Individual) -> Candidate:
        """What an evaluator sees of an individual."""
        return Candidate.of(individual, self._decoder(individual))

    def _decoder(self, individual: Individual) -> Decoder | None:
        found = self.roles.get(individual.role or "", self.space)
        assert not isinstance(found, Space), "they are decoders from the beginning"
        return found

    def code(self, individual: Individual) -> str:
        """The code of its genome; empty where there is no space, or where it stands for something of another one."""
        if not isinstance(self.space, Decoder) or individual.role in self.roles:
            return ""
        return self.space.space.format(individual)

    def told(self) -> Iterator[tuple[Individual, Outcome]]:
        """Individuals with their outcomes, in the order in which they were asked."""
        return ((i, self.outcomes[i.id]) for i in self.asked if i.id is not None and i.id in self.outcomes)

    def ranked(self) -> list[Best]:
        """What may win (`evonas.ranking`)."""
        valued = [(i, outcome) for i, outcome in self.told() if outcome.values and i.role is None]
        return [
            Best(i.id or 0, tuple(i), o.values[0], i.provisional, o.measures.get("parameters", inf))
            for i, o in alike(valued, lambda pair: (pair[1].status, pair[1].reached))
        ]
