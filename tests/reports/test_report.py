import base64
import io
import os
import subprocess
import sys
from html.parser import HTMLParser

from matplotlib.figure import Figure
from matplotlib.image import imread

import evonas
from evonas.genomes.genet import DIGITS
from evonas.reports.page import page
from evonas.reports.pictures import png

VOID = {"meta", "link", "img"}


class Reading(HTMLParser):
    """What a browser would see: tags with their attributes, and texts. Every tag is closed in its place."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self.unclosed = [], [], []
        self.feed(text)
        self.close()
        assert not self.unclosed

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.unclosed.append(tag)

    def handle_endtag(self, tag):
        assert self.unclosed.pop() == tag

    def handle_data(self, data):
        self.texts += [data.strip()] if data.strip() else []

    def all(self, name):
        return [attributes for tag, attributes in self.tags if tag == name]


def picture():
    figure = Figure(figsize=(7, 1), dpi=100)
    figure.add_subplot()
    return png(figure)


def written(**others):
    parts = {"title": "a run", "facts": {"data": "digits"}, "summary": [{"network": "winner"}], "top": [{"id": "#7"}],
             "pictures": {"history": picture()}, "captions": {"history": "how it went"}, "missing": {}}  # fmt: skip
    return page(**parts | others)


def test_page_holds_what_it_is_given_in_order():
    texts = Reading(written()).texts
    wanted = ["a run", "data", "digits", "network", "winner", "id", "#7", "History", "how it went"]
    places = [len(texts) - 1 - texts[::-1].index(text) for text in wanted]
    assert places == sorted(places)


def test_page_runs_nothing_and_asks_for_nothing():
    reading = Reading(written())
    assert not {"script", "iframe", "object", "embed"} & {tag for tag, _ in reading.tags}
    addresses = [value for _, attributes in reading.tags for key, value in attributes.items() if key in ("src", "href")]
    assert len(addresses) == 2  # the picture, and the icon that keeps a browser from asking for one
    assert all(address.startswith("data:") for address in addresses)
    assert "url(" not in written()
    assert "@import" not in written()


def test_everything_is_escaped():
    evil = '<script>alert("1")</script>&\''
    row = [{evil: evil}]
    text = written(
        title=evil, facts={evil: evil}, summary=row, top=row, pictures={evil: picture()}, captions={evil: evil}
    )
    assert "<script" not in text
    assert Reading(text).texts.count(evil) == 2 + 2 + 2 * 2 + 2  # title and heading, fact, tables, figure
    (image,) = Reading(text).all("img")
    assert image["alt"] == evil


def test_an_empty_table_is_left_out():
    assert len(Reading(written()).all("table")) == 2
    assert len(Reading(written(top=[])).all("table")) == 1
    assert Reading(written(top=[], summary=[], facts={})).all("table") == []


def test_a_cell_that_a_row_does_not_name_is_empty():
    text = written(
        summary=[{"network": "winner", "test": "97 %"}, {"network": "reference", "validation": "98 %"}], top=[]
    )
    assert len(Reading(text).all("th")) == 3
    assert len(Reading(text).all("td")) == 6
    assert "<td>reference</td><td></td><td>98 %</td>" in text


def test_pictures_are_fine_enough_for_print_and_shown_in_their_own_size():
    (image,) = Reading(written()).all("img")
    assert (image["width"], image["height"]) == ("672", "96")
    data = base64.b64decode(image["src"].removeprefix("data:image/png;base64,"))
    assert imread(io.BytesIO(data)).shape[:2] == (150, 1050)


def test_every_picture_has_an_alternative_text():
    pictures = {"history": picture(), "front": picture()}
    alternatives = [image["alt"] for image in Reading(written(pictures=pictures)).all("img")]
    assert alternatives == ["how it went", "front"]


def test_the_page_says_which_picture_is_missing_and_why():
    texts = Reading(written(missing={"front": "ValueError: <no> front"})).texts
    assert texts[-2:] == ["Front", "This picture could not be drawn: ValueError: <no> front"]


def test_a_picture_that_fails_costs_itself_alone(tmp_path, monkeypatch):
    def fails(records, **others):
        raise ZeroDivisionError("nothing to divide by")

    run = evonas.search(DIGITS, evaluate=sum, budget=3, workers=1, out=tmp_path / "run", progress=False)
    whole = {path.name for path in run.plot()}
    monkeypatch.setattr("evonas.plots.history", fails)
    assert whole - {path.name for path in run.plot()} == {"history.png"}
    assert not (run.directory / "plots" / "history.png").exists()
    assert "could not be drawn: ZeroDivisionError: nothing to divide by" in (run.directory / "report.html").read_text()


def test_a_function_without_learning_curves_has_no_picture_of_them(tmp_path):
    run = evonas.search(DIGITS, evaluate=sum, budget=3, workers=1, out=tmp_path / "run", progress=False)
    assert "curves.png" not in {path.name for path in (run.directory / "plots").iterdir()}
    assert "Curves" not in Reading((run.directory / "report.html").read_text()).texts


def test_a_run_is_reported_whatever_its_name(tmp_path):
    name = os.fsdecode(b"r$^$\xe9 \xff")
    run = evonas.search(DIGITS, evaluate=sum, budget=3, workers=1, out=tmp_path / name, progress=False)
    report = (run.directory / "report.html").read_text(encoding="utf-8")
    assert "could not be drawn" not in report
    assert evonas.open_run(tmp_path / name).best.code == run.best.code


def test_loading_the_report_loads_no_torch():
    code = "import sys, evonas.reports.page; sys.exit('torch' in sys.modules or 'matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
