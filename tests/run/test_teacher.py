"""A run with a teacher: where it comes from, where it lies, who needs it, and what is said where it is not there."""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import evonas
from evonas.data.sources import Source
from evonas.errors import RunError, UserError
from evonas.evaluation import Candidate
from evonas.evaluation import teacher as teachers
from evonas.evaluation.evaluator import Job
from evonas.evaluation.mean import Mean
from evonas.evaluation.parcel import facts_in
from evonas.evaluation.teacher import Teacher
from evonas.evaluation.training import Training
from evonas.executors import Processes
from evonas.genomes.nasbench_macro import NASBenchMacroSpace
from evonas.recipe import Recipe
from evonas.run.budget import Budget
from evonas.run.carrying_out import go_on
from evonas.run.problem import Brought
from evonas.run.store import Run
from evonas.run.teaching import Lent
from evonas.support.files import checksum
from evonas.support.streams import stream
from evonas.tasks.classification import ImageClassification

SPACE = NASBenchMacroSpace((1, 1), 4, 8, (1, 8, 8))
TINY = {"population": 2, "generations": 0, "epochs": 1, "final.epochs": 1}
BY = {"search.distill": 1.0, "search.hard": 0.0, "final.distill": 1.0}
SAME = {"data": "digits", "progress": False, "workers": 1, "executor": "serial", "precision": "float32"}


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    return evonas.search(SPACE, settings=TINY, **SAME, out=tmp_path_factory.mktemp("runs") / "first")


@pytest.fixture(scope="module")
def run(first, tmp_path_factory):
    return evonas.search(SPACE, settings=TINY | BY, teacher=first.directory, **SAME,
                         out=tmp_path_factory.mktemp("runs") / "taught")  # fmt: skip


def file_of(run):
    (file,) = (run.directory / "teacher").glob("*.safetensors")
    return file


def values(run):
    return [(r["phase"], r["code"], r["values"]) for r in run.records()]


def evaluator(run, **changed):
    recipe = Recipe(epochs=1, distill=1.0, hard=0.0)
    return replace(Training(run.task, recipe, 0, ("accuracy",), teacher=Teacher.read(file_of(run))), **changed)


def candidate(seed=0):
    return Candidate(SPACE.random(stream(seed, "candidate")), SPACE)


# ---- what it is -----------------------------------------------------------------------------------------------------


def test_the_winner_of_a_run_teaches_from_the_directory_of_another(first, run):
    facts = facts_in(file_of(run).read_bytes())
    assert json.loads(facts["graph"]) == first.finalist().graph.to_json()
    assert facts["value"] == first.finalist().test
    network, images = first.finalist().network(), next(run.task.splits("cpu").validation[:8].batches())[0]
    guide = Teacher.read(file_of(run)).guide(run.task, "cpu")
    with torch.no_grad():
        assert torch.equal(guide(images)[0], network.to(memory_format=torch.channels_last)(images))
    assert json.loads((run.directory / "config.json").read_text())["teacher"] == f"teacher/{file_of(run).name}"


def test_a_teacher_changes_what_is_learnt_and_is_a_part_of_its_identity(first, run, tmp_path):
    plain, taught = evaluator(run, recipe=Recipe(epochs=1)), evaluator(run)
    other = evonas.search(SPACE, settings=TINY | {"final.epochs": 2}, **SAME, out=tmp_path / "other")
    content = Lent.of(other.directory).content
    path = Lent.of(other.directory).file(tmp_path)
    path.parent.mkdir()
    path.write_bytes(content)
    another = evaluator(run, teacher=Teacher.read(path))
    found = [each(candidate()).values for each in (plain, taught, another)]
    assert len({each.identity(candidate()) for each in (plain, taught, another)}) == 3
    assert len(set(found)) > 1
    assert plain.identity(candidate()) == replace(plain, teacher=None).identity(candidate())  # nobody learns of it


