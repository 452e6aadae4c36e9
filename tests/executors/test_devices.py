"""Workers that train on a device together, a search on it that is killed and goes on, and what it leaves."""

from dataclasses import replace

import pytest
from clusters import run, told, wait_for
from devices import like

import evonas
from evonas.data.sources import Source
from evonas.evaluation import Candidate, Job
from evonas.evaluation.training import Training
from evonas.executors import Equipment, Processes, Worker
from evonas.genomes.genet import DIGITS
from evonas.recipe import Recipe
from evonas.tasks.classification import ImageClassification

TRAINING = Training(ImageClassification(Source("digits")), Recipe(epochs=2, batch_size=64, learning_rate=0.05), seed=1)
CODES = ("1-00/0-00-100", "1-01/1-01-100", "0-00/1-11-111")
QUICK = {"population": 4, "generations": 2, "epochs": 1, "final.epochs": 1}


def first_gpu():
    """What a worker sees: how many GPUs, and how a tensor on the first one is added up."""
    import torch

    return torch.cuda.device_count(), torch.ones(1000, device="cuda").sum().item()


def test_workers_that_share_a_device_find_what_one_finds(device):
    candidates = [Candidate(DIGITS.parse(code), DIGITS, keeps=True) for code in CODES]
    jobs = [Job(replace(TRAINING, device=device), candidate) for candidate in candidates]
    executor = Processes(2, Equipment(device=device))
    found = [future.result() for future in [executor.submit(job) for job in jobs]]
    executor.shutdown(wait=False)
    assert len({outcome.worker for outcome in found}) == 2
    for outcome, job in zip(found, jobs, strict=True):
        assert outcome.error is None
        assert outcome.values == like(job().values, device, off=0.1)  # theirs is rounded as a GPU likes
        assert outcome.weights


def test_a_worker_sees_one_gpu_alone(device):
    if device == "cpu":
        pytest.skip("there is nothing to see on a CPU")
    worker = Worker(Equipment(device=device))
    assert worker.run(first_gpu) == (1, 1000.0)
    worker.close()


SCRIPT = """
import sys
import evonas

if __name__ == "__main__":
    evonas.search("genet", "digits", settings=%r, device=sys.argv[1], workers=2, out="run", resume=True, progress=False)
    print("searched", flush=True)
"""


@pytest.mark.slow
@pytest.mark.gpu
def test_a_search_on_a_device_that_was_killed_goes_on_with_all_that_it_had(device, tmp_path):
    killed = run(SCRIPT % QUICK, tmp_path, "processes", 2, device)
    assert wait_for(lambda: len(told(tmp_path)) > 2 or killed.poll() is not None, 120), "nothing was trained"
    assert killed.poll() is None, killed.communicate()[0]
    killed.kill()
    killed.communicate(timeout=30)
    before = told(tmp_path)
    again = run(SCRIPT % QUICK, tmp_path, "processes", 2, device)
    assert again.communicate(timeout=200)[0].endswith("searched\n")
    after = told(tmp_path)
    assert {number: after[number] for number in before} == before
    found = evonas.open_run(tmp_path / "run")
    assert found.config.device == device
    assert not any(record["error"] for record in found.records())
    assert found.summary["winner"]["test_accuracy"] > 0.3
