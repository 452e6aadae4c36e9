"""Large-scale Evolution: DNA, its eleven mutations, and tournaments of two (Real et al. 2017)."""

import json
from collections import Counter
from dataclasses import replace
from math import log2
from statistics import fmean, variance

import numpy as np
import pytest
import torch
from deap import base

import evonas
from evonas.data.sources import Source
from evonas.errors import UserError
from evonas.evaluation import Candidate
from evonas.evaluation.training import Training
from evonas.genomes.large_scale import DNA, OUT, Filter, LargeScaleSpace, Vertex, odd
from evonas.graph import GraphError
from evonas.individual import Individual
from evonas.network import build
from evonas.operations import Convolution, sides
from evonas.operators import large_scale as mutations
from evonas.operators.by_decision import toolbox as uniform
from evonas.operators.large_scale import MUTATIONS, Inapplicable, init_trivial, mut_large_scale, toolbox
from evonas.space import CodeError
from evonas.strategies.tournament import Tournament
from evonas.support.streams import stream
from evonas.systems.registry import setup, system
from evonas.tasks.classification import ImageClassification

SPACE = LargeScaleSpace(input_shape=(3, 16, 16))
SMALL = LargeScaleSpace(input_shape=(1, 8, 8))
MUTATED = 10_000
CHAINS, LENGTH = 500, 12


def rng(*path):
    return stream(0, "large-scale", *path)


def individual(dna):
    return Individual(dna.genes)


def chain(*edges, skips=()):
    """Vertices 1, 2, ... with these edges (None: identity), all active."""
    vertices = tuple(Vertex(number, edge, True) for number, edge in enumerate(edges, 1))
    return DNA(0.1, vertices, tuple(skips), len(edges))


def mutated(dna, mutation, *path):
    child = individual(dna)
    returned = mutation(child, SPACE, rng=rng(mutation.__name__, *path))
    assert returned == (child,)
    return DNA.read(child)


# ---- the genome -----------------------------------------------------------------------------------------------------


def test_the_trivial_individual_is_one_layer_without_a_convolution():
    graph = SPACE.decode(init_trivial(SPACE))
    assert [node.name for node in graph.nodes] == ["pool", "classifier"]
    assert graph.parameters == 3 * 10 + 10
    assert list(init_trivial(SPACE)) == ["lr 0.1 made 0"]


def test_a_genome_is_a_list_of_texts_that_comes_back_from_json_and_from_its_code():
    dna = chain(Filter(16.25, 3.0, 4.999, 1), None, Filter(1e-05), skips=[(0, 2), (1, OUT)])
    genes = dna.genes
    assert genes == [
        "lr 0.1 made 3", "1 conv 16.25 3.0x4.999 stride 2 bn_relu", "2 identity bn_relu",
        "3 conv 1e-05 3.0x3.0 stride 1 bn_relu", "skip 0 2", "skip 1 out",
    ]  # fmt: skip
    assert DNA.read(json.loads(json.dumps(genes))) == dna
    assert SPACE.parse(SPACE.format(genes)) == tuple(genes)


@pytest.mark.parametrize(
    ("genes", "says"),
    [
        ([], "learning rate"),
        (["lr -1 made 0"], "learning rate"),
        (["lr 1.2.3 made 0"], "learning rate"),
        (["lr . made 0"], "learning rate"),
        (["lr 0.1 made 1", "1 conv 1e999 3.0x3.0 stride 1 linear"], "is not valid; write"),
        (["lr 0.1 made 0", "1 identity linear"], "a distinct number from 1 to 0"),
        (["lr 0.1 made 2", "1 identity linear", "1 identity linear"], "a distinct number"),
        (["lr 0.1 made 1", "1 conv 8.0 3.0x3.0 stride 3 linear"], "power of two"),
        (["lr 0.1 made 1", "1 conv 0.0 3.0x3.0 stride 1 linear"], "above 0"),
        (["lr 0.1 made 1", "1 pool linear"], "is not valid; write"),
        (["lr 0.1 made 1", "1 identity linear", "skip 0 1"], "not its neighbour"),
        (["lr 0.1 made 1", "1 identity linear", "skip out 0"], "is not valid; write"),
        (["lr 0.1 made 1", "1 identity linear", "skip 0 out", "skip 0 out"], "twice"),
        (["lr 0.1 made 1", "skip 0 out", "1 identity linear"], "before skips"),
    ],
)
def test_what_is_no_dna_is_refused_with_the_gene_that_is_wrong(genes, says):
    with pytest.raises(CodeError, match=says):
        SPACE.decode(genes)


