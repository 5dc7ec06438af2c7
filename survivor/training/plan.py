"""What survivor tells the user of its plan: what is not carried, and why a safe point is long in coming."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from survivor.errors import NotResumableError
from survivor.training.assignments import made_at

if TYPE_CHECKING:
    from survivor.training.settings import Link, Settings
    from survivor.training.sites import Site

_PATIENCE_S = 120.0


def described(path: str, value: Any, files: set[str], site: Site | None = None) -> str:
    """An object that can't be carried: its path, class, and the line that made it."""
    place = made_at(path, files, site)
    if isinstance(value, type):
        return f"{path} (of a class that is made while training: {value.__qualname__})"
    return f"{path} ({type(value).__module__}.{type(value).__qualname__}{', made at ' + place if place else ''})"


class Plan:
    """What the user has chosen, applied to what was found."""

    def __init__(self, settings: Settings, link: Link, files: set[str]) -> None:
        self._settings = settings
        self._link = link
        self._files = files

    def check(self, opaque: list[tuple[str, Any]], site: Site | None = None) -> None:
        """Stop, or warn, where an object that the script holds across iterations can't be carried.

        Raises:
            NotResumableError: it can't be, and the user has not allowed a partial checkpoint.
        """
        if not opaque:
            return
        listed = "; ".join(described(path, value, self._files, site) for path, value in opaque[:8])
        if self._settings.allow_partial:
            self._link.warn(f"not carried, as allowed: {listed}")
            return
        raise NotResumableError(
            f"can't carry what this script holds across iterations: {listed}",
            advice="give the class state_dict and load_state_dict, or, if re-running the script makes it again as it "
            "was, name it: --ignore NAME; --allow-partial goes on with all of them",
        )

    def check_left(self, changed: list[tuple[str, Any]], site: Site) -> None:
        """The same where training has changed what is left to the set-up, which a re-run makes as it was.

        Raises:
            NotResumableError: it has, and the user has not allowed a partial checkpoint.
        """
        if not changed:
            return
        listed = "; ".join(described(path, value, self._files, site) for path, value in changed[:8])
        if self._settings.allow_partial:
            self._link.warn(f"changed while training, and not carried, as allowed: {listed}")
            return
        raise NotResumableError(
            f"can't carry what training has made, exchanged or changed, and a re-run makes as it was before: {listed}",
            advice="name what the training does not depend on: --ignore NAME; --allow-partial goes on with all of them",
        )

    def postponed(self, why: str, *, since: float) -> None:
        """No checkpoint was possible at a head although one is due since so many seconds."""
        if since > _PATIENCE_S:
            self._link.warn(f"no safe point for {_PATIENCE_S:.0f} s: {why}")
