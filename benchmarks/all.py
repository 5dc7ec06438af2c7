"""Run the benchmarks whose results stand in docs/performance.md, one after another, and bring that page up to date.

    python benchmarks/all.py [--only NAME ...] [--small]

About twenty minutes on two idle cores. A benchmark that fails is named at the end; the others' results are kept.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

from measure import HERE, PAGE

#: The quick ones first. Those of reliability (crash states, chaos, fuzzing) are run by themselves.
NAMES = "startup restore delta memory pause durable growth work_lost loader_skip overhead verify goodput".split()


def main() -> None:
    """Run them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--small", action="store_true", help="the smallest forms; the page stays as it is")
    options = parser.parse_args()
    extra = ["--small"] if options.small else ["--out", str(PAGE.parent / "charts")]
    failed = []
    for name in options.only:
        begin = time.monotonic()
        code = subprocess.run([sys.executable, str(HERE / f"{name}.py"), *extra], check=False).returncode
        print(f"\n[{name}: {time.monotonic() - begin:.0f} s, exit code {code}]\n", flush=True)
        if code:
            failed.append(name)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
