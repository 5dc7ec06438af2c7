"""What survivor tells the user of its plan: what is not carried, and why a safe point is long in coming."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from survivor.errors import NotResumableError

if TYPE_CHECKING:
    from survivor.training.engine import Link, Settings

_PATIENCE_S = 120.0


class Plan:
    """What the user has chosen, applied to what was found."""

    def __init__(self, settings: Settings, link: Link) -> None:
        self._settings = settings
        self._link = link

    def check(self, opaque: list[tuple[str, Any]]) -> None:
        """Stop, or warn, where an object that the script holds across iterations can't be carried.

        Raises:
            NotResumableError: it can't be, and the user has not allowed a partial checkpoint.
        """
        if not opaque:
            return
        named = [f"{path} ({type(value).__module__}.{type(value).__qualname__})" for path, value in opaque[:8]]
        listed = "; ".join(named)
        if self._settings.allow_partial:
            self._link.warn(f"not carried, as allowed: {listed}")
            return
        raise NotResumableError(
            f"can't carry what this script holds across iterations: {listed}",
            advice="give the class state_dict and load_state_dict, or, if re-running the script makes it again as it "
            "was, name it: --ignore NAME; --allow-partial goes on with all of them",
        )

    def postponed(self, why: str, *, since: float) -> None:
        """No checkpoint was possible at a head although one is due since so many seconds."""
        if since > _PATIENCE_S:
            self._link.warn(f"no safe point for {_PATIENCE_S:.0f} s: {why}")
