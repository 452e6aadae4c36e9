"""Workers that join a run over the network by the file in its directory, by hand or as jobs, and that leave it."""

import json
import multiprocessing
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from concurrent.futures import BrokenExecutor
from contextlib import ExitStack
from multiprocessing import AuthenticationError
from multiprocessing.connection import CHALLENGE, WELCOME, Listener
from types import SimpleNamespace

import pytest
from clusters import begin, processes_of, wait_for

from evonas.commands.main import main
from evonas.errors import UserError
from evonas.executors import Equipment, open_executor
from evonas.executors.door import GREETINGS, Door
from evonas.executors.pool import Left, WorkerPool
from evonas.executors.rendezvous import ByHand, NobodyThere, joined, joining
from evonas.executors.sbatch import read_options, serve_job
from evonas.executors.serving import Serving
from evonas.executors.slurm import Slurm
from evonas.executors.worker import PLAIN


def worker(folder, tmp_path):
    return begin([sys.executable, "-m", "evonas", "worker", str(folder)], tmp_path)


@pytest.fixture
def root(tmp_path):
    """A root in this process, for a run in a folder, that keeps what it says."""
    said = []
    (tmp_path / "run").mkdir()
    executor = ByHand(PLAIN, tmp_path / "run", said.append)
    executor.said = said
    yield executor
    executor.shutdown(wait=False)
    assert wait_for(lambda: not processes_of(tmp_path), 20), "workers were left behind"


def touch(path, seconds=0.0):
    with path.open("a") as file:
        file.write(f"{os.getpid()}\n")
    time.sleep(seconds)
    return os.getpid()


def touch_once(path):
    """Waits for ever, unless it has been begun before."""
    return touch(path, 0 if path.exists() else 1000)


def test_a_worker_serves_until_the_search_ends(root, tmp_path):
    door = tmp_path / "run/workers/door.json"
    assert stat.S_IMODE(door.stat().st_mode) == 0o600
    assert f"evonas worker {tmp_path / 'run'}" in root.said[0]
    one = worker(root.directory, tmp_path)
    assert root.submit(pow, 3, 2).result(timeout=60) == 9
    assert isinstance(root.submit(pow, "x", 2).exception(timeout=60), TypeError)
    assert joined(root.directory) == [f"process {one.pid} on {socket.gethostname()}"]
    root.shutdown()
    printed, _ = one.communicate(timeout=30)
    assert one.returncode == 0
    assert "the search has ended" in printed
    assert not (tmp_path / "run/workers").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_that_is_told_to_end_leaves_its_task_to_another_one(number, root, tmp_path):
    task = root.submit(touch_once, tmp_path / "begun")
    first = worker(root.directory, tmp_path)
    assert wait_for((tmp_path / "begun").exists, 60)
    os.killpg(first.pid, number)  # to all of its processes, as a cluster does
    first.communicate(timeout=30)
    assert first.returncode == 130
    assert wait_for(lambda: joined(root.directory) == [], 10)
    assert not task.done()
    second = worker(root.directory, tmp_path)
    assert task.result(timeout=60)
    assert len((tmp_path / "begun").read_text().split()) == 2, "it was begun again, and once"
    assert second.poll() is None
    assert f"process {first.pid} on {socket.gethostname()} has left" in root.said[-2]


def test_a_worker_ahead_of_its_limit_ends_its_task_and_begins_no_other(root, tmp_path):
    first = root.submit(touch, tmp_path / "begun", 3)
    second = root.submit(touch, tmp_path / "next")
    one = worker(root.directory, tmp_path)
    assert wait_for((tmp_path / "begun").exists, 60)
    os.killpg(one.pid, signal.SIGUSR2)
    assert (tmp_path / "begun").read_text() == f"{first.result(timeout=60)}\n", "it was begun once"
    one.communicate(timeout=30)
    assert one.returncode == 130
    assert not (tmp_path / "next").exists()
    assert not second.done()


