"""One loop for every strategy: a worker that becomes idle gets the next candidate; what ends is told at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from dataclasses import replace
from math import inf
from typing import Any

from evonas.errors import RunError, UserError
from evonas.evaluation import Candidate, Outcome
from evonas.executors import Overdue, WorkerLost, submit_again
from evonas.individual import Individual, judge
from evonas.run.budget import Budget
from evonas.run.journal import (
    Event,
    Journal,
    JournalError,
    Unwritten,
    asked,
    closed,
    continued,
    ended,
    outcome_of,
    told,
)
from evonas.run.phase import Phase
from evonas.support.stopwatch import UNWATCHED, Unwatched

LOOP_EVENTS = ("asked", "continued", "told", "closed", "ended", "finished")
REPEATS_LIMIT = 10_000  # reused results in a row after which a search has nothing new to say
REJECTED_LIMIT = 10_000  # proposals in a row that break a limit
REPRODUCED = "reproduction"  # what makes an individual that is proposed again as it is
HOPELESS = 10  # failures, and nothing else, after which the fault is not the genomes'


class Loop:
    """Drives strategies over one journal, one phase after the other. Where a phase has a scheduler of trainings, an
    individual is asked for once and may be told of several times, as its training goes on.

    journal     what it holds already is replayed first: the strategy proposes again what was asked and is told again
                what was told; what was in flight is submitted again
    executor    a concurrent.futures executor
    workers     evaluations in flight at a time
    on_event    called with each event of the journal, replayed ones included (then `replayed` is True); without it, an
                unwritten journal's events are not even made
    watch       is told of the sections strategy, identity, hand out, waiting, journal and other
    wait        concurrent.futures.wait, or that of a simulation, whose time does not pass by itself
    """

    def __init__(
        self,
        journal: Journal | Unwritten,
        executor: Executor,
        workers: int,
        *,
        on_event: Callable[[Event, bool], None] | None = None,
        watch: Unwatched = UNWATCHED,
        wait: Callable[..., Any] = wait,
    ) -> None:
        if workers < 1:
            raise UserError(f"workers is {workers}; use at least 1")
        self.journal, self.executor, self.workers = journal, executor, workers
        self.watch, self.wait = watch, wait
        self.on_event = on_event or (lambda event, replayed: None)
        self.is_told = on_event is not None or isinstance(journal, Journal)  # whether anybody learns of events
        self._past = iter([(line, event) for line, event in journal.events if event["event"] in LOOP_EVENTS])
        self.at = 0.0  # run time of the last event, replayed ones included
        self._next_id = 0
        self._known: dict[str, Outcome] = {}  # by key: results that can be used again
        self._replicates: dict[str, int] = {}  # identity -> trainings asked for

    def run(self, phase: Phase, budget: Budget) -> Phase:
        """Ask and tell until the budget is spent or the strategy has no more to propose."""
        course = _Course(self, phase, budget)
        if not course.replay():
            course.go()
        return phase

    def finish(self) -> None:
        """Write down that all phases are done, unless the journal says so already."""
        line, event = next(self._past, (0, None))
        if event is None:
            event = self.journal.append({"event": "finished", "id": "run"})
        elif event["event"] != "finished":
            raise JournalError(f"{self.journal.path}, line {line}: it goes on after the end of the run; resume "
                               "with the settings and the evonas that began the run")  # fmt: skip
        self.at = event["t"]


class _Course:
    """One phase, from its replayed past to its end."""

    def __init__(self, loop: Loop, phase: Phase, budget: Budget) -> None:
        self.loop, self.phase, self.budget = loop, phase, budget
        self.watch = loop.watch
        self.keys, self.waiting, self.trainings = phase.keys, phase.waiting, phase.trainings
        self.scheduled = phase.trainings.scheduler is not None  # searches of tables ask for nothing that they need not
        self.running: dict[Future, Individual] = {}
        self.rejected_in_a_row = 0
        self.proposing = 0.0  # seconds that the last proposal took: a supernet is trained meanwhile

    # ---- the past -------------------------------------------------------------------------------------------------

    def replay(self) -> bool:
        """Replay what the journal holds of this phase; True where it had ended."""
        waiting: dict[int, Individual] = {}
        for line, event in self.loop._past:
            self.loop.at = event["t"]
            if event["event"] == "ended" and event["id"] == self.phase.name:
                self.phase.ended_because = event["because"]
                self.loop.on_event(event, True)
                return True
            if event["event"] == "asked":
                individual = self._propose()
                proposed = None if individual is None else (individual.id, list(individual), self.phase.name)
                recorded = (event["id"], event["genome"], event["phase"])
                if individual is None or proposed != recorded:
                    raise self._not_ours(line, f"the journal has {recorded} where the strategy proposes {proposed}")
                waiting[event["id"]] = individual
                if event["key"]:  # without one it was rejected
                    identity, _, replicate = event["key"].rpartition("#")
                    self._identify(individual, identity, int(replicate))
                    self.phase.asked.append(individual)
                    if (asked_for := event.get("epochs")) and (epochs := self._begin(individual)) != asked_for:
                        raise self._not_ours(line, f"{event['id']} began with {asked_for} epochs, now with {epochs}")
            elif event["event"] == "continued":
                found = self.trainings.next()
                goes_on = None if found is None else (found[0].id, found[1])
                if found is None or goes_on != (event["id"], event["epochs"]):
                    raise self._not_ours(
                        line, f"{event['id']} went on to {event['epochs']} epochs, now it is {goes_on}"
                    )
                waiting[event["id"]] = found[0]
                self.waiting.setdefault(self.keys[event["id"]], [])
            elif event["event"] == "closed" and event["id"] == self.phase.name:
                self._replay_stops(self.trainings.close() or [])
            elif event["event"] != "told" or event["id"] not in waiting:
                raise self._not_ours(line, f"{event['event']} of {event['id']} is of no phase {self.phase.name}")
            elif (event["status"] == "rejected") != (event["id"] not in self.keys):
                raise self._not_ours(line, f"{event['id']} was {'not ' * (event['id'] in self.keys)}rejected before")
            elif event["status"] == "rejected":
                self._hear_rejection(waiting.pop(event["id"]))
            elif len(event["values"]) not in (0, len(self.phase.weights)):
                raise self._not_ours(line, f"{len(event['values'])} values for {len(self.phase.weights)} objectives")
            else:
                individual, outcome = waiting.pop(event["id"]), outcome_of(event)
                if event["reused"]:
                    self._hear(individual, outcome, reused=True)
                else:
                    outcome, stopped = self.trainings.report(individual, event["id"], outcome)
                    if event.get("waits", False) != _waits(individual, stopped):
                        raise self._not_ours(line, f"{event['id']} was {'not ' * event.get('waits', False)}stopped")
                    self._learn(individual, outcome)
                    self._replay_stops(stopped)
            self.loop.on_event(event, True)
        candidates = {}
        for individual in waiting.values():  # all of them are in flight before the first one is told
            candidates[_id(individual)] = candidate = self.phase.candidate(individual)
            if _id(individual) in self.keys:
                self.phase.keeper.begin(individual, candidate)
                candidate.identity = self.keys[_id(individual)].rpartition("#")[0]
        for individual in waiting.values():
            candidate = candidates[_id(individual)]
            if _id(individual) in self.trainings.trials:
                self._hand_out(individual, candidate, again=True)
            elif _id(individual) in self.keys:
                self._submit(individual, candidate, again=True)
            else:
                self._reject(individual, self.phase.rejects(candidate))
        return False

    def _replay_stops(self, stopped: list[Individual]) -> None:
        """The strategy hears of them. Those that waited for the same results have events of their own."""
        for individual in stopped:
            self._hear(individual, self.phase.outcomes[_id(individual)])
            self.waiting.pop(self.keys[_id(individual)], None)

    def _not_ours(self, line: int, why: str) -> JournalError:
        return JournalError(f"{self.loop.journal.path}, line {line}: {why}; resume with the settings and the evonas "
                            "that began the run, and the journal as it was written")  # fmt: skip

    # ---- the present ----------------------------------------------------------------------------------------------

    def go(self) -> None:
        """What was paused goes on before anything new begins."""
        enough = spent = ""
        while True:
            while len(self.running) < self.loop.workers:
                spent = spent or self._spent()
                if spent:
                    break
                if self.scheduled and (found := self.trainings.next()) is not None:
                    self._write(continued, found[0], self.phase.name, found[1])
                    self._hand_out(found[0], self._known_candidate(found[0]))
                    continue
                enough = enough or self._asked_enough()
                if not enough and (individual := self._propose()) is not None:
                    self._ask(individual)
                    continue
                if self.running:
                    break
                if (stopped := self.trainings.close()) is None:
                    enough = enough or self.phase.strategy.ended
                    break
                self._write(closed, self.phase.name)
                self._tell(stopped)
            if not self.running:
                break
            self.watch.begin("waiting")
            done = [future for future in self.running if future.done()]
            if not done:
                done, _ = self.loop.wait(self.running, return_when=FIRST_COMPLETED)
            self.watch.begin("other")
            for future in sorted(done, key=lambda future: _id(self.running[future])):
                self._finish(self.running.pop(future), _outcome(future))
        self.phase.ended_because = spent or enough
        self._write(ended, self.phase.name, spent or enough)

    def _ask(self, individual: Individual) -> None:
        candidate = self.phase.candidate(individual)
        if reason := self.phase.rejects(candidate):
            self._write(asked, individual, self.phase.name, "", self.phase.code(individual))
            self._reject(individual, reason)
            return
        self.phase.keeper.begin(individual, candidate)
        candidate.identity = self._identity(candidate)
        self._identify(individual, candidate.identity, self._replicate(candidate.identity))
        key, code = self.keys[_id(individual)], self.phase.code(individual)
        epochs = None if not self.scheduled or self._reuses(key) else self._begin(individual)
        self._write(asked, individual, self.phase.name, key, code, epochs)
        self.phase.asked.append(individual)
        if epochs is None:
            self._submit(individual, candidate)
        else:
            self._hand_out(individual, candidate)

    def _propose(self) -> Individual | None:
        self.watch.begin("strategy")
        start = self.loop.journal.seconds
        proposed = self.phase.propose()
        self.proposing = self.loop.journal.seconds - start
        self.watch.begin("other")
        if not proposed:
            return None
        (individual,) = proposed
        if individual.id is not None and individual.parents != (individual.id,):  # proposed again as it is
            individual.parents, individual.operator = (individual.id,), REPRODUCED
        individual.id = self.loop._next_id
        self.loop._next_id += 1
        return individual

    def _reject(self, individual: Individual, reason: str) -> None:
        self._write(told, individual, Outcome(status="rejected", error=f"limit: {reason}"), False)
        self._hear_rejection(individual)
        if self.rejected_in_a_row >= REJECTED_LIMIT:
            raise UserError(f"the last {REJECTED_LIMIT:,} proposals have all been rejected, at last for {reason}; "
                            "raise the limits, or shrink the space")  # fmt: skip

    def _hear_rejection(self, individual: Individual) -> None:
        self.phase.rejected += 1
        self.rejected_in_a_row += 1
        judge(individual, (), self.phase.weights)
        self.phase.strategy.update([individual])

    def _identity(self, candidate: Candidate) -> str:
        """Where a genome has none, because it cannot be decoded, its evaluation will fail, and say why."""
        self.watch.begin("identity")
        try:
            return self.phase.evaluator.identity(candidate)
        except Exception as error:  # a user's decode may raise anything
            return f"{type(error).__name__} of {list(candidate.genome)}"
        finally:
            self.watch.begin("other")

    def _replicate(self, identity: str) -> int:
        """A strategy that trains repeats again on purpose gets the next replicate; every other one replicate 0."""
        return self.loop._replicates.get(identity, 0) if self._retrains else 0

    @property
    def _retrains(self) -> bool:
        return self.phase.repeats_cost or self.phase.strategy.retrains_repeats

    def _identify(self, individual: Individual, identity: str, replicate: int) -> None:
        self.keys[_id(individual)] = f"{identity}#{replicate}"
        if replicate >= self.loop._replicates.get(identity, 0):
            self.loop._replicates[identity] = replicate + 1

    # ---- evaluations ------------------------------------------------------------------------------------------------

    def _begin(self, individual: Individual) -> int | None:
        """The epochs that it is trained for at first; None: all, in one piece."""
        epochs = self.trainings.begin(individual, _id(individual))
        if epochs is not None:
            self.waiting.setdefault(self.keys[_id(individual)], [])
        return epochs

    def _reuses(self, key: str) -> bool:
        """Whether a result is there, or on its way."""
        return key in self.waiting or (key in self.loop._known and self.phase.keeper.holds(self.loop._known[key]))

    def _submit(self, individual: Individual, candidate: Candidate, *, again: bool = False) -> None:
        """`again`: it was in flight when the run ended. It may be what ended it, where it shared a process with it."""
        key = self.keys[_id(individual)]
        if key in self.waiting:
            self.waiting[key].append(individual)
        elif self._reuses(key):
            self._tell_twin(individual, self.loop._known[key])
        else:
            self._hand_out(individual, candidate, again=again)

    def _known_candidate(self, individual: Individual) -> Candidate:
        candidate = self.phase.candidate(individual)
        self.phase.keeper.begin(individual, candidate)
        candidate.identity = self.keys[_id(individual)].rpartition("#")[0]
        return candidate

    def _hand_out(self, individual: Individual, candidate: Candidate, *, again: bool = False) -> None:
        id = _id(individual)
        key = self.keys[id]
        self.waiting.setdefault(key, [])
        self.watch.begin("hand out")
        if self.scheduled:
            self._go_on_from(candidate, id)
        job = self.phase.evaluator.job(candidate, int(key.rpartition("#")[2]))
        if self.trainings.scheduler is not None and id in self.trainings.trials:
            job = self.trainings.scheduler.wrapped(job, id)
        try:
            future = submit_again(self.loop.executor, job) if again else self.loop.executor.submit(job)
        except BrokenExecutor as broken:
            raise _broken(broken) from broken
        self.watch.begin("other")
        self.running[future] = individual

    def _go_on_from(self, candidate: Candidate, id: int) -> None:
        """How far it is trained now, and from where."""
        candidate.epochs = self.trainings.until.get(id)
        if (before := self.phase.outcomes.get(id)) is not None:
            candidate.had = before.reached
            candidate.state, warning = self.trainings.checkpoints.state(before)
            candidate.origin = replace(candidate.origin, warning=warning)

    def _finish(self, individual: Individual, outcome: Outcome) -> None:
        """An evaluation has ended."""
        self.watch.begin("journal")
        if outcome.state is not None:
            outcome = self.trainings.checkpoints.keep(outcome, self._signed(outcome))
        outcome = self.phase.keeper.keep(individual, outcome)
        stopped, waits = [individual], False
        if self.scheduled:
            outcome, stopped = self.trainings.report(individual, _id(individual), outcome)
            waits = _waits(individual, stopped)
        self._write(told, individual, outcome, False, waits)
        self._learn(individual, outcome)
        self._tell(stopped)

    def _learn(self, individual: Individual, outcome: Outcome) -> None:
        """What an evaluation has taken and given, whether or not the strategy hears of it now."""
        phase, id = self.phase, _id(individual)
        phase.repeats = 0
        phase.trained += id not in phase.outcomes
        phase.jobs += 1
        phase.epochs += outcome.epochs
        phase.seconds += outcome.seconds
        phase.core_seconds += outcome.core_seconds
        phase.outcomes[id] = outcome
        if outcome.checkpoint is not None:
            self.trainings.checkpoints.hear(outcome, self._signed(outcome))

    def _tell(self, stopped: list[Individual]) -> None:
        """The strategy hears of them, and of those that waited for the same results."""
        for individual in stopped:
            outcome, key = self.phase.outcomes[_id(individual)], self.keys[_id(individual)]
            self._hear(individual, outcome)
            self._stop_where_hopeless(outcome)
            for twin in self.waiting.pop(key):
                self._tell_twin(twin, outcome)
        if self.scheduled:
            self.trainings.tidy(self.phase.outcomes, self.phase.name)

    def _tell_twin(self, twin: Individual, outcome: Outcome) -> None:
        """The outcome of an equal individual, as its own."""
        self.watch.begin("journal")
        outcome = self.phase.keeper.keep(twin, outcome)
        self._write(told, twin, outcome, True)
        self._hear(twin, outcome, reused=True)
        self._stop_where_hopeless(outcome)

    def _stop_where_hopeless(self, outcome: Outcome) -> None:
        outcomes = self.phase.outcomes
        if len(outcomes) == HOPELESS and all(each.failed for each in outcomes.values()):
            raise RunError(f"the first {HOPELESS} evaluations have all failed; the last one said: {outcome.reason}")

    def _hear(self, individual: Individual, outcome: Outcome, *, reused: bool = False) -> None:
        id = _id(individual)
        self.rejected_in_a_row = 0
        judge(individual, outcome.values, self.phase.weights)
        if self.scheduled:
            individual.fidelity = self.trainings.fidelity(outcome)
        self.phase.outcomes[id] = outcome
        self.phase.keeper.hear(individual, outcome)
        if reused:
            self.phase.repeats += 1
        else:
            self.loop._known[self.keys[id]] = outcome
        self.watch.begin("strategy")
        if id in self.phase.heard:
            self.phase.strategy.revise([individual])
        else:
            self.phase.heard.add(id)
            self.phase.strategy.update([individual])
        self.watch.begin("other")

    def _signed(self, outcome: Outcome) -> float:
        return self.trainings.sign * outcome.values[0] if outcome.values else -inf

    def _write(self, event: Callable[..., Event], *of: Any) -> None:
        """Make an event and write it down, where somebody learns of it."""
        if not self.loop.is_told:
            return
        self.watch.begin("journal")
        written = self.loop.journal.append(event(*of))
        self.loop.at = written.get("t", 0.0)
        self.watch.begin("other")
        self.loop.on_event(written, False)

    def _asked_enough(self) -> str:
        """Why nothing new is to be asked; empty while there is budget."""
        budget, phase = self.budget, self.phase
        if budget.evaluations is not None and len(phase.asked) >= budget.evaluations:
            return f"{budget.evaluations} evaluations"
        if phase.repeats >= REPEATS_LIMIT:
            return f"the last {REPEATS_LIMIT:,} genomes had all been evaluated before"
        return phase.enough(phase)

    def _spent(self) -> str:
        """Why nothing is to be trained any more, nor go on; empty while there is budget."""
        budget, phase = self.budget, self.phase
        if budget.epochs is not None and phase.epochs >= budget.epochs:
            return f"{budget.epochs} epochs"
        if budget.cost_seconds is not None and phase.seconds >= budget.cost_seconds:
            return f"{budget.cost_seconds:g} seconds of evaluation"
        if budget.core_seconds is not None and phase.core_seconds >= budget.core_seconds:
            return f"{budget.core_seconds:g} core seconds of evaluation"
        if budget.seconds is not None:
            expected = max(phase.seconds / phase.jobs if phase.jobs else 0.0, self.proposing)
            if self.loop.journal.seconds + expected >= budget.seconds:
                return f"{budget.seconds:g} seconds"
        return ""


def _waits(individual: Individual, stopped: list[Individual]) -> bool:
    return all(each is not individual for each in stopped)  # individuals are equal where their genomes are


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
    return RunError(f"the executor has broken down, no finished result is lost: {broken}")


def _id(individual: Individual) -> int:
    assert individual.id is not None, "the loop numbers an individual when it is asked"
    return individual.id
