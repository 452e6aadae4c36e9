"""Streams of randomness. Whoever seeds Python's, numpy's or torch's global generator finds it as it was, whatever
evonas does meanwhile."""

import subprocess
import sys
import textwrap

import pytest

from evonas.support.streams import drawn, stream


@pytest.mark.slow
def test_global_generators_are_left_as_they_were(tmp_path):
    """In a process of its own, in which no library has been loaded: some draw as they are."""
    script = textwrap.dedent("""
        import random
        import numpy
        random.seed(1), numpy.random.seed(1)
        before = random.getstate(), numpy.random.get_state()[1].tolist()

        def check(where):
            assert (random.getstate(), numpy.random.get_state()[1].tolist()) == before, where

        import evonas
        check("the import")
        evonas.search("genet", evaluate=sum, budget=3, workers=1, out="one", progress=False)
        check("a search")
        evonas.search("genet", evaluate=sum, budget=3, workers=2, out="two", progress=False)
        check("a search by two workers")
        import torch
        torch.manual_seed(5)
        drawn = torch.get_rng_state()
        from evonas.data.sources import Source, load
        from evonas.evaluation import Candidate
        from evonas.evaluation.training import Training
        from evonas.genomes.genet import DIGITS
        from evonas.recipe import Recipe
        from evonas.tasks.classification import ImageClassification
        load(Source("digits"))
        check("the loading of data")
        training = Training(ImageClassification(Source("digits")), Recipe(epochs=1, learning_rate=0.05), seed=0)
        check("the making of an evaluator")
        assert training(Candidate(DIGITS.parse("1-01/1-01-100"), DIGITS)).values
        check("an evaluation")
        assert torch.equal(torch.get_rng_state(), drawn)
    """)
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("size", [1, 2, 25, 100, 128])
def test_what_is_drawn_at_once_is_what_would_be_chosen_one_by_one(size):
    among, one, other = list(range(size)), stream(0, "one"), stream(0, "one")
    assert drawn(one, among, 50) == [other.choice(among) for _ in range(50)]
    assert one.getstate() == other.getstate()


def test_nobody_can_be_drawn_from_nobody():
    with pytest.raises(IndexError):
        drawn(stream(0), [], 1)