def test_a_teacher_sees_pictures_in_the_units_that_it_has_learnt(first, tmp_path):
    """The same pictures with values from 0 to 1 and from 0 to 255; and where it is not known what a value means."""
    x, y = np.random.default_rng(0).integers(0, 256, (120, 8, 8), dtype=np.uint8), np.arange(120) % 10
    values = {"whole": x, "share": x.astype(np.float32) / 255, "odd": x.astype(np.float32) * 7 - 3}
    for name, each in values.items():
        np.savez(tmp_path / f"{name}.npz", x_train=each[:100], y_train=y[:100], x_test=each[100:], y_test=y[100:])
    tasks = {name: ImageClassification(Source(str(tmp_path / f"{name}.npz"))) for name in values}
    theirs, own = (tasks[name].preprocessing() for name in ("whole", "share"))
    scale, shift = (each.flatten() for each in teachers._affine(theirs, own, "cpu"))
    raw = torch.tensor([0.25])
    normalised = (raw - own["mean"][0]) / own["std"][0]
    assert torch.allclose(normalised * scale + shift, (255 * raw - theirs["mean"][0]) / theirs["std"][0], atol=1e-4)
    content = teachers.packed(first.finalist().weights_bytes(), first.finalist().graph, 0.5, theirs)
    (tmp_path / f"{checksum(content)}.safetensors").write_bytes(content)
    teacher = Teacher.read(tmp_path / f"{checksum(content)}.safetensors")
    teacher.check(tasks["share"])
    with pytest.raises(UserError, match="may have another unit than those of these data"):
        teacher.check(tasks["odd"])


def test_a_process_loads_it_once(run):
    teachers._opened.cache_clear()
    for seed in range(3):
        evaluator(run)(candidate(seed))
    assert teachers._opened.cache_info().misses == 1


def test_a_worker_without_the_file_is_sent_it_once(run, tmp_path):
    lost = replace(Teacher.read(file_of(run)), file=tmp_path / file_of(run).name)
    here, there = evaluator(run), evaluator(run, teacher=lost)
    with Processes(1) as executor:
        missed = executor.submit(Job(there, candidate())).result()
        assert missed.error.startswith("lacks: ")
        with pytest.raises(RunError, match="the teacher of this run is lost"):
            there.once_more(candidate(), 0, missed)
        again = here.once_more(candidate(), 0, missed)
        assert again.evaluator.teacher.content == file_of(run).read_bytes()
        sent = Job(replace(there, teacher=replace(lost, content=again.evaluator.teacher.content)), candidate())
        assert executor.submit(sent).result().values == here(candidate()).values
        assert executor.submit(Job(there, candidate(1))).result().values == here(candidate(1)).values  # it has it now
    assert again.evaluator.once_more(candidate(), 0, missed) is None
    several = Mean(here, 2).once_more(candidate(), 0, missed)
    assert several.evaluator.evaluator.teacher.content is not None


def test_a_network_without_the_compared_nodes_is_a_failure(run):
    names = ("stem", "layer9")
    outcome = evaluator(run, recipe=Recipe(epochs=1, features=names))(candidate())
    assert outcome.reason.startswith("shape: the network has no node 'layer9'")


# ---- runs -----------------------------------------------------------------------------------------------------------


def test_the_run_can_be_moved_and_resumed_without_the_teachers_run(first, run, tmp_path):
    lent = shutil.copytree(first.directory, tmp_path / "lent")
    half = evonas.search(SPACE, settings=TINY | BY, teacher=lent, **SAME, out=tmp_path / "half", budget=1)
    shutil.rmtree(lent)
    moved = half.directory.rename(tmp_path / "moved")
    more = evonas.search(SPACE, settings=TINY | BY, teacher=first.directory, **SAME, out=moved, budget=2, resume=True)
    searched = [row for row in values(more) if row[0] == "search"]
    assert searched == [row for row in values(run) if row[0] == "search"]
    assert values(more)[-1] == values(run)[-1]


def test_evonas_train_goes_by_the_teacher_of_the_run(run, tmp_path):
    trained = evonas.train(run.directory, epochs=1, out=tmp_path / "again", trust=True)
    asked = json.loads((tmp_path / "again" / "request.json").read_text())
    assert asked["teacher"] == file_of(run).stem
    assert trained.facts["recipe"]["distill"] == 1.0
    with pytest.raises(UserError, match="distils, and there is no teacher; give the directory"):
        evonas.train("genet", "0-01/0-00-000", settings={"final.distill": 1.0}, out=tmp_path / "none")
    by = evonas.train("genet", "0-01/0-00-000", settings={"final.distill": 1.0, "final.epochs": 1},
                      teacher=run.directory, out=tmp_path / "by")  # fmt: skip
    assert by.facts["recipe"]["distill"] == 1.0


