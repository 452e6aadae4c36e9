"""How well a plain random forest orders the networks of a table that it has not seen.

    python benchmarks/predictors_on_tables.py FOLDER [TABLE ...]

100 networks, drawn by a seed, are known; the forest (scikit-learn's, with its defaults) predicts all others. Printed
are the rank correlations of predictions and values, means over 20 seeds, of Spearman and of Kendall (tau-b). Genomes
are one-hot by the names of their decisions, then also with the number of times that they have each option; the
recurrent cells of NAS-Bench-NLP are counts of their nodes and labels.
"""

import random
import statistics
import sys
from pathlib import Path

import numpy as np
from paired import sized
from scipy.stats import kendalltau, spearmanr
from sklearn.ensemble import RandomForestRegressor

from evonas.evaluation.table import TABLES, nasbench_nlp, read_table

KNOWN = 100
SEEDS, MOST = sized((20, None), (1, 1_000))  # at the smallest size, of the first networks alone
FILES = {
    "nasbench-nlp": "nasbench_nlp_wikitext2.csv.gz",
    "nasbench-graph:cora": "nasbench_graph.csv.gz",
    "nasbench-graph:arxiv": "nasbench_graph.csv.gz",
    "nasbench-macro:cifar10": "nasbench_macro.csv.gz",
    "nasbench201:cifar10": "nasbench201.csv.gz",
    "transnas101-micro:class_object": "transnas101.csv.gz",
    "transnas101-macro:class_object": "transnas101.csv.gz",
}


def rows(name: str, path: Path) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Features of each network, by encoding, and its value: the mean of its signals, or the negative loss of
    NAS-Bench-NLP."""
    space, _, data = name.partition(":")
    if space not in TABLES:
        found = nasbench_nlp(path)
        return {"counts": found.features}, -found.values
    table = read_table(space, path, data)
    routes = [table.space.route(table.space.parse(key)) for key in list(table.signals)[:MOST]]
    one_hot = [list(route.items()) for route in routes]
    with_counts = [[*route.items(), *(("any", option) for option in route.values())] for route in routes]
    values = [statistics.fmean(each) for each in list(table.signals.values())[:MOST]]
    return {"one-hot": counted(one_hot), "one-hot and counts": counted(with_counts)}, np.array(values)


def counted(rows: list[list[tuple]]) -> np.ndarray:
    """networks x features: how often each network has each feature."""
    columns = {feature: place for place, feature in enumerate(dict.fromkeys(f for row in rows for f in row))}
    found = np.zeros((len(rows), len(columns)))
    for place, row in enumerate(rows):
        for feature in row:
            found[place, columns[feature]] += 1
    return found


def correlations(features: np.ndarray, values: np.ndarray, seed: int) -> tuple[float, float]:
    """Spearman's and Kendall's, of the networks that are not known."""
    order = random.Random(seed).sample(range(len(values)), len(values))
    known, others = order[:KNOWN], order[KNOWN:]
    forest = RandomForestRegressor(random_state=seed).fit(features[known], values[known])
    predicted = forest.predict(features[others])
    return spearmanr(predicted, values[others])[0], kendalltau(predicted, values[others])[0]


if __name__ == "__main__":
    for name in sys.argv[2:] or FILES:
        encodings, values = rows(name, Path(sys.argv[1]) / FILES[name])
        for encoding, features in encodings.items():
            found = [correlations(features, values, seed) for seed in range(SEEDS)]
            spearman, kendall = np.mean(found, axis=0)
            print(f"{name}, {encoding}: Spearman {spearman:.3f}, Kendall {kendall:.3f}; {KNOWN} known networks, "
                  f"{SEEDS} seeds", flush=True)  # fmt: skip
