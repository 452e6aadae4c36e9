"""A search in your own hands: a strategy, an evaluator and a journal, without `evonas.search`.

    python experiments/own_loop.py [EVALUATIONS]

Aging evolution trains GeNet's networks on handwritten digits, one after the other, in this process. Each line of
own-loop.jsonl is an individual with its parents; docs/loop.md explains it, and hands the same loop to many workers.
"""

import sys
from pathlib import Path

from evonas.data.sources import Source
from evonas.evaluation import Candidate
from evonas.evaluation.training import Training
from evonas.genomes.genet import DIGITS as SPACE
from evonas.individual import judge
from evonas.operators.genet import toolbox
from evonas.recipe import Recipe
from evonas.run.journal import Journal, asked, told
from evonas.strategies.aging import AgingEvolution
from evonas.support.streams import stream
from evonas.tasks.classification import ImageClassification

SEED = 0


def main(evaluations: int = 40) -> None:
    rng = stream(SEED, "own loop")
    strategy = AgingEvolution(toolbox(SPACE, rng=rng, bit_flip_rate=0.1), rng=rng, population=10, sample=5)
    evaluator = Training(ImageClassification(Source("digits")), Recipe(epochs=4, learning_rate=0.05), SEED)
    with Journal(Path("own-loop.jsonl"), SPACE.to_json()) as journal:
        for number in range(evaluations):
            for individual in strategy.generate(1):  # ask
                individual.id = number  # by which its children name it
                candidate = Candidate.of(individual, SPACE)
                journal.append(asked(individual, "search", evaluator.identity(candidate), SPACE.format(individual)))
                outcome = evaluator.job(candidate)()
                judge(individual, outcome.values)
                journal.append(told(individual, outcome))
                strategy.update([individual])  # tell
                print(number, SPACE.format(individual), individual.operator, individual.parents, outcome.values)
    best = max(strategy.population, key=lambda individual: individual.fitness)
    print(f"the best of those alive: {SPACE.format(best)}, {best.fitness.values[0]:.2%} validation accuracy")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
