"""GDAS: one operation an edge, and the gradient of its choice (Dong and Yang 2019)."""

import re

import pytest
import torch
from benches import CELLS, SHAPE, SMALL, batch, bench, policy

from evonas.genomes.nasbench_macro import NASBenchMacroSpace
from evonas.network import build
from evonas.supernets.training import SupernetTraining


def ran(supernet, route, x):
    """(edge, operation) of the candidates that compute something on a route, `none` aside."""
    seen = []
    hooks = [
        module.register_forward_hook(lambda module, args, out: seen.append(module.node) if out is not None else None)
        for module in supernet.modules()
        if hasattr(module, "node")
    ]
    supernet(x, route)
    for hook in hooks:
        hook.remove()
    own = (name for name in seen if "+" not in name)  # what several begin with is nobody's
    found = (re.match(r"(cell\d/\d-\d)/(\w+)", name) for name in own)
    return {each.groups() for each in found if each and each[2] != "none"}


def test_one_operation_an_edge_runs_whatever_the_batch(device):
    chosen, supernet = policy("gdas", CELLS).to(device), build(CELLS.decode(CELLS.open())).to(device)
    cells = {"normal": 1, "reduce": 2}  # of three
    for size in (2, 5):
        route = chosen.route()
        seen = ran(supernet, route, torch.randn(size, *SHAPE, device=device))
        drawn = {name: next(iter(of)) for name, of in route.items()}
        assert len(drawn) == 28
        assert len(seen) == sum(cells[name.split("/")[0]] for name, operation in drawn.items() if operation != "none")
        assert len({edge for edge, _ in seen}) == len(seen)


def test_what_gdas_draws_is_one_in_value_and_follows_the_softmax_at_any_temperature(device):
    chosen = policy("gdas", SMALL).to(device)
    with torch.no_grad():
        chosen.alpha.copy_(torch.tensor([0.5, -0.5, 0.0, 1.0, -1.0], device=device).expand(6, 5))
    for temperature in (10.0, 0.1):
        chosen.temperature = temperature
        counts = torch.zeros(5, dtype=torch.float64)
        for _ in range(1500):
            route = chosen.route()
            for of in route.values():
                ((option, h),) = of.items()
                assert h.item() == 1.0
                counts[chosen.options[0].index(option)] += 1
        expected = chosen.probabilities()[0].detach().cpu().double() * counts.sum()
        assert ((counts - expected) ** 2 / expected).sum().item() < 18.5


def test_the_worked_gradient_of_gdas(monkeypatch, device):
    chosen = policy("gdas", NASBenchMacroSpace((1,), 4, 8, SHAPE)).to(device)
    with torch.no_grad():
        chosen.alpha.zero_()
    logits = torch.tensor([[1.0, 0.0, -1.0]], device=device)
    monkeypatch.setattr(chosen, "gumbel", lambda: logits - chosen.logits.log_softmax(1).detach())
    chosen.temperature = 1.0
    (of,) = chosen.route().values()
    ((option, h),) = of.items()
    assert option == 0
    (gradient,) = torch.autograd.grad(2 * h, chosen.alpha)
    p = torch.tensor([0.6652, 0.2447, 0.0900])
    by_noisy = 2 * p[0] * (torch.tensor([1.0, 0.0, 0.0]) - p)
    assert by_noisy.tolist() == pytest.approx([0.4454, -0.3256, -0.1198], abs=1e-3)
    assert gradient[0].tolist() == pytest.approx(by_noisy.tolist(), abs=1e-3)  # a log-softmax does not change it
    assert gradient.sum().item() == pytest.approx(0, abs=1e-6)


def test_the_temperature_of_gdas():
    chosen = policy("gdas", SMALL)
    found = []
    for epoch in (0, 124, 249):
        chosen.begin(epoch, 250)
        found.append(chosen.temperature)
    assert found == pytest.approx([10, 5.07, 0.1], abs=5e-3)


def test_gdas_moves_the_weights_before_alpha(monkeypatch, device):
    chosen = policy("gdas", SMALL).to(device)
    order = []
    training = SupernetTraining(SMALL.decode(SMALL.open()), bench(device))
    monkeypatch.setattr(training, "descend", lambda batch, route: order.append("w") or torch.zeros(()))
    monkeypatch.setattr(chosen, "learn", lambda gradients: order.append("alpha"))
    some = batch(device, 8)
    chosen.step(training, some, lambda: some)
    assert order == ["w", "alpha"]
    order.clear()
    first = policy("darts", SMALL).to(device)
    monkeypatch.setattr(first, "learn", lambda gradients: order.append("alpha"))
    first.step(training, some, lambda: some)
    assert order == ["alpha", "w"]
