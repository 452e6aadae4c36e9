"""Starting a framework that starts the workers, SCOOP or MPI, around the command line; and its true end.

SCOOP's exit code is 0 whatever happens, and a signal to its launcher leaves the workers behind. So the framework runs
in a process group of its own; the root writes down its process and, at the end, its exit code; signals go to the root,
which ends the run in order; and what is left of the group after that is ended.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from evonas.errors import INTERRUPTED, UserError
from evonas.executors import started_workers
from evonas.support.files import read_json, write_json

REPORT = "EVONAS_REPORT"  # the file in which the root reports
ORDERLY_S = 3.0  # for a root to end in order after a signal, and for a framework after its root
POLL_S = 0.1

# By these SCOOP would find out that it is in a batch job, and ask the job for hosts in place of ours.
ASKED = ("SLURM_NODELIST", "PBS_ENVIRONMENT", "PE_HOSTFILE")

_NAME = (
    r"[\w.@-]+|[0-9A-Fa-f.]*:[0-9A-Fa-f.]*:[0-9A-Fa-f.:]*"  # of a host, or its address in IPv6, which has two colons
)
_COUNT = "([1-9][0-9]{0,5})"
_HOST = re.compile(rf"({_NAME})(?::{_COUNT}|\s+(?:slots=)?{_COUNT})?")


def to_be_launched(executor: str | None) -> bool:
    """Whether this process has to start the framework, and is not yet inside it."""
    return executor in ("scoop", "mpi") and started_workers(executor) is None


def launch(
    executor: str,
    root: str,
    arguments: Sequence[str],
    *,
    workers: int,
    hostfile: Path | None = None,
    ssh: str = "ssh",
) -> int:
    """Run the module `root` with ARGUMENTS under the framework, with so many computing workers; its exit code.

    hostfile  a host a line, with its number of workers after it; the root runs here
    ssh       the program by which SCOOP reaches other hosts

    Raises UserError where the framework is not installed or the file is not there.
    """
    hosts = [] if hostfile is None else read_hosts(hostfile)
    with tempfile.TemporaryDirectory(prefix="evonas-") as folder:
        command = [*_framework(executor, root, workers, hosts, Path(folder) / "hosts", ssh), *arguments]
        report = Path(folder) / "report.json"
        environment = {name: value for name, value in os.environ.items() if executor != "scoop" or name not in ASKED}
        environment |= {REPORT: str(report)}
        process = subprocess.Popen(command, env=environment, start_new_session=True)
        return _Supervision(process, report).to_the_end()


def read_hosts(hostfile: Path) -> list[tuple[str, int]]:
    """Hosts with their numbers of workers: one a line, as `node1 4`, or as MPI has it, `node1:4` and `node1 slots=4`;
    without a number: 1. A byte order mark is skipped.

    Raises UserError where the file cannot be read so.
    """
    try:
        lines = hostfile.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise UserError(f"cannot read the hostfile {hostfile}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"the hostfile {hostfile} is no text in UTF-8; save it as such, or as plain ASCII") from None
    hosts = []
    for number, line in enumerate(lines, 1):
        if not (text := line.partition("#")[0].strip()):
            continue
        if "[" in text:
            raise UserError(f"{hostfile}, line {number}: {text!r} stands for several hosts; write them one a line, as "
                            f"`scontrol show hostnames '{text.split()[0]}'` prints them")  # fmt: skip
        found = _HOST.fullmatch(text)
        if found is None:
            raise UserError(f"{hostfile}, line {number}: {text!r} is no host with its workers; write 'node1 4', or "
                            "'node1:4'")  # fmt: skip
        hosts.append((found[1], int(found[2] or found[3] or 1)))
    if not hosts:
        raise UserError(f"{hostfile} names no host; write one a line, with its number of workers after it")
    return hosts


def _framework(
    executor: str, root: str, workers: int, hosts: list[tuple[str, int]], hostfile: Path, ssh: str
) -> list[str]:
    """The command that starts the root here and the workers on the hosts, or here too."""
    between = " " if executor == "scoop" else ":"
    if hosts:
        lines = [f"{host}{between}{count}" for host, count in [("127.0.0.1", 1), *hosts]]
        hostfile.write_text("\n".join(lines) + "\n", encoding="utf-8")
    if executor == "scoop":
        others = [host for host, _ in hosts if host not in ("localhost", "127.0.0.1", socket.gethostname())]
        # without other hosts SCOOP knows all by the address 127.0.0.1, which is that of our own door then too
        there = ["--hostfile", str(hostfile), "--ssh-executable", ssh] if others else []
        if others and _only_local(socket.gethostname()):  # SCOOP would hand that name to the others
            there += ["--external-hostname", _address_facing(others[0])]
        found = importlib.util.find_spec(root)
        assert found is not None, "it is a module of evonas"
        return [sys.executable, "-m", "scoop", "-q", *there, "-n", str(workers + 1), str(found.origin)]
    if importlib.util.find_spec("mpi4py") is None:
        raise UserError("mpi4py is not installed; `pip install 'evonas[mpi]'`")
    beside = Path(sys.executable).with_name("mpiexec")
    mpiexec = str(beside) if beside.exists() else shutil.which("mpiexec")
    if mpiexec is None:
        raise UserError("there is no mpiexec; load your cluster's MPI, or `pip install mpich`")
    there = [mpiexec, *(["-f", str(hostfile)] * bool(hosts)), "-n", str(workers + 1)]
    return [*there, sys.executable, "-m", "mpi4py.futures", "-m", root]


def _only_local(host: str) -> bool:
    """Whether a name stands for nothing that other hosts could reach."""
    try:
        return all(address.startswith("127.") for address in socket.gethostbyname_ex(host)[2])
    except OSError:
        return True


def _address_facing(host: str) -> str:
    """The address of this host that the other one sees; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as towards:
        try:
            towards.connect((host, 9))
        except OSError:  # a name that only ssh knows
            return socket.getfqdn()
        return towards.getsockname()[0]


