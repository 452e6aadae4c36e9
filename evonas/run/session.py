"""The order of a run, read from top to bottom: search, final trainings, baselines, summary."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Protocol

from deap import base, tools

from evonas.data.shared import shared
from evonas.errors import RunError, UserError
from evonas.evaluation import Calls, Evaluation, Genome, Outcome
from evonas.evaluation.inheritance import Heritage, WeightStore
from evonas.evaluation.mean import Mean
from evonas.evaluation.trained import AsTrained, Origin, TrainedAccuracy
from evonas.executors.launch import read_hosts
from evonas.genomes import plain
from evonas.individual import Individual
from evonas.model.trained import keep
from evonas.objectives import Best, Guard, best
from evonas.operators import by_decision
from evonas.recipe import Recipe
from evonas.reports.profile import profile
from evonas.run.journal import Event, Journal
from evonas.run.loop import Budget, Keeper, Loop, Part
from evonas.run.store import Config, Run
from evonas.space import Space
from evonas.strategies import Strategy, Trains
from evonas.strategies.listed import Listed
from evonas.strategies.nsga2 import NSGA2
from evonas.strategies.random_search import RandomSearch
from evonas.support.device import memory_of, sharing
from evonas.support.files import write_json
from evonas.support.stopwatch import UNWATCHED, Stopwatch
from evonas.support.streams import stream

FINAL_MARGIN = 1.15  # final training beside the reference network is a little slower than an epoch of the search


class Observer(Protocol):
    """What wants to know how a run goes on."""

    def part(self, name: str, space: Space, budget: Budget, already: int) -> None: ...

    def event(self, event: Event, replayed: bool) -> None: ...


class WinnersKeeper(Keeper):
    """The winner's weights are on disk before the journal says that it was trained."""

    def __init__(self, conduct: Conduct) -> None:
        self.conduct = conduct

    def keep(self, individual: Individual, outcome: Outcome) -> Outcome:
        if individual.role in ("winner", "winner_as_trained") and outcome.weights is not None:
            self.conduct.keep_winner(individual, outcome)
        return replace(outcome, weights=None)


