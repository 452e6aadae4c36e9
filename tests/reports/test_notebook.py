"""What a notebook shows, in the kernel of one."""

import io
import pickle
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread
from reading import Reading

import evonas
from evonas.genomes.genet import DIGITS
from evonas.plots import history
from evonas.reports import view
from evonas.reports.notebook import Notebook
from evonas.reports.progress import passing
from evonas.run.budget import Budget

TUTORIAL = Path(__file__).parents[2] / "docs" / "notebook.ipynb"
TINY = {"population": 2, "epochs": 1, "final.epochs": 1}


class Screen:
    """Stands for an area of a notebook."""

    def __init__(self):
        self.shown = []

    def show(self, html, text):
        self.shown.append((Reading(html), text))


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def small_run(folder, **others):
    given = {"evaluate": sum, "budget": 4, "workers": 1, "progress": False, "report": False}
    return evonas.search(DIGITS, out=folder, **given | others)


def fails(genome):
    raise ValueError("<b>no & never</b>")


# ---- in the kernel ---------------------------------------------------------------------------------------------------


@pytest.fixture
def execute(tmp_path, monkeypatch):
    """A function that executes a notebook in an empty folder: its messages, and itself with its outputs."""
    nbclient = pytest.importorskip("nbclient", reason="nbclient, nbformat and ipykernel execute notebooks")
    pytest.importorskip("ipykernel", reason="nbclient, nbformat and ipykernel execute notebooks")
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))

    class Client(nbclient.NotebookClient):
        def process_message(self, msg, cell, cell_index):
            messages.append((cell_index, msg["msg_type"], msg["content"]))
            return super().process_message(msg, cell, cell_index)

    messages = []

    def execute(notebook):
        work = tmp_path / "work"
        work.mkdir(exist_ok=True)
        Client(notebook, timeout=250, kernel_name="python3", resources={"metadata": {"path": str(work)}}).execute()
        return messages, notebook

    return execute


def of_code(*cells):
    nbformat = pytest.importorskip("nbformat", reason="nbclient, nbformat and ipykernel execute notebooks")
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in cells])


@pytest.mark.slow
def test_the_tutorial_comes_to_its_end_and_shows_what_it_promises(execute):
    nbformat = pytest.importorskip("nbformat", reason="nbclient, nbformat and ipykernel execute notebooks")
    messages, notebook = execute(nbformat.read(TUTORIAL, as_version=4))
    search, run, best, curves, confusion, graph, predictions = [
        cell for cell in notebook.cells if cell.cell_type == "code"
    ][:7]
    (area,) = search.outputs  # one, which was shown anew
    at = notebook.cells.index(search)
    kinds = Counter(kind for index, kind, _ in messages if index == at)
    assert kinds["display_data"] == 1
    assert kinds["update_display_data"] >= 3
    assert kinds["stream"] == 0
    found = Reading(area.data["text/html"])
    assert found.has("table", "img") == [True, True]
    assert {"winner", "random search", "reference"} <= set(found.texts)
    assert any("the reference by hand: " in text for text in found.texts)
    assert "16/16 evaluations" in area.data["text/plain"]
    for cell in (run, best):
        assert Reading(cell.outputs[0].data["text/html"]).has("img") == [True]
    for cell in (curves, confusion, graph):
        assert cell.outputs[0].data["image/png"]
    assert "classifier" in graph.outputs[0].data["text/plain"]
    assert Reading(predictions.outputs[0].data["text/html"]).has("table") == [True]


def test_the_tutorial_is_kept_without_outputs():
    nbformat = pytest.importorskip("nbformat", reason="it reads notebooks")
    notebook = nbformat.read(TUTORIAL, as_version=4)
    nbformat.validate(notebook)
    assert [cell for cell in notebook.cells if cell.get("outputs") or cell.get("execution_count")] == []


@pytest.mark.slow
def test_an_interrupted_kernel_leaves_a_run_that_goes_on(execute):
    search = "evonas.search(DIGITS, evaluate=judge, budget=20, executor='serial', out='run', resume=True, {})"
    _, notebook = execute(of_code(
        "import evonas, os, signal\n"
        "from evonas.genomes.genet import DIGITS\n"
        "calls = []\n"
        "def judge(genome):\n"
        "    calls.append(genome)\n"
        "    if len(calls) == 5:\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "    return sum(genome)",
        f"run = {search.format('report=False')}\nprint(run.interrupted, run.summary)",
        "run",
        f"run = {search.format('report=False, progress=False')}\nprint(run.interrupted, run.summary['evaluations'])",
    ))  # fmt: skip
    cut, stands, resumed = notebook.cells[1:]
    assert [output.output_type for output in cut.outputs] == ["display_data", "stream"]
    assert cut.outputs[1].text == "True None\n"
    assert "interrupted; no finished result is lost: go on with resume=True" in cut.outputs[0].data["text/plain"]
    assert "<li>4 evaluations in " in stands.outputs[0].data["text/html"]
    assert [output.get("text") for output in resumed.outputs] == ["False 20\n"]  # and nothing is shown


