"""How well predictors order the networks of a table that they have not seen.

    python benchmarks/predictors_on_tables.py FOLDER [TABLE ...]

100 networks, drawn by a seed, are known; each predictor of PREDICTORS, on each encoding of ENCODINGS, learns from them
and predicts all others (at most 5,000, drawn by the seed). Printed are the rank correlations of predictions and values,
means over 20 seeds, of Spearman and of Kendall (tau-b). For the recurrent cells of NAS-Bench-NLP it is scikit-learn's
forest on counts of their nodes and labels.
"""

import random
import statistics
import sys
from itertools import product
from pathlib import Path

import numpy as np
from paired import sized
from scipy.stats import kendalltau, spearmanr
from sklearn.ensemble import RandomForestRegressor

from evonas.evaluation.table import nasbench_nlp, read_table
from evonas.predictors import predictor_of
from evonas.predictors.values import normal_scores

KNOWN, OTHERS = 100, 5_000
SEEDS, MOST = sized((20, None), (1, 1_000))  # at the smallest size, of the first networks alone
PREDICTORS = ("forest", "gp", "ridge")
ENCODINGS = ("one-hot", "one-hot+pairs", "one-hot+counts")
FILES = {
    "nasbench-nlp": "nasbench_nlp_wikitext2.csv.gz",
    "nasbench-graph:cora": "nasbench_graph.csv.gz",
    "nasbench-graph:arxiv": "nasbench_graph.csv.gz",
    "nasbench-macro:cifar10": "nasbench_macro.csv.gz",
    "nasbench201:cifar10": "nasbench201.csv.gz",
    "transnas101-micro:class_object": "transnas101.csv.gz",
    "transnas101-macro:class_object": "transnas101.csv.gz",
}


def recurrent(path: Path, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Predicted and found negative losses of the recurrent cells that are not known."""
    cells = nasbench_nlp(path)
    known, others = divided(len(cells.values), seed)
    forest = RandomForestRegressor(random_state=seed).fit(cells.features[known], cells.values[known])
    return -forest.predict(cells.features[others]), -cells.values[others]


def divided(size: int, seed: int) -> tuple[list[int], list[int]]:
    order = random.Random(seed).sample(range(size), size)
    return order[:KNOWN], order[KNOWN : KNOWN + OTHERS]


def report(called: str, found: list[tuple[np.ndarray, np.ndarray]]) -> None:
    spearman = statistics.fmean(spearmanr(*pair)[0] for pair in found)
    kendall = statistics.fmean(kendalltau(*pair)[0] for pair in found)
    print(
        f"{called}: Spearman {spearman:.3f}, Kendall {kendall:.3f}; {KNOWN} known networks, {SEEDS} seeds", flush=True
    )


def on_table(name: str, path: Path) -> None:
    space, _, data = name.partition(":")
    table = read_table(space, path, data)
    genomes = [table.space.parse(key) for key in list(table.signals)[:MOST]]
    values = np.array([statistics.fmean(each) for each in list(table.signals.values())[:MOST]])
    for predictor, encoding in product(PREDICTORS, ENCODINGS):
        found = []
        for seed in range(SEEDS):
            known, others = divided(len(genomes), seed)
            model = predictor_of(predictor, encoding, table.space, seed=seed)()
            model.fit([genomes[place] for place in known], normal_scores(values[known]))
            found.append((model.predict([genomes[place] for place in others])[0], values[others]))
        report(f"{name}, {predictor} on {encoding}", found)


if __name__ == "__main__":
    for name in sys.argv[2:] or FILES:
        path = Path(sys.argv[1]) / FILES[name]
        if ":" in name:
            on_table(name, path)
        else:
            report(f"{name}, forest on counts", [recurrent(path, seed) for seed in range(SEEDS)])
