"""Which decisions mattered, by what networks were worth."""

from random import Random

import pytest

from evonas.genomes.genet import DIGITS
from evonas.genomes.metaqnn import MetaQNNSpace
from evonas.reports.glossary import code_words, operator_words
from evonas.reports.importance import importance
from evonas.space import Space


def records(space, worth, count=60, seed=0):
    rng = Random(seed)
    genomes = [space.random(rng) for _ in range(count)]
    return [
        {"genome": list(genome), "values": [worth(genome, rng)], "phase": "search", "status": "full"}
        for genome in genomes
    ]


def test_the_decision_that_made_the_difference_comes_first():
    names = [decision.name for decision in DIGITS.decisions(DIGITS.random(Random(0)))]
    found = importance(records(DIGITS, lambda genome, rng: genome[2] + 0.1 * rng.random()), DIGITS)
    assert found[0][0] == names[2]
    assert found[0][1] > 0.9
    assert sum(share > chance for _, share, chance in found[1:]) <= 2


def test_a_worked_share_of_the_variance():
    # the bit is 1 for two networks of 3 and 4, and 0 for six of 1: 2 (3.5 - 1.625)^2 + 6 (1 - 1.625)^2 of 9.875
    genomes = list(dict.fromkeys(DIGITS.random(Random(seed)) for seed in range(100)))
    ones, zeros = ([g for g in genomes if g[0] == bit] for bit in (1, 0))
    told = [(ones[0], 3.0), (ones[1], 4.0), *((genome, 1.0) for genome in zeros[:6])]
    made = [{"genome": list(g), "values": [v], "phase": "search", "status": "full"} for g, v in told]
    found = {name: share for name, share, _ in importance(made, DIGITS)}
    name = DIGITS.decisions(genomes[0])[0].name
    assert found[name] == pytest.approx((2 * 1.875**2 + 6 * 0.625**2) / 9.875)


def test_decisions_that_some_genomes_do_not_come_to_count_too():
    space = MetaQNNSpace(longest=4, filters=(8, 16), dense=(16,), input_shape=(1, 8, 8))
    found = importance(records(space, lambda genome, rng: len(genome)), space)
    assert found
    assert all(0 <= share <= 1 and 0 <= chance <= 1 for _, share, chance in found)


@pytest.mark.parametrize("worth", [lambda genome, rng: 0.5, lambda genome, rng: float("nan")])
def test_nothing_is_said_of_equal_or_unknown_values(worth):
    assert importance(records(DIGITS, worth), DIGITS) == []


def test_nothing_is_said_of_few_networks():
    assert importance(records(DIGITS, lambda genome, rng: genome[0], count=4), DIGITS) == []


def test_operators_and_codes_are_explained():
    words = operator_words(["mut_bits", "cx_stages + mut_bits", "random", "somebody's own"])
    assert words == {
        "mut_bits": "Flip each bit with probability `indpb` (q_M, section 3.2.3).",
        "cx_stages": "Exchange whole stages, each with probability `indpb` (q_C, section 3.2.3).",
        "random": "Drawn at random.",
    }
    assert "`1-01-100` means 1->2, 2->3 and 1->4" in " ".join(code_words(DIGITS).split())

    class Own(Space):
        """Of a user.

        With more."""

    assert code_words(Own()) == "Of a user."
