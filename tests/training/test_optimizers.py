"""Optimizers without PyTorch's compiler."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn, optim

from evonas.training import optimizers

KINDS = {
    "SGD": {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 1e-3, "fused": True},
    "Adam": {"lr": 0.01, "weight_decay": 1e-3, "fused": True},
    "RMSprop": {"lr": 0.01, "alpha": 0.9, "momentum": 0.9},
}


def stepped(kind, options, *, through=None):
    """The weights after six steps; after three of them the state goes `through` an optimizer of this class."""
    torch.manual_seed(0)
    network = nn.Linear(5, 3)
    optimizer = kind(network.parameters(), **options)
    for number in range(6):
        if number == 3 and through is not None:
            state = optimizer.state_dict()
            optimizer = through(network.parameters(), **options)
            optimizer.load_state_dict(state)
        optimizer.zero_grad(set_to_none=True)
        network(torch.randn(4, 5)).square().sum().backward()
        optimizer.step()
    return torch.cat([weight.detach().flatten() for weight in network.parameters()])


@pytest.mark.parametrize("name", KINDS)
def test_steps_are_those_of_pytorch_to_the_bit(name):
    ours, theirs = getattr(optimizers, name), getattr(optim, name)
    assert issubclass(ours, theirs)
    expected = stepped(theirs, KINDS[name])
    assert torch.equal(stepped(ours, KINDS[name]), expected)


@pytest.mark.parametrize("name", KINDS)
def test_states_go_from_one_to_the_other(name):
    ours, theirs = getattr(optimizers, name), getattr(optim, name)
    expected = stepped(theirs, KINDS[name])
    assert torch.equal(stepped(ours, KINDS[name], through=theirs), expected)
    assert torch.equal(stepped(theirs, KINDS[name], through=ours), expected)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop"])
def test_a_training_loads_no_compiler(optimizer):
    """Nor scikit-learn: both take as long as PyTorch itself, in each worker."""
    code = f"""
import sys
from evonas.data.sources import Source
from evonas.evaluation import Candidate
from evonas.evaluation.training import Training
from evonas.genomes.genet import DIGITS
from evonas.recipe import Recipe
from evonas.tasks.classification import ImageClassification
recipe = Recipe(epochs=1, learning_rate=0.01, optimizer={optimizer!r})
outcome = Training(ImageClassification(Source("digits")), recipe, seed=0)(Candidate((1,) * 9, DIGITS))
assert not outcome.failed, outcome.error
print([name for name in ("torch._dynamo", "sklearn") if name in sys.modules])
"""
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False
    )
    assert run.stdout.strip() == "[]", run.stderr


def test_no_gradient_is_kept_of_a_step():
    weight = nn.Parameter(torch.ones(2))
    optimizer = optimizers.SGD([weight], lr=0.1)
    weight.sum().backward()
    optimizer.step()
    assert weight.is_leaf
    assert weight.tolist() == pytest.approx([0.9, 0.9])
