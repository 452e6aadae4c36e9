"""Children begin with what their parents had learnt: what is copied, what is kept on disk, and for how long."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import evonas
from evonas.data.sources import Source
from evonas.errors import UserError
from evonas.evaluation import FRESH, Candidate, Evaluator, Origin, Outcome
from evonas.evaluation.inheritance import Inheritance
from evonas.evaluation.store import WeightsLost, WeightStore
from evonas.evaluation.training import Training
from evonas.executors import Serial
from evonas.genomes.genet import DIGITS, GeNetSpace
from evonas.genomes.large_scale import DNA, Filter, LargeScaleSpace, Vertex
from evonas.individual import Individual
from evonas.model.trained import TrainedNetwork
from evonas.network import build
from evonas.operators import large_scale as mutations
from evonas.operators.genet import toolbox as genet_toolbox
from evonas.operators.large_scale import toolbox
from evonas.recipe import Recipe
from evonas.run.budget import Budget
from evonas.run.journal import Journal, Unwritten, read
from evonas.run.loop import Loop
from evonas.run.phase import Phase
from evonas.run.store import Run
from evonas.strategies.aging import AgingEvolution
from evonas.strategies.genet import GeNet
from evonas.strategies.tournament import Tournament
from evonas.support.streams import stream
from evonas.tasks.classification import ImageClassification
from evonas.training.weights import inherit, saved

SPACE = LargeScaleSpace(input_shape=(3, 8, 8))
PARENT = DNA(
    0.1,
    (Vertex(1, Filter(6.0), True), Vertex(2, Filter(8.0), True), Vertex(3, None, True), Vertex(4, Filter(8.0), False)),
    ((1, 3),),
    4,
)
TINY = {"population": 4, "epochs": 1, "final.epochs": 1}


def trained_like(genome, space=SPACE):
    """A network whose every tensor has moved from where it began, statistics included."""
    network = build(space.decode(genome), seed=1)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for tensor in network.state_dict().values():
            if tensor.is_floating_point():
                tensor.add_(torch.rand(tensor.shape, generator=generator))
            else:
                tensor.add_(7)
    return network


def heir(parent, genome, space=SPACE):
    """The names of the tensors of a child that are its parent's to the bit; the others are as they were drawn."""
    child, drawn = build(space.decode(genome), seed=2), build(space.decode(genome), seed=2).state_dict()
    copied, tensors = inherit(child, saved(parent))
    theirs, own = parent.state_dict(), child.state_dict()
    kept = {name for name in own if name in theirs and torch.equal(own[name], theirs[name])}
    assert all(torch.equal(own[name], drawn[name]) for name in set(own) - kept)
    assert (copied, tensors) == (len(kept), len(own))
    return child, kept


# ---- what is copied -------------------------------------------------------------------------------------------------


def of(*prefixes):
    names = set(trained_like(PARENT.genes).state_dict())
    return {name for name in names if not name.startswith(prefixes) and not name.endswith("num_batches_tracked")}


@pytest.mark.parametrize(
    ("child", "anew"),
    [
        (PARENT, ()),  # identity; a learning rate
        (PARENT.with_skip((0, 4)), ()),
        (PARENT.without_skip((1, 3)), ()),
        (PARENT.inserted(2, Filter(8.0), True), ()),  # the new one is drawn, all others stay, though places shift
        (PARENT.inserted(0, None, True), ()),
        (PARENT.without(1), ("edge1", "vertex1", "edge2")),  # the second reads 3 channels now
        (PARENT.without(4), ("edge4", "vertex4")),
        (PARENT.changed(2, Filter(8.0, 5.0, 3.0)), ("edge2",)),  # the filter, and nothing else
        (PARENT.changed(2, Filter(8.0, scale=1)), ()),  # a stride has no weights
        (PARENT.changed(2, Filter(8.4)), ()),  # builds the same 8 channels
        (PARENT.changed(1, Filter(9.0)), ("edge1", "vertex1", "edge2")),  # the layer and its readers
        (PARENT.changed(4, Filter(5.0)), ("edge4", "classifier.linear.weight")),
    ],
)
def test_what_a_mutation_leaves_alone_is_inherited_to_the_bit(child, anew):
    _, kept = heir(trained_like(PARENT.genes), child.genes)
    kept = {name for name in kept if not name.endswith("num_batches_tracked")}
    assert kept == of(*anew) if anew else of() <= kept


