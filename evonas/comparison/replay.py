"""Rules that stop trainings early, on curves that are known to their end: what they save, and what they lose."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from evonas import plots
from evonas.comparison.trials import divided
from evonas.curves.model import Curve
from evonas.curves.table import read_curves
from evonas.errors import UserError
from evonas.evaluation.stored import StoredCurves
from evonas.executors import Processes, Serial
from evonas.fidelity.scheduler import Scheduler
from evonas.individual import Individual
from evonas.ranking import rank_correlation
from evonas.run.arguments import holds_run
from evonas.run.budget import Budget
from evonas.run.journal import Unwritten
from evonas.run.loop import Loop
from evonas.run.phase import Phase
from evonas.run.store import Run
from evonas.run.trainings import Trainings
from evonas.strategies.first import First
from evonas.support.device import cores
from evonas.support.files import place
from evonas.support.streams import stream
from evonas.systems import registry

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NORMAL_90 = statistics.NormalDist().inv_cdf(0.95)
FEATURES = ("parameters", "multiply_adds")  # of the measures of a run's networks


@dataclass(frozen=True)
class Stored:
    """Complete curves of one length, from a file or a run.

    seconds    of an epoch of each training; (): not known
    left_out   curves that do not come to the end, and so cannot be replayed
    """

    name: str
    curves: Sequence[Curve]
    seconds: Sequence[float] = ()
    left_out: int = 0

    @property
    def epochs(self) -> int:
        return len(self.curves[0].values)

    @classmethod
    def of(cls, name: str, curves: Sequence[Curve], seconds: Sequence[float] = ()) -> Stored:
        """Those that come to the end, which is that of the longest. Raises UserError where there are too few."""
        epochs = max((len(curve.values) for curve in curves), default=0)
        whole = [number for number, curve in enumerate(curves) if len(curve.values) == epochs]
        if epochs < 2 or len(whole) < 2:
            raise UserError(f"{name} has {len(whole)} curves of {epochs} epochs; give at least two complete curves of "
                            "at least two epochs")  # fmt: skip
        took = [seconds[number] for number in whole] if seconds else ()
        return cls(name, [curves[number] for number in whole], took, len(curves) - len(whole))

    @classmethod
    def read(cls, path: str | Path) -> Stored:
        """The curves of a file (`evonas.curves.table`) or of the search of a run. Raises UserError where there are
        none."""
        if not holds_run(path):
            return cls.of(Path(path).name.removesuffix(".gz").removesuffix(".csv"), read_curves(place(path)))
        run = Run.open(place(path))
        if next(iter(run.config.objectives.values())) < 0:
            raise UserError(f"{path}: its first objective is minimised, and rules stop trainings whose metric is low")
        told = [record for record in run.records() if record["phase"] == "search" and record.get("status") == "full"
                and record.get("curve") and not record["reused"]]  # fmt: skip
        curves = [
            Curve(
                tuple(record["curve"]),
                tuple(record.get("losses", ())),
                tuple((name, record["measures"][name]) for name in FEATURES if name in record["measures"]),
            )
            for record in told
        ]
        return cls.of(run.directory.name, curves, [r["cost"]["seconds"] / max(r["cost"]["epochs"], 1) for r in told])


@dataclass(frozen=True)
class Replayed:
    """One rule on the curves, in one order.

    epochs    that it has trained; seconds: likewise; 0: the curves do not say
    regret    of the best of those that it has trained to the end, to the best of all
    rank      Spearman's correlation of the fitnesses that it gives with the values at the end; nan: there is none
    errors    of forecasts, as (value at the end - mean) / std
    full      how many came to their end
    """

    epochs: int
    seconds: float
    regret: float
    rank: float
    errors: tuple[float, ...]
    full: int

    @property
    def kept(self) -> bool:
        """Whether the best of all, or one that equals it, came to its end."""
        return self.regret == 0


def replay(stored: Stored, scheduler: Scheduler, rng: Random, trainings: int | None = None) -> Replayed:
    """A rule on the curves, which arrive in an order that is drawn: the loop of a search in which nothing is trained,
    with one worker.

    trainings   so many of them, drawn; None: all
    """
    evaluator = StoredCurves(stored.curves, stored.epochs, stored.seconds)
    order = rng.sample(range(len(stored.curves)), trainings or len(stored.curves))
    strategy = First([Individual((number,)) for number in order])
    phase = Phase("replay", strategy, evaluator, trainings=Trainings(scheduler, features=evaluator.features))
    Loop(Unwritten(), Serial(), 1).run(phase, Budget())
    ends = {number: stored.curves[number].values[-1] for number in order}
    told = [(ends[individual[0]], outcome) for individual, outcome in phase.told()]
    forecasts = [(end, *outcome.forecast) for end, outcome in told if outcome.forecast is not None]
    full = [end for end, outcome in told if outcome.status == "full"]
    return Replayed(
        epochs=phase.epochs,
        seconds=phase.seconds if stored.seconds else 0.0,  # else those of looking it up
        regret=max(ends.values()) - max(full, default=-math.inf),
        rank=rank_correlation([outcome.values[0] for _, outcome in told], [end for end, _ in told]),
        errors=tuple((end - mean) / std for end, mean, std, _ in forecasts if std > 0),
        full=len(full),
    )


def replay_all(
    curves: str | Path,
    *,
    rules: str | None = None,
    trainings: int | None = None,
    seeds: int = 5,
    first_seed: int = 0,
    workers: int | None = None,
) -> Comparison:
    """Rules on stored curves, each with every seed, by which the order of the trainings is drawn.

    curves      a file (`evonas.curves.table`) or the directory of a run
    rules       by their names, which `evonas list` shows, with settings: "asha:eta=3,least=2,baker"; None: `usual`
    trainings   so many of them, drawn by each seed; None: all
    first_seed  others than those that are reported are to choose settings by

    Raises UserError for what cannot be used.
    """
    stored = Stored.read(curves)
    texts = read_rules(rules) if rules is not None else usual(stored.epochs)
    for text in texts:
        registry.scheduler(text, stored.epochs)  # raises for what cannot be
    if trainings is not None and not 2 <= trainings <= len(stored.curves):
        raise UserError(
            f"trainings is {trainings}; {stored.name} has {len(stored.curves)}, of which at least 2 are used"
        )
    if seeds < 1 or first_seed < 0:
        raise UserError(f"seeds is {seeds} and first_seed {first_seed}; use at least 1, and 0 or more")
    numbers = range(first_seed, first_seed + seeds)
    workers = min(workers or cores(), seeds * len(texts))
    executor = Processes(workers) if workers > 1 else Serial()
    try:
        running = {text: [executor.submit(_one, stored, text, seed, trainings) for seed in numbers] for text in texts}
        found = {text: [future.result() for future in futures] for text, futures in running.items()}
    finally:
        executor.shutdown()
    return Comparison(stored, found, trainings or len(stored.curves))


def _one(stored: Stored, text: str, seed: int, trainings: int | None) -> Replayed:
    return replay(stored, registry.scheduler(text, stored.epochs), stream(seed, "replay"), trainings)


def usual(epochs: int) -> list[str]:
    """The rules that are held against each other where nobody says which: those that learn nothing, and the quick ones
    of those that do."""
    least = max(1, round(epochs / 10))
    return [f"halving:least={least}", f"asha:least={least}", f"median:grace={2 * least},every={least}", "last-value",
            "baker"]  # fmt: skip


def read_rules(text: str) -> list[str]:
    """`asha:eta=3,least=2,baker`: settings follow their rule; a name begins the next one. Raises UserError where one
    is given twice."""
    rules = divided(text)
    if len(set(rules)) < len(rules):
        raise UserError(f"rules {text!r}: one of them is given twice")
    return rules


@dataclass(frozen=True)
class Comparison:
    """Rules on the same curves, each in the same orders.

    trainings   that each order has
    """

    stored: Stored
    replayed: Mapping[str, Sequence[Replayed]]
    trainings: int

    @property
    def heading(self) -> str:
        count, seeds = self.trainings, len(next(iter(self.replayed.values())))
        drawn = f" of {len(self.stored.curves)}" * (count < len(self.stored.curves))
        left = f" ({self.stored.left_out} that end before are left out)" if self.stored.left_out else ""
        return f"{self.stored.name}: {count} trainings{drawn} of {self.stored.epochs} epochs{left}, in {seeds} orders"

    def to_json(self) -> dict[str, Any]:
        """By rule: the share of the epochs that it trains and what that makes faster, hours where the curves know them,
        in how many orders the best is kept, regret, rank correlation, and coverage of the intervals of 90 %."""
        whole = self.stored.epochs * self.trainings
        hours = sum(self.stored.seconds) * self.stored.epochs / 3600 * self.trainings / len(self.stored.curves)
        rules = {}
        for text, found in self.replayed.items():
            share = statistics.fmean(each.epochs for each in found) / whole
            errors = [error for each in found for error in each.errors]
            rules[text] = {
                "epochs": round(share, 4),
                "speed_up": round(1 / share, 3),
                "hours_saved": None if not hours else round(
                    hours - statistics.fmean(each.seconds for each in found) / 3600, 4),
                "best_kept": sum(each.kept for each in found),
                "orders": len(found),
                "mean_regret": _number(statistics.fmean(each.regret for each in found)),
                "largest_regret": _number(max(each.regret for each in found)),
                "rank_correlation": _number(statistics.fmean(each.rank for each in found)),
                "forecasts": len(errors),
                "covered": _number(statistics.fmean([abs(e) <= NORMAL_90 for e in errors]) if errors else math.nan),
                "to_the_end": round(statistics.fmean(each.full for each in found), 2),
            }  # fmt: skip
        return {"curves": self.stored.name, "trainings": self.trainings, "epochs": self.stored.epochs,
                "left_out": self.stored.left_out, "hours": round(hours, 4) or None, "rules": rules}  # fmt: skip

    def rows(self) -> list[dict[str, str]]:
        found = self.to_json()
        rows = []
        for text, each in found["rules"].items():
            row = {
                "": text,
                "epochs": f"{each['epochs']:.0%}",
                "faster": f"{each['speed_up']:.1f} x",
            }
            if found["hours"]:
                row["hours saved"] = f"{each['hours_saved']:.2f} of {found['hours']:.2f}"
            row |= {
                "best kept": f"{each['best_kept']} of {each['orders']}",
                "regret (most)": "all stopped" if each["largest_regret"] is None
                else f"{each['mean_regret']:.4f} ({each['largest_regret']:.4f})",
                "rank": _shown(each["rank_correlation"]),
                "90 % hold": "" if each["covered"] is None
                else f"{each['covered']:.0%} of {each['forecasts']}",
            }  # fmt: skip
            rows.append(row)
        return rows

    def figure(self) -> Figure:
        whole = self.stored.epochs * self.trainings
        return plots.stopping(
            {text: [(each.epochs / whole, each.regret) for each in found] for text, found in self.replayed.items()},
            title=self.heading,
        )


def _number(value: float) -> float | None:
    """As JSON has it, which knows neither nan nor infinity."""
    return round(value, 6) if math.isfinite(value) else None


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
