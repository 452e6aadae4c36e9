"""Individuals that a search begins with, before the strategy that follows."""

import gc

from evonas.individual import Individual
from evonas.strategies.first import First
from evonas.strategies.strategy import Strategy


class Hearing(Strategy):
    """Notes of how many it is told."""

    heard = 0

    def generate(self, n=None):
        return [Individual([1])]

    def update(self, individuals):
        self.heard += len(list(individuals))


def test_the_results_of_all_proposals_of_its_own_reach_the_strategy_though_what_was_given_is_gone():
    """A rejected individual is kept by nobody, and an identity that is free is given again."""
    then = Hearing()
    strategy = First([Individual([0]) for _ in range(50)], then=then)
    for individual in strategy.generate(50):
        strategy.update([individual])
    del individual
    gc.collect()
    own = [strategy.generate(1)[0] for _ in range(500)]
    strategy.update(own)
    assert then.heard == 500
