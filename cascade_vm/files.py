"""Writing a file whole or not at all."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path


def write_whole(path: str | os.PathLike[str], content: bytes) -> None:
    """Write ``content`` to ``path``, in place of what is there: a temporary file beside it, flushed to disk, then renamed. Who reads the
    path sees the old file or the new one, whatever happens in between.

    :raises OSError: it cannot be written; what was there is still there.
    """
    target = Path(path)
    if not target.name or target.is_dir():
        raise IsADirectoryError(errno.EISDIR, "cannot write an artifact over a directory", os.fspath(path))
    temporary = target.with_name(f".{target.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
