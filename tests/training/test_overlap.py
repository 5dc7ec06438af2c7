"""A copy beside the training is whole, or it is none: whoever is about to change what it reads waits for it."""

import ctypes
import os
import time

import pytest
import torch

from survivor import arena
from survivor.arena.kernel import Map
from survivor.checkpoint.snapshot import Snapshot
from survivor.state.memory import Constants, Memory
from survivor.state.steady import addresses
from survivor.training.copying import Copies

NUMBERS = 2 << 20


class Training:
    """A model with an optimizer and an arena that snapshots of it go to."""

    def __init__(self, copies, slots):
        self.parameter = torch.nn.Parameter(torch.zeros(NUMBERS))
        self.optimizer = torch.optim.SGD([self.parameter], lr=1.0, momentum=0.9)
        self.copies, self.slots, self.sealed = copies, slots, []
        self.step()

    def step(self):
        self.parameter.grad = torch.ones(NUMBERS)
        self.optimizer.step()

    def snapshot(self, number):
        memory = Memory(lambda _: "parameter", lambda _: "parameter", Constants())
        memory.tensor(self.parameter, 0, {})
        blobs = memory.finish(addresses([self.optimizer]))
        return Snapshot(document={}, blobs=blobs, step=number, position="", steady=memory.steady)

    def take_beside(self, number=1):
        return self.copies.take_beside(self.snapshot(number), self.sealed.append)

    def read(self):
        """The values that lie in the newest snapshot, which must be the same everywhere; None if there is none."""
        loaded = arena.load(self.slots)
        if loaded is None:
            return None
        values = torch.frombuffer(loaded.blobs()["parameter"].data, dtype=torch.float32)
        assert values.min() == values.max(), "a torn snapshot"
        return values[0].item()


@pytest.fixture
def training(monkeypatch):
    slots = arena.create()
    fill = Map.fill

    def slow(self, offset, data):
        time.sleep(0.2)  # whoever does not wait is certain to be first
        fill(self, offset, data)

    monkeypatch.setattr(Map, "fill", slow)
    yield Training(Copies(slots, lambda: False), slots)
    for fd in slots:
        os.close(fd)


def by_pointer(parameter):
    ctypes.memset(parameter.data_ptr(), 0, NUMBERS * 4)


def unscaled(parameter):
    torch._amp_foreach_non_finite_check_and_unscale_([parameter.detach()], torch.zeros(1), torch.full((1,), 0.5))


def fused(parameter):
    torch._fused_sgd_(
        [parameter.detach()], [torch.ones(NUMBERS)], [], weight_decay=0.0, momentum=0.0, lr=1.0, dampening=0.0,
        nesterov=False, maximize=False, is_first_step=False,
    )  # fmt: skip


UNCOUNTED = {
    "data": lambda parameter: parameter.data.add_(1),
    "numpy": lambda parameter: parameter.detach().numpy().fill(7),
    "pointer": by_pointer,
    "storage": lambda parameter: parameter.untyped_storage().fill_(0),
    "unscaling": unscaled,
    "fused optimizer": fused,
}


@pytest.mark.parametrize("change", UNCOUNTED.values(), ids=UNCOUNTED)
def test_a_change_that_no_version_counter_sees_waits_for_the_copy(training, change):
    before, version = training.parameter[0].item(), training.parameter._version
    assert training.take_beside()
    change(training.parameter)
    assert training.parameter[0].item() != before
    assert training.parameter._version == version
    assert training.read() == before and len(training.sealed) == 1


def test_other_tensors_memory_is_nobody_s_business(training):
    assert training.take_beside()
    other = torch.zeros(3)
    assert (other.numpy() + other.data.numpy()).sum() == 0
    assert training.read() is None, "nobody has waited"
    training.copies.settle()


def test_an_optimizer_s_step_waits_for_the_copy(training):
    before = training.parameter[0].item()
    assert training.take_beside()
    assert training.read() is None
    training.step()
    assert training.read() == before
    assert training.copies.settled().torn is False
    assert training.copies.settled() is None


def test_a_change_that_a_version_counter_sees_throws_the_copy_away_and_the_next_one_does_not_wait_for_it(training):
    assert training.take_beside()
    with torch.no_grad():
        training.parameter.add_(1)
    training.copies.settle()
    assert training.read() is None and training.sealed == []
    assert training.copies.settled().torn is True
    assert training.take_beside(2) is False, "what has changed once is copied at once"


def test_new_memory_behind_a_parameter_leaves_the_old_one_to_the_copy(training):
    before = training.parameter[0].item()
    assert training.take_beside()
    training.parameter.data = torch.full((NUMBERS,), 3.0)
    assert training.read() == before


def test_the_tensor_class_is_as_it_was_after_a_copy(training):
    before = dict(vars(torch.Tensor)), torch._fused_sgd_
    assert training.take_beside()
    assert dict(vars(torch.Tensor)) != before[0]
    training.copies.settle()
    assert (dict(vars(torch.Tensor)), torch._fused_sgd_) == before


def test_a_fork_waits_for_the_copy(training):
    before = training.parameter[0].item()
    assert training.take_beside()
    pid = os.fork()
    if pid == 0:
        # no thread is there that could be waited for; torch's own are not either, so this must be a small change
        training.parameter.data[0] = 9
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert training.read() == before


def test_memory_that_somebody_else_may_write_to_is_copied_at_once(training):
    view = training.parameter.detach()[:10]
    assert not _steady([training.parameter, view], training.optimizer), "two look at the same memory"
    assert _steady([training.parameter], training.optimizer)
    assert not _steady([torch.zeros(NUMBERS)], training.optimizer), "no optimizer holds it"
    training.parameter.share_memory_()
    assert not _steady([training.parameter], training.optimizer), "another process may have it"


def _steady(tensors, optimizer):
    memory = Memory(str, str, Constants())
    for number, tensor in enumerate(tensors):
        memory.tensor(tensor, number, {})
    memory.finish(addresses([optimizer]))
    return memory.steady
