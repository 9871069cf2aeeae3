"""A small disk, to be filled."""

from __future__ import annotations

import gc
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A file system of its own in ``folder``, which is made. Skips the test where mounting is not allowed."""
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root may mount a file system")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting is not allowed here")
    gc.disable()  # nobody tidies up what is left open: the disk is busy then
    try:
        yield folder
        subprocess.run(["umount", folder], check=True)
    finally:
        gc.enable()


def fill_up(file: Path) -> None:
    """Write to the file until the disk takes no more."""
    with file.open("wb", buffering=0) as open_file, suppress(OSError):
        while True:
            open_file.write(b"x" * 1000)