class Conduct:
    """One sitting of a run. What the journal holds is replayed, in the same order."""

    def __init__(self, run: Run, journal: Journal, executor: Executor, observer: Observer) -> None:
        self.run, self.config, self.given = run, run.config, run.given
        self.journal, self.observer = journal, observer
        self.setup, self.objectives = run.setup, tuple(run.config.objectives)
        self.weights = tuple(run.config.objectives.values())
        self.guard = Guard(self.setup.space, self.config.limits)
        self.memory = self.config.memory or memory_of(self.config.device) // _sharing(self.config)
        self.watch = Stopwatch() if self.config.profile else UNWATCHED
        self.loop = Loop(journal, executor, self.config.workers, on_event=observer.event, watch=self.watch)
        self.store = WeightStore(run.directory / "weights", self.config.weights_disk)
        self.heirs: list[Heritage] = []
        if self.config.source is not None:
            self.data = shared(self.config.source, self.config.data)
            self.reference = plain.reference(self.data.input_shape, len(self.data.classes))
        self.trains = self.config.source is not None  # final networks
        self.compares = self.trains and self.given.evaluate is None  # the reference, by the fitness of the search
        self.supernet: Trains | None = None
        self.tested: dict[str, Outcome] = {}  # by role

    def go(self) -> dict[str, Any]:
        self.watch.begin("other")
        space = self.setup.space
        strategy = self._strategy()
        if isinstance(strategy, Trains):  # networks are judged by its weights; the reference is no route through them
            self.supernet, self.compares = strategy, False
        search = self._part("search", strategy)
        baseline = self._part("baseline", self._rival()) if self.config.baseline else None
        rival = self.run.system.rival
        summary: dict[str, Any] = {}
        for budget in self.config.budgets:
            self.observer.part("search", space, budget, len(search.asked))
            self.loop.run(search, budget, reserve_s=lambda: self._final_seconds(search))
            winner = self._best(search)
            rivals: dict[str, Any] = {}
            by_hand = self._individual("reference", ())
            if self.trains:
                self._test(self._individual("winner", winner.genome, winner.id), *[by_hand] * self.config.baseline)
                self._test_as_trained("winner_as_trained", winner, search)
            if baseline is not None:
                as_many = Budget(len(search.outcomes) + self.compares)  # and the reference
                self.observer.part("baseline", space, as_many, len(baseline.asked))
                self.loop.run(baseline, as_many)
                lucky = self._best(baseline)
                if self.trains:
                    self._test(self._individual(rival, lucky.genome, lucky.id))
                    self._test_as_trained(f"{rival}_as_trained", lucky, baseline)
                rivals[rival] = self._result(rival, lucky.genome, lucky.value)
                if self.trains:
                    values = next(baseline.told())[1].values if self.compares else ()
                    rivals["reference"] = self._result("reference", (), values[0] if values else None)
            summary = self._summary(search, self._result("winner", winner.genome, winner.value), rivals)
            write_json(self.run.directory / "summary.json", summary)
            self.loop.finish()
            if self.config.profile:
                write_json(self.run.directory / "profile.json", profile(self.run, self.watch.stop()))
            self.run.plot()
        return summary

    # ---- strategies -----------------------------------------------------------------------------------------------

    def _strategy(self) -> Strategy:
        """The one that was given, or, over the system's toolbox, its own for one objective and NSGA-II for several."""
        system, settings, given = self.run.system, self.setup.strategy, self.given.strategy
        if given is not None and not callable(given):
            return self._prepared(given, ())
        rng = stream(self.config.seed, self.setup.space.name)
        toolbox = system.toolbox(self.setup.space, settings, rng)
        if self.config.limits:
            self.guard.decorate(toolbox)
        first = [Individual(self.setup.space.parse(code)) for code in self.config.init]
        for individual in first:
            individual.operator = "init"
        if first:
            toolbox.decorate("individual", partial(_beginning_with, first))
        strategy = given(toolbox, rng) if given is not None else self._own_strategy(toolbox, rng)
        if isinstance(strategy, Trains):
            return self._prepared(strategy, first)
        return Listed(first, then=strategy) if first and getattr(strategy, "writes", False) else strategy

    def _prepared(self, strategy: Strategy, first: Sequence[Genome]) -> Strategy:
        """What trains by itself gets what an evaluation has."""
        if not isinstance(strategy, Trains):
            return strategy
        from evonas.supernets.training import Bench
        from evonas.tasks.splits import task_on

        config = self.config
        _check_supernet(self.run)
        assert config.source is not None, "that is checked"
        task = task_on(config.source, config.device, config.data)
        memory = config.memory or memory_of(config.device)  # whole: no worker trains meanwhile
        bench = Bench(task.train, task.validation, self.setup.recipe, config.seed, config.precision, memory)
        strategy.prepare(bench, self.run.directory / "supernet.pt", first)
        return strategy

    def _own_strategy(self, toolbox: base.Toolbox, rng: Random) -> Strategy:
        system, settings = self.run.system, self.setup.strategy
        if len(self.objectives) == 1:
            return system.strategy(toolbox, settings, rng)
        if system.front is not None:
            return system.front(toolbox, settings, rng)
        rates: dict[str, Any] = {
            name: getattr(settings, name) for name in ("crossover_rate", "mutation_rate") if hasattr(settings, name)
        }
        if population := _beginners(self.run):
            rates["population"] = population
        return NSGA2(toolbox, rng=rng, **rates)

    def _rival(self) -> Strategy:
        """What the search is held against at as many evaluations: the system's own control, or random search."""
        system, settings, space = self.run.system, self.setup.strategy, self.setup.space
        rng = stream(self.config.seed, system.rival.replace("_", " "))
        if self.supernet is not None:
            box = base.Toolbox()
            box.register("individual", tools.initIterate, Individual, partial(self.supernet.random, rng))
            return RandomSearch(box)
        toolbox = (
            by_decision.toolbox(space, rng=rng) if system.control is None else system.toolbox(space, settings, rng)
        )
        if self.config.limits:
            Guard(space, self.config.limits).decorate(toolbox)
        return RandomSearch(toolbox) if system.control is None else system.control(toolbox, settings, rng)

    def _part(self, phase: str, strategy: Strategy) -> Part:
        rejects = self._broken_limit if self.config.limits else _no_limit
        listed = strategy
        if phase == "baseline" and self.compares:
            listed = Listed([self._individual("reference", ())], then=strategy)
        if self.supernet is not None:
            return Part(phase, listed, self.supernet.evaluation, self.weights, rejects)
        if not self.config.inherit:
            return Part(phase, listed, self._proxy, self.weights, rejects)
        known = isinstance(getattr(strategy, "population", None), Iterable)
        alive = (lambda: strategy.population) if known else None  # type: ignore[attr-defined]
        heritage = Heritage(self.store, self._heir, alive, weight=self.weights[0], peers=self.heirs)
        return Part(phase, listed, heritage.evaluation, self.weights, rejects, keeper=heritage)

    def _broken_limit(self, individual: Individual) -> str:
        """The last line: whatever a strategy proposes, nothing over the limits is trained."""
        if individual.role == "reference":
            return ""
        try:
            graph = self.setup.space.decode(individual)
        except Exception:  # a user's decode may raise anything: the evaluation fails, and says why
            return ""
        return self.config.limits.broken_by(graph)

    # ---- evaluations ----------------------------------------------------------------------------------------------

    def _test(self, *individuals: Individual, evaluation: Callable[[Individual], Evaluation] | None = None) -> None:
        part = Part("final", Listed(individuals), evaluation or self._final, keeper=WinnersKeeper(self))
        self.observer.part("final", self.setup.space, Budget(len(individuals)), 0)
        self.loop.run(part, Budget())
        self.tested |= {individual.role or "": outcome for individual, outcome in part.told()}

    def _test_as_trained(self, role: str, found: Best, part: Part) -> None:
        """The test accuracy of a network as the search has left it, where the search kept its weights."""
        if not isinstance(part.keeper, Heritage):
            return
        config, origin = self.config, part.keeper.origin(found.id)
        assert config.source is not None, "only a run with data inherits"
        evaluation = AsTrained(self.setup.space, config.source, origin, config.device, config.precision, config.threads,
                               config.data)  # fmt: skip
        self._test(self._individual(role, found.genome, found.id), evaluation=lambda individual: evaluation)

    def _proxy(self, individual: Individual) -> Evaluation:
        """As a search sees a network: the search recipe, the validation part, the time limit."""
        if self.given.evaluate is not None:
            return Calls(self.given.evaluate, len(self.objectives), self.config.timeout_s)
        limit, recipe = self.config.timeout_s, self.setup.recipe
        trained = self._trained(individual, recipe, objectives=self.objectives, timeout_s=limit)
        return trained if recipe.trainings == 1 else Mean(trained, recipe.trainings)

    def _heir(self, individual: Individual, origin: Origin) -> Evaluation:
        """As a search sees a network that begins with its parent's weights."""
        return self._trained(individual, self.setup.recipe, objectives=self.objectives,
                             timeout_s=self.config.timeout_s, origin=origin, keeps=individual.role is None)  # fmt: skip

    def _final(self, individual: Individual) -> Evaluation:
        """As the table shows a network: the final recipe, all but the test part, which is read, once."""
        return self._trained(individual, self.setup.final, final=True, keeps=individual.role == "winner")

    def _trained(self, individual: Individual, recipe: Recipe, **options: Any) -> TrainedAccuracy:
        config = self.config
        assert config.source is not None, "only a run with data trains"
        return TrainedAccuracy(
            space=self._space(individual.role),
            source=config.source,
            recipe=recipe,
            seed=config.seed,
            device=config.device,
            precision=config.precision,
            memory=self.memory,
            accumulate=config.accumulate,
            threads=config.threads,
            profile=config.profile,
            data=config.data,
            **options,
        )

    def _space(self, role: str | None) -> Space:
        return self.reference if role == "reference" else self.setup.space

    def _final_seconds(self, search: Part) -> float:
        """An estimate of the final training of the best network so far, from what its search evaluation took."""
        told = [outcome for _, outcome in search.told() if outcome.values and outcome.epochs]
        if not told:
            return 0.0
        best = max(told, key=lambda outcome: self.weights[0] * outcome.values[0])
        train, validation = len(self.data.y_train), len(self.data.y_validation)
        share = 1.0
        if self.supernet is not None:  # what took the seconds was all networks at once
            share = self.supernet.share(self.setup.space.decode(search.asked[-1]))
        images = share * (train + validation) / train
        return FINAL_MARGIN * best.seconds / best.epochs * self.setup.final.epochs * images

    def keep_winner(self, individual: Individual, outcome: Outcome) -> None:
        """A folder of its own: best/, and as_trained/ for the weights that the search has left."""
        space, config, left = self.setup.space, self.config, individual.role == "winner_as_trained"
        assert outcome.weights is not None, "there is nothing else to keep"
        recipe = space.recipe(individual, self.setup.recipe) if left else self.setup.final
        keep(
            self.run.directory / ("as_trained" if left else "best"),
            weights=outcome.weights,
            graph=space.decode(individual).simplified(),
            data=self.data,
            facts={
                "id": individual.parents[0],
                "code": space.format(individual),
                "test_accuracy": outcome.values[0],
                "epochs": outcome.lineage["epochs"] if left else outcome.epochs,
                "trained_on": "train" if left else "train+validation",
                "recipe": recipe.to_json(),
                "data": config.source and config.source.name,
                "precision": config.precision,
            },
        )

    def _individual(self, role: str, genome: Genome, parent: int | None = None) -> Individual:
        individual = Individual(genome)
        individual.role, individual.operator = role, role
        individual.parents = () if parent is None else (parent,)
        return individual

    # ---- the end --------------------------------------------------------------------------------------------------

    def _best(self, part: Part) -> Best:
        told = (
            Best(individual.id or 0, tuple(individual), outcome.values[0], individual.provisional)
            for individual, outcome in part.told()
            if outcome.values and individual.role is None
        )
        found = best(told, self.weights[0], apart=self.config.inherit)
        if found is None:
            none = f"all {part.rejected} broke the limits" if part.rejected else "the budget was spent before the first"
            reasons = {outcome.reason for outcome in part.outcomes.values()} or {none}
            raise RunError(f"no network of the {part.phase} could be evaluated ({'; '.join(sorted(reasons))}); resume "
                           "with a larger budget, or begin anew with other settings")  # fmt: skip
        return found

    def _result(self, role: str, genome: Genome, value: float | None) -> dict[str, Any]:
        outcome, space = self.tested.get(role), self._space(role)
        graph = space.decode(genome)
        shown: dict[str, Any] = {"code": space.format(genome)}
        if self.given.evaluate is None and (role != "reference" or self.compares):
            shown["validation_accuracy"] = value
        elif role != "reference":
            shown[self.objectives[0]] = value
        if outcome is not None:
            shown |= {"test_accuracy": outcome.values[0] if outcome.values else None, "error": outcome.error}
        if (left := self.tested.get(f"{role}_as_trained")) is not None:
            shown["as_trained_test_accuracy"] = left.values[0] if left.values else None
        return shown | {"parameters": graph.parameters, "multiply_adds": graph.multiply_adds}

    def _summary(self, search: Part, winner: dict[str, Any], rivals: dict[str, Any]) -> dict[str, Any]:
        failures = [outcome for outcome in search.outcomes.values() if outcome.failed]
        return {
            "system": self.config.system,
            "preset": self.config.preset,
            "data": self.config.source and self.config.source.name,
            "seed": self.config.seed,
            "objectives": self.config.objectives,
            "evaluations": len(search.outcomes),
            "trained": search.trained,
            "failed": len(failures),
            "rejected": search.rejected + self.guard.rejected,
            "ended_because": search.ended_because,
            "wall_s": round(self.journal.seconds, 1),
            "winner": winner,
            **rivals,
        }


