"""Training a trained network on, from its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from evonas.errors import UserError
from evonas.model.final_training import OnEpoch, Request, choose_recipe, train_to_the_end
from evonas.model.trained import TrainedNetwork
from evonas.recipe import Recipe
from evonas.run.arguments import holds_run
from evonas.run.store import Run
from evonas.support.device import choose_device, choose_precision
from evonas.support.schema import checked
from evonas.systems.settings import Resolver, fields_of
from evonas.tasks.task import Task


def run_of(trained: TrainedNetwork) -> Run | None:
    """The run of a trained network: that in whose directory it lies, or from which it was made; None: there is none."""
    folder = trained.folder.resolve()
    places = [*folder.parents[:2], *(folder / place for place in filter(None, [trained.facts.get("of_run")]))]
    return next((Run.open(place) for place in places if holds_run(place)), None)


def train_on(
    trained: TrainedNetwork,
    task: Task | None = None,
    *,
    recipe: str,
    epochs: int | None,
    settings: Mapping[str, Any],
    all_data: bool,
    seed: int | None,
    device: str,
    precision: str,
    out: Path | None,
    resume: bool,
    on_epoch: OnEpoch,
) -> TrainedNetwork:
    """Train a network on, into `out` or a folder `further` within its own, by a recipe of the run from which it is, or
    where there is none by that of its training.

    task       None: the run's
    settings   fields of the recipe that are otherwise
    all_data   also where the network has seen the validation split already, by which no epoch can be chosen then
    others     as of `evonas.train`
    """
    run = run_of(trained)
    task = task or (None if run is None else run.task)
    if task is None:
        raise UserError(f"{trained.folder} does not say on which data it was trained; give some (--data)")
    own = checked(trained.facts["recipe"], Recipe, str(trained.folder / "training.json"))
    final, search = (own, own) if run is None else (run.problem.final, run.problem.search)
    chosen = choose_recipe(recipe, epochs, search=search, final=final)
    known = fields_of(chosen)
    resolver = Resolver({"recipe": known}, bare=("recipe",), never=())
    device = choose_device(device)
    request = Request(
        graph=trained.graph,
        code=trained.facts["code"],
        task=task,
        recipe=replace(
            chosen, **{(name := resolver.find(called)[1]): known[name].read(value, called)
                       for called, value in settings.items()},
        ),
        seed=(0 if run is None else run.config.seed) if seed is None else seed,
        device=device,
        precision=choose_precision(precision, device, lambda: trained.graph),
        all_data=all_data or trained.facts["trained_on"] == "train+validation",
        weights=trained.weights_bytes(),
    )  # fmt: skip
    return train_to_the_end(request, out or trained.folder / "further", resume=resume, on_epoch=on_epoch)
