from pathlib import Path

import pytest

import evonas
from evonas.errors import UserError
from evonas.genomes.genet import DIGITS
from evonas.support.files import place, write_text


def test_a_place_may_be_absent_and_begin_at_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert place("~/new/run") == tmp_path / "new" / "run"
    (tmp_path / "file").write_text("")
    assert place(tmp_path / "file" / "under") == tmp_path / "file" / "under"


NO_PLACES = [("a\0b", "null"), ("x" * 300, "too long"), ("~nosuchuser/run", "home directory")]


@pytest.mark.parametrize(("text", "why"), NO_PLACES, ids=["null", "long", "user"])
@pytest.mark.parametrize("use", [
    place,
    evonas.open_run,
    evonas.train,
    lambda text: evonas.search(DIGITS, evaluate=sum, budget=2, out=text, progress=False),
    lambda text: evonas.search("genet", text, budget=2, out="out", progress=False),
    lambda text: evonas.search("genet", "digits", budget=2, out="out", executor="scoop", hostfile=text),
], ids=["place", "open_run", "train", "search out", "search data", "search hostfile"])  # fmt: skip
def test_what_can_be_no_place_is_said_before_anything_is_written(tmp_path, monkeypatch, use, text, why):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=f"cannot be the path of a file: .*{why}"):
        use(text)
    assert not list(Path.cwd().iterdir())


def test_a_name_that_is_no_utf_8_is_written_as_an_escape(tmp_path):
    write_text(tmp_path / "file", "lat\udce9")
    assert (tmp_path / "file").read_text(encoding="utf-8") == r"lat\udce9"
