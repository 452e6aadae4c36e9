"""Event files, read by TensorBoard itself."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("tensorboard", reason="TensorBoard is not installed: pip install 'evonas[tensorboard]'")

from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer

import evonas
from evonas.genomes.genet import DIGITS

TINY = {"population": 2, "epochs": 2, "final.epochs": 1}


def search(out, budget=6, **given):
    options = {"workers": 1, "progress": False, "report": False, "resume": True, "settings": {"population": 3}} | given
    return evonas.search(DIGITS, evaluate=sum, budget=budget, out=out, track="tensorboard", **options)


def seen(run):
    """run -> tag -> [(step, value)]"""
    found = EventMultiplexer().AddRunsFromDirectory(str(run.directory / "tracking" / "tensorboard")).Reload()
    return {
        name: {tag: [(e.step, e.value) for e in found.Scalars(name, tag)] for tag in tags["scalars"]}
        for name, tags in found.Runs().items()
    }


def best_so_far(values):
    return [max(values[: place + 1]) for place in range(len(values))]


def test_the_values_and_the_best_so_far_are_charted_over_results(tmp_path):
    run = search(tmp_path / "run")
    values = [record["values"][0] for record in run.records()]
    chart = seen(run)["search"]
    assert chart["value/fitness"] == list(enumerate(values, 1))
    assert chart["best/fitness"] == list(enumerate(best_so_far(values), 1))
    assert chart["failed"] == [(step, 0) for step in range(1, 7)]


def test_a_candidate_has_its_curve_its_values_and_its_genome(tmp_path):
    from tensorboard.plugins.hparams import metadata

    run = evonas.search("genet", "digits", budget=2, settings=TINY, workers=1, out=tmp_path / "run", progress=False,
                        track="tensorboard")  # fmt: skip
    first = run.records()[0]
    found = seen(run)["search/0000"]
    assert found["curve/accuracy"] == [(epoch, pytest.approx(v)) for epoch, v in enumerate(first["curve"], 1)]
    assert found["result/parameters"] == [(2, first["measures"]["parameters"])]
    assert "final/0002-winner" in seen(run)
    read = EventMultiplexer().AddRunsFromDirectory(str(tmp_path / "run/tracking/tensorboard/search")).Reload()
    data = read.SummaryMetadata("0000", metadata.SESSION_START_INFO_TAG).plugin_data.content
    parsed = metadata.parse_session_start_info_plugin_data(data)
    answers = {name: value.number_value for name, value in parsed.hparams.items() if name != "operator"}
    assert answers == run.space.answers(first["genome"])


def test_a_resumed_run_goes_on_with_the_same_records(tmp_path):
    search(tmp_path / "run", budget=4)
    longer = seen(search(tmp_path / "run", budget=6))
    assert longer == seen(search(tmp_path / "at once", budget=6))
    assert [step for step, _ in longer["search"]["value/fitness"]] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(("call", "number"), [("heard", 6), ("_write_candidate", 3)])
def test_a_killed_run_has_each_result_once_in_the_end(tmp_path, call, number):
    command = [sys.executable, str(Path(__file__).with_name("killed.py")), str(tmp_path / "run"), "tensorboard"]
    killed = subprocess.run([*command, call, str(number)], check=False)
    assert killed.returncode == -signal.SIGKILL
    told = sum(event["event"] == "told" for event in evonas.open_run(tmp_path / "run", DIGITS).events())
    assert 0 < told < 6
    assert seen(search(tmp_path / "run")) == seen(search(tmp_path / "at once"))


def test_a_line_that_was_cut_off_is_written_anew(tmp_path):
    run = search(tmp_path / "run", budget=4)
    (file,) = (run.directory / "tracking/tensorboard/search").glob("events*")
    file.write_bytes(file.read_bytes()[:-5])
    assert seen(search(tmp_path / "run")) == seen(search(tmp_path / "at once"))


def test_a_run_that_was_not_tracked_can_be_shown_afterwards(tmp_path):
    run = evonas.search(DIGITS, evaluate=sum, budget=6, settings={"population": 3}, workers=1, out=tmp_path / "run",
                        progress=False, report=False)  # fmt: skip
    assert not (tmp_path / "run/tracking").exists()
    assert run.config.track == ()
    assert len(seen(search(tmp_path / "run"))["search"]["value/fitness"]) == 6
