"""``python tests/proof/mutants/run_all.py [NAME …]``: the table of mutants; a survivor is printed in capitals."""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
from mutating import OF_UNSEEDED, Bench

if __name__ == "__main__":
    bench, unseeded = Bench.of("everything"), Bench.of("unseeded", seed=3)
    names = sys.argv[1:] or [None, *bench.names()]
    for name in names:
        begin = time.monotonic()
        try:
            found = (unseeded if name in OF_UNSEEDED else bench).try_out(name)
        except Exception as error:  # a mutant may break more than it means to
            found = f"error: {type(error).__name__}: {error}"
        print(f"{name or '(none)':28} {found or ('equal' if name is None else 'NOT FOUND')}  [{time.monotonic() - begin:.0f} s]", flush=True)