def test_an_identity_child_gives_the_outputs_of_its_parent_bitwise():
    parent, images = trained_like(PARENT.genes).eval(), torch.randn(4, 3, 8, 8)
    child, _ = heir(parent, PARENT.genes)
    assert torch.equal(child.eval()(images), parent(images))


def test_an_identity_child_of_any_chain_of_mutations_gives_the_outputs_of_its_parent_bitwise():
    images = torch.randn(2, 3, 8, 8)
    for seed in range(12):
        draw, grown = stream(seed, "chain"), Individual(SPACE.trivial())
        for _ in range(15):
            mutations.mut_large_scale(grown, SPACE, rng=draw)
        parent = trained_like(grown).eval()
        child, _ = heir(parent, grown)
        assert torch.equal(child.eval()(images), parent(images))


def test_the_statistics_of_batch_norms_are_inherited():
    _, kept = heir(trained_like(PARENT.genes), PARENT.genes)
    assert {"vertex1.batch_norm.running_mean", "vertex1.batch_norm.running_var"} <= kept


def test_a_layer_that_was_removed_and_another_of_its_shape_share_nothing():
    again = PARENT.without(4).inserted(3, Filter(8.0), False)
    _, kept = heir(trained_like(PARENT.genes), again.genes)
    assert not any(name.startswith("edge5") for name in kept)


def test_cells_and_genet_inherit_by_the_same_names():
    space = GeNetSpace((4, 4), (8, 8))
    parent = trained_like(space.parse("1-01-001/1-01-001"), space)
    _, kept = heir(parent, space.parse("1-01-001/1-01-101"), space)  # an edge more in the second stage
    assert any(name.startswith("stage1") for name in kept)
    assert len(kept) == len(build(space.decode(space.parse("1-01-001/1-01-101"))).state_dict())


# ---- the store ------------------------------------------------------------------------------------------------------


def test_weights_are_named_by_their_content_and_damage_is_found(tmp_path):
    store = WeightStore(tmp_path / "weights")
    one, other = store.put(b"one" * 100), store.put(b"other" * 100)
    assert store.put(b"one" * 100) == one
    assert len(list((tmp_path / "weights").iterdir())) == 2
    assert WeightStore(tmp_path / "weights").total == store.total == 800
    path = tmp_path / "weights" / f"{one}.safetensors"
    for damaged in (b"one" * 50, b"", b"foreign" * 50, store.get(other)):  # cut off, empty, foreign, another's
        path.write_bytes(damaged)
        with pytest.raises(WeightsLost, match="not what it was"):
            store.get(one)
    path.unlink()
    with pytest.raises(WeightsLost, match="cannot be read"):
        store.get(one)


# ---- a search over a stub that has weights --------------------------------------------------------------------------


class Learning(Evaluator):
    """An evaluator whose weights are a text: the ancestry of a candidate. `size` bytes of it are kept."""

    def __init__(self, size=64):
        self.size = size

    def identity(self, candidate):
        return json.dumps([list(candidate.genome), candidate.origin.name])

    def __call__(self, candidate, replicate=0):
        origin = candidate.origin
        before = (origin.weights or b"").strip()
        weights = (before + b">" + str(candidate.id).encode()).ljust(self.size)
        value = stream(0, "worth", candidate.id).random()
        lineage = {"from": origin.parent, "epochs": origin.epochs + 1}
        return Outcome((value,), epochs=1, weights=weights, lineage=lineage, warning=origin.warning)


