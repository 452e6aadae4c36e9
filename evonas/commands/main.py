"""The command line as a whole: its commands, its exit codes, and its messages."""

from __future__ import annotations

import atexit
import errno
import os
import sys
import threading
from importlib import import_module
from typing import Any, NoReturn

import click

from evonas import __version__
from evonas.commands.output import leave
from evonas.errors import INTERRUPTED, RunError, UserError

COMMANDS = (
    "search",
    "resume",
    "worker",
    "status",
    "show",
    "train",
    "widen",
    "deepen",
    "compress",
    "predict",
    "evaluate",
    "export",
    "decode",
    "list",
    "measure",
    "compare",
    "replay",
    "tau",
    "plot",
)
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)  # why standard output may take no more


class Commands(click.Group):
    """Each command stands in the module of its name, which is imported when the command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        return import_module(f"evonas.commands.{name}").command if name in COMMANDS else None


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="evonas")
def cli() -> None:
    """Neural architecture search as evolutionary computation, on DEAP and PyTorch."""


def main() -> None:
    """Run the command line. Exit codes: 0 done, 1 failed on the way, 2 wrong use, 130 interrupted."""
    for stream in filter(None, (sys.stdout, sys.stderr)):  # names may not be of its encoding; None: it is closed
        stream.reconfigure(errors="backslashreplace")
    try:
        cli.main(standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        sys.exit(2)
    except click.ClickException as error:
        leave(error.format_message(), 2 if isinstance(error, click.UsageError) else error.exit_code)
    except (UserError, RunError) as error:
        leave(str(error), error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        leave("interrupted", INTERRUPTED)
    except BrokenPipeError:  # the reader of our output has gone, as `| head` does
        _write_no_more()
    except OSError as error:
        if error.errno not in FULL or error.filename is not None:
            raise
        _write_no_more()
        leave(f"cannot write the output: {error.strerror}; make room, or write it elsewhere", 1)


def begin() -> NoReturn:
    """The command `evonas`: the command line, and then the end of the process, for which Python would wait as long as
    for any thread that a user's own space, task or strategy has left in it."""
    code: Any = 0
    try:
        main()
    except SystemExit as ended:
        code = ended.code or 0
    if any(not thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread()):
        atexit._run_exitfuncs()
        for stream in filter(None, (sys.stdout, sys.stderr)):
            stream.flush()
        os._exit(code)
    sys.exit(code)


def _write_no_more() -> None:
    """What is left for standard output goes nowhere, or Python would try to write it again as it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
