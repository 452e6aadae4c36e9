import os
import signal
import subprocess
import sys
import time

import pytest

from evonas.executors import Processes, Serial, WorkerLost


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
