"""The command line as a user meets it."""

import csv
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict

import numpy as np
import pytest

from evonas.api import open_run
from evonas.run.budget import Budget

TINY = ["--set", "population=4", "epochs=1", "final.epochs=1", "filters=4,4", "--workers", "1"]


@pytest.fixture
def evonas(tmp_path, monkeypatch, in_process):
    """Run a command in an empty directory; the exit code and what it prints."""

    def run(*arguments):
        monkeypatch.chdir(tmp_path)
        return in_process(*arguments)

    return run


def events(directory, kind=None):
    lines = (directory / "journal.jsonl").read_text().splitlines()
    return [event for event in map(json.loads, lines) if kind in (None, event["event"])]


def outcomes(directory):
    told = {event["id"]: event["values"] for event in events(directory, "told")}
    return [(event["id"], event["genome"], told[event["id"]]) for event in events(directory, "asked")]


# ---- decode, list, help -------------------------------------------------------------------------------------------


def test_decode_prints_the_network(evonas):
    done = evonas("decode", "genet", "1-01/1-01-100", "--json")
    assert done.returncode == 0
    shown = json.loads(done.stdout)
    assert set(shown) == {"space", "code", "nodes", "parameters", "multiply_adds", "digest"}
    assert shown["code"] == "1-01/1-01-100"
    nodes = {node["name"]: node for node in shown["nodes"]}
    assert nodes["stage2/output"]["inputs"] == ["stage2/node3", "stage2/node4"]
    assert nodes["stage2/node4"]["ops"] == ["conv 24 3x3", "batch_norm", "relu"]


def test_decode_takes_settings_input_and_classes(evonas):
    settings = ["--set", "stages=3,4,5", "filters=8,16,32", "--input", "3x32x32", "--outputs", "7"]
    done = evonas("decode", "genet", "1-01/0-01-100/0-11-101-0001", *settings, "--json")
    shown = json.loads(done.stdout)
    assert shown["space"]["input_shape"] == [3, 32, 32]
    assert shown["nodes"][-1]["ops"][-1] == "linear 7"
    assert "parameters" in evonas("decode", "genet", "1-01/1-01-100").stdout


def test_decode_draws_the_network(evonas, tmp_path):
    assert evonas("decode", "genet", "1-01/1-01-100", "--png", "network.png").returncode == 0
    assert (tmp_path / "network.png").read_bytes().startswith(b"\x89PNG")


def test_list_names_systems_presets_settings_and_data(evonas):
    shown = json.loads(evonas("list", "--json").stdout)
    (genet,) = [system for system in shown["systems"] if system["name"] == "genet"]
    assert set(genet["presets"]) == {"digits", "small", "mnist", "cifar10"}
    assert genet["presets"]["cifar10"]["evaluations"] == 1020
    assert genet["presets"]["digits"]["settings"]["strategy.population"] == 20
    assert {"digits", "cifar10", "svhn"} <= {each["name"] for each in shown["data"]}
    assert "genet" in evonas("list").stdout
    assert len(evonas("list").stdout.splitlines()) <= 100  # a line each


def test_a_preset_is_shown_by_what_it_sets_otherwise_with_a_word_on_each_setting(evonas):
    printed = evonas("list", "genet").stdout
    digits = printed[printed.index("preset digits") : printed.index("preset small")]
    assert "bit_flip_rate=0.1" in digits
    assert "generations=4" in digits
    assert "crossover_rate" not in digits
    assert re.search(r"crossover_rate=0.2 +\S.*(pair|parents)", printed)
    assert evonas("list", "nothing").returncode == 2


def test_a_system_that_trains_a_supernet_is_listed_with_the_settings_of_its_policy(evonas):
    printed = evonas("list", "one-shot").stdout
    assert re.search(r"dropped=0.1 +probability", printed[printed.index("supernet settings") :])
    assert re.search(r"mean=False +gradients of a round", evonas("list", "fair").stdout)
    assert re.search(r"\n  fair +Strict fairness", evonas("list").stdout)


