"""Of a document's attributes only those are set that the script's own source assigns to, on what it imports."""

import ast
import statistics
import types

import pytest
import torch
from torch import nn

from survivor.state import environment
from survivor.state.foreign import Foreign

SOURCE = """
import statistics, os, sys
import torch.nn as nn
from torch.backends import cuda
import mine
statistics.rate = 1
statistics.hook = print
sys.path = []
os.name = "x"
mine.value = 3
local.value = 3
setattr(nn.Linear, "made", 1)
def later():
    from statistics import NormalDist as Normal
    Normal.count += 1
    cuda.matmul.allow_tf32 = True
"""


@pytest.fixture
def foreign(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "mine", types.ModuleType("mine"))
    for base, name, value in ((statistics, "rate", 0.5), (statistics, "hook", len), (nn.Linear, "made", torch.ones(2))):
        monkeypatch.setattr(base, name, value, raising=False)
    monkeypatch.setattr(statistics.NormalDist, "count", [1], raising=False)
    found = Foreign()
    found.note(ast.parse(SOURCE))
    return found


def test_plain_data_and_tensors_on_installed_modules_classes_and_their_objects_are_read(foreign):
    values = foreign.read({"mine"})
    assert set(values) == {
        "statistics:rate",
        "torch.nn:Linear.made",
        "statistics:NormalDist.count",
        "torch.backends:cuda.matmul.allow_tf32",
    }
    assert values["torch.nn:Linear.made"] is nn.Linear.made


def test_what_the_source_does_not_assign_to_is_not_set(foreign):
    foreign.write({"statistics:rate": 0.75, "statistics:mean": 3, "sys:path": [], "os:name": "y", "mine:value": 4}, {"mine"})
    assert statistics.rate == 0.75
    assert callable(statistics.mean)
    assert not hasattr(__import__("sys").modules["mine"], "value")


def test_the_environment_comes_back_by_its_difference_to_that_at_the_first_loop(monkeypatch):
    monkeypatch.setattr(environment, "_began", False)
    monkeypatch.setattr(environment, "_at_start", {})
    monkeypatch.setenv("KEPT", "kept")
    monkeypatch.setenv("CHANGED", "before")
    monkeypatch.delenv("NEW", raising=False)
    environment.begin()
    assert environment.read() == {}
    monkeypatch.setenv("CHANGED", "after")
    monkeypatch.delenv("KEPT")
    monkeypatch.setenv("NEW", "new")
    changes = environment.read()
    assert changes == {"CHANGED": "after", "KEPT": None, "NEW": "new"}
    environment.write({"NEW": "other"})
    assert environment.read() == {"NEW": "other"}
    environment.write(changes)
    assert environment.read() == changes