def test_a_stride_that_leaves_less_than_a_pixel_is_refused():
    SPACE.decode(chain(*[Filter(4.0, scale=1)] * 4).genes)
    with pytest.raises(GraphError, match="vertex 5: a stride of 2 leaves less than a pixel of 1x1"):
        SPACE.decode(chain(*[Filter(4.0, scale=1)] * 5).genes)


def test_a_skip_is_made_to_fit_the_edge_of_the_backbone():
    """The worked example: 32x32x10 into 16x16x32 is every second pixel and 22 channels of zeros, and is summed."""
    space = LargeScaleSpace(input_shape=(10, 32, 32))
    graph = space.decode(chain(Filter(32.0, scale=1), None, skips=[(0, 2)]).genes)
    assert graph.shapes["vertex2"] == (32, 16, 16)
    network, images = build(graph).eval(), torch.randn(2, 10, 32, 32)
    seen = {}
    network.get_submodule("skip0_2").register_forward_hook(lambda module, x, y: seen.update(skip=y))
    network.get_submodule("vertex2").register_forward_hook(lambda module, x, y: seen.update(sum=x[0]))
    network.get_submodule("vertex1").register_forward_hook(lambda module, x, y: seen.update(primary=y))
    network(images)
    assert torch.equal(seen["skip"][:, :10], images[:, :, ::2, ::2])
    assert seen["skip"].shape == (2, 32, 16, 16)
    assert not seen["skip"][:, 10:].any()
    assert torch.equal(seen["sum"], seen["primary"] + seen["skip"])


def test_a_skip_with_too_many_channels_or_too_few_pixels_is_cut_and_stretched():
    space = LargeScaleSpace(input_shape=(10, 8, 8))
    narrow = space.decode(chain(Filter(20.0), Filter(4.0), skips=[(0, 2)]).genes)
    assert [str(op) for op in next(n for n in narrow.nodes if n.name == "skip0_2").operations] == ["first 4 channels"]
    network = build(space.decode(chain(None, None, skips=[(0, 2)]).genes))  # equal shapes: the image itself
    assert "skip0_2" not in dict(network.named_modules())


# ---- ranges ---------------------------------------------------------------------------------------------------------


def test_channels_stay_between_half_and_twice_and_reach_every_value():
    built = Counter()
    for n in range(MUTATED):
        (vertex,) = mutated(chain(Filter(10.0)), mutations.mut_alter_channels, n).vertices
        assert 5 <= vertex.edge.channels <= 20
        built[vertex.edge.operation.channels] += 1
    assert set(built) == set(range(5, 21))
    inner = fmean(built[channels] for channels in range(6, 20))
    assert 0.3 < built[5] / inner < 0.7  # the ends are rounded to from one side only
    assert 0.3 < built[20] / inner < 0.7


def test_a_stored_real_builds_its_rounding_and_can_still_grow():
    assert Filter(1.4).operation.channels == 1
    grown = [mutated(chain(Filter(1.4)), mutations.mut_alter_channels, n).vertices[0].edge.channels for n in range(200)]
    assert max(grown) > 1.5
    assert min(grown) >= 1


def test_filter_sides_are_odd_and_one_changes_at_a_time():
    found = set()
    dna = chain(Filter(4.0))
    for n in range(MUTATED):
        child = mutated(dna, mutations.mut_filter_size, n)
        old, new = dna.vertices[0].edge, child.vertices[0].edge
        assert old.height == new.height or old.width == new.width
        assert new.channels == old.channels
        found.update(sides(new.operation.kernel))
        dna = child if max(new.height, new.width) < 30 else chain(Filter(4.0))
    assert all(side % 2 == 1 for side in found)
    assert {1, 3, 5, 7} <= found
    assert [odd(side) for side in (0.5, 1.0, 1.9, 2.0, 3.0, 3.99, 4.0, 5.9)] == [1, 1, 1, 3, 3, 3, 5, 5]