def test_the_help_of_a_search_groups_its_options(evonas):
    printed = evonas("search", "--help").stdout
    headings = ["What is searched:", "Data:", "How long, and what a training may take:", "Where:", "The run:"]
    places = [printed.index(heading) for heading in headings]
    assert places == sorted(places)
    assert places[0] < printed.index("--strategy") < places[1] < printed.index("--validation") < places[2]


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["search", "--help"], ["list"], ["list", "--json"], ["list", "genet"], ["list", "gdas"],
     ["list", "one-shot"], ["list", "ppo"], ["decode", "genet", "1-01/1-01-100"]],
)  # fmt: skip
def test_help_list_schemas_and_decode_import_neither_torch_nor_scikit_learn(arguments, tmp_path):
    code = ("import sys; from evonas.commands.main import main\n"
            f"sys.argv = ['evonas', *{arguments!r}]\n"
            "try: main()\n"
            "finally: print(*(name for name in ('torch', 'sklearn') if name in sys.modules), 'NO MORE')")  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.endswith("\nNO MORE\n"), done.stdout[-200:] + done.stderr


# ---- a whole run --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A tiny run from beginning to end, baselines included."""
    folder = tmp_path_factory.mktemp("finished")
    command = [sys.executable, "-m", "evonas", "search", "genet", "--out", "run", "--evaluations", "8", *TINY]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return folder / "run", done.stdout


def test_a_run_leaves_everything_in_its_directory(finished):
    directory, _ = finished
    found = {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}
    assert found == {
        "config.json", "journal.jsonl", "summary.json", "report.html",
        *(f"{folder}/{name}" for folder in ("best", "reference", "random_search") for name in
          ("training.json", "graph.json", "preprocessing.json", "weights.safetensors", "answers.npz")),
        *(f"plots/{name}.png" for name in ("history", "front", "winner", "confusion", "mistakes", "examples",
                                           "importance", "genealogy", "curves", "utilisation")),
    }  # fmt: skip


def test_the_summary_compares_the_winner_with_its_baselines(finished):
    directory, _ = finished
    summary = json.loads((directory / "summary.json").read_text())
    assert (summary["system"], summary["data"], summary["seed"], summary["evaluations"]) == ("genet", "digits", 0, 8)
    assert summary["wall_s"] > 0
    for role in ("winner", "random_search", "reference"):
        row = summary[role]
        assert 0 <= row["validation_accuracy"] <= 1
        assert 0 <= row["test_accuracy"] <= 1
        assert row["parameters"] > 0
        assert row["multiply_adds"] > 0
    told = {event["id"]: event["values"][0] for event in events(directory, "told")}
    searched = [told[event["id"]] for event in events(directory, "asked") if event["phase"] == "search"]
    assert summary["winner"]["validation_accuracy"] == max(searched)
    assert len([event for event in events(directory, "asked") if event["phase"] == "baseline"]) == 8 + 1


def test_the_config_says_everything_that_was_resolved(finished):
    directory, _ = finished
    config = json.loads((directory / "config.json").read_text())
    assert {"torch", "deap", "evonas", "python"} <= set(config["versions"])
    assert config["device"] == "cpu" or config["device"].startswith("cuda")
    assert config["precision"] in ("float32", "bfloat16")
    assert config["hardware"]
    assert config["settings"]["strategy.population"] == 4
    assert config["budgets"] == [asdict(Budget(evaluations=8))]


def test_the_table_and_plain_lines_of_progress_are_printed(finished):
    _, printed = finished
    assert "winner" in printed
    assert "random search" in printed
    assert "reference" in printed
    assert "search: 8/8 evaluations, best" in printed
    assert "\x1b" not in printed


def test_the_best_network_can_be_built_from_its_folder(finished):
    import torch

    from evonas import TrainedNetwork
    from evonas.data.sources import Source
    from evonas.tasks.classification import ImageClassification
    from evonas.training.train import evaluate

    directory, _ = finished
    network = TrainedNetwork.open(directory / "best").network()
    summary = json.loads((directory / "summary.json").read_text())
    config = json.loads((directory / "config.json").read_text())
    found = evaluate(network, ImageClassification(Source("digits")).splits("cpu").test, precision=config["precision"])[
        "accuracy"
    ]
    assert found == pytest.approx(summary["winner"]["test_accuracy"], abs=1e-9)
    assert isinstance(network, torch.nn.Module)


def test_resuming_a_finished_run_says_so(finished, evonas):
    directory, _ = finished
    before = (directory / "journal.jsonl").read_bytes()
    done = evonas("resume", directory)
    assert done.returncode == 0
    assert "is finished" in done.stdout
    assert (directory / "journal.jsonl").read_bytes() == before


