"""Which of many candidates, whose worth is only predicted, a progressive search trains: the best (PNAS), or those of
the first fronts of worth and cost (DPP-Net)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evonas.errors import UserError
from evonas.individual import Individual, by_id, judge
from evonas.objectives import COSTS
from evonas.space import Genome, Space
from evonas.strategies.survival import sel_nsga2
from evonas.support.device import torch_threads
from evonas.support.files import read_json, write_json

if TYPE_CHECKING:
    from evonas.graph import Graph
    from evonas.latency import LatencyTable

LATENCIES = "latencies.json"  # of the run's directory: code -> ms, as measured before anything was trained


class Choice(ABC):
    """What a progressive search makes of its predictions.

    __call__(candidates, predicted, k, fits)  the places of at most k candidates that fit, in the order in which they
                                              are trained; predicted: the worth of each, the more the better
    """

    @abstractmethod
    def __call__(
        self, candidates: Sequence[Individual], predicted: np.ndarray, k: int, fits: Callable[[Genome], bool]
    ) -> list[int]: ...

    def check(self, objectives: Mapping[str, float]) -> None:  # noqa: B027  most look at the first objective alone
        """Raises UserError where it cannot choose for these."""

    def prepare(self, bench: Any, folder: Path | None = None) -> None:  # noqa: B027  likewise
        """As of `Strategy`."""


class Best(Choice):
    """The best ones (Liu et al. 2018, "Progressive Neural Architecture Search", arXiv:1712.00559, algorithm 1, line 9).
    Only as many are held against the limits as it takes."""

    def __call__(
        self, candidates: Sequence[Individual], predicted: np.ndarray, k: int, fits: Callable[[Genome], bool]
    ) -> list[int]:
        order = (int(place) for place in np.argsort(-predicted, kind="stable"))
        return list(islice((place for place in order if fits(candidates[place])), k))


class ParetoOptimal(Choice):
    """Whole fronts of predicted worth and of costs, and of the last front that has a place the least crowded ones (Dong
    et al. 2018, "DPP-Net", arXiv:1806.08198, step "select"). Candidates over a limit are left out beforehand.

    space   of the candidates, which are decoded
    costs   what a network costs, with its weight, negative where less is better: parameters, multiply_adds, latency.
            None given: those of a run's objectives that stand behind the first. Without any the best are chosen

    The latency is read in the table of the run's limits, or else measured: ms of a forward pass of one image on the
    device of the run, for every candidate, by its untrained network in the form that it would have after its training.
    A run keeps what was measured (latencies.json), so that it goes on as it began. The paper does not say how the last
    front is cut; this is NSGA-II's way.
    """

    def __init__(self, space: Space, costs: Mapping[str, float] | None = None) -> None:
        self.space = space
        self.costs = dict(costs or {})
        self.device, self.precision = "cpu", "float32"
        self.table: LatencyTable | None = None
        self.measured: dict[str, float] = {}
        self.path: Path | None = None

    def check(self, objectives: Mapping[str, float]) -> None:
        for name in list(objectives)[1:]:
            if name not in COSTS:
                raise UserError(f"{name} of a network is known after its training alone, and this search chooses "
                                f"before it; use {', '.join(COSTS)}, or another strategy")  # fmt: skip

    def prepare(self, bench: Any, folder: Path | None = None) -> None:
        self.costs = self.costs or dict(list(bench.objectives.items())[1:])
        self.device, self.precision, self.table = bench.device, bench.precision, bench.limits.table
        self.path = None if folder is None else folder / LATENCIES
        if self.path is not None and self.path.exists():
            self.measured = read_json(self.path)

    def __call__(
        self, candidates: Sequence[Individual], predicted: np.ndarray, k: int, fits: Callable[[Genome], bool]
    ) -> list[int]:
        if not self.costs:
            return Best()(candidates, predicted, k, fits)
        points: list[Individual] = []
        weights = (1.0, *self.costs.values())
        for place, candidate in enumerate(candidates):
            if fits(candidate):
                costs = self._costs(candidate)
                candidate.proposal |= costs
                point = Individual(candidate)
                point.id = place
                judge(point, (float(predicted[place]), *costs.values()), weights)
                points.append(point)
        if self.path is not None and self.measured:
            write_json(self.path, self.measured)
        return [by_id(point) for point in sel_nsga2(points, k)]

    def _costs(self, genome: Genome) -> dict[str, float]:
        graph = self.space.decode(genome)
        return {
            name: self._latency(genome, graph) if name == "latency" else getattr(graph, name) for name in self.costs
        }

    def _latency(self, genome: Genome, graph: Graph) -> float:
        if self.table is not None:
            return self.table.of(graph)
        import torch

        from evonas.network import build
        from evonas.training.latency import latency

        code = self.space.format(genome)
        if code not in self.measured:
            with torch_threads(1):
                network = build(graph.simplified())
                network.to(device=self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
                image = torch.zeros(1, *graph.input_shape, device=self.device)
                image = image.to(memory_format=torch.channels_last) if image.dim() == 4 else image
                self.measured[code] = latency(network, image, precision=self.precision)
        return self.measured[code]