def begun(heritage, individual):
    """The candidate of an individual, with the weights that it begins with."""
    candidate = Candidate(individual, SPACE, id=individual.id, parents=individual.parents)
    heritage.begin(individual, candidate)
    return candidate


def learned(strategy, folder, *, journal=None, budget=60, limit=None, check=lambda heritage: None, size=64):
    """A search with inheritance over `Learning`; its phase and its heritage."""
    heritage = Inheritance(WeightStore(folder, limit), lambda: strategy.population, peers=[])
    part = Phase("search", strategy, Learning(size), keeper=heritage)
    loop = Loop(journal or Unwritten(), Serial(), 1, on_event=lambda event, replayed: check(heritage))
    loop.run(part, Budget(budget))
    return part, heritage


def tournament(seed=0, population=6, **settings):
    rng = stream(seed, "tournament")
    return Tournament(toolbox(SPACE, rng=rng), rng=rng, population=population, **settings)


def genet(seed=0):
    rng = stream(seed, "genet")
    return GeNet(genet_toolbox(DIGITS, rng=rng, bit_flip_rate=0.1), rng=rng, population=6)


def aging(seed=0):
    rng = stream(seed, "aging")
    return AgingEvolution(toolbox(SPACE, rng=rng), rng=rng, population=6, sample=2)


@pytest.mark.parametrize("strategy", [tournament, genet, aging])
def test_every_child_begins_with_its_first_parents_weights_and_epochs_add_up(strategy, tmp_path):
    part, _ = learned(strategy(), tmp_path)
    epochs, born = {}, 0
    for individual, outcome in part.told():
        parent = None if individual.reset or not individual.parents else individual.parents[0]
        if outcome.lineage["from"] is not None:
            assert outcome.lineage["from"] in (parent, *(other for other in epochs if other < individual.id))
            born += 1
        epochs[individual.id] = outcome.lineage["epochs"]
        assert outcome.warning is None
        assert outcome.lineage["epochs"] == 1 + epochs.get(outcome.lineage["from"], 0)
    assert born > 20


@pytest.mark.parametrize("strategy", [tournament, genet, aging])
def test_weights_lie_on_disk_as_long_as_a_living_individual_needs_them(strategy, tmp_path):
    evolving = strategy()

    def check(heritage):
        for individual in evolving.population:
            if individual.id in heritage.names:
                heritage.store.get(heritage.names[individual.id])  # raises where it is lost
        assert len(list(tmp_path.glob("*.safetensors"))) <= 2 * 6 + 3

    _, heritage = learned(evolving, tmp_path, check=check)
    assert heritage.store.get(heritage.names[heritage.best])


def test_the_disk_stays_under_its_limit_and_the_best_are_kept(tmp_path):
    limit, size = 20_000, 1000
    rng = stream(0, "aging")
    box = genet_toolbox(DIGITS, rng=rng, bit_flip_rate=0.1)
    strategy = AgingEvolution(box, rng=rng, population=40, sample=5)

    def check(heritage):
        used = sum(path.stat().st_size for path in tmp_path.glob("*.safetensors"))
        assert used == heritage.store.total <= limit

    part, heritage = learned(strategy, tmp_path, budget=2000, limit=limit, size=size, check=check)
    warned = [outcome.warning for _, outcome in part.told() if outcome.warning]
    assert len(part.outcomes) == 2000
    assert warned
    assert "the limit there may be too low" in warned[0]
    assert heritage.names[heritage.best] in heritage.store.sizes


