import io
from itertools import combinations, pairwise

import numpy as np
import pytest

from evonas.genomes.genet import SMALL, GeNetSpace
from evonas.graph import INPUT, Draft, Graph
from evonas.operations import BatchNorm, Convolution, ReLU
from evonas.plots import architecture
from evonas.plots import layout as placing
from evonas.plots.layout import Box, apart, layers, layout


def chain_of(length):
    draft = Draft((3, 8, 8))
    for nth in range(length):
        draft.node(f"n{nth}", [f"n{nth - 1}" if nth else INPUT], Convolution(4), BatchNorm(), ReLU())
    return draft.graph()


def tangle(size=60, seed=1):
    """Nodes that take one or two of all nodes before them; every fourth is taller than the others."""
    rng, draft, names = np.random.default_rng(seed), Draft((4, 8, 8)), [INPUT]
    for nth in range(size):
        inputs = rng.choice(names, min(len(names), int(rng.integers(1, 3))), replace=False)
        operations = [Convolution(4), BatchNorm(), ReLU()] * (1 + nth % 4 // 3)
        draft.node(f"n{nth}", map(str, inputs), *operations)
        names.append(f"n{nth}")
    return draft.graph()


GRAPHS = {
    "nothing but an input": Graph((3, 8, 8), ()),
    "one stage": GeNetSpace((4,), (12,)).decode((1, 0, 1, 1, 0, 1)),
    "all skips": SMALL.decode(SMALL.parse("1-11/1-11-111/1-11-111-1111")),
    "supernet": SMALL.decode(SMALL.open()),
    "long chain": chain_of(40),
    "tangle": tangle(),
}
every_graph = pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)


def png(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


# ---- layout -------------------------------------------------------------------------------------------------------


def test_layer_is_the_longest_path_from_the_input():
    draft = Draft((3, 8, 8))
    a = draft.node("a", [INPUT])
    b = draft.node("b", [a])
    draft.node("c", [INPUT, a, b])
    assert layers(draft.graph()) == {INPUT: 0, "a": 1, "b": 2, "c": 3}


def test_apart_moves_no_more_than_it_has_to():
    assert apart([0, 10], [2, 2]) == [0, 10]
    assert apart([5, 5], [2, 2]) == [4, 6]
    assert apart([5, 5, 20], [2, 4, 2]) == [3.5, 6.5, 20]


def test_untangled_edges_do_not_cross_where_they_need_not():
    draft = Draft((3, 8, 8))
    top = [draft.node(name, [INPUT]) for name in "abc"]
    for name, source in zip("xyz", reversed(top), strict=True):
        draft.node(name, [source])
    graph = draft.graph()
    edges = [(edge.source, node.name) for node in graph.nodes for edge in node.inputs]
    rows, links = placing.with_passages(edges, layers(graph))
    assert placing.crossings(rows, links) == 3
    assert placing.crossings(placing.untangled(rows, links, layers(graph)), links) == 0


@every_graph
def test_boxes_lie_inside_the_picture_and_do_not_overlap(graph):
    picture = layout(graph)
    assert list(picture.boxes) == [INPUT, *(node.name for node in graph.nodes)]
    assert not any(a.touches(b) for a, b in combinations(picture.boxes.values(), 2))
    for box in [*picture.boxes.values(), *(band for _, band in picture.bands)]:
        assert 0 < box.left < box.right < picture.width
        assert box.bottom < picture.height


@every_graph
def test_edges_lead_downwards_but_for_those_to_a_next_column(graph):
    picture = layout(graph)
    assert len(picture.routes) == sum(len(node.inputs) for node in graph.nodes)
    for route in picture.routes:
        assert route.legs[0].start == pytest.approx(picture.boxes[route.source].bottom)
        assert route.legs[-1].end == pytest.approx(picture.boxes[route.target].top)
        for leg, after in pairwise(route.legs):
            turns = leg.rises or after.rises
            assert turns or leg.end < after.start
        for leg in route.legs:
            if leg.rises:
                assert not any(box.left <= leg.x <= box.right for box in picture.boxes.values())


def along(route, steps=12):
    """Points of the drawn curve (Bernstein polynomials)."""
    t = np.linspace(0, 1, steps)[:, None]
    points = np.array(route.curve())
    for a, b, c, d in zip(points[:-1:3], points[1::3], points[2::3], points[3::3], strict=True):
        yield from (1 - t) ** 3 * a + 3 * t * (1 - t) ** 2 * b + 3 * t**2 * (1 - t) * c + t**3 * d


@every_graph
def test_edges_run_through_no_box(graph):
    picture = layout(graph)
    shrunk = np.array([(b.left + 1e-6, b.top + 1e-6, b.right - 1e-6, b.bottom - 1e-6) for b in picture.boxes.values()])
    left, top, right, bottom = shrunk.T
    for route in picture.routes:
        for x, y in along(route):
            assert not np.any((left < x) & (x < right) & (top < y) & (y < bottom)), route
            assert 0 < x < picture.width
            assert -0.01 < y < picture.height


@every_graph
def test_bands_lie_behind_their_own_folder_only(graph):
    picture = layout(graph)
    for folder, band in picture.bands:
        assert all(name.startswith(f"{folder}/") for name, box in picture.boxes.items() if band.touches(box))


def test_each_stage_of_a_network_has_its_band():
    assert [folder for folder, _ in layout(GRAPHS["all skips"]).bands] == ["stage1", "stage2", "stage3"]


def test_a_long_chain_continues_in_further_columns():
    picture = layout(GRAPHS["long chain"])
    assert len({round(box.left, 3) for box in picture.boxes.values()}) == 3
    assert picture.height < 14


def test_touching_edges_do_not_count_as_overlap():
    assert Box(0, 0, 2, 2).touches(Box(1, 1, 3, 3))
    assert not Box(0, 0, 2, 2).touches(Box(2, 0, 3, 2))


# ---- picture ------------------------------------------------------------------------------------------------------


@every_graph
def test_architecture_can_be_saved(graph):
    assert png(architecture(graph)).startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["one stage", "supernet", "tangle"])
