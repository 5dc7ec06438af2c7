"""Spot machines: AWS, Google Cloud and Azure tell a machine that it will be taken away, on an address of their own.

Nothing is asked unless the machine's own firmware says that it is theirs: elsewhere that address may be anybody's.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from survivor.notices import Notice, Source, View

_ADDRESS = "http://169.254.169.254"
_TIMEOUT_S = 2.0
_TOKEN_LIFE_S = 21600
_GCP_GRACE_S = 30.0
_AZURE_GRACE_S = 30.0
_AZURE_TAG = "7783-7084-3265-9085-8269-3286-77"


def here(root: Path = Path("/")) -> Source | None:
    """The source for this machine, if its firmware names one of the three; ``root`` is for tests."""
    folder = root / "sys/class/dmi/id"
    if "Amazon EC2" in _text(folder / "sys_vendor") or _text(folder / "product_uuid")[:3].lower() == "ec2":
        return Aws()
    if "Google Compute Engine" in _text(folder / "product_name"):
        return Gcp()
    if _text(folder / "chassis_asset_tag").strip() == _AZURE_TAG:
        return Azure()
    return None


class Aws:
    """``spot/instance-action`` behind IMDSv2: two minutes' notice; asked every 5 s, as AWS advises."""

    every_s = 5.0

    def __init__(self, address: str = _ADDRESS, clock: Callable[[], float] = time.time) -> None:
        self._address, self._clock = address, clock
        self._token, self._token_ends = "", 0.0

    def look(self, _view: View) -> Notice | None:
        """A notice when a time has been set."""
        answer = _get(f"{self._address}/latest/meta-data/spot/instance-action", self._header())
        if answer is None:
            return None
        fields = _parsed(answer)
        left_s = _seconds_to(str(fields.get("time", "")), self._clock())
        return Notice(reason=f"AWS will {fields.get('action', 'take away')} this spot machine", left_s=left_s)

    def _header(self) -> dict[str, str]:
        if self._clock() >= self._token_ends:
            life = {"X-aws-ec2-metadata-token-ttl-seconds": str(_TOKEN_LIFE_S)}
            self._token = _get(f"{self._address}/latest/api/token", life, method="PUT") or ""
            self._token_ends = self._clock() + _TOKEN_LIFE_S / 2
        return {"X-aws-ec2-metadata-token": self._token}


class Gcp:
    """``instance/preempted`` and ``maintenance-event`` of Google Compute Engine: 30 seconds' notice."""

    every_s = 2.0

    def __init__(self, address: str = _ADDRESS) -> None:
        self._address = f"{address}/computeMetadata/v1/instance"

    def look(self, _view: View) -> Notice | None:
        """A notice when the machine is preempted, or will be stopped for maintenance."""
        header = {"Metadata-Flavor": "Google"}
        if (_get(f"{self._address}/preempted", header) or "").strip() == "TRUE":
            return Notice(reason="Google Cloud preempts this machine", left_s=_GCP_GRACE_S)
        event = (_get(f"{self._address}/maintenance-event", header) or "NONE").strip()
        if event == "TERMINATE_ON_HOST_MAINTENANCE":
            return Notice(reason="Google Cloud stops this machine for maintenance", left_s=2 * _GCP_GRACE_S)
        return None


class Azure:
    """Scheduled events of Azure: 30 seconds' notice of a preemption; the first question switches the service on."""

    every_s = 2.0

    def __init__(self, address: str = _ADDRESS, clock: Callable[[], float] = time.time) -> None:
        self._url, self._clock = f"{address}/metadata/scheduledevents?api-version=2020-07-01", clock

    def look(self, _view: View) -> Notice | None:
        """A notice when a preemption or a termination is among the events."""
        events = _parsed(_get(self._url, {"Metadata": "true"}) or "{}").get("Events", [])
        for event in events if isinstance(events, list) else []:
            if isinstance(event, dict) and event.get("EventType") in ("Preempt", "Terminate"):
                left_s = _seconds_to_http(str(event.get("NotBefore", "")), self._clock())
                reason = f"Azure takes this machine away ({event['EventType']})"
                return Notice(reason=reason, left_s=_AZURE_GRACE_S if left_s is None else left_s)
        return None


def _get(url: str, headers: dict[str, str], method: str = "GET") -> str | None:
    """The answer's text; None if there is nothing at that address. Raises ``OSError``."""
    request = urllib.request.Request(url, headers=headers, method=method)
    # a proxy would be asked for an address that only this machine can reach
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=_TIMEOUT_S) as answer:
            return str(answer.read(65536).decode("utf-8", "replace"))
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise


def _parsed(text: str) -> dict[str, Any]:
    try:
        fields = json.loads(text)
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}


def _seconds_to(text: str, now: float) -> float | None:
    """Seconds to a time as AWS writes it, ``2026-11-24T08:22:00Z``."""
    try:
        moment = datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
    except ValueError:
        return None
    return max(0.0, moment.timestamp() - now)


def _seconds_to_http(text: str, now: float) -> float | None:
    """Seconds to a time as Azure writes it, ``Mon, 19 Sep 2016 18:29:47 GMT``; empty: at once."""
    try:
        moment = datetime.strptime(text, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=timezone.utc)
    except ValueError:
        return None
    return max(0.0, moment.timestamp() - now)


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
