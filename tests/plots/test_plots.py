import io
import os
import random
import subprocess
import sys
import warnings
from collections import Counter
from dataclasses import dataclass
from itertools import combinations
from math import isnan

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from evonas.errors import UserError
from evonas.graph import INPUT, Draft
from evonas.operations import ReLU
from evonas.plots import (
    architecture,
    cells,
    curves,
    front,
    genealogy,
    history,
    learning,
    lineage,
    logbook,
    regret,
    relaxation,
    training_curve,
    utilisation,
)
from evonas.plots.curves import last_population
from evonas.plots.genealogy import MOST_BESIDE, best_connected, family, generations_between, squeezed
from evonas.plots.lineage import MOST_ROWS, ancestry, change_of, rows
from evonas.plots.style import count, literal, quantity, readable_range, winner_id
from evonas.plots.utilisation import AROUND, in_lanes, running_median
from evonas.ranking import pareto_front


def record(fitness, *, phase="search", generation=0, **others):
    """An evaluation; without fitness, a failed one."""
    values = [] if fitness is None else fitness if isinstance(fitness, list) else [fitness]
    status = "full" if values else "failed"
    told = {"id": 0, "genome": [0], "parents": [], "operator": "random", "phase": phase, "generation": generation,
            "role": None, "values": values, "status": status, "reused": False, "curve": values[:1], "t": 1.0,
            "cost": {"epochs": 1, "seconds": 1.0}, "error": None if values else "nan"}  # fmt: skip
    return told | others


def in_flight():
    return {"id": 9, "genome": [1], "phase": "search", "generation": 1, "parents": [], "operator": "random"}


def rejected():
    return record(None, status="rejected", generation=7)


def winner(parent):
    return record(0.9, phase="final", generation=None, role="winner", parents=[parent], operator="winner", id=10_000)


def sized(*pairs, **others):
    """Networks with the ids 0, 1, ... of these accuracies and numbers of parameters."""
    measured = [(accuracy, {"parameters": parameters}) for accuracy, parameters in pairs]
    return [record(accuracy, id=id, measures=size, **others) for id, (accuracy, size) in enumerate(measured)]


