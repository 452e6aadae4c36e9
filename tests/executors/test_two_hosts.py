"""SCOOP over two hosts: network namespaces of this machine, joined by a virtual cable, and a stand-in for ssh that runs
its command in the other one. Needs the superuser and iproute2."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from clusters import begin, processes_of, told, wait_for

NEAR, FAR = "evonas-near", "evonas-far"
ADDRESSES = {NEAR: "10.213.7.1", FAR: "10.213.7.2"}
SSH = f"""#!{sys.executable}
import os, sys

words = [word for word in sys.argv[1:] if not word.startswith("-")]
NEAR = {NEAR!r}
names = {{address: name for name, address in {ADDRESSES!r}.items()}}
os.execvp("ip", ["ip", "netns", "exec", names.get(words[0], NEAR), "bash", "-c", " ".join(words[1:])])
"""
SEARCH = ["search", "genet", "--data", "digits", "--out", "run", "--executor"]
SMALL = ["--no-baseline", "--set", "population=4", "generations=2", "final.epochs=1"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0 or shutil.which("ip") is None, reason="needs the superuser and iproute2"),
]


def ip(*words, check=True):
    subprocess.run(["ip", *words], check=check, capture_output=True)


@pytest.fixture
def hosts(tmp_path):
    """The arguments by which a search in NEAR has a worker there and one in FAR."""
    for name in ADDRESSES:
        ip("netns", "del", name, check=False)  # of a test that was killed
    try:
        for name in ADDRESSES:
            ip("netns", "add", name)
        ip("link", "add", "evonas0", "netns", NEAR, "type", "veth", "peer", "name", "evonas0", "netns", FAR)
        for name, address in ADDRESSES.items():
            ip("-n", name, "addr", "add", f"{address}/24", "dev", "evonas0")
            for device in ("lo", "evonas0"):
                ip("-n", name, "link", "set", device, "up")
        (tmp_path / "ssh").write_text(SSH)
        (tmp_path / "ssh").chmod(0o755)
        (tmp_path / "hosts.txt").write_text("".join(f"{address} 1\n" for address in ADDRESSES.values()))
        yield ["scoop", "--hostfile", "hosts.txt", "--ssh", str(tmp_path / "ssh")]
    finally:
        for number in processes_of(tmp_path):
            os.kill(number, 9)
        for name in ADDRESSES:
            ip("netns", "del", name, check=False)


def searched(folder, *arguments, within=()):
    return begin([*within, sys.executable, "-m", "evonas", *arguments], folder)


def namespaces_of(processes):
    """Which of the two hosts processes run on."""
    files = {os.stat(f"/run/netns/{name}").st_ino: name for name in ADDRESSES}
    found = set()
    for number in processes:
        try:
            found.add(files.get(os.stat(f"/proc/{number}/ns/net").st_ino))
        except OSError:  # it has ended
            continue
    return found


def workers_of(folder):
    return {event["worker"] for event in told(folder).values()} - {None}  # what is used again has none


def test_a_search_over_two_hosts_is_the_same_as_on_one(hosts, tmp_path):
    process = searched(tmp_path, *SEARCH, *hosts, *SMALL, "epochs=1", within=("ip", "netns", "exec", NEAR))
    printed, _ = process.communicate(timeout=200)
    assert process.returncode == 0, printed
    assert wait_for(lambda: not processes_of(tmp_path), 10), "processes were left behind"
    assert len(workers_of(tmp_path)) == 2
    here = tmp_path / "here"
    here.mkdir()
    process = searched(here, *SEARCH, "serial", *SMALL, "epochs=1")
    printed, _ = process.communicate(timeout=200)
    assert process.returncode == 0, printed

    def search(folder):
        events = [json.loads(line) for line in (folder / "run/journal.jsonl").read_text().splitlines()]
        asked = [(each["id"], each["genome"], each["parents"]) for each in events if each["event"] == "asked"]
        return asked, {number: (event["values"], event["curve"]) for number, event in told(folder).items()}

    assert search(tmp_path) == search(here)


@pytest.mark.timeout(600)
def test_a_cut_cable_costs_the_search_a_worker_and_no_result(hosts, tmp_path):
    process = searched(tmp_path, *SEARCH, *hosts, *SMALL, "epochs=15", within=("ip", "netns", "exec", NEAR))
    assert wait_for(lambda: len(told(tmp_path)) >= 2, 120)
    assert namespaces_of(processes_of(tmp_path)) == {NEAR, FAR}
    ip("-n", FAR, "link", "set", "evonas0", "down")
    printed, _ = process.communicate(timeout=400)
    assert process.returncode == 0, printed
    found = told(tmp_path)
    assert sorted(found) == list(range(len(found)))
    assert not [event for event in found.values() if event["status"] == "failed"]
    assert (tmp_path / "run/summary.json").exists()