def test_workers_of_a_root_that_was_killed_end_and_say_so(tmp_path):
    (tmp_path / "run").mkdir()
    script = ("from evonas.executors import open_executor, Equipment; from pathlib import Path; import time; "
              "open_executor('remote', 1, Equipment(), directory=Path('run')).submit(pow, 3, 2).result(); "
              "print('served', flush=True); time.sleep(1000)")  # fmt: skip
    killed = begin([sys.executable, "-c", script], tmp_path)
    assert wait_for((tmp_path / "run/workers/door.json").exists, 60)
    one = worker(tmp_path / "run", tmp_path)
    assert killed.stdout.readline().startswith("workers may join")
    while killed.stdout.readline() != "served\n":
        assert killed.poll() is None
    killed.kill()
    printed, _ = one.communicate(timeout=30)
    assert one.returncode == 1
    assert "the root has ended without a word" in printed
    killed.communicate()


def test_where_nobody_listens_a_worker_says_why(root, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("evonas.executors.wire.GREETING_S", 0.5)
    with pytest.raises(NobodyThere, match=r"no search that workers can join is at work in .*elsewhere"):
        joining(tmp_path / "elsewhere")
    door = tmp_path / "run/workers/door.json"
    good = json.loads(door.read_text())

    def says(error, match, **changes):
        door.write_text(json.dumps(good | changes))
        with pytest.raises(error, match=match):
            joining(root.directory)

    says(UserError, "does not take the key", key="0" * 64)
    says(UserError, "door.json cannot be read", key="0")
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    says(NobodyThere, "which wrote .*door.json, cannot be reached .*Connection refused.*was killed",
         addresses=[["127.0.0.1", port]])  # fmt: skip
    with socket.create_server(("127.0.0.1", 0)) as silent:
        says(NobodyThere, "cannot be reached", addresses=[["127.0.0.1", silent.getsockname()[1]]])
    says(NobodyThere, "cannot be reached", addresses=[["no-such-host.invalid", port]])
    monkeypatch.setattr("evonas.executors.serving.versions", lambda: {"evonas": "0.0.1", "Python": "3.11"})
    says(UserError, "does not take this worker: evonas is 0.0.1 there and .* at the root; use the same on both sides")
    monkeypatch.setattr(sys, "argv", ["evonas", "worker", str(tmp_path / "elsewhere")])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "no search that workers can join" in capsys.readouterr().err


def test_the_first_address_that_answers_is_taken(root):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    serving = Serving([("127.0.0.1", port), ("127.0.0.1", root.address[1])], root.key)
    assert serving.equipment == PLAIN
    serving.line.connection.close()


def test_whoever_connects_and_says_nothing_keeps_nobody_out(root, tmp_path):
    with socket.create_connection(("127.0.0.1", root.address[1])):
        serving = joining(root.directory)
        assert wait_for(lambda: joined(root.directory), 10)
        serving.line.connection.close()
    assert wait_for(lambda: joined(root.directory) == [], 10)


class Unreadable:
    def __reduce__(self):
        return __import__, ("no_such_module",)


def test_a_worker_that_cannot_read_a_task_is_of_no_use_and_says_why(root):
    serving = joining(root.directory)
    task = root.submit(Unreadable())
    with pytest.raises(UserError, match="cannot read a task: ModuleNotFoundError: No module named 'no_such_module'"):
        serving.serve()
    assert wait_for(lambda: "a worker is of no use" in root.said[-1], 10)
    assert "no_such_module'; the search waits for others" in root.said[-1]
    assert not task.done()


def test_a_worker_without_the_gpu_that_a_run_needs_does_not_join(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    executor = ByHand(Equipment(device="cuda"), tmp_path, lambda text: None)
    with pytest.raises(UserError, match="shows no GPU"):
        joining(tmp_path)
    executor.shutdown()


# ---- Slurm --------------------------------------------------------------------------------------------------------


def test_options_of_sbatch_are_read_as_a_user_of_slurm_writes_them():
    assert read_options("partition=gpu,time=2-00:00:00,mem=4G") == {
        "partition": "gpu", "time": "2-00:00:00", "mem": "4G",
    }  # fmt: skip
    assert read_options("gres=gpu:1,exclude=n1,n2,exclusive,cpus-per-task=4") == {
        "gres": "gpu:1", "exclude": "n1,n2", "exclusive": "true", "cpus-per-task": "4",
    }  # fmt: skip
    assert read_options({"cpus_per_task": 4, "time": 90, "requeue": True}) == {
        "cpus-per-task": "4", "time": "90", "requeue": "true",
    }  # fmt: skip
    assert read_options(None) == read_options("") == {}


@pytest.mark.parametrize(("given", "says"), [
    ("particion=gpu", "'particion' is no option of sbatch that a worker's job can have; use some of account, begin"),
    ("nodes=4", r"'nodes' is no option .* \(each job is one worker, and --workers says how many\)"),
    ("partition", "the option partition of Slurm has no value"),
    ("time=1h", "time=1h is no time of Slurm; write minutes, as 90, or 1:30:00, or 2-00:00:00"),
    ("time=1:2:3:4", "is no time of Slurm"),
])  # fmt: skip
def test_what_slurm_could_not_take_is_refused(given, says):
    with pytest.raises(UserError, match=says):
        read_options(given)


def test_without_slurm_the_executor_says_what_is_missing(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"no sbatch and no srun|submitit is not installed"):
        open_executor("slurm", 2, Equipment(), directory=tmp_path)


class Submitted:
    """Jobs that nobody runs: a test says how they stand."""

    def __init__(self, most=100):
        self.most, self.ended, self.count, self.known = most, False, 0, {}

    def submit(self):
        if self.count == self.most:
            raise UserError("Slurm takes no job: QOSMaxSubmitJobPerUserLimit")
        self.count += 1
        self.known[str(self.count)] = ("PENDING", "Priority")
        return str(self.count)

    def states(self):
        return dict(self.known)

    def words(self, job):
        return f"the log of {job}"

    def end(self):
        self.ended = True

    def stand(self, state, *jobs):
        for job in jobs:
            self.known[job] = (state, "")


@pytest.fixture
def slurm(tmp_path):
    made, said = [], []

    def make(jobs, workers):
        made.append(Slurm(jobs, workers, PLAIN, tmp_path, said.append, look_s=0.02))
        made[-1].said = said
        return made[-1]

    yield make
    for executor in made:
        executor.shutdown(wait=False)
        assert executor.jobs.ended


def test_jobs_that_have_worked_are_replaced_and_cancelled_ones_are_not(slurm, tmp_path):
    jobs = Submitted()
    executor = slurm(jobs, 3)
    assert wait_for(lambda: jobs.count == 3, 10)
    servings = [joining(tmp_path, job) for job in ("1", "2")]
    assert wait_for(lambda: len(joined(tmp_path) or []) == 2, 10)
    jobs.stand("TIMEOUT", "1")
    assert wait_for(lambda: jobs.count == 4, 10)
    jobs.stand("CANCELLED", "2")
    assert wait_for(lambda: "job 2 was cancelled; the search goes on with 2 jobs" in executor.said, 10)
    jobs.stand("PREEMPTED", "3")
    assert wait_for(lambda: jobs.count == 5, 10)
    for serving in servings:
        serving.line.connection.close()
    task = executor.submit(pow, 3, 2)
    jobs.stand("CANCELLED", "4", "5")
    assert isinstance(task.exception(timeout=10), BrokenExecutor)
    assert "and no job is left" in str(task.exception())
    assert jobs.count == 5


def test_jobs_that_come_to_nothing_end_the_run_with_the_words_of_the_last(slurm):
    jobs = Submitted()
    executor = slurm(jobs, 2)
    task = executor.submit(pow, 3, 2)
    for count in (2, 3, 4):
        assert wait_for(lambda count=count: jobs.count == count, 10)
        assert not task.done()
        jobs.stand("FAILED", str(count))
    with pytest.raises(UserError, match=r"job 4 has ended \(FAILED\) before its worker could work: the log of 4; no "
                                        "result is lost: mend it, and go on with 'evonas resume"):  # fmt: skip
        task.result(timeout=10)
    with pytest.raises(UserError, match="the log of 4"):
        executor.submit(pow, 3, 2)


def test_a_host_on_which_no_job_starts_takes_no_workers_from_a_search(slurm, tmp_path):
    jobs = Submitted()
    executor = slurm(jobs, 2)
    serving = joining(tmp_path, "1")
    threading.Thread(target=serving.serve, daemon=True).start()
    for count in (2, 3, 4):
        assert wait_for(lambda count=count: jobs.count == count, 10)
        jobs.stand("FAILED", str(count))
    assert wait_for(lambda: any("goes on with 1 job" in line for line in executor.said), 10)
    assert executor.submit(pow, 3, 2).result(timeout=60) == 9


def test_slurm_may_take_fewer_jobs_but_not_none(slurm, tmp_path):
    executor = slurm(Submitted(2), 3)
    assert wait_for(lambda: executor.wanted == 2, 10)
    assert any("QOSMaxSubmitJobPerUserLimit; the search goes on with 2 jobs" in line for line in executor.said)
    none = Submitted(0)
    with pytest.raises(UserError, match="Slurm takes no job: QOSMaxSubmitJobPerUserLimit; no result is lost"):
        slurm(none, 3)
    assert none.ended


def test_slurm_that_is_busy_for_a_moment_is_asked_again(slurm):
    jobs = Submitted(2)
    executor = slurm(jobs, 2)
    assert wait_for(lambda: jobs.count == 2, 10)
    executor.came(SimpleNamespace(job="1"))
    executor.look_s = 0.5
    jobs.stand("TIMEOUT", "1")
    assert wait_for(lambda: any("job 1 has ended" in line for line in executor.said), 10)
    jobs.most = 3  # after a refusal
    assert wait_for(lambda: jobs.count == 3, 10)
    assert executor.wanted == 2


@pytest.mark.parametrize("when", [1, 2], ids=["the first job", "a later job"])
def test_slurm_ends_the_run_where_no_job_can_be_written(when, slurm, tmp_path):
    class Full(Submitted):
        def submit(self):
            if self.count + 1 == when:
                raise OSError(28, "No space left on device")
            return super().submit()

    jobs = Full()
    if when == 1:
        with pytest.raises(OSError, match="No space left"):
            slurm(jobs, 2)
        assert jobs.ended
        assert not (tmp_path / "workers/door.json").exists()
        return
    executor = slurm(jobs, 2)
    assert wait_for(lambda: executor._given_up is not None, 10)
    with pytest.raises(BrokenExecutor, match=r"jobs can be submitted no more: OSError: .*No space left"):
        executor.submit(pow, 3, 2)


def test_the_last_worker_of_a_search_without_jobs_ends_it(slurm, tmp_path):
    jobs = Submitted()
    executor = slurm(jobs, 1)
    process = worker(tmp_path, tmp_path)
    assert executor.submit(pow, 3, 2).result(timeout=60) == 9
    jobs.stand("CANCELLED", "1")
    assert wait_for(lambda: executor.wanted == 0, 10)
    assert executor._given_up is None
    process.send_signal(signal.SIGTERM)
    process.wait(30)
    assert wait_for(lambda: executor._given_up is not None, 20)


class Sleepy:
    """Takes its time to arrive, as where torch is imported from a disk of the network."""

    limit_s = 30.0

    def __setstate__(self, state):
        if multiprocessing.current_process().name != "MainProcess":
            time.sleep(4)

    def __getstate__(self):
        return {}

    def __call__(self):
        return 42


def test_a_worker_whose_process_takes_long_to_start_says_that_it_is_alive():
    door = Door(host="127.0.0.1", silence_s=2.0)
    try:
        threading.Thread(target=lambda: Serving([door.address], door.key).serve(), daemon=True).start()
        assert door.submit(Sleepy()).result(timeout=60) == 42
    finally:
        door.shutdown(wait=False)


def test_what_two_workers_say_to_a_stranger_does_not_let_it_in():
    """It hands the challenge of one to the other, and the answer back."""
    listener = Listener(("127.0.0.1", 0))
    believed = []

    def stranger():
        one, other = listener.accept(), listener.accept()
        one.send_bytes(CHALLENGE + os.urandom(20))
        one.recv_bytes()
        one.send_bytes(WELCOME)
        other.send_bytes(one.recv_bytes())
        one.send_bytes(other.recv_bytes())
        believed.append(one.recv_bytes() == WELCOME)

    def come():
        with pytest.raises((AuthenticationError, UserError, EOFError, OSError)):
            Serving([listener.address], b"the key of a run")

    threads = [threading.Thread(target=each, daemon=True) for each in (stranger, come, come)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(25)
    listener.close()
    assert believed == [False]


def test_strangers_who_say_nothing_do_not_use_up_the_root(root):
    with ExitStack() as open_ones:
        for _ in range(60):
            open_ones.enter_context(socket.create_connection(("127.0.0.1", root.address[1])))
        time.sleep(1)
        assert len([thread for thread in threading.enumerate() if "_admit" in thread.name]) <= GREETINGS


def test_a_task_that_is_handed_back_at_the_end_does_not_wait_for_ever():
    class Leaves:
        def run(self, fn, *args, **kwargs):
            time.sleep(0.5)
            raise Left("it has left")

        def close(self):
            pass

    pool = WorkerPool()
    pool.join(Leaves())
    future = pool.submit(pow, 3, 2)
    time.sleep(0.1)
    pool.shutdown(wait=True)
    with pytest.raises(BrokenExecutor, match="was shut down"):
        future.result(timeout=10)
    with pytest.raises(BrokenExecutor, match="was shut down"):
        pool.submit(pow, 3, 2)


class Local:
    """Jobs of submitit on this machine in place of Slurm's."""

    def __init__(self, directory):
        submitit = pytest.importorskip("submitit", reason="submitit is not installed")
        self.directory, self.jobs = directory, {}
        self.executor = submitit.LocalExecutor(directory / "workers")
        self.executor.update_parameters(timeout_min=5)

    def submit(self):
        job = self.executor.submit(serve_job, str(self.directory))
        self.jobs[job.job_id] = job
        return job.job_id

    def states(self):
        return {name: (job.state, "") for name, job in self.jobs.items()}

    def words(self, job):
        return self.jobs[job].stderr() or "nothing"

    def end(self):
        for job in self.jobs.values():
            job._process.wait(30)


def test_jobs_of_submitit_serve_a_run_and_end_with_it(tmp_path, monkeypatch):
    monkeypatch.setenv("EVONAS_TEST", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    executor = Slurm(Local(tmp_path), 2, PLAIN, tmp_path, print, look_s=0.2)
    tasks = [executor.submit(touch, tmp_path / str(number), 0.5) for number in range(8)]
    assert len({task.result(timeout=90) for task in tasks}) == 2
    task = executor.submit(touch_once, tmp_path / "begun")
    assert wait_for((tmp_path / "begun").exists, 30)
    executor.shutdown(wait=False)
    assert isinstance(task.exception(), BrokenExecutor)
    mine = {os.getpid()}
    assert wait_for(lambda: not set(processes_of(tmp_path)) - mine, 20), subprocess.check_output(["ps", "-ef"])
