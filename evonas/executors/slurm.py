"""Slurm: each worker is a job, which comes to the door of the root when Slurm lets it run.

A job that ends before the run does, at its time limit or by preemption, is replaced by a new one, which the root
submits. That needs neither the cluster's permission to requeue nor the job's last seconds, and works as well for a job
that was killed; where Slurm requeues a job by itself, its worker comes again. One that somebody has cancelled is not
replaced.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import BrokenExecutor
from pathlib import Path
from typing import Protocol

from evonas.errors import UserError
from evonas.executors.door import Remote, Unfit
from evonas.executors.pool import Gone, PoolWorker
from evonas.executors.rendezvous import Rendezvous, Say
from evonas.executors.sbatch import LIVE
from evonas.executors.worker import Equipment

LOOK_S = 5.0  # between two looks at the jobs
FAILED_STARTS = 3  # jobs in a row that come to nothing, before no other one is tried: one host may be broken
REFUSALS = 3  # of a job, one look after the other, before there are as few as there are
PATIENCE_S = 5.0  # with Slurm, at the end


class Jobs(Protocol):
    """What submits jobs that join the run, as `evonas.executors.sbatch.SlurmJobs` does."""

    def submit(self) -> str: ...

    def states(self) -> Mapping[str, tuple[str, str]] | None: ...

    def words(self, job: str) -> str: ...

    def end(self) -> None: ...


class Slurm(Rendezvous):
    """So many jobs, each of which is a worker; others may join by hand.

    Raises UserError where not even one job can be submitted.
    """

    def __init__(
        self, jobs: Jobs, workers: int, equipment: Equipment, directory: Path, say: Say, *, look_s: float = LOOK_S
    ) -> None:
        super().__init__(equipment, directory, say)
        self.jobs, self.wanted, self.look_s = jobs, workers, look_s
        self._live: set[str] = set()  # jobs that wait or run
        self._came: set[str] = set()  # those whose worker has come
        self._unfit: dict[str, str] = {}  # those whose worker was of no use, and why
        self._failed_starts = self._refusals = 0
        self._said = ""  # at last, of jobs that wait
        self._over = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        try:
            self._live.add(jobs.submit())
        except BaseException as error:  # whatever it was, it goes on upwards
            super().shutdown(wait=False)
            jobs.end()
            if isinstance(error, UserError):
                raise UserError(f"{error}; {self._to_go_on}") from None
            raise
        self._watcher.start()

    def came(self, remote: Remote) -> None:
        if remote.job is not None:
            self._came.add(remote.job)

    def left(self, worker: PoolWorker, gone: Gone) -> None:
        super().left(worker, gone)
        if isinstance(gone, Unfit) and isinstance(worker, Remote) and worker.job is not None:
            self._unfit[worker.job] = str(gone)
        if not (self.wanted or self._workers or self._over.is_set()):
            self._give_up(BrokenExecutor(f"{gone}, and no job is left"))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._over.set()
        super().shutdown(wait)
        self._watcher.join(PATIENCE_S)
        self.jobs.end()

    @property
    def _to_go_on(self) -> str:
        return f"no result is lost: mend it, and go on with 'evonas resume {self.directory}' (--slurm changes options)"

    def _watch(self) -> None:
        try:
            self._keep_jobs()
        except Exception as error:  # such as a full disk: nobody would look after the jobs any more
            self._give_up(BrokenExecutor(f"jobs can be submitted no more: {type(error).__name__}: {error}"))

    def _keep_jobs(self) -> None:
        """Until the end: keep as many jobs as are wanted, and give up where nothing can come of it."""
        self._submit_missing()
        while not self._over.wait(self.look_s):
            states = self.jobs.states()
            if states is None:
                continue
            for job in sorted(self._live):
                state, _ = states.get(job, ("ENDED", ""))  # it ended so long ago that Slurm has forgotten it
                if state not in LIVE:
                    self._live.remove(job)
                    self._ended(job, state)
            self._say_what_waits(states)
            if not self._over.is_set():
                self._submit_missing()

    def _submit_missing(self) -> None:
        while len(self._live) < self.wanted and not self._over.is_set():
            try:
                self._live.add(self.jobs.submit())
                self._refusals = 0
            except UserError as error:  # a limit of jobs for each user, or Slurm is busy
                self._refusals += 1
                if self._refusals >= REFUSALS:
                    self._want(len(self._live), str(error))
                return

    def _ended(self, job: str, state: str) -> None:
        """A job has ended before the run."""
        if state.startswith("CANCELLED"):
            self._want(self.wanted - 1, f"job {job} was cancelled")
        elif job in self._came and job not in self._unfit:
            self._failed_starts = 0
            self.say(f"job {job} has ended ({state}); another one takes its place")
        elif state != "PREEMPTED":
            self._failed_starts += 1
            words = self._unfit.get(job) or self.jobs.words(job)
            why = f"job {job} has ended ({state}) before its worker could work: {words}"
            enough = self._failed_starts >= FAILED_STARTS
            if not self._workers and (enough or not self._live):
                self._give_up(UserError(f"{why}; {self._to_go_on}"))
            elif enough:
                self._want(self.wanted - 1, why)
            else:
                self.say(f"{why}; another one is tried")

    def _want(self, workers: int, why: str) -> None:
        """So many jobs from now on."""
        self.wanted = workers
        if workers or self._workers:
            self.say(f"{why}; the search goes on with {workers} job{'s' * (workers != 1)}")
        else:
            self._give_up(BrokenExecutor(f"{why}, and no job is left"))

    def _give_up(self, error: Exception) -> None:
        self._over.set()
        self.abandon(error)

    def _say_what_waits(self, states: Mapping[str, tuple[str, str]]) -> None:
        reasons = Counter(states[job][1] for job in self._live if states.get(job, ("", ""))[0] == "PENDING")
        waits = ", ".join(f"{count} ({reason})" for reason, count in sorted(reasons.items()))
        if waits != self._said:
            self._said = waits
            self.say(f"jobs that wait in Slurm's queue: {waits or 'none'}")