def run(size, *, seed=1, generation=20, most_parents=2):
    """A run of that many evaluations on two workers, with failures, reused results and a winner."""
    rng, records, free = random.Random(seed), [], [0.0, 0.0]
    for id in range(size):
        before = range(max(0, (id // generation - 1) * generation), id // generation * generation)
        parents = rng.sample(before, rng.randint(1, most_parents)) if before else []
        operator = f"operator_{rng.randint(1, 4)}" if parents else "random"
        parameters, reused = round(10 ** rng.uniform(4, 7)), rng.random() < 0.1
        seconds = 0.0 if reused else rng.uniform(1, 9)
        worker = min((0, 1), key=free.__getitem__)
        free[worker] += seconds
        accuracy = None if rng.random() < 0.1 else min(0.99, rng.gauss(0.3 + parameters**0.2 / 50, 0.05))
        records.append(record(
            accuracy, generation=id // generation, id=id, parents=parents, operator=operator, reused=reused,
            measures={"parameters": parameters}, t=free[worker], cost={"epochs": 3, "seconds": seconds},
            curve=[accuracy / 2, accuracy * 0.9, accuracy] if accuracy else [],
        ))  # fmt: skip
    valid = [record for record in records if record["values"]]
    best = max(valid, key=lambda record: record["values"][0], default=None)
    end = max(free) + 20
    return records + ([winner(best["id"]) | {"t": end, "cost": {"epochs": 9, "seconds": 19.0}}] if best else [])


def without_generations(size):
    return [record | {"generation": None} for record in run(size)]


RUNS = {
    "nothing": [],
    "in flight": [in_flight()],
    "rejected": [rejected()],
    "one": run(1),
    "one that failed": [record(None)],
    "a few": run(5),
    "equal": [record(0.5, id=id, measures={"parameters": 7}) for id in range(3)],
    "baseline": [record(0.3, phase="baseline", generation=None, measures={"parameters": 7})],
    "hundred": run(100),
    "thousand": run(1000),
    "no generations": without_generations(100),
}
FIGURES = {
    "history": history,
    "front": front,
    "genealogy": genealogy,
    "lineage": lineage,
    "curves": curves,
    "utilisation": lambda records, **others: utilisation(records, workers=2, **others),
}


def line_of(figure, label):
    (line,) = [line for line in figure.axes[0].lines if line.get_label() == label]
    return [tuple(point) for point in line.get_xydata().tolist()]


def legend_of(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def texts_of(figure):
    """All texts that a reader sees."""
    texts = [*figure.texts, *(text for legend in figure.legends for text in legend.get_texts())]
    if figure._suptitle:
        texts.append(figure._suptitle)
    for axes in figure.axes:
        texts += axes.texts
        if axes.axison:
            texts += [axes.title, axes._left_title, axes.xaxis.label, axes.yaxis.label]
            for axis in (axes.xaxis, axes.yaxis):
                low, high = sorted(axis.get_view_interval())
                ticks = zip(axis.get_majorticklocs(), axis.get_major_ticks(), strict=True)
                texts += [tick.label1 for at, tick in ticks if low <= at <= high]
    return list(dict.fromkeys(text for text in texts if text.get_visible() and text.get_text()))


def png(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


# ---- every figure -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_texts_lie_inside_the_page_and_apart(name, run):
    lie_inside_and_apart(FIGURES[name](run, title="genet (digits) on digits, seed 0"))


def lie_inside_and_apart(figure):
    assert figure.get_figwidth() == 7
    figure.draw_without_rendering()
    places = [(text.get_text(), Text.get_window_extent(text)) for text in texts_of(figure)]  # without arrows
    assert len(places) > 1
    for text, place in places:
        assert figure.bbox.x0 <= place.x0 < place.x1 <= figure.bbox.x1, text
        assert figure.bbox.y0 <= place.y0 < place.y1 <= figure.bbox.y1, text
    for (one, here), (other, there) in combinations(places, 2):
        assert not here.padded(-0.5).overlaps(there.padded(-0.5)), (one, other)


@pytest.mark.parametrize("name", FIGURES)
def test_texts_are_large_enough_to_be_read(name):
    assert all(text.get_fontsize() >= 7.5 for text in texts_of(FIGURES[name](run(100), title="a run")))


@pytest.mark.parametrize("name", FIGURES)
def test_a_network_that_broke_a_limit_changes_nothing(name):
    records = run(20)
    assert png(FIGURES[name]([*records, rejected()])) == png(FIGURES[name](records))


@pytest.mark.parametrize(("name", "text"), [
    ("history", "nothing has been evaluated yet"), ("front", "no network of known size has been evaluated yet"),
    ("genealogy", "there is no winner yet"), ("lineage", "there is no winner yet"),
    ("curves", "there are no learning curves yet"), ("utilisation", "nothing has run yet"),
])  # fmt: skip
def test_a_figure_of_nothing_says_so(name, text):
    assert [shown.get_text() for shown in FIGURES[name]([in_flight()]).axes[0].texts] == [text]


def test_plots_load_neither_torch_nor_pyplot():
    code = "import sys, evonas.plots; sys.exit(any(name in sys.modules for name in ('torch', 'matplotlib.pyplot')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("backend", ["module://no_such_module", "no_such_backend"])
def test_figures_need_no_backend(backend):
    """A kernel's own backend, such as matplotlib_inline's, need not be installed where a notebook starts a search."""
    code = ("import io, os, evonas.plots\n"
            "evonas.plots.history([]).savefig(io.BytesIO(), format='png')\n"
            "print(os.environ['MPLBACKEND'])")  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | {"MPLBACKEND": backend}, capture_output=True,
                          text=True, check=False)  # fmt: skip
    assert (done.returncode, done.stdout.strip()) == (0, backend), done.stderr


def test_all_of_a_regret_is_inside_the_picture():
    found = {"aging": np.array([[40.0, 9.0, 0.5], [60.0, 11.0, 0.1]]), "random": np.array([[30.0, 20.0, 10.0]] * 2)}
    (axes,) = (figure := regret(found, of="validation accuracy")).axes
    low, high = axes.get_ylim()
    points = np.concatenate([line.get_ydata() for line in axes.lines])
    assert low < points.min() <= points.max() < high
    assert axes.get_xlim()[0] < 1
    assert axes.get_ylabel() == "mean regret in validation accuracy (points)"
    assert legend_of(figure) == ["aging (0.30 at the end)", "random (10.00 at the end)"]


def test_a_regret_that_comes_down_to_nothing_is_on_a_linear_scale():
    assert regret({"aging": np.array([[40.0, 9.0, 0.0]])}).axes[0].get_yscale() == "linear"
    assert regret({"aging": np.array([[40.0, 9.0, 0.1]])}).axes[0].get_yscale() == "log"


# ---- names that a user has chosen ---------------------------------------------------------------------------------

NAMES = ["a$^$b", r"\$x_1$", "a\nb\tc\0d", "lat\udce9", "фото", "写真 🙂", "_hidden", "x" * 300]


def named(name):
    """Each figure with that name wherever one can come from outside."""
    valued = {"objectives": {name: 1.0, f"{name}2": -1.0}, "title": name}
    told = [record([0.1 * id, 5.0 + id], id=id, operator=name, parents=[id - 1] if id else [], genome=[name, "1"],
                   curve=[0.1, 0.1 * id], proposal={"epsilon": 0.5}) for id in range(5)]  # fmt: skip
    told.append(record([0.9], phase="final", role="winner", parents=[4], id=5))
    weights = {"epoch": 1, "entropy": 0.3, "skips": (1, 2), "weights": {name: {name: 0.7, "skip_connect": 0.3}}}
    supernet = [record(0.5, proposal=weights, warning=name)]
    draft = Draft((1, 8, 8))
    draft.node("layer", [INPUT], Named(name))
    yield from (draw(told, **valued) for draw in (history, front, genealogy, lineage, curves, learning))
    yield learning(told, kinds=lambda genome: [name, "other"], **valued)
    yield utilisation(told, workers=1, title=name)
    yield relaxation(supernet, title=name)
    yield regret({name: np.ones((2, 3))}, title=name)
    yield training_curve([(1, 0.5, 0.4)], metric=name, title=name)
    yield cells({name: ([[(name, 0), (f"{name}_3x3", 1)]], [2], [])}, title=name)
    yield architecture(draft.graph(), title=name)
    yield architecture(draft.graph())


@dataclass(frozen=True)
class Named(ReLU):
    """An operation whose text is a user's."""

    text: str = ""

    def __str__(self):
        return self.text


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_any_name_can_be_drawn_and_stays_what_it_is(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for figure in named(name):
            assert png(figure).startswith(b"\x89PNG")


def test_a_name_is_no_formula_and_what_no_font_has_is_a_question_mark():
    figure = Figure()
    for name, drawn in (("a$^$b", "a$^$b"), (r"\$x$", r"\$x$"), ("lat\udce9 写", "lat? ?"), ("фото\n1", "фото 1")):
        text = figure.text(0, 0, literal(name))
        assert text._preprocess_math(text.get_text()) == (drawn, False)


# ---- numbers with their units -------------------------------------------------------------------------------------


def test_counts_are_shortened():
    assert [count(n) for n in (0, 7, 950, 999, 1000, 17_754, 999_400, 1.25e6, 3e9)] == [
        "0", "7", "950", "999", "1k", "17.8k", "999k", "1.25M", "3G",
    ]  # fmt: skip


def test_a_count_that_rounds_up_to_the_next_letter_has_no_exponent():
    assert count(999_960) == "1000k"


def test_an_axis_says_where_values_are_by_shared_weights():
    records = [{"id": 0, "values": [0.5], "status": "shared"}]
    assert quantity("accuracy", records).label == "validation accuracy by shared weights (%)"
    assert quantity("accuracy", [records[0] | {"status": "full"}]).label == "validation accuracy (%)"
    assert quantity("parameters", records).label == "parameters"


def test_objectives_are_shown_in_their_units():
    shown = {name: quantity(name) for name in ("accuracy", "parameters", "latency", "mine")}
    assert shown["accuracy"].label == "validation accuracy (%)"
    assert shown["accuracy"].text(97.25) == "97.2 %"
    assert shown["parameters"].text(17_754) == "17.8k"
    assert (shown["latency"].label, shown["latency"].text(1.5)) == ("latency (ms)", "1.5 ms")
    assert (shown["mine"].label, shown["mine"].text(-0.25)) == ("mine", "−0.25")


def test_awful_values_lie_below_where_more_is_better_and_above_where_less_is():
    values = [1.0] + [100 + nth / 10 for nth in range(50)] + [1000.0]
    assert readable_range(values)[1] == readable_range(values, weight=1)[1] == 1000
    assert 90 < readable_range(values)[0] < 100
    low, high = readable_range(values, weight=-1)
    assert low == 1
    assert 105 < high < 120


def test_equal_values_still_get_an_axis():
    assert readable_range([50, 50]) == (49, 51)
    assert readable_range([-0.1], least=0.002) == pytest.approx((-0.101, -0.099))


# ---- logbook and history ------------------------------------------------------------------------------------------


def test_logbook_has_a_row_for_each_generation():
    first, second = logbook([record(0.2), record(0.4), record(0.9, generation=1)])
    assert (first["gen"], first["nevals"], first["failed"]) == (0, 2, 0)
    assert (first["min"], first["max"]) == (0.2, 0.4)
    assert (first["avg"], first["std"]) == pytest.approx((0.3, 0.1))
    assert (second["gen"], second["nevals"], second["avg"], second["std"]) == (1, 1, 0.9, 0)


def test_failed_evaluations_are_counted_and_left_out_of_the_statistics():
    (row,) = logbook([record(0.5), record(None), record(0.7)])
    assert (row["nevals"], row["failed"], row["min"]) == (3, 1, 0.5)
    assert row["avg"] == pytest.approx(0.6)


def test_a_generation_that_failed_altogether_has_no_statistics():
    (row,) = logbook([record(None), record(None)])
    assert row["failed"] == 2
    assert all(isnan(row[name]) for name in ("min", "avg", "max", "std"))


def test_logbook_leaves_out_other_phases_and_what_is_in_flight_or_was_rejected():
    others = [record(0.1, phase="baseline", generation=None), record(0.9, phase="final"), in_flight(), rejected()]
    assert [row["nevals"] for row in logbook([record(0.5), *others])] == [1]
    assert logbook([record(0.5, generation=None)]) == []


def test_best_so_far_only_rises_and_stands_until_the_last_evaluation():
    figure = history([record(0.3), record(None), record(0.2), record(0.5), record(0.4), record(None), in_flight()])
    # evaluation 2 failed; so did 6, which the best outlives
    assert line_of(figure, "search: best so far") == [(1, 30), (3, 30), (4, 50), (5, 50), (6, 50)]


def test_best_so_far_only_falls_where_less_is_better():
    figure = history([record(3.0), record(5.0), record(-2.0)], objectives={"mine": -1.0})
    assert line_of(figure, "search: best so far") == [(1, 3), (2, 3), (3, -2), (3, -2)]
    assert figure.axes[0].get_ylabel() == "mine"
    assert "search: best so far (−2)" in legend_of(figure)


def test_baseline_is_counted_from_one_as_well():
    figure = history([record(0.3), record(0.4), record(0.2, phase="baseline", generation=None)])
    assert line_of(figure, "random search: best so far") == [(1, 20), (1, 20)]


def test_legend_says_how_many_failed():
    assert "failed (2)" in legend_of(history([record(0.3), record(None), record(None)]))


def test_a_few_awful_networks_do_not_squash_the_others():
    figure = history([record(0.6 + 0.001 * nth) for nth in range(100)] + [record(0.01), record(0.02)])
    assert figure.axes[0].get_ylim()[0] > 40
    assert any(text.startswith("below") and text.endswith("(2)") for text in legend_of(figure))  # but are mentioned


def test_awful_losses_are_marked_at_the_upper_edge():
    losses = [record(-1 - 0.001 * nth) for nth in range(100)] + [record(50.0)]
    figure = history(losses, objectives={"loss": -1.0})
    assert figure.axes[0].get_ylim()[1] < 0
    assert any(text.startswith("above") and text.endswith("(1)") for text in legend_of(figure))


def test_history_without_generations_has_no_generation_statistics():
    figure = history([record(0.3, generation=None), record(0.4, generation=None)])
    assert legend_of(figure) == ["search: networks", "search: best so far (40.0 %)"]


# ---- Pareto front -------------------------------------------------------------------------------------------------

BOTH = {"accuracy": 1.0, "parameters": -1.0}


def test_pareto_front_holds_what_no_other_beats_in_everything():
    points = [[0.9, 100], [0.8, 50], [0.8, 60], [0.7, 70], [0.95, 200], [0.5, 10]]
    found = pareto_front([record(point, id=id) for id, point in enumerate(points)], BOTH)
    assert [record["id"] for record in found] == [4, 0, 1, 5]


def test_of_networks_with_equal_values_the_first_stands_in_the_front():
    found = pareto_front([record([0.9, 5], id=1), record([0.9, 5], id=2)], BOTH)
    assert [record["id"] for record in found] == [1]


def test_pareto_front_is_of_what_the_search_could_train():
    others = [record([0.99, 1], phase="baseline"), record([0.99, 1], phase="final"), record(None), rejected()]
    assert pareto_front([*others, record([0.5, 9], id=3), in_flight()], BOTH) == [record([0.5, 9], id=3)]


def test_pareto_front_agrees_with_a_comparison_of_all_pairs():
    rng = random.Random(5)
    records = [record([rng.randint(0, 9) for _ in range(3)], id=id) for id in range(200)]
    weights = (1, -1, 1)

    def beats(a, b):
        gains = [w * (x - y) for w, x, y in zip(weights, a["values"], b["values"], strict=True)]
        return min(gains) >= 0 and (max(gains) > 0 or a["id"] < b["id"])

    expected = {one["id"] for one in records if not any(beats(other, one) for other in records)}
    found = pareto_front(records, dict(zip("abc", weights, strict=True)))
    assert {record["id"] for record in found} == expected


def test_front_steps_along_the_best_networks_of_their_size():
    figure = front(sized((0.5, 100), (0.9, 400), (0.4, 200), (0.7, 200)))
    assert line_of(figure, "Pareto front") == [(100, 50), (200, 70), (400, 90)]
    assert [text.get_text() for text in figure.axes[0].texts] == ["#1", "#3", "#0"]


def test_the_line_reaches_no_further_than_the_networks_do():
    smaller_is_better = front([record([0.5, 1.0]), record([0.9, 2.0])], objectives=BOTH).axes[0].lines[0]
    larger_is_better = (
        front([record([0.5, 2.0]), record([0.9, 1.0])], objectives={"accuracy": 1, "b": 1}).axes[0].lines[0]
    )
    assert smaller_is_better.get_drawstyle() == "steps-post"
    assert larger_is_better.get_drawstyle() == "steps-pre"


def test_the_second_objective_takes_the_place_of_the_parameters():
    axes = front([record([0.5, 3.0], measures={"parameters": 7})], objectives={"accuracy": 1, "latency": -1}).axes[0]
    assert axes.get_xlabel() == "latency (ms)"
    assert axes.lines[0].get_xdata() == [3.0]


def test_sizes_that_differ_by_more_than_tenfold_are_on_a_log_scale():
    assert front(sized((0.5, 100), (0.9, 900))).axes[0].get_xscale() == "linear"
    assert front(sized((0.5, 100), (0.9, 1100))).axes[0].get_xscale() == "log"
    negative = [record([0.5, -100.0]), record([0.6, 5.0])]
    assert front(negative, objectives={"accuracy": 1, "b": 1}).axes[0].get_xscale() == "linear"


def test_the_winner_is_marked_where_the_search_found_it():
    figure = front([*sized((0.5, 100), (0.9, 400)), winner(1)])
    assert line_of(figure, "winner") == [(400, 90)]
    assert "winner (#1)" in legend_of(figure)


def test_networks_of_unknown_size_are_left_out_of_the_front():
    figure = front([*sized((0.5, 100)), record(0.9, id=1)])
    assert line_of(figure, "Pareto front") == [(100, 50)]


def test_a_front_member_is_always_drawn_however_bad():
    figure = front(sized(*((0.9 + 0.0001 * nth, 5000 + nth) for nth in range(50)), (0.1, 10)))
    assert figure.axes[0].get_ylim()[0] < 10


# ---- genealogy ----------------------------------------------------------------------------------------------------


def born(*parents_of_each):
    """Networks with the ids 0, 1, ... of these parents."""
    return [
        record(0.5, id=id, parents=list(parents), operator="mate" if len(parents) > 1 else "mutate")
        for id, parents in enumerate(parents_of_each)
    ]


def known(records):
    return {record["id"]: record for record in records}


def boxes_of(records, id):
    return family(known(records), id, quantity("accuracy")).boxes


def test_the_winner_is_the_parent_of_its_final_training():
    assert winner_id([record(0.5, id=3), winner(3)]) == 3
    assert winner_id([record(0.5, id=3)]) is None


def test_ancestors_stand_in_the_row_of_the_longest_descent():
    records = born([], [0], [0, 1], [], [3])  # 0 is both parent and grandparent of 2; 3 and 4 are strangers
    assert generations_between(known(records), 2) == {2: 0, 1: 1, 0: 2}
    late_and_short = born([], [0], [0], [2], [1, 3])  # 0 is three generations from 4 by way of 3, and two by way of 1
    assert generations_between(known(late_and_short), 4)[0] == 3


def test_each_ancestor_is_drawn_once_and_above_its_children():
    records = born([], [], [0, 1], [0, 1], [2, 3], [0, 4])
    boxes = boxes_of(records, 5)
    assert sorted(boxes) == [0, 1, 2, 3, 4, 5]
    for child in records:
        assert all(boxes[parent].bottom < boxes[child["id"]].top for parent in child["parents"])


@pytest.mark.parametrize("generation", [1, 3, 20])
def test_boxes_of_ancestors_lie_on_the_page_and_apart(generation):
    boxes = boxes_of(run(300, generation=generation, most_parents=min(2, generation)), 299).values()
    assert not any(a.touches(b) for a, b in combinations(boxes, 2))
    assert all(box.left > 0 and box.right < 7 for box in boxes)


def test_layers_are_drawn_together_no_more_than_it_takes():
    layers, widths = [[("a", 0), ("b", 0)], [("c", 1)]], dict.fromkeys((("a", 0), ("b", 0), ("c", 1)), 1.0)
    wide = {("a", 0): -5.0, ("b", 0): 5.0, ("c", 1): 2.0}
    assert squeezed(layers, wide, widths, 11.0) == wide
    assert squeezed(layers, wide, widths, 9.0) == pytest.approx({("a", 0): -4, ("b", 0): 4, ("c", 1): 1.6})
    assert squeezed(layers, wide, widths, 1.0) == {("a", 0): -0.5, ("b", 0): 0.5, ("c", 1): 0}


def test_many_ancestors_stand_as_close_as_the_page_demands():
    boxes = boxes_of(run(1000), 999).values()
    rows = Counter(box.top for box in boxes)
    assert max(rows.values()) >= 5


def test_the_best_connected_ancestors_are_chosen():
    # 5 has the parents 3 and 4; 1 is a parent of both, 0 and 2 of one
    records = known(born([], [], [], [0, 1], [1, 2], [3, 4]))
    rows = generations_between(records, 5)
    assert best_connected(records, rows, 2) == [5, 3, 4, 1, 0]
    assert best_connected(records, rows, 1) == [5, 3, 0]


def test_ancestors_without_room_are_counted():
    founders = [[]] * (MOST_BESIDE + 4)
    figure = genealogy(born(*founders, range(len(founders))), id=len(founders))
    ids = [text.get_text() for text in figure.axes[0].texts if text.get_text().startswith("#")]
    (more,) = [text.get_text() for text in figure.axes[0].texts if text.get_text().endswith("more")]
    shown = sum(id[1:].isdigit() for id in ids) - 1
    assert more == f"+{len(founders) - shown} more"


def test_a_network_that_is_alone_in_its_row_has_its_gain_and_its_code_beside_it():
    first, *others = born([], [0], [1])
    chain = [first, *(each | {"values": [value]} for each, value in zip(others, (0.5, 0.25), strict=True))]
    chain = [each | {"code": f"code-{each['id']}"} for each in chain]
    texts = [text.get_text() for text in genealogy(chain, id=2).axes[0].texts]
    assert {"code-0", "code-1", "code-2", "−25.0 % over #1"} <= set(texts)
    several = born([], [], [0, 1])
    texts = [text.get_text() for text in genealogy(several, id=2).axes[0].texts]
    assert [text for text in texts if " over #" in text] == ["+0.0 % over #0"]


def test_a_long_lineage_shows_its_last_rows_and_says_so():
    chain = born([], *([id] for id in range(39)))
    texts = [text.get_text() for text in genealogy(chain, id=39).axes[0].texts]
    assert sum(text[1:].isdigit() for text in texts) == 15
    assert any("the last 15 of 40 generations" in text for text in texts)
    assert not any("the last" in text for text in [t.get_text() for t in genealogy(chain, id=14).axes[0].texts])


def test_operators_differ_in_colour_and_dashes():
    figure = genealogy(born([], [], [0, 1], [2]), id=3)
    (legend,) = figure.legends
    assert legend_of(figure) == ["mate", "mutate"]
    first, second = legend.get_lines()
    assert first.get_color() != second.get_color()
    assert first.get_linestyle() != second.get_linestyle()


def test_ancestors_of_an_unknown_evaluation_are_a_users_error():
    with pytest.raises(UserError, match="#7"):
        genealogy(born([]), id=7)


# ---- lineage ------------------------------------------------------------------------------------------------------


def descended(fitness, operators=None, **others):
    """A line of descent: networks with the ids 0, 1, ..., each the child of the one before."""
    operators = operators or ["mut_widen"] * len(fitness)
    return [
        record(value, id=id, parents=[id - 1] * bool(id), operator=operator, **others)
        for id, (value, operator) in enumerate(zip(fitness, operators, strict=True))
    ]


def words_of(figure):
    return {text.get_text() for text in texts_of(figure)}


def test_a_lineage_runs_from_the_founder_to_the_network_and_gains_are_over_the_parent():
    line = descended([0.2, 0.5, 0.4])
    shown = rows(ancestry(known([*line, record(0.9, id=7, parents=[1])]), 2), 1.0)
    assert [row.record["id"] for row in shown] == [0, 1, 2]
    assert [row.gain for row in shown] == [None, pytest.approx(0.3), pytest.approx(-0.1)]
    texts = words_of(lineage(line, id=2))
    assert {"#0", "#1", "#2", "widen", "+30.0 %", "−10.0 %"} <= texts


def test_of_a_long_lineage_the_steps_are_shown_that_gained_most_and_the_others_are_counted():
    gains = [0.001 * (n % 7) for n in range(60)]
    fitness = [0.1 + sum(gains[: n + 1]) for n in range(60)]
    shown = rows(descended(fitness), 1.0)
    assert len(shown) == MOST_ROWS
    assert (shown[0].record["id"], shown[-1].record["id"]) == (0, 59)
    assert sum(row.hidden for row in shown) == 60 - MOST_ROWS
    between = [row.gain for row in shown[1:-1]]
    assert min(between) >= sorted(gains[1:-1], reverse=True)[len(between) - 1] - 1e-9
    assert any("more" in text for text in words_of(lineage(descended(fitness), id=59)))


def test_what_changed_is_said_in_words_that_fit():
    assert change_of({"operator": "mut_insert_convolution"}) == "insert convolution"
    assert change_of({"operator": "mut_a + mut_b"}) == "a, b"
    assert len(change_of({"operator": " + ".join(["mut_alter_learning_rate"] * 5)})) <= 40


def test_epochs_along_the_ancestry_stand_beside_each_network():
    line = [r | {"lineage": {"epochs": 12 * (r["id"] + 1)}} for r in descended([0.2, 0.5])]
    assert {"12", "24"} <= words_of(lineage(line, id=1))


# ---- learning curves ----------------------------------------------------------------------------------------------


def test_curves_are_of_the_last_generation():
    records = [record(0.5, id=1), record(0.6, id=2, generation=4), record(0.6, id=3, phase="final"), in_flight()]
    members, name = last_population(records)
    assert ([record["id"] for record in members], name) == ([2], "generation 4")


def test_without_generations_the_curves_are_of_what_was_told_last():
    records = [record(0.5, id=id, generation=None, t=100.0 - id) for id in range(30)]
    members, name = last_population(records)
    assert ([record["id"] for record in members], name) == (list(range(19, -1, -1)), "last 20 evaluations")


LEARNT = [record(0.6, id=1, curve=[0.3, 0.6]), record(0.5, id=2, curve=[0.2, 0.7]), record(None, id=3)]


def test_the_curve_of_the_best_network_bears_its_id():
    figure = curves(LEARNT)
    assert [text.get_text() for text in figure.axes[0].texts] == ["#1"]
    assert legend_of(figure) == ["generation 0: 2 networks", "best so far: #1 (60.0 %)", "failed, not drawn (1)"]


@pytest.mark.parametrize(("id", "value"), [(2, "50.0 %"), (7, "55.0 %")], ids=["of the last generation", "earlier"])
def test_the_curve_that_stands_out_is_the_winners_and_no_other(id, value):
    earlier = record(0.55, id=7, curve=[0.1, 0.55], generation=-1)
    figure = curves([earlier, *LEARNT, winner(id)])
    assert [text.get_text() for text in figure.axes[0].texts] == [f"#{id}"]
    assert legend_of(figure)[:2] == ["generation 0: 2 networks", f"winner: #{id} ({value})"]
    assert len(figure.axes[0].lines) == 2 * (2 if id == 2 else 3)


def test_the_history_of_two_objectives_shows_both_each_by_its_own_best():
    values = [[0.3, 5000.0], [0.5, 9000.0], None, [0.4, 2000.0]]
    records = [record(each, id=id) for id, each in enumerate(values)]
    figure = history(records, objectives={"accuracy": 1.0, "parameters": -1.0})
    upper, lower = figure.axes
    assert (upper.get_ylabel(), lower.get_ylabel()) == ("validation accuracy (%)", "parameters")
    lines = [line for axes in figure.axes for line in axes.lines if line.get_label() == "search: best so far"]
    best = [line.get_ydata().tolist() for line in lines]
    assert best == [[30, 50, 50, 50], [5000, 5000, 2000, 2000]]
    assert "search: best so far (50.0 %, 2k)" in legend_of(figure)
    assert lower.get_yscale() == "linear"
    assert "failed (1)" in legend_of(figure)


def test_counts_that_differ_much_are_on_a_log_scale_and_every_text_has_room():
    values = [[0.3 + 0.01 * id, 10 ** (4 + id / 10)] for id in range(30)]
    records = [record(each, id=id) for id, each in enumerate([*values, None])]
    beside = [record(each, phase="baseline", generation=None) for each in values]
    figure = history(records + beside, objectives={"accuracy": 1.0, "parameters": -1.0}, title="a run")
    assert figure.axes[1].get_yscale() == "log"
    assert "random search: best so far (59.0 %, 10k)" in legend_of(figure)
    lie_inside_and_apart(figure)


def test_curves_of_a_single_epoch_are_dots():
    axes = curves([record(0.6, id=1), record(0.5, id=2)]).axes[0]
    assert all(line.get_linestyle() == "None" for line in axes.lines)
    assert len(axes.collections[0].get_offsets()) == 1  # and the best, which is a star


def test_a_generation_that_failed_altogether_is_said_to_have():
    (text,) = curves([record(None), record(None)]).axes[0].texts
    assert text.get_text() == "generation 0: all 2 failed"


# ---- utilisation --------------------------------------------------------------------------------------------------


def ran(start, end, **others):
    return record(0.5, t=end, cost={"epochs": 1, "seconds": end - start}, **others)


def test_evaluations_that_overlap_stand_in_different_lanes():
    jobs = in_lanes([ran(0.0, 4.0), ran(1.0, 3.0), ran(3.0, 6.0), ran(4.0, 5.0)], 2)
    assert [(job.start, job.lane) for job in jobs] == [(0, 0), (1, 1), (3, 1), (4, 0)]


def test_there_are_no_more_lanes_than_workers():
    assert {job.lane for job in in_lanes([ran(0.0, 4.0), ran(0.1, 3.0), ran(0.2, 2.0)], 2)} == {0, 1}


def test_reused_results_did_not_run():
    assert in_lanes([ran(0.0, 1.0), ran(1.0, 1.0, reused=True)], 1) == in_lanes([ran(0.0, 1.0)], 1)


def test_the_share_of_busy_time_is_said():
    figure = utilisation([ran(0.0, 60.0), ran(30.0, 180.0)], workers=2)
    assert figure.axes[0].get_title("left") == "workers busy 58 % of 3 min"
    assert utilisation([ran(0.0, 90.0)], workers=1).axes[0].get_title("left") == "workers busy 100 % of 90 s"


def test_failed_evaluations_are_hatched_and_counted():
    figure = utilisation([ran(0.0, 1.0), record(None, t=2.0)], workers=1)
    assert [bool(bar.get_hatch()) for bar in figure.axes[0].patches] == [False, True]
    assert legend_of(figure) == ["search", "failed (1)"]


def test_each_phase_has_its_colour():
    phases = ("supernet", "search", "baseline", "finalists", "final")
    records = [ran(float(at), at + 1.0, phase=phase) for at, phase in enumerate(phases)]
    figure = utilisation(records, workers=1)
    assert len({bar.get_facecolor() for bar in figure.axes[0].patches}) == 5
    assert legend_of(figure) == [
        "the supernet's training", "search", "random search", "finalists", "final training"
    ]  # fmt: skip


def test_running_median_is_over_the_values_around():
    values = [0.0] * AROUND + [100.0] + [0.0] * AROUND
    assert running_median(values) == [0.0] * len(values)  # one value alone moves no median
    assert running_median([float(n) for n in range(40)])[20] == 20


# ---- learning -----------------------------------------------------------------------------------------------------


def says(figure):
    return [text.get_text() for text in texts_of(figure)]


def learnt(size, **proposal):
    return [record(0.5 + 0.001 * id, id=id, genome=["a", "b" if id < size / 2 else "c"], proposal=proposal)
            for id in range(size)]  # fmt: skip


def test_learning_shows_the_running_mean_and_the_baseline():
    rewards = learning(learnt(100, entropy=2.0, baseline=0.55)).axes[0]
    mean, baseline = (line.get_ydata() for line in rewards.lines)
    assert mean[0] == pytest.approx(50 + 0.1 * 4.5)  # of the first ten
    assert len(mean) == 91
    assert set(baseline.round(9)) == {55.0}


def test_the_baseline_of_a_reward_in_another_unit_has_an_axis_of_its_own():
    axes = learning(learnt(100, entropy=2.0, reward_baseline=0.17)).axes
    rewards, (beside,) = axes[0], [each for each in axes if each.get_ylabel() == "baseline of the reward"]
    assert len(rewards.lines) == 1  # the mean
    assert set(beside.lines[0].get_ydata()) == {0.17}


@pytest.mark.parametrize(("name", "label"), [("epsilon", "epsilon"), ("entropy", "entropy (nats)")])
def test_learning_shows_what_is_left_to_chance(name, label):
    certainty = learning(learnt(20, **{name: 0.7})).axes[1]
    assert certainty.get_ylabel() == label
    assert set(certainty.lines[0].get_ydata()) == {0.7}


def test_learning_shows_the_shares_of_the_tokens_over_time():
    choices = learning(learnt(80, epsilon=1.0)).axes[2]
    assert [label.get_text() for label in choices.get_yticklabels()] == ["a", "b", "c"]
    shares = choices.collections[0].get_array().reshape(3, 40)
    assert set(shares[0]) == {50.0}
    assert list(shares[1]) == [50.0] * 20 + [0.0] * 20
    assert list(shares[2]) == [0.0] * 20 + [50.0] * 20


def test_tokens_are_counted_among_the_choices_of_their_kind():
    records = [record(0.5, id=id, genome=[3, 5, 3], proposal={"epsilon": 1.0}) for id in range(4)]
    choices = learning(records, kinds=lambda genome: ["width", "width", "layers"]).axes[2]
    assert [label.get_text() for label in choices.get_yticklabels()] == ["width 3", "width 5", "layers 3"]
    assert choices.collections[0].get_array().reshape(3, 4)[:, 0].tolist() == [50.0, 50.0, 100.0]


def test_learning_of_nothing_says_so():
    assert says(learning([in_flight()])) == ["nothing has been evaluated yet"]
    failed = [record(None, proposal={"epsilon": 1.0})]
    assert "all evaluations failed" in says(learning(failed))
