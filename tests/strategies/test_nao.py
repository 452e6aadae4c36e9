"""NAO against what its paper and its authors' code say (Luo et al. 2018), on synthetic scores."""

import random
from dataclasses import dataclass
from statistics import fmean

import pytest
import torch
from torch.nn.functional import normalize

from evonas.errors import UserError
from evonas.genomes.enas import MICRO, ENASMicroSpace
from evonas.genomes.large_scale import LargeScaleSpace
from evonas.genomes.nasbench201 import NASBench201Space
from evonas.genomes.nasnet import COMBINATIONS, NASNetSpace
from evonas.operators.by_decision import toolbox
from evonas.space import Decision, Space
from evonas.strategies.nao import NAO
from evonas.strategies.nao_model import EncoderPredictorDecoder, States, Vocabulary, scaled, widest

CELLS = ENASMicroSpace(nodes=2)
TRAINING = {
    "epochs": 180, "batch": 100, "learning_rate": 3e-3, "weight_decay": 1e-4, "trade_off": 0.8, "exchange": True,
}  # fmt: skip


@dataclass(frozen=True)
class Ragged(Space):
    """Words of a, b and an end, at most six long; b follows only on a."""

    name = "ragged"

    def next(self, prefix):
        if len(prefix) == 6 or (prefix and prefix[-1] == "end"):
            return None
        after_a = bool(prefix) and prefix[-1] == "a"
        return Decision(f"letter{len(prefix)}", ("a", "b", "end") if after_a else ("a", "end"), (len(prefix), after_a))


def worth(genome):
    """Cells are good by their operations, and by what takes the newer states; the same for twins."""
    operations = sum((1.0, 0.8, 0.1, 0.3, 0.0)[MICRO.index(token)] for token in genome if isinstance(token, str))
    return operations + 0.3 * sum(token for token in genome if isinstance(token, int))


def drawn(space, n, seed=0):
    rng, genomes = random.Random(seed), {}
    while len(genomes) < n:
        genomes[space.random(rng)] = None
    return list(genomes)


def model_of(space, genomes, seed=0, **sizes):
    return EncoderPredictorDecoder(
        space, seed=seed, width=widest(space, genomes), **({"units": 48, "layers": 1} | sizes)
    )


def twin(space, genome, which=None):
    """The genome with the pairs of branches exchanged of which `which` gives the numbers; by default all."""
    found = list(genome)
    for number, (one, other) in enumerate(space.branches(genome)):
        if which is None or number in which:
            for a, b in zip(one, other, strict=True):
                found[a], found[b] = genome[b], genome[a]
    return tuple(found)


def pairwise_accuracy(predicted, true):
    pairs = [(i, j) for i in range(len(true)) for j in range(i) if true[i] != true[j]]
    return fmean((predicted[i] > predicted[j]) == (true[i] > true[j]) for i, j in pairs)


@pytest.fixture(scope="module")
def trained():
    """A model of 200 cells with a worth, and these."""
    genomes = drawn(CELLS, 200)
    model = model_of(CELLS, genomes)
    model.fit(genomes, [worth(genome) for genome in genomes], **TRAINING)
    return model, genomes


# ---- genomes as numbers ----------------------------------------------------------------------------------------------


def test_the_40_tokens_of_two_cells_are_read_in_20_steps_of_an_input_and_its_operation():
    space = ENASMicroSpace()
    (genome,) = drawn(space, 1)
    found, vocabulary = Vocabulary(space).sequences([genome]), Vocabulary(space)
    assert found.tokens.shape == (1, 40)
    assert found.steps.shape == (1, 20, 2)
    assert found.steps[0, :4].tolist() == [
        [1, 3],
        [2, 4],
        [5, 7],
        [6, 8],
    ]  # places from 1: inputs x, y, operations x, y
    assert vocabulary.size == 12  # six inputs, five operations, and padding
    decisions = space.decisions(genome)
    back = [vocabulary.token(*each) for each in zip(decisions, found.tokens[0].tolist(), strict=True)]
    assert tuple(back) == genome
    legal = [[vocabulary.token(d, number) for number in row.nonzero()[:, 0].tolist()]
             for d, row in zip(decisions, found.legal[0], strict=True)]  # fmt: skip
    assert legal == [list(decision.options) for decision in decisions]


