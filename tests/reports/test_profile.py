"""Where the time of a run goes."""

import json

import evonas
from evonas.reports.profile import SECTIONS, inside, steering
from evonas.support.stopwatch import Stopwatch, Unwatched

TINY = {"population": 2, "epochs": 1, "final.epochs": 1, "filters": (4, 4)}


def test_a_watch_counts_one_section_at_a_time():
    now = [0.0]
    waited = []
    watch = Stopwatch(wait=lambda: waited.append(now[0]), clock=lambda: now[0])
    for section, seconds in (("a", 1.0), ("b", 2.0), ("a", 4.0), ("a", 8.0)):
        watch.begin(section)
        now[0] += seconds
    assert watch.stop() == {"a": 13.0, "b": 2.0}
    assert waited == [0.0, 1.0, 3.0, 15.0]  # at the borders, for what a device still had to do
    now[0] += 100.0
    watch.begin("b")
    assert watch.stop()["b"] == 2.0  # nothing counts between a stop and the next section
    assert Unwatched().stop() == {}


def test_a_run_says_where_its_time_went(tmp_path):
    run = evonas.search("genet", "digits", budget=3, settings=TINY, workers=1, out=tmp_path / "run", profile=True,
                        progress=False)  # fmt: skip
    found = json.loads((tmp_path / "run" / "profile.json").read_text())
    assert found["evaluations"] == sum(bool(record.get("profile")) for record in run.records()) >= 3
    assert set(found["seconds"]) == set(SECTIONS)
    assert min(found["seconds"][name] for name in SECTIONS[:3]) > 0
    assert (
        sum(found["seconds"].values()) <= found["total"] * 1.05 + 0.05
    )  # milliseconds are rounded, and a busy machine looks at two clocks
    assert sum(found["seconds"].values()) > 0.9 * found["total"]
    assert set(found["steering"]) == {"other", "strategy", "identity", "journal", "hand out", "waiting"}
    assert 0 < found["utilisation"] <= 1
    assert [row[""] for row in inside(found)] == [*SECTIONS, "not watched"]
    assert sum(float(row["share"].rstrip("%")) for row in steering(found)) > 99


def test_without_being_asked_nothing_is_watched(tmp_path):
    run = evonas.search("genet", "digits", budget=2, settings=TINY, workers=1, out=tmp_path / "run", progress=False)
    assert not any("profile" in record for record in run.records())
    assert not (tmp_path / "run" / "profile.json").exists()


def test_profiling_does_not_change_the_search(tmp_path):
    found = []
    for profile in (False, True):
        run = evonas.search("genet", "digits", budget=3, settings=TINY, workers=1, out=tmp_path / str(profile),
                            profile=profile, progress=False)  # fmt: skip
        found.append([(record["genome"], record["values"]) for record in run.records()])
    assert found[0] == found[1]
