"""What lies in a run's directory may be damaged or forged: it is refused in a sentence, and nothing of it is run.

Seeded campaigns; the slow ones are the same over many more inputs.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from damage import damaged, forged, signed
from PIL import Image

import evonas
from evonas.commands.main import cli
from evonas.data.given import write_own_data
from evonas.data.sources import Source, load
from evonas.errors import RunError, UserError
from evonas.genomes.genet import DIGITS
from evonas.model.source import source
from evonas.model.trained import TrainedNetwork
from evonas.reports.status import lines, status
from evonas.reports.tables import csv_text, fact_lines, individual_lines, network_rows, summary_rows, top
from evonas.run.store import Run
from evonas.support.files import as_json, checksum
from evonas.support.streams import stream
from evonas.systems import registry

TINY = {"population": 2, "epochs": 1, "final.epochs": 1}
REFUSED = (UserError, RunError)
MANY = pytest.param(5_000, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run on digits."""
    folder = tmp_path_factory.mktemp("run") / "run"
    evonas.search("genet", "digits", budget=3, baseline=False, settings=TINY, workers=1, out=folder, progress=False)
    return folder


@pytest.fixture
def copy(run, tmp_path):
    shutil.copytree(run, tmp_path / "copy")
    return tmp_path / "copy"


def refusal(call, *arguments):
    """What is said where a call is refused; empty where it is not."""
    try:
        call(*arguments)
    except REFUSED as error:
        return str(error) or "nothing"
    return ""


def looked_at(folder):
    """All that a user sees of a run without resuming it."""
    run = Run.open(folder)
    list(lines(run, status(run)))
    list(fact_lines(run))
    summary_rows(run.summary, run.config.objectives)
    network_rows(top(run, 5), run.config.objectives)
    csv_text(run.rows())
    if run.records():
        list(individual_lines(run[0]))
        list(individual_lines(run.best))
    len(run.front)


@pytest.mark.parametrize("count", [150, MANY])
def test_a_forged_journal_is_refused_or_read(copy, count):
    path, rng, read = copy / "journal.jsonl", stream(0, "journals"), 0
    events = [json.loads(line) for line in path.read_text().splitlines()]
    for event in events:
        del event["check"]
    for _ in range(count):
        path.write_text(signed(forged(events, rng)))
        said = refusal(looked_at, copy)
        assert said != "nothing"
        read += not said
    assert 0 < read < count


@pytest.mark.parametrize("count", [150, MANY])
def test_a_damaged_journal_is_refused_or_read_up_to_its_torn_line(copy, count):
    path, rng = copy / "journal.jsonl", stream(0, "damage")
    whole = path.read_bytes()
    for _ in range(count):
        path.write_bytes(damaged(whole, rng))
        said = refusal(looked_at, copy)
        assert not said or "journal.jsonl" in said or "no network has been evaluated" in said


def prepared(folder):
    """As far as a resumed run goes before it evaluates anything."""
    problem, rng = Run.open(folder).problem, stream(0, "prepared")
    problem.make(problem.tools(rng), rng)


@pytest.mark.parametrize("name", ["config.json", "summary.json"])
@pytest.mark.parametrize("count", [200, MANY])
def test_a_forged_config_or_summary_is_refused_or_read(copy, name, count):
    path, rng, refused = copy / name, stream(0, name), 0
    before = json.loads(path.read_text())
    for _ in range(count):
        path.write_text(json.dumps(forged(before, rng)))
        said = refusal(looked_at, copy) or refusal(prepared, copy)
        assert said != "nothing"
        refused += bool(said)
    assert refused > count / 20


@pytest.mark.parametrize("count", [60, pytest.param(1000, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])])
def test_a_forged_journal_is_replayed_or_refused(tmp_path, count):
    """Of a cheap search, which is resumed for each."""

    def resumed():
        return evonas.search(
            DIGITS, evaluate=sum, budget=4, workers=1, out=tmp_path / "run", resume=True, progress=False
        )

    resumed()
    path, rng = tmp_path / "run" / "journal.jsonl", stream(0, "replay")
    events = [json.loads(line) for line in path.read_text().splitlines()]
    for event in events:
        del event["check"]
    before = resumed().best
    for _ in range(count):
        path.write_text(signed(forged(events, rng)))
        said = refusal(resumed)
        assert said != "nothing"
        if not said:
            assert resumed().best.code.count("-") == before.code.count("-")


def same(now, before):
    """Whether damage has changed nothing, or only white space."""
    return now == before or json.loads(now) == json.loads(before)


@pytest.mark.parametrize("count", [200, MANY])
def test_a_damaged_trained_folder_is_refused(copy, count):
    rng = stream(0, "folders")
    files = ["training.json", "graph.json", "preprocessing.json", "weights.safetensors"]
    for _ in range(count):
        path = copy / "best" / rng.choice(files)
        before = path.read_bytes()
        now = damaged(before, rng)
        path.write_bytes(now)
        said = refusal(lambda: TrainedNetwork.open(copy / "best").network())
        assert path.name in said or "best" in said or same(now, before)
        path.write_bytes(before)