class _Supervision:
    """From the start of a framework until nothing of it is left."""

    def __init__(self, process: subprocess.Popen, report: Path) -> None:
        self.process, self.report = process, report
        self.signalled_at: float | None = None

    def to_the_end(self) -> int:
        before = {number: signal.signal(number, self._pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            while self.process.poll() is None and self._reported("exit") is None and not self._overstayed():
                time.sleep(POLL_S)
            deadline = time.monotonic() + ORDERLY_S
            while self.process.poll() is None and time.monotonic() < deadline and self.signalled_at is None:
                time.sleep(POLL_S)
        finally:
            self._sweep()
            for number, handler in before.items():
                signal.signal(number, handler)
        code = self._reported("exit")
        if code is None:
            return INTERRUPTED if self.signalled_at is not None else 1
        return code

    def _pass_on(self, number: int, frame: Any) -> None:
        self.signalled_at = self.signalled_at or time.monotonic()
        root = self._reported("process")
        if root is not None:
            with suppress(ProcessLookupError):  # it has ended just now
                os.kill(root, signal.SIGINT)

    def _overstayed(self) -> bool:
        return self.signalled_at is not None and time.monotonic() - self.signalled_at > ORDERLY_S

    def _reported(self, what: str) -> int | None:
        return read_json(self.report).get(what) if self.report.exists() else None

    def _sweep(self) -> None:
        """End what is left of the group; workers on other hosts end with their connection to the root."""
        with suppress(ProcessLookupError):  # nothing is left
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def as_root(main: Callable[[], None]) -> None:
    """A command line as the root of a framework: reports its process and how it ended."""
    report = Path(os.environ[REPORT])
    write_json(report, {"process": os.getpid()})
    code: Any = 1
    try:
        main()
        code = 0
    except SystemExit as ended:  # for SCOOP it would be an exception, and its exit code 0 all the same
        code = ended.code or 0
    finally:
        sys.stdout.flush()
        write_json(report, {"process": os.getpid(), "exit": code})
