"""Fields of the recipe as decisions of the genome."""

import random

import pytest
from small_spaces import SMALL

import evonas
from evonas import contract
from evonas.data.sources import Source
from evonas.errors import UserError
from evonas.evaluation.candidate import Candidate
from evonas.evaluation.training import Training
from evonas.genomes.genet import DIGITS
from evonas.genomes.nas_rl import NASRLSpace
from evonas.genomes.with_recipe import WithRecipe, with_recipe
from evonas.recipe import Recipe
from evonas.space import CodeError
from evonas.support.text import listed
from evonas.systems import registry
from evonas.systems.own import imported
from evonas.tasks.classification import ImageClassification

BOTH = with_recipe(DIGITS, learning_rate=(0.05, 0.02, 0.1), batch_size=(32, 64))


def test_a_genome_is_the_recipe_and_then_the_network():
    network = DIGITS.random(random.Random(0))
    genome = ("learning_rate=0.1", "batch_size=32", *network)
    assert BOTH.count() == 6 * DIGITS.count()
    assert BOTH.decode(genome) == DIGITS.decode(network)
    assert BOTH.recipe(genome, Recipe(epochs=7)) == Recipe(epochs=7, learning_rate=0.1, batch_size=32)
    assert BOTH.final_recipe(genome, Recipe(epochs=40)) == Recipe(epochs=40, learning_rate=0.1, batch_size=32)
    assert list(BOTH.answers(genome))[:2] == ["recipe.learning_rate", "recipe.batch_size"]


def test_codes_are_read_as_they_are_written_and_usual_values_may_be_left_out():
    genome = BOTH.random(random.Random(1))
    code = BOTH.format(genome)
    assert BOTH.parse(code) == genome
    network = DIGITS.format(genome[2:])
    assert code == f"{genome[0]} {genome[1]} {network}"
    assert BOTH.parse(network) == ("learning_rate=0.05", "batch_size=32", *genome[2:])
    assert BOTH.parse(f"batch_size=64 {network}") == ("learning_rate=0.05", "batch_size=64", *genome[2:])
    assert BOTH.read(f"batch_size=64 {network}") == (
        f"learning_rate=0.05 batch_size=64 {network}",
        DIGITS.decode(genome[2:]),
    )
    with pytest.raises(CodeError, match=r"learning_rate is '3'; it takes one of 0.05, 0.02, 0.1"):
        BOTH.parse(f"learning_rate=3 {network}")


@pytest.mark.parametrize("name", SMALL)
def test_every_space_of_decisions_keeps_the_contract_with_a_recipe(name):
    space = imported(registry.SPACES[name])(**SMALL[name][0])
    if not space.is_sequence:
        with pytest.raises(UserError, match="not sequences of decisions"):
            with_recipe(space, learning_rate=(0.1, 0.2))
        return
    contract.check(with_recipe(space, learning_rate=(0.1, 0.2), flip=(False, True)), random.Random(0))


def test_pointers_refer_to_the_same_places_of_the_network():
    plain = NASRLSpace(lengths=(3,))
    space = with_recipe(plain, learning_rate=(0.1, 0.2), flip=(False, True))
    genome = space.random(random.Random(0))
    pairs = zip(plain.decisions(genome[2:]), space.decisions(genome)[2:], strict=True)
    found = [(one.pointer, other.pointer) for one, other in pairs if one.pointer is not None]
    assert found
    for one, other in found:
        assert other.at == one.at + 2
        assert [to if to is None else to - 2 for to in other.to] == list(one.to)


def test_the_operators_of_a_system_vary_its_networks_and_others_the_recipe():
    rng = random.Random(0)
    system = registry.system("genet")
    setup = registry.setup(system, "digits").deciding({"learning_rate": "0.05,0.02,0.1"})
    box = setup.strategy.tools(setup.space, rng)
    made = set()
    for parent in box.population(200):
        child = box.clone(parent)
        (child,) = box.mutate(child)
        setup.space.decisions(child)
        made.add((child.operator.rpartition(" ")[2], child[:1] == parent[:1], child[1:] == parent[1:]))
    assert ("mut_recipe", False, True) in made
    assert ("mut_bits", True, False) in made
    assert not any(operator == "mut_recipe" and same for operator, same, _ in made)


def test_a_crossover_exchanges_fields_and_networks():
    rng = random.Random(0)
    setup = registry.setup(registry.system("genet"), "digits").deciding({"batch_size": [32, 64], "flip": [False, True]})
    box = setup.strategy.tools(setup.space, rng)
    exchanged = {False: 0, True: 0}
    for _ in range(100):
        one, other = box.individual(), box.individual()
        before = sorted(map(str, (one[0], other[0])))
        first, second = box.mate(box.clone(one), box.clone(other))
        for child in (first, second):
            setup.space.decisions(child)
        assert sorted(map(str, (first[0], second[0]))) == before
        if one[0] != other[0]:
            exchanged[first[0] != one[0]] += 1
    assert min(exchanged.values()) > 10


