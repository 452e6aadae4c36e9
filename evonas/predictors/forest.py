"""A random forest on the rows of an encoding, scikit-learn's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evonas.errors import UserError
from evonas.predictors.encodings import Encoding
from evonas.predictors.predictor import Predictor
from evonas.space import Genome


class Forest(Predictor):
    """Its mean is that of the trees, its uncertainty their standard deviation, and a draw one of them.

    trees   of the forest

    Raises UserError for fewer than two.
    """

    def __init__(self, encoding: Encoding, *, seed: int, trees: int = 100) -> None:
        if trees < 2:
            raise UserError(f"trees is {trees}; use at least 2")
        self.encoding, self.seed, self.trees = encoding, seed, trees

    def fit(self, genomes: Sequence[Genome], values: np.ndarray) -> None:
        from sklearn.ensemble import RandomForestRegressor

        inputs = self.encoding.rows(genomes)
        self.columns = inputs.shape[1]  # what is met later is in no tree
        self.forest = RandomForestRegressor(self.trees, random_state=self.seed % 2**32, max_features=1 / 3)
        self.forest.fit(inputs.toarray(), values)

    def predict(self, genomes: Sequence[Genome]) -> tuple[np.ndarray, np.ndarray]:
        inputs = self._inputs(genomes)
        found = np.stack([tree.predict(inputs) for tree in self.forest.estimators_])
        return found.mean(axis=0), found.std(axis=0, ddof=1)

    def draw(self, genomes: Sequence[Genome], rng: np.random.Generator) -> np.ndarray:
        tree = self.forest.estimators_[rng.integers(self.trees)]
        return tree.predict(self._inputs(genomes))

    def _inputs(self, genomes: Sequence[Genome]) -> np.ndarray:
        return self.encoding.rows(genomes).toarray()[:, : self.columns].astype(np.float32)