def test_strides_stay_powers_of_two_and_change_by_one_step():
    dna = chain(Filter(4.0))
    scales = Counter()
    for n in range(1000):
        scale = mutated(dna, mutations.mut_alter_stride, n).vertices[0].edge.scale
        assert abs(scale - dna.vertices[0].edge.scale) == 1
        assert scale >= 0
        scales[scale] += 1
        dna = chain(Filter(4.0, scale=min(scale, 3)))
    assert {0, 1, 2} <= set(scales)


def test_the_learning_rate_is_log_uniform_between_half_and_twice():
    steps = [log2(mutated(DNA(0.1), mutations.mut_alter_learning_rate, n).learning_rate / 0.1) for n in range(MUTATED)]
    assert all(-1 - 1e-5 <= step <= 1 + 1e-5 for step in steps)
    assert abs(fmean(steps)) < 0.025
    assert abs(variance(steps) - 1 / 3) < 0.015


@pytest.mark.parametrize(
    ("before", "least", "given"), [((), 1, 3), ((), 16, 16), ((8.5,), 16, 16), ((24.5,), 16, 24.5)]
)
def test_an_inserted_convolution_gives_the_least_of_the_space_where_fewer_come_in(before, least, given):
    space = LargeScaleSpace(least=least)
    for draw in range(20):
        child = individual(chain(*map(Filter, before)))
        mutations.mut_insert_convolution(child, space, rng=rng("least", draw))
        dna = DNA.read(child)
        if dna.vertices[-1].number == dna.made:  # behind all others
            assert dna.vertices[-1].edge.channels == given
    with pytest.raises(UserError, match="least 0"):
        LargeScaleSpace(least=0)


def test_an_inserted_convolution_is_3x3_with_the_channels_that_come_in():
    seen = Counter()
    for n in range(400):
        child = mutated(chain(Filter(7.5)), mutations.mut_insert_convolution, n)
        (new,) = [vertex for vertex in child.vertices if vertex.number == 2]
        first = child.vertices[0] is new
        assert new.edge == Filter(3.0 if first else 7.5, 3.0, 3.0, new.edge.scale)
        assert child.made == 2
        seen[first, new.edge.scale, new.active] += 1
    assert set(seen) == {(first, scale, active) for first in (0, 1) for scale in (0, 1) for active in (0, 1)}


def test_a_removed_convolution_hands_its_skips_to_its_neighbours():
    dna = chain(Filter(4.0), Filter(4.0), Filter(4.0), skips=[(0, 2), (1, 3), (2, OUT)])
    assert dna.without(2).skips == ((0, 3), (1, OUT))  # 1 to 3 are neighbours now
    assert dna.without(2).backbone == [0, 1, 3, OUT]
    assert chain(None, Filter(4.0), skips=[(0, 2)]).without(1).skips == ()


# ---- legality -------------------------------------------------------------------------------------------------------


