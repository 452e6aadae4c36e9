import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import BrokenExecutor, ThreadPoolExecutor
from multiprocessing import Pipe
from types import SimpleNamespace

import cloudpickle
import pytest

import evonas
from evonas.errors import UserError
from evonas.executors import (
    Equipment,
    Gone,
    Isolated,
    Overdue,
    Processes,
    Serial,
    Worker,
    WorkerLost,
    WorkerPool,
    open_executor,
)
from evonas.executors.door import Remote, Unfit
from evonas.executors.pool import Left
from evonas.executors.worker import Seat
from evonas.genomes.genet import DIGITS


def kill_own_process():
    os.kill(os.getpid(), signal.SIGKILL)


def square(x):
    return x * x


def process_id(seconds=0.0):
    time.sleep(seconds)
    return os.getpid()


@pytest.fixture
def processes():
    executor = Processes(2)
    yield executor
    executor.shutdown(wait=False)


def test_serial_runs_at_once_and_keeps_the_exception():
    assert Serial().submit(square, 3).result() == 9
    assert isinstance(Serial().submit(square, "x").exception(), TypeError)


def test_tasks_run_in_other_processes(processes):
    found = {processes.submit(process_id, 0.2).result() for _ in range(2)}
    assert os.getpid() not in found


def test_an_exception_of_a_task_is_its_own(processes):
    assert isinstance(processes.submit(square, "x").exception(), TypeError)
    assert processes.submit(square, 4).result() == 16


class Hangs:
    limit_s = 0.5

    def __call__(self):
        time.sleep(1000)


def test_a_task_over_its_limit_is_ended_with_its_process_and_the_worker_goes_on():
    worker = Worker()
    first = worker.run(os.getpid)
    with pytest.raises(Overdue, match=f"over its limit of 0.5 s in process {first} on "):
        worker.run(Hangs())
    second = worker.run(os.getpid)
    assert second != first
    assert not os.path.exists(f"/proc/{first}")
    worker.close()


def test_a_process_that_was_killed_while_idle_costs_no_attempt():
    worker = Worker()
    os.kill(worker.run(os.getpid), signal.SIGKILL)
    time.sleep(0.3)
    assert worker.run(square, 3, attempts=1) == 9
    worker.close()


def test_processes_that_die_as_they_start_blame_no_task(monkeypatch):
    worker = Worker()
    monkeypatch.setattr("evonas.executors.worker._begin", lambda parent: os._exit(1))
    with pytest.raises(BrokenExecutor, match=r"3 processes on .* died as they started"):
        worker.run(square, 3)
    worker.close()


def test_what_a_task_cannot_take_along_is_said():
    worker = Worker()
    with pytest.raises(Exception, match="pickle"):
        worker.run(square, (each for each in "abc"))
    worker.close()


def test_serial_runs_a_suspect_in_a_process_of_its_own():
    serial = Serial()
    assert serial.submit_alone(os.getpid).result() != os.getpid()
    assert isinstance(serial.submit_alone(kill_own_process).exception(), WorkerLost)


class OneTask:
    """Runs tasks in its thread; is gone after so many."""

    def __init__(self, tasks, goes=Gone):
        self.tasks, self.goes = tasks, goes

    def run(self, fn, *args, **kwargs):
        if not self.tasks:
            raise self.goes("the host has lost its power")
        self.tasks -= 1
        return fn(*args, **kwargs)

    def close(self):
        self.tasks = 0


def test_the_task_of_a_hand_that_is_gone_goes_to_another_one():
    pool = WorkerPool()
    for tasks in (0, 1, 100):
        pool.join(OneTask(tasks))
    assert [pool.submit(square, n).result(timeout=10) for n in range(5)] == [0, 1, 4, 9, 16]


def test_a_task_with_which_three_workers_were_lost_is_to_blame():
    pool = WorkerPool()
    future = pool.submit(square, 2)
    for _ in range(3):
        pool.join(OneTask(0))
    assert isinstance(future.exception(timeout=10), WorkerLost)
    assert "3 workers were lost with it, at last the host has lost its power" in str(future.exception())


