"""A search whose tracker's process is killed: killed.py DIR TRACKER CALL N, at the N-th call of this method of it."""

import os
import signal
import sys

import evonas
from evonas.genomes.genet import DIGITS
from evonas.tracking.named import made


def main(out, name, call, number):
    ((_, tracker),) = made([name])
    kind, calls = type(tracker), []
    method = getattr(kind, call)

    def counted(self, *args):
        calls.append(args)
        if len(calls) == int(number):
            os.kill(os.getpid(), signal.SIGKILL)
        return method(self, *args)

    setattr(kind, call, counted)
    evonas.search(DIGITS, evaluate=sum, budget=6, settings={"population": 3}, workers=1, out=out, track=name,
                  progress=False, report=False)  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
