"""Ask and tell: what a loop does of a phase until its budget is spent."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future
from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, Any

from evonas.errors import RunError, UserError
from evonas.evaluation import Candidate, Outcome
from evonas.executors import Overdue, WorkerLost, submit_again
from evonas.individual import Individual, judge
from evonas.run.budget import Budget
from evonas.run.journal import Event, asked, closed, continued, ended, told
from evonas.run.phase import Phase

if TYPE_CHECKING:
    from evonas.run.loop import Loop

REPEATS_LIMIT = 10_000  # reused results in a row after which a search has nothing new to say
REJECTED_LIMIT = 10_000  # proposals in a row that break a limit
REPRODUCED = "reproduction"  # what makes an individual that is proposed again as it is
HOPELESS = 10  # failures, and nothing else, after which the fault is not the genomes'


class Course:
    """One phase, from where its journal ends to its own end."""

    def __init__(self, loop: Loop, phase: Phase, budget: Budget) -> None:
        self.loop, self.phase, self.budget = loop, phase, budget
        self.watch = loop.watch
        self.keys, self.waiting, self.trainings = phase.keys, phase.waiting, phase.trainings
        self.scheduled = phase.trainings.scheduler is not None  # searches of tables ask for nothing that they need not
        self.running: dict[Future, Individual] = {}
        self.rejected_in_a_row = 0
        self.proposing = 0.0  # seconds that the last proposal took: a supernet is trained meanwhile

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
                    self.hand_out(found[0], self._known_candidate(found[0]))
                    continue
                enough = enough or self._asked_enough()
                if not enough and (individual := self.propose()) is not None:
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
            for future in sorted(done, key=lambda future: id_of(self.running[future])):
                self._finish(self.running.pop(future), _outcome(future))
        self.phase.ended_because = spent or enough
        self._write(ended, self.phase.name, spent or enough)

    def _ask(self, individual: Individual) -> None:
        candidate = self.phase.candidate(individual)
        if reason := self.phase.rejects(candidate):
            self._write(asked, individual, self.phase.name, "", self.phase.code(individual))
            self.reject(individual, reason)
            return
        self.phase.keeper.begin(individual, candidate)
        candidate.identity = self._identity(candidate)
        self.identify(individual, candidate.identity, self._replicate(candidate.identity))
        key, code = self.keys[id_of(individual)], self.phase.code(individual)
        epochs = None if not self.scheduled or self._reuses(individual) else self.begin(individual)
        self._write(asked, individual, self.phase.name, key, code, epochs)
        self.phase.asked.append(individual)
        if epochs is None:
            self.submit(individual, candidate)
        else:
            self.hand_out(individual, candidate)

    def propose(self) -> Individual | None:
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
        individual.id = self.loop.next_id
        self.loop.next_id += 1
        return individual

    def reject(self, individual: Individual, reason: str) -> None:
        self._write(told, individual, Outcome(status="rejected", error=f"limit: {reason}"), False)
        self.hear_rejection(individual)
        if self.rejected_in_a_row >= REJECTED_LIMIT:
            raise UserError(f"the last {REJECTED_LIMIT:,} proposals have all been rejected, at last for {reason}; "
                            "raise the limits, or shrink the space")  # fmt: skip

    def hear_rejection(self, individual: Individual) -> None:
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
        return self.loop.replicates.get(identity, 0) if self._retrains else 0

    @property
    def _retrains(self) -> bool:
        return self.phase.repeats_cost or self.phase.strategy.retrains_repeats

    def identify(self, individual: Individual, identity: str, replicate: int) -> None:
        self.keys[id_of(individual)] = f"{identity}#{replicate}"
        if replicate >= self.loop.replicates.get(identity, 0):
            self.loop.replicates[identity] = replicate + 1

    # ---- evaluations ------------------------------------------------------------------------------------------------

    def begin(self, individual: Individual) -> int | None:
        """The epochs that it is trained for at first; None: all, in one piece."""
        epochs = self.trainings.begin(individual, id_of(individual))
        if epochs is not None:
            self.waiting.setdefault(self.keys[id_of(individual)], [])
        return epochs

    def _reuses(self, individual: Individual) -> bool:
        """Whether a result is there, or on its way. Where a whole training is wanted, one that was stopped is none."""
        key = self.keys[id_of(individual)]
        if key in self.waiting:
            return True
        known = self.loop.known.get(key)
        if known is None or not self.phase.keeper.holds(known):
            return False
        return not known.stopped or individual.role not in self.trainings.whole

    def submit(self, individual: Individual, candidate: Candidate, *, again: bool = False) -> None:
        """`again`: it was in flight when the run ended. It may be what ended it, where it shared a process with it."""
        key = self.keys[id_of(individual)]
        if key in self.waiting:
            self.waiting[key].append(individual)
        elif self._reuses(individual):
            self._tell_twin(individual, self.loop.known[key])
        else:
            self.hand_out(individual, candidate, again=again)

    def _known_candidate(self, individual: Individual) -> Candidate:
        candidate = self.phase.candidate(individual)
        self.phase.keeper.begin(individual, candidate)
        candidate.identity = self.keys[id_of(individual)].rpartition("#")[0]
        return candidate

    def hand_out(self, individual: Individual, candidate: Candidate, *, again: bool = False) -> None:
        id = id_of(individual)
        key = self.keys[id]
        self.waiting.setdefault(key, [])
        self.watch.begin("hand out")
        if self.scheduled:
            self._go_on_from(candidate, id)
        job = self._wrapped(self.phase.evaluator.job(candidate, int(key.rpartition("#")[2])), id)
        try:
            future = submit_again(self.loop.executor, job) if again else self.loop.executor.submit(job)
        except BrokenExecutor as broken:
            raise _broken(broken) from broken
        self.watch.begin("other")
        self.running[future] = individual

    def _wrapped(self, job: Any, id: int) -> Any:
        """A job as the scheduler of its training wants it."""
        if self.trainings.scheduler is None or id not in self.trainings.trials:
            return job
        return self.trainings.scheduler.wrapped(job, id)

    def _go_on_from(self, candidate: Candidate, id: int) -> None:
        """How far it is trained now, and from where."""
        candidate.epochs = self.trainings.until.get(id)
        if (before := self.phase.outcomes.get(id)) is not None:
            candidate.had = before.reached
            candidate.state, warning = self.trainings.checkpoints.state(before)
            candidate.origin = replace(candidate.origin, warning=warning)

    def _finish(self, individual: Individual, outcome: Outcome) -> None:
        """An evaluation has ended."""
        if outcome.failed and self._goes_once_more(individual, outcome):
            return
        self.watch.begin("journal")
        if outcome.state is not None:
            outcome = self.trainings.checkpoints.keep(outcome, self._signed(outcome))
        outcome = self.phase.keeper.keep(individual, outcome)
        stopped, waits = [individual], False
        if self.scheduled:
            outcome, stopped = self.trainings.report(individual, id_of(individual), outcome)
            waits = still_waits(individual, stopped)
        self._write(told, individual, outcome, False, waits)
        self.learn(individual, outcome)
        self._tell(stopped)

    def _goes_once_more(self, individual: Individual, outcome: Outcome) -> bool:
        """Whether a worker lacked what it is handed now."""
        candidate, replicate = self._known_candidate(individual), int(self.keys[id_of(individual)].rpartition("#")[2])
        if self.scheduled:
            self._go_on_from(candidate, id_of(individual))
        job = self.phase.evaluator.once_more(candidate, replicate, outcome)
        if job is not None:
            self.running[self.loop.executor.submit(self._wrapped(job, id_of(individual)))] = individual
        return job is not None

    def learn(self, individual: Individual, outcome: Outcome) -> None:
        """What an evaluation has taken and given, whether or not the strategy hears of it now."""
        phase, id = self.phase, id_of(individual)
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
            outcome, key = self.phase.outcomes[id_of(individual)], self.keys[id_of(individual)]
            self.hear(individual, outcome)
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
        self.hear(twin, outcome, reused=True)
        self._stop_where_hopeless(outcome)

    def _stop_where_hopeless(self, outcome: Outcome) -> None:
        outcomes = self.phase.outcomes
        if len(outcomes) == HOPELESS and all(each.failed for each in outcomes.values()):
            raise RunError(f"the first {HOPELESS} evaluations have all failed; the last one said: {outcome.reason}")

    def hear(self, individual: Individual, outcome: Outcome, *, reused: bool = False) -> None:
        id = id_of(individual)
        self.rejected_in_a_row = 0
        judge(individual, outcome.values, self.phase.weights)
        if self.scheduled:
            individual.fidelity = self.trainings.fidelity(outcome)
        self.phase.outcomes[id] = outcome
        self.phase.keeper.hear(individual, outcome)
        if reused:
            self.phase.repeats += 1
        else:
            self.loop.known[self.keys[id]] = outcome
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


def still_waits(individual: Individual, stopped: list[Individual]) -> bool:
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


def id_of(individual: Individual) -> int:
    assert individual.id is not None, "the loop numbers an individual when it is asked"
    return individual.id
