"""A Slurm of one node on this machine, with daemons, ports, key and folders of its own; for tests, by the superuser."""

import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "scontrol")
CPUS = 16  # more than there may be: the jobs of tests wait for each other else

CONFIG = """
ClusterName=evonas
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=15
CredType=cred/munge
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2,sched_min_interval=0,batch_sched_delay=0
ReturnToService=2
SlurmdParameters=config_overrides
KillWait=10
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=16000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def why_not():
    """Why there can be none here; empty: there can."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        return f"Slurm is not installed: there is no {', '.join(missing)}"
    return "" if os.geteuid() == 0 else "needs the superuser"


class OneNode:
    """Runs from `start` to `end`. Commands of Slurm find it by `environment`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {"SLURM_CONF": str(folder / "slurm.conf")}
        self.daemons: list[subprocess.Popen] = []

    def start(self) -> None:
        host = socket.gethostname().split(".")[0]
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        config = self.folder / "slurm.conf"
        config.write_text(CONFIG.format(host=host, folder=self.folder, ports=free_ports(2), cpus=CPUS))
        munge = [f"--{name}={self.folder}/munge{ending}" for name, ending in (
            ("socket", ".socket"), ("key-file", ".key"), ("pid-file", "d.pid"), ("seed-file", "d.seed"))]  # fmt: skip
        self._begin("munged", "--foreground", "--force", *munge)
        self._wait(lambda: (self.folder / "munge.socket").exists(), "munged")
        self._begin("slurmctld", "-D", "-f", str(config))
        self._begin("slurmd", "-D", "-f", str(config), "-N", host)
        self._wait(lambda: self.ask("sinfo", "-h", "-o", "%T", check=False).strip() == "idle", "a node that is idle")

    def end(self) -> None:
        """Cancel all jobs, and end the daemons."""
        self.ask("scancel", "--user=root", check=False)
        with suppress(AssertionError):  # what does not end by itself ends with slurmd
            self._wait(lambda: not self.jobs(), "the end of all jobs")
        for daemon in reversed(self.daemons):
            daemon.terminate()
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        for number in steps_of(self.folder):
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)

    def ask(self, *command: str, check: bool = True) -> str:
        done = subprocess.run(command, env=os.environ | self.environment, check=False, capture_output=True, text=True)
        assert done.returncode == 0 or not check, done.stderr
        return done.stdout

    def jobs(self, states: str = "PENDING,CONFIGURING,RUNNING,COMPLETING,SUSPENDED") -> dict[str, str]:
        """The state of each job in one of these states, by its id."""
        lines = self.ask("squeue", "-h", "-t", states, "-o", "%i|%T", check=False).splitlines()
        return dict(line.split("|") for line in lines)

    def _begin(self, *command: str) -> None:
        with open(self.folder / f"{command[0]}.out", "wb") as out:
            self.daemons.append(subprocess.Popen(
                command, env=os.environ | self.environment, stdout=out, stderr=out, start_new_session=True
            ))  # fmt: skip

    def _wait(self, condition, what: str) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            logs = {path.name: path.read_text(errors="replace")[-2000:] for path in self.folder.glob("*.log")}
            assert time.monotonic() < deadline, f"{what} did not come: {logs}"
            time.sleep(0.2)


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def steps_of(folder: Path) -> list[int]:
    """Daemons of jobs that are left of a Slurm in a folder."""
    mark = f"SLURM_CONF={folder}/slurm.conf".encode()
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):  # it has ended
            if entry.name.isdigit() and mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return [number for number in found if number != os.getpid()]