def test_the_published_code_of_a_cell_is_the_authors_numbers_and_back():
    """[0, 1, 1, 2] for the first node, an input and an operation twice, is 1, 8, 2, 9 in their code: + 1 and + 7."""
    space = ENASMicroSpace(nodes=1)
    genome = space.parse("0 1 1 2  0 0 0 0")
    tokens = Vocabulary(space).sequences([genome])
    read = [tokens.tokens[0, place - 1].item() for step in tokens.steps[0, :2].tolist() for place in step]
    names = {number: option for (_, option), number in Vocabulary(space).numbers.items()}
    options = [names[number] for number in read]
    assert options == [0, MICRO[1], 1, MICRO[2]]
    assert [MICRO.index(each) + 7 if isinstance(each, str) else each + 1 for each in options] == [1, 8, 2, 9]
    assert space.format(genome) == "0 1 1 2 0 0 0 0"


@pytest.mark.parametrize("space", [ENASMicroSpace(layers=1, channels=4), NASNetSpace(normals=1, channels=4,
                         combinations=COMBINATIONS)], ids=lambda space: space.name)  # fmt: skip
def test_genomes_whose_branches_are_exchanged_build_the_same_network(space):
    rng = random.Random(0)
    for genome in drawn(space, 4):
        pairs = space.branches(genome)
        which = rng.sample(range(len(pairs)), len(pairs) // 2)
        assert space.decode(twin(space, genome, which)).digest() == space.decode(genome).digest()
        assert space.decode(twin(space, genome)).digest() == space.decode(genome).digest()
        for one, other in pairs:
            for a, b in zip(one, other, strict=True):
                assert space.decisions(genome)[a].options == space.decisions(genome)[b].options


def test_each_pair_of_branches_is_exchanged_half_of_the_time():
    genomes = drawn(CELLS, 1) * 400
    model = model_of(CELLS, genomes)
    data = model.vocabulary.sequences(genomes)
    swapped = model._exchanged(data)
    numbers = {twin(CELLS, genomes[0], which) for which in ([], [0], [1], [0, 1])}
    decoded = {tuple(model.vocabulary.token(*each) for each in zip(CELLS.decisions(genomes[0]), row, strict=True))
               for row in swapped[:, :].tolist()}  # fmt: skip
    assert numbers <= decoded
    changed = [place for place in range(8) if data.tokens[0, place] != data.exchanged[0, place]]
    for place in changed:
        assert 150 < (swapped[:, place] != data.tokens[:, place]).sum() < 250


def test_worths_are_scaled_over_the_pool_and_equal_ones_are_not_divided_by_nothing():
    assert scaled([3.0, 1.0, 2.0]).tolist() == [1.0, 0.0, 0.5]
    assert scaled([0.7, 0.7]).tolist() == [0.5, 0.5]
    genomes = drawn(CELLS, 5)
    model = model_of(CELLS, genomes)
    model.fit(genomes, [0.7] * 5, **TRAINING | {"epochs": 2})
    assert all(0 < each < 1 for each in model.predictions(genomes))


# ---- the trained model ---------------------------------------------------------------------------------------------


def test_states_and_embeddings_have_length_one(trained):
    model, genomes = trained
    states = model.states(genomes)
    assert torch.allclose(states.outputs.norm(dim=-1), torch.ones(200, 8))
    assert torch.allclose(states.embedding.norm(dim=-1), torch.ones(200))


def test_the_decoder_gives_back_the_genomes_that_were_encoded(trained):
    """A step of 0 does so: what is decoded is new because of the step."""
    model, genomes = trained
    decoded = [found.genome for found in model.ascend(*model.gradients(genomes), 0.0)]
    same = [one == other for got, wanted in zip(decoded, genomes, strict=True)
            for one, other in zip(got, wanted, strict=True)]  # fmt: skip
    assert fmean(same) >= 0.98


def test_the_predictor_orders_genomes_that_it_has_not_seen_and_twins_are_worth_the_same(trained):
    model, genomes = trained
    held_out = [genome for genome in drawn(CELLS, 500, seed=1) if genome not in genomes]
    predicted = model.predictions(held_out)
    assert pairwise_accuracy(predicted, [worth(genome) for genome in held_out]) >= 0.8
    ours, theirs = model.predictions(genomes), model.predictions([twin(CELLS, genome) for genome in genomes])
    assert fmean(abs(one - other) for one, other in zip(ours, theirs, strict=True)) < 0.02


def test_a_small_step_goes_uphill_from_every_genome(trained):
    model, genomes = trained
    states, gradient = model.gradients(genomes)
    before = model.predictions(genomes)
    after = [found.predicted for found in model.ascend(states, gradient, 0.05)]
    assert fmean(new > old for new, old in zip(after, before, strict=True)) >= 0.95


def test_the_gradient_is_that_of_finite_differences():
    genomes = drawn(CELLS, 2)
    model = model_of(CELLS, genomes, units=6, dense=5).double()
    states, gradient = model.gradients(genomes)
    for place in [(0, 0, 0), (1, 3, 2), (1, 7, 5)]:
        values = []
        for sign in (1, -1):
            moved = states.outputs.clone()
            moved[place] += sign * 1e-6
            values.append(model.predict(States(moved, states.there))[place[0]].item())
        assert gradient[place].item() == pytest.approx((values[0] - values[1]) / 2e-6, abs=1e-8)


def test_decoded_genomes_are_legal_wherever_the_step_leads_also_where_lengths_vary():
    for space in (Ragged(), NASBench201Space(), CELLS):
        genomes = drawn(space, 10)
        model = model_of(space, genomes)
        states = model.states(genomes)
        noise = torch.randn(states.outputs.shape, generator=torch.Generator().manual_seed(0))
        for genome in model.decode(States(normalize(noise, dim=-1), states.there)):
            space.decisions(genome)  # raises where a token is not legal


def test_padding_of_shorter_genomes_changes_nothing():
    genomes = sorted(drawn(Ragged(), 8), key=len)
    model = model_of(Ragged(), genomes)
    together = model.states(genomes)
    for row, genome in enumerate(genomes):
        alone = model.states([genome])
        assert torch.allclose(alone.embedding[0], together.embedding[row], atol=1e-6)
        (one,), _ = model.scores(torch.zeros(1, 1, dtype=torch.long), alone)
        several, _ = model.scores(torch.zeros(8, 1, dtype=torch.long), together)
        assert torch.allclose(one, several[row], atol=1e-5)


def test_the_loss_is_the_mean_over_tokens_that_are_there_of_legal_ones_alone():
    space = Ragged()
    genomes = [("end",), ("a", "b", "end")]
    model = model_of(space, genomes)
    data = model.vocabulary.sequences(genomes)
    error, surprise = model.losses(data.tokens, data.legal, data.steps, torch.tensor([0.0, 1.0]))
    expected = []
    for genome in genomes:
        states, before, memory = model.states([genome]), torch.zeros(1, 1, dtype=torch.long), None
        for place, token in enumerate(genome):
            decision = space.next(genome[:place])
            scores, memory = model.scores(before, states, memory)
            numbers = [model.vocabulary.number(decision, option) for option in decision.options]
            logits = scores[0, 0][numbers].log_softmax(0)
            expected.append(-logits[decision.options.index(token)].item())
            before = torch.tensor([[model.vocabulary.number(decision, token)]])
    assert surprise.item() == pytest.approx(fmean(expected), abs=1e-5)
    predicted = model.predictions(genomes)
    assert error.item() == pytest.approx((predicted[0] ** 2 + (predicted[1] - 1) ** 2) / 2, abs=1e-5)


def test_training_is_the_same_to_the_bit_for_a_seed_and_leaves_the_global_generator_alone():
    genomes, found = drawn(CELLS, 20), []
    for seed in (0, 0, 1):
        model = model_of(CELLS, genomes, seed=seed)
        before = torch.random.get_rng_state()
        model.fit(genomes, [worth(genome) for genome in genomes], **TRAINING | {"epochs": 3})
        assert torch.equal(torch.random.get_rng_state(), before)
        found.append(torch.cat([weights.flatten() for weights in model.state_dict().values()]))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


# ---- the search ------------------------------------------------------------------------------------------------------


def search(space=CELLS, seed=0, **settings):
    rng = random.Random(seed)
    quick = {"initial": 10, "seeds": 4, "new": 6, "epochs": 2, "units": 8, "dense": 8}
    return NAO(toolbox(space, rng=rng), rng=rng, **quick | settings)


def tell(strategy, individuals, first_id=0):
    for number, individual in enumerate(individuals, first_id):
        individual.id = number
        individual.fitness.values = (worth(individual),)
    strategy.update(individuals)


def test_what_is_decoded_is_better_than_its_seeds_and_than_chance():
    ours, seeds, chance = [], [], []
    for seed in range(5):
        strategy = search(ENASMicroSpace(nodes=3), seed, initial=60, seeds=15, new=15, epochs=30, units=32, dense=50)
        tell(strategy, strategy.generate(60))
        seeds.append(fmean(map(worth, strategy.best())))
        ours.append(fmean(worth(each) for each in strategy.generate(15) if each.operator == "nao"))
        chance.append(fmean(worth(genome) for genome in drawn(strategy.toolbox.space, 200, seed)))
    assert all(one > other for one, other in zip(ours, chance, strict=True))
    assert fmean(ours) > fmean(seeds)


def test_a_round_has_new_genomes_alone_that_know_the_seed_which_they_come_from():
    strategy = search()
    first = strategy.generate()
    assert len(first) == 10
    assert {each.operator for each in first} == {"random"}
    tell(strategy, first)
    best = {each.id for each in strategy.best()}
    assert best == set(sorted(range(10), key=lambda number: -worth(first[number]))[:4])
    second = strategy.generate()
    assert len(second) == 6
    assert len({tuple(each) for each in first + second}) == 16
    for each in second:
        if each.operator == "nao":
            assert set(each.parents) < best
            assert each.proposal["eta"] >= 3.0
            assert 0 < each.proposal["predicted"] < 1
        else:
            assert (each.operator, each.parents) == ("random", ())


def test_a_round_that_finds_too_few_is_filled_with_random_genomes():
    strategy = search(eta=1e-9, epochs=300, initial=6, units=48, exchange=False)  # steps that lead back to the seeds
    first = strategy.generate(6)
    tell(strategy, first)
    second = strategy.generate(6)
    seeds = [tuple(each) for each in strategy.best()]
    assert strategy.model.decode(strategy.model.states(seeds)) == seeds
    assert {each.operator for each in second} == {"random"}
    assert len({tuple(each) for each in first + second}) == 12


def test_no_worker_waits_and_failures_are_left_out():
    strategy = search()
    flying = strategy.generate(14)  # more than the first fit needs: all random
    assert {each.operator for each in flying} == {"random"}
    for each in flying[:4]:
        each.fitness.values = ()
    strategy.update(flying[:4])
    assert strategy.told == []
    tell(strategy, flying[4:13])
    assert [each.operator for each in strategy.generate(2)] == ["random"] * 2  # nine are valid
    assert strategy.model is None
    tell(strategy, flying[13:], 13)
    strategy.generate(1)
    model = strategy.model
    assert model is not None
    strategy.generate(10)  # another round, before anything new is known
    assert strategy.model is model


def test_settings_out_of_their_range_are_refused():
    for name, value in {"initial": 0, "seeds": 0, "new": 0, "eta": 0, "trade_off": 1.1, "epochs": 0, "batch": 0,
                        "learning_rate": 0, "weight_decay": -1, "layers": -1, "dense": 0, "dropout": 1, "units": 0,
                        "embedding": 0, "evaluations": 0}.items():  # fmt: skip
        with pytest.raises(UserError, match=rf"{name} (is )?{value}"):
            search(**{name: value})


def test_a_space_without_decisions_is_refused():
    box = toolbox(CELLS, rng=random.Random(0))
    box.space = LargeScaleSpace()
    with pytest.raises(UserError, match="not sequences of decisions"):
        NAO(box, rng=random.Random(0))
