"""Latency by a table of operations: what a network takes is the sum of what it does."""

import json

import pytest

from evonas.errors import UserError
from evonas.evaluation.limits import Limits
from evonas.genomes.blocks import BlockSpace
from evonas.graph import INPUT, Draft
from evonas.latency import Join, LatencyTable, key_of, steps_of
from evonas.operations import BatchNorm, Convolution, GlobalAveragePool, Linear, ReLU
from evonas.support.streams import stream

SPACE = BlockSpace(channels=4, input_shape=(3, 8, 8))


def network(width=4):
    draft = Draft((3, 8, 8))
    draft.node("stem", [INPUT], Convolution(width), BatchNorm(), ReLU())
    draft.node("sum", ["stem", draft.node("branch", ["stem"], Convolution(width))])
    draft.node("classifier", ["sum"], GlobalAveragePool(), Linear(10))
    return draft.graph()


def table_of(graph, scale=1.0):
    """Each step takes as many milliseconds as there are steps before it, and one."""
    ms = {key_of(step, shape): number for number, (step, shape) in enumerate(steps_of(graph), 1)}
    return LatencyTable("cpu", "a machine", "float32", 1, ms, scale, 0.9, 0.1)


def test_a_network_takes_the_sum_of_its_steps():
    graph = network()
    names = [step.name for step, _ in steps_of(graph)]
    assert names == ["conv", "batch_norm", "relu", "conv", "sum", "global_avg_pool", "linear"]
    assert dict(steps_of(graph))[Join("sum", 2)] == (4, 8, 8)
    assert table_of(graph).of(graph) == sum(range(1, 8))
    assert table_of(graph, scale=0.5).of(graph) == sum(range(1, 8)) / 2


def test_a_table_is_read_as_it_was_written(tmp_path):
    table = table_of(network())
    table.write(tmp_path / "latency.json")
    assert LatencyTable.read(tmp_path / "latency.json") == table
    row = json.loads((tmp_path / "latency.json").read_text())["rows"][0]
    assert (row["operation"]["kind"], row["shape"], row["ms"]) == ("conv", [3, 8, 8], 1)


def test_a_shape_that_was_not_measured_is_predicted_by_its_size():
    graphs = [network(width) for width in (2, 4, 8, 16)]
    ms = {
        key_of(step, shape): 0.1 + 1e-6 * (step.multiply_adds(shape) if step.name == "conv" else 0)
        for graph in graphs for step, shape in steps_of(graph)
    }  # fmt: skip
    table = LatencyTable("cpu", "a machine", "float32", 1, ms)
    unseen = network(12)
    exact = sum(0.1 + 1e-6 * (s.multiply_adds(shape) if s.name == "conv" else 0) for s, shape in steps_of(unseen))
    assert table.of(unseen) == pytest.approx(exact, rel=1e-3)


def test_a_kind_that_was_not_measured_is_named():
    table = table_of(network())
    genome = SPACE.parse("stem4-pooled inverted3-4x1 inverted5se-8x1/2")
    with pytest.raises(UserError, match=r"the latency of (avg_pool|squeeze_excite) was not measured"):
        table.of(SPACE.decode(genome))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no such file; make a table of latencies with evonas measure"),
        ("[1, 2", "cannot be read"),
        ('{"schema": 3, "rows": []}', "missing required field"),
        ('{"schema": 2}', "this evonas reads version"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, text, message):
    path = tmp_path / "latency.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=message):
        LatencyTable.read(path)


def test_networks_over_the_target_break_the_limit(tmp_path):
    graph = network()
    table_of(graph).write(tmp_path / "latency.json")
    limits = Limits.read(None, None, target_ms=20, latencies=tmp_path / "latency.json")
    assert limits.broken_by(graph) == "a latency of 28 ms, over the target of 20"
    assert Limits.read(None, None, target_ms=30, latencies=tmp_path / "latency.json").keeps(graph)
    with pytest.raises(UserError, match="a target needs a table"):
        Limits.read(None, None, target_ms=20)
    with pytest.raises(UserError, match="use more than 0"):
        Limits.read(None, None, target_ms=0, latencies=tmp_path / "latency.json")


def test_a_measured_table_ranks_networks_that_it_has_not_seen():
    """Networks of 30 times the size: whatever else the machine does, it takes longer for them."""
    from evonas.training.measuring import measured

    rng, space = stream(0, "latency"), BlockSpace(stages=3, layers=3, input_shape=(3, 16, 16))
    small = [space.parse(f"stem8 basic3-8x{layers}") for layers in (1, 2)]
    large = [space.parse(f"stem32 basic5-32x{layers} basic5-32x3") for layers in (2, 3)]
    graphs = [space.decode(space.random(rng)) for _ in range(3)]
    graphs += [space.decode(genome) for genome in [*small, *large]]
    checks = [space.decode(genome) for genome in [small[0], large[0], small[1], large[1]]]
    seen = []
    table = measured(graphs, checks, on_step=lambda done, of: seen.append((done, of)))
    assert seen[-1] == (len(table.ms), len(table.ms))
    assert table.rank_correlation is not None
    assert table.of(checks[1]) > 3 * table.of(checks[0])
    with pytest.raises(UserError, match="3 networks are too few to check a table by"):
        measured(graphs, checks[:3])
