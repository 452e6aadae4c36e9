"""What a search asks of a predictor of fitness. Nothing here loads torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from evonas.space import Genome


class Predictor(ABC):
    """Learns the values of genomes that were evaluated, and predicts those of others, with an uncertainty.

    fit(genomes, values)     learn from n genomes and their n values, forgetting what was learnt before
    predict(genomes)         mean and standard deviation of the value of each, as two arrays of their length
    mean(genomes)            the means alone
    draw(genomes, rng)       one function drawn from its belief, at these genomes: what Thompson sampling maximises

    least   values below which it is not asked: it would say nothing

    It is deterministic: equal data in an equal order, and an equal seed, give equal predictions. Values are of the
    order of one, larger ones better (`evonas.predictors.values`). It sees genomes alone, and knows neither parameters
    nor multiply-adds.
    """

    least: int = 5

    @abstractmethod
    def fit(self, genomes: Sequence[Genome], values: np.ndarray) -> None: ...

    @abstractmethod
    def predict(self, genomes: Sequence[Genome]) -> tuple[np.ndarray, np.ndarray]: ...

    def mean(self, genomes: Sequence[Genome]) -> np.ndarray:
        """By default those of `predict`; a predictor whose deviations take long has a way of its own."""
        return self.predict(genomes)[0]

    def draw(self, genomes: Sequence[Genome], rng: np.random.Generator) -> np.ndarray:
        """By default each genome's value is drawn by itself (independent Thompson sampling: White, Neiswanger and
        Savani 2021, section 4)."""
        mean, std = self.predict(genomes)
        return mean + std * rng.standard_normal(len(mean))
