"""Survival of NSGA-II, 500 of 1,000 individuals: ours beside DEAP's `selNSGA2` (its logarithmic sort) and pymoo's.

    python benchmarks/survival.py        (pip install pymoo, for its row)

Random points of two and of three objectives, one thread; turns of ten calls each, interleaved.
"""

import random
from collections.abc import Callable
from importlib.util import find_spec

import numpy as np
from deap import tools
from paired import interleaved, sized

from evonas.individual import Fitness, Individual
from evonas.strategies.survival import sel_nsga2

ROUNDS, CALLS, INDIVIDUALS = sized((21, 10, 1000), (2, 1, 40))
SURVIVORS = INDIVIDUALS // 2


def pymoo(points: np.ndarray) -> Callable[[], object]:
    from pymoo.core.population import Population
    from pymoo.core.problem import Problem
    from pymoo.operators.survival.rank_and_crowding import RankAndCrowding

    problem, population = Problem(n_var=1, n_obj=points.shape[1]), Population.new("F", points)
    return lambda: RankAndCrowding().do(problem, population, n_survive=SURVIVORS)


def programs(points: list[list[float]]) -> dict[str, Callable[[], object]]:
    individuals = [Individual([number]) for number in range(len(points))]
    for individual, point in zip(individuals, points, strict=True):
        individual.fitness = Fitness(point, weights=(-1.0,) * len(point))
    theirs = {"pymoo": pymoo(np.array(points))} if find_spec("pymoo") else {}
    return {
        "ours": lambda: sel_nsga2(individuals, SURVIVORS),
        "DEAP": lambda: tools.selNSGA2(individuals, SURVIVORS, nd="log"),
        **theirs,
    }


def main() -> None:
    for objectives in (2, 3):
        rng = random.Random(0)
        every = programs([[rng.random() for _ in range(objectives)] for _ in range(INDIVIDUALS)])
        turns = {name: lambda program=program: [program() for _ in range(CALLS)] for name, program in every.items()}
        times = interleaved(turns, rounds=ROUNDS)
        for name in every:
            beside = "" if name == "ours" else f", {times.ratio(name, 'ours')} times ours"
            print(f"{SURVIVORS} of {INDIVIDUALS:,}, {objectives} objectives, {name}: "
                  f"{1000 * times.median(name) / CALLS:.2f} ms{beside}", flush=True)  # fmt: skip
    if not find_spec("pymoo"):
        print("pymoo: not installed")


if __name__ == "__main__":
    main()
