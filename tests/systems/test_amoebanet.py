"""The NASNet cells in the skeleton of slim and tpu, and AmoebaNet's mutations of them."""

import json
from collections import Counter
from dataclasses import replace

import pytest
import torch

from evonas.errors import UserError
from evonas.genomes.genotype import Genotype, published, unused
from evonas.genomes.nasnet import COMBINATIONS, NASNET, OPERATIONS, NASNetSpace
from evonas.individual import Individual
from evonas.network import build, extract
from evonas.operators.amoebanet import mut_amoebanet, mut_hidden_state, mut_operation
from evonas.space import CodeError, Open
from evonas.support.streams import stream
from evonas.systems.registry import setup, system

NASNET_A, AMOEBANET_A = published()["NASNet-A-slim"].genotype, published()["AmoebaNet-A-tpu"].genotype
PNASNET = published()["PNASNet-5"].genotype


def graph(genotype, normals, channels, **fields):
    return NASNetSpace(normals, channels, **fields).decode_genotype(genotype)


# ---- counts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("genotype", "normals", "channels", "count"),
    [
        (NASNET_A, 6, 32, 3_346_538),
        (NASNET_A, 1, 8, 72_370),
        (replace(NASNET_A, normal_concat=(2, 3, 4, 5, 6)), 6, 32, 3_117_866),  # DARTS's list of the normal cell
        (AMOEBANET_A, 6, 32, 2_567_754),
        (AMOEBANET_A, 6, 36, 3_218_266),
        (AMOEBANET_A, 1, 8, 59_482),
    ],
)
def test_published_cells_have_their_exact_counts(genotype, normals, channels, count):
    assert graph(genotype, normals, channels).parameters == count


@pytest.mark.parametrize(("normals", "channels", "count"), [(3, 48, 3_189_082), (1, 8, 41_538)])
def test_the_pnas_cell_has_its_exact_counts(normals, channels, count):
    assert graph(PNASNET, normals, channels, reduction="stride").parameters == count


@pytest.mark.parametrize(
    ("genotype", "fields", "shapes"),
    [
        (NASNET_A, {}, [(24, 32), (48, 32), (64, 16), (96, 16), (128, 8), (192, 8)]),
        (AMOEBANET_A, {}, [(24, 32), (32, 32), (80, 16), (64, 16), (160, 8), (128, 8)]),
        (PNASNET, {"reduction": "stride"}, [(24, 32), (40, 32), (80, 16), (160, 8)]),
    ],
)
def test_outputs_of_the_cells_have_the_published_shapes(genotype, fields, shapes):
    made = graph(genotype, 1, 8, **fields).shapes
    found = [shape[:2] for name, shape in made.items() if name == "stem" or name.endswith("/output")]
    assert found == shapes


def test_the_large_models_are_as_wide_as_their_names_say():
    def width(genotype, normals, channels, **fields):
        return list(graph(genotype, normals, channels, **fields).shapes.values())[-2][0]

    assert width(NASNET_A, 6, 32) == 768
    outputs = [shape[0] for name, shape in graph(NASNET_A, 6, 32).shapes.items() if name.endswith("/output")]
    assert outputs == [192] * 6 + [256] + [384] * 6 + [512] + [768] * 6  # reductions join four states, others six
    assert width(NASNET_A, 6, 168) == 4032
    assert width(NASNET_A, 7, 96) == 2304
    assert width(PNASNET, 4, 216, reduction="stride") == 4320


@pytest.mark.parametrize("size", [32, 7, 15, 9])
@pytest.mark.parametrize("operation", NASNET)
def test_every_operation_keeps_the_size_or_halves_it_rounding_up(operation, size):
    cell = tuple(((operation, 0), (operation, 1)) for _ in range(5))
    genotype = Genotype(cell, (1, 2, 3, 4, 5, 6), cell, (0, 1, 2, 3, 4, 5, 6))
    made = graph(genotype, 1, 4, input_shape=(3, size, size))
    half, quarter = (size + 1) // 2, ((size + 1) // 2 + 1) // 2
    sizes = [shape[1] for name, shape in made.shapes.items() if name.endswith("/output")]
    assert sizes == [size, half, half, quarter, quarter]
    assert build(made)(torch.randn(2, 3, size, size)).shape == (2, 10)


