"""What Slurm is asked for, by submitit (https://github.com/facebookincubator/submitit) and Slurm's own commands: jobs
that are one worker each, how they stand, and that none of them remains behind the root."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from evonas.errors import Interrupted, UserError
from evonas.executors.rendezvous import FOLDER, NobodyThere, joining
from evonas.executors.serving import RootGone
from evonas.executors.worker import Equipment

# Options of sbatch that make sense for a job of one worker; Slurm judges their values.
OPTIONS = (
    "account", "begin", "comment", "constraint", "cpus-per-gpu", "cpus-per-task", "deadline", "exclude", "exclusive",
    "export", "gpus", "gres", "hint", "job-name", "licenses", "mail-type", "mail-user", "mem", "mem-per-cpu",
    "mem-per-gpu", "nice", "no-requeue", "nodelist", "partition", "priority", "qos", "requeue", "reservation",
    "signal", "threads-per-core", "time", "time-min", "tmp", "wckey",
)  # fmt: skip
FLAGS = ("exclusive", "no-requeue", "requeue")  # those that need no value
GPU_OPTIONS = ("gpus", "gres")
TIMES = ("time", "time-min")
_NEXT = re.compile(rf",(?=[a-z][a-z_-]*=|(?:{'|'.join(FLAGS)})(?:,|$))")  # a comma may be part of a value, too
_TIME = re.compile(r"\d+|\d+:\d\d|\d+:\d\d:\d\d|\d+-\d+(:\d\d(:\d\d)?)?|UNLIMITED|INFINITE")

SIGNAL_S = 60  # before the limit of its time, after which a worker begins nothing new; Slurm may be a minute early
ANSWER_S = 60.0  # for Slurm to say how jobs stand, when it is busy
END_S = 15.0  # for the jobs to be cancelled
QUOTED = 5  # last lines of a log
LIVE = (
    "PENDING", "RUNNING", "CONFIGURING", "COMPLETING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESIZING",
    "RESV_DEL_HOLD", "SIGNALING", "SPECIAL_EXIT", "STAGE_OUT", "STOPPED", "SUSPENDED",
)  # fmt: skip

# Gathers the ids of jobs until the root closes its end, or has been killed. Those that wait are cancelled first: what
# runs ends by itself with its connection.
KEEPER = """
trap '' INT TERM HUP USR1 USR2
ids=
while read -r id; do ids="$ids $id"; done
[ -z "$ids" ] && exit 0
scancel --quiet --state=PENDING $ids
sleep 2
scancel --quiet $ids
"""


def read_options(given: str | Mapping[str, Any] | None) -> dict[str, str]:
    """Options of sbatch by their long names: "partition=gpu,time=2-00:00:00,exclusive", or a mapping. A flag has the
    value "true".

    Raises UserError for one that is not known, or a time that Slurm cannot read.
    """
    if given is None:
        return {}
    pairs: Any = given.items() if isinstance(given, Mapping) else map(_pair, filter(None, _NEXT.split(given)))
    found: dict[str, str] = {}
    for name, value in pairs:
        name = str(name).strip().removeprefix("--").replace("_", "-")
        value = "true" if value is True else str(value).strip()
        if name not in OPTIONS:
            own = " (each job is one worker, and --workers says how many)" * (name in ("nodes", "ntasks", "array"))
            raise UserError(f"{name!r} is no option of sbatch that a worker's job can have{own}; use some of "
                            f"{', '.join(OPTIONS)}")  # fmt: skip
        if not value:
            raise UserError(f"the option {name} of Slurm has no value; write {name}=...")
        if name in TIMES and not _TIME.fullmatch(value):
            raise UserError(f"{name}={value} is no time of Slurm; write minutes, as 90, or 1:30:00, or 2-00:00:00 for "
                            "two days")  # fmt: skip
        found[name] = value
    return found


def require_slurm() -> None:
    """Raises UserError where jobs cannot be submitted."""
    if find_spec("submitit") is None:
        raise UserError("submitit is not installed; `pip install 'evonas[slurm]'`")
    missing = [program for program in ("sbatch", "srun", "squeue", "scancel") if shutil.which(program) is None]
    if missing:
        raise UserError(f"this host has no {' and no '.join(missing)}; start the search on a host from which jobs of "
                        "Slurm are submitted, or use another executor")  # fmt: skip


class SlurmJobs:
    """Jobs of Slurm, each of which joins the run in a directory as a worker. None remains when this process has ended,
    however it does.

    Their logs, and what submitit writes, are in the folder workers/ of the directory.
    """

    def __init__(self, directory: Path, equipment: Equipment, options: Mapping[str, str]) -> None:
        import submitit

        self.directory = directory.resolve()
        wanted = {"job-name": f"evonas-{self.directory.name}", "cpus-per-task": str(equipment.threads)}
        if equipment.device == "cuda" and not any(name in options for name in GPU_OPTIONS):
            wanted["gres"] = "gpu:1"
        wanted |= options
        self._executor = submitit.SlurmExecutor(self.directory / FOLDER)
        self._executor.update_parameters(
            time=None,  # the partition's, and not submitit's five minutes
            wckey=None,
            signal_delay_s=SIGNAL_S,
            srun_args=[
                f"--cpus-per-task={wanted['cpus-per-task']}"
            ],  # from 22.05 on, srun does not take it from sbatch
            additional_parameters={name.replace("-", "_"): value == "true" or value for name, value in wanted.items()},
        )
        self._keeper = subprocess.Popen(["sh", "-c", KEEPER], stdin=subprocess.PIPE, text=True, start_new_session=True)

    def submit(self) -> str:
        """The id of one more job. Raises UserError where Slurm takes none, with its words."""
        from submitit.core.utils import FailedJobError, FailedSubmissionError
        from submitit.helpers import clean_env

        kept = {name: os.environ[name] for name in ("SLURM_CONF",) if name in os.environ}
        try:
            with clean_env():  # the root may be in a job itself, whose size is not that of its workers
                os.environ.update(kept)
                job = self._executor.submit(serve_job, str(self.directory)).job_id
        except (FailedJobError, FailedSubmissionError) as error:
            said = [line for line in str(error).splitlines() if line.startswith("sbatch:")] or str(error).splitlines()
            raise UserError(f"Slurm takes no job: {'; '.join(said)}") from None
        assert self._keeper.stdin is not None, "it is a pipe"
        self._keeper.stdin.write(f"{job}\n")
        self._keeper.stdin.flush()
        return job

    def states(self) -> dict[str, tuple[str, str]] | None:
        """State, and reason where it waits, of each job of this user that Slurm knows of; None: it does not answer."""
        command = ["squeue", "--noheader", "--states=all", f"--user={os.getuid()}", "--format=%i|%T|%r"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_S, check=True)
        except (subprocess.SubprocessError, OSError):  # the controller is restarted, or has much to do
            return None
        rows = [line.split("|", 2) for line in done.stdout.splitlines()]
        return {job: (state, reason) for job, state, reason in rows}

    def words(self, job: str) -> str:
        """What a job has said at last, and where."""
        for kind in ("err", "out"):
            path = self.directory / FOLDER / f"{job}_0_log.{kind}"
            with suppress(FileNotFoundError):
                lines = [line.strip() for line in path.read_text(errors="replace").splitlines() if line.strip()]
                if lines:
                    return f"{path} ends with: {' | '.join(lines[-QUOTED:])}"
        return f"it has left no log in {self.directory / FOLDER}: do the hosts of the jobs see that folder?"

    def end(self) -> None:
        assert self._keeper.stdin is not None, "it is a pipe"
        self._keeper.stdin.close()
        with suppress(subprocess.TimeoutExpired):  # Slurm does not answer: the keeper goes on without us
            self._keeper.wait(END_S)


def serve_job(directory: str) -> None:
    """What each job does. It ends well with the run, and where it starts too late to find it."""
    try:
        serving = joining(Path(directory), os.environ.get("SLURM_JOB_ID"))
        serving.heed_signals()
        serving.serve()
    except (NobodyThere, RootGone) as error:
        print(f"this job has nothing to do: {error}", flush=True)
    except Interrupted:
        print("this job was told to end; its evaluation goes to another worker", flush=True)


def _pair(word: str) -> tuple[str, Any]:
    name, equals, value = word.partition("=")
    return name, value if equals else name in FLAGS or value
