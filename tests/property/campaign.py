"""Makes random programs, kills and resumes each, and stops at the first that does not go on as it was.

::

    python tests/property/campaign.py --seconds 600 --first 5000   # other programs, for longer
    python tests/property/campaign.py --seed 5017                  # that program again, at every kill point
    python tests/property/campaign.py --file program.py            # a program of yours, at every kill point
"""

from __future__ import annotations

import argparse
import gc
import random
import sys
import time
from pathlib import Path

import generator
import harness
import pieces


def campaign(first: int, seconds: float, *, keep_going: bool = False) -> int:
    """Try the programs of the seeds from ``first`` on; returns how many failed."""
    start, seed, cases, skipped, failures = time.monotonic(), first, 0, 0, 0
    while time.monotonic() - start < seconds:
        source = generator.generate(seed)
        try:
            count, failure = harness.check(source, random.Random(seed))
        except harness.NotLegal as error:
            count, failure = 0, None
            skipped += 1
            print(f"seed {seed}: left out, it fails by itself: {str(error).splitlines()[-1]}", flush=True)
        cases += count
        if failure is not None:
            failures += 1
            show(f"seed {seed}", failure, whole=not keep_going)
            if not keep_going:
                break
        seed += 1
    print(
        f"seeds {first} to {seed}: {cases} resumed sessions of {seed - first - skipped} programs "
        f"in {time.monotonic() - start:.0f} s; {failures} failed, {skipped} left out"
    )
    return failures


def every_kill(name: str, source: str) -> int:
    """Kill a program at each of its events; returns 1 if a resumed session failed."""
    count, failure = harness.check(source, random.Random(0), chains=harness.MOST_EVENTS, sessions=3)
    if failure is not None:
        show(name, failure, whole=True)
    print(f"{name}: {count} resumed sessions, {'one failed' if failure else 'all equal'}")
    return failure is not None


def show(name: str, failure: harness.Failure, *, whole: bool) -> None:
    """Print a failure; with ``whole`` its program too."""
    print(f"==== {name}: {failure}", flush=True)
    if whole:
        for number, line in enumerate(failure.source.splitlines(), 1):
            print(f"{number:4} {line}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first", type=int, default=0, help="seed of the first program")
    parser.add_argument("--seconds", type=float, default=60, help="how long to go on")
    parser.add_argument("--keep-going", action="store_true", help="list all failures, without their programs")
    parser.add_argument("--everything", action="store_true", help="also what survivor is known to refuse or to get wrong")
    parser.add_argument("--seed", type=int, help="one program")
    parser.add_argument("--print", action="store_true", help="print the program of --seed, and do nothing")
    parser.add_argument("--file", type=Path, help="a program from a file")
    options = parser.parse_args()
    if not options.everything:
        pieces.leave_out(pieces.REFUSED)
    gc.collect()
    gc.freeze()
    if options.print:
        print(generator.generate(options.seed))
        return 0
    if options.seed is not None:
        return every_kill(f"seed {options.seed}", generator.generate(options.seed))
    if options.file is not None:
        return every_kill(options.file.name, options.file.read_text())
    return campaign(options.first, options.seconds, keep_going=options.keep_going)


if __name__ == "__main__":
    sys.exit(bool(main()))
