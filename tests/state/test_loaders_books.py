"""What survivor.state.loaders does besides being exact: what it shows, what it refuses, what it leaves alone."""

from __future__ import annotations

import gc
import multiprocessing
import random
import weakref
from typing import Any

import numpy as np
import pytest
import torch
from loader_cases import CASES, Habits, OwnGenerators, Plain, Stream
from torch.utils.data import DataLoader, Dataset, Sampler
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter, _SingleProcessDataLoaderIter

from survivor.errors import DivergedError, NotResumableError
from survivor.state import loaders
from survivor.state.loaders.objects import Watch
from survivor.state.loaders.streams import Stream as Indices
from survivor.state.loaders.worker import Carrier

loaders.install()


class Counting(Plain):
    fetched = 0

    def __getitem__(self, i: int) -> Any:
        type(self).fetched += 1
        return super().__getitem__(i)


class Caching(Dataset):
    """Keeps what it has read, as data sets on slow disks do."""

    def __init__(self) -> None:
        self.cache: dict[int, torch.Tensor] = {}

    def __len__(self) -> int:
        return 24

    def __getitem__(self, i: int) -> torch.Tensor:
        if i % 12 not in self.cache:
            self.cache[i % 12] = torch.tensor([i % 12])
        return self.cache[i % 12]


class HoldsIterator(Sampler):
    def __init__(self) -> None:
        self.source = iter(range(100))

    def __iter__(self) -> Any:
        return (next(self.source) for _ in range(9))


def taken(loader: Any, count: int) -> Any:
    it = iter(loader)
    for _ in range(count):
        next(it)
    return it


def again(loader: Any, it: Any) -> list[Any]:
    """The rest of a loader, from a position in ``it``."""
    return [batch.tolist() for batch in loaders.remake(loader, loaders.capture(it))]


def plain_data(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, (str, int)) and plain_data(item) for key, item in value.items())
    if type(value) in (list, tuple):
        return all(plain_data(item) for item in value)
    return value is None or type(value) in (bool, int, float, str, bytes, np.ndarray, torch.Tensor)


def test_iterators_keep_their_classes() -> None:
    assert type(iter(DataLoader(Plain()))) is _SingleProcessDataLoaderIter
    assert type(iter(DataLoader(Plain(), num_workers=1))) is _MultiProcessingDataLoaderIter


def test_install_again_wraps_nothing_twice() -> None:
    before = _SingleProcessDataLoaderIter._next_data
    loaders.install()
    assert _SingleProcessDataLoaderIter._next_data is before


@pytest.mark.parametrize(
    "name", ["shuffled", "habits", "own_generators", "iterable", "workers_own", "workers_stateful"]
)
def test_a_position_is_plain_data(name: str) -> None:
    for loader in CASES[name].make():
        assert plain_data(loaders.capture(taken(loader, 3)))


def test_an_iterator_knows_its_loader_and_does_not_keep_it() -> None:
    loader = DataLoader(Plain(), num_workers=1, persistent_workers=True)
    it = iter(loader)
    assert loaders.owner(it) is loader
    gone = weakref.ref(loader := DataLoader(data := Plain(), batch_size=3))
    it = iter(loader)
    del loader
    gc.collect()
    like = loaders.owner(it)
    assert gone() is None and like is not None and like.dataset is data and like.batch_size == 3
    assert loaders.owner(iter([])) is None


def test_persistent_workers_end_with_their_loader() -> None:
    gc.disable()
    try:
        loader = DataLoader(Plain(), num_workers=1, persistent_workers=True)
        (process,) = iter(loader)._workers
        del loader
        assert not process.is_alive()
    finally:
        gc.enable()


def test_an_iterator_is_repositioned_when_its_loader_is_gone() -> None:
    whole = [batch.tolist() for batch in DataLoader(Plain(), batch_size=4)]
    state = loaders.capture(taken(DataLoader(Plain(), batch_size=4), 3))
    it = iter(DataLoader(Plain(), batch_size=4))
    loaders.reposition(it, state)
    assert [batch.tolist() for batch in it] == whole[3:]


