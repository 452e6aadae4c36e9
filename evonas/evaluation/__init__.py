"""Evaluation: a candidate goes in, an outcome comes out.

candidate.py     a genome on its way: graph, digest, parents, the weights it begins with
evaluator.py     what every evaluator says of itself; a user's function is one
outcome.py       values, status, cost and curve
training.py      by training; as_trained.py by weights that a search has left
mean.py          several trainings as one
table/           by a table of networks that others have trained; nats_bench.py writes one
keeper.py        keeps what a journal does not; inheritance.py keeps weights for children; store.py has their files
parcel.py        what workers need beside a candidate: teacher.py, latencies.py
"""

from evonas.evaluation.candidate import FRESH, Candidate, Decoder, Genome, Origin
from evonas.evaluation.evaluator import EvaluationError, Evaluator, Function, Job, Known, identity
from evonas.evaluation.outcome import Outcome

__all__ = [
    "FRESH", "Candidate", "Decoder", "EvaluationError", "Evaluator", "Function", "Genome", "Job", "Known", "Origin",
    "Outcome", "identity",
]  # fmt: skip
