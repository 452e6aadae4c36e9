"""To do what is left of a run, and to end it so that it can be resumed."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Any

from evonas.errors import Interrupted, RunError, UserError
from evonas.executors import Equipment, open_executor
from evonas.reports.progress import Progress, Silent, Terminal
from evonas.run.journal import Journal
from evonas.run.session import Session
from evonas.run.store import Run
from evonas.run.tracked import Tracked
from evonas.support.kernel import shell
from evonas.tracking.named import made
from evonas.tracking.tracker import Tracker

# What ends a search, to be resumed; the last is what `sbatch --signal=USR1` sends ahead of the limit of a job's time.
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


def go_on(
    run: Run,
    executor: Executor | None = None,
    *,
    progress: bool = True,
    since: float | None = None,
    report: bool = True,
    trackers: Sequence[Tracker] = (),
) -> Run:
    """Do what is left of a run, with progress in the terminal or notebook. SIGTERM counts as Ctrl-C, and so does
    SIGUSR1 where the script has no handler of its own.

    executor   the script's own, where the run was begun with one; None: the one of the config
    since      when it was asked for (time.monotonic), from which its time counts; None: now
    report     draw its pictures and its report at the end
    trackers   the script's own, beside those that the config names
    """
    main = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in ENDING if main}
    for number, handler in before.items():
        own = number == signal.SIGUSR1 and handler is not signal.SIG_DFL
        if handler is not signal.SIG_IGN and not own:  # ignored, as a shell has it for what runs in its background
            signal.signal(number, _interrupt)
    try:
        with _observer(run, progress) as observer:
            carry_out(run, observer, executor, since=since, report=report, trackers=trackers)
    except KeyboardInterrupt:
        run.interrupted = True
    except RunError as error:
        how = "run the script again with resume=True" if run.config.by_script else f"evonas resume {run.directory}"
        raise RunError(f"{error} ({how})") from error
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return run


def carry_out(
    run: Run,
    observer: Any,
    executor: Executor | None = None,
    *,
    clock: Callable[[], float] = time.monotonic,
    since: float | None = None,
    report: bool = True,
    trackers: Sequence[Tracker] = (),
) -> dict[str, Any]:
    """Search, random search, final trainings of the winner, the reference and the best of random search; the summary.

    What the journal holds is replayed, and what is left is done. Raises JournalError, RunError; on KeyboardInterrupt
    workers are ended and the run can be resumed.
    """
    config, own = run.config, executor is not None
    missing = [name for name in config.by_script if getattr(run.brought, name) is None]
    if missing:
        raise UserError(f"{run.directory} was begun by a script with its own {' and '.join(missing)}; run the script "
                        "again with resume=True")  # fmt: skip
    following = [*made(config.track), *((type(each).__name__, each) for each in trackers)]
    journal = Journal(run.journal_path, run.space.to_json(), clock=clock, since=since)
    tracked: Tracked | None = None
    summary: dict[str, Any] | None = None
    try:
        run.write_config()  # only who holds the journal says how the run goes on
        journal.resume()
        if b'"event": "told"' in journal.torn:
            observer.warn("the last line of the journal was damaged, and with it a result: that evaluation is repeated")
        if executor is None:
            equipment = Equipment(config.threads, config.device)
            executor = open_executor(
                config.executor, config.workers, equipment, directory=run.directory,
                scheduler=config.scheduler, slurm=config.slurm, say=observer.note,
            )  # fmt: skip
        tracked = Tracked(observer, following, run, journal)
        summary = Session(run, journal, executor, tracked, report).go()
        if not own:
            executor.shutdown()
        return summary
    except BaseException:  # Ctrl-C too: workers end at once, then it goes on upwards
        if executor is not None and not own:
            executor.shutdown(wait=False)
        raise
    finally:
        if tracked is not None:
            tracked.ended(summary)
        journal.close()


def _observer(run: Run, progress: bool) -> Silent | Progress:
    if not progress:
        return Silent()
    if shell() is None:
        return Terminal(run)
    from evonas.reports.notebook import Notebook  # and matplotlib

    return Notebook(run)


def _interrupt(number: int, frame: Any) -> None:
    raise Interrupted