def test_a_task_whose_workers_have_left_on_purpose_is_not_to_blame():
    pool = WorkerPool()
    future = pool.submit(square, 2)
    for _ in range(5):
        pool.join(OneTask(0, goes=Left))
    pool.join(OneTask(0))
    pool.join(OneTask(1))
    assert future.result(timeout=10) == 4


def test_a_worker_that_comes_after_the_end_is_sent_away():
    pool, late = WorkerPool(), OneTask(3)
    pool.shutdown()
    pool.join(late)
    assert late.tasks == 0  # as it closes


def test_abandoned_tasks_and_later_ones_say_why():
    pool = WorkerPool()
    future = pool.submit(square, 2)
    pool.abandon(BrokenExecutor("all workers are gone"))
    assert "all workers are gone" in str(future.exception(timeout=10))
    with pytest.raises(BrokenExecutor, match="all workers are gone"):
        pool.submit(square, 3)


def test_any_executor_is_isolated_from_what_its_tasks_do():
    with ThreadPoolExecutor(2) as threads:
        executor = Isolated(threads)
        lost, others = executor.submit(kill_own_process), [executor.submit(process_id, 0.2) for _ in range(4)]
        assert isinstance(lost.exception(timeout=60), WorkerLost)
        assert os.getpid() not in {future.result(timeout=60) for future in others}


WORKER = {"name": "process 1 on node1"}


def worker_that_says(connection, *messages):
    """The other side of a connection: takes a task, and says these."""

    def talk():
        connection.recv_bytes()
        for message in messages:
            time.sleep(0.1)
            connection.send_bytes(cloudpickle.dumps(message))

    threading.Thread(target=talk, daemon=True).start()


def test_a_remote_worker_may_take_long_while_it_says_that_it_is_alive():
    here, there = Pipe()
    worker_that_says(there, *[("alive", None)] * 6, ("result", 9))
    assert Remote(here, WORKER, silence_s=0.3).run(square, 3) == 9


def test_what_a_remote_task_raises_is_raised_here():
    here, there = Pipe()
    worker_that_says(there, ("error", WorkerLost("twice")))
    with pytest.raises(WorkerLost, match="twice"):
        Remote(here, WORKER, silence_s=0.3).run(square, 3)


def test_a_remote_worker_that_is_silent_or_closes_in_the_midst_of_a_task_is_gone():
    here, there = Pipe()
    worker_that_says(there, ("alive", None))
    with pytest.raises(Gone, match=r"process 1 on node1 was silent for 0.3 s") as silent:
        Remote(here, WORKER, silence_s=0.3).run(square, 3)
    assert not isinstance(silent.value, Left)


@pytest.mark.parametrize(("says", "goes", "why"), [
    ([("alive", None), ("leaves", None)], Left, "process 1 on node1 has left"),
    ([("unfit", "it has no torch")], Unfit, "it has no torch"),
    ([], Left, "was silent for 0.3 s"),
])  # fmt: skip
def test_a_remote_worker_that_leaves_or_has_not_begun_does_not_blame_its_task(says, goes, why):
    here, there = Pipe()
    worker_that_says(there, *says)
    with pytest.raises(goes, match=why):
        Remote(here, WORKER, silence_s=0.3).run(square, 3)


def test_a_remote_worker_that_has_ended_while_it_was_idle_does_not_blame_its_task():
    here, there = Pipe()
    remote = Remote(here, WORKER, silence_s=0.3)
    remote.look()
    there.close()
    with pytest.raises(Left, match="process 1 on node1 has ended"):
        remote.run(square, 3)
    with pytest.raises(Left, match="process 1 on node1 has ended"):
        remote.look()


class Forgetful(ThreadPoolExecutor):
    """Says so many times that the workers of a task are lost."""

    def __init__(self, times):
        super().__init__(1)
        self.times = times

    def submit(self, fn, /, *args):
        self.times -= 1
        return super().submit(lose) if self.times >= 0 else super().submit(fn, *args)


def lose():
    raise ConnectionResetError("the workers are gone")


def test_what_an_executor_loses_is_handed_in_again_and_at_last_lost():
    for times, lost in ((2, False), (3, True)):
        with Forgetful(times) as forgetful:
            future = Isolated(forgetful, lost=(ConnectionResetError,)).submit(square, 3)
            assert isinstance(future.exception(timeout=60), WorkerLost) is lost
            assert lost or future.result() == 9


