import errno
import json
import os

import pytest

from evonas.errors import RunError
from evonas.run.journal import Journal, JournalError, read
from evonas.support.schema import VERSION

SPACE = {"name": "test", "stages": [3]}


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def journal(path, space=SPACE):
    return Journal(path, space, clock=Clock())


def asked(number):
    return {"event": "asked", "id": number, "genome": [0, 1], "code": "01", "parents": [], "operator": "random",
            "phase": "search", "role": None, "generation": None, "key": "k#0"}  # fmt: skip


def told(number, value):
    return {"event": "told", "id": number, "values": [value], "status": "full", "cost": {"epochs": 0, "seconds": 0.0},
            "reused": False, "curve": [], "measures": {}, "error": None, "worker": None}  # fmt: skip


@pytest.fixture
def written(tmp_path):
    """A journal of a head and three evaluations: seven lines."""
    book = journal(tmp_path / "journal.jsonl")
    for number in range(3):
        book.append(asked(number))
        book.append(told(number, number / 3))
    book.close()
    return tmp_path / "journal.jsonl"


def lines(path):
    return path.read_text().splitlines(keepends=True)


def test_every_line_has_event_and_id_and_the_first_carries_schema_and_space(written):
    events = [json.loads(line) for line in lines(written)]
    assert all("event" in event and "id" in event for event in events)
    assert (events[0]["schema"], events[0]["space"]) == (VERSION, SPACE)


def test_what_was_written_is_read(written):
    events = journal(written).events
    assert [event["event"] for _, event in events] == ["run"] + ["asked", "told"] * 3
    assert events[-1][1]["values"] == [2 / 3]
    assert [number for number, _ in events] == list(range(1, 8))


@pytest.mark.parametrize("cut", [1, 2, 10, 40])
def test_a_torn_last_line_is_read_past_and_written_over(written, cut):
    whole = lines(written)
    os.truncate(written, written.stat().st_size - cut)
    book = journal(written)
    assert len(book.events) == 6
    book.append(told(2, 0.5))
    book.close()
    assert lines(written)[:6] == whole[:6]
    assert len(read(written, SPACE)[0]) == 7


def test_a_torn_line_that_ends_in_a_newline_is_read_past_too(written):
    with written.open("a") as file:
        file.write('{"event": "told", "id\n')
    assert len(journal(written).events) == 7


def test_a_journal_torn_in_its_first_line_begins_anew(tmp_path):
    path = tmp_path / "journal.jsonl"
    path.write_text('{"event": "run", "id"')
    journal(path).close()
    assert json.loads(path.read_text())["schema"] == VERSION


@pytest.mark.parametrize("place", range(1, 7))
def test_a_changed_line_is_refused_and_named(written, place):
    all_lines = lines(written)
    all_lines[place] = all_lines[place].replace('"id": ', '"id": 1')
    written.write_text("".join(all_lines))
    with pytest.raises(JournalError, match=f"line {place + 1}: changed after it was written"):
        journal(written)


def test_a_removed_line_is_refused_where_the_gap_is(written):
    all_lines = lines(written)
    written.write_text("".join(all_lines[:3] + all_lines[4:]))
    with pytest.raises(JournalError, match=r"line 4: .*lines are missing before it"):
        journal(written)


def test_a_line_that_is_not_json_is_refused(written):
    all_lines = lines(written)
    all_lines[2] = "nonsense\n"
    written.write_text("".join(all_lines))
    with pytest.raises(JournalError, match="line 3: it is not an event of a journal"):
        journal(written)


@pytest.mark.parametrize("line", ["[1, 2]\n", '"text"\n', '{"id": 1}\n', "3\n"])
def test_json_that_is_no_event_is_refused(written, line):
    all_lines = lines(written)
    all_lines[2] = line
    written.write_text("".join(all_lines))
    with pytest.raises(JournalError, match="line 3: it is not an event of a journal"):
        journal(written)


def test_another_schema_version_is_refused(written):
    written.write_text(written.read_text().replace(f'"schema": {VERSION}', '"schema": 99'))
    with pytest.raises(JournalError, match=f"line 1: schema version 99; this evonas reads version {VERSION}"):
        journal(written)


def test_a_journal_of_another_space_is_refused(written):
    with pytest.raises(JournalError, match="line 1: the journal is of another space"):
        journal(written, SPACE | {"stages": [4]})


def test_a_file_that_is_no_journal_is_refused(tmp_path):
    path = tmp_path / "journal.jsonl"
    path.write_text('{"event": "told", "id": 0}\n')
    with pytest.raises(JournalError, match="line 1: the first line is not the head"):
        journal(path)


def test_kinds_of_events_that_a_reader_does_not_know_are_skipped(written):
    book = journal(written)
    book.append({"event": "weather", "id": 0, "sun": True})
    book.append(asked(3))
    book.close()
    all_lines = lines(written)
    all_lines.insert(3, '{"event": "note", "id": 1, "text": "by hand"}\n')  # another tool's, without a checksum
    written.write_text("".join(all_lines))
    assert [event["event"] for _, event in journal(written).events] == ["run"] + ["asked", "told"] * 3 + ["asked"]


def test_run_time_goes_on_where_it_stopped(tmp_path):
    clock = Clock()
    clock.now = 100.0
    book = Journal(tmp_path / "j", SPACE, clock=clock)
    clock.now = 130.0
    book.append(asked(0))
    book.close()
    clock.now = 1000.0
    book = Journal(tmp_path / "j", SPACE, clock=clock)
    clock.now = 1002.0
    assert book.seconds == pytest.approx(32.0)


def test_a_full_disk_loses_nothing_that_was_written(written, monkeypatch):
    book = journal(written)
    before = written.read_bytes()
    real_write = os.write

    def full(file, data):
        if len(data) > 20:
            return real_write(file, data[:20])  # takes a part first, as a disk does
        raise OSError(errno.ENOSPC, "No space left on device")

    def fuller(file, data):
        if written.stat().st_size > len(before):
            raise OSError(errno.ENOSPC, "No space left on device")
        return full(file, data)

    monkeypatch.setattr(os, "write", fuller)
    with pytest.raises(RunError, match="No space left on device; everything told so far is kept: make room"):
        book.append(asked(3))
    monkeypatch.undo()
    assert written.read_bytes() == before
    book.append(asked(3))
    assert len(read(written, SPACE)[0]) == 8


def test_a_journal_that_cannot_be_opened_for_writing_is_an_error(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(RunError, match="cannot write"):
        Journal(tmp_path / "missing" / "journal.jsonl", SPACE, clock=Clock())


def test_a_journal_says_when_a_run_was_taken_up_again_before_its_end(written):
    clock = Clock()
    again = Journal(written, SPACE, clock=clock)
    clock.now = 7.0
    again.resume()
    again.append({"event": "finished", "id": "run"})
    again.close()
    ended = journal(written)
    ended.resume()  # nothing is said where it had ended
    ended.close()
    found = [json.loads(line) for line in lines(written)][7:]
    assert [(event["event"], event["t"]) for event in found] == [("resumed", 7.0), ("finished", 7.0)]
    fresh = journal(written.with_name("fresh.jsonl"))
    fresh.resume()  # nor where it begins
    fresh.close()
    assert len(lines(written.with_name("fresh.jsonl"))) == 1
