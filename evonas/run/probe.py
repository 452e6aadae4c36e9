"""What a training takes on this machine, by a few steps of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from evonas.errors import UserError
from evonas.evaluation import Decoder
from evonas.evaluation.limits import Guard
from evonas.evaluation.training import Training
from evonas.genomes.residual import reference
from evonas.run.bench import RunBench
from evonas.run.config import Config
from evonas.run.problem import Problem
from evonas.run.shares import Shares, makespan
from evonas.run.store import Run
from evonas.run.supernet import SharedSearch
from evonas.run.teaching import first_teacher, teaching_graph
from evonas.support.device import torch_threads
from evonas.support.streams import number, stream
from evonas.support.text import duration
from evonas.systems.registry import scheduler

if TYPE_CHECKING:
    from evonas.graph import Graph
    from evonas.recipe import Recipe
    from evonas.supernets.trainer import SupernetTrainer
    from evonas.tasks.splits import Split

STEPS = 3  # that are timed, after one that is not
FORWARD = 1 / 3  # of what a step of training takes: an evaluation looks at the validation split after each epoch
MARGIN = 1.1
SUPERNET_SHARE = 0.5  # of the search's time, for the training of a supernet that is searched then
BESIDE = 1.15  # trainings beside one another are a little slower than one by itself


def require_time(run: Run, seconds: float) -> None:
    """Raises UserError where nothing could be searched in a run of so many seconds, with what it would need."""
    config, problem = run.config, run.problem
    if problem.task is None or problem.evaluate is not None:
        return
    evaluation = MARGIN * evaluation_seconds(problem, config)
    baseline = config.baseline and problem.system.baseline is not None
    parts = Shares.of(seconds, baseline=baseline, final=final_seconds(problem, config))
    if evaluation <= parts.search:
        return
    needed = Shares.needed(evaluation, baseline=baseline, final=True)
    raise UserError(f"{duration(seconds)} are not enough: an evaluation of {config.system} ({config.preset}) takes "
                    f"about {duration(evaluation)} on this machine, and with random search and final trainings all "
                    f"needs {duration(needed, up=True)} at least; give as much time, or a smaller preset or fewer "
                    "epochs")  # fmt: skip


def evaluation_seconds(problem: Problem, config: Config) -> float:
    """About how long the first evaluation of a search takes, data and libraries being loaded."""
    if problem.setup.supernet is not None and config.lent is None:
        shared = SharedSearch(problem, config, Path())
        return supernet_epoch_seconds(shared.trainer, problem, config) / SUPERNET_SHARE
    bench = RunBench(problem, config)
    rng = stream(config.seed, "probe")
    usual = Training(problem.task, problem.search, config.seed, device=config.device)  # type: ignore[arg-type]
    ready = problem.strategy is not None and problem.maker is None  # it would hear of a proposal that is never made
    strategy = None if ready else problem.make(problem.tools(rng), rng)
    if strategy is not None and strategy.evaluator(usual) is not usual:
        return _by_itself(problem, config, bench)
    first, before = first_teacher(problem), 0.0
    if first is not None:
        before = teacher_epoch_seconds(first, problem, config) / SUPERNET_SHARE
    decoder, toolbox = Decoder(problem.space), problem.tools(rng)
    if config.limits:
        Guard(decoder, config.limits).decorate(toolbox)
    genome = tuple(toolbox.individual())
    recipe = problem.space.recipe(genome, problem.search)
    epochs = recipe.epochs if config.fidelity is None else scheduler(config.fidelity, recipe.epochs).begin(0)
    validation = FORWARD * len(bench.validation) / len(bench.train)
    teacher = teaching_graph(problem)
    once = epoch_seconds(decoder.graph(genome), bench, recipe, teacher) * (1 + validation) * epochs
    return before + once * problem.search.trainings


def final_seconds(problem: Problem, config: Config) -> float:
    """About how long the final trainings take by the whole recipe, of networks as large as the reference; 0: there are
    none."""
    if problem.task is None:
        return 0.0
    by_hand = Decoder(reference(problem.task.input_shape, problem.task.output_shape[0])).graph(())
    rival = config.baseline and problem.system.baseline is not None
    others = 1 + rival if config.baseline else 0  # the reference; random search's best
    again = config.finalists * (1 + rival) if config.finalists > 1 else 0
    return sum(
        final_epoch_seconds([by_hand] * count, problem, config) * problem.final.epochs
        for count in (1 + others, again)
        if count
    )


def final_epoch_seconds(graphs: Sequence[Graph], problem: Problem, config: Config) -> float:
    """About how long one epoch of final trainings of these networks takes, beside one another."""
    assert problem.task is not None, "without data nothing is trained in the end"
    train, validation, _ = problem.task.counts
    bench = RunBench(problem, config)
    once = {graph.digest(): graph for graph in graphs}
    teacher = teaching_graph(problem)
    took = {digest: epoch_seconds(graph, bench, problem.final, teacher) for digest, graph in once.items()}
    seconds = [took[graph.digest()] * (train + validation) / train for graph in graphs]
    return BESIDE * makespan(seconds, config.workers)


def teacher_epoch_seconds(graph: Graph, problem: Problem, config: Config) -> float:
    """About how long an epoch of the training of a teacher takes."""
    bench = RunBench(problem, config)
    validation = FORWARD * len(bench.validation) / len(bench.train)
    return epoch_seconds(graph, bench, problem.final.by_labels()) * (1 + validation)


def epoch_seconds(graph: Graph, bench: RunBench, recipe: Recipe, teacher: Graph | None = None) -> float:
    """About what an epoch on the training split takes, by a few steps; with a teacher of this graph, where the recipe
    distils."""
    from evonas.network import build
    from evonas.training.distillation import Guide, differing
    from evonas.training.train import Training as Steps

    size = min(recipe.batch_size, len(bench.train))
    took = 0.0
    with torch_threads(1):
        network = build(graph.simplified(training=True), seed=number(bench.seed, "probe"))
        guide = None
        if recipe.distills and teacher is not None and not differing(recipe, graph, teacher):
            guide = Guide(build(teacher).to(bench.train.device))
        recipe = recipe if guide is not None else recipe.by_labels()
        for steps in (1, STEPS):
            if took > 1.0:  # it is long enough to be known by its first step
                break
            start = time.monotonic()
            training = Steps(
                network, bench.train[: steps * size], recipe, seed=0, precision=bench.precision, teacher=guide
            )
            training.epoch()
            took = (time.monotonic() - start) / training.steps
    return took * (len(bench.train) // size)


def supernet_epoch_seconds(trainer: SupernetTrainer, problem: Problem, config: Config) -> float:
    """About how long an epoch of a supernet takes, by a few steps of it."""
    from evonas.supernets.policy import one_epoch
    from evonas.supernets.training import SupernetTraining

    bench, took = RunBench(problem, config), 0.0
    batch = min(bench.recipe.batch_size, len(bench.train))
    graph = trainer.space.decode(trainer.space.open())
    with torch_threads(1):
        for steps in (1, STEPS):
            policy = trainer.made()
            training = SupernetTraining(graph, _Cut(bench, steps * policy.batches))
            start = time.monotonic()
            one_epoch(policy, training)
            took = (time.monotonic() - start) / steps
    return took * (len(bench.train) // batch) / policy.batches


def _by_itself(problem: Problem, config: Config, bench: RunBench) -> float:
    """Of a strategy that trains before it proposes: its epochs have a part that grows with the data, and one that does
    not."""
    seconds = []
    for batches in (1, 1, STEPS):
        rng = stream(config.seed, "probe")
        strategy = problem.make(problem.tools(rng), rng)
        strategy.prepare(_Cut(bench, batches))
        start = time.monotonic()
        strategy.generate(1)
        seconds.append(time.monotonic() - start)
    _, one, several = seconds
    batch = max(several - one, 0.0) / (STEPS - 1)
    return one + batch * (len(bench.train) / min(bench.recipe.batch_size, len(bench.train)) - 1)


class _Cut:
    """A bench with so many batches of its data."""

    def __init__(self, bench: RunBench, batches: int) -> None:
        self.recipe, self.seed, self.precision, self.memory = bench.recipe, bench.seed, bench.precision, bench.memory
        self.limits = bench.limits
        share = batches * min(bench.recipe.batch_size, len(bench.train)) / len(bench.train)
        self.train, self.validation = _first(bench.train, share), _first(bench.validation, share)


def _first(split: Split, share: float) -> Split:
    return split[: max(round(share * len(split)), 1)]
