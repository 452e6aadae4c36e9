"""A trained network made smaller: a search among networks that lack some of its layers or have others shrunk, each
taught by it for a few epochs, from uniformly smaller ones on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evonas.api import search
from evonas.errors import UserError
from evonas.genomes.n2n import N2NSpace
from evonas.model.trained import TrainedNetwork
from evonas.objectives import read_count
from evonas.run.store import Run
from evonas.support import files
from evonas.support.text import shown, words

MULTIPLIERS = tuple(step / 20 for step in range(1, 21))
FEWEST = 2  # channels that a layer is left
FIRST = 6  # uniformly smaller networks with which the search begins: the largest that are small enough


def compress(
    what: str | Path,
    *,
    max_parameters: int | str | None = None,
    max_multiply_adds: int | str | None = None,
    budget: Any = 40,
    settings: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    **others: Any,
) -> Run:
    """Make the winner of a finished run smaller, and return the run that has done it.

    what               the directory of the run, on whose data the small networks are trained
    max_parameters     of the small network, and
    max_multiply_adds  for one image; counts such as 20k; at least one of them
    budget             of the search, as of `evonas.search`
    settings           of the system n2n, and those of aging evolution, which searches its space
    out                directory of the new run; None: `compressed` in that of the old one
    others             of `evonas.search`, such as workers

    The search is aging evolution over the space of N2N (`evonas.genomes.n2n`). It begins with the largest uniformly
    smaller networks that keep the limits, which are hard to beat.

    Raises UserError where no uniformly smaller network keeps the limits, and for a run whose data are not named.
    """
    run = Run.open(what)
    trained, source = run.best.trained(), run.config.source
    if not isinstance(source.get("name"), str):
        raise UserError(f"the data of {what} have no name or path by which they could be found again; search on data "
                        "that have one")  # fmt: skip
    most = {"parameters": max_parameters, "multiply_adds": max_multiply_adds}
    limits = {name: read_count(count) for name, count in most.items() if count is not None}
    if not limits:
        raise UserError("how small? Give max_parameters or max_multiply_adds")
    graph = trained.graph
    space = N2NSpace(json.dumps(graph.to_json()), MULTIPLIERS, FEWEST, graph.input_shape, graph.output_shape[0])
    fit = [genome for genome in map(space.smaller, reversed(MULTIPLIERS))
           if all(getattr(space.decode(genome), name) <= most for name, most in limits.items())]  # fmt: skip
    if not fit:
        least = space.decode(space.smaller(MULTIPLIERS[0]))
        raise UserError(f"no uniformly smaller network keeps this limit: the smallest has {least.parameters:,} "
                        f"parameters and {least.multiply_adds:,} multiply-adds; allow more")  # fmt: skip
    first = list(dict.fromkeys(space.format(genome) for genome in fit))[:FIRST]
    return search(
        "n2n",
        source["name"],
        teacher=files.place(what),
        strategy="aging",
        settings={"population": len(first), "sample": min(3, len(first)), "multipliers": MULTIPLIERS, "fewest": FEWEST}
        | dict(settings or {}),
        init=first,
        max_parameters=max_parameters,
        max_multiply_adds=max_multiply_adds,
        budget=budget,
        seed=run.config.seed,
        out=out or files.place(what) / "compressed",
        **{"validation": source["validation"], "size": source["size"], "data_dir": source["root"]} | others,
    )  # fmt: skip


def cost(before: TrainedNetwork, after: TrainedNetwork) -> list[dict[str, str]]:
    """What it cost, as rows: the network before and after, and what is left."""
    metric = before.metric
    rows = [
        {
            "": called,
            "parameters": f"{each.graph.parameters:,}",
            "multiply-adds": f"{each.graph.multiply_adds:,}",
            f"test {words(metric)}": shown(metric, each.test),
        }
        for called, each in (("before", before), ("after", after))
    ]
    shares = (getattr(after.graph, name) / getattr(before.graph, name) for name in ("parameters", "multiply_adds"))
    left = dict(zip(("parameters", "multiply-adds"), (f"{share:.1%}" for share in shares), strict=True))
    gained = after.test - before.test
    change = f"{100 * gained:+.2f} points" if metric.endswith("accuracy") else f"{gained:+.5g}"
    return [*rows, {"": "left"} | left | {f"test {words(metric)}": change}]
