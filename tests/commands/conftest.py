"""What the tests of commands have in common."""

import subprocess
import sys

import pytest

from evonas.commands.main import main


@pytest.fixture
def in_process(monkeypatch, capsys):
    """Run a command in this process, since another one takes seconds to start; its exit code, and what it prints."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["evonas", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as leaving:
            code = leaving.code
        printed = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, code, printed.out, printed.err)

    return run
