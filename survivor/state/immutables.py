"""Objects of C code that never change and have no place among `survivor.state.atoms`: taken apart and made anew.

A script has them lying about (``eps = torch.finfo(x.dtype)``, the last ``re.Match`` of a loop that read a file, a time
with a zone), so they must not stop a job.
"""

from __future__ import annotations

import datetime
import importlib
import re
from typing import Any

import numpy as np
import torch

_NUMBER_LIMITS = (torch.finfo, torch.iinfo)
_PANDAS = ("Timestamp", "Timedelta", "NaTType", "NAType")
_TIMES = (datetime.datetime, datetime.time)

#: The names of their classes.
NAMES = ("Match", "SeedSequence", "finfo", "iinfo", *_PANDAS, "datetime", "time")


def handles(kind: type) -> bool:
    """Whether objects of exactly this class are taken apart here."""
    return kind in (re.Match, np.random.SeedSequence, *_NUMBER_LIMITS, *_TIMES) or _is_pandas(kind)


def _is_pandas(kind: type) -> bool:
    return kind.__name__ in _PANDAS and kind.__module__.partition(".")[0] == "pandas"


def parts(value: Any) -> dict[str, Any] | None:
    """What the object is made of; ``None`` if it can't be made again from that."""
    made = _parts(value)
    if made is None:
        return None
    try:
        again = rebuild(type(value).__name__, made)
    except (KeyError, TypeError, ValueError):
        return None
    differing = {"pos"} if isinstance(value, re.Match) else set()  # where a search of several has begun is not known
    same = all(held == made[name] for name, held in (_parts(again) or {}).items() if name not in differing)
    return made if same else None


def _parts(value: Any) -> dict[str, Any] | None:
    if isinstance(value, re.Match):
        return {"pattern": value.re, "string": value.string, "pos": value.pos, "end": value.endpos, "regs": value.regs}
    if isinstance(value, np.random.SeedSequence):
        return dict(value.state)
    if isinstance(value, _NUMBER_LIMITS):
        return {"dtype": value.dtype}
    return _pandas_parts(value) if _is_pandas(type(value)) else _time_parts(value)


def _pandas_parts(value: Any) -> dict[str, Any] | None:
    if type(value).__name__ in ("NaTType", "NAType"):
        return {}
    zone = getattr(value, "tz", None)
    name = None if zone is None else _zone_name(zone)
    return None if name is None and zone is not None else {"value": value._value, "unit": value.unit, "zone": name}


def _time_parts(value: Any) -> dict[str, Any] | None:
    zone = _zone_name(value.tzinfo)
    if zone is None:
        return None
    return {"text": value.replace(tzinfo=None).isoformat(), "fold": value.fold, "zone": zone}


def _zone_name(zone: Any) -> str | None:
    return getattr(zone, "key", None) or ("UTC" if zone is datetime.timezone.utc else None)


def rebuild(kind: str, values: dict[str, Any]) -> Any:
    """The object that such parts stand for."""
    if kind == "Match":
        return _match(values)
    if kind == "SeedSequence":
        made = np.random.SeedSequence(**{k: v for k, v in values.items() if k != "n_children_spawned"})
        made.spawn(int(values["n_children_spawned"]))
        return made
    if kind in ("finfo", "iinfo"):
        return getattr(torch, kind)(getattr(torch, str(values["dtype"]).rpartition(".")[2]))
    if kind in _PANDAS:
        return _of_pandas(kind, values)
    return getattr(datetime, kind).fromisoformat(values["text"]).replace(fold=values["fold"], tzinfo=_zone(values))


def _match(values: dict[str, Any]) -> Any:
    pattern, regs = values["pattern"], tuple(tuple(each) for each in values["regs"])
    for way in (pattern.match, pattern.fullmatch, pattern.search):
        found = way(values["string"], values["pos"], values["end"])
        if found is not None and found.regs == regs:
            return found
    found = pattern.search(values["string"], regs[0][0], values["end"])  # one of several that were looked through
    if found is None or found.regs != regs:
        raise ValueError("no match")
    return found


def _of_pandas(kind: str, values: dict[str, Any]) -> Any:
    pandas = importlib.import_module("pandas")  # the loop may be what imports it
    if kind in ("NaTType", "NAType"):
        return pandas.NaT if kind == "NaTType" else pandas.NA
    plain = getattr(np, "datetime64" if kind == "Timestamp" else "timedelta64")(values["value"], values["unit"])
    made = getattr(pandas, kind)(plain)
    return made if values["zone"] is None else made.tz_localize("UTC").tz_convert(_zone(values))


def _zone(values: dict[str, Any]) -> Any:
    if values["zone"] == "UTC":
        return datetime.timezone.utc
    import zoneinfo

    return zoneinfo.ZoneInfo(values["zone"])
