"""Fuzz the readers for as long as told: ``make fuzz`` (MINUTES=10 to choose).

With atheris where it is installed, guided by coverage; else with the tests' own mutations, again and again. A finding
ends the run with the input that made it. What reached new code is kept in ``.fuzz/``, for the next run to start from.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
KEPT = ROOT / ".fuzz"
TARGETS = ("lines", "item", "feed", "answer")
#: Larger inputs take long and find no more; hostile sizes are in tests/fuzz/hostile.py.
LONGEST = 4096
#: Memory in MB, and seconds, that one input may take.
MEMORY, PATIENCE = 2048, 60


def guided(target: str, seconds: int) -> None:
    """Fuzz one target. Does not return: libFuzzer ends the process, in failure after a finding."""
    import atheris

    with atheris.instrument_imports(include=["calhub"]):
        from tests.fuzz import seeds, targets
    folder = KEPT / target
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds.ANSWERS if target == "answer" else seeds.ITEMS):
        (folder / f"seed-{number}").write_bytes(seed)
    words = KEPT / "words"
    quoted = ("".join(f"\\x{byte:02x}" for byte in word) for word in seeds.WORDS)
    words.write_text("".join(f'"{word}"\n' for word in quoted))
    options = [f"-max_total_time={seconds}", f"-max_len={LONGEST}", f"-rss_limit_mb={MEMORY}", f"-timeout={PATIENCE}"]
    options += [f"-dict={words}", f"-artifact_prefix={KEPT}/{target}-", str(folder)]
    atheris.Setup([sys.argv[0], *options], targets.TARGETS[target])
    atheris.Fuzz()


def run(minutes: float) -> int:
    """All targets, one after the other; the exit code of the first that fails."""
    if importlib.util.find_spec("atheris") is None:
        command, end = [sys.executable, "-m", "pytest", "tests/fuzz/test_mutations.py"], time.monotonic() + minutes * 60
        while time.monotonic() < end:
            if code := subprocess.run(command, cwd=ROOT, check=False).returncode:
                return code
        return 0
    share = str(minutes / len(TARGETS))
    commands = ([sys.executable, "-m", "scripts.fuzz", "--target", each, "--minutes", share] for each in TARGETS)
    codes = (subprocess.run(command, cwd=ROOT, check=False).returncode for command in commands)
    return next(filter(None, codes), 0)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--target", choices=TARGETS)
    options = parser.parse_args()
    if options.target:
        guided(options.target, max(1, int(options.minutes * 60)))
    return run(options.minutes)


if __name__ == "__main__":
    sys.exit(main())