def test_texts_fit_into_their_boxes_and_into_the_picture(name):
    figure = architecture(GRAPHS[name])
    (axes,) = figure.axes
    figure.draw_without_rendering()
    boxes = layout(GRAPHS[name]).boxes.values()
    for text in axes.texts[1 + len(layout(GRAPHS[name]).bands) :]:  # after the title and the labels of bands
        if text.get_text() != "+":
            (x0, y1), (x1, y0) = axes.transData.inverted().transform(text.get_window_extent())
            assert any(b.left < x0 and x1 < b.right and b.top < y0 and y1 < b.bottom for b in boxes), text
    title = axes.texts[0].get_window_extent()
    assert figure.bbox.x0 < title.x0 < title.x1 < figure.bbox.x1
    assert title.y1 < figure.bbox.y1


def test_title_counts_weights_unless_another_is_given():
    graph = GRAPHS["all skips"]
    assert architecture(graph).axes[0].texts[0].get_text() == "311,642 parameters, 38,201,344 multiply-adds"
    assert architecture(graph, title="the winner").axes[0].texts[0].get_text() == "the winner"


def test_undecided_edges_are_dashed():
    def lines(graph):
        return {patch.get_linestyle() == "-" or patch.get_linestyle() == "solid"
                for patch in architecture(graph).axes[0].patches if not patch.get_fill()}  # fmt: skip

    assert lines(GRAPHS["all skips"]) == {True}
    assert lines(GRAPHS["supernet"]) == {True, False}


def test_sums_and_concatenations_are_marked():
    draft = Draft((3, 8, 8))
    a, b = (draft.node(name, [INPUT], ReLU()) for name in "ab")
    draft.node("joined", [draft.node("sum", [a, b]), a], combine="concat")
    texts = [text.get_text() for text in architecture(draft.graph()).axes[0].texts]
    assert (texts.count("+"), texts.count("‖")) == (1, 1)
