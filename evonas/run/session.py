"""One session of a run, read from top to bottom: search, final trainings, baselines, summary."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from evonas.errors import RunError
from evonas.evaluation import Candidate, Decoder, Evaluator, Function, Genome
from evonas.evaluation.checkpoints import Checkpoints
from evonas.evaluation.inheritance import Inheritance
from evonas.evaluation.keeper import Keeper
from evonas.evaluation.latencies import Latencies
from evonas.evaluation.limits import Guard
from evonas.evaluation.mean import Mean
from evonas.evaluation.store import WeightStore
from evonas.evaluation.teacher import Teacher
from evonas.evaluation.training import Training
from evonas.executors.launch import read_hosts
from evonas.fidelity.scheduler import Scheduler
from evonas.genomes import residual
from evonas.individual import Individual
from evonas.ranking import FINALISTS, Best, the_best
from evonas.recipe import Recipe
from evonas.reports.profile import profile
from evonas.run import teaching, warm_start
from evonas.run.bench import RunBench
from evonas.run.config import Config
from evonas.run.finals import Finals, standing_for
from evonas.run.journal import Journal
from evonas.run.latencies import SHOWN, against_predictions
from evonas.run.loop import Loop
from evonas.run.observer import Observer
from evonas.run.phase import Phase
from evonas.run.store import Run
from evonas.run.supernet import SharedSearch
from evonas.run.timetable import Timetable
from evonas.run.trainings import Trainings
from evonas.strategies import Strategy
from evonas.strategies.first import First
from evonas.support.device import ELSEWHERE, gpus, memory_of, sharing
from evonas.support.files import write_json
from evonas.support.stopwatch import UNWATCHED, Stopwatch
from evonas.support.streams import stream
from evonas.systems import registry
from evonas.systems.setup import Chosen
from evonas.systems.system import Baseline

FIRST = 10  # networks of a search that stand for what it began with: few strategies learn from fewer


class Session:
    """What the journal holds is replayed, in the same order, and what is left is done.

    report   draw the pictures of the run and its report at the end
    """

    def __init__(self, run: Run, journal: Journal, executor: Executor, observer: Observer, report: bool = True) -> None:
        self.run, self.config, self.problem = run, run.config, run.problem
        self.journal, self.observer, self.report = journal, observer, report
        self.decoder = Decoder(self.problem.space)
        self.guard = Guard(self.decoder, self.config.limits)
        self.memory = self.config.memory or _share_of_memory(self.config)
        self.watch = Stopwatch() if self.config.profile else UNWATCHED
        self.loop = Loop(journal, executor, self.config.workers, on_event=observer.event, watch=self.watch)
        self.store = WeightStore(run.directory / "weights", self.config.weights_disk)
        self.heirs: list[Inheritance] = []
        kept = WeightStore(run.directory / "checkpoints", self.config.weights_disk, suffix=".checkpoint")
        self.checkpoints = Checkpoints(kept)
        self.task = self.problem.task
        self.finals: Finals | None = None
        self.teacher: Teacher | None = None
        if self.task is not None:  # there are final networks
            self.reference = Decoder(residual.reference(self.task.input_shape, self.task.output_shape[0]))
            self.finals = Finals(
                run,
                self.loop,
                self.task,
                lambda recipe: self._training(recipe, final=True),
                self.decoder,
                self.reference,
                observer.phase,
                self.checkpoints,
                self.problem.final,
            )
        self.shared: SharedSearch | None = None
        if self.problem.setup.supernet is not None:
            self.shared = SharedSearch(self.problem, self.config, run.directory, self.memory)
        self.timetable = Timetable(self.problem, self.config, journal, observer.note)

    def go(self) -> dict[str, Any]:
        self.watch.begin("other")
        self._prepare_teacher()
        self._prepare_supernet()
        strategy = self._strategy()
        self.evaluator = strategy.evaluator(self._usual())
        self.compares = self.task is not None and self.problem.evaluate is None and self.evaluator.judges_anything
        search = self._phase("search", strategy)
        baseline = self._phase("baseline", self._baseline()) if self.config.baseline else None
        rival = self.problem.system.baseline
        summary: dict[str, Any] = {}
        for budget in self.config.budgets:
            time = self.timetable.of(budget, self.loop.at)
            self.observer.phase("search", time.search, len(search.asked))
            self.loop.run(search, time.search)
            few, luckiest = self._best(search), []
            if baseline is not None:
                evaluations = self.compares + (len(search.outcomes) if rival else 0)  # the reference's is the first
                as_many = replace(time.baseline, evaluations=evaluations)
                self.observer.phase("baseline", as_many, len(baseline.asked))
                self.loop.run(baseline, as_many)
                luckiest = self._finalists(baseline)
            winner, lucky = few[0], luckiest[0] if luckiest else None
            if self.finals is not None:
                recipe = self._final_recipe([few, luckiest], baseline is not None, time.end)
                winner = self._chosen(few, recipe, FINALISTS)
                lucky = self._chosen(luckiest, recipe, f"baseline-{FINALISTS}") if luckiest else None
                finalists = {"winner": (winner, search)}
                finalists |= {rival.name: (lucky, baseline)} if lucky and baseline and rival else {}
                self.finals.test(finalists, baseline is not None, recipe)
            baselines: dict[str, Any] = {}
            if lucky is not None and rival is not None:
                baselines[rival.name] = self._result(rival.name, lucky.genome, lucky.value)
            if baseline is not None and self.task is not None:
                by_search = next(baseline.told())[1] if self.compares else None
                whole = by_search.values[0] if by_search is not None and by_search.status == "full" else None
                baselines["reference"] = self._result("reference", (), whole)
            summary = self._summary(search, self._result("winner", winner.genome, winner.value), baselines)
            drawn = None if baseline is None or rival is None else len(baseline.outcomes) - self.compares
            summary |= {"baseline_evaluations": drawn}
            if self.finals is not None:
                summary["differences"] = self.finals.held_against(summary["winner"], baselines)
            write_json(self.run.directory / "summary.json", summary)
            self.loop.finish()
            if self.config.profile:
                write_json(self.run.directory / "profile.json", profile(self.run, self.watch.stop()))
            if self.report:
                self.run.plot()
        return summary

    def _prepare_supernet(self) -> None:
        """Train the supernet by whose weights genomes are judged, or take the one that is lent."""
        if self.shared is None:
            return
        if self.config.lent is not None:
            self.shared.borrow()
            return
        epochs = self.timetable.supernet_epochs(self.shared.trainer)
        self.shared.train(self.loop, self.checkpoints, epochs, self.observer.phase)

    def _prepare_teacher(self) -> None:
        """The network by which others are trained: what was given, or one that is trained first."""
        if not self.problem.distills:
            return
        assert self.task is not None, "it has been checked"
        file = self.config.teacher
        if file is None:
            graph = teaching.first_teacher(self.problem)
            assert graph is not None, "it has been checked"
            recipe = self.problem.final.by_labels().lasting(self.timetable.teacher_epochs(graph))
            by = self._training(recipe, objectives=(self.problem.first,))
            folder, phase = self.run.directory, self.observer.phase
            file = str(teaching.trained(graph, by, self.task, folder, self.loop, self.checkpoints, phase))
        self.teacher = teaching.found(Path(file))

    # ---- strategies -----------------------------------------------------------------------------------------------

    def _strategy(self) -> Strategy:
        """The one that searches, ready to propose."""
        rng = stream(self.config.seed, self.problem.space.name)
        toolbox = self.problem.tools(rng)
        if self.config.limits:
            self.guard.decorate(toolbox)
        first = [Individual(self.problem.space.parse(code)) for code in self.config.init]
        for individual in first:
            individual.operator = "init"
        if self.shared is not None:
            for code in self.shared.facts["genomes"]:
                first.append(Individual(self.problem.space.parse(code)))
                first[-1].operator = "supernet"
        first += warm_start.begin(self.run, self.observer.note, self.timetable.warming_s)
        if first:
            toolbox.decorate("individual", partial(_beginning_with, first))
        strategy = self.problem.make(toolbox, rng).begin_with(first)
        preference = None if self.shared is None else self.shared.facts["weights"]
        strategy.prepare(RunBench(self.problem, self.config, preference, self.teacher), self.run.directory)
        return strategy

    def _baseline(self) -> Strategy:
        """What the search is held against at as many evaluations."""
        baseline, space = self.problem.system.baseline or Baseline(), self.problem.space  # or it is never asked
        rng = stream(self.config.seed, baseline.name.replace("_", " "))
        known = self.problem.setup.strategy.values
        using: Chosen = registry.chosen(baseline.strategy, *filter(None, [baseline.toolbox]))
        using = using.having(**{name: known[name] for name in known if name in using.settings} | dict(baseline.values))
        toolbox = self.evaluator.draws(using.tools(space, rng), rng)
        if self.config.limits:
            Guard(self.decoder, self.config.limits).decorate(toolbox)
        return using.strategy(toolbox, rng)

    def _phase(self, name: str, strategy: Strategy) -> Phase:
        listed = strategy
        if name == "baseline" and self.compares:
            listed = First([standing_for("reference", ())], then=strategy)
        keeper = Keeper()
        if self.config.inherit:
            keeper = Inheritance(
                self.store, lambda: strategy.population, weight=self.problem.weights[0], peers=self.heirs,
                first=teaching.beginning(self.problem),
            )  # fmt: skip
        return Phase(
            name,
            listed,
            self.evaluator,
            self.decoder,
            roles={"reference": self.reference} if self.compares else {},
            weights=self.problem.weights,
            rejects=self._broken_limit if self.config.limits else _no_limit,
            keeper=keeper,
            trainings=Trainings(self._scheduler(), self.checkpoints, self.evaluator.features),
        )

    def _scheduler(self) -> Scheduler | None:
        fidelity, epochs = self.config.fidelity, self.evaluator.epochs
        if fidelity is None or epochs is None:
            return None
        return registry.scheduler(fidelity, epochs)

    def _broken_limit(self, candidate: Candidate) -> str:
        """The last line: whatever a strategy proposes, nothing over the limits is trained."""
        if candidate.role == "reference":
            return ""
        try:
            graph = candidate.graph
        except Exception:  # a user's decode may raise anything: the evaluation fails, and says why
            return ""
        return self.config.limits.broken_by(graph)

    # ---- evaluations ----------------------------------------------------------------------------------------------

    def _usual(self) -> Evaluator:
        """As a search sees a network: by the script's function, or by the search recipe on the validation split."""
        problem, limit = self.problem, self.config.timeout_s
        if problem.evaluate is not None:
            return Function(problem.evaluate, len(problem.objectives), limit)
        if self.shared is not None:
            return self.shared.evaluator()
        first = self.config.budgets[0].seconds
        allowed = None if first is None else self.timetable.shares(first).search
        trained = self._training(
            problem.search, objectives=tuple(problem.objectives), timeout_s=limit, allowed_s=allowed
        )
        return trained if problem.search.trainings == 1 else Mean(trained, problem.search.trainings)

    def _training(self, recipe: Any, **options: Any) -> Training:
        config = self.config
        assert self.task is not None, "only a run with a task trains"
        return Training(
            task=self.task,
            recipe=recipe,
            seed=config.seed,
            device=config.device,
            precision=config.precision,
            memory=self.memory,
            accumulate=config.accumulate,
            threads=config.threads,
            profile=config.profile,
            teacher=self.teacher if recipe.distills else None,
            latencies=Latencies.wanted(config.limits, self.problem.objectives),
            **options,
        )

    def _final_recipe(self, few: list[list[Best]], by_hand: bool, end: float | None) -> Recipe:
        """For as many epochs as there is time for: the same for finalists and for all that the table compares."""
        graphs = [[self.decoder.graph(each.genome) for each in some] for some in few]
        finals = [max(some, key=lambda graph: graph.multiply_adds) for some in graphs if some]
        again = [graph for some in graphs if len(some) > 1 for graph in some]
        return self.timetable.final_recipe([*finals, *[self.reference.graph(())] * by_hand], again, end)

    # ---- the end --------------------------------------------------------------------------------------------------

    def _chosen(self, few: list[Best], recipe: Recipe, name: str) -> Best:
        """The best of a few, by trainings of the final recipe where there are several."""
        if len(few) < 2 or self.finals is None:
            return few[0]
        by = self._training(recipe, objectives=(self.problem.first,))
        return self.finals.among(few, by, name, self.problem.weights[0])

    def _finalists(self, phase: Phase) -> list[Best]:
        """The best of a phase, as many different networks as there are to be finalists."""
        count = self.config.finalists
        key: Any = self.decoder.digest if count > 1 else tuple
        return the_best(phase.ranked(), self.problem.weights[0], count, apart=self.config.inherit, key=key)

    def _best(self, phase: Phase) -> list[Best]:
        """The best networks, as many as there are to be finalists. Raises RunError where there is none."""
        few = self._finalists(phase)
        if not few:
            none = (
                f"all {phase.rejected} broke the limits" if phase.rejected else "the budget was spent before the first"
            )
            reasons = {outcome.reason for outcome in phase.outcomes.values()} or {none}
            raise RunError(f"no network of the {phase.name} could be evaluated ({'; '.join(sorted(reasons))}); resume "
                           "with a larger budget, or begin anew with other settings")  # fmt: skip
        outcome = phase.outcomes[few[0].id]
        if outcome.status == "partial":
            self.observer.warn(f"no training of the {phase.name} came to its end; its best is that of those which came "
                               f"furthest, to {outcome.reached} of {self.evaluator.epochs} epochs")  # fmt: skip
        return few

    def _result(self, role: str, genome: Genome, value: float | None) -> dict[str, Any]:
        decoder = self.reference if role == "reference" else self.decoder
        graph, first, code = decoder.graph(genome), self.problem.first, decoder.space.format(genome)
        shown: dict[str, Any] = {"code": code}
        if self.problem.evaluate is None and (role != "reference" or self.compares):
            shown[f"validation_{first}"] = value
        elif role != "reference":
            shown[first] = value
        if self.finals is not None:
            shown |= self.finals.row(role, code)
        return shown | {"parameters": graph.parameters, "multiply_adds": graph.multiply_adds}

    def _latencies(self, search: Phase, winner: dict[str, Any]) -> dict[str, Any] | None:
        """What the winner and others of the search take on the device, and what its table has predicted, in ms; None
        where latency has no target, or the table is of another machine. It is a measurement: it differs from time to
        time."""
        limits = self.config.limits
        if limits.latencies is None or limits.latency_ms is None:
            return None
        found = {self.decoder.space.format(each): each for each, outcome in search.told() if outcome.values}
        others = [code for code in reversed(found) if code != winner["code"]]
        graphs = [self.decoder.graph(found[code]) for code in [winner["code"], *others[: SHOWN - 1]]]
        known = limits.table
        assert known is not None, "its file is named"
        pairs = against_predictions(known, graphs, self.config.device)
        if not pairs:
            return None
        return {"target": limits.latency_ms, "device": known.device, "machine": known.machine, "networks": pairs}

    def _first(self, phase: Phase) -> dict[str, float] | None:
        """What the search began with: so many networks, and the best value among them. Those whose trainings were
        stopped are compared with none."""
        ranked = {each.id for each in phase.ranked()}
        values = [outcome.values[0] for individual, outcome in phase.told() if individual.id in ranked]
        if len(values) < 2 * FIRST:
            return None
        sign = 1 if self.problem.weights[0] > 0 else -1
        best, of_all = (max(some, key=lambda value: sign * value) for some in (values[:FIRST], values))
        return {"networks": FIRST, "best": best, "of_all": of_all}

    def _summary(self, search: Phase, winner: dict[str, Any], baselines: dict[str, Any]) -> dict[str, Any]:
        failures = [outcome for outcome in search.outcomes.values() if outcome.failed]
        return {
            "system": self.config.system,
            "preset": self.config.preset,
            "data": None if self.task is None else self.task.data,
            "seed": self.config.seed,
            "metric": None if self.task is None else self.task.metric.name,
            "counts": None if self.task is None else list(self.task.counts),
            "final_epochs": None if self.finals is None else [self.finals.recipe.epochs, self.problem.final.epochs],
            "objectives": self.config.objectives,
            "evaluations": len(search.outcomes),
            "trained": search.trained,
            "failed": len(failures),
            "rejected": search.rejected + self.guard.rejected,
            "finalists": self.config.finalists,
            "by_shared_weights": any(outcome.status == "shared" for outcome in search.outcomes.values()),
            "ended_because": search.ended_because,
            "wall_s": round(self.journal.seconds, 1),
            "first": self._first(search),
            "latencies": self._latencies(search, winner),
            "differences": {},
            "winner": winner,
            **baselines,
        }


def _share_of_memory(config: Config) -> int | None:
    """Bytes that one training may take: the device's, by how many workers share it at most, with a hostfile those of
    the host with the most of them. Workers elsewhere are taken to have as much as this host, each for itself; None:
    it has no such device."""
    if config.executor in ELSEWHERE:
        return None if config.device == "cuda" and not gpus() else memory_of(config.device)
    most = config.workers if config.hostfile is None else max(count for _, count in read_hosts(Path(config.hostfile)))
    return memory_of(config.device) // sharing(config.device, most)


def _beginning_with(first: list[Individual], draw: Any) -> Any:
    """A role `individual` that hands out these, then what it draws itself."""
    waiting = list(first)

    def individual(*args: Any, **kwargs: Any) -> Individual:
        return waiting.pop(0) if waiting else draw(*args, **kwargs)

    return individual


def _no_limit(candidate: Candidate) -> str:
    return ""