def test_a_damaged_file_makes_its_child_begin_from_scratch_with_a_warning(tmp_path):
    heritage = Inheritance(WeightStore(tmp_path), lambda: None, peers=[])
    parent, child = Individual(SPACE.trivial()), Individual(SPACE.trivial())
    parent.id, child.id, child.parents = 0, 1, (0,)
    outcome = heritage.keep(parent, Learning()(begun(heritage, parent)))
    heritage.hear(parent, outcome)
    assert heritage.origin(0) == Origin(outcome.kept, b">0".ljust(64), 0, tuple(parent), 1)
    next(tmp_path.glob("*.safetensors")).write_bytes(b"something else")
    told = Learning()(begun(heritage, child))
    assert told.lineage == {"from": None, "epochs": 1}
    assert "trained from scratch, since the weights of #0 are lost" in told.warning
    fresh = Candidate(child, SPACE, id=1, origin=FRESH)
    assert Learning().identity(begun(heritage, child)) == Learning().identity(fresh)


def test_a_reset_child_inherits_nothing(tmp_path):
    part, _ = learned(tournament(resets=[20]), tmp_path)
    reset = [outcome for individual, outcome in part.told() if individual.operator == "reset_weights"]
    assert len(reset) == 6
    assert all(outcome.lineage == {"from": None, "epochs": 1} for outcome in reset)


def test_every_reset_is_a_training_of_its_own(tmp_path):
    heritage, keys = Inheritance(WeightStore(tmp_path), lambda: None, peers=[]), []
    for id in range(4):  # the founder, and resets of resets: nothing but the weights that were thrown away differs
        individual = Individual(SPACE.trivial())
        individual.id, individual.parents, individual.reset = id, (id - 1,) * bool(id), bool(id)
        candidate = begun(heritage, individual)
        assert candidate.origin.weights is None
        keys.append(Learning().identity(candidate))
        heritage.hear(individual, heritage.keep(individual, Learning()(candidate)))
    assert len(set(keys)) == 4


def test_a_network_too_large_for_the_disk_costs_nobody_else_the_weights(tmp_path):
    heritage = Inheritance(WeightStore(tmp_path, 1000), lambda: None, peers=[])
    for id, size, kept in ((0, 400, True), (1, 400, True), (2, 5000, False)):
        individual = Individual(SPACE.trivial())
        individual.id = id
        outcome = Learning(size)(begun(heritage, individual))
        outcome = heritage.keep(individual, replace(outcome, values=(float(id),)))
        heritage.hear(individual, outcome)
        assert (outcome.kept is not None) == kept
    assert heritage.store.total == 800


def test_of_equals_the_one_that_was_asked_first_keeps_its_weights(tmp_path):
    heritage = Inheritance(WeightStore(tmp_path), lambda: [], peers=[])
    individuals = [Individual(SPACE.trivial()) for _ in range(3)]
    for id, individual in enumerate(individuals):
        individual.id = id
    for individual in (individuals[2], individuals[0], individuals[1]):  # told in this order, with equal values
        outcome = replace(Learning()(begun(heritage, individual)), values=(0.5,))
        heritage.hear(individual, heritage.keep(individual, outcome))
    assert heritage.best == 0
    heritage.keep(individuals[1], Outcome.failure("nan", "why"))
    assert set(heritage.store.sizes) == {heritage.names[0]}


def test_equal_networks_under_other_names_are_trained_apart_where_weights_are_inherited():
    space = GeNetSpace((3,), (4,), input_shape=(1, 8, 8))
    first, second = space.parse("1-00"), space.parse("0-01")
    assert space.decode(first).digest() == space.decode(second).digest()
    training = Training(ImageClassification(Source("digits")).identified(), Recipe(epochs=1), 0)
    alone, heirs = ([training.identity(Candidate(genome, space, keeps=keeps)) for genome in (first, second)]
                    for keeps in (False, True))  # fmt: skip
    assert alone[0] == alone[1]
    assert heirs[0] != heirs[1]


class Stops(Exception):
    pass


