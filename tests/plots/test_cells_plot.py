"""The picture of cells: every operation is there, and nothing runs through anything else."""

import io

import pytest
from matplotlib.patches import FancyBboxPatch, PathPatch

from evonas.genomes.darts import DARTSSpace
from evonas.genomes.genotype import published
from evonas.plots import cells
from evonas.plots.cells import depths
from evonas.support.streams import stream

SPACE = DARTSSpace()
CODES = [*published(), *(SPACE.format(SPACE.random(stream(seed, "cells"))) for seed in range(20))]


def drawn(code):
    figure = cells(SPACE.cells_of(code), title=code[:40])
    figure.savefig(io.BytesIO(), format="png", dpi=50)
    return figure


@pytest.mark.parametrize("code", CODES)
def test_every_operation_of_every_node_is_drawn(code):
    for axes, (nodes, joined, _) in zip(drawn(code).axes, SPACE.cells_of(code).values(), strict=True):
        texts = [text.get_text().replace("\n", " ") for text in axes.texts]
        for pairs in nodes:
            for operation, _ in pairs:
                texts.remove(operation.replace("_", " "))
        assert f"output: {', '.join(map(str, joined))} concatenated" in texts
        edges = [patch for patch in axes.patches if isinstance(patch, PathPatch)]
        assert len(edges) == sum(map(len, nodes)) + len(joined)


@pytest.mark.parametrize("code", CODES)
def test_boxes_lie_apart_and_texts_inside_them(code):
    figure = drawn(code)
    for axes in figure.axes:
        boxes = [patch.get_window_extent() for patch in axes.patches if isinstance(patch, FancyBboxPatch)]
        for number, box in enumerate(boxes):
            assert not any(box.overlaps(other) for other in boxes[:number])
        for text in axes.texts[1:]:  # the first is the name of the cell
            extent = text.get_window_extent()
            assert any(box.x0 <= extent.x0 and extent.x1 <= box.x1 and box.y0 <= extent.y0 and extent.y1 <= box.y1
                       for box in boxes), text.get_text()  # fmt: skip


@pytest.mark.parametrize("code", CODES)
def test_no_edge_runs_through_a_box(code):
    for axes in drawn(code).axes:
        boxes = [patch.get_window_extent().padded(-1) for patch in axes.patches if isinstance(patch, FancyBboxPatch)]
        for edge in (patch for patch in axes.patches if isinstance(patch, PathPatch)):
            path = edge.get_path().interpolated(1).transformed(edge.get_transform())
            points = path.to_polygons(closed_only=False)[0]
            inside = [box for box in boxes if any(box.contains(x, y) for x, y in points)]
            assert not inside


def test_a_node_is_one_deeper_than_its_deepest_input():
    assert depths([[("a", 0), ("b", 1)], [("a", 2)], [("a", 0)], []]) == [0, 0, 1, 2, 1, 1]
