"""What workers need beside a candidate, and have not got: files, each known by the checksum of its content."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Self

from evonas.errors import RunError
from evonas.evaluation.store import WeightsLost, stored

LACKS = "lacks"  # the kind of a failure of a worker that has not got a parcel


@dataclass(frozen=True)
class Parcel:
    """A file that workers read and keep. One that cannot read it, as on a host with another disk, says so by a failure
    of the kind `LACKS`, and is sent the content, once.

    what     it is, in words
    file     where it lies
    name     the checksum of its content: equal for equal parcels
    content  of the file, for a worker that has not got it
    """

    what: ClassVar[str]

    file: Path
    name: str
    content: bytes | None = field(default=None, compare=False, repr=False, kw_only=True)

    def fetched(self) -> bytes:
        """The content. Raises WeightsLost where this process cannot have it."""
        return self.content or stored(self.file, self.name)

    def whole(self) -> Self:
        """With its content. Raises RunError where it is lost."""
        try:
            return replace(self, content=self.fetched())
        except WeightsLost as lost:
            raise RunError(f"the {self.what} of this run is lost: {lost}; put {self.file} back, or begin anew with "
                           "another one") from None  # fmt: skip


def facts_in(content: bytes) -> dict[str, Any]:
    """What a file of safetensors says of what it holds, as this package writes it. Raises WeightsLost where it says
    nothing."""
    size = int.from_bytes(content[:8], "little")
    try:
        return json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["evonas"])
    except (ValueError, KeyError, TypeError) as error:
        raise WeightsLost(f"it is none of evonas's files ({type(error).__name__})") from None