def _sharing(config: Config) -> int:
    """How many workers share a device, at most: with a hostfile, on the host with the most of them."""
    most = config.workers if config.hostfile is None else max(count for _, count in read_hosts(Path(config.hostfile)))
    return sharing(config.device, most)


def _beginning_with(first: list[Individual], draw: Any) -> Any:
    """A role `individual` that hands out these, then what it draws itself."""
    waiting = list(first)

    def individual(*args: Any, **kwargs: Any) -> Individual:
        return waiting.pop(0) if waiting else draw(*args, **kwargs)

    return individual


def _no_limit(individual: Individual) -> str:
    return ""


def _beginners(run: Run) -> int | None:
    """How many individuals the search begins with; None where a strategy says nothing of a population."""
    size = getattr(run.setup.strategy, "population", None)
    if size is None or run.system.front is not None or len(run.config.objectives) == 1:
        return size
    return max(2, size // 2)  # parents and offspring compete: together they are the population (benchmarks/pareto.py)


def _check_supernet(run: Run) -> None:
    """Raises UserError where a run asks of a supernet what it cannot do."""
    reasons = {
        "it has no images": run.config.source is None,
        "there is an evaluate": run.given.evaluate is not None,
        "there are several objectives": len(run.config.objectives) > 1,
        "children are to inherit weights": run.config.inherit,
    }
    for why, is_so in reasons.items():
        if is_so:
            raise UserError(f"a supernet is trained on images, for accuracy alone, and has no children: {why}")


def check(run: Run) -> None:
    """What would stop a run later is said before anything is written. Raises UserError."""
    setup, config = run.setup, run.config
    graph = setup.space.check(stream(config.seed, "check"))
    if config.baseline and run.system.control is None and not setup.space.is_sequence:
        raise UserError(f"random search cannot draw from {setup.space.name}, whose genomes are no sequences of "
                        "decisions; leave the baseline out")  # fmt: skip
    if run.system.trains and run.given.strategy is None:
        _check_supernet(run)
        toolbox = run.system.toolbox(setup.space, setup.strategy, stream(config.seed, "check"))
        strategy = run.system.strategy(toolbox, setup.strategy, stream(config.seed, "check"))
        assert isinstance(strategy, Trains), "the system says so"
        strategy.check(setup.recipe)
    if config.inherit and setup.recipe.trainings > 1:
        raise UserError(f"trainings is {setup.recipe.trainings}, but who inherits is trained once; set trainings=1, or "
                        "do without (--no-inherit)")  # fmt: skip
    signs = tuple(1 if weight > 0 else -1 for weight in config.objectives.values())
    wanted = run.system.front_signs
    if wanted is not None and run.given.strategy is None and len(signs) > 1 and signs != wanted:
        ways = ", then ".join(f"one to be {'maximised' if sign > 0 else 'minimised'}" for sign in wanted)
        raise UserError(f"{run.system.name} searches for several objectives only as {ways}, such as accuracy,latency; "
                        f"not for {', '.join(config.objectives)}")  # fmt: skip
    first = [setup.space.parse(code) for code in config.init]
    room = _beginners(run)
    if room is not None and len(first) > room:
        wanted = len(first) * max(setup.strategy.population // room, 1)
        raise UserError(f"{len(first)} networks to begin with, but the search begins with {room}; set "
                        f"population={wanted}")  # fmt: skip
    for code, genome in zip(config.init, first, strict=True):
        broken = config.limits.broken_by(setup.space.decode(genome)) if config.limits else ""
        if broken:
            raise UserError(f"{code} has {broken}; begin with a smaller network, or raise the limit")
    if config.limits:
        drawn = run.system.toolbox(setup.space, setup.strategy, stream(config.seed, "check"))
        config.limits.check(setup.space, drawn.individual)
    if config.source is not None:
        data = shared(config.source, config.data)
        if graph.input_shape != data.input_shape or graph.output_shape != (len(data.classes),):
            raise UserError(f"{setup.space.name} has networks from {graph.input_shape} to {graph.output_shape}, but "
                            f"the data have images of {data.input_shape} and {len(data.classes)} classes; give it "
                            "the fields input_shape and classes, and decode by them")  # fmt: skip
