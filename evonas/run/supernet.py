"""The supernet of a run: trained before the search, or lent by another run; then its weights judge genomes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evonas.errors import RunError, UserError
from evonas.evaluation import Decoder
from evonas.evaluation.checkpoints import Checkpoints
from evonas.evaluation.latencies import Latencies
from evonas.evaluation.store import WeightsLost, WeightStore, stored
from evonas.fidelity.pieces import Pieces
from evonas.run.budget import Budget
from evonas.run.config import Config
from evonas.run.finals import standing_for
from evonas.run.loop import Loop
from evonas.run.phase import Phase
from evonas.run.problem import Problem
from evonas.run.trainings import Trainings
from evonas.space import CodeError
from evonas.strategies.first import First
from evonas.support.streams import stream
from evonas.systems.settings import shown

if TYPE_CHECKING:  # they load torch
    from evonas.supernets.shared import SharedWeights
    from evonas.supernets.trainer import SupernetTrainer

DRAWS = 20  # of genomes that a supernet is to hold
FOLDER = "supernets"  # in the directory of a run
ROLE = "supernet"


class SharedSearch:
    """What a run with a supernet has beside one that trains every candidate.

    memory   bytes that its training may take
    """

    def __init__(self, problem: Problem, config: Config, directory: Path, memory: int | None = None) -> None:
        self.problem, self.config, self.memory = problem, config, memory
        self.folder = directory / FOLDER
        self.file: Path | None = None

    @cached_property
    def trainer(self) -> SupernetTrainer:
        """What trains the supernet. Raises UserError for settings that it cannot have."""
        from evonas.supernets.trainer import SupernetTrainer

        problem, config, policy = self.problem, self.config, self.problem.setup.supernet
        assert policy is not None, "else nobody asks"
        assert problem.task is not None, "it has been checked"
        return SupernetTrainer(
            task=problem.task,
            space=policy.supernet(problem.space),
            policy=policy,
            recipe=problem.search,
            seed=config.seed,
            device=config.device,
            precision=config.precision,
            memory=self.memory,
            threads=config.threads,
            keeps=config.limits.keeps if config.limits else None,
        )

    def train(self, loop: Loop, checkpoints: Checkpoints, epochs: int, begin: Callable[..., None]) -> None:
        """For so many epochs, in pieces, each of which can be gone on from. Raises RunError where it fails."""
        from evonas.supernets.trainer import SupernetKeeper, Whole

        trainer = replace(self.trainer, recipe=self.trainer.recipe.lasting(epochs))
        store = WeightStore(self.folder)
        phase = Phase(
            ROLE,
            First([standing_for(ROLE, ())]),
            trainer,
            roles={ROLE: Decoder(Whole(trainer.space))},
            keeper=SupernetKeeper(store),
            trainings=Trainings(Pieces(epochs, 1), checkpoints, whole=frozenset()),
        )
        begin(ROLE, Budget(epochs=epochs), 0)
        loop.run(phase, Budget())
        (outcome,) = phase.outcomes.values()
        if outcome.failed or outcome.kept is None:
            raise RunError(f"the supernet could not be trained: {outcome.reason}; begin anew with other settings")
        self.file = self.folder / f"{outcome.kept}{store.suffix}"

    def borrow(self) -> None:
        """The one that another run has trained, as a file of this run. Raises RunError where it is lost."""
        assert self.config.lent is not None, "it is only asked for then"
        lent = Path(self.config.lent)
        own = self.folder / lent.name
        for place in (own, lent):
            try:
                content = stored(place)
                break
            except WeightsLost as lost:
                why = lost
        else:
            raise RunError(f"the supernet of this run is lost: {why}; put {lent} back, or train another one")
        own.unlink(missing_ok=True)  # it may be damaged
        WeightStore(self.folder).put(content)
        self.file = own

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What the supernet's file says of it."""
        from evonas.supernets.shared import KeptSupernet

        assert self.file is not None, "it has been trained, or lent"
        return KeptSupernet.of(self.file).whole().facts

    def evaluator(self) -> SharedWeights:
        """Genomes are judged by the weights of the supernet."""
        from evonas.supernets.shared import KeptSupernet, SharedWeights

        assert self.file is not None, "it has been trained, or lent"
        assert self.problem.task is not None, "it has been checked"
        return SharedWeights(
            task=self.problem.task,
            space=self.trainer.space,
            supernet=KeptSupernet.of(self.file),
            objectives=tuple(self.problem.objectives),
            statistics=self.facts["statistics"],
            batch_size=self.facts["batch_size"],
            device=self.config.device,
            precision=self.config.precision,
            threads=self.config.threads,
            limit_s=self.config.timeout_s,
            latencies=Latencies.wanted(self.config.limits, self.problem.objectives),
        )

    def check(self) -> None:
        """Raises UserError for what would stop the run later."""
        problem, config = self.problem, self.config
        measured = "latency" in problem.objectives and config.limits.latencies is None
        reasons = {
            "it has no data": problem.task is None,
            "there is an evaluate": problem.evaluate is not None,
            "children are to inherit weights": config.inherit,
            "a fidelity is given": config.fidelity is not None,
            "candidates are to be trained several times": problem.search.trainings > 1,
            "a warm start is given": config.warm_start is not None,
            "latency is an objective, and there is no table of it (--latencies FILE, made by evonas measure)": measured,
        }
        for why, is_so in reasons.items():
            if is_so:
                raise UserError(f"candidates are judged by the weights of a supernet and not trained one by one: {why}")
        self.trainer.made().graph()
        self._check_whole()
        if config.lent is not None:
            self._check_lent(Path(config.lent))

    def _check_whole(self) -> None:
        """Raises UserError where the supernet is of a part of the space alone, and cannot judge the rest."""
        space, part = self.problem.space, self.trainer.space
        for _ in range(DRAWS):
            try:
                part.decisions(space.random(stream(self.config.seed, "check")))
            except CodeError as error:
                names = [each.name for each in fields(part) if getattr(part, each.name) != getattr(space, each.name)]
                settings = " ".join(f"space.{name}={shown(getattr(part, name))}" for name in names)
                raise UserError(f"the supernet of {space.name} holds only a part of its networks ({error}); search "
                                f"that part, with --set {settings}") from None  # fmt: skip

    def _check_lent(self, file: Path) -> None:
        from evonas.supernets.shared import KeptSupernet

        try:
            facts = KeptSupernet.of(file).facts
        except WeightsLost as lost:
            raise UserError(f"the supernet of {file.parent.parent} is lost: {lost}") from None
        assert self.problem.task is not None, "it has been checked"
        wanted = {"space": self.trainer.space.to_json(), "task": self.problem.task.fingerprint}
        for what, own in wanted.items():
            if json.loads(json.dumps(own)) != facts[what]:
                said = f": {facts[what]}, not {own}" if what == "space" else ""
                raise UserError(f"the supernet of {file.parent.parent} is of another {what}{said}; search it with the "
                                "settings and the data with which it was trained")  # fmt: skip
