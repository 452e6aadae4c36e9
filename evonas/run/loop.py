"""One loop for every strategy: a worker that becomes idle gets the next candidate; what ends is told at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from typing import Any

from evonas.errors import RunError, UserError
from evonas.evaluation import Candidate, Outcome
from evonas.executors import Overdue, WorkerLost, submit_again
from evonas.individual import Individual, judge
from evonas.run.budget import Budget
from evonas.run.journal import Event, Journal, JournalError, Unwritten, asked, ended, told
from evonas.run.phase import Phase
from evonas.support.stopwatch import UNWATCHED, Unwatched

LOOP_EVENTS = ("asked", "told", "ended", "finished")
REPEATS_LIMIT = 10_000  # reused results in a row after which a search has nothing new to say
REJECTED_LIMIT = 10_000  # proposals in a row that break a limit
REPRODUCED = "reproduction"  # what makes an individual that is proposed again as it is
HOPELESS = 10  # failures, and nothing else, after which the fault is not the genomes'


class Loop:
    """Drives strategies over one journal, one phase after the other.

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
        self.keys: dict[int, str] = {}
        self.running: dict[Future, Individual] = {}
        self.rejected_in_a_row = 0
        self.proposing = 0.0  # seconds that the last proposal took: a supernet is trained meanwhile
        self.joined: dict[str, list[Individual]] = {}  # key in flight -> individuals that wait for the same result

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
            elif event["event"] != "told" or event["id"] not in waiting:
                raise self._not_ours(line, f"{event['event']} of {event['id']} is of no phase {self.phase.name}")
            elif (event["status"] == "rejected") != (event["id"] not in self.keys):
                raise self._not_ours(line, f"{event['id']} was {'not ' * (event['id'] in self.keys)}rejected before")
            elif event["status"] == "rejected":
                self._hear_rejection(waiting.pop(event["id"]))
            elif len(event["values"]) not in (0, len(self.phase.weights)):
                raise self._not_ours(line, f"{len(event['values'])} values for {len(self.phase.weights)} objectives")
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
        candidates = {}
        for individual in waiting.values():  # all of them are in flight before the first one is told
            candidates[_id(individual)] = candidate = self.phase.candidate(individual)
            if _id(individual) in self.keys:
                self.phase.keeper.begin(individual, candidate)
                candidate.identity = self.keys[_id(individual)].rpartition("#")[0]
        for individual in waiting.values():
            candidate = candidates[_id(individual)]
            if _id(individual) in self.keys:
                self._submit(individual, candidate, again=True)
            else:
                self._reject(individual, self.phase.rejects(candidate))
        return False

    def _not_ours(self, line: int, why: str) -> JournalError:
        return JournalError(f"{self.loop.journal.path}, line {line}: {why}; resume with the settings and the evonas "
                            "that began the run, and the journal as it was written")  # fmt: skip

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
                    because = "" if self.running else self.phase.strategy.ended
                    break
                candidate = self.phase.candidate(individual)
                if reason := self.phase.rejects(candidate):
                    self._write(asked, individual, self.phase.name, "", self.phase.code(individual))
                    self._reject(individual, reason)
                    continue
                self.phase.keeper.begin(individual, candidate)
                candidate.identity = self._identity(candidate)
                self._identify(individual, candidate.identity, self._replicate(candidate.identity))
                key, code = self.keys[_id(individual)], self.phase.code(individual)
                self._write(asked, individual, self.phase.name, key, code)
                self.phase.asked.append(individual)
                self._submit(individual, candidate)
            if self.running:
                self.watch.begin("waiting")
                done = [future for future in self.running if future.done()]
                if not done:
                    done, _ = self.loop.wait(self.running, return_when=FIRST_COMPLETED)
                self.watch.begin("other")
                for future in sorted(done, key=lambda future: _id(self.running[future])):
                    self._finish(self.running.pop(future), _outcome(future))
        self.phase.ended_because = because
        self._write(ended, self.phase.name, because)

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

    def _submit(self, individual: Individual, candidate: Candidate, *, again: bool = False) -> None:
        """`again`: it was in flight when the run ended. It may be what ended it, where it shared a process with it."""
        key = self.keys[_id(individual)]
        if key in self.loop._known and self.phase.keeper.holds(self.loop._known[key]):
            self._tell(individual, self.loop._known[key], reused=True)
        elif key in self.joined:
            self.joined[key].append(individual)
        else:
            self.joined[key] = []
            self.watch.begin("hand out")
            job = self.phase.evaluator.job(candidate, int(key.rpartition("#")[2]))
            try:
                future = submit_again(self.loop.executor, job) if again else self.loop.executor.submit(job)
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
        outcome = self.phase.keeper.keep(individual, outcome)
        self._write(told, individual, outcome, reused)
        self._hear(individual, outcome, reused)
        outcomes = self.phase.outcomes.values()
        if len(outcomes) == HOPELESS and all(each.failed for each in outcomes):
            raise RunError(f"the first {HOPELESS} evaluations have all failed; the last one said: {outcome.reason}")
        return outcome

    def _hear(self, individual: Individual, outcome: Outcome, reused: bool) -> None:
        self.rejected_in_a_row = 0
        judge(individual, outcome.values, self.phase.weights)
        self.phase.outcomes[_id(individual)] = outcome
        self.phase.keeper.hear(individual, outcome)
        if not reused:
            self.loop._known[self.keys[_id(individual)]] = outcome
        if reused:
            self.phase.repeats += 1
        else:
            self.phase.repeats = 0
            self.phase.trained += 1
            self.phase.epochs += outcome.epochs
            self.phase.seconds += outcome.seconds
        self.watch.begin("strategy")
        self.phase.strategy.update([individual])
        self.watch.begin("other")

    def _write(self, event: Callable[..., Event], *of: Any) -> None:
        """Make an event and write it down, where somebody learns of it."""
        if not self.loop.is_told:
            return
        self.watch.begin("journal")
        written = self.loop.journal.append(event(*of))
        self.loop.at = written.get("t", 0.0)
        self.watch.begin("other")
        self.loop.on_event(written, False)

    def _spent(self) -> str:
        """Why nothing more is to be asked; empty while there is budget."""
        budget, phase = self.budget, self.phase
        if budget.evaluations is not None and len(phase.asked) >= budget.evaluations:
            return f"{budget.evaluations} evaluations"
        if budget.epochs is not None and phase.epochs >= budget.epochs:
            return f"{budget.epochs} epochs"
        if budget.cost_seconds is not None and phase.seconds >= budget.cost_seconds:
            return f"{budget.cost_seconds:g} seconds of evaluation"
        if budget.seconds is not None:
            expected = max(phase.seconds / phase.trained if phase.trained else 0.0, self.proposing)
            if self.loop.journal.seconds + expected >= budget.seconds:
                return f"{budget.seconds:g} seconds"
        if phase.repeats >= REPEATS_LIMIT:
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
    return RunError(f"the executor has broken down, no finished result is lost: {broken}")


def _id(individual: Individual) -> int:
    assert individual.id is not None, "the loop numbers an individual when it is asked"
    return individual.id
