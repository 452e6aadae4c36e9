"""An individual of a run: what is known of it, its network, and its training to the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evonas.errors import UserError
from evonas.evaluation.teacher import Teacher
from evonas.graph import Graph
from evonas.model.final_training import OnEpoch, Request, choose_recipe, train_to_the_end
from evonas.model.trained import TrainedNetwork
from evonas.support.device import choose_device, choose_precision
from evonas.tasks.task import Task

if TYPE_CHECKING:
    from evonas.run.store import Run


@dataclass(frozen=True)
class Found:
    """An individual of a run, with what is known of it. `record` is as in `Run.records`."""

    run: Run
    record: Mapping[str, Any]

    def __repr__(self) -> str:
        values = ", ".join(f"{name} {value:g}" for name, value in self.values.items())
        return f"<{self.id}: {self.code}{', ' if values else ''}{values}>"

    def _repr_html_(self) -> str:
        """What a notebook shows of it."""
        from evonas.reports.view import of_individual

        return of_individual(self)

    @property
    def id(self) -> int:
        return self.record["id"]

    @property
    def genome(self) -> tuple:
        return tuple(self.record["genome"])

    @property
    def code(self) -> str:
        return self.record["code"]

    @property
    def values(self) -> dict[str, float]:
        """Objective -> value; empty where it failed or has not been told."""
        return dict(zip(self.run.config.objectives, self.record.get("values", ()), strict=False))

    @property
    def graph(self) -> Graph:
        """The network that its genome means; without trust in the run's own code, as it lies trained in its folder."""
        if self.record["role"] == "reference":
            raise UserError("the reference network is not of the space; see `evonas.genomes.residual`")
        if self.run.untrusted_space and self.folder is not None:
            return TrainedNetwork.open(self.folder).graph
        return self.run.space.decode(self.genome)

    @property
    def folder(self) -> Path | None:
        """Where its trained network lies: best/ for the winner, as the search left it, else trained/ID; None: nowhere.

        What `train` makes of the winner lies in trained/ID, and is opened from there.
        """
        best = self.run.directory / "best"
        if TrainedNetwork.exists(best) and TrainedNetwork.open(best).facts.get("code") == self.code:
            return best
        trained = self.run.directory / "trained" / str(self.id)
        return trained if TrainedNetwork.exists(trained) else None

    def network(self) -> Any:
        """The trained network, a torch.nn.Module in evaluation mode; it takes normalised images (see `trained`).

        Raises UserError where it has not been trained beyond the search.
        """
        return self.trained().network()

    def trained(self) -> Any:
        """The folder of its trained network, as a TrainedNetwork: weights, accuracy, preprocessing."""
        if self.folder is None:
            ended = self.run.summary is not None
            first = "" if ended else f"the run has not come to its end ('evonas resume {self.run.directory}'); "
            failed = [r["error"] for r in self.run.records() if r["role"] == "winner" and r["parents"] == [self.id]
                      and r.get("status") == "failed"]  # fmt: skip
            if failed:
                first = f"its final training failed ({failed[-1].splitlines()[-1]}); "
            raise UserError(f"individual {self.id} has no trained network yet: {first}call .train(), or "
                            f"'evonas train {self.run.directory} {self.id}'")  # fmt: skip
        return TrainedNetwork.open(self.folder)

    def train(
        self,
        *,
        recipe: str = "final",
        epochs: int | None = None,
        task: Task | None = None,
        all_data: bool = False,
        seed: int | None = None,
        device: str | None = None,
        precision: str | None = None,
        out: Path | None = None,
        resume: bool = False,
        on_epoch: OnEpoch = lambda epoch: None,
        teacher: Teacher | None = None,
    ) -> TrainedNetwork:
        """Train it to the end into trained/ID of the run's directory, or into `out`.

        recipe   final or search, as the run has them, or a name of `evonas.recipe.RECIPES`
        teacher  by which recipes distil; None: that of the run
        task     another one than the run's, with inputs and outputs of the same shapes
        others   as of `evonas.train`
        """
        config, problem, graph = self.run.config, self.run.problem, self.graph
        task = task or problem.task
        if task is None:
            raise UserError("the run has no data to train on; give some (--data)")
        device = choose_device(device) if device else config.device
        searched = problem.space.recipe(self.genome, problem.search)
        final = problem.space.final_recipe(self.genome, problem.final)
        chosen = choose_recipe(recipe, epochs, search=searched, final=final)
        request = Request(
            graph=graph,
            code=self.code,
            task=task,
            recipe=chosen,
            teacher=teacher or (self.run.teacher if chosen.distills else None),
            seed=config.seed if seed is None else seed,
            device=device,
            precision=choose_precision(precision, device, lambda: graph) if precision else config.precision,
            all_data=all_data,
            id=self.id,
        )
        folder = out or self.run.directory / "trained" / str(self.id)
        return train_to_the_end(request, folder, resume=resume, on_epoch=on_epoch)
