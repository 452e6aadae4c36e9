"""How well a supernet ranks: genomes by its weights, beside what they are worth in truth, and beside their size (the
ranking test of Yu et al. 2020, "Evaluating the Search Phase of Neural Architecture Search", arXiv:1902.08142)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import ceil
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import numpy as np

from evonas.comparison import alone
from evonas.comparison.proxies import SHARED, SIZES, UNTRAINED, Ranking, Sample
from evonas.comparison.ranks import TENTH
from evonas.errors import UserError
from evonas.evaluation import Decoder, Genome
from evonas.evaluation.store import WeightStore
from evonas.evaluation.table import Metric, Table, read_table
from evonas.evaluation.training import splits_of
from evonas.individual import Individual
from evonas.run.budget import Budget
from evonas.run.journal import Event, Unwritten
from evonas.run.loop import Loop
from evonas.run.phase import Phase
from evonas.run.store import Run
from evonas.run.supernet import ROLE, SharedSearch
from evonas.strategies.first import First
from evonas.support.device import cores
from evonas.support.files import place
from evonas.support.streams import stream
from evonas.support.text import words

if TYPE_CHECKING:
    from evonas.supernets.shared import SharedWeights

MISSES = 100_000  # draws in a row that give no new genome, after which there are no more
ROWS = "trained.jsonl"

OnStep = Callable[[str], None]


def tau(
    run: str | Path,
    *,
    genomes: int = 100,
    table: str | Path | None = None,
    data: str | None = None,
    best: int | None = None,
    epochs: int | None = None,
    seed: int = 0,
    workers: int | None = None,
    out: str | Path | None = None,
    trust: bool = False,
    on_step: OnStep = lambda said: None,
) -> Ranking:
    """How the supernet of a run ranks random genomes of its space, against their true values: Kendall's tau, beside
    that of the same supernet before its training, and of the size of networks.

    run       the directory of a run with a supernet
    genomes   so many different ones, drawn uniformly over genomes that keep the run's limits
    table     a file of trained networks, whose test metric is the truth; None: each genome is trained alone by the
              run's final recipe on the training split, and judged on the validation split
    data      of a table; None: its first
    best      of a table that has every genome of the space: so many more, drawn from its best tenth; None: as many
    epochs    of trainings alone; None: as the final recipe says
    seed      of the draws, of intervals, and of trainings alone
    out       directory for tau.json, genomes.csv, tau.png, and the trainings, which are not made again; None: tau in
              that of the run
    trust     import the user's own code that the run names: see `evonas.open_run`
    on_step   is told how it goes on

    Raises UserError for a run without a supernet, and for what cannot be used.
    """
    if genomes < 2 or (best is not None and best < 2):
        raise UserError(f"genomes is {genomes} and best {best}; to rank takes at least 2")
    if table is None and (data is not None or best is not None):
        raise UserError("data and best are those of a table; give one")
    if table is not None and epochs is not None:
        raise UserError("a table has trained its networks; leave the epochs out, or the table")
    opened = Run.open(place(run), trust=trust)
    shared = _supernet(opened)
    opened.require_data()
    directory = opened.directory / "tau" if out is None else place(out)
    workers = workers or cores()
    study = _Study(opened, shared, directory, seed, workers, on_step)
    rng = stream(seed, "tau")
    if table is None:
        return study.alone(different(alone.draws(opened.problem, rng), genomes), epochs)
    read = read_table(opened.space.name, place(table), data)
    drawn = different(alone.draws(opened.problem, rng), genomes)
    top = best_of_table(read, stream(seed, "tau", "best"), study.keeps, genomes if best is None else best)
    if best is not None and not top:
        raise UserError(f"the table does not have every genome of {opened.space.name}; leave best out")
    return study.by_table(read, drawn, top)


def different(draw: Callable[[], Individual], count: int) -> list[tuple]:
    """So many different genomes, in the order in which they are drawn: those of fewer are the first of more. Raises
    UserError where there are not as many."""
    found: dict[tuple, None] = {}
    misses = 0
    while len(found) < count:
        genome = tuple(draw())
        misses = misses + 1 if genome in found else 0
        if misses == MISSES:
            raise UserError(f"genomes is {count}, but there are no more than {len(found)} different ones; use fewer")
        found[genome] = None
    return list(found)


def best_of_table(table: Table, rng: Random, keeps: Callable[[Genome], bool], count: int) -> list[tuple]:
    """So many different genomes, drawn from the best tenth of a table; [] where it does not have each genome of its
    space."""
    if not table.space.is_sequence or table.space.count() != len(table.test):
        return []
    keys = sorted(table.test, key=lambda key: -table.test[key])[: ceil(TENTH * len(table.test))]
    found: list[tuple] = []
    for key in rng.sample(keys, len(keys)):
        if len(found) == count:
            break
        if keeps(genome := table.space.parse(key)):
            found.append(genome)
    return found


def _supernet(run: Run) -> SharedSearch:
    """The supernet by which a run judges genomes. Raises UserError where it has none, or not yet."""
    if run.problem.setup.supernet is None:
        raise UserError(f"{run.directory} has no supernet whose ranking could be tested: its candidates are not judged "
                        "by one that was trained before; name a run of 'evonas search --supernet uniform'")  # fmt: skip
    shared = SharedSearch(run.problem, run.config, run.directory)
    if run.config.lent is not None:
        shared.borrow()
        return shared
    kept = [record["weights"] for record in run.records() if record["phase"] == ROLE and record.get("weights")]
    if not kept:
        raise UserError(f"the supernet of {run.directory} has not been trained to its end; go on with 'evonas resume "
                        f"{run.directory}'")  # fmt: skip
    shared.file = shared.folder / f"{kept[-1]}.safetensors"
    return shared


@dataclass(frozen=True, eq=False)
class _Study:
    """What a ranking is made with."""

    run: Run
    shared: SharedSearch
    directory: Path
    seed: int
    workers: int
    on_step: OnStep
    failed: dict[str, str] = field(default_factory=dict)  # by code, why a genome has no value on some side

    @cached_property
    def decoder(self) -> Decoder:
        return Decoder(self.run.space)

    @property
    def sign(self) -> int:
        """-1 where less of the task's metric is better."""
        assert self.run.task is not None, "a supernet has been trained on one"
        return self.run.task.metric.sign

    @property
    def metric(self) -> Metric:
        assert self.run.task is not None, "a supernet has been trained on one"
        name = self.run.task.metric.name
        return Metric("minus " * (self.sign < 0) + words(name), "%" if name.endswith("accuracy") else "")

    def keeps(self, genome: Genome) -> bool:
        """Whether the network of a genome keeps the limits of the run."""
        limits = self.run.problem.limits
        return not limits or limits.keeps(self.decoder.graph(genome))

    def by_table(self, table: Table, drawn: Sequence[tuple], top: Sequence[tuple]) -> Ranking:
        true = [np.array([table.worth(genome) for genome in each]) / table.metric.scale for each in (drawn, top)]
        with alone.workplace(self.run.config, self.workers) as executor:
            proxies = self.proxies([*drawn, *top], executor)
        samples = [
            self.sample(drawn, true[0], {name: values[: len(drawn)] for name, values in proxies.items()}),
            self.sample(top, true[1], {name: values[len(drawn) :] for name, values in proxies.items()}),
        ]
        everything = np.array(list(table.test.values())) / table.metric.scale if top else samples[0].true
        truth = f"test {table.metric.name} of the table, on {table.data}"
        return self.ranking(samples[0], truth, table.metric, everything, samples[1] if top else None)

    def alone(self, drawn: Sequence[tuple], epochs: int | None) -> Ranking:
        final = self.run.problem.final
        recipe = final.lasting(epochs or final.epochs)
        by = alone.training(self.run, recipe, seed=self.seed, workers=self.workers, final=False)
        with alone.workplace(self.run.config, self.workers) as executor:
            proxies = self.proxies(drawn, executor)
            rows = alone.trained(
                drawn, by, self.decoder, self.directory / ROWS, executor=executor, workers=self.workers,
                on_row=lambda done, of: self.on_step(f"trained {done} of {of} networks alone"),
            )  # fmt: skip
        for genome, row in zip(drawn, rows, strict=True):
            if row.value is None:
                self.failed[self.run.space.format(genome)] = row.error or ""
        true = np.array([np.nan if row.value is None else self.sign * row.value for row in rows])
        sample = self.sample(drawn, true, proxies)
        truth = f"validation {self.metric.name} of each network trained alone, epochs: {recipe.epochs}"
        return self.ranking(sample, truth, self.metric, sample.true, None)

    def proxies(self, genomes: Sequence[tuple], executor: Executor) -> dict[str, np.ndarray]:
        shared = self.shared.evaluator()
        judged = {
            name: self.judged(genomes, by, name, executor)
            for name, by in ((SHARED, shared), (UNTRAINED, self.untrained(shared)))
        }
        graphs = [self.decoder.graph(genome) for genome in genomes]
        return judged | {name: np.array([size(graph) for graph in graphs]) for name, size in SIZES.items()}

    def judged(self, genomes: Sequence[tuple], by: SharedWeights, name: str, executor: Executor) -> np.ndarray:
        """What each is worth by the weights of a supernet; nan where that failed."""
        done = 0

        def hear(event: Event, replayed: bool) -> None:
            nonlocal done
            if event["event"] == "told":
                done += 1
                self.on_step(f"judged {done} of {len(genomes)} genomes by {name}")

        phase = Phase("tau", First([Individual(genome) for genome in genomes]), by, self.decoder)
        Loop(Unwritten(), executor, self.workers, on_event=hear).run(phase, Budget())
        assert self.run.task is not None, "a supernet has been trained on one"
        metric = self.run.task.metric.name
        told = list(phase.told())
        self.failed.update((phase.code(genome), outcome.reason) for genome, outcome in told if outcome.failed)
        return self.sign * np.array([np.nan if outcome.failed else outcome.measures[metric] for _, outcome in told])

    def untrained(self, shared: SharedWeights) -> SharedWeights:
        """The same supernet as its training began."""
        from evonas.supernets.shared import KeptSupernet, packed
        from evonas.supernets.supernet import Supernet, initial_seed

        facts, splits = self.shared.facts, splits_of(shared.task, shared.device)
        supernet = Supernet(
            shared.space.decode(shared.space.open()),
            splits.train,
            splits.validation,
            seed=initial_seed(facts["seed"]),
            batch_size=shared.batch_size,
            statistics=shared.statistics,
            precision=shared.precision,
        )
        store = WeightStore(self.directory / "untrained")
        name = store.put(packed(supernet, facts | {"epochs": 0}))
        return replace(shared, supernet=KeptSupernet.of(store.folder / f"{name}{store.suffix}"))

    def sample(self, genomes: Sequence[tuple], true: np.ndarray, proxies: Mapping[str, np.ndarray]) -> Sample:
        """Without those that have no value on some side."""
        whole = Sample([self.run.space.format(genome) for genome in genomes], true, proxies)
        known = np.isfinite([true, *proxies.values()]).all(0)
        return whole.only(np.flatnonzero(known))

    def ranking(
        self, sample: Sample, truth: str, metric: Metric, everything: np.ndarray, top: Sample | None
    ) -> Ranking:
        config = self.run.config
        title = (
            f"{config.system} on {Path(config.data_name or '').stem}: {len(sample.true)} genomes by seed {self.seed}"
        )
        found = Ranking(
            title, truth, metric, self.metric, sample, top, everything, self.seed, self.failed, self.directory
        )
        found.write()
        return found
