"""The end of a search: what is trained by the final recipe and tested, and what the tests say of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from evonas.errors import UserError
from evonas.evaluation import Candidate, Decoder, Evaluator, Genome, Outcome
from evonas.evaluation.checkpoints import Checkpoints
from evonas.evaluation.keeper import Keeper
from evonas.evaluation.training import AsTrained
from evonas.fidelity.pieces import Pieces
from evonas.individual import Individual
from evonas.judgement import Judgement, difference
from evonas.model.trained import keep
from evonas.ranking import Best, best
from evonas.recipe import Recipe
from evonas.run.budget import Budget
from evonas.run.loop import Loop
from evonas.run.phase import Phase
from evonas.run.store import FOLDERS, Run
from evonas.run.trainings import Trainings
from evonas.strategies.first import First
from evonas.tasks.task import Task


def standing_for(role: str, genome: Genome, parent: int | None = None) -> Individual:
    """An individual that is trained for what it stands for, and not as a proposal of the search."""
    individual = Individual(genome)
    individual.role, individual.operator = role, role
    individual.parents = () if parent is None else (parent,)
    return individual


class FinalistsKeeper(Keeper):
    """What a test has left is on disk before the journal says that there was one.

    origin   candidates whose weights a search has left begin with them
    """

    def __init__(self, finals: Finals, origin: Any = None) -> None:
        self.finals, self.origin = finals, origin

    def begin(self, individual: Individual, candidate: Candidate) -> None:
        candidate.keeps = True
        if self.origin is not None:
            candidate.origin = self.origin

    def keep(self, individual: Individual, outcome: Outcome) -> Outcome:
        if outcome.weights is not None:
            self.finals.keep(individual, outcome)
        elif outcome.status == "full":
            self.finals.keep_twin(individual, outcome)
        return replace(outcome, weights=None, answers=None)


@dataclass
class Finals:
    """The final trainings of a run.

    evaluator   of a network by a final recipe
    decoder     of the genomes of the space; `reference` of the network by hand
    phase       is told of each phase that begins
    checkpoints of trainings in pieces
    recipe      by which the last ones were trained
    tested      outcomes, by role
    """

    run: Run
    loop: Loop
    task: Task
    evaluator: Callable[[Recipe], Evaluator]
    decoder: Decoder
    reference: Decoder
    phase: Callable[[str, Budget, int], None]
    checkpoints: Checkpoints
    recipe: Recipe
    tested: dict[str, Outcome] = field(default_factory=dict)

    def test(self, found: Mapping[str, tuple[Best, Phase]], by_hand: bool, recipe: Recipe) -> None:
        """The winner and the best of the baseline, by role, and the reference: all by one recipe, and beside one
        another, on all but the test split, which is read once."""
        self.recipe = recipe
        finalists = [standing_for("reference", ())] if by_hand else []
        finalists += [standing_for(role, each.genome, each.id) for role, (each, _) in found.items()]
        self._test(self.evaluator(recipe), *finalists)
        for role, (each, phase) in found.items():
            if (origin := phase.keeper.left(each.id)) is not None:  # by the weights that the search has left it with
                config = self.run.config
                as_trained = AsTrained(self.task, config.device, config.threads)
                self._test(as_trained, standing_for(f"{role}_as_trained", each.genome, each.id), origin=origin)

    def among(self, few: Sequence[Best], evaluator: Evaluator, name: str, weight: float) -> Best:
        """The best of a few networks of a search, each trained by the final recipe on the training split, by the
        validation split; the first, where all of these trainings fail."""
        individuals = [standing_for("finalist", each.genome, each.id) for each in few]
        phase = Phase(
            name,
            First(individuals),
            evaluator,
            self.decoder,
            trainings=self._in_pieces(evaluator, len(individuals)),
        )
        self.phase(name, Budget(len(individuals)), 0)
        self.loop.run(phase, Budget())
        values = [
            replace(each, value=outcome.values[0])
            for each, individual in zip(few, individuals, strict=True)
            if (outcome := phase.outcomes[individual.id or 0]).values
        ]
        return best(values, weight, apart=True) or few[0]

    def _test(self, evaluator: Evaluator, *individuals: Individual, origin: Any = None) -> None:
        phase = Phase(
            "final",
            First(individuals),
            evaluator,
            self.decoder,
            roles={"reference": self.reference},
            keeper=FinalistsKeeper(self, origin),
            trainings=self._in_pieces(evaluator, len(individuals)),
        )
        self.phase("final", Budget(len(individuals)), 0)
        self.loop.run(phase, Budget())
        self.tested |= {individual.role or "": outcome for individual, outcome in phase.told()}

    def _in_pieces(self, evaluator: Evaluator, count: int) -> Trainings:
        """More trainings than workers are made in pieces, so that none of the workers is idle before the end."""
        if evaluator.epochs is None or not 1 < self.run.config.workers < count:
            return Trainings()
        return Trainings(Pieces(evaluator.epochs, count), self.checkpoints, whole=frozenset())

    def keep(self, individual: Individual, outcome: Outcome) -> None:
        """A folder of its own for each of them."""
        role = individual.role or ""
        problem, left, metric = self.run.problem, role.endswith("_as_trained"), self.task.metric.name
        decoder = self.reference if role == "reference" else self.decoder
        assert outcome.weights is not None, "there is nothing else to keep"
        space = decoder.space
        recipe = space.recipe(individual, problem.search) if left else space.final_recipe(individual, self.recipe)
        keep(
            self.run.directory / FOLDERS.get(role, role),
            weights=outcome.weights,
            graph=decoder.graph(individual).simplified(),
            preprocessing=self.task.preprocessing(),
            answers=outcome.answers,
            facts={
                "id": individual.parents[0] if individual.parents else None,
                "code": decoder.space.format(individual),
                "metric": metric,
                f"test_{metric}": outcome.values[0],
                "epochs": outcome.lineage["epochs"] if left else self.recipe.epochs,
                "trained_on": "train" if left else "train+validation",
                "recipe": recipe.to_json(),
                "data": self.task.data,
                "precision": self.run.config.precision,
            },
        )

    def keep_twin(self, individual: Individual, outcome: Outcome) -> None:
        """A network that is the same as another finalist was trained once; it has a folder all the same."""
        role = individual.role or ""
        decoder = self.reference if role == "reference" else self.decoder
        digest, rival = decoder.digest(individual), self.run.system.baseline
        for other in ("winner", "reference", *([rival.name] if rival else [])):
            trained = self.run.finalist(other) if other != role else None
            if trained is not None and trained.test == outcome.values[0] and trained.graph.digest() == digest:
                id = individual.parents[0] if individual.parents else None
                folder = self.run.directory / FOLDERS.get(role, role)
                trained.copy(folder, id=id, code=decoder.space.format(individual))
                return

    # ---- what they say --------------------------------------------------------------------------------------------

    def row(self, role: str, code: str) -> dict[str, Any]:
        """A finalist as the summary has it: its test, what that says beyond the metric, and how the winner compares."""
        metric = self.task.metric.name
        shown: dict[str, Any] = {}
        if (outcome := self.tested.get(role)) is not None:
            shown |= {f"test_{metric}": outcome.values[0] if outcome.values else None, "error": outcome.error}
        if (left := self.tested.get(f"{role}_as_trained")) is not None:
            shown[f"as_trained_test_{metric}"] = left.values[0] if left.values else None
        if (judged := self.judgement(role, code)) is not None:
            shown["judgement"] = judged.to_json()
        return shown

    def held_against(self, winner: Mapping[str, Any], others: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """By how much the winner is more accurate than each other finalist, on the same examples, by role."""
        own = self.judgement("winner", winner["code"])
        judged = {role: self.judgement(role, row["code"]) for role, row in others.items()}
        return {
            role: asdict(difference(own.right, other.right))
            for role, other in judged.items()
            if own is not None and other is not None
        }

    def judgement(self, role: str, code: str) -> Judgement | None:
        """What the test says of a finalist; None where it failed, or the task keeps nothing of its answers."""
        tested = self.tested.get(role)
        if tested is None or not tested.values:
            return None
        try:
            trained = self.run.finalist(role)
        except UserError:
            return None  # it is damaged: the test itself stands in the journal
        known = trained is not None and trained.facts["code"] == code and trained.test == tested.values[0]
        return trained.judgement if trained is not None and known else None