def test_plots_can_be_drawn_again(finished, evonas):
    directory, _ = finished
    (directory / "plots" / "history.png").unlink()
    assert evonas("plot", directory).returncode == 0
    assert (directory / "plots" / "history.png").exists()


@pytest.mark.slow
def test_a_finished_run_goes_on_to_more_evaluations_as_if_never_stopped(tmp_path, evonas):
    assert evonas("search", "genet", "--out", "more", "--evaluations", "6", "--no-baseline", *TINY).returncode == 0
    assert evonas("resume", "more", "--evaluations", "10").returncode == 0
    assert evonas("search", "genet", "--out", "whole", "--evaluations", "10", "--no-baseline", *TINY).returncode == 0
    summary = json.loads((tmp_path / "more" / "summary.json").read_text())
    assert summary["evaluations"] == 10
    searched = [
        [event["genome"] for event in events(tmp_path / name, "asked") if event["phase"] == "search"]
        for name in ("more", "whole")
    ]
    assert searched[0] == searched[1]
    assert "is finished" in evonas("resume", "more").stdout


def test_without_baseline_there_is_the_winner_alone(tmp_path, evonas):
    done = evonas("search", "genet", "--out", "run", "--evaluations", "4", "--no-baseline", *TINY)
    assert done.returncode == 0
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert "reference" not in summary
    assert "random_search" not in summary
    assert {event["phase"] for event in events(tmp_path / "run", "asked")} == {"search", "final"}


@pytest.mark.slow
def test_the_same_seed_gives_the_same_run_with_one_and_two_workers(tmp_path, evonas):
    for name, workers in (("one", 1), ("two", 2)):
        done = evonas("search", "genet", "--out", name, "--evaluations", "8", "--no-baseline", *TINY[:-1], workers)
        assert done.returncode == 0, done.stderr
    assert outcomes(tmp_path / "one") == outcomes(tmp_path / "two")


def test_a_users_arrays_are_searched(tmp_path, evonas):
    rng = np.random.default_rng(0)
    y = np.arange(240) % 3
    x = rng.normal(0, 20, (240, 16, 16, 3)) + 60 * y[:, None, None, None]
    x = x.clip(0, 255).astype(np.uint8)
    np.savez(tmp_path / "mine.npz", x_train=x[:180], y_train=y[:180], x_test=x[180:], y_test=y[180:])
    done = evonas("search", "genet", "--data", "mine.npz", "--out", "run", "--evaluations", "3",
                  "--set", "population=3", "epochs=2", "warmup=0", "final.epochs=10", "stages=3,3",
                  "filters=8,8", "--workers", "1")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["winner"]["test_accuracy"] > 0.8


# ---- what is done with a run ----------------------------------------------------------------------------------------


def test_show_says_how_a_run_went_and_what_it_found(finished, evonas):
    directory, _ = finished
    shown = evonas("show", directory).stdout
    assert "evaluations: 8 (" in shown
    assert "objectives: accuracy (max)" in shown
    assert "random search" in shown
    top = evonas("show", directory, "--top", 3).stdout
    codes = [json.loads(line)["genome"] for line in (directory / "journal.jsonl").read_text().splitlines()
             if '"search"' in line and '"asked"' in line]  # fmt: skip
    assert codes
    assert sum(line.startswith("│") for line in top.splitlines()) == 3


def test_without_a_directory_the_latest_run_is_meant(finished, evonas, tmp_path):
    refused(evonas("show"), "there are no runs in runs/; name the directory of one")
    for age, name in enumerate(("new", "old", "middle")):
        shutil.copytree(finished[0], tmp_path / "runs" / name)
        os.utime(tmp_path / "runs" / name / "journal.jsonl", (1e9 - age * (name != "new"),) * 2)
    done = evonas("show", "--top", 1)
    assert "the best of runs/new" in done.stdout
    assert "runs/new, the latest in runs/" in done.stderr
    assert evonas("status").stdout.startswith("runs/new: finished")


def test_show_tells_all_about_one_individual(finished, evonas, tmp_path):
    directory, _ = finished
    winner = next(event for event in events(directory, "asked") if event["role"] == "winner")
    (parent,) = winner["parents"]
    done = evonas("show", directory, parent, "--png", "one.png")
    assert f"individual {parent} of" in done.stdout
    assert "trained in" in done.stdout
    assert "stage2/output" in done.stdout
    assert (tmp_path / "one.png").read_bytes().startswith(b"\x89PNG")


