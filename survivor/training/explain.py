"""``survivor explain``: run a script up to its first backward pass and show the plan; nothing is trained or saved."""

from __future__ import annotations

import linecache
import os
import re
import sys
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from survivor.checkpoint.snapshot import Blob, Snapshot
from survivor.errors import SurvivorError
from survivor.state.encode import Encoder
from survivor.training import program
from survivor.training.capture import capture
from survivor.training.engine import Engine
from survivor.training.plan import described
from survivor.training.records import Record
from survivor.training.settings import Settings
from survivor.training.sites import Site

_FIRST_NAME = re.compile(r"[^.\[#]*")
_MIB = 1 << 20
_KIB = 1 << 10
_EXCERPT_LINES = 4
#: Values that are there in every script and tell nothing.
_SILENT = ("function", "class", "remade", "torch", "dtype")


class _Terminal:
    """An engine's link that only shows: nothing is stored."""

    def save(self, snapshot: Snapshot, *, final: bool, needed: bool = False) -> None:
        """Nothing is saved."""

    def leave(self) -> NoReturn:
        """End."""
        sys.stdout.flush()
        os._exit(0)

    def refuse(self, error: SurvivorError) -> NoReturn:
        """Show why the script can't be run under survivor."""
        print(f"survivor: error: {error}\nsurvivor: {error.advice}", file=sys.stderr, flush=True)
        os._exit(error.exit_code)

    def settled(self) -> None:
        """Nothing is copied."""

    def beat(self, now_s: float) -> None:
        """Nobody listens."""

    def note(self, text: str) -> None:
        """Show a line."""
        print(f"survivor: {text}", file=sys.stderr)

    warn = note


def main(arguments: list[str]) -> None:
    """Explain the script ``arguments[1]`` (``arguments[0]`` is ``script`` or ``module``) with its arguments."""
    kind, target, *rest = arguments
    root = program.user_root(target if kind == "script" else "")
    program.set_path(root)
    sys.argv = [target, *rest]
    engine = Engine(_Terminal(), Settings(), root)
    engine.install_import_hook()
    engine.begin(None)
    engine.first_training = lambda frame: show(engine, frame)
    found = program.find_module(target) if kind == "module" else program.find_script(target)
    module = program.make_main(found)
    sys.argv[0] = found.argv0
    code = engine.compile(found.source, found.filename, "__main__")
    exec(code, module.__dict__)  # noqa: S102
    _show_nothing(engine)


def _show_nothing(engine: Engine) -> None:
    print("\nNo backward pass and no optimizer step ran, and no loop for more than some seconds.")
    by_name = [site for site in engine.sites if site.hinted and site.entries]
    if by_name:
        print("Checkpoints are made in loops that may train by the names of what they call:")
        for site in by_name:
            print(f"  {site}")
    else:
        print("survivor.loop(iterable) marks the loop that trains: for epoch in survivor.loop(range(10))")


def show(engine: Engine, frame: FrameType) -> None:
    """Print the plan, as of the first backward pass, and end the process."""
    chain = engine.hooks.chain(frame)
    if not chain:
        print("\nThe script trains outside of any loop: it can't be resumed before it ends.")
        engine.link.leave()
    encoder = Encoder(engine.scope, engine.settings.ignore, engine.ignored)
    taken = capture(encoder, chain[-1], chain, engine.tracked)
    print()
    _show_loops(chain)
    _show_carried(taken.level.document, taken.level.blobs)
    _show_left(taken.level.document, [described(*each, engine.scope.files, chain[-1].site) for each in taken.opaque])
    engine.link.leave()


def _show_loops(chain: list[Record]) -> None:
    print("Watched loops, outermost first:")
    for depth, record in enumerate(chain):
        site = record.site
        line = linecache.getline(site.filename, site.first_line).strip()
        place = f"{Path(site.filename).name}:{site.first_line}"
        here = "   # checkpoints are made here" if record is chain[-1] else ""
        print(f"  {place:<20} {'    ' * depth}{line}{here}")
    _show_body(chain[-1].site, "    " * len(chain))
    print()


def _show_body(site: Site, indent: str) -> None:
    last = min(site.last_line, site.first_line + _EXCERPT_LINES)
    for number in range(site.first_line + 1, last + 1):
        print(f"  {'':<20} {indent}{linecache.getline(site.filename, number).strip()}")
    if site.last_line > last:
        print(f"  {'':<20} {indent}...  (to line {site.last_line})")


def _show_carried(document: dict[str, Any], blobs: dict[str, Blob]) -> None:
    rows = []
    for place, name, reference in _variables(document):
        kind = _kind(reference, document["nodes"])
        if kind not in _SILENT and kind != "opaque":
            rows.append((name, kind, _size(name, blobs), place))
    print(f"Carried: {len(rows)} variables, {_text(sum(b.data.nbytes for b in blobs.values()))} of tensors and arrays")
    for name, kind, size, place in sorted(rows, key=lambda row: -row[2])[:40]:
        print(f"  {name:<24} {kind:<28} {_text(size):>10}  {place}")
    print("  random number generators of Python, NumPy and torch; positions of the data loaders\n")


def _show_left(document: dict[str, Any], opaque: list[str]) -> None:
    remade = [
        f"{name} ({_type_of(ref, document['nodes'])})"
        for _, name, ref in _variables(document)
        if _kind(ref, document["nodes"]) == "remade"
    ]
    if remade:
        print("Made again by running the script's beginning: " + ", ".join(remade) + "\n")
    if not opaque:
        print("Nothing that is held across iterations is left out.")
        return
    print("NOT carried (a run stops here unless told otherwise):")
    for text in opaque:
        print(f"  {text}")
    print("  Give the class state_dict and load_state_dict and name the object with survivor.track(name=object);")
    print("  or, if re-running the script makes it again as it was: survivor.ignore(object), or --ignore NAME.")


def _variables(document: dict[str, Any]) -> list[tuple[str, str, Any]]:
    found = [(entry["module"], name, ref) for entry in document["modules"] for name, ref in entry["variables"]]
    found += [(entry["function"], name, ref) for entry in document["frames"] for name, ref in entry["variables"]]
    return found


def _kind(reference: Any, nodes: list[Any]) -> str:
    if not isinstance(reference, list):
        return "value"
    node = nodes[reference[0]]
    if node[0] in ("object", "tensor", "array") and node[1]:
        return str(node[1]).replace(":", ".")
    return str(node[0])


def _type_of(reference: Any, nodes: list[Any]) -> str:
    return str(nodes[reference[0]][1])


def _size(variable: str, blobs: dict[str, Blob]) -> int:
    """Bytes of the blobs that were first reached through a variable."""
    return sum(blob.data.nbytes for name, blob in blobs.items() if _FIRST_NAME.findall(name)[0] == variable)


def _text(size_bytes: int) -> str:
    if size_bytes >= _MIB:
        return f"{size_bytes / _MIB:.1f} MiB"
    return f"{size_bytes / _KIB:.1f} KiB" if size_bytes else "-"


if __name__ == "__main__":
    _keep = sys.modules["__main__"]  # the script replaces it, and a module that is collected clears its globals
    main(sys.argv[1:])
