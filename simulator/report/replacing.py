"""Files that appear whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


@contextmanager
def replacing(path: str | Path) -> Iterator[TextIO]:
    """Open a new text file beside `path` that takes its place when the block ends well and vanishes when it does not.

    A link keeps pointing where it pointed; a device or a pipe is written as it is, for nothing may take its place.
    Raises OSError where the directory is absent or not writable, or where `path` is a directory.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        with path.open("w", encoding="utf-8", newline="\n") as file:
            yield file
        return
    path = path.resolve()
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8", newline="\n") as file:
            yield file
        temporary.replace(path)
    except BaseException:  # an interrupt must leave no half-written file either
        temporary.unlink(missing_ok=True)
        raise
