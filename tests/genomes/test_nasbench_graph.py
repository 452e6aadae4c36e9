"""NAS-Bench-Graph: the canonical form of networks over graphs."""

import csv
import gzip
import os
from pathlib import Path

import pytest

from evonas.errors import UserError
from evonas.genomes.nasbench_graph import NASBenchGraphSpace
from evonas.space import CodeError
from evonas.support.streams import stream

TABLE = Path(os.environ.get("EVONAS_TABLES", Path(__file__).parents[3] / "shared" / "data")) / "nasbench_graph.csv.gz"
SPACE = NASBenchGraphSpace()


def test_the_space_has_every_way_of_reading_and_every_operation_but_skips_alone():
    assert SPACE.count() == 24 * (9**4 - 1)
    for seed in range(200):
        genome = SPACE.random(stream(seed, "graph"))
        assert SPACE.parse(SPACE.format(genome)) == genome
        assert set(genome[3:]) != {"skip"}


@pytest.mark.parametrize(
    ("code", "canonical"),
    [
        ("0000:fc-gin-gcn-gat", "0000:gat-gcn-gin-fc"),  # equals in the official order
        ("0123:gcn-skip-gat-fc", "0123:skip-gcn-gat-fc"),  # a skip within a chain stands in front
        ("0123:gcn-gat-fc-skip", "0123:skip-gcn-gat-fc"),  # and one at its end
        ("0002:gat-gcn-gin-fc", "0001:gcn-gat-gin-fc"),  # who is read comes first
        ("0000:skip-gcn-gat-skip", "0122:skip-skip-gat-gcn"),  # the bare input adds nothing to the output
        ("0111:gcn-skip-gat-fc", "0111:gcn-gat-fc-skip"),  # a skip to the output stays
        ("0120:gat-gcn-fc-sage", "0013:gat-sage-gcn-fc"),
    ],
)
def test_equal_networks_have_one_key(code, canonical):
    assert SPACE.key(SPACE.parse(code)) == canonical
    assert SPACE.key(SPACE.parse(canonical)) == canonical


@pytest.mark.skipif(not TABLE.exists(), reason="the table nasbench_graph.csv.gz is not here")
def test_the_keys_of_all_genomes_are_the_networks_of_the_table():
    with gzip.open(TABLE, "rt") as file:
        listed = {row["arch"] for row in csv.DictReader(file)}
    assert len(listed) == 26_206
    assert {SPACE.key(genome) for genome in SPACE.genomes()} == listed
    assert all(SPACE.key(SPACE.parse(code)) == code for code in listed)


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("0123:gcn-gcn-gcn", "one looks like"),
        ("1000:gcn-gcn-gcn-gcn", "one looks like"),
        ("0200:gcn-gcn-gcn-gcn", "one looks like"),
        ("0123:gcn-gcn-gcn-lstm", "takes one of gat, gcn"),
        ("0123:skip-skip-skip-skip", "takes one of gat, gcn"),
    ],
)
def test_codes_of_no_network_are_refused(code, says):
    with pytest.raises(CodeError, match=says):
        SPACE.parse(code)


def test_nothing_is_decoded():
    with pytest.raises(UserError, match="search it on its table"):
        SPACE.decode(SPACE.parse("0123:gcn-gat-fc-fc"))