@pytest.mark.slow
def test_in_a_kernel_a_search_is_one_area_and_networks_and_figures_are_pictures(execute):
    _, notebook = execute(of_code(
        "import evonas\nfrom evonas.genomes.genet import DIGITS\nfrom evonas.plots import history\n"
        "run = evonas.search(DIGITS, evaluate=sum, budget=4, workers=1, out='run', report=False)",
        "DIGITS.decode(run.best.genome)",
        "history(run.records())",
        "run = evonas.search(DIGITS, evaluate=sum, budget=4, workers=1, out='silent', report=False, progress=False)",
    ))  # fmt: skip
    search, *pictures, silent = notebook.cells
    (area,) = search.outputs
    assert Reading(area.data["text/html"]).has("table", "img") == [True, True]
    assert "search: 4/4 evaluations, best " in area.data["text/plain"]
    for cell in pictures:
        assert cell.outputs[0].data["image/png"]
    assert silent.outputs == []


@pytest.mark.parametrize("progress", [True, False])
def test_a_search_of_a_kernel_is_shown_in_an_area_unless_nothing_is_to_be(tmp_path, monkeypatch, capsys, progress):
    screen = Screen()
    monkeypatch.setattr("evonas.run.carrying_out.shell", object)
    monkeypatch.setattr("evonas.reports.notebook.Area", lambda: screen)
    small_run(tmp_path / "run", progress=progress)
    assert capsys.readouterr().out == ""
    assert bool(screen.shown) == progress
    if progress:
        assert screen.shown[0][1].endswith("preparing")
        assert screen.shown[-1][0].has("table", "img") == [True, True]


def test_a_line_for_what_takes_a_while_is_an_area_in_a_kernel(monkeypatch, capsys):
    screen = Screen()
    monkeypatch.setattr("evonas.reports.progress.shell", object)
    monkeypatch.setattr("evonas.reports.progress.Area", lambda: screen)
    with passing() as show:
        show("measured 1 of 2 <b>")
        show("measured 2 of 2 <b>")
    assert [(found.texts, text) for found, text in screen.shown] == [
        ([f"measured {done} of 2 <b>"], f"measured {done} of 2 <b>") for done in (1, 2)
    ]
    assert capsys.readouterr().out == ""


# ---- what an area shows ----------------------------------------------------------------------------------------------


@pytest.fixture
def followed(tmp_path, monkeypatch):
    """A notebook's progress, its screen and clock, and how often a picture was drawn."""
    drawn = []
    monkeypatch.setattr("evonas.reports.notebook.course", lambda run, records: drawn.append(len(records)) or "<img>")
    run, screen, clock = small_run(tmp_path / "run"), Screen(), Clock()
    return Notebook(run, screen, clock=clock), screen, clock, drawn, run.events()


def results(notebook, events, ids):
    for event in events:
        if event.get("id") in ids:
            notebook.event(event, False)


def test_a_picture_is_drawn_only_when_something_was_told_and_seldom(followed):
    notebook, screen, clock, drawn, events = followed
    notebook.phase("search", Budget(4), 0)
    for now, ids, pictures in (
        (10, {0}, [1]),
        (11, set(), [1]),
        (12, {1}, [1]),  # the line alone
        (15, set(), [1, 2]),  # which waited for its time
        (30, set(), [1, 2]),
    ):
        clock.now = now
        results(notebook, events, ids)
        notebook.refresh()
        assert drawn == pictures
    assert len(screen.shown) == 3
    assert "search: 2/4 evaluations" in screen.shown[-1][1]


def test_a_picture_that_is_dear_is_drawn_less_often_than_the_line_is_shown(followed, monkeypatch):
    notebook, screen, clock, drawn, events = followed
    notebook.phase("search", Budget(4), 0)

    def dear(run, records):
        clock.now += 2
        drawn.append(len(records))
        return "<img>"

    monkeypatch.setattr("evonas.reports.notebook.course", dear)
    for count, (clock.now, pictures) in enumerate(((10, 1), (40, 1), (71, 1), (73, 2)), 1):
        results(notebook, events, {count - 1})
        notebook.refresh()
        assert (len(screen.shown), len(drawn)) == (count, pictures)


def test_what_is_dear_to_show_is_shown_less_often(followed, monkeypatch):
    notebook, screen, clock, _, events = followed
    notebook.phase("search", Budget(4), 0)
    show = screen.show

    def dear(html, text):
        clock.now += 2
        show(html, text)

    monkeypatch.setattr(screen, "show", dear)
    for id, (clock.now, shown) in enumerate(((10, 1), (40, 1), (73, 2))):
        results(notebook, events, {id})
        notebook.refresh()
        assert len(screen.shown) == shown


