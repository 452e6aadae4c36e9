"""A step of a controller: 20 genomes of NASNet's 50 decisions, drawn and learnt from; one thread.

    python benchmarks/controllers.py

The limit is 60 ms for REINFORCE with the paper's LSTM of 100 units. PPO learns four times from each batch. The space is
the paper's, with the combination of each block; nothing is decoded.
"""

import random
from functools import partial

import torch
from paired import interleaved, sized

from evonas.genomes.nasnet import COMBINATIONS, NASNET, NASNetSpace
from evonas.strategies.controllers import Independent, Recurrent
from evonas.strategies.reinforce import PPO, Reinforce

ROUNDS, BATCH = sized(20, 1), 20


def step(strategy: Reinforce) -> None:
    individuals = strategy.generate(BATCH)
    for individual in individuals:
        individual.fitness.values = (len(set(individual)) / 50,)
    strategy.update(individuals)


def main() -> None:
    torch.set_num_threads(1)
    space = NASNetSpace(operations=NASNET, combinations=COMBINATIONS)
    strategies = {
        "REINFORCE, LSTM": Reinforce(Recurrent(space, rng=random.Random(0)), batch=BATCH),
        "PPO, LSTM": PPO(Recurrent(space, rng=random.Random(0)), batch=BATCH),
        "REINFORCE, independent": Reinforce(Independent(space, rng=random.Random(0)), batch=BATCH),
    }
    times = interleaved({name: partial(step, each) for name, each in strategies.items()}, rounds=ROUNDS, warm_up=3)
    for name in strategies:
        print(f"{name}: {1000 * times.median(name):.1f} ms a step", flush=True)


if __name__ == "__main__":
    main()
