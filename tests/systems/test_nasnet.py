"""NASNet's control: random search, which draws each of the 50 choices uniformly (Zoph et al. 2018)."""

import random
from collections import Counter

from evonas.strategies.random_search import RandomSearch
from evonas.systems.registry import chosen, setup, system


def test_the_control_draws_every_choice_uniformly():
    baseline, rng, space = system("nasnet").baseline, random.Random(0), setup(system("nasnet"), "cifar10").space
    using = chosen(baseline.strategy, *filter(None, [baseline.toolbox]))
    strategy = using.strategy(using.tools(space, rng), rng)
    assert isinstance(strategy, RandomSearch)
    drawn = strategy.generate(2000)
    decisions = space.decisions(drawn[0])
    assert len(decisions) == 50
    kinds = Counter()
    for place, decision in enumerate(decisions):
        expected, counts = len(drawn) / len(decision.options), Counter(each[place] for each in drawn)
        off = sum((counts[option] - expected) ** 2 / expected for option in decision.options)
        freedom = len(decision.options) - 1
        assert off < freedom + 5 * (2 * freedom) ** 0.5, decision.name  # five standard deviations of a chi-square
        kinds[len(decision.options)] += 1
    # inputs of five blocks, operations, combinations, in each of two cells
    assert kinds == Counter({13: 20, 2: 10 + 4, 3: 4, 4: 4, 5: 4, 6: 4})
