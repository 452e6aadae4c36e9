"""One loop for every strategy: a worker that becomes idle gets the next genome; what ends is told at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from dataclasses import dataclass, field
from typing import Any

from evonas.errors import RunError, UserError
from evonas.evaluation import Attempt, Evaluation, Outcome
from evonas.executors import Overdue, WorkerLost
from evonas.individual import Fitness, Individual
from evonas.run.journal import Event, Journal, JournalError, Unwritten
from evonas.strategies import Strategy
from evonas.support.stopwatch import UNWATCHED, Unwatched

LOOP_EVENTS = ("asked", "told", "ended", "finished")
REPEATS_LIMIT = 10_000  # reused results in a row after which a search has nothing new to say
REJECTED_LIMIT = 10_000  # proposals in a row that break a limit
HOPELESS = 10  # failures, and nothing else, after which the fault is not the genomes'


@dataclass(frozen=True)
class Budget:
    """When to stop asking; None: no limit.

    evaluations   results, reused ones and failures included
    epochs        trained epochs
    seconds       of run time; an evaluation that would probably end later is not begun
    cost_seconds  of evaluation, as outcomes say: the simulated ones of a table
    """

    evaluations: int | None = None
    epochs: int | None = None
    seconds: float | None = None
    cost_seconds: float | None = None

    def __post_init__(self) -> None:
        for name in ("evaluations", "epochs", "seconds", "cost_seconds"):
            amount = getattr(self, name)
            if amount is not None and not amount > 0:
                raise UserError(f"a budget of {amount} {name} allows nothing; use more than 0")


class Keeper:
    """Keeps what a journal does not, such as weights. This one keeps nothing."""

    def keep(self, individual: Individual, outcome: Outcome) -> Outcome:
        """Called before an outcome is written down; the outcome that is."""
        return outcome

    def hear(self, individual: Individual, outcome: Outcome) -> None:
        """Called with each outcome, those that are replayed included, before the strategy learns of it."""

    def holds(self, outcome: Outcome) -> bool:
        """Whether an outcome can be used again."""
        return True


@dataclass
class Part:
    """What one strategy has asked and been told so far. A part may be taken up again with a larger budget.

    weights        of the fitness: one for each value of an outcome, positive to maximise
    rejects        why an individual is not to be evaluated, as where it breaks a limit; empty: it is. What is rejected
                   is told to the strategy with an invalid fitness, costs nothing and does not count as an evaluation
    repeats_cost   a genome that comes again is evaluated again, as where a table stands for trainings
    keeper         of what comes with the outcomes
    """

    phase: str
    strategy: Strategy
    evaluation: Callable[[Individual], Evaluation]
    weights: tuple[float, ...] = (1.0,)
    rejects: Callable[[Individual], str] = lambda individual: ""
    repeats_cost: bool = False
    keeper: Keeper = field(default_factory=Keeper)
    asked: list[Individual] = field(default_factory=list)
    outcomes: dict[int, Outcome] = field(default_factory=dict)  # by id of the individual
    trained: int = 0  # results that were not reused, and what they cost:
    epochs: int = 0
    seconds: float = 0.0
    repeats: int = 0  # reused results since the last one that was not
    rejected: int = 0
    ended_because: str | None = None

    def told(self) -> Iterator[tuple[Individual, Outcome]]:
        """Individuals with their outcomes, in the order in which they were asked."""
        return ((i, self.outcomes[i.id]) for i in self.asked if i.id is not None and i.id in self.outcomes)


class Loop:
    """Drives strategies over one journal, one part after the other.

    journal     what it holds already is replayed first: the strategy proposes again what was asked and is told again
                what was told; what was in flight is submitted again
    executor    a concurrent.futures executor
    workers     evaluations in flight at a time
    on_event    called with each event of the journal, replayed ones included (then `replayed` is True)
    watch       is told of the sections strategy, identity, hand out, waiting, journal and other
    wait        concurrent.futures.wait, or that of a simulation, whose time does not pass by itself
    """

    def __init__(
        self,
        journal: Journal | Unwritten,
        executor: Executor,
        workers: int,
        *,
        on_event: Callable[[Event, bool], None] = lambda event, replayed: None,
        watch: Unwatched = UNWATCHED,
        wait: Callable[..., Any] = wait,
    ) -> None:
        if workers < 1:
            raise UserError(f"workers is {workers}; use at least 1")
        self.journal, self.executor, self.workers = journal, executor, workers
        self.on_event, self.watch, self.wait = on_event, watch, wait
        self._past = iter([(line, event) for line, event in journal.events if event["event"] in LOOP_EVENTS])
        self._next_id = 0
        self._known: dict[str, Outcome] = {}  # by key: results that can be used again
        self._replicates: dict[str, int] = {}  # identity -> trainings asked for

    def run(self, part: Part, budget: Budget, *, reserve_s: Callable[[], float] = lambda: 0.0) -> Part:
        """Ask and tell until the budget is spent or the strategy has no more to propose.

        reserve_s   seconds of the budget to be kept for what comes after the part
        """
        sitting = _Sitting(self, part, budget, reserve_s)
        if not sitting.replay():
            sitting.go()
        return part

    def finish(self) -> None:
        """Write down that all parts are done, unless the journal says so already."""
        line, event = next(self._past, (0, None))
        if event is None:
            self.journal.append({"event": "finished", "id": "run"})
        elif event["event"] != "finished":
            raise JournalError(f"{self.journal.path}, line {line}: it goes on after the end of the run; resume "
                               "with the settings and the evonas that began the run")  # fmt: skip


class _Sitting:
    """One part, from its replayed past to its end."""

    def __init__(self, loop: Loop, part: Part, budget: Budget, reserve_s: Callable[[], float]) -> None:
        self.loop, self.part, self.budget, self.reserve_s = loop, part, budget, reserve_s
        self.watch = loop.watch
        self.keys: dict[int, str] = {}
        self.running: dict[Future, Individual] = {}
        self.rejected_in_a_row = 0
        self.joined: dict[str, list[Individual]] = {}  # key in flight -> individuals that wait for the same result

    # ---- the past -------------------------------------------------------------------------------------------------

    def replay(self) -> bool:
        """Replay what the journal holds of this part; True where it had ended."""
        waiting: dict[int, Individual] = {}
        for line, event in self.loop._past:
            if event["event"] == "ended":
                self.part.ended_because = event["because"]
                self.loop.on_event(event, True)
                return True
            if event["event"] == "asked":
                individual = self._propose()
                proposed = None if individual is None else (individual.id, list(individual), self.part.phase)
                recorded = (event["id"], event["genome"], event["phase"])
                if individual is None or proposed != recorded:
                    raise JournalError(f"{self.loop.journal.path}, line {line}: the journal has {recorded} where the "
                                       f"strategy proposes {proposed}; resume with the settings and the evonas that "
                                       f"began the run")  # fmt: skip
                waiting[event["id"]] = individual
                if event["key"]:  # without one it was rejected
                    self._identify(individual, event["key"])
                    self.part.asked.append(individual)
            elif event["status"] == "rejected":
                self._hear_rejection(waiting.pop(event["id"]))
            else:
                outcome = Outcome(
                    tuple(event["values"]),
                    event["status"],
                    event["cost"]["epochs"],
                    event["cost"]["seconds"],
                    tuple(event["curve"]),
                    event["error"],
                    event.get("measures", {}),
                    kept=event.get("weights"),
                    lineage=event.get("lineage", {}),
                    warning=event.get("warning"),
                )
                self._hear(waiting.pop(event["id"]), outcome, event["reused"])
            self.loop.on_event(event, True)
        for individual in waiting.values():  # all of them are in flight before the first one is told
            if _id(individual) in self.keys:
                self.part.evaluation(individual)
        for individual in waiting.values():
            if _id(individual) in self.keys:
                self._submit(individual, again=True)
            else:
                self._reject(individual)
        return False

    # ---- the present ----------------------------------------------------------------------------------------------

    def go(self) -> None:
        because = ""
        while not because or self.running:
            while not because and len(self.running) < self.loop.workers:
                because = self._spent()
                if because:
                    break
                individual = self._propose()
                if individual is None:
                    ended = getattr(self.part.strategy, "ended", "nothing more to propose")
                    because = "" if self.running else ended
                    break
                if self.part.rejects(individual):
                    self._write(_asked(individual, self.part.phase, ""))
                    self._reject(individual)
                    continue
                self._identify(individual, self._key(self._identity(individual)))
                self._write(_asked(individual, self.part.phase, self.keys[_id(individual)]))
                self.part.asked.append(individual)
                self._submit(individual)
            if self.running:
                self.watch.begin("waiting")
                done, _ = self.loop.wait(self.running, return_when=FIRST_COMPLETED)
                self.watch.begin("other")
                for future in sorted(done, key=lambda future: _id(self.running[future])):
                    self._finish(self.running.pop(future), _outcome(future))
        self.part.ended_because = because
        self._write({"event": "ended", "id": self.part.phase, "because": because})

    def _propose(self) -> Individual | None:
        self.watch.begin("strategy")
        proposed = self.part.strategy.generate(1)
        self.watch.begin("other")
        if not proposed:
            return None
        (individual,) = proposed
        individual.id = self.loop._next_id
        self.loop._next_id += 1
        return individual

    def _reject(self, individual: Individual) -> None:
        reason = self.part.rejects(individual)
        self._write(_told(individual, Outcome(status="rejected", error=f"limit: {reason}"), reused=False))
        self._hear_rejection(individual)
        if self.rejected_in_a_row >= REJECTED_LIMIT:
            raise UserError(f"the last {REJECTED_LIMIT:,} proposals have all been rejected, at last for {reason}; "
                            "raise the limits, or shrink the space")  # fmt: skip

    def _hear_rejection(self, individual: Individual) -> None:
        self.part.rejected += 1
        self.rejected_in_a_row += 1
        self._set_fitness(individual, ())
        self.part.strategy.update([individual])

    def _identity(self, individual: Individual) -> str:
        """Where a genome has none, because it cannot be decoded, its evaluation will fail, and say why."""
        self.watch.begin("identity")
        try:
            return self.part.evaluation(individual).key(tuple(individual))
        except Exception as error:  # a user's decode may raise anything
            return f"{type(error).__name__} of {list(individual)}"
        finally:
            self.watch.begin("other")

    def _key(self, identity: str) -> str:
        """A strategy that trains repeats again on purpose gets the next replicate; every other one replicate 0."""
        replicate = self.loop._replicates.get(identity, 0) if self._retrains else 0
        return f"{identity}#{replicate}"

    @property
    def _retrains(self) -> bool:
        return self.part.repeats_cost or getattr(self.part.strategy, "retrains_repeats", False)

    def _identify(self, individual: Individual, key: str) -> None:
        self.keys[_id(individual)] = key
        identity, _, replicate = key.rpartition("#")
        self.loop._replicates[identity] = max(self.loop._replicates.get(identity, 0), int(replicate) + 1)

    def _submit(self, individual: Individual, *, again: bool = False) -> None:
        """`again`: it was in flight when the run ended. It may be what ended it, where it shared a process with it."""
        executor = self.loop.executor
        submit = getattr(executor, "submit_alone", executor.submit) if again else executor.submit
        key = self.keys[_id(individual)]
        if key in self.loop._known and self.part.keeper.holds(self.loop._known[key]):
            self._tell(individual, self.loop._known[key], reused=True)
        elif key in self.joined:
            self.joined[key].append(individual)
        else:
            self.joined[key] = []
            replicate = int(key.rpartition("#")[2])
            evaluation = self.part.evaluation(individual)
            self.watch.begin("hand out")
            try:
                future = submit(Attempt(evaluation, tuple(individual), replicate))
            except BrokenExecutor as broken:
                raise _broken(broken) from broken
            self.watch.begin("other")
            self.running[future] = individual

    def _finish(self, individual: Individual, outcome: Outcome) -> None:
        outcome = self._tell(individual, outcome, reused=False)
        for twin in self.joined.pop(self.keys[_id(individual)]):
            self._tell(twin, outcome, reused=True)

    def _tell(self, individual: Individual, outcome: Outcome, *, reused: bool) -> Outcome:
        """The outcome, without what has been kept of it."""
        self.watch.begin("journal")
        outcome = self.part.keeper.keep(individual, outcome)
        self._write(_told(individual, outcome, reused))
        self._hear(individual, outcome, reused)
        told = self.part.outcomes.values()
        if len(told) == HOPELESS and all(o.failed for o in told):
            raise RunError(f"the first {HOPELESS} evaluations have all failed; the last one said: {outcome.reason}")
        return outcome

    def _hear(self, individual: Individual, outcome: Outcome, reused: bool) -> None:
        self.rejected_in_a_row = 0
        self._set_fitness(individual, outcome.values)
        self.part.outcomes[_id(individual)] = outcome
        self.part.keeper.hear(individual, outcome)
        if not reused:
            self.loop._known[self.keys[_id(individual)]] = outcome
        if reused:
            self.part.repeats += 1
        else:
            self.part.repeats = 0
            self.part.trained += 1
            self.part.epochs += outcome.epochs
            self.part.seconds += outcome.seconds
        self.watch.begin("strategy")
        self.part.strategy.update([individual])
        self.watch.begin("other")

    def _set_fitness(self, individual: Individual, values: tuple[float, ...]) -> None:
        if individual.fitness.weights != self.part.weights:
            individual.fitness = Fitness(weights=self.part.weights)
        if values:
            individual.fitness.values = values
        else:
            del individual.fitness.values

    def _write(self, event: Event) -> None:
        self.watch.begin("journal")
        written = self.loop.journal.append(event)
        self.watch.begin("other")
        self.loop.on_event(written, False)

    def _spent(self) -> str:
        """Why nothing more is to be asked; empty while there is budget."""
        budget, part = self.budget, self.part
        if budget.evaluations is not None and len(part.asked) >= budget.evaluations:
            return f"{budget.evaluations} evaluations"
        if budget.epochs is not None and part.epochs >= budget.epochs:
            return f"{budget.epochs} epochs"
        if budget.cost_seconds is not None and part.seconds >= budget.cost_seconds:
            return f"{budget.cost_seconds:g} seconds of evaluation"
        if budget.seconds is not None:
            expected = part.seconds / part.trained if part.trained else 0.0
            if self.loop.journal.seconds + expected + self.reserve_s() >= budget.seconds:
                return f"{budget.seconds:g} seconds"
        if part.repeats >= REPEATS_LIMIT:
            return f"the last {REPEATS_LIMIT:,} genomes had all been evaluated before"
        return ""


def _outcome(future: Future) -> Outcome:
    try:
        return future.result()
    except WorkerLost as lost:
        return Outcome.failure("worker", f"{lost}; perhaps it ran out of memory")
    except Overdue as overdue:
        return Outcome.failure("time", str(overdue))
    except BrokenExecutor as broken:
        raise _broken(broken) from broken


def _broken(broken: BrokenExecutor) -> RunError:
    return RunError(f"the executor has broken down, nothing told is lost: {broken}")


def _asked(individual: Individual, phase: str, key: str) -> Event:
    return {
        "event": "asked",
        "id": individual.id,
        "genome": list(individual),
        "parents": list(individual.parents),
        "operator": individual.operator,
        "phase": phase,
        "role": individual.role,
        "generation": individual.generation,
        "key": key,
    } | {name: value for name in ("proposal", "provisional") if (value := getattr(individual, name))}


def _told(individual: Individual, outcome: Outcome, reused: bool) -> Event:
    cost = {"epochs": 0, "seconds": 0.0} if reused else {"epochs": outcome.epochs, "seconds": outcome.seconds}
    return {
        "event": "told",
        "id": individual.id,
        "values": list(outcome.values),
        "status": outcome.status,
        "cost": cost,
        "reused": reused,
        "curve": list(outcome.curve),
        "measures": outcome.measures,
        "error": outcome.error,
        "worker": None if reused else outcome.worker,
    } | {name: value for name, value in _at_times(outcome, reused).items() if value}


def _at_times(outcome: Outcome, reused: bool) -> dict[str, Any]:
    """What only some outcomes have."""
    profile = {} if reused else outcome.profile
    return {"weights": outcome.kept, "lineage": outcome.lineage, "warning": outcome.warning, "profile": profile}


def _id(individual: Individual) -> int:
    assert individual.id is not None, "the loop numbers an individual when it is asked"
    return individual.id
