"""What rankings by proxies are worth: statistics, words, a table and a picture for each of them beside the others."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from math import isfinite, isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evonas import plots
from evonas.comparison.ranks import (
    STEP,
    Tau,
    best_share,
    choice,
    percentiles,
    regret,
    sparse_tau,
    within,
)
from evonas.evaluation.table import Metric
from evonas.graph import Graph
from evonas.plots.style import png
from evonas.support.files import write_bytes, write_json, write_text
from evonas.support.streams import number
from evonas.support.text import probability

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHARED, UNTRAINED = "shared weights", "untrained"
SIZES: dict[str, Callable[[Graph], int]] = {
    "multiply-adds": lambda graph: graph.multiply_adds,
    "parameters": lambda graph: graph.parameters,
    "layers": lambda graph: layers(graph),
}
STRATA = "multiply-adds"
SMALL = 10  # genomes below which a tau says next to nothing


def layers(graph: Graph) -> int:
    """Convolutions and linear layers: the operations that have multiply-adds."""
    return sum(op.multiply_adds(shape) > 0 for node in graph.nodes for op, shape in graph.chain(node))


@dataclass(frozen=True, eq=False)
class Sample:
    """Genomes, with what each is worth in truth and by each proxy. Of all values more is better."""

    codes: Sequence[str]
    true: np.ndarray
    proxies: Mapping[str, np.ndarray]

    def only(self, places: Sequence[int] | np.ndarray) -> Sample:
        proxies = {name: values[places] for name, values in self.proxies.items()}
        return Sample([self.codes[place] for place in places], self.true[places], proxies)


@dataclass(frozen=True, eq=False)
class Ranking:
    """How well a supernet ranks genomes, beside other proxies.

    truth        what true values are
    metric       of true values
    by           the metric by which supernets judge
    sample       of the whole space
    top          of the best tenth of a table; None: there is none that has every genome
    everything   the true values of the whole space, as far as they are known
    seed         of intervals
    failed       code -> why a genome has no value; it is left out
    """

    title: str
    truth: str
    metric: Metric
    by: Metric
    sample: Sample
    top: Sample | None
    everything: np.ndarray
    seed: int
    failed: Mapping[str, str]
    directory: Path

    @cached_property
    def found(self) -> dict[str, dict[str, Any]]:
        """By proxy, what its ranking is worth."""
        return {name: self._of(name) for name in self.sample.proxies}

    def _of(self, name: str) -> dict[str, Any]:
        true, proxy = self.sample.true, self.sample.proxies[name]
        tenth = best_share(true)
        chosen = best_share(proxy)
        shares = [percentiles(self.everything, [value])[0] for value in choice(true, proxy)]
        least, median, largest = percentiles(self.everything, true[chosen])
        return {
            "tau": self._tau(true, proxy, name, "all"),
            "sparse_tau": sparse_tau(true, proxy),
            "best_tenth": self._tau(true[tenth], proxy[tenth], name, "tenth"),
            "best_tenth_of_table": None
            if self.top is None
            else self._tau(self.top.true, self.top.proxies[name], name, "table"),
            "equal_multiply_adds": asdict(within(true, proxy, self.sample.proxies[STRATA].tolist())),
            "regret": regret(true, proxy),
            "percentile": float(np.mean(shares)),
            "percentiles_of_top": {"count": len(chosen), "least": least, "median": median, "largest": largest},
        }

    def _tau(self, true: np.ndarray, proxy: np.ndarray, name: str, among: str) -> dict[str, Any]:
        return asdict(Tau.of(true, proxy, np.random.default_rng(number(self.seed, "tau", name, among))))

    def to_json(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "truth": self.truth,
            "genomes": len(self.sample.true),
            "seed": self.seed,
            "failed": dict(self.failed),
            "of_space": len(self.everything),
            "proxies": _plain(self.found),
            "said": self.said,
        }

    def rows(self) -> list[dict[str, str]]:
        """A row for each statistic, a column for each proxy."""
        points = self.metric.scale
        unit = f" ({self.metric.difference})" * bool(self.metric.difference)
        tenth = len(best_share(self.sample.true))
        cells: dict[str, Callable[[dict[str, Any]], str]] = {
            "Kendall's tau": lambda found: _shown(found["tau"]["value"]),
            "  95 % interval": lambda found: _span(found["tau"]),
            "  p of permutations": lambda found: probability(found["tau"]["p"]),
            f"tau, true values to {STEP:g}": lambda found: _shown(found["sparse_tau"]),
            f"tau of the best {tenth}": lambda found: _shown(found["best_tenth"]["value"]),
        }
        if self.top is not None:
            cells |= {
                f"tau of {len(self.top.true)} of the table's best tenth": lambda found: _shown(
                    found["best_tenth_of_table"]["value"]
                ),
                "  95 % interval of it": lambda found: _span(found["best_tenth_of_table"]),
            }
        cells |= {
            "tau at equal multiply-adds": lambda found: _shown(found["equal_multiply_adds"]["value"]),
            f"regret of its choice{unit}": lambda found: f"{points * found['regret']:.{self.metric.digits}f}",
            "its choice is in the best": lambda found: f"{found['percentile']:.1%}",
        }
        return [
            {"": label} | {name: cell(found) for name, found in self.found.items()} for label, cell in cells.items()
        ]

    @property
    def said(self) -> list[str]:
        """What the numbers do not say by themselves."""
        count, said = len(self.sample.true), []
        if count < SMALL:
            said.append(f"{count} genomes are few: where none are tied, their tau takes {count * (count - 1) // 2 + 1} "
                        f"values, and chance gives large ones; rank at least {SMALL}, better 100.")  # fmt: skip
        if self.failed:
            code, why = next(iter(self.failed.items()))
            said.append(f"{len(self.failed)} genomes have no value and are left out, such as {code}: {why}.")
        if np.ptp(self.sample.true) == 0:
            said.append("All true values are equal: nothing can be ranked.")
        for name, values in self.sample.proxies.items():
            if np.ptp(values) == 0:
                said.append(f"All are equal by {name}, which has no tau.")
        strata = self.found[SHARED]["equal_multiply_adds"]
        if strata["strata"]:
            said.append(f"Equal multiply-adds: {strata['count']} genomes in {strata['strata']} strata.")
        else:
            said.append("Equal multiply-adds: no ten genomes have them, with values that differ.")
        sizes = {name: self.found[name]["tau"]["value"] for name in SIZES}
        known = {name: value for name, value in sizes.items() if not isnan(value)}
        shared = self.found[SHARED]["tau"]["value"]
        if known and not isnan(shared) and (most := max(known, key=lambda name: known[name])):
            how = "better than" if known[most] > shared else "no better than"
            said.append(f"By size alone ({most}), tau is {known[most]:.2f}: {how} by the shared weights.")
        return said

    @property
    def heading(self) -> str:
        return f"{self.title}; in truth: {self.truth}"

    def figure(self) -> Figure:
        drawn = {"drawn from the whole space": self._dots(self.sample)}
        if self.top is not None:
            drawn["drawn from the table's best tenth"] = self._dots(self.top)
        names = {SHARED: f"by shared weights: validation {self.by}", STRATA: "multiply-adds"}
        taus = {name: self.found[name]["tau"]["value"] for name in (SHARED, STRATA)}
        unit = f" ({self.metric.unit})" * bool(self.metric.unit)
        return plots.ranking(drawn, names, taus, truth=f"in truth{unit}", title=self.heading)

    def _dots(self, sample: Sample) -> dict[str, np.ndarray]:
        return {
            "true": self.metric.scale * sample.true,
            SHARED: self.by.scale * sample.proxies[SHARED],
            STRATA: sample.proxies[STRATA],
        }

    def write(self) -> None:
        """tau.json, genomes.csv and tau.png into the directory."""
        write_json(self.directory / "tau.json", self.to_json())
        write_text(self.directory / "genomes.csv", _csv(self.sample, self.top))
        write_bytes(self.directory / "tau.png", png(self.figure()))


def _csv(sample: Sample, top: Sample | None) -> str:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(
        ["drawn_from", "code", "true", *(name.replace(" ", "_").replace("-", "_") for name in sample.proxies)]
    )
    for drawn_from, each in (("space", sample), ("best tenth", top)):
        if each is not None:
            columns = [each.codes, each.true.tolist(), *(values.tolist() for values in each.proxies.values())]
            table.writerows([drawn_from, *row] for row in zip(*columns, strict=True))
    return text.getvalue()


def _plain(value: Any) -> Any:
    """As JSON has it, which knows no nan."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return None if isinstance(value, float) and not isfinite(value) else value


def _shown(value: float) -> str:
    return "none" if isnan(value) else f"{value:.2f}"


def _span(found: Mapping[str, Any]) -> str:
    return "" if isnan(found["low"]) else f"{found['low']:.2f} to {found['high']:.2f}"