@pytest.mark.parametrize("after", [1, 7, 20, 41, 58])
def test_a_search_that_dies_between_weights_and_journal_goes_on_as_if_it_had_not(after, tmp_path):
    whole, _ = learned(tournament(), tmp_path / "whole")

    def stop(heritage):
        stop.events += 1
        if stop.events == 2 * after:
            raise Stops

    stop.events = 0
    for check in (stop, lambda heritage: None):
        journal = Journal(tmp_path / "journal.jsonl", SPACE.to_json(), clock=time.monotonic)
        try:
            part, heritage = learned(tournament(), tmp_path / "cut", journal=journal, check=check)
        except Stops:
            (tmp_path / "cut" / ("0" * 32 + ".safetensors")).write_bytes(b"of an outcome that was never written down")
        finally:
            journal.close()
    assert [(list(i), o.values, o.kept, o.lineage) for i, o in part.told()] == [
        (list(i), o.values, o.kept, o.lineage) for i, o in whole.told()
    ]
    assert not (tmp_path / "cut" / ("0" * 32 + ".safetensors")).exists()
    assert set(heritage.store.sizes) == {path.stem for path in (tmp_path / "cut").iterdir()}


# ---- real trainings -------------------------------------------------------------------------------------------------


def told_of(directory):
    events = [event for _, event in read(directory / "journal.jsonl")[0]]
    asked = {event["id"]: event for event in events if event["event"] == "asked"}
    return [asked[event["id"]] | event for event in events if event["event"] == "told"]


@pytest.fixture(scope="module")
def run(tmp_path_factory, device):
    out = tmp_path_factory.mktemp("runs") / "run"
    return evonas.search("large-scale", data="digits", budget=16, settings=TINY, workers=2, device=device,
                         baseline=True, out=out)  # fmt: skip


