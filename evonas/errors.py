"""Errors that a user can mend. The command line prints them as one line and exits with `exit_code`."""

INTERRUPTED = 130  # the exit code after Ctrl-C or SIGTERM


class Interrupted(KeyboardInterrupt):
    """Somebody wants the search to end: Ctrl-C or SIGTERM, and nothing that an evaluation raised by itself."""


class UserError(ValueError):
    """Wrong use: a setting, code, file or data set that cannot be used as given. The message says what to do."""

    exit_code = 2


class RunError(RuntimeError):
    """A run that failed on its way (a full disk, ...). What it had computed is kept; the message says how to go on."""

    exit_code = 1
