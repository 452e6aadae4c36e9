"""Training one network to the end, apart from any search: with checkpoints, a live curve, and the best epoch kept.

Beside what a trained network's folder holds (`evonas.model.trained`), a training leaves:

request.json      what was asked for; a training is only resumed as it was begun
checkpoint        weights and optimizer after the last whole epoch, the best weights so far, the curve
curve.csv         epoch, loss, the task's first metric on the validation split; written after each epoch
curve.png         the same as a picture; drawn every ten seconds, and at the end
"""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evonas.errors import RunError, UserError
from evonas.evaluation.teacher import Teacher
from evonas.graph import Graph
from evonas.model.trained import TrainedNetwork, keep
from evonas.recipe import RECIPES, Recipe
from evonas.support.device import torch_threads
from evonas.support.files import checksum, read_json, write_bytes, write_json, write_text
from evonas.support.streams import number
from evonas.tasks.task import Task

DRAW_EVERY_S = 10.0


@dataclass(frozen=True)
class Epoch:
    """One row of the curve: the task's first metric on the validation split, None where all data are trained on."""

    epoch: int
    loss: float
    value: float | None
    metric: str


OnEpoch = Callable[[Epoch], None]


@dataclass(frozen=True)
class Request:
    """What is to be trained, on what and how.

    all_data   train on the validation split too: more images, but no epoch can be chosen, and the last one is kept
    weights    with which it begins, as safetensors; None: they are drawn
    teacher    by which a recipe that distils trains
    """

    graph: Graph
    code: str
    task: Task
    recipe: Recipe
    seed: int = 0
    device: str = "cpu"
    precision: str = "float32"
    all_data: bool = False
    id: int | None = None
    weights: bytes | None = None
    teacher: Teacher | None = None

    def to_json(self) -> dict[str, Any]:
        taught = {} if self.teacher is None or not self.recipe.distills else {"teacher": self.teacher.name}
        return taught | {
            "id": self.id,
            "code": self.code,
            "digest": self.graph.digest(),
            "data": self.task.fingerprint,
            "recipe": self.recipe.to_json(),
            "seed": self.seed,
            "device": self.device,
            "precision": self.precision,
            "all_data": self.all_data,
            **({} if self.weights is None else {"begins_with": checksum(self.weights)}),
        }


def train_to_the_end(
    request: Request,
    folder: Path,
    *,
    resume: bool = False,
    on_epoch: OnEpoch = lambda epoch: None,
) -> TrainedNetwork:
    """Train into a folder; the test split is read once, at the end, with the weights that are kept.

    The weights of the epoch that is best on the validation split, by the task's first metric, are kept (the earliest
    of equal ones; none while the network still changes its form); with `all_data`, those of the last epoch. With
    `resume`, a training that was interrupted goes on after its last whole epoch (on a CPU the result is the same to the
    bit), and a finished one is returned as it is.

    Raises UserError where the network does not fit the task, where the folder holds a training and `resume` is not
    given, or another training than this one; RunError where the training fails or a file cannot be written.
    """
    from evonas.network import build
    from evonas.scheduled import finished
    from evonas.training import checkpoint
    from evonas.training.train import Training, TrainingFailed, evaluate, final_test
    from evonas.training.weights import inherit, saved

    request = replace(request, task=request.task.identified())
    check_fit(request)
    asked, metric = request.to_json(), request.task.metric
    teacher = request.teacher if request.recipe.distills else None
    _check_folder(folder, asked, resume)
    if TrainedNetwork.exists(folder):
        return TrainedNetwork.open(folder)
    write_json(folder / "request.json", asked)
    splits = request.task.splits(request.device)
    split = splits.whole if request.all_data else splits.train
    seed = number(request.seed, "final", asked["digest"])
    try:
        with torch_threads(1):
            network = build(request.graph.simplified(training=True), seed=seed)
            inherit(network, request.weights)
            guide = None if teacher is None else teacher.guide(request.task, request.device)

            def measured(split: Any) -> float:
                return evaluate(training.judged, split, precision=request.precision)[metric.name]

            training = Training(network, split, request.recipe, seed=seed, precision=request.precision, teacher=guide)
            curve: list[Epoch] = []
            best: tuple[float, dict[str, Any], int] | None = None  # value, weights, epoch
            kept = folder / "checkpoint"
            if kept.exists():
                state = checkpoint.read(kept, "delete it to begin this training anew with --resume")
                training.load_state(state["training"])
                curve = [Epoch(epoch, loss, value, metric.name) for epoch, loss, value in state["curve"]]
                best = state["best"]
            for row in curve:
                on_epoch(row)
            drawn = time.monotonic()
            while training.epochs < request.recipe.epochs:
                loss = training.epoch()
                value = None if request.all_data else measured(splits.validation)
                curve.append(Epoch(training.epochs, loss, value, metric.name))
                result = training.settled or training.epochs == request.recipe.epochs
                if result and (best is None or value is None or metric.better(value, best[0])):
                    weights = {k: v.detach().cpu().clone() for k, v in training.judged.state_dict().items()}
                    best = (value or 0.0, weights, training.epochs)
                rows = [(row.epoch, row.loss, row.value) for row in curve]
                checkpoint.write(kept, {"training": training.state(), "curve": rows, "best": best})
                write_text(folder / "curve.csv", _table(curve, metric.name))
                if time.monotonic() - drawn > DRAW_EVERY_S:
                    _draw(folder / "curve.png", curve, None, request)
                    drawn = time.monotonic()
                on_epoch(curve[-1])
            assert best is not None, "a recipe has at least one epoch"
            chosen = curve[best[2] - 1]
            network.load_state_dict(best[1])
            trained = finished(network)
            tested, answers = final_test(trained, splits.test)
    except TrainingFailed as failure:
        raise RunError(f"{request.code}: {failure}; try another recipe, such as a lower learning rate") from failure
    _draw(folder / "curve.png", curve, chosen, request)
    keep(
        folder,
        weights=saved(trained),
        graph=request.graph.simplified(),
        preprocessing=request.task.preprocessing(),
        answers=answers,
        facts=asked
        | {
            "data": request.task.data,
            "metric": metric.name,
            f"test_{metric.name}": tested[metric.name],
            f"validation_{metric.name}": chosen.value,
            "epochs": len(curve),
            "epoch": chosen.epoch,
            "trained_on": "train+validation" if request.all_data else "train",
        },
    )
    kept.unlink()
    return TrainedNetwork.open(folder)


