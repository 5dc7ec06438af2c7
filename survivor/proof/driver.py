"""Runs a function that was pickled for a proof: by itself, or as a survivable one.

``driver.py BUNDLE plain`` and ``driver.py BUNDLE survive STORE EVENTS``; the bundle is a file that `survivor.testing`
has made for this process, and what the function returns is printed as a digest.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any


def main(words: list[str]) -> None:
    """Run it."""
    bundle, mode, *rest = words
    if mode == "survive":  # it is the child that is traced, not this process
        sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__module__ != "sitecustomize"]
    import cloudpickle

    path, main_file, pickled = cloudpickle.loads(Path(bundle).read_bytes())  # made by the process that started us
    sys.path[:] = path
    if mode == "survive":
        sys.modules["__main__"].__file__ = main_file  # whose folder's modules are the user's own
    function = cloudpickle.loads(pickled)
    if mode == "survive":
        from survivor.decorator import survivable

        function = survivable(store=rest[0], job="verify", every=0.0, max_restarts=0)(function)
    value = function()
    print("returned:", _digest(value), flush=True)


def _digest(value: Any) -> str:
    from survivor.proof.tracing.digest import Digests, joined
    from survivor.proof.tracing.frames import Root, Script
    from survivor.proof.tracing.walk import Walker

    walk = Walker(Script([]), Digests("")).walk([Root("value", "value", value)])
    return joined([f"{path}={digest}" for path, digest in walk.leaves.items()])


if __name__ == "__main__":
    main(sys.argv[1:])