def test_every_evaluation_comes_out_as_csv(finished, evonas):
    directory, _ = finished
    rows = list(csv.DictReader(evonas("show", directory, "--csv").stdout.splitlines()))
    assert len(rows) == len(events(directory, "asked"))
    told = {event["id"]: event for event in events(directory, "told")}
    for row in rows:
        assert float(row["accuracy"]) == told[int(row["id"])]["values"][0]
        assert int(row["parameters"]) > 0


def test_the_winner_is_exported(finished, evonas, tmp_path):
    directory, _ = finished
    done = evonas("export", directory, "--to", "out")
    assert done.stdout.startswith("ok: the exported network gives the same outputs")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"network.py", "weights.safetensors"}
    refused(evonas("export", directory, "--to", "out"), "out is there already", "choose another --to")


def test_an_individual_is_trained_to_the_end_and_exported(finished, evonas, tmp_path):
    directory = tmp_path / "run"
    shutil.copytree(finished[0], directory)
    run = open_run(directory)
    which = next(record["id"] for record in run.records() if record["id"] != run.best.id)
    done = evonas("train", directory, which, "--epochs", 2)
    assert re.search(
        r"epoch 2: loss [\d.]+, validation accuracy [\d.]+%\n.*epoch \d of 2 kept, test accuracy", done.stdout
    )
    refused(evonas("train", directory, which, "--epochs", 2), "add --resume")
    assert "of 2 kept" in evonas("train", directory, which, "--epochs", 2, "--resume").stdout
    assert evonas("export", directory, which, "--to", "by-id").returncode == 0
    assert evonas("export", directory / "trained" / str(which), "--to", "by-folder").returncode == 0
    one, other = ((tmp_path / name / "weights.safetensors").read_bytes() for name in ("by-id", "by-folder"))
    assert one == other


def test_a_code_is_trained_without_any_search(evonas, tmp_path):
    done = evonas(
        "train", "genet", "0-00/0-00-000", "--epochs", 1, "--all-data", "--set", "filters=4,4", "--out", "net"
    )
    assert "epoch 1 of 1 kept" in done.stdout
    facts = json.loads((tmp_path / "net" / "training.json").read_text())
    assert (facts["code"], facts["trained_on"], facts["epochs"]) == ("0-00/0-00-000", "train+validation", 1)


def test_the_networks_on_the_front_are_all_trained(evonas, tmp_path):
    searched = evonas("search", "genet", "--out", "run", "--objectives", "accuracy,parameters", *TINY, "--no-baseline",
                      "--evaluations", 8)  # fmt: skip
    assert searched.returncode == 0, searched.stderr
    front = open_run(tmp_path / "run").front
    assert len(front) > 1
    refused(evonas("train", "run", 3, "--front"), "leave out the id and --out")
    done = evonas("train", "run", "--front", "--epochs", 1)
    assert done.returncode == 0, done.stderr
    assert f"{len(front)} of the {len(front)} networks on the front" in done.stdout
    table = done.stdout.partition("the Pareto front of run, trained")[2]
    for found in front:
        assert found.code in table
        assert found.folder is not None
    refused(evonas("train", "run", "--front", "--epochs", 1), "add --resume")
    assert evonas("train", "run", "--front", "--epochs", 1, "--resume").returncode == 0


def test_limits_objectives_and_first_networks_of_a_search(evonas, tmp_path):
    done = evonas("search", "genet", "--out", "run", "--max-parameters", "1.5k", "--objectives", "accuracy,parameters",
                  "--init", "0-00/0-00-000", "--evaluations", "4", "--no-baseline", *TINY)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "on the Pareto front: evonas show run --front" in done.stdout
    assert "were over the limits and not trained" in done.stdout
    told = events(tmp_path / "run", "told")
    assert max(event["measures"]["parameters"] for event in told) <= 1500
    assert events(tmp_path / "run", "asked")[0]["operator"] == "init"
    assert "the Pareto front of run" in evonas("show", "run", "--front").stdout


