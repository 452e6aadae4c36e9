"""What is read from files is data: it is checked by a schema before it is used, and never run."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from evonas.errors import UserError

VERSION = 3  # of config.json, journal.jsonl and the folders of trained networks

CACHE = "__msgspec_cache__"

T = TypeVar("T")


def checked(data: Any, kind: type[T], where: str, *, strict: bool = True) -> T:
    """Plain data as a value of this kind; not `strict`: texts may stand for numbers. Raises UserError, which says where
    it is not one."""
    try:
        return msgspec.convert(data, kind, strict=strict)
    except (msgspec.ValidationError, ValueError, TypeError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{where} cannot be read ({error}); put the original back") from None
    finally:
        if CACHE in vars(kind):  # what msgspec leaves on a dataclass would not travel to workers with it
            delattr(kind, CACHE)


def check_version(data: Any, where: str) -> None:
    """Raises UserError for what another version of evonas has written."""
    found = data.get("schema") if isinstance(data, dict) else None
    if found != VERSION:
        was = "an earlier evonas, without a version" if found is None else f"version {found!r}"
        raise UserError(
            f"{where} is of {was}; this evonas reads version {VERSION}: go on with the evonas that wrote it"
        )