@pytest.mark.parametrize(
    ("given", "settings", "why"),
    [
        ("first", {}, "there is a teacher, but no recipe distils"),
        (None, {"search.distill": 1.0}, "the search recipe distils, and there is no teacher; give the directory"),
        (None, {"final.features": "stem"}, "the final recipe distils, and there is no teacher"),
        ("nothing", {"search.distill": 1.0}, "holds neither a run nor a trained network"),
        ("first", {"search.features": "stem9"}, "features has 'stem9', which is no node of the teacher"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(first, tmp_path, given, settings, why):
    teacher = first.directory if given == "first" else given
    with pytest.raises(UserError, match=why):
        evonas.search(SPACE, settings=TINY | settings, teacher=teacher, **SAME, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_teachers_of_other_shapes_and_damaged_ones_are_refused(first, tmp_path):
    other = NASBenchMacroSpace((1, 1), 4, 8, (1, 8, 8), outputs=10)
    with pytest.raises(UserError, match=r"the teacher maps .* to \(10,\), but the data have inputs of \(1, 9, 9\)"):
        evonas.search(replace(other, input_shape=(1, 9, 9)), settings=TINY | BY, teacher=first.directory, size=9,
                      **SAME, out=tmp_path / "run")  # fmt: skip
    damaged = shutil.copytree(first.directory, tmp_path / "damaged")
    weights = damaged / "best" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    with pytest.raises(UserError, match="is damaged"):
        evonas.search(SPACE, settings=TINY | BY, teacher=damaged, **SAME, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_whose_teacher_is_lost_says_so(run, tmp_path):
    moved = Path(shutil.copytree(run.directory, tmp_path / "moved"))
    file = moved / "teacher" / file_of(run).name
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    with pytest.raises(RunError, match=r"the teacher of this run is lost: .* is damaged"):
        go_on(Run.open(moved, Brought(space=SPACE)).with_budget(Budget(4)), progress=False)


def test_a_teacher_is_nothing_for_a_search_that_trains_by_itself(first, tmp_path):
    with pytest.raises(UserError, match="trains in a way of its own, which has no teacher"):
        evonas.search("gdas", "digits", settings={"search.distill": 1.0}, teacher=first.directory, progress=False,
                      out=tmp_path / "run")  # fmt: skip
    with pytest.raises(UserError, match="trains a supernet, which has no teacher"):
        evonas.search("nasbench201", "digits", supernet="uniform", settings={"search.distill": 1.0},
                      teacher=first.directory, progress=False, out=tmp_path / "run")  # fmt: skip


KILLED = """
    import evonas, sys
    from evonas.genomes.nasbench_macro import NASBenchMacroSpace
    if __name__ == "__main__":
        evonas.search(NASBenchMacroSpace((1, 1), 4, 8, (1, 8, 8)), "digits", settings={settings}, teacher={teacher!r},
                      workers=1, precision="float32", progress=False, out=sys.argv[1], resume=True)
"""


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_end(first, tmp_path):
    settings = TINY | BY | {"population": 4, "epochs": 2}
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(KILLED.format(settings=settings, teacher=str(first.directory))))
    whole = evonas.search(SPACE, settings=settings, teacher=first.directory, data="digits", workers=1,
                          precision="float32", progress=False, out=tmp_path / "whole")  # fmt: skip
    journal = tmp_path / "cut" / "journal.jsonl"
    process = subprocess.Popen([sys.executable, str(script), str(tmp_path / "cut")], start_new_session=True)
    while not (journal.exists() and journal.read_text().count('"told"') >= 2):
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    subprocess.run([sys.executable, str(script), str(tmp_path / "cut")], check=True)
    assert values(evonas.open_run(tmp_path / "cut")) == values(whole)