def test_skips_never_close_a_cycle_nor_touch_the_ends():
    draw = rng("vertices")
    for _ in range(MUTATED // 100):
        child = individual(chain(*[draw.choice([None, Filter(3.0)]) for _ in range(16)]))
        for _ in range(100):
            mutations.mut_add_skip(child, SPACE, rng=draw)
        dna = DNA.read(child)
        place = {number: at for at, number in enumerate(dna.backbone)}
        assert len(dna.skips) == len(set(dna.skips)) == 100
        assert all(place[a] + 1 < place[b] for a, b in dna.skips)
        assert all(a != OUT and b != 0 for a, b in dna.skips)
        SPACE.decode(child)
    while DNA.read(child).possible_skips:
        mutations.mut_add_skip(child, SPACE, rng=draw)
    with pytest.raises(Inapplicable, match="no two vertices are left"):
        mutations.mut_add_skip(child, SPACE, rng=draw)


@pytest.mark.parametrize(
    "mutation",
    [mutations.mut_remove_convolution, mutations.mut_alter_stride, mutations.mut_alter_channels,
     mutations.mut_filter_size, mutations.mut_remove_skip],
)  # fmt: skip
def test_a_mutation_without_a_place_fails_cleanly_and_another_is_drawn(mutation):
    child = init_trivial(SPACE)
    before = list(child)
    with pytest.raises(Inapplicable):
        mutation(child, SPACE, rng=rng())
    assert list(child) == before
    mut_large_scale(child, SPACE, among=[mutation, mutations.mut_insert_one_to_one], rng=rng())
    assert child.operator == "mut_insert_one_to_one"
    mut_large_scale(child := init_trivial(SPACE), SPACE, among=[mutation], rng=rng())
    assert (list(child), child.operator) == (before, "mut_identity")


def test_a_stride_too_many_is_drawn_again():
    child = individual(chain(*[Filter(4.0, scale=1)] * 4))
    mut_large_scale(child, SPACE, among=[mutations.mut_insert_convolution], rng=rng())
    assert [v.edge.scale for v in DNA.read(child).vertices].count(1) == 4
    SPACE.decode(child)


def test_mutations_are_drawn_uniformly_and_several_make_a_child():
    draw, count = rng("uniform"), Counter()
    start = chain(Filter(3.0), None, Filter(3.0), None, skips=[(0, 2)])
    for _ in range(2200):
        child = individual(start)
        mut_large_scale(child, SPACE, rng=draw)
        count[child.operator] += 1
        assert child.reset == (child.operator == "mut_reset_weights")
    assert set(count) == {mutation.__name__ for mutation in MUTATIONS}
    assert all(140 < number < 265 for number in count.values())  # 200 expected
    mut_large_scale(child := individual(start), SPACE, 5, rng=draw)
    assert len(child.operator.split(" + ")) == 5


def sides_before(dna, vertex):
    """Pixels of a side that are left before the convolution to a vertex."""
    side = SPACE.input_shape[1]
    for before in dna.vertices[: dna.vertices.index(vertex)]:
        if before.edge is not None and 2**before.edge.scale <= side:
            side = -(-side // 2**before.edge.scale)
    return side


def check_chain(number, length):
    """A chain of mutations: after each one the genome is sound; its JSON and its code come back exactly."""
    draw, child = rng("chain", number), init_trivial(SPACE)
    for _ in range(length):
        try:
            draw.choice(MUTATIONS)(child, SPACE, rng=draw)
        except Inapplicable:
            continue
        dna = DNA.read(json.loads(json.dumps(list(child))))
        assert dna.genes == list(child)
        assert list(SPACE.parse(SPACE.format(child))) == list(child)
        place = {vertex: at for at, vertex in enumerate(dna.backbone)}
        assert all(place[a] + 1 < place[b] for a, b in dna.skips)
        for vertex in dna.convolutions:
            built = vertex.edge.operation
            assert built.channels >= 1
            assert all(side % 2 == 1 for side in sides(built.kernel))
        if any(sides_before(dna, vertex) < 2**vertex.edge.scale for vertex in dna.convolutions):
            with pytest.raises(GraphError, match="leaves less than a pixel"):
                SPACE.decode(child)
            return False
        graph = SPACE.decode(child)
        assert graph.output_shape == (10,)
        assert sum(isinstance(op, Convolution) for node in graph.nodes for op in node.operations) == len(
            dna.convolutions
        )
    return True


def test_random_chains_of_mutations_stay_sound():
    assert sum(check_chain(number, LENGTH) for number in range(CHAINS)) > CHAINS / 2


@pytest.mark.slow
def test_ten_thousand_random_chains_of_mutations_stay_sound():
    assert sum(check_chain(number, LENGTH) for number in range(10_000)) > 5_000


# ---- tournaments ----------------------------------------------------------------------------------------------------


def letters(population=2, **settings):
    """A strategy over individuals A, B, ..., and children that are the parent's letter in small."""
    box, names = base.Toolbox(), iter("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    box.register("individual", lambda: Individual([next(names)]))
    box.register("mutate", lambda individual: (Individual([individual[0].lower()]),))
    return Tournament(box, rng=rng(), population=population, **settings)


def tell(strategy, told, fitness):
    told.fitness.values = () if fitness is None else (fitness,)
    strategy.update([told])


def names(strategy):
    return sorted(individual[0] for individual in strategy.population)


def test_of_two_the_worse_is_killed_and_the_better_has_a_child_and_lives():
    strategy = letters()
    for individual_, fitness in zip(strategy.generate(2), (0.3, 0.5), strict=True):
        tell(strategy, individual_, fitness)
    (child,) = strategy.generate(1)
    assert (child[0], names(strategy)) == ("b", ["B"])
    tell(strategy, child, 0.1)
    assert names(strategy) == ["B", "b"]


def test_a_population_keeps_its_size_and_floats_where_a_child_fails():
    box, draw = toolbox(SPACE, rng=rng("box")), rng("fitness")
    strategy = Tournament(box, rng=rng("meetings"), population=8)
    for _ in range(100):
        (child,) = strategy.generate(1)
        tell(strategy, child, draw.random())
    assert len(strategy.population) == 8
    tell(strategy, strategy.generate(1)[0], None)
    assert len(strategy.population) == 7  # the loser had been killed
    before = [id(member) for member in strategy.population]
    (child,) = strategy.generate(1)
    assert [id(member) for member in strategy.population] == before  # below the set-point nobody dies
    tell(strategy, child, 0.5)
    assert len(strategy.population) == 8


def test_a_meeting_waits_for_two_and_a_population_that_died_out_begins_anew():
    strategy = letters()
    first, second = strategy.generate(2)
    assert strategy.generate(1) == []
    tell(strategy, first, 0.5)
    assert strategy.generate(1) == []
    tell(strategy, second, None)
    assert [new[0] for new in strategy.generate(1)] == ["C"]


def test_without_selection_parents_and_victims_are_left_to_chance():
    def better_ones_chosen(selection):
        chosen = 0
        for seed in range(200):
            strategy = letters(selection=selection)
            strategy.rng = stream(seed, "chance")
            for individual_, fitness in zip(strategy.generate(2), (0.3, 0.5), strict=True):
                tell(strategy, individual_, fitness)
            chosen += strategy.generate(1)[0][0] == "b"
        return chosen

    assert better_ones_chosen(True) == 200
    assert 70 < better_ones_chosen(False) < 130


def test_a_reset_draws_the_weights_of_all_that_are_alive_anew():
    strategy = letters(population=3, resets=[4])
    for number, individual_ in enumerate(strategy.generate(3)):
        individual_.id = number
        tell(strategy, individual_, 0.5)
    (child,) = strategy.generate(1)
    child.id = 3
    alive = names(strategy)
    tell(strategy, child, 0.4)
    again = strategy.generate(3)
    assert sorted(new[0] for new in again) == sorted([*alive, child[0]])
    assert all(new.reset and new.operator == "reset_weights" and len(new.parents) == 1 for new in again)
    for new in again:
        tell(strategy, new, 0.6)
    assert len(strategy.population) == 3
    assert not strategy.generate(1)[0].reset


def test_who_is_in_training_at_a_reset_is_reset_when_it_is_told():
    strategy = letters(population=3, resets=[3])
    first = strategy.generate(3)
    for number, one in enumerate(first):
        one.id = number
    tell(strategy, first[0], 0.5)
    tell(strategy, first[1], 0.4)
    (child,) = strategy.generate(1)
    tell(strategy, first[2], 0.3)  # the third: everybody is reset, and the child is in training
    child.id = 3
    tell(strategy, child, 0.9)
    again = strategy.generate(4)
    assert child[0] in [new[0] for new in again if new.reset]
    assert not any(member.parents == (0,) and not member.reset for member in strategy.population)


def test_a_population_of_one_is_refused():
    with pytest.raises(UserError, match="use at least 2"):
        letters(population=1)


# ---- training -------------------------------------------------------------------------------------------------------


def test_the_learning_rate_of_the_genome_is_that_of_its_training_in_the_search_and_not_at_the_end():
    space = LargeScaleSpace(input_shape=(1, 8, 8))
    recipe, task = system("large-scale").preset("digits").search, ImageClassification(Source("digits")).identified()
    evaluator = Training(task, recipe, 0, objectives=("accuracy",))
    slow, fast = (Candidate(DNA(rate).genes, space) for rate in (0.01, 0.1))
    assert space.recipe(slow.genome, recipe).learning_rate == 0.01
    assert evaluator.identity(slow) != evaluator.identity(fast)
    final = Training(task, recipe, 0, final=True)
    assert final.identity(slow) == final.identity(fast)


def founders(task, space, seeds):
    """What founders reach in the search's training, by seed."""
    recipe = replace(system("large-scale").preset("digits").search, crop=0, weight_decay=0.0)
    training = [Training(task.identified(), recipe, seed, objectives=("accuracy",)) for seed in seeds]
    return [each(Candidate(init_trivial(space), space)).values[0] for each in training]


def test_founders_see_the_mean_colour_alone(tmp_path):
    space = LargeScaleSpace(input_shape=(3, 8, 8), outputs=3)
    network, images = build(space.decode(init_trivial(space))).eval(), torch.rand(8, 3, 8, 8)
    with torch.no_grad():
        assert torch.allclose(network(images), network(images.flip(2).transpose(2, 3)), atol=1e-6)
    draw = np.random.default_rng(0)
    y = np.arange(600) % 3
    by_colour, by_shape = draw.integers(0, 100, (2, 600, 8, 8, 3), dtype=np.uint8)
    by_colour[np.arange(600), :, :, y] += 60  # red, green or blue
    for label, rows in enumerate((slice(0, 3), slice(3, 6), slice(5, 8))):  # a bar above, in the middle or below
        by_shape[y == label, rows] += 60
    reached = {}
    for name, x in (("colour", by_colour), ("shape", by_shape)):
        np.savez(tmp_path / f"{name}.npz", x_train=x[:500], y_train=y[:500], x_test=x[500:], y_test=y[500:])
        reached[name] = founders(ImageClassification(Source(str(tmp_path / f"{name}.npz"))), space, range(2))
    assert min(reached["colour"]) > 0.9
    assert max(reached["shape"]) < 0.45  # of three classes, by chance a third


def test_founders_stay_near_chance_on_digits():
    """The paper's beat chance a little on coloured pictures; the mean grey of a digit says next to nothing."""
    found = founders(ImageClassification(Source("digits")), LargeScaleSpace(input_shape=(1, 8, 8)), range(4))
    assert max(found) < 0.2


def test_what_needs_a_sequence_of_decisions_refuses_the_space_at_set_up():
    with pytest.raises(UserError, match="large-scale are not sequences of decisions"):
        uniform(SPACE, rng=rng())


def test_the_paper_preset_is_the_papers():
    paper = setup(system("large-scale"), "cifar10")
    assert paper.settings()["strategy.population"] == 1000
    assert (paper.search.batch_size, paper.search.weight_decay, paper.search.momentum) == (50, 1e-4, 0.9)
    assert paper.search.epochs * 45_000 / 50 == pytest.approx(25_600, rel=0.02)
    assert paper.space.first_rate == 0.1


# ---- as a system ----------------------------------------------------------------------------------------------------


def size(genome):
    """The larger, the better: evolution grows."""
    return float(SMALL.decode(genome).parameters)


def size_and_rate(genome):
    return size(genome), DNA.read(genome).learning_rate


def grown(tmp_path, population=8, **options):
    return evonas.search("large-scale", workers=1, executor="serial", settings={"population": population}, out=tmp_path,
                         progress=False, **options)  # fmt: skip


def test_limits_and_networks_to_begin_with_hold_for_networks_that_grow(tmp_path):
    code = SMALL.format(chain(Filter(8.0)).genes)
    run = grown(tmp_path / "run", evaluate=size, max_parameters=400, init=[code], budget=150)
    records = [record for record in run.records() if record["phase"] == "search"]
    assert records[0]["code"] == code
    assert all(record["values"][0] <= 400 for record in records)
    assert run.best.values["fitness"] > size(SMALL.parse(code))


def test_several_objectives_are_weighed_by_nsga2_without_crossover(tmp_path):
    run = grown(tmp_path / "run", evaluate=size_and_rate, objectives={"size": 1, "rate": -1}, budget=60)
    assert len(run.front) > 1
    assert all(len(record["parents"]) <= 1 for record in run.records())


@pytest.mark.slow
def test_evolution_grows_further_than_its_control_without_selection(tmp_path):
    searches = [
        grown(tmp_path / str(seed), evaluate=size, max_parameters=20_000, budget=200, baseline=True, seed=seed).summary
        for seed in range(4)
    ]
    assert fmean(summary["winner"]["fitness"] for summary in searches) > 2 * fmean(
        summary["no_selection"]["fitness"] for summary in searches
    )
