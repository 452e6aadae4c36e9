"""The predictors of PNAS: invariances, first outputs, and cells that are larger than any that were seen."""

import numpy as np
import pytest
import torch

from evonas.errors import UserError
from evonas.genomes.growing import END
from evonas.genomes.nasbench201 import NASBench201Space
from evonas.genomes.pnas import PNASSpace
from evonas.predictors import pnas as module
from evonas.predictors.pnas import KINDS, Normalised, PNASEnsemble, Recurrent
from evonas.ranking import rank_correlation
from evonas.support.streams import stream

SPACE = PNASSpace(normals=1, channels=4)
WORTH = {op: place / 8 for place, op in enumerate(SPACE.operations)}


def score(genome):
    """The mean worth of the operations, and what two equal ones in a block are worth together."""
    blocks = SPACE.units(genome)
    single = [WORTH[op] for block in blocks for table, op in block if table == "operation"]
    twins = [block[2][1] == block[3][1] for block in blocks]
    older = [block[0][1] == 0 for block in blocks]
    return 0.2 + 0.5 * np.mean(single) + 0.15 * np.mean(twins) + 0.1 * np.mean(older)


def cells(size, n, seed=0):
    """Different cells of this many blocks."""
    space = PNASSpace(normals=1, channels=4, blocks=size)
    rng = stream(seed, "cells", size)
    found = {}
    while len(found) < n:
        genome = space.complete({}, rng)
        if space.size(genome) == size:
            genome = genome if size == SPACE.blocks else (*genome[: 4 * size], END)
            found[SPACE.key(genome)] = genome
    return list(found.values())


def fitted(kind, genomes, **settings):
    predictor = PNASEnsemble(SPACE, seed=0, kind=kind, **settings)
    predictor.fit(genomes, np.array([score(each) for each in genomes]))
    return predictor


def turned(genome):
    """The first two blocks in the other order, which both read the inputs of the cell alone."""
    return (*genome[4:8], *genome[:4], *genome[8:])


def test_the_perceptron_does_not_see_the_order_of_blocks_and_the_lstm_does():
    two = [cell for cell in cells(2, 60) if cell[4] in (0, 1) and cell[6] in (0, 1)][:20]
    others = [turned(cell) for cell in two]
    mlp, rnn = (fitted(kind, two, members=1, epochs=5) for kind in ("mlp", "rnn"))
    assert mlp.predict(two)[0] == pytest.approx(mlp.predict(others)[0], abs=1e-6)
    assert np.abs(rnn.predict(two)[0] - rnn.predict(others)[0]).max() > 1e-4


@pytest.mark.parametrize("kind", list(KINDS))
def test_the_two_halves_of_a_block_have_one_canonical_order(kind):
    """(I1, O1) and (I2, O2) changed are no second genome, so nothing can be predicted of it."""
    (cell,) = cells(1, 1)
    a, c, b, d, _ = cell
    if (a, c) != (b, d):
        with pytest.raises(UserError):
            SPACE.decisions((b, d, a, c, END))


def test_the_first_output_is_about_the_accuracy_of_small_cells():
    tables, sizes = ["input", "input", "operation", "operation"], {"input": 7, "operation": 9}
    network = Recurrent(tables, sizes, torch.Generator().manual_seed(0))
    for size in (1, 2, 5):
        tokens = torch.randint(1, 7, (50, size, 4), generator=torch.Generator().manual_seed(1))
        assert (network(tokens) - 0.858).abs().max() < 0.03


def test_dpp_nets_regressor_is_128_wide_and_begins_at_the_sigmoid_of_two():
    network = Normalised(["layer"], {"layer": 10}, torch.Generator().manual_seed(0), 128, 2.0)
    tokens = torch.randint(1, 10, (50, 4, 1), generator=torch.Generator().manual_seed(1))
    assert {weights.shape for name, weights in network.named_parameters() if "embeddings" in name} == {(10, 128)}
    assert network.gates.weight.shape == (4 * 128, 2 * 128)
    assert abs(float(network(tokens).detach().mean()) - 0.881) < 0.1  # layer norms leave the output more room


def test_layer_norms_make_an_lstm_deaf_to_the_size_of_what_it_reads():
    network = Normalised(["layer"], {"layer": 10}, torch.Generator().manual_seed(0), 128, 2.0)
    tokens = torch.randint(1, 10, (50, 1, 1), generator=torch.Generator().manual_seed(1))
    before = network(tokens)
    with torch.no_grad():
        network.embeddings["layer"].weight.mul_(10)
    assert torch.allclose(network(tokens), before, atol=1e-2)


@pytest.mark.parametrize("kind", list(KINDS))
def test_cells_of_one_to_five_blocks_are_predicted_at_once_and_as_by_themselves(kind):
    mixed = [cell for size in (3, 1, 5, 2, 4) for cell in cells(size, 4)]
    predictor = fitted(kind, cells(1, 30) + cells(2, 30), members=2, epochs=3)
    alone = [predictor.predict([cell])[0][0] for cell in mixed]
    assert predictor.predict(mixed)[0] == pytest.approx(alone, abs=1e-6)