def test_repositioning_fetches_nothing() -> None:
    loader = DataLoader(Counting(), batch_size=2, shuffle=True)
    state = loaders.capture(taken(loader, 7))
    Counting.fetched = 0
    it = loaders.remake(loader, state)
    assert Counting.fetched == 0
    next(it)
    assert Counting.fetched == 2


def test_a_sequential_sampler_is_skipped_in_constant_time() -> None:
    loader = DataLoader(Plain(10**15), batch_size=8)
    state = loaders.capture(taken(loader, 2))
    state["stream"].update(drawn=10**14, last=None)
    state["consumed"] = 10**14
    assert next(loaders.remake(loader, state))[0, 0] == 8 * 10**14


def test_an_exhausted_iterator_comes_back_exhausted() -> None:
    for workers in (0, 1):
        loader = DataLoader(Plain(8), batch_size=4, num_workers=workers)
        it = iter(loader)
        list(it)
        state = loaders.capture(it)
        assert state["exhausted"]
        assert list(loaders.remake(loader, state)) == []


def test_an_iterable_without_state_says_that_it_is_replayed() -> None:
    assert loaders.capture(iter(DataLoader(Stream())))["replay"]
    assert not loaders.capture(iter(DataLoader(Plain())))["replay"]


def test_a_deferred_iterator_starts_its_workers_at_the_first_batch() -> None:
    loader = DataLoader(Plain(), batch_size=5, num_workers=2, shuffle=True)
    torch.manual_seed(4)
    expected, state = [batch.tolist() for batch in loader], torch.get_rng_state()
    torch.manual_seed(4)
    loaders.deferring = True
    try:
        it = iter(loader)
    finally:
        loaders.deferring = False
    assert not multiprocessing.active_children()
    assert [batch.tolist() for batch in it] == expected
    assert torch.equal(torch.get_rng_state(), state)


def test_a_deferred_iterator_that_is_never_used_leaves_quietly(capsys: pytest.CaptureFixture[str]) -> None:
    loaders.deferring = True
    try:
        it = iter(DataLoader(Plain(), num_workers=1))
    finally:
        loaders.deferring = False
    del it
    assert capsys.readouterr().err == ""


def test_a_cache_in_a_worker_is_filled_again() -> None:
    loader = DataLoader(Caching(), batch_size=2, num_workers=2)
    whole = [batch.tolist() for batch in loader]
    assert again(loader, taken(loader, 8)) == whole[8:]


def test_another_number_of_items_is_refused() -> None:
    state = loaders.capture(taken(DataLoader(Plain(30), batch_size=3, shuffle=True), 9))
    with pytest.raises(DivergedError, match="no counterpart"):
        loaders.remake(DataLoader(Plain(20), batch_size=3, sampler=[*range(20)]), state)
    with pytest.raises(DivergedError, match="only"):
        loaders.remake(DataLoader(Plain(20), batch_size=3, shuffle=True), state)


def test_other_items_are_refused() -> None:
    state = loaders.capture(taken(DataLoader(Plain(30), batch_size=3), 4))
    with pytest.raises(DivergedError, match="other items"):
        loaders.remake(DataLoader(Plain(30), batch_size=3, sampler=range(29, 0, -1)), state)


def test_another_number_of_workers_is_refused() -> None:
    state = loaders.capture(taken(DataLoader(Plain()), 4))
    with pytest.raises(DivergedError, match="0 workers"):
        loaders.remake(DataLoader(Plain(), num_workers=1), state)


def test_batches_out_of_order_are_refused() -> None:
    if not hasattr(DataLoader(Plain()), "in_order"):
        pytest.skip("this torch keeps the order always")
    with pytest.raises(NotResumableError, match="in_order"):
        loaders.capture(iter(DataLoader(Plain(), num_workers=1, in_order=False)))


