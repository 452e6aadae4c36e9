"""Survival of NSGA-II (Deb, Pratap, Agarwal and Meyarivan 2002, sections III-A and III-B): fronts, then crowding.

The survivors, their order and their crowding distances are those of DEAP's `selNSGA2` with its logarithmic sort, to the
bit, so that a search goes the same way with either. Fronts are found by moocore (Jensen 2003 for two objectives), the
rest is done for all fronts at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from math import inf

import moocore
import numpy as np

from evonas.individual import Individual


def sel_nsga2(individuals: Sequence[Individual], k: int) -> list[Individual]:
    """The k individuals of the first fronts; of the last front that has a place, the least crowded ones.

    Every individual of these fronts has its crowding distance as `fitness.crowding_dist` afterwards, as with DEAP.
    Where two are equally crowded, that with the larger fitness comes first, and of equal ones the earlier; which of
    them DEAP chooses is not defined by the paper, and it is the same here.

    individuals   have all been evaluated, failed ones included, which are dominated by every other; by at least two
                  objectives, all with the same weights
    k             more than there are: all of them
    """
    if not individuals or k <= 0:
        return []
    weights = np.array(individuals[0].fitness.weights)
    flat = chain.from_iterable([individual.fitness.wvalues for individual in individuals])
    losses = -np.fromiter(flat, float, len(individuals) * len(weights)).reshape(len(individuals), -1)
    ranks = moocore.pareto_rank(losses)
    ends = np.cumsum(np.bincount(ranks))  # of the fronts, one behind the other
    last = min(int(np.searchsorted(ends, k)), len(ends) - 1)
    kept = np.flatnonzero(ranks <= last)
    losses, ranks = losses[kept], ranks[kept]
    within = np.lexsort((*losses.T[::-1], ranks))  # by front, then from the largest fitness to the smallest
    order = kept[within]
    crowding = _crowding(-losses[within] / weights, ranks[within], ends[: last + 1])
    chosen = [individuals[place] for place in order.tolist()]
    for individual, distance in zip(chosen, crowding.tolist(), strict=True):
        individual.fitness.crowding_dist = distance
    safe = int(ends[last - 1]) if last else 0  # those of the fronts that survive as a whole
    emptiest = np.argsort(-crowding[safe:], kind="stable")[: k - safe]
    return chosen[:safe] + [chosen[safe + place] for place in emptiest.tolist()]


def _crowding(values: np.ndarray, ranks: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """The crowding distance of each of N individuals (section III-B) within its front.

    values   N x objectives
    ranks    N, ascending: the front of each, from 0
    ends     of each front: the place behind its last individual
    """
    objectives = values.shape[1]
    first, final = np.append(0, ends[:-1]), ends - 1
    inner = np.flatnonzero(ranks[2:] == ranks[:-2]) + 1  # neither the first nor the last of a front
    front = ranks[inner]
    distances = np.zeros(len(ranks))
    order = np.arange(len(ranks))
    for objective in range(objectives):
        order = order[np.lexsort((values[order, objective], ranks))]
        ascending = values[order, objective]
        norm = objectives * (ascending[final] - ascending[first])
        norm[norm == 0] = 1  # all are equal: so are neighbours
        distances[order[inner]] += (ascending[inner + 1] - ascending[inner - 1]) / norm[front]
        distances[order[first]] = distances[order[final]] = inf
    return distances
