"""Settings that no search can have are refused by name, whichever system has them, before anything is written."""

import re

import pytest

import evonas
from evonas.errors import UserError
from evonas.genomes.nasbench_macro import NASBenchMacroSpace

OWN = NASBenchMacroSpace((1, 1), 4, 8, (1, 8, 8))
GENERATIONS = [{"population": 1}, {"generations": -1}]
STEADY = [{"population": 0}, {"strategy.evaluations": 0}]
CONTROLLER = [
    {"strategy.evaluations": 0}, {"batch": 0}, {"units": 0}, {"strategy.learning_rate": -1}, {"decay": 1},
    {"decay": -0.1}, {"entropy": -1},
]  # fmt: skip
PPO = [*CONTROLLER, {"passes": 0}, {"clip": 0}, {"clip": 1}]
Q_LEARNING = [{"strategy.evaluations": 0}, {"rate": 0}, {"rate": 2}, {"discount": 2}, {"discount": -1}, {"replays": -1}]
WRONG = {
    "genet": [*GENERATIONS, *({rate: value} for value in (-0.1, 1.1) for rate in (
        "crossover_rate", "mutation_rate", "stage_swap_rate", "bit_flip_rate"))],
    "nsga-net": [*GENERATIONS, {"crossover_rate": -0.1}, {"crossover_rate": 1.1}],
    "own": [*GENERATIONS, *({rate: value} for value in (-0.1, 1.1) for rate in (
        "crossover_rate", "mutation_rate", "change_rate", "swap_rate"))],
    "evonas": [{"initial": 0}, {"spread": -1}, {"trust": 1.1}, {"strategy.evaluations": -1}, {"space.kernels": 2},
               {"space.blocks": "plain"}],
    "amoebanet": [*STEADY, {"sample": 0}, {"identity": 1.1}],
    "hierarchical": [*STEADY, {"mutations": -1}, {"share": 0}, {"share": 1.1}],
    "large-scale": [*STEADY, {"population": 1}, {"mutations": 0}, {"resets": (0,)}],
    "nash": [{"steps": 0}, {"neighbours": 1}, {"mutations": 0}, {"edits": -1}, {"kernels": 4}, {"factors": 1},
             {"kinds": "shrink"}, {"parts": 1}, {"noise": -0.1}, {"start": "conv"}, {"space.widths": 0}],
    "eas": [{"batch": 0}, {"wider": -1}, {"deeper": -1}, {"strategy.learning_rate": 0}, {"decay": 0}, {"entropy": -1},
            {"strategy.evaluations": 0}, {"space.sizes": 0}],
    "path-level-eas": [{"batch": 0}, {"strategy.learning_rate": 0}, {"decay": 0}, {"entropy": -1}, {"units": 0},
                       {"largest_norm": 0.0}, {"strategy.evaluations": 0}, {"depth": 5}, {"edges": "conv9"},
                       {"noise": 1.0}, {"imitation": -1}, {"first_epochs": -1}, {"start": "conv8-fc8"}],
    "nasnet": PPO,
    "mnasnet": [*PPO, {"strategy.learning_rate": 0}],
    "nas-rl": [*CONTROLLER, {"strategy.learning_rate": 0}],
    "pnas": [{"beam": 0}, {"smallest": -1}, {"sizes": -1}, {"members": 0}, {"predictor": "gru"}, {"space.blocks": 6}],
    "dpp-net": [{"beam": 0}, {"smallest": -1}, {"sizes": -1}, {"members": 0}, {"space.layers": 1}, {"growth": 6}],
    "metaqnn": [*Q_LEARNING, {"schedule": "slow"}],
    "n2n": [{"fewest": 0}, {"strategy.evaluations": 0}, {"batch": 0}, {"units": 0}, {"removal": 1.5},
            {"removal_rate": 0.0}, {"shrinkage_rate": 0.0}, {"variant": "paper"}, {"min_relative": -0.1},
            {"multipliers": (0.5,)}],
    "nao": [{"initial": 0}, {"seeds": 0}, {"new": 0}, {"eta": 0.0}, {"trade_off": 1.1}, {"dropout": 1.0},
            {"strategy.layers": -1}, {"strategy.epochs": 0}, {"strategy.evaluations": 0}],
    "spos": [*GENERATIONS, {"parents": 0}, {"bins": -1}, {"space.channels": (16, 16)}, {"space.dropout": 1.0}],
    "setn": [{"candidates": 0}],
    "fairnas": [*GENERATIONS, {"space.strides": (1, 3)}, {"space.dropout": 1.0}],
    "fbnet": [{"unit": 0}, {"scale": 0}, {"power": -1}, {"hot": 0}, {"cooling": -1}, {"beginning": -1}, {"drawn": -1},
              {"space.strides": (1, 3)}],
    "proxylessnas": [{"unit": 0}, {"mode": "half"}, {"term": "add"}, {"reference": -1}, {"scale": 0}, {"power": -1},
                     {"share": -1}, {"interval": 0}, {"space.dropout": 1.0}],
    "pc-nas": [{"pool": 0}, {"completions": 0}, {"interval": 0}],
    "nsas": [{"beta": 1.1}, {"constraints": 0}, {"recent": 0}, {"strategy.evaluations": 0}, {"supernet_layers": -1}],
    "one-shot": [{"strategy.evaluations": 0}, {"cells": 2}, {"space.channels": 0}, {"space.blocks": 9},
                 {"supernet_channels": -1}, {"dropped": -0.1}, {"dropped": 1}, {"ghost": 1}],
    "mask-connect": [{"rate": 0.0}, {"fan_in": 0}, {"space.widths": (16, 8)}, {"space.modules": 0}],
    "das": [{"rate": 0.0}, {"threshold": 0.0}, {"sparsity": -1.0}, {"eta": -1.0}, {"patterns": -1},
            {"sizes": (0, 5, 3)}, {"strides": (1, 2)}],
    "block-qnn": [*Q_LEARNING, {"flops_weight": -1}, {"density_weight": -1}],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "settings"), [pytest.param(name, each, id=f"{name}-{each}") for name in WRONG for each in WRONG[name]]
)
def test_a_setting_out_of_its_range_is_refused_by_name(name, settings, tmp_path):
    ((setting, value),) = settings.items()
    what = OWN if name == "own" else name
    with pytest.raises(UserError, match=rf"{setting.rpartition('.')[2]}.*{re.escape(str(value))}.*(use|give)"):
        evonas.search(what, "digits", settings=settings, out=tmp_path / "run", progress=False, budget=1)
    assert not (tmp_path / "run").exists()
