"""Files that are whole or absent: each is written beside its name and then put in its place at once."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any, NoReturn

from evonas.errors import RunError, UserError

SHOWN = 80  # letters of a path in a message


def as_json(data: Any) -> bytes:
    """As `write_json` writes it."""
    return (json.dumps(data, indent=2) + "\n").encode()


def write_json(path: Path, data: Any) -> None:
    write_bytes(path, as_json(data))


def write_text(path: Path, text: str) -> None:
    """In UTF-8; of a name that is none, the bytes are written as escapes."""
    write_bytes(path, text.encode(errors="backslashreplace"))


def write_bytes(path: Path, data: bytes) -> None:
    """Replace a file at once. Raises RunError when it cannot be written, as on a full disk."""
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(data)
        os.replace(partial, path)
    except OSError as error:
        with suppress(OSError):  # a disk that nothing can be written on keeps nothing either
            partial.unlink(missing_ok=True)
        raise RunError(f"cannot write {path}: {error.strerror}; make room or give permission, then resume") from error


def read_bytes(path: Path) -> bytes:
    """Raises UserError where the file cannot be read, FileNotFoundError where there is none."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise
    except NotADirectoryError as error:
        raise FileNotFoundError(*error.args) from None
    except (OSError, ValueError) as error:  # no permission, a directory, a name that is too long or holds a null
        raise UserError(f"cannot read {path}: {getattr(error, 'strerror', error)}") from None


def read_json(path: Path) -> Any:
    """Raises UserError where the file cannot be read, FileNotFoundError where there is none."""
    return json_of(read_bytes(path), path)


def json_of(data: bytes, path: Path) -> Any:
    """What a file holds, without NaN and infinities, which JSON does not have. Raises UserError where it is damaged."""
    try:
        return json.loads(data.decode(), parse_constant=_refused)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read ({error}); put the original back") from None


def _refused(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def checksum(data: bytes) -> str:
    """32 hex digits that are others when a byte is another."""
    return blake2b(data, digest_size=16).hexdigest()


def place(text: str | Path) -> Path:
    """The path that a user means, `~` expanded. Raises UserError for what can be the path of no file."""
    try:
        path = Path(text).expanduser()
        with suppress(FileNotFoundError, NotADirectoryError):  # what is to be made, or is missed where it is read
            path.stat()
    except (OSError, ValueError, RuntimeError) as error:  # too long a name, a null, a user who is not known
        shown = str(text) if len(str(text)) < SHOWN else f"{str(text)[:SHOWN]}..."
        raise UserError(f"{shown!r} cannot be the path of a file: {getattr(error, 'strerror', error)}") from None
    return path
