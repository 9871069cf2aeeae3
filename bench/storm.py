"""``python -m bench.storm FOLDER SIZE CHANGES RATE``: another program that changes files, so many in a second.

It prints how many it really made in a second.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from bench.corpus import samples
from bench.server import titled


def chosen(number: int, size: int) -> int:
    """Which event the change of this number is made to."""
    return number * 7919 % size


def title(number: int) -> str:
    return f"Storm {number}"


def rewrite(path: Path, text: str) -> None:
    """Whole or not at all, as such programs do."""
    partial = path.with_name(f".{path.name}")
    partial.write_bytes(text.encode())
    partial.rename(path)


def main() -> None:
    folder = Path(sys.argv[1])
    size, changes, rate = map(int, sys.argv[2:])
    texts = [(folder / each.file_name, each.text) for each in samples(size)]
    began = time.monotonic()
    for number in range(changes):
        path, text = texts[chosen(number, size)]
        rewrite(path, titled(text, title(number)))
        ahead = began + number / rate - time.monotonic()
        if ahead > 0:
            time.sleep(ahead)
    print(changes / (time.monotonic() - began), flush=True)


if __name__ == "__main__":
    main()