# ---- the genome ---------------------------------------------------------------------------------------------------


def test_the_spaces_have_their_published_sizes():
    cell = 4 * 9 * 16 * 25 * 36 * 64**5  # prod of (i + 2)^2 8^2
    assert NASNetSpace().count() == cell**2
    assert NASNetSpace(reduction="stride").count() == cell
    assert NASNetSpace(operations=NASNET).count() == (cell * 13**10 // 8**10) ** 2


@pytest.mark.parametrize("combinations", [("add",), COMBINATIONS])
def test_a_thousand_genomes_come_back_from_their_code_and_build(combinations):
    space = NASNetSpace(1, 4, operations=NASNET, combinations=combinations, input_shape=(3, 8, 8))
    images = torch.randn(2, 3, 8, 8)
    for seed in range(1000):
        genome = space.random(stream(seed, "nasnet"))
        assert space.parse(space.format(genome)) == genome
        genotype = space.genotype(genome)
        assert space.genome(genotype) == genome
        assert Genotype.of_pairs(json.loads(json.dumps(genotype.to_pairs()))) == genotype
        if seed < 40:
            made = space.decode(genome)
            assert made == space.decode_genotype(genotype)
            assert seed >= 10 or build(made)(images).shape == (2, 10)


@pytest.mark.parametrize("combinations", [(), ("add", "add"), ("add", "multiply")])
def test_combinations_that_are_none_or_no_choice_are_refused(combinations):
    with pytest.raises(UserError, match=r"combinations .* use some of add, concat, each once"):
        NASNetSpace(combinations=combinations)


def test_lists_of_slim_and_tpu_come_back_with_their_inputs_turned():
    normal = {
        "operations": ["separable_5x5_2", "separable_3x3_2", "separable_5x5_2", "separable_3x3_2", "avg_pool_3x3",
                       "none", "avg_pool_3x3", "avg_pool_3x3", "separable_3x3_2", "none"],
        "hiddenstate_indices": [0, 1, 1, 1, 0, 1, 1, 1, 0, 0],
        "used_hiddenstates": [1, 0, 0, 0, 0, 0, 0],
    }  # fmt: skip
    reduce = {
        "operations": ["separable_5x5_2", "separable_7x7_2", "max_pool_3x3", "separable_7x7_2", "avg_pool_3x3",
                       "separable_5x5_2", "none", "avg_pool_3x3", "separable_3x3_2", "max_pool_3x3"],
        "hiddenstate_indices": [0, 1, 0, 1, 0, 1, 3, 2, 2, 0],
        "used_hiddenstates": [1, 1, 1, 0, 0, 0, 0],
    }  # fmt: skip
    read = Genotype.from_lists(normal, reduce)
    assert read == NASNET_A
    assert read.to_lists() == {"normal": normal, "reduce": reduce}
    for genotype in (AMOEBANET_A, PNASNET):
        assert Genotype.from_lists(*genotype.to_lists().values()) == genotype


@pytest.mark.parametrize(
    ("lists", "says"),
    [
        ({"operations": ["conv"], "hiddenstate_indices": [0], "used_hiddenstates": [0, 0, 0]}, "not lists of slim"),
        ({"operations": ["none"] * 2, "hiddenstate_indices": [0, 1]}, "there is no used_hiddenstates"),
        ({"operations": ["none"] * 2, "hiddenstate_indices": [0, 0.5], "used_hiddenstates": [0, 0, 0]},
         r"hiddenstate_indices is \[0, 0.5\]; give the numbers of states"),
    ],
)  # fmt: skip
def test_lists_that_are_none_are_refused(lists, says):
    with pytest.raises(CodeError, match=says):
        Genotype.from_lists(lists, lists)


def test_official_output_lists_differ_from_the_rule_and_are_no_genomes():
    assert unused(NASNET_A.normal) == (2, 3, 4, 5, 6)
    space = NASNetSpace(1, 8)
    with pytest.raises(CodeError, match="does not concatenate exactly what no block takes"):
        space.parse("NASNet-A-slim")
    assert space.read("NASNet-A-slim")[1].parameters == 72_370


def test_operations_that_the_skeleton_lacks_are_refused():
    with pytest.raises(CodeError, match="unknown operation 'dil_conv_5x5'"):
        NASNetSpace().read("SNAS_aggressive")


def test_networks_equal_the_supernet_of_their_topology_and_open_inputs_are_refused():
    space, images = NASNetSpace(1, 4, input_shape=(3, 8, 8)), torch.randn(2, 3, 8, 8)
    for seed in range(5):
        rng = stream(seed, "route")
        genome = space.random(rng)
        opened = [Open(d.options) if "operation" in d.name else token
                  for d, token in zip(space.decisions(genome), genome, strict=True)]  # fmt: skip
        supernet = build(space.decode(opened)).eval()
        for _ in range(5):
            drawn = [rng.choice(token.options) if isinstance(token, Open) else token for token in opened]
            with torch.inference_mode():
                alone = extract(supernet, space.decode(drawn))
                assert torch.equal(supernet(images, space.route(drawn)), alone(images))
    with pytest.raises(CodeError, match="leave only operations open"):
        space.decode(space.open())


# ---- mutation -----------------------------------------------------------------------------------------------------


def test_ten_thousand_mutations_are_valid_and_as_frequent_as_the_paper_says():
    space, rng = NASNetSpace(), stream(0, "mutation")
    individual, kinds, cells, n = Individual(space.random(rng)), Counter(), Counter(), 10_000
    for _ in range(n):
        before = tuple(individual)
        assert mut_amoebanet(individual, space, rng=rng) == (individual,)
        changed = [place for place, (old, new) in enumerate(zip(before, individual, strict=True)) if old != new]
        assert len(changed) <= 1
        space.decisions(individual)  # raises for an input that is not an earlier state
        kinds["none" if not changed else "input" if changed[0] % 4 < 2 else "operation"] += 1
        cells.update("normal" if place < 20 else "reduce" for place in changed)
    # an operation is drawn from all eight, so an eighth of those mutations changes nothing
    assert kinds["input"] / n == pytest.approx(0.475, abs=0.02)
    assert kinds["operation"] / n == pytest.approx(0.475 * 7 / 8, abs=0.02)
    assert kinds["none"] / n == pytest.approx(0.05 + 0.475 / 8, abs=0.01)
    assert cells["normal"] / cells.total() == pytest.approx(0.5, abs=0.02)


def test_a_hidden_state_mutation_always_takes_another_state_and_touches_every_input():
    space, rng, seen = NASNetSpace(), stream(1, "mutation"), set()
    for _ in range(2000):
        individual = Individual(space.random(rng))
        before = tuple(individual)
        mut_hidden_state(individual, space, rng=rng)
        (place,) = [place for place, (old, new) in enumerate(zip(before, individual, strict=True)) if old != new]
        seen.add(place)
    assert seen == {4 * block + element for block in range(10) for element in (0, 1)}


def test_an_operation_mutation_draws_from_the_list_of_the_space():
    space, rng = NASNetSpace(operations=("sep_conv_3x3", "skip_connect")), stream(2, "mutation")
    individual = Individual(space.random(rng))
    for _ in range(500):
        mut_operation(individual, space, rng=rng)
        space.decisions(individual)
    assert set(space.operations) <= set(OPERATIONS)


def test_the_paper_preset_is_the_papers_search():
    paper = setup(system("amoebanet"), "cifar10")
    known = paper.settings()
    assert (paper.space.normals, paper.space.channels) == (3, 24)
    assert [known[f"strategy.{name}"] for name in ("population", "sample", "evaluations")] == [100, 25, 20_000]
    assert (paper.search.epochs, paper.final.epochs, paper.final.learning_rate) == (25, 600, 0.024)
