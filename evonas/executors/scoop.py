"""SCOOP (https://github.com/soravux/scoop, 0.7.2) starts the workers, on one host or by ssh on many; the root steers.

SCOOP sends a task a second time where its worker has been silent for long, loses its broker where an idle worker was
killed, and lets the root compute while others wait (docs/cluster.md). So each of its workers gets one task for the
whole run: to connect to the root and to serve it. The connection tells at once when a worker has died, and a sign of
life every second tells when it hangs.
"""

from __future__ import annotations

import multiprocessing.util
import os
import sys
import threading
from concurrent.futures import BrokenExecutor
from multiprocessing import AuthenticationError

from evonas.errors import UserError
from evonas.executors.door import Door, Remote
from evonas.executors.pool import Gone, PoolWorker
from evonas.executors.serving import Serving
from evonas.executors.wire import SILENCE_S, Address
from evonas.executors.worker import PLAIN, Equipment

START_S = 120.0  # for the first worker to come
SPARE = 4  # invitations for each worker: one that has asked SCOOP for tasks before gets several, and takes the first


def inside_scoop() -> bool:
    """Whether `python -m scoop` runs this process."""
    scoop = sys.modules.get("scoop")
    return scoop is not None and scoop.IS_RUNNING


def require_scoop() -> None:
    """Raises UserError outside of a SCOOP run, and in one without workers."""
    if not inside_scoop():
        raise UserError("no SCOOP run: start the script with 'python -m scoop -n 3 SCRIPT' (two workers)")
    import scoop

    if scoop.SIZE < 2:
        raise UserError("SCOOP has started the root alone; use -n 2 or more, one more than there are to be workers")


def serve_if_worker() -> None:
    """In a worker of SCOOP, work for the root, and never return; elsewhere, do nothing.

    SCOOP imports the script in each of its workers. Where the search has no main guard
    (`if __name__ == "__main__":`), the import comes to it before the worker has asked for its first task.
    """
    if inside_scoop():
        import scoop

        if not scoop.IS_ORIGIN:
            from scoop import futures

            futures._startup(None)  # what SCOOP calls after the import; it hands the worker `serve`


class Scoop(Door):
    """The workers of a SCOOP run, all but the root, where this is. Raises UserError as `require_scoop` does."""

    def __init__(self, equipment: Equipment = PLAIN, *, silence_s: float = SILENCE_S) -> None:
        require_scoop()
        import scoop

        # the address that reaches the root, as SCOOP found it
        super().__init__(equipment, scoop.worker.decode().rpartition(":")[0], silence_s=silence_s)
        self._nobody = threading.Timer(START_S, self._give_up, args=(f"no worker has come within {START_S:g} s",))
        self._nobody.daemon = True
        self._nobody.start()
        for _ in range(SPARE * (scoop.SIZE - 1)):
            scoop.futures.submit(work, self.address, self.key)
        scoop._control.execQueue.flush()  # to the workers, all of them: the root computes nothing

    def came(self, remote: Remote) -> None:
        self._nobody.cancel()

    def left(self, worker: PoolWorker, gone: Gone) -> None:
        if not self._workers and not self._closed:
            self._give_up(f"all workers are gone, at last: {gone}")

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._nobody.cancel()
        super().shutdown(wait)

    def _give_up(self, reason: str) -> None:
        self.abandon(BrokenExecutor(f"{reason}: see what SCOOP's workers have said, and resume"))


def work(address: Address, key: bytes) -> None:
    """What each SCOOP worker does for the whole run. It ends with the connection, and so with the root."""
    try:
        Serving([address], key).serve()
    except (AuthenticationError, OSError, UserError):  # the run has ended; or the root has been told, and says why
        pass
    finally:
        multiprocessing.util._exit_function()  # type: ignore[attr-defined]  # lets go of the locks of its process
        os._exit(0)  # SCOOP's own loop would wait for ever where its broker has gone too
