"""The order in which a set iterates: that of its hash table, which depends on the set's whole history.

Which of two members with colliding hashes comes first, how large the table is and where members were taken out
can't be asked for and can't be set from Python. So the table is read and written in memory, on the Pythons whose
layout is known (``Include/cpython/setobject.h``, the same from 3.7 to 3.14) and was tried once in this process.
What has been written is checked by looking every member up.

Things that don't work: inserting the members in the order that they had (of colliding ones the later comes
first), or in many random orders (too many).
"""

from __future__ import annotations

import ctypes
import functools
import struct
import sys
import sysconfig
from typing import Any

_HEAD = struct.calcsize("nP")  # reference count and type
_FIELDS = struct.Struct("nnnPnn")  # fill, used, mask, table, hash, finger
_ENTRY = struct.Struct("Pn")  # member, its hash
_DELETED_HASH = -1

Layout = list[Any]  # [mask, finger, slots of the members in their order, slots of members that were taken out]


@functools.cache
def is_supported() -> bool:
    """Whether sets of this interpreter lie in memory as this module takes them to."""
    known = sys.implementation.name == "cpython" and sys.version_info < (3, 15) and sys.maxsize > 2**32
    if not known or sysconfig.get_config_var("Py_GIL_DISABLED"):
        return False
    sample = set(range(40)) - set(range(3, 40, 2))
    members = list(sample)
    layout = _read(sample)
    copy: set[Any] = set()
    return layout[0] in (63, 127, 255) and _write(copy, members, layout) and list(copy) == members


def layout_of(value: Any) -> Layout | None:
    """How the members of a set or frozenset lie; None where that can't be read."""
    return _read(value) if is_supported() else None


def arrange(target: set[Any], members: list[Any], layout: Layout | None) -> bool:
    """Make ``target`` hold these members, iterating in their order; returns whether it does."""
    if layout is not None and is_supported() and _is_sound(layout, len(members)) and _write(target, members, layout):
        return True
    set.clear(target)
    for member in members:
        set.add(target, member)
    return list(target) == members


def arrange_frozen(target: frozenset[Any], members: list[Any], layout: Layout | None) -> bool:
    """The same for a frozenset of these members that was just made and that nobody has seen yet."""
    if list(target) == members:
        return True
    return (
        layout is not None
        and is_supported()
        and _is_sound(layout, len(members))
        and _read(target)[0] == layout[0]
        and _put(target, members, layout)
    )


def _is_sound(layout: Any, count: int) -> bool:
    """Whether a layout from a store describes a table at all."""
    if not isinstance(layout, list) or len(layout) != 4:
        return False
    mask, finger, slots, deleted = layout
    if not all(type(n) is int for n in (mask, finger)) or not isinstance(slots, list) or not isinstance(deleted, list):
        return False
    used = [*slots, *deleted]
    return (
        len(slots) == count
        and 7 <= mask < 2**32
        and mask & (mask + 1) == 0
        and finger >= 0
        and all(type(n) is int and 0 <= n <= mask for n in used)
        and len(set(used)) == len(used)
        and slots == sorted(slots)
        and len(used) * 5 < (mask + 1) * 4
        and mask <= 64 * max(8, len(used))
    )


def _fields(value: Any) -> tuple[Any, ...]:
    return _FIELDS.unpack(ctypes.string_at(id(value) + _HEAD, _FIELDS.size))


def _deleted_member() -> int:
    """The address of what stands in the place of a member that was taken out."""
    sample = {1, 2}
    sample.discard(1)
    _, _, mask, table, _, _ = _fields(sample)
    entries = list(_ENTRY.iter_unpack(ctypes.string_at(table, (mask + 1) * _ENTRY.size)))
    return next(int(member) for member, digest in entries if member and digest == _DELETED_HASH)


def _read(value: Any) -> Layout:
    _, _, mask, table, _, finger = _fields(value)
    slots, deleted = [], []
    deleted_member = _deleted_member()
    for slot, (member, _) in enumerate(_ENTRY.iter_unpack(ctypes.string_at(table, (mask + 1) * _ENTRY.size))):
        if member == deleted_member:
            deleted.append(slot)
        elif member:
            slots.append(slot)
    return [mask, finger, slots, deleted]


def _write(target: set[Any], members: list[Any], layout: Layout) -> bool:
    """Give the table its size, put the members in, and move them to their slots."""
    mask = layout[0]
    set.clear(target)
    if mask > 7:
        # a merge makes a table for twice the number of members
        set.update(target, {_Filler() for _ in range(mask // 2)})
    if _fields(target)[2] != mask:
        return False
    # taken out one by one, the table keeps its size; what is left of them is wiped out below
    for filler in list(target):
        set.discard(target, filler)
    _wipe(target)
    for member in members:
        set.add(target, member)
    return _fields(target)[2] == mask and _put(target, members, layout)


class _Filler:
    """Makes a table large."""


def _wipe(target: Any) -> None:
    _, _, mask, table, digest, finger = _fields(target)
    ctypes.memset(table, 0, (mask + 1) * _ENTRY.size)
    ctypes.memmove(id(target) + _HEAD, _FIELDS.pack(0, 0, mask, table, digest, finger), _FIELDS.size)


def _put(target: Any, members: list[Any], layout: Layout) -> bool:
    """Move the members of a table, which all are in it, to their slots; undone if they aren't found there."""
    _, used, mask, table, digest, _ = _fields(target)
    size = (mask + 1) * _ENTRY.size
    before = ctypes.string_at(table, size)
    found = {member: hashed for member, hashed in _ENTRY.iter_unpack(before) if member}
    if used != len(members) or any(id(member) not in found for member in members):
        return False
    after = bytearray(size)
    for slot, member in zip(layout[2], members, strict=True):
        _ENTRY.pack_into(after, slot * _ENTRY.size, id(member), found[id(member)])
    for slot in layout[3]:
        _ENTRY.pack_into(after, slot * _ENTRY.size, _deleted_member(), _DELETED_HASH)
    fill = len(layout[2]) + len(layout[3])
    head = ctypes.string_at(id(target) + _HEAD, _FIELDS.size)
    ctypes.memmove(table, bytes(after), size)
    new_head = _FIELDS.pack(fill, used, mask, table, digest, layout[1] & mask)
    ctypes.memmove(id(target) + _HEAD, new_head, _FIELDS.size)
    if all(member in target for member in members):
        return True
    ctypes.memmove(table, before, size)
    ctypes.memmove(id(target) + _HEAD, head, _FIELDS.size)
    return False
