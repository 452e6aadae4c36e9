import base64
import io
import os
import subprocess
import sys

from matplotlib.figure import Figure
from matplotlib.image import imread
from reading import Reading

import evonas
from evonas.genomes.genet import DIGITS
from evonas.plots.style import png
from evonas.reports import page as html


def picture():
    figure = Figure(figsize=(7, 1), dpi=100)
    figure.add_subplot()
    return png(figure)


def test_a_page_has_what_it_is_given_in_order():
    text = html.page("a run", [html.items(["it went well", ""])],
                     {"Results": [html.table("results", [{"network": "winner"}]), html.figure("a", picture(), "how")],
                      "Facts": [html.definitions({"data": "digits"})]})  # fmt: skip
    texts = Reading(text).texts
    assert texts[2:] == ["a run", "it went well", "Results", "Facts", "Results", "network", "winner", "how", "Facts",
                         "data", "digits", html.SCRIPT.strip()]  # fmt: skip
    links = [link["href"].removeprefix("#") for link in Reading(text).all("a")]
    assert links == [heading["id"] for heading in Reading(text).all("h2")] == ["results", "facts"]


def test_nothing_empty_is_shown():
    sections = {"Empty": ["", html.table("t", []), html.definitions({}), html.items([])], "Full": [html.code("x")]}
    texts = Reading(html.page("a run", [""], sections)).texts
    assert "Empty" not in texts
    assert texts.count("Full") == 2


def test_a_page_asks_for_nothing_and_runs_only_what_sorts_its_tables():
    text = html.page("a run", [], {"Picture": [html.figure("a", picture(), "how it went")]})
    reading = Reading(text)
    assert not {"iframe", "object", "embed"} & {tag for tag, _ in reading.tags}
    assert reading.all("script") == [{}]
    addresses = [value for _, attributes in reading.tags for key, value in attributes.items() if key in ("src", "href")]
    assert len(addresses) == 3  # the picture, the icon that keeps a browser from asking for one, and a section
    assert all(address.startswith(("data:", "#")) for address in addresses)
    for way in ("url(", "@import", "fetch(", "XMLHttp", "import("):
        assert way not in text


def test_everything_is_escaped():
    evil = '<script>alert("1")</script>&\''
    parts = [html.definitions({evil: evil}), html.table(evil, [{evil: evil}], sortable=True), html.items([evil]),
             html.figure(evil, picture(), evil), html.paragraphs(evil), html.code(evil), html.absence(evil),
             html.subheading(evil)]  # fmt: skip
    text = html.page(evil, [html.paragraphs(evil)], {evil: parts})
    assert text.count("<script") == 1
    assert Reading(text).texts.count(evil) == 2 + 1 + 2 + 2 + 2 + 1 + 1 + 1 + 1 + 1
    (image,) = Reading(text).all("img")
    assert image["alt"] == evil


def test_a_cell_that_a_row_does_not_name_is_empty():
    text = html.table("t", [{"network": "winner", "test": "97 %"}, {"network": "reference", "validation": "98 %"}])
    assert len(Reading(text).all("th")) == 3
    assert len(Reading(text).all("td")) == 6
    assert "<td>reference</td><td></td><td>98 %</td>" in text


def test_a_sortable_table_has_headings_to_press():
    text = html.table("t", [{"id": "1"}], sortable=True)
    assert Reading(text).all("button") == [{}]
    assert Reading(text).all("table") == [{"class": "sortable"}]
    assert Reading(html.table("t", [{"id": "1"}])).all("button") == []


def test_texts_of_docstrings_keep_their_examples():
    text = html.paragraphs("One\ntwo.\n\n    a  b\n    c\n\nThree.")
    assert text == "<p>One two.</p>\n<pre>a  b\nc</pre>\n<p>Three.</p>"


def test_pictures_are_fine_enough_for_print_and_shown_in_their_own_size():
    (image,) = Reading(html.figure("a", picture(), "how it went")).all("img")
    assert (image["width"], image["height"]) == ("672", "96")
    assert image["alt"] == "how it went"
    assert Reading(html.figure("a", picture(), "")).all("img")[0]["alt"] == "a"
    data = base64.b64decode(image["src"].removeprefix("data:image/png;base64,"))
    assert imread(io.BytesIO(data)).shape[:2] == (150, 1050)


def test_a_picture_that_fails_costs_itself_alone(tmp_path, monkeypatch):
    def fails(records, **others):
        raise ZeroDivisionError("nothing to divide by")

    run = evonas.search(DIGITS, evaluate=sum, budget=3, workers=1, out=tmp_path / "run", progress=False)
    whole = {path.name for path in run.plot()}
    monkeypatch.setattr("evonas.plots.history", fails)
    assert whole - {path.name for path in run.plot()} == {"history.png"}
    assert not (run.directory / "plots" / "history.png").exists()
    assert "could not be shown: ZeroDivisionError: nothing to divide by" in (run.directory / "report.html").read_text()


def test_a_function_without_learning_curves_has_no_picture_of_them(tmp_path):
    run = evonas.search(DIGITS, evaluate=sum, budget=3, workers=1, out=tmp_path / "run", progress=False)
    assert "curves.png" not in {path.name for path in (run.directory / "plots").iterdir()}
    assert "Curves" not in Reading((run.directory / "report.html").read_text()).texts


def test_a_run_is_reported_whatever_its_name(tmp_path):
    name = os.fsdecode(b"r$^$\xe9 \xff")
    run = evonas.search(DIGITS, evaluate=sum, budget=3, workers=1, out=tmp_path / name, progress=False)
    report = (run.directory / "report.html").read_text(encoding="utf-8")
    assert "could not be shown" not in report
    assert evonas.open_run(tmp_path / name).best.code == run.best.code


def test_loading_the_report_loads_no_torch():
    code = "import sys, evonas.reports.page; sys.exit('torch' in sys.modules or 'matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_report_shows_what_the_winner_made_of_the_test_pictures(tmp_path):
    settings = {"population": 2, "epochs": 1, "final.epochs": 1}
    run = evonas.search("genet", "digits", budget=3, settings=settings, executor="serial", out=tmp_path / "run",
                        baseline=True, progress=False)  # fmt: skip
    drawn = {path.name for path in (run.directory / "plots").iterdir()}
    assert {"confusion.png", "examples.png", "mistakes.png"} <= drawn
    texts = Reading((run.directory / "report.html").read_text()).texts
    for wanted in ("Winner and baselines", "The winner on test pictures", "How to use it", "Candidates",
                   "What the words mean", "Drawn at random."):  # fmt: skip
        assert wanted in texts
    assert any(text.startswith("GeNet's binary strings") for text in texts)
    assert [text for text in texts if text.startswith("The winner") and "the reference by hand: " in text]
    assert [text for text in texts if text.startswith("On 360 test images: accuracy ")]
    for folder in ("best", "reference", "random_search"):  # without its answers, a report is what is left
        (run.directory / folder / "answers.npz").unlink()
    run.plot()
    assert "mistakes.png" not in {path.name for path in (run.directory / "plots").iterdir()}
    assert "is missing" in (run.directory / "report.html").read_text()