@pytest.mark.parametrize("kind", list(KINDS))
def test_cells_larger_than_any_that_were_seen_are_ranked(kind):
    seen = [cell for size in (1, 2, 3) for cell in cells(size, 60)]
    unseen = cells(4, 150, seed=1)
    found = fitted(kind, seen, epochs=25, members=3).predict(unseen)[0]
    assert rank_correlation(found, [score(cell) for cell in unseen]) > 0.5


def test_an_ensemble_ranks_at_least_as_well_as_its_members():
    seen, unseen = cells(1, 60) + cells(2, 60), cells(3, 200, seed=1)
    worth = [score(cell) for cell in unseen]
    ensembles, members = [], []
    for seed in range(5):
        predictor = PNASEnsemble(SPACE, seed=seed, epochs=15)
        predictor.fit(seen, np.array([score(cell) for cell in seen]))
        ensembles.append(rank_correlation(predictor.predict(unseen)[0], worth))
        for network in predictor.networks:
            alone = PNASEnsemble(SPACE, seed=seed)
            alone.numbers, alone.networks = predictor.numbers, [network]
            members.append(rank_correlation(alone.predict(unseen)[0], worth))
    assert np.mean(ensembles) >= np.mean(members)


def test_members_learn_from_four_fifths_each_and_together_from_all():
    learnt = []

    class Noting(PNASEnsemble):
        def _train(self, network, units, targets, chosen, rate, generator):
            learnt.append((set(chosen.tolist()), rate))

    Noting(SPACE, seed=0).fit(cells(1, 50), np.zeros(50))
    assert [len(chosen) for chosen, _ in learnt] == [40] * 5
    assert [rate for _, rate in learnt] == [0.01] * 5  # all of one size
    assert all(set(range(50)) - one for one, _ in learnt)
    assert set().union(*(set(range(50)) - one for one, _ in learnt)) == set(range(50))
    learnt.clear()
    Noting(SPACE, seed=0).fit(cells(1, 20) + cells(2, 30), np.zeros(50))
    assert [rate for _, rate in learnt] == [0.002] * 5


def test_tokens_that_were_not_met_are_predicted_all_the_same():
    predictor = fitted("mlp", cells(1, 30), epochs=3)  # no block has read state 2
    assert np.isfinite(predictor.predict(cells(4, 10))[0]).all()


@pytest.mark.parametrize("kind", list(KINDS))
def test_the_same_seed_gives_the_same_predictions(kind):
    seen, unseen = cells(2, 40), cells(3, 20)
    one, again = (fitted(kind, seen, epochs=4) for _ in range(2))
    assert (one.predict(unseen)[0] == again.predict(unseen)[0]).all()


def test_other_spaces_are_read_decision_by_decision():
    space = NASBench201Space(cells=1, channels=4)
    rng = stream(0, "cells")
    seen = [space.random(rng) for _ in range(150)]
    predictor = PNASEnsemble(space, seed=0, members=2, epochs=25)
    predictor.fit(seen, np.array([genome.count("nor_conv_3x3") / 6 for genome in seen]))
    unseen = [space.random(rng) for _ in range(100)]
    assert rank_correlation(predictor.predict(unseen)[0], [g.count("nor_conv_3x3") for g in unseen]) > 0.8


@pytest.mark.parametrize(
    ("settings", "says"),
    [({"kind": "gru"}, "kind is 'gru'; use mlp, rnn, rnn-norm"), ({"members": 0}, "members is 0.*use at least 1")],
)
def test_settings_out_of_range_are_refused(settings, says):
    with pytest.raises(UserError, match=says):
        PNASEnsemble(SPACE, seed=0, **settings)


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_single_value_is_learnt_by_every_member(kind):
    """As where one cell of a size is trained, or all others fail."""
    predictor = fitted(kind, cells(1, 1), epochs=2)
    assert np.isfinite(predictor.predict(cells(2, 5))[0]).all()


def test_many_cells_are_predicted_some_at_a_time_and_as_all_at_once(monkeypatch):
    """The embeddings of the 300,000 cells that a beam of 256 grows to would fill gigabytes."""
    seen, unseen = cells(1, 30), cells(3, 25) + cells(2, 25)
    predictor = fitted("mlp", seen, epochs=3)
    whole = predictor.predict(unseen)
    monkeypatch.setattr(module, "AT_ONCE", 10)
    forward, sizes = module.Perceptron.forward, []
    monkeypatch.setattr(module.Perceptron, "forward", lambda self, x: (sizes.append(len(x)), forward(self, x))[1])
    for found, expected in zip(predictor.predict(unseen), whole, strict=True):
        assert found == pytest.approx(expected, abs=1e-6)
    assert max(sizes) <= 10