ASCII = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "locale"), [("a$^$b", {}), ("фото", ASCII), (os.fsdecode(b"lat\xe9"), {})])
def test_data_and_runs_of_any_name_are_searched_shown_and_resumed_in_any_locale(tmp_path, name, locale):
    """About 20 s each: every command in a process of its own, which alone has a locale."""

    def evonas(*arguments):
        command = [sys.executable, "-m", "evonas", *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, env=os.environ | locale, timeout=240)
        assert done.returncode == 0, done.stderr
        assert b"Traceback" not in done.stderr
        return done.stdout

    npz(tmp_path / f"{name}.npz")
    evonas("search", "genet", "--data", f"{name}.npz", "--out", name, "--evaluations", "4", "--no-baseline", *TINY)
    evonas("resume", name, "--evaluations", "6")
    assert json.loads((tmp_path / name / "summary.json").read_text())["evaluations"] == 6
    for command in (["show", name], ["show", name, "0"], ["show", name, "--csv"], ["status", name], ["plot", name]):
        assert evonas(*command)
    assert "could not be drawn" not in (tmp_path / name / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_names_that_standard_output_cannot_write_are_printed_as_escapes(finished, tmp_path, encoding):
    name = os.fsdecode(b"lat\xe9")
    shutil.copytree(finished[0], tmp_path / name)
    code = f"import sys; from evonas.commands.main import main; sys.argv = ['evonas', 'show', {name!r}]; main()"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60,
                          env=os.environ | {"PYTHONIOENCODING": f"{encoding}:strict"}, check=False)  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert r"the best of lat\udce9" in done.stdout


def test_a_space_of_ones_own_is_searched_by_its_file(evonas, tmp_path):
    (tmp_path / "my_space.py").write_text(OWN_SPACE)
    arguments = ["--out", "run", "--evaluations", "4", "--no-baseline", "--set", "population=2", "epochs=1",
                 "final.epochs=1", "width=4", "--workers", "1"]  # fmt: skip
    done = evonas("search", "my_space.py:Own", *arguments)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "run" / "config.json").read_text())["settings"]["space.width"] == 4
    assert evonas("resume", "run", "--evaluations", "5").returncode == 0
    assert "layer1" in evonas("show", "run", "0").stdout


OWN_SPACE = """
from dataclasses import dataclass
from evonas.graph import INPUT, Draft
from evonas.operations import Convolution, Flatten, Linear, ReLU
from evonas.space import Decision, Space

@dataclass(frozen=True)
class Own(Space):
    name = "own"
    width: int = 8
    input_shape: tuple[int, int, int] = (1, 8, 8)
    outputs: int = 10

    def next(self, prefix):
        return Decision("kernel", (1, 3, 5), 0) if not prefix else None

    def decode(self, genome):
        self.decisions(genome)
        draft = Draft(self.input_shape)
        draft.node("layer1", [INPUT], Convolution(self.width, genome[0]), ReLU())
        draft.node("classifier", ["layer1"], Flatten(), Linear(self.outputs))
        return draft.graph()
"""


# ---- interruptions ------------------------------------------------------------------------------------------------


def start(folder, *arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "evonas", *map(str, arguments)],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def wait_for(directory, count, kind="told", phase=None, limit=90):
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        if (directory / "journal.jsonl").exists():
            text = (directory / "journal.jsonl").read_text()
            whole = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
            if sum(e["event"] == kind and phase in (None, e.get("phase")) for e in whole) >= count:
                return
        time.sleep(0.02)
    raise AssertionError(f"no {count} {kind} in {limit} s")