def test_a_sampler_that_is_a_generator_is_refused() -> None:
    loader = DataLoader(Plain(), batch_sampler=([i] for i in range(20)))
    state = loaders.capture(taken(loader, 3))
    with pytest.raises(NotResumableError, match="rewound"):
        loaders.remake(loader, state)


def test_other_iterators_are_refused() -> None:
    with pytest.raises(NotResumableError, match="list_iterator"):
        loaders.capture(iter([1]))


def test_an_iterator_is_remade_though_its_loader_is_gone() -> None:
    it = taken(DataLoader(Plain()), 2)
    remade = loaders.remake(loaders.owner(it), loaders.capture(it))
    assert [batch.tolist() for batch in remade] == [batch.tolist() for batch in it]


def test_an_iterator_is_not_remade_without_any_loader() -> None:
    it = taken(DataLoader(Plain()), 2)
    with pytest.raises(NotResumableError, match="can't be made again"):
        loaders.remake(None, loaders.capture(it))  # type: ignore[arg-type]


def test_an_iterator_inside_a_sampler_is_named() -> None:
    it = taken(DataLoader(Plain(), sampler=HoldsIterator()), 2)
    assert loaders.capture(it)["not_carried"] == ["/sampler/source"]


def untracked(answers: Any) -> None:
    it = iter(DataLoader(Plain()))
    try:
        loaders.capture(it)
    except NotResumableError:
        answers.put([int(next(it)[0, 0]), next(it).shape])


def test_a_forked_child_is_left_alone() -> None:
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    child = context.Process(target=untracked, args=(answers,))
    child.start()
    assert answers.get(timeout=60) == [0, torch.Size([1, 2])]
    child.join()


def test_a_worker_sends_a_state_once() -> None:
    data = OwnGenerators()
    carrier = Carrier(0, {"dataset": data, "collate_fn": None, "init_fn": None})
    carrier.begin()
    assert {"python", "numpy", "torch"} < carrier.delta().keys()
    assert carrier.delta() == {}
    random.random()
    assert carrier.delta().keys() == {"python"}
    np.random.rand()
    data.calls += 1
    assert carrier.delta().keys() == {"numpy", ("/dataset", "calls")}
    data.calls -= 1
    assert carrier.delta() == {("/dataset", "calls"): 0}
    data.np.random()
    torch.rand(1)
    data.late = np.random.default_rng(0)
    assert carrier.delta().keys() == {"torch", ("/dataset", "np"), ("/dataset", "late")}


def test_numpy_is_read_when_only_its_kept_normal_deviate_is_used_up() -> None:
    carrier = Carrier(0, {"dataset": Plain(), "collate_fn": None, "init_fn": None})
    np.random.normal()
    carrier.delta()
    np.random.normal()  # the second of the pair: position and key stay
    assert carrier.delta().keys() == {"numpy"}


def test_a_large_table_is_carried_once_it_has_changed() -> None:
    sampler = Habits()
    watch = Watch({"sampler": sampler}, plain=True)
    keys = [key for _, key, _ in watch.read()]
    assert "table" not in keys and "order" in keys and "weights" not in keys
    iter(sampler)
    changed = watch.read()
    assert {"table", "weights"} <= {key for _, key, _ in changed}
    table, identity = list(sampler.table), id(sampler.table)
    random.shuffle(sampler.table)
    watch.write(changed)
    assert sampler.table == table and id(sampler.table) == identity


def test_a_stream_logs_only_what_others_moved_in_between() -> None:
    stream = Indices({}, quiet=False)
    stream.begin()
    for step in range(6):
        stream.draw(random.random)
        torch.rand(1)  # not the stream's generator
        if step == 3:
            random.random()
    assert [(number, sorted(states)) for number, states in stream.log[1:]] == [(0, ["python"]), (4, ["python"])]