def test_workers_take_the_gpus_in_turn_and_see_their_own_only(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    seats = [Seat() for _ in range(4)]
    numbers = [seat.number for seat in seats]
    assert len(set(numbers)) == 4
    assert [seat.gpu for seat in seats] == ["35"[number % 2] for number in numbers]
    seats[1].leave()
    again = Seat()
    assert again.number == numbers[1]  # a worker that takes another's place takes its GPU
    for seat in (*seats, again):
        seat.leave()
    worker = Worker(Equipment(device="cuda"))
    assert worker.run(os.getenv, "CUDA_VISIBLE_DEVICES") in ("3", "5")
    worker.close()


def test_a_host_without_gpus_is_said_to_have_none(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    seat = Seat()
    with pytest.raises(UserError, match="shows no GPU"):
        seat.gpu  # noqa: B018
    seat.leave()


@pytest.mark.parametrize(
    ("name", "says"), [("scoop", "python -m scoop"), ("mpi", "mpiexec"), ("loky", "there is no executor")]
)
def test_an_executor_that_cannot_be_opened_says_how_it_could(name, says):
    with pytest.raises(UserError, match=says):
        open_executor(name, 2, Equipment())


def search_in_a_pool(folder):
    try:
        evonas.search(DIGITS, evaluate=sum, budget=2, workers=2, out=folder / "run", progress=False)
    except UserError as error:
        return str(error)


def test_in_a_worker_of_a_pool_the_advice_is_about_pools(tmp_path):
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        said = pool.apply(search_in_a_pool, (tmp_path,))
    assert re.match(r"SpawnPoolWorker-\d+ is a daemonic process", said)
    assert "use concurrent.futures.ProcessPoolExecutor" in said
    assert "dask" not in said
    assert not (tmp_path / "run").exists()


def test_in_a_worker_of_dask_the_advice_is_about_dask(monkeypatch):
    name = "Dask Worker process (from Nanny)"
    monkeypatch.setattr(multiprocessing, "current_process", lambda: SimpleNamespace(daemon=True, name=name))
    with pytest.raises(UserError, match="DASK_DISTRIBUTED__WORKER__DAEMON=False"):
        Worker().run(square, 3)


def test_the_warnings_of_the_tracker_alone_are_silenced(monkeypatch):
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    seen = []
    monkeypatch.setattr("loky.backend.resource_tracker.ensure_running",
                        lambda: seen.append(os.environ["PYTHONWARNINGS"]))  # fmt: skip
    worker = Worker()
    assert worker.run(os.getenv, "PYTHONWARNINGS") == "error"
    assert seen == ["error,ignore:resource_tracker"]
    worker.close()


def test_threads_are_as_many_as_asked_for():
    worker = Worker(Equipment(threads=3))
    assert worker.run(os.getenv, "OMP_NUM_THREADS") == "3"
    worker.close()
    with pytest.raises(UserError, match="threads is 0"):
        Equipment(threads=0)


def test_a_task_that_kills_its_process_is_tried_alone_and_then_lost(processes):
    innocent = [processes.submit(process_id, 0.3) for _ in range(3)]
    poison = processes.submit(kill_own_process)
    assert isinstance(poison.exception(timeout=60), WorkerLost)
    assert all(future.result(timeout=60) for future in innocent)
    assert processes.submit(square, 5).result(timeout=60) == 25


def test_a_killed_worker_loses_no_task(processes):
    first = processes.submit(process_id).result()
    waiting = [processes.submit(process_id, 0.5) for _ in range(6)]
    time.sleep(0.2)
    os.kill(first, signal.SIGKILL)
    assert len([future.result(timeout=60) for future in waiting]) == 6


def test_workers_take_one_thread(processes):
    assert processes.submit(os.getenv, "OMP_NUM_THREADS").result() == "1"


def test_workers_end_when_their_parent_is_killed(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(
        "import os, time\n"
        "from evonas.executors import Processes\n"
        "if __name__ == '__main__':\n"
        "    executor = Processes(2)\n"
        "    print(executor.submit(os.getpid).result(), flush=True)\n"
        "    time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    worker = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 15
    while os.path.exists(f"/proc/{worker}") and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not os.path.exists(f"/proc/{worker}")
