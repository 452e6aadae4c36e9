"""What strategies of others propose: tokens are those of the space, or the search says what is wrong."""

import json

import numpy as np
import pytest

import evonas
from evonas.errors import UserError
from evonas.evaluation import Function
from evonas.genomes.genet import DIGITS
from evonas.genomes.large_scale import LargeScaleSpace
from evonas.individual import Individual
from evonas.run.phase import Phase
from evonas.strategies.first import First

BITS = (1, 0, 1, 0, 1, 0, 1, 0, 1)


class Own:
    def __init__(self, *proposed):
        self.proposed = proposed

    def generate(self, n=None):
        return list(self.proposed)

    def update(self, individuals):
        pass


@pytest.mark.parametrize("bits", [np.array(BITS), np.array(BITS, bool), list(map(bool, BITS)), list(map(float, BITS))])
def test_tokens_are_put_back_to_the_options_that_they_equal(tmp_path, bits):
    found = evonas.search(DIGITS, evaluate=sum, strategy=Own(Individual(bits)), budget=2, workers=1,
                          out=tmp_path / "run", progress=False)  # fmt: skip
    assert found.best.code == "1-01/0-10-101"
    assert DIGITS.parse(found.best.code) == found.best.genome == BITS
    lines = (tmp_path / "run" / "journal.jsonl").read_text().splitlines()
    genomes = [event["genome"] for event in map(json.loads, lines) if event["event"] == "asked"]
    assert [list(map(type, genome)) for genome in genomes] == [[int] * 9] * len(genomes)


@pytest.mark.parametrize(
    ("proposed", "says"),
    [
        ([Individual([2, *BITS[1:]])], "not of genet: token 1 is 2; stage1/1-2 takes one of 0, 1"),
        ([Individual(["1", *BITS[1:]])], "not of genet: token 1 is '1'; stage1/1-2 takes one of 0, 1"),
        ([Individual([np.array([0, 1]), *BITS[1:]])], r"not of genet: token 1 is array\(\[0, 1\]\)"),
        ([Individual(BITS[1:])], "not of genet: the genome ends after 8 tokens"),
        ([Individual((*BITS, 0))], "not of genet: the genome has 10 tokens"),
        ([BITS], r"the strategy proposes \(1, 0, .*; give evonas.individual.Individual"),
        ([Individual(BITS)] * 2, "one was asked for; generate"),
    ],
)
def test_what_is_no_individual_of_the_space_is_refused(proposed, says):
    with pytest.raises(UserError, match=says):
        Phase("search", Own(*proposed), Function(sum), DIGITS).propose()


def test_genomes_that_are_no_sequences_of_decisions_are_left_as_they_are():
    genes = Individual(LargeScaleSpace().trivial())
    (proposed,) = Phase("search", First([genes]), Function(len), LargeScaleSpace()).propose()
    assert proposed is genes
    assert list(proposed) == ["lr 0.1 made 0"]