def choose_recipe(name: str, epochs: int | None, *, search: Recipe, final: Recipe) -> Recipe:
    """The recipe of this name, for so many epochs; its milestones keep their share of the whole.

    Raises UserError for an unknown name.
    """
    known = {"final": final, "search": search, **RECIPES}
    if name not in known:
        raise UserError(f"unknown recipe {name!r}; recipes are {', '.join(known)}")
    recipe = replace(known[name], trainings=1)
    return recipe.lasting(recipe.epochs if epochs is None else epochs)


def check_fit(request: Request) -> None:
    """Raises UserError where the network does not fit the task, or a recipe that distils has not the teacher for it."""
    task, graph = request.task, request.graph
    if graph.input_shape != task.input_shape or graph.output_shape != task.output_shape:
        raise UserError(f"the network maps {graph.input_shape} to {graph.output_shape}, but {task.data} has inputs of "
                        f"{task.input_shape} and outputs of {task.output_shape}; give other data, or decode the code "
                        "for them with 'evonas train SYSTEM CODE --data ...'")  # fmt: skip
    if not request.recipe.distills:
        return
    if request.teacher is None:
        raise UserError("the recipe distils, and there is no teacher; give the directory of a finished run "
                        "(--teacher DIR), or another recipe")  # fmt: skip
    from evonas.training.distillation import check_nodes, differing

    request.teacher.check(task)
    check_nodes(request.recipe, request.teacher.graph, "the teacher")
    if differs := differing(request.recipe, graph.simplified(training=True), request.teacher.graph):
        raise UserError(f"{differs}; leave it out of the features of the recipe")


def _check_folder(folder: Path, asked: dict[str, Any], resume: bool) -> None:
    try:
        begun = read_json(folder / "request.json")
    except FileNotFoundError:
        if (folder / "training.json").exists() or (folder / "config.json").exists():
            raise UserError(f"{folder} holds something else; choose another --out") from None
        return
    if not resume:
        raise UserError(f"{folder} holds a training; add --resume to go on with it, or choose another --out")
    changed = [name for name in asked if begun.get(name) != asked[name]]
    if changed:
        before, now = begun.get("recipe", {}), asked["recipe"]
        fields = [f"{name} {before.get(name)}" for name in now if before.get(name) != now[name]]
        recipe = f" (it was begun with {', '.join(fields)})" if fields else ""
        raise UserError(f"{folder} holds a training with other {', '.join(changed)}{recipe}; resume it as it was "
                        "begun, or choose another --out")  # fmt: skip


def _table(curve: list[Epoch], metric: str) -> str:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["epoch", "loss", f"validation_{metric}"])
    table.writerows([row.epoch, row.loss, "" if row.value is None else row.value] for row in curve)
    return text.getvalue()


def _draw(path: Path, curve: list[Epoch], chosen: Epoch | None, request: Request) -> None:
    from evonas import plots
    from evonas.plots.style import png

    rows = [(row.epoch, row.loss, row.value) for row in curve]
    figure = plots.training_curve(
        rows, metric=request.task.metric.name, chosen=chosen.epoch if chosen else None, title=request.code
    )
    write_bytes(path, png(figure))
