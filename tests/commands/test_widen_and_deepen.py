"""evonas widen, deepen, and train on, as a user meets them."""

import shutil

import pytest
import torch

import evonas
from evonas.errors import UserError


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    settings = {"population": 2, "epochs": 1, "final.epochs": 2, "filters": (4, 6)}
    return evonas.search("genet", "digits", budget=2, settings=settings, workers=1, executor="serial", progress=False,
                         baseline=False, out=tmp_path_factory.mktemp("searched") / "run")  # fmt: skip


def test_a_layer_becomes_wider_and_the_network_computes_the_same(run, in_process, tmp_path):
    listed = in_process("widen", run.directory)
    assert "stage1/input.conv  4" in listed.stdout.splitlines()
    done = in_process("widen", run.directory, "stage1/input.conv", 9, "--to", tmp_path / "wider")
    assert done.returncode == 0
    assert "gives the same outputs (largest difference" in done.stdout
    assert f"evonas train {tmp_path / 'wider'}" in done.stdout
    before, after = run.best.trained(), evonas.TrainedNetwork.open(tmp_path / "wider")
    assert after.graph.parameters > before.graph.parameters
    assert f"{before.graph.parameters:,} -> {after.graph.parameters:,} parameters" in done.stdout
    x = torch.randn(8, 1, 8, 8)
    with torch.inference_mode():
        assert torch.allclose(after.network()(x), before.network()(x), atol=1e-5)
    assert after.test == before.test
    assert after.judgement.accuracy == before.judgement.accuracy


def test_new_channels_and_noise_are_what_they_are_called(run, in_process, tmp_path):
    in_process("widen", run.directory, "stage1/input.conv", 9, "--new", "--to", tmp_path / "new")
    said = in_process("widen", run.directory, "stage1/input.conv", 9, "--noise", 0.1, "--to", tmp_path / "noisy")
    assert "gives other outputs" in said.stdout
    assert "evonas evaluate" in said.stdout
    before, new, noisy = (
        evonas.TrainedNetwork.open(folder) for folder in (run.best.folder, tmp_path / "new", tmp_path / "noisy")
    )
    x = torch.randn(8, 1, 8, 8)
    with torch.inference_mode():
        outputs, same, other = (each.network()(x) for each in (before, new, noisy))
    assert torch.allclose(same, outputs, atol=1e-5)
    assert 1e-4 < (other - outputs).abs().max() < 1
    assert noisy.judgement is None  # what the test split would say of it is not known
    assert noisy.tested is None
    assert "unknown test accuracy" in repr(noisy)
    with pytest.raises(UserError, match="not the one that was tested; train it on with"):
        _ = noisy.test
    assert not [name for name in noisy.facts if name.startswith(("test_", "validation_"))]


def test_a_layer_is_inserted_and_the_network_is_trained_on_from_there(run, in_process, tmp_path):
    listed = in_process("deepen", run.directory)
    assert "stage1/input.relu  1, 3, 5" in listed.stdout.splitlines()
    folder = tmp_path / "deeper"
    done = in_process("deepen", run.directory, "stage1/input.relu", 3, "--to", folder)
    assert "gives the same outputs" in done.stdout
    before = run.best.trained()
    norm = evonas.TrainedNetwork.open(folder).weights()["stage1.input.batch_norm_2.running_mean"]
    assert norm.abs().max() > 0  # that of training pictures
    trained = in_process("train", folder, "--epochs", 1, "--set", "learning_rate=0.001", "warmup=0")
    assert trained.returncode == 0, trained.stderr
    further = evonas.TrainedNetwork.open(folder / "further")
    assert further.facts["recipe"]["learning_rate"] == 0.001
    assert further.facts["trained_on"] == "train+validation"  # which it had seen
    assert further.test > before.test - 0.05
    again = in_process("train", folder, "--epochs", 1, "--set", "learning_rate=0.001", "warmup=0", "--resume")
    assert again.returncode == 0
    from_scratch = evonas.train("genet", run.best.code, data="digits", epochs=1, out=tmp_path / "scratch",
                                settings={"filters": (4, 6)})  # fmt: skip
    assert further.test > from_scratch.test


def test_what_cannot_be_done_is_said_and_nothing_is_written(run, in_process, tmp_path):
    for arguments, words in (
        (("widen", run.directory, "stage1/input.conv", 3, "--to", tmp_path / "x"), "has 4 channels already"),
        (("widen", run.directory, "classifier.linear", 30, "--to", tmp_path / "x"), "the network's outputs"),
        (("widen", run.directory, "stage1/input.conv"), "--to FOLDER"),
        (("widen", run.directory, "stage1/input.conv", 8, "--to", run.directory), "holds something else"),
        (("deepen", run.directory, "stage1/input.conv", 3, "--to", tmp_path / "x"), "behind a ReLU"),
        (("deepen", run.directory, "nowhere.relu", 3, "--to", tmp_path / "x"), "no node 'nowhere'"),
        (("deepen", tmp_path / "nothing"), "holds no run"),
    ):
        done = in_process(*arguments)
        assert done.returncode == 2
        assert words in done.stderr
    assert not (tmp_path / "x").exists()


def test_a_network_apart_from_its_run_is_trained_on_data_that_are_named(run, in_process, tmp_path):
    shutil.copytree(run.best.folder, tmp_path / "alone")
    refused = in_process("train", tmp_path / "alone", "--epochs", 1)
    assert "does not say on which data" in refused.stderr
    unknown = in_process("train", tmp_path / "alone", "--data", "digits", "--set", "rate=3")
    assert "unknown setting 'rate'" in unknown.stderr
    done = in_process("train", tmp_path / "alone", "--data", "digits", "--epochs", 1, "--out", tmp_path / "on")
    assert done.returncode == 0, done.stderr
    assert evonas.TrainedNetwork.open(tmp_path / "on").facts["epochs"] == 1
