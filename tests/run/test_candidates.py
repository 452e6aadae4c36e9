"""How often a genome is decoded and digested on its way: once where it is proposed, once where it is trained."""

import json
from collections import Counter

import pytest

import evonas
from evonas.evaluation import Candidate, Decoder
from evonas.evaluation.table import Lookup, Table
from evonas.executors import Serial
from evonas.genomes.genet import GeNetSpace
from evonas.genomes.nasbench201 import NASBench201Space
from evonas.graph import Graph
from evonas.operators.by_decision import one_change_toolbox
from evonas.run.budget import Budget
from evonas.run.journal import Unwritten
from evonas.run.loop import Loop
from evonas.run.phase import Phase
from evonas.strategies.aging import AgingEvolution
from evonas.support.streams import stream


@pytest.fixture
def counted(monkeypatch):
    """Decodes by genome and digests, from when the search proposes its first genome to when its last is told."""
    found = {"decodes": Counter(), "digests": 0, "on": False}

    def count(kind, original):
        def counting(self, *arguments):
            if found["on"] and kind == "decodes":
                found["decodes"][tuple(arguments[0])] += 1
            elif found["on"]:
                found["digests"] += 1
            return original(self, *arguments)

        return counting

    monkeypatch.setattr(GeNetSpace, "decode", count("decodes", GeNetSpace.decode))
    monkeypatch.setattr(NASBench201Space, "decode", count("decodes", NASBench201Space.decode))
    monkeypatch.setattr(Graph, "digest", count("digests", Graph.digest))
    original = Loop.run

    def run(self, phase, *arguments, **options):
        found["on"] = phase.name == "search"
        try:
            return original(self, phase, *arguments, **options)
        finally:
            found["on"] = False

    monkeypatch.setattr(Loop, "run", run)
    return found


@pytest.mark.parametrize("limits", [{}, {"max_parameters": 3600}])
def test_a_proposal_is_decoded_and_digested_at_most_once_where_it_is_steered(counted, tmp_path, limits):
    settings = {"population": 5, "generations": 2, "epochs": 1, "final.epochs": 1, "filters": (4, 8)}
    found = evonas.search("genet", "digits", settings=settings, workers=2, executor="processes", out=tmp_path / "run",
                          progress=False, **limits)  # fmt: skip
    proposed = Counter(tuple(r["genome"]) for r in found.records() if r["phase"] == "search")
    assert sum(proposed.values()) == 15
    for genome, times in proposed.items():
        assert counted["decodes"][genome] <= times
    assert 0 < counted["digests"] <= 15
    if not limits:  # what is over them is decoded to be rejected
        assert set(counted["decodes"]) <= set(proposed)


def test_a_worker_decodes_a_candidate_once(counted):
    import cloudpickle

    space = GeNetSpace((3,), (4,))
    candidate = Candidate(space.parse("1-01"), space)
    counted["on"] = True
    assert candidate.digest == candidate.digest
    assert candidate.graph is candidate.graph
    assert counted["decodes"].total() == counted["digests"] == 1
    sent = cloudpickle.loads(cloudpickle.dumps(candidate))
    assert counted["decodes"].total() == 1
    assert sent.graph is sent.graph
    assert counted["decodes"].total() == 2


def test_a_search_over_a_table_decodes_and_digests_nothing(counted):
    space = NASBench201Space()
    keys = {space.key(genome): number for number, genome in enumerate(space.genomes())}
    table = Table(space, {key: (n / 200,) for key, n in keys.items()}, keys, dict.fromkeys(keys, 1.0), epochs=12)
    rng = stream(0, "aging")
    strategy = AgingEvolution(one_change_toolbox(space, rng=rng), rng=rng, population=20, sample=5)
    phase = Loop(Unwritten(), Serial(), 1).run(Phase("search", strategy, Lookup(table, 0), space), Budget(300))
    assert len(phase.outcomes) == 300
    assert counted["decodes"].total() == counted["digests"] == 0


def test_the_last_graphs_are_remembered_and_no_more():
    space = GeNetSpace((3,), (4,))
    decoder, genomes = Decoder(space, remembered=2), list(space.genomes())[:3]
    first = decoder.graph(genomes[0])
    assert decoder.graph(genomes[0]) is first
    for genome in genomes[1:]:
        decoder.digest(genome)
    assert decoder.graph(genomes[0]) is not first
    assert json.dumps(decoder.digest(genomes[0])) == json.dumps(first.digest())
