"""What an object's attributes tell of it, and what they don't."""

import abc
import dataclasses
import hashlib
import random
import typing
import zlib

import torch

from survivor.state.scope import is_transparent


class Plain:
    pass


class Slotted:
    __slots__ = ("a", "b")


@dataclasses.dataclass(slots=True)
class Record:
    x: int


class Of(typing.Generic[typing.TypeVar("T")]):
    pass


class Abstract(abc.ABC):
    pass


class Dice(random.Random):
    pass


def test_a_class_that_was_stated_in_python_is_its_attributes():
    for kind in (Plain, Slotted, Record, Of, Abstract, torch.nn.Linear, torch.optim.Adam, torch.utils.data.DataLoader):
        assert is_transparent(kind), kind


def test_what_is_made_in_c_has_more_to_it():
    for kind in (Dice, type(hashlib.sha256()), type(zlib.compressobj()), type(torch.Generator())):
        assert not is_transparent(kind), kind