def orphans(session):
    return subprocess.run(["pgrep", "-s", str(session)], capture_output=True, text=True).stdout


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_an_interrupted_run_ends_cleanly_says_how_to_go_on_and_can(tmp_path, evonas, number):
    process = start(tmp_path, "search", "genet", "--out", "run", "--evaluations", "20", "--no-baseline", *TINY[:-1], 2)
    wait_for(tmp_path / "run", 3)
    process.send_signal(number)
    _, error = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "go on with 'evonas resume run'" in error
    assert "Traceback" not in error
    assert 0 < len(events(tmp_path / "run", "told")) < 20
    deadline = time.monotonic() + 5
    while orphans(process.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert orphans(process.pid) == ""
    assert evonas("resume", "run").returncode == 0
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["evaluations"] == 20


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_real_training_killed_at_random_moments_ends_as_one_never_killed(tmp_path, evonas, workers):
    chosen = ["search", "genet", "--evaluations", "24", *TINY[:-1], workers]
    assert evonas(*chosen, "--out", "whole").returncode == 0
    rng, target = random.Random(workers), tmp_path / "run"
    process = start(tmp_path, *chosen, "--out", "run")
    # in the search, in the final training of the winner, and in the baseline
    for count, kind, phase in ((rng.randint(2, 10), "told", None), (1, "asked", "final"), (4, "asked", "baseline")):
        wait_for(target, count, kind, phase)
        time.sleep(rng.uniform(0, 0.1))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process = start(tmp_path, "resume", "run")
    assert process.wait(120) == 0
    assert outcomes(target) == outcomes(tmp_path / "whole")
    for name in ("summary.json",):
        whole, killed = (json.loads((tmp_path / where / name).read_text()) for where in ("whole", "run"))
        assert {**whole, "wall_s": 0} == {**killed, "wall_s": 0}


def test_a_killed_run_resumes_with_another_number_of_workers(tmp_path, evonas):
    assert evonas("search", "genet", "--out", "whole", "--evaluations", "8", "--no-baseline", *TINY).returncode == 0
    process = start(tmp_path, "search", "genet", "--out", "run", "--evaluations", "8", "--no-baseline", *TINY)
    wait_for(tmp_path / "run", 2)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert evonas("resume", "run", "--workers", "2").returncode == 0
    assert outcomes(tmp_path / "run") == outcomes(tmp_path / "whole")


# ---- bad input: one line that says what to do, and the right exit code ---------------------------------------------


def refused(done, *says, code=2):
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line]
    assert len(lines) == 1, done.stderr
    for text in says:
        assert text in lines[0]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["decode", "genet", "1-01/1-01-10"], ["not a stage of 4 nodes", "looks like 0-00/0-00-000"]),
        (["decode", "genet", "1-01"], ["has 1 stages, not 2"]),
        (["decode", "genet", "1-0x/1-01-100"], ["'x' in stage 1", "use 0, 1 and -"]),
        (["decode", "genett", "1-01"], ["unknown system 'genett'", "did you mean genet?"]),
        (["decode", "genet", "1-01", "--input", "32x32"], ["write channels x height x width"]),
        (["decode", "genet", "1-01/1-01-100", "--png", "missing/x.png"], ["cannot write missing/x.png"]),
        (["search", "gannet"], ["unknown system 'gannet'"]),
        (["search", "genet", "--data", "cifar1"], ["unknown data set 'cifar1'", "cifar10"]),
        (["search", "genet", "--data", "none.npz"], ["none.npz: no such file"]),
        (["search", "genet", "--set", "popluation=3"], ["unknown setting 'popluation'", "did you mean population?"]),
        (["search", "genet", "--set", "population"], ["write NAME=VALUE"]),
        (["search", "genet", "--set", "population=x"], ["population is 'x'; use a whole number"]),
        (["search", "genet", "--set", "population=1"], ["population is 1"]),
        (["search", "genet", "--set", "mutation_rate=2"], ["use a probability between 0 and 1"]),
        (["search", "genet", "--set", "stages=3,0"], ["give each stage at least 1 node"]),
        (["search", "genet", "--set", "stages=0"], ["give each stage at least 1 node"]),
        (["search", "genet", "--set", "stages=3,3,3,3", "filters=4,4,4,4"], ["too small to be halved"]),
        (["search", "genet", "--set", "epochs=0"], ["epochs is 0; use at least 1"]),
        (["search", "genet", "--preset", "huge"], ["no preset 'huge'", "digits, small"]),
        (["search", "genet", "--evaluations", "0"], ["evaluations", "0 is not in the range"]),
        (["search", "genet", "--evaluations", "-3"], ["-3 is not in the range"]),
        (["search", "genet", "--time", "0s"], ["use more than 0"]),
        (["search", "genet", "--time", "soon"], ["write 90s, 10m or 1h30m"]),
        (["search", "genet", "--timeout", "0s"], ["use more than 0"]),
        (["search", "genet", "--workers", "0"], ["workers", "0 is not in the range"]),
        (["search", "genet", "--seed", "-1"], ["-1 is not in the range"]),
        (["search", "genet", "--out", "/dev/null/run"], ["cannot make the directory", "choose another --out"]),
        (["decode"], ["Missing argument 'SYSTEM|SPACE'"]),
        (["search", "genet", "--evaluation", "3"], ["No such option", "--evaluations"]),
        (["search", "genet", "--max-parameters", "many"], ["'many' is no count; write 200000, 200k or 20M"]),
        (["search", "genet", "--max-parameters", "100"], ["none of 5,000 random networks keeps the limits"]),
        (["search", "genet", "--objectives", "accuracy,size"], ["unknown objective 'size'"]),
        (["search", "genet", "--objectives", "accuracy,accuracy"], ["name each once"]),
        (["search", "genet", "--init", "1-01"], ["has 1 stages, not 2"]),
        (["search", "missing.py:Space"], ["missing.py: no such file"]),
        (["search", "json:Space"], ["there is no 'Space' in json"]),
        (["search", "no_such_module:Space"], ["no_such_module cannot be imported"]),
        (["train", "genet"], ["which network of genet? Give a code"]),
        (["train", "genet", "1-01"], ["has 1 stages, not 2"]),
        (["train", "genet", "1-01/1-01-100", "--recipe", "best"], ["unknown recipe 'best'", "genet-cifar10"]),
        (["train", "nowhere", "3"], ["unknown system 'nowhere'"]),
        (["export", "nowhere", "--to", "x"], ["nowhere holds no run"]),
        (["export", "nowhere"], ["Missing option '--to'"]),
        (["show", "nowhere"], ["nowhere holds no run"]),
        (["resume", "nowhere"], ["nowhere holds no run"]),
        (["plot", "nowhere"], ["nowhere holds no run"]),
        (["sarch"], ["No such command 'sarch'"]),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(evonas, tmp_path, arguments, says):
    refused(evonas(*arguments), *says)
    assert not (tmp_path / "runs").exists()


