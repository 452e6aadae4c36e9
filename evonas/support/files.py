"""Files that are whole or absent: each is written beside its name and then put in its place at once."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from evonas.errors import RunError, UserError


def write_json(path: Path, data: Any) -> None:
    write_text(path, json.dumps(data, indent=2) + "\n")


def write_text(path: Path, text: str) -> None:
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Replace a file at once. Raises RunError when it cannot be written, as on a full disk."""
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(data)
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise RunError(f"cannot write {path}: {error.strerror}; make room or give permission, then resume") from error


def read_json(path: Path) -> Any:
    """Raises UserError where the file cannot be read, FileNotFoundError where there is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise
    except NotADirectoryError as error:
        raise FileNotFoundError(*error.args) from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        raise UserError(f"{path} cannot be read ({error}); put the original back") from None
