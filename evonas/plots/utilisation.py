"""The utilisation of the workers over time, and the durations of the evaluations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from evonas.plots.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    Record,
    baseline_name,
    dress,
    legend,
    page,
    say,
    told,
)

# colour, height of the bars in lanes, and marker of each phase
LOOKS = {
    "supernet": (PURPLE, 0.8, "^"),
    "teacher": (PURPLE, 0.8, "^"),
    "search": (BLUE, 0.8, "o"),
    "baseline": (ORANGE, 0.55, "D"),
    "finalists": (SKY, 0.8, "v"),
    "baseline-finalists": (SKY, 0.55, "v"),
    "final": (GREEN, 0.8, "s"),
}
AROUND = 15  # window of the running median, in evaluations


class Job(NamedTuple):
    """An evaluation that was actually computed: its start and end in seconds of run time, and its worker from 0."""

    start: float
    end: float
    lane: int
    phase: str
    failed: bool

    @property
    def seconds(self) -> float:
        return self.end - self.start


def utilisation(
    records: Iterable[Record], *, workers: int, resumed: Sequence[float] = (), title: str | None = None
) -> Figure:
    """Draw two panels: above, what ran on each worker and when; below, the seconds of each evaluation, with a running
    median.

    Reused results took no time and are omitted. The worker of an evaluation is not recorded; the lanes show one
    possible assignment to `workers` workers.

    resumed   when the run was taken up again, in seconds of run time
    """
    records = told(records)
    jobs = in_lanes(records, workers)
    figure = page(4.6 + 0.05 * min(workers, 24), title)
    if not jobs:
        axes = figure.add_subplot()
        dress(axes, x="run time", y="worker")
        say(axes, "nothing has run yet")
        return figure
    span = max(record["t"] for record in records)
    second, unit = next((s for s in ((3600, "h"), (60, "min")) if span >= 2 * s[0]), (1, "s"))
    upper, lower = figure.subplots(2, sharex=True, height_ratios=[1, 1])
    busy = min(1.0, sum(job.seconds for job in jobs) / (workers * span))
    upper.set_title(f"workers busy {busy:.0%} of {span / second:.3g} {unit}".replace("%", " %"), fontsize=9, loc="left")
    dress(upper, x="", y="worker")
    dress(lower, x=f"run time ({unit})", y="seconds per evaluation")
    upper.set_xlim(-0.01 * span / second, 1.01 * span / second)
    names = {
        "supernet": "the supernet's training",
        "teacher": "the teacher's training",
        "search": "search",
        "baseline": baseline_name(records),
        "finalists": "finalists",
        "baseline-finalists": f"finalists of {baseline_name(records)}",
        "final": "final training",
    }
    entries = _draw_lanes(upper, jobs, workers, second, names) | _draw_seconds(lower, jobs, second, names)
    for at in resumed:
        for axes in (upper, lower):
            line = axes.axvline(at / second, color=BLACK, linewidth=1, linestyle=":")
        entries["resumed"] = line
    legend(figure, entries, columns=5)
    return figure


def in_lanes(records: Iterable[Record], workers: int) -> list[Job]:
    """The evaluations that ran, by start, each on the first free worker, or otherwise on the first to become free."""
    ran = [r for r in records if not r["reused"] and r["cost"]["seconds"] > 0]
    free = [0.0] * workers
    jobs = []
    for start, record in sorted(((r["t"] - r["cost"]["seconds"], r) for r in ran), key=lambda pair: pair[0]):
        idle = (lane for lane in range(workers) if free[lane] <= start)
        lane = next(idle, min(range(workers), key=free.__getitem__))
        free[lane] = record["t"]
        jobs.append(Job(start, record["t"], lane, record["phase"], not record["values"]))
    return jobs


def _draw_lanes(
    axes: Axes, jobs: Sequence[Job], workers: int, second: float, names: Mapping[str, str]
) -> dict[str, Any]:
    """Draw a bar for each evaluation, hatched if it failed."""
    width = 450 * median(job.seconds for job in jobs) / max(job.end for job in jobs)
    line = 0.5 if width > 4 else 0.0  # points; the white edges of thinner bars would hide them
    entries: dict[str, Any] = {}
    for phase, (color, height, marker) in LOOKS.items():
        bars = [job for job in jobs if job.phase == phase]
        for job in bars:
            fill, edge, hatch = ((color, 0.3), color, "/////") if job.failed else (color, "white", None)
            axes.barh(job.lane + 1, job.seconds / second, height, left=job.start / second, facecolor=fill,
                      edgecolor=edge, hatch=hatch, linewidth=line)  # fmt: skip
        if bars:
            sign = Line2D([], [], linestyle="", marker=marker, markersize=4, color="white", markeredgewidth=0)
            entries[names[phase]] = (Patch(color=color), sign)
    failed = sum(job.failed for job in jobs)
    if failed:
        sign = Line2D([], [], linestyle="", marker="x", markersize=5, color=BLACK)
        entries[f"failed ({failed})"] = (Patch(facecolor=(GREY, 0.3), edgecolor=GREY, hatch="/////"), sign)
    axes.set_ylim(workers + 0.6, 0.4)
    axes.yaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
    axes.set_yticks([tick for tick in axes.get_yticks() if 1 <= tick <= workers])
    axes.grid(visible=False)
    return entries


def _draw_seconds(axes: Axes, jobs: Sequence[Job], second: float, names: Mapping[str, str]) -> dict[str, Any]:
    """Draw dots, crosses for failed evaluations, and a running median for each phase with enough evaluations."""
    entries: dict[str, Any] = {}
    for phase, (color, _, marker) in LOOKS.items():
        ran = sorted((job for job in jobs if job.phase == phase), key=lambda job: job.end)
        size = min(16, max(4, 2400 / max(1, len(ran))))  # points^2, small enough that a thousand dots do not merge
        for failed in (False, True):
            some = [job for job in ran if job.failed == failed]
            style: dict[str, Any] = (
                {"marker": "x", "linewidths": 1.0} if failed else {"marker": marker, "linewidths": 0, "alpha": 0.6}
            )
            axes.scatter(
                [job.end / second for job in some], [job.seconds for job in some], s=size, color=color, **style
            )
        if len(ran) >= AROUND:
            medians = running_median([job.seconds for job in ran])
            axes.plot([job.end / second for job in ran], medians, color=BLACK, linewidth=1.3, label=names[phase])
            entries[f"running median of {AROUND}"] = axes.lines[-1]
    least, most = min(job.seconds for job in jobs), max(job.seconds for job in jobs)
    if most > 10 * least:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if most < 100 * least else (1,)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:g}"))
    else:
        axes.set_ylim(0, 1.1 * most)
    return entries


def running_median(values: Sequence[float]) -> list[float]:
    """The median of the AROUND values around each value; of fewer at the ends."""
    half = AROUND // 2
    return [median(values[max(0, at - half) : at + half + 1]) for at in range(len(values))]