CODE = "1-01/1-01-100"
PLACES = {
    "search data": ["search", "genet", "--data", "{}"],
    "search data-dir": ["search", "genet", "--data", "mnist", "--data-dir", "{}"],
    "search out": ["search", "genet", "--out", "{}"],
    "search space": ["search", "{}.py:Space"],
    "search strategy": ["search", "genet", "--strategy", "{}.py:Climb"],
    "search task": ["search", "genet", "--data", "{}.py:Task"],
    "search hostfile": ["search", "genet", "--executor", "scoop", "--hostfile", "{}"],
    "resume": ["resume", "{}"],
    "status": ["status", "{}"],
    "show": ["show", "{}"],
    "show png": ["show", ".", "0", "--png", "{}"],
    "plot": ["plot", "{}"],
    "train": ["train", "{}"],
    "train data": ["train", "genet", CODE, "--data", "{}"],
    "train out": ["train", "genet", CODE, "--out", "{}"],
    "export": ["export", "{}", "--to", "x"],
    "export to": ["export", ".", "--to", "{}"],
    "decode png": ["decode", "genet", CODE, "--png", "{}"],
    "compare table": ["compare", "--space", "nasbench201", "--table", "{}"],
    "compare out": ["compare", "--space", "genet", "--out", "{}"],
    "compare png": ["compare", "--space", "genet", "--png", "{}"],
}


@pytest.mark.parametrize(
    ("name", "why"),
    [("x" * 300, "File name too long"), ("~nosuchuser/x", "Could not determine home directory")],
    ids=["long", "user"],
)
@pytest.mark.parametrize("arguments", PLACES.values(), ids=PLACES)
def test_what_can_be_no_path_is_one_line_and_exit_code_2(evonas, tmp_path, arguments, name, why):
    refused(evonas(*(word.format(name) for word in arguments)), "cannot be the path of a file", why)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")
@pytest.mark.parametrize("command", [["list"], ["show", "run"], ["show", "run", "--csv"]], ids=" ".join)
def test_standard_output_on_a_full_disk_is_one_line(finished, command):
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-m", "evonas", *command], stdout=full, stderr=subprocess.PIPE,
                              text=True, cwd=finished[0].parent, timeout=60)  # fmt: skip
    refused(done, "cannot write the output: No space left on device", code=1)


@pytest.mark.parametrize("after", ["| head -1", ">&-"])
def test_standard_output_that_is_closed_is_no_error(after):
    command = f"{sys.executable} -m evonas list {after}"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(("command", "code"), [(["list"], 0), (["show", "nowhere"], 2)], ids=["done", "refused"])
def test_a_thread_that_is_left_in_the_process_does_not_keep_the_command(tmp_path, command, code):
    script = ("import sys, threading, time; from evonas.commands.main import begin\n"
              "threading.Thread(target=time.sleep, args=(1000,)).start()\n"
              f"sys.argv = ['evonas', *{command}]; begin()")  # fmt: skip
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=30)
    assert done.returncode == code
    assert done.stdout or "nowhere holds no run" in done.stderr