def test_a_search_in_which_nothing_ends_gives_a_sign_of_life(followed):
    notebook, screen, clock, drawn, _ = followed
    notebook.phase("search", Budget(4), 0)
    for clock.now, shown in ((29, 0), (31, 1), (60, 1), (62, 2)):
        notebook.refresh()
        assert len(screen.shown) == shown
    assert screen.shown[-1][1].endswith("1 min 2 s since this began")
    assert drawn == []


def test_an_area_ends_with_the_table_and_a_failure_with_how_to_go_on(followed, tmp_path):
    notebook, screen, *_ = followed
    with notebook:
        pass
    assert screen.shown[-1][0].has("table", "img") == [True, True]
    other = Notebook(notebook.run, screen)
    with pytest.raises(KeyboardInterrupt), other:
        raise KeyboardInterrupt
    found, text = screen.shown[-1]
    assert found.has("table") == [False]
    assert text.endswith("interrupted; no finished result is lost: go on with resume=True")


def test_a_picture_that_fails_costs_itself_alone(tmp_path, monkeypatch):
    def fails(records, **others):
        raise ZeroDivisionError("nothing to divide by")

    run = small_run(tmp_path / "run")
    monkeypatch.setattr("evonas.plots.history", fails)
    found = Reading(view.of_run(run))
    assert found.has("table", "img") == [True, False]
    assert "This could not be shown: ZeroDivisionError: nothing to divide by" in found.texts


# ---- views -----------------------------------------------------------------------------------------------------------


def test_names_are_escaped(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = evonas.search(DIGITS, evaluate=sum, budget=4, workers=1, out="<b>own & odd", progress=False)
    found = Reading(run._repr_html_())
    assert found.has("b") == [False]
    assert "<b>own & odd/report.html" in found.texts
    assert ("a", {"href": "%3Cb%3Eown%20%26%20odd/report.html", "target": "_blank"}) in found.tags
    assert Path("<b>own & odd/report.html").exists()


def test_a_run_whose_evaluations_all_failed_says_why(tmp_path):
    with pytest.raises(evonas.RunError):
        small_run(tmp_path / "run", evaluate=fails)
    found = Reading(evonas.open_run(tmp_path / "run")._repr_html_())
    assert "4 failed: ValueError: <b>no & never</b>" in found.texts
    assert found.has("table", "img", "b") == [False, False, False]


def test_a_run_without_a_result_has_a_view(tmp_path):
    run = small_run(tmp_path / "run")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "config.json").write_bytes((run.directory / "config.json").read_bytes())
    found = Reading(evonas.open_run(tmp_path / "empty", DIGITS)._repr_html_())
    assert "0 evaluations in 0 s, 0.0 a minute, 0.0 a minute lately" in found.texts
    assert "to go on: run its script or notebook again with resume=True" in found.texts


def test_an_unfinished_run_shows_the_best_so_far(tmp_path):
    run = small_run(tmp_path / "run")
    (run.directory / "summary.json").unlink()
    found = Reading(run._repr_html_())
    assert found.has("table", "img") == [True, True]
    assert run.best.code in found.texts


def test_individuals_and_trained_networks_are_shown_with_their_pictures(tmp_path):
    run = evonas.search("genet", "digits", budget=2, settings=TINY, executor="serial", out=tmp_path / "run",
                        progress=False, report=False)  # fmt: skip
    trained = run.best.trained()
    for shown in (run.best, run[1], trained):
        assert Reading(shown._repr_html_()).has("img") == [True]
    assert run.best.code in Reading(trained._repr_html_()).texts
    found = trained.predict(np.zeros((12, 8, 8), np.uint8))
    assert repr(found) == "<what a network says of 12 pictures>"
    texts = Reading(found._repr_html_()).texts
    assert "said" in texts
    assert "and 2 more" in texts
    assert repr(trained.judgement).startswith("<accuracy ")


def test_a_figure_is_shown_in_the_size_in_which_it_is_drawn(tmp_path):
    figure = history(small_run(tmp_path / "run").records(), objectives={"fitness": 1.0})
    png, size = figure._repr_png_()
    assert size == {"width": 672, "height": 384}
    assert imread(io.BytesIO(png)).shape[:2] == (600, 1050)
    assert isinstance(pickle.loads(pickle.dumps(figure)), Figure)


def test_outside_a_kernel_nothing_that_draws_is_loaded(tmp_path):
    code = (
        "import sys, evonas\nfrom evonas.genomes.genet import DIGITS\n"
        "evonas.search(DIGITS, evaluate=sum, budget=2, workers=1, out='run', report=False)\n"
        "sys.exit(any(name in sys.modules for name in ('IPython', 'matplotlib')))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "search: 2/2 evaluations" in done.stdout
