"""The kernel of a notebook, where this process is one."""

from __future__ import annotations

import sys
from typing import Any


def shell() -> Any:
    """IPython's shell in the kernel of a notebook; None elsewhere. A kernel has loaded IPython before anything else."""
    ipython = sys.modules.get("IPython")
    found = None if ipython is None else ipython.get_ipython()
    return found if hasattr(found, "kernel") else None


class Area:
    """A place below a cell that is shown anew, and not appended to. It is where the first `show` was called."""

    def __init__(self) -> None:
        self.handle: Any = None

    def show(self, html: str, text: str) -> None:
        """The contents, and what stands for them where no HTML is shown."""
        contents = {"text/html": html, "text/plain": text}
        if self.handle is None:
            from IPython.display import display

            self.handle = display(contents, raw=True, display_id=True)
        else:
            self.handle.update(contents, raw=True)