def npz(path, **changes):
    x, y = np.zeros((20, 8, 8), np.uint8), np.arange(20) % 2
    arrays = {"x_train": x, "y_train": y, "x_test": x, "y_test": y} | changes
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"y_test": None}, "y_test missing"),
        ({"y_train": np.arange(19) % 2}, "20 images in x_train but 19 labels"),
        ({"y_test": np.full(20, 7)}, "y_test holds label 7"),
        ({"y_train": np.arange(20) % 2 - 1}, "negative label -1"),
        ({"x_train": np.zeros((20, 64), np.uint8)}, "N x H x W"),
        (
            {"x_train": np.zeros((20, 2, 2), np.uint8), "x_test": np.zeros((20, 2, 2), np.uint8)},
            "too small to be halved",
        ),
    ],
)
def test_an_npz_that_cannot_be_used_is_one_line_and_exit_code_2(evonas, tmp_path, changes, says):
    npz(tmp_path / "mine.npz", **changes)
    refused(evonas("search", "genet", "--data", "mine.npz"), says)


def test_a_directory_that_holds_another_run_is_left_alone(finished, evonas):
    directory, _ = finished
    before = (directory / "journal.jsonl").read_bytes()
    refused(evonas("search", "genet", "--out", directory), "holds a run already", "evonas resume")
    assert (directory / "journal.jsonl").read_bytes() == before


@pytest.mark.parametrize("command", [["show"], ["train"], ["export", "--to", "x"]], ids=["show", "train", "export"])
def test_an_id_that_does_not_exist_is_one_line(finished, evonas, command):
    name, *options = command
    refused(evonas(name, finished[0], 99, *options), "has no individual 99: ids are 0 to", "evonas show")


def test_an_individual_without_a_final_training_is_not_exported(finished, evonas):
    winner = next(event for event in events(finished[0], "asked") if event["role"] == "winner")
    other = next(event["id"] for event in events(finished[0], "asked") if event["genome"] != winner["genome"])
    refused(evonas("export", finished[0], other, "--to", "x"), f"individual {other} has no trained network yet")


def test_a_picture_of_no_individual_in_particular_is_refused(finished, evonas):
    refused(evonas("show", finished[0], "--png", "x.png"), "say which: evonas show DIR ID --png FILE")


def test_an_edited_journal_is_refused_by_line(finished, evonas, tmp_path):
    directory, _ = finished
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "config.json").write_bytes((directory / "config.json").read_bytes())
    lines = (directory / "journal.jsonl").read_text().splitlines(keepends=True)
    lines[4] = lines[4].replace('"id": ', '"id": 1')
    (copy / "journal.jsonl").write_text("".join(lines))
    refused(evonas("resume", copy), "line 5: changed after it was written")


@pytest.mark.slow
def test_a_full_disk_fails_in_one_line_and_the_run_goes_on_when_there_is_room(tmp_path, evonas):
    arguments = ["search", "genet", "--out", "run", "--evaluations", "8", "--no-baseline", *TINY]

    def limited():  # a file may not grow beyond this: a stand-in for a disk that is full
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))

    command = [sys.executable, "-m", "evonas", *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=240, preexec_fn=limited)
    refused(done, "cannot write", "journal.jsonl", "everything told so far is kept", "evonas resume run", code=1)
    told = [line for line in (tmp_path / "run" / "journal.jsonl").read_text().splitlines() if '"told"' in line]
    assert told
    assert evonas("resume", "run").returncode == 0
    assert (tmp_path / "run" / "journal.jsonl").read_text().splitlines()[: len(told)]
    assert evonas("search", "genet", "--out", "whole", "--evaluations", "8", "--no-baseline", *TINY).returncode == 0
    assert outcomes(tmp_path / "run") == outcomes(tmp_path / "whole")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_directory_without_write_permission_is_one_line(tmp_path, evonas):
    (tmp_path / "closed").mkdir(mode=0o500)
    refused(
        evonas("search", "genet", "--out", "closed"),
        "cannot write into closed: Permission denied",
        "choose another --out",
    )


def test_a_time_limit_that_nothing_meets_fails_in_one_line(tmp_path, evonas):
    done = evonas("search", "genet", "--out", "run", "--timeout", "0.0001s", *TINY)
    refused(done, "first 10 evaluations have all failed", "over its time limit", code=1)
    assert all(event["status"] == "failed" for event in events(tmp_path / "run", "told"))