def test_a_run_shows_the_winner_as_it_was_left_and_trained_anew(run):
    winner, control = run.summary["winner"], run.summary["no_selection"]
    assert 0 < winner["as_trained_test_accuracy"] < 1
    assert 0 < control["as_trained_test_accuracy"] < 1
    assert {"validation_accuracy", "test_accuracy"} <= set(winner)
    left = TrainedNetwork.open(run.directory / "as_trained")
    assert left.test == winner["as_trained_test_accuracy"]
    assert left.facts["epochs"] == run.best.record["lineage"]["epochs"]
    assert left.network()(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
    assert run.best.record["values"][0] == max(r["values"][0] for r in run.records() if r["phase"] == "search")


def test_pictures_and_tables_know_the_lineage(run):
    assert (run.directory / "plots" / "lineage.png").exists()
    rows = run.rows()
    assert all(row["ancestry_epochs"] >= row["epochs"] for row in rows if row["phase"] == "search")


def test_a_child_of_identity_trains_on_and_is_no_duplicate_of_its_parent(tmp_path, device):
    found = evonas.search(
        "large-scale", data="digits", budget=6, seed=1, workers=1, out=tmp_path / "run",
        settings=TINY | {"population": 2}, device=device,
        strategy=lambda toolbox, rng: Tournament(only_identity(toolbox), rng=rng, population=2),
    )  # fmt: skip
    told = [r for r in told_of(found.directory) if r["phase"] == "search"]
    assert [r["reused"] for r in told[:2]] == [False, True]  # the trivial ones
    assert max(r["lineage"]["epochs"] for r in told) >= 3
    grown = next(r for r in told if r["lineage"]["epochs"] == 2)
    assert grown["lineage"]["copied"] == grown["lineage"]["tensors"]


def only_identity(toolbox):
    space = LargeScaleSpace(input_shape=(1, 8, 8))
    toolbox.register("mutate", mutations.mut_identity, space=space, rng=None)
    return toolbox


def test_inheritance_can_be_left_out_and_others_can_have_it(tmp_path):
    without = evonas.search("large-scale", data="digits", budget=5, settings=TINY, inherit=False, workers=1,
                            out=tmp_path / "without")  # fmt: skip
    assert not any("lineage" in record for record in without.records())
    assert not (without.directory / "weights").exists()
    settings = {"population": 3, "generations": 1, "epochs": 1, "final.epochs": 1}
    genet = evonas.search("genet", data="digits", settings=settings, inherit=True, workers=1, out=tmp_path / "genet")
    children = [r for r in genet.records() if r["phase"] == "search" and r["generation"] == 1]
    assert any(r["lineage"]["epochs"] == 2 and r["lineage"]["copied"] > 10 for r in children)


def test_what_cannot_inherit_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(UserError, match="trainings is 4"):
        evonas.search("hierarchical", data="digits", inherit=True, settings={"trainings": 4}, out=tmp_path / "run")
    with pytest.raises(UserError, match="only trainings inherit"):
        evonas.search("genet", evaluate=sum, inherit=True, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_the_experiment_script_runs_and_goes_on(tmp_path):
    script = Path(__file__).parents[2] / "experiments" / "large_scale_evolution.py"
    code = f"import sys; sys.path.insert(0, {str(script.parent)!r}); import large_scale_evolution as script; "
    code += "script.main('digits', 4)"
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert "test accuracy, as the search left it" in done.stdout, done.stderr


def test_a_resumed_run_may_have_more_disk_but_no_other_inheritance(tmp_path):
    same = {"data": "digits", "settings": TINY, "budget": 3, "workers": 1, "out": tmp_path / "run", "progress": False}
    evonas.search("large-scale", **same)
    with pytest.raises(UserError, match="inherit was True, is False"):
        evonas.search("large-scale", **same, resume=True, inherit=False)
    assert evonas.search("large-scale", **same, resume=True, weights_disk="3M").config.weights_disk == 3_000_000


SCRIPT = """
import evonas
if __name__ == "__main__":
    evonas.search("large-scale", data="digits", budget=40, settings={"population": 6, "epochs": 1, "final.epochs": 1},
                  workers=2, out="run", resume=True, progress=False)
"""


@pytest.mark.slow
def test_kills_of_workers_and_of_the_run_lose_no_told_evaluation_and_no_living_weights(tmp_path):
    (tmp_path / "search.py").write_text(textwrap.dedent(SCRIPT))
    draw, before = stream(0, "kills"), []
    for turn in range(6):
        process = subprocess.Popen([sys.executable, "search.py"], cwd=tmp_path)
        try:
            process.wait(timeout=draw.uniform(8, 14) if turn < 5 else 240)
        except subprocess.TimeoutExpired:
            victims = workers_of(process.pid)
            if turn % 2 and victims:
                os.kill(draw.choice(victims), signal.SIGKILL)
                time.sleep(2)
            process.kill()
            process.wait()
        if (tmp_path / "run" / "journal.jsonl").exists():
            told = told_of(tmp_path / "run")
            assert told[: len(before)] == before
            before = told
            if told and process.returncode:
                check_living(tmp_path / "run")
    assert process.returncode == 0
    searched = [r for r in before if r["phase"] == "search"]
    assert len({r["id"] for r in searched}) == len(searched) == 40
    assert not any("warning" in r for r in searched)


def workers_of(pid):
    children = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in children.read_text().split()] if children.exists() else []


def check_living(directory):
    """The weights of everyone whom the journal leaves alive are there, and whole."""
    run = Run.open(directory)
    rng = stream(run.config.seed, run.space.name)
    strategy = run.problem.make(run.problem.tools(rng), rng)
    asked, names = {}, {}
    for _, event in read(directory / "journal.jsonl")[0]:
        if event["event"] == "asked" and event["phase"] == "search":
            (asked[event["id"]],) = strategy.generate(1)
            asked[event["id"]].id = event["id"]
        elif event["event"] == "told" and event["id"] in asked:
            asked[event["id"]].fitness.values = event["values"]
            names[event["id"]] = event.get("weights")
            strategy.update([asked[event["id"]]])
    store = WeightStore(directory / "weights")
    for individual in strategy.population:
        store.get(names[individual.id])