def built(folder):
    trained = TrainedNetwork.open(folder)
    compile(source(trained), "network.py", "exec")
    trained.network()


@pytest.mark.parametrize("count", [150, MANY])
def test_a_forged_trained_folder_whose_checksums_are_right_is_refused_or_a_network(copy, count):
    rng, folder = stream(0, "forgeries"), copy / "best"
    facts = json.loads((folder / "training.json").read_text())
    del facts["checksum"]
    for _ in range(count):
        name = rng.choice(["training.json", "graph.json", "preprocessing.json"])
        before = (folder / name).read_bytes()
        now = forged(json.loads(before), rng)
        changed = dict(facts)
        if name == "training.json":
            changed = now
        else:
            (folder / name).write_bytes(as_json(now))
            changed["checksums"] = facts["checksums"] | {name: checksum(as_json(now))}
        if isinstance(changed, dict):
            changed = {key: value for key, value in changed.items() if key != "checksum"}
            changed |= {"checksum": checksum(as_json(changed))}
        (folder / "training.json").write_bytes(as_json(changed))
        assert refusal(built, folder) != "nothing"
        (folder / name).write_bytes(before)


INJECTED = '''3"""; import pathlib; pathlib.Path("pwned").touch(); """'''


def test_nothing_of_a_forged_run_is_run_by_looking_or_exporting(copy, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    Path("evil.py").write_text('import pathlib\npathlib.Path("pwned").touch()\nclass Space: pass\n')
    config = json.loads((copy / "config.json").read_text())
    forgeries = [{"system": "evil.py:Space"}, {"system": "evil:Space"}, {"strategy": "evil.py:Space"},
                 {"task": "evil:Space", "data": {}}]  # fmt: skip
    commands = ["show", "status", "plot", "export"]
    for changes in forgeries:
        (copy / "config.json").write_text(json.dumps(config | changes))
        for command in commands:
            extra = ["--to", f"out-{command}-{forgeries.index(changes)}"] if command == "export" else []
            done = CliRunner().invoke(cli, [command, str(copy), *extra])
            assert done.exit_code == 0, (command, changes, done.exception)
        done = CliRunner().invoke(cli, ["show", str(copy), "0"])
        assert done.exit_code == 0
        with pytest.raises(UserError, match=r"evil.*which is code and is only run where you say so: add --trust"):
            evonas.open_run(copy).problem  # noqa: B018
        with pytest.raises(UserError, match="add --trust"):
            evonas.train(copy, 0)
    assert not Path("pwned").exists()
    with pytest.raises(UserError, match="Space"):
        evonas.open_run(copy, trust=True).problem  # noqa: B018
    assert Path("pwned").exists()


@pytest.mark.parametrize("place", ["input_shape", "channels", "name", "kind", "classes", "mean", "code"])
def test_text_in_a_forged_network_never_becomes_source(copy, place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = copy / "best"
    graph, facts, before = (
        json.loads((folder / f"{name}.json").read_text()) for name in ("graph", "training", "preprocessing")
    )
    match place:
        case "input_shape":
            graph["input_shape"] = [INJECTED, 8, 8]
        case "channels":
            next(op for node in graph["nodes"] for op in node["operations"] if "channels" in op)["channels"] = INJECTED
        case "name":
            graph["nodes"][0]["name"] = INJECTED
        case "kind":
            graph["nodes"][0]["operations"] = [{"kind": INJECTED, "recorded": {}}]
        case "classes":
            before["classes"][0] = INJECTED
        case "mean":
            before["mean"] = [INJECTED]
        case "code":
            facts["code"] = INJECTED
    for name, data in (("graph.json", graph), ("preprocessing.json", before)):
        (folder / name).write_bytes(as_json(data))
        facts["checksums"][name] = checksum(as_json(data))
    del facts["checksum"]
    (folder / "training.json").write_bytes(as_json(facts | {"checksum": checksum(as_json(facts))}))
    done = CliRunner().invoke(cli, ["export", str(folder), "--to", "out"])
    assert not Path("pwned").exists()
    assert (done.exit_code == 0) == (place in ("classes", "code"))
    assert done.exit_code == 0 or isinstance(done.exception, REFUSED)


def test_an_individual_that_is_no_number_writes_nothing_elsewhere(copy):
    events = [json.loads(line) for line in (copy / "journal.jsonl").read_text().splitlines()]
    for event in events:
        del event["check"]
        if event["id"] == 0:
            event["id"] = "../../../x"
    (copy / "journal.jsonl").write_text(signed(events))
    with pytest.raises(UserError, match=r"journal\.jsonl, line 2 cannot be read .*id"):
        evonas.open_run(copy).records()


# ---- Checkpoints ----


class Stop(Exception):
    pass


def test_a_damaged_checkpoint_is_refused_with_the_way_on_and_a_whole_one_goes_on(copy):
    def stop(row):
        raise Stop

    with pytest.raises(Stop):
        evonas.train(copy, 0, epochs=2, on_epoch=stop)
    path, rng = copy / "trained" / "0" / "checkpoint", stream(0, "checkpoints")
    whole = path.read_bytes()
    for _ in range(40):
        path.write_bytes(damaged(whole, rng))
        if path.read_bytes() != whole:
            with pytest.raises(RunError, match=r"checkpoint is damaged: .*; delete it to begin this training anew"):
                evonas.train(copy, 0, epochs=2, resume=True)
    path.write_bytes(whole)
    rows = []
    assert evonas.train(copy, 0, epochs=2, resume=True, on_epoch=rows.append).facts["epochs"] == 2
    assert [row.epoch for row in rows] == [1, 2]


# ---- Data ----


@pytest.mark.parametrize("count", [150, MANY])
def test_a_damaged_npz_is_refused_or_read(tmp_path, count):
    rng, path = stream(0, "npz"), tmp_path / "data.npz"
    x, y = np.arange(40 * 36, dtype=np.uint8).reshape(40, 6, 6), np.arange(40) % 2
    np.savez(path, x_train=x[:30], y_train=y[:30], x_test=x[30:], y_test=y[30:], classes=["a", "b"])
    whole = path.read_bytes()
    for _ in range(count):
        path.write_bytes(damaged(whole, rng))
        load.cache_clear()
        said = refusal(load, Source(str(path)))
        assert not said or str(path) in said


@pytest.mark.parametrize("count", [60, MANY])
def test_arrays_of_any_kind_are_refused_or_read(tmp_path, count):
    rng = stream(0, "arrays")
    kinds = ["uint8", "int64", "float16", "float64", "complex64", "bool", "U3", "S2", "datetime64[s]", "object", ">f4"]
    for _ in range(count):
        shape = tuple(rng.choice([0, 1, 2, 3, 4, 5, 12, 20]) for _ in range(rng.randrange(6)))
        numbers = np.random.default_rng(rng.randrange(2**32)).integers(rng.choice([-5, 0]), 300, shape)
        with np.errstate(all="ignore"):
            x = numbers.astype(rng.choice(kinds))
        y = np.array([rng.choice([0, 1, 2, -1, 0.5, "a"]) for _ in range(rng.choice([0, 1, 12, 20, *shape[:1]]))])
        given = rng.choice([(x, y), (x, y, x, y), (x, list(y)), (list(x) if x.ndim else x, y)])
        load.cache_clear()
        said = refusal(write_own_data, given, tmp_path / "data.npz") or refusal(
            load, Source(str(tmp_path / "data.npz"))
        )
        assert said != "nothing"


@pytest.mark.parametrize("count", [40, pytest.param(2000, marks=pytest.mark.slow)])
def test_folders_of_anything_are_refused_or_read(tmp_path, count):
    rng = stream(0, "trees")
    names = ["a", "b", "train", "Test", "val", ".git", "__MACOSX", "é", "x.png", "y.PNG", "z.gif", "notes.txt",
             "\udce9.png", "[red].png", "n" * 250]  # fmt: skip
    picture = tmp_path / "picture.png"
    Image.new("RGB", (4, 4)).save(picture)
    contents = [picture.read_bytes()] * 6 + [b"", damaged(picture.read_bytes(), rng)]
    for number in range(count):
        top = tmp_path / str(number)
        top.mkdir()
        places = [top]
        for _ in range(rng.randrange(40)):
            path = rng.choice(places) / rng.choice(names)
            if path.exists() or path.is_symlink():
                continue
            if path.suffix:
                path.write_bytes(rng.choice(contents)) if rng.random() < 0.9 else path.symlink_to(rng.choice(places))
            elif rng.random() < 0.1:
                path.symlink_to(rng.choice([top, tmp_path, Path("/nowhere"), path]))
            else:
                path.mkdir()
                places.append(path)
        assert refusal(load, Source(str(top))) != "nothing"
        shutil.rmtree(top)


# ---- Settings ----


@pytest.mark.parametrize("count", [300, MANY])
def test_settings_of_any_value_are_refused_or_make_a_search(count):
    rng, made = stream(0, "settings"), 0
    values = [
        "0",
        "1",
        "-1",
        "3",
        "1e999",
        "nan",
        "inf",
        "-inf",
        "1,2",
        ",",
        "",
        "true",
        "x",
        "²",
        "9" * 30,
        "0.5",
        "1_0",
    ]
    systems = list(registry.systems())
    for _ in range(count):
        system = registry.system(rng.choice(systems))
        setup = registry.setup(system, next(iter(system.presets)))
        name = rng.choice([*setup.settings(), "x", "population"])
        value = rng.choice([*values, -1, 0, 2, 0.5, float("nan"), float("inf"), None, True, [1], [], np.int64(2), {}])
        said = refusal(lambda: setup.having({name: value}).strategy)  # noqa: B023
        assert said != "nothing"
        made += not said
    assert 0 < made < count