def test_neighbours_differ_in_one_field_or_by_one_network():
    rng = random.Random(0)
    setup = registry.setup(registry.over(DIGITS, "own"), "own").deciding({"learning_rate": [0.05, 0.02, 0.1]})
    box = setup.strategy.tools(setup.space, rng)
    parent = box.individual()
    children = box.neighbours(parent)
    assert len(children) == 2 + len(parent) - 1  # two other rates; each bit of the network
    assert len({tuple(child) for child in children}) == len(children)
    assert all(sum(a != b for a, b in zip(child, parent, strict=True)) == 1 for child in children)


def test_the_same_network_by_two_recipes_is_two_trainings():
    network = DIGITS.random(random.Random(0))
    training = Training(ImageClassification(Source("digits")).identified(), Recipe(), 0)
    names = [
        training.identity(Candidate((f"learning_rate={rate}", "batch_size=32", *network), BOTH))
        for rate in (0.05, 0.02)
    ]
    assert names[0] != names[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": (1, 2)}, "epochs is no field of the recipe that a genome may decide"),
        ({"speed": (1, 2)}, "speed is no field"),
        ({"learning_rate": ()}, "give its options"),
        ({"learning_rate": "0.1,0.2"}, "give its options"),
        ({"learning_rate": (0.1, 0.1)}, "has an option twice"),
        ({"learning_rate": (0.1, -1.0)}, "no recipe has learning_rate=-1.0"),
        ({"optimizer": ("sgd", "lion")}, "optimizer=lion"),
        ({"batch_size": (64, "many")}, "batch_size=many"),
    ],
)
def test_what_no_recipe_can_have_is_refused(options, message):
    with pytest.raises(UserError, match=message):
        with_recipe(DIGITS, **options)


def test_a_second_call_decides_other_fields_of_the_same_networks():
    assert with_recipe(BOTH, flip=(False, True)) == with_recipe(DIGITS, flip=(False, True))
    assert with_recipe(DIGITS) == DIGITS


def test_options_that_the_recipes_of_a_search_cannot_have_are_refused_before_it_begins(tmp_path):
    with pytest.raises(UserError, match="no recipe has warmup=5"):
        evonas.search("genet", "digits", decide={"warmup": (0, 5)}, settings={"epochs": 3}, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("options", [{"what": "darts"}, {"what": "nasbench201", "supernet": "uniform"}])
def test_a_supernet_has_one_recipe(options, tmp_path):
    with pytest.raises(UserError, match="a supernet is trained by one recipe"):
        evonas.search(**options, data="digits", decide={"learning_rate": (0.05, 0.02)}, out=tmp_path / "run")


def test_a_search_trains_and_keeps_its_winner_by_what_it_has_decided(tmp_path):
    given = {"budget": 4, "workers": 1, "progress": False, "report": False, "strategy": "random",
             "settings": {"epochs": 1, "final.epochs": 2}}  # fmt: skip
    run = evonas.search(BOTH, "digits", out=tmp_path / "run", **given)
    assert isinstance(run.space, WithRecipe)
    best = run.best
    decided = BOTH.decided(best.genome)
    kept = evonas.TrainedNetwork.open(tmp_path / "run" / "best").facts["recipe"]
    assert {name: kept[name] for name in decided} == decided
    assert kept["epochs"] == 2
    opened = evonas.open_run(tmp_path / "run")
    assert opened.best.code == best.code
    again = evonas.search(DIGITS, "digits", out=tmp_path / "again", **given,
                          decide={"learning_rate": "0.05,0.02,0.1", "batch_size": "32,64"})  # fmt: skip
    told = [[each for each in found.events() if each["event"] == "told"] for found in (run, again)]
    assert [each["values"] for each in told[0]] == [each["values"] for each in told[1]]
    assert again.best.genome == best.genome
    with pytest.raises(UserError, match="decide"):
        evonas.search(DIGITS, "digits", out=tmp_path / "run", resume=True, **given)


def test_our_own_search_begins_with_the_network_by_hand_trained_as_usual(tmp_path):
    run = evonas.search("evonas", "digits", budget=2, workers=1, progress=False, report=False, out=tmp_path / "run",
                        settings={"epochs": 1, "final.epochs": 1, "stages": 1}, fidelity="none",
                        decide={"label_smoothing": (0.1, 0.0)})  # fmt: skip
    assert run.config.init[0].startswith("label_smoothing=0.1 stem")
    assert listed(run[0].genome).startswith("label_smoothing=0.1")
