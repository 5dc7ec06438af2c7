"""Variables of running frames can be read and set, on every Python at hand.

Nothing here needs pytest, so that ``python tests/training/test_frames.py`` checks a bare interpreter.
"""

import glob
import os
import subprocess
import sys
import unittest
import weakref
from pathlib import Path

from survivor.errors import DivergedError
from survivor.training.frames import Unbound, read, user_frames, variable_names, write

ROOT = Path(__file__).resolve().parents[2]
TELL_VERSION = "import sys; print(*sys.version_info[:2])"


def here(level=0):
    """The frame of the caller, or of its caller."""
    return sys._getframe(1 + level)


def set_above(values, delete=(), level=0):
    write(here(1 + level), values, set(delete))


def read_above(level=0):
    return read(here(1 + level))


def test_reading_gives_locals_cells_and_free_variables():
    free = 1

    def inner(argument, *rest, **options):
        local = 2
        cell = 3
        missing = 0
        del missing
        return (lambda: cell), free, local, read_above()

    found = inner(5, 6, k=7)[-1]
    assert found == {"argument": 5, "rest": (6,), "options": {"k": 7}, "local": 2, "cell": 3, "free": 1}


def test_what_is_read_is_a_snapshot():
    x = 1
    first = read_above()
    x = 2
    assert first["x"] == 1 and read_above()["x"] == 2
    first["x"] = 3
    assert x == 2


def test_the_calling_frame_is_set():
    x, y = 1, "kept"
    set_above({"x": 10})
    assert (x, y) == (10, "kept")


def test_an_unbound_variable_can_be_set():
    if not sys:
        late = 0
    set_above({"late": 4})
    assert late == 4


def test_a_frame_several_levels_above_is_set():
    def descend(levels):
        mine = levels
        if levels:
            descend(levels - 1)
        else:
            write(target, {"x": 20, "y": [1]}, set())
        assert mine == levels

    target = here()
    x, y = 1, 2
    descend(5)
    assert (x, y) == (20, [1])


def test_two_frames_above_are_set_by_one_call():
    def one():
        y = 1
        two()
        return y

    def two():
        set_above({"y": 2}, level=1)
        set_above({"x": 3}, level=2)

    x = 0
    y = one()
    assert (x, y) == (3, 2)


def test_closures_see_what_is_written_to_a_cell():
    x = 1

    def get():
        return x

    def put(value):
        nonlocal x
        x = value

    set_above({"x": 5})
    assert (x, get()) == (5, 5)
    put(6)
    assert read_above()["x"] == 6 and x == 6


def test_a_free_variable_is_written_for_its_owner_too():
    x = 1

    def inner():
        set_above({"x": 7})
        return x

    assert (inner(), x) == (7, 7)


def test_a_parameter_that_closures_share_is_written():
    def function(x):
        get = lambda: x  # noqa: E731
        set_above({"x": 8})
        return x, get()

    assert function(1) == (8, 8)


def test_a_generator_on_the_stack_is_written():
    def generator():
        total = 0
        for step in range(3):
            set_above({"total": total + 10})
            yield total, step

    assert list(generator()) == [(10, 0), (20, 1), (30, 2)]


def test_a_generator_above_the_caller_is_written():
    def helper():
        set_above({"total": 100}, level=2)

    def generator():
        total = 1
        (lambda: helper())()
        yield total

    assert next(generator()) == 100


def test_a_suspended_generator_is_written():
    def generator():
        x = 1
        yield
        yield x

    running = generator()
    next(running)
    write(running.gi_frame, {"x": 9}, set())
    assert next(running) == 9


def test_a_frame_in_the_midst_of_a_comprehension_is_written():
    x = 1
    target = here()
    seen = [(step, write(target, {"x": x + step}, set())) for step in range(1, 4)]
    assert [step for step, _ in seen] == [1, 2, 3]
    assert x == 7


def test_a_name_that_a_comprehension_hides_has_its_value_again_afterwards():
    x, y = "outer", 0
    target = here()
    seen = [(x, write(target, {"y": 5}, set()))[0] for x in range(2)]
    assert (x, y, seen) == ("outer", 5, [0, 1])


def test_reading_survives_a_comprehension_that_hides_a_shared_variable():
    x, y = "outer", 1
    get = lambda: x  # noqa: E731
    target = here()
    seen = [read(target).get("y") for _ in range(2) for x in range(2)]
    shared_inside = [(read(target)["get"], lambda: x)[1]() for x in range(2)]
    assert seen == [y] * 4 and shared_inside == [0, 1]
    assert get() == "outer" and read(target)["x"] == "outer"


def test_reading_survives_an_asynchronous_comprehension_that_hides_a_shared_variable():
    async def items():
        yield 1

    async def function():
        x, y = "outer", 1
        get = lambda: x  # noqa: E731
        target = here()
        seen = [read(target)["y"] async for x in items()]
        for step in range(2):
            assert read(target)["x"] == get() == "outer"
        return seen, y

    try:
        function().send(None)
    except StopIteration as end:
        assert end.value == ([1], 1)


def test_a_module_is_read_and_written_as_its_globals():
    space = {"set_above": set_above, "read_above": read_above}
    exec("x = 1\nz = 0\nset_above({'x': 2, 'y': 3}, ['z', 'never'])\nfound = read_above()", space)
    assert (space["x"], space["y"]) == (2, 3)
    assert "z" not in space
    assert (space["found"]["x"], space["found"]["y"]) == (2, 3)
    assert "found" not in space["found"]


def test_a_module_is_written_while_it_runs_a_comprehension():
    space = {"write": write, "here": here}
    exec("x = 1\nframe = here()\ndone = [write(frame, {'x': x + i}, {'gone'}) for i in range(1, 4)]", space)
    assert space["x"] == 7
    assert "i" not in space


def test_a_class_body_is_read_and_written():
    class Body:
        x = 1
        set_above({"x": 2, "y": 3})
        found = read_above()

    assert (Body.x, Body.y) == (2, 3)
    assert Body.found["x"] == 2


def test_a_deleted_local_variable_raises_when_used():
    x, other = 1, 2
    set_above({}, ["x"])
    assert "x" not in read_above()
    try:
        x + 1
    except UnboundLocalError as error:
        assert "'x'" in str(error)
    else:
        raise AssertionError("x is still there")
    x = 3
    assert (x, other) == (3, 2)


def test_a_deleted_local_variable_may_be_deleted_and_set():
    x = 1
    set_above({}, ["x"])
    x = 2
    assert x == 2
    set_above({}, ["x"])
    set_above({"x": 5})
    assert x == 5


def test_a_deleted_cell_is_unbound_for_all_who_share_it():
    x = 1

    def get():
        return x

    set_above({}, ["x"])
    for reader in (get, lambda: x):
        try:
            reader()
        except NameError:
            continue
        raise AssertionError("x is still there")
    try:
        x
    except UnboundLocalError:
        pass
    else:
        raise AssertionError("x is still there")
    assert "x" not in read_above()
    x = 4
    assert get() == 4


def test_names_to_delete_that_are_not_bound_are_passed_over():
    x = 1
    if not sys:
        late = 0
    set_above({"x": 2}, ["late", "no_such_name"])
    assert x == 2
    assert "late" not in read_above()
    late = 1
    assert late == 1


def test_setting_a_name_that_the_frame_lacks_is_an_error_and_writes_nothing():
    x = 1
    try:
        set_above({"x": 2, "no_such_name": 3})
    except DivergedError as error:
        assert "no_such_name" in str(error) and error.advice
    else:
        raise AssertionError("accepted")
    assert x == 1


def test_setting_and_deleting_one_name_is_an_error():
    x = 1
    try:
        set_above({"x": 2}, ["x"])
    except ValueError:
        assert x == 1
    else:
        raise AssertionError("accepted")


def test_nothing_is_kept_alive_by_reading_or_writing():
    class Batch:
        pass

    batch = Batch()
    alive = weakref.ref(batch)
    read_above()
    del batch
    assert alive() is None
    batch = Batch()
    alive = weakref.ref(batch)
    set_above({"alive": alive})
    batch = None
    assert alive() is None


def test_a_value_that_is_replaced_ends_at_once():
    ended = []

    class Old:
        def __del__(self):
            ended.append(read(target)["x"])

    target = here()
    x, fresh = Old(), "old"
    set_above({"x": None, "fresh": "new"})
    assert x is None and fresh == "new"
    assert ended == [None]


def test_a_dict_that_the_script_took_from_locals_stays_whole():
    x = 1
    kept = locals()
    read_above()
    set_above({"x": 2})
    assert kept["x"] in (1, 2)  # up to 3.12 it follows the frame, from 3.13 it is a copy
    assert x == 2


def test_extra_keys_in_locals_survive():
    x = 1
    locals()["extra"] = 5
    read_above()
    set_above({"x": 2})
    assert locals().get("extra") == (5 if sys.version_info < (3, 13) else None)
    assert x == 2


def test_writing_works_under_a_trace_function_that_reads_locals():
    seen = []

    def trace(frame, event, _argument):
        while frame is not None:
            seen.append(len(frame.f_locals))
            frame = frame.f_back
        return trace

    def traced():
        x = gone = 1  # noqa: F841
        get = lambda: x  # noqa: E731
        for step in range(3):
            set_above({"x": x + 10}, ["gone"])
            read_above()
        return x, get(), step, read_above()

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        x, shared, step, found = traced()
    finally:
        sys.settrace(before)
    assert (x, shared, step) == (31, 31, 2)
    assert "gone" not in found and found["x"] == 31
    assert seen


def test_writing_works_in_a_frame_that_is_traced_line_by_line():
    def trace(frame, event, _argument):
        if frame.f_code is traced.__code__:
            read(frame)
            return trace
        return None

    def traced():
        x = 1
        set_above({"x": 2})
        y = x
        return x, y

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        assert traced() == (2, 2)
    finally:
        sys.settrace(before)


def test_recursion_writes_the_frame_that_is_meant():
    def function(depth):
        x = depth
        if depth:
            function(depth - 1)
        else:
            set_above({"x": "middle"}, level=1)
        results.append(x)

    results = []
    function(2)
    assert results == [0, "middle", 2]


def test_user_frames_run_from_the_outermost_inwards():
    def outer():
        return inner()

    def inner():
        return user_frames(here(-1), lambda code: code.co_filename == __file__ and code.co_name != "here")

    names = [frame.f_code.co_name for frame in outer()]
    assert names[-3:] == ["test_user_frames_run_from_the_outermost_inwards", "outer", "inner"]


def test_frames_of_other_code_are_left_out():
    def key(value):
        return [frame.f_code.co_name for frame in user_frames(here(-1), lambda code: code is key.__code__)]

    assert list(map(key, [1])) == [["key"]]


def test_the_hidden_iterator_of_a_comprehension_is_no_variable():
    frames = [here() for _ in range(1)]
    assert all(name.isidentifier() for name in (*variable_names(frames[0].f_code), *read(frames[0])))


def test_an_unbound_marker_refuses_to_be_used():
    marker = Unbound("x")
    uses = [
        lambda: marker + 1, lambda: 1 + marker, lambda: marker.item,
        lambda: marker(), lambda: marker[0], lambda: bool(marker),
        lambda: repr(marker), lambda: f"{marker}", lambda: marker == 1,
        lambda: {marker}, lambda: list(marker), lambda: isinstance(marker, int),
        lambda: int(marker), lambda: marker @ marker, lambda: len(marker),
        lambda: 1 in marker, lambda: setattr(marker, "a", 1), lambda: print(marker),
    ]  # fmt: skip
    for use in uses:
        try:
            use()
        except UnboundLocalError:
            continue
        raise AssertionError("used")


def test_all_this_holds_on_the_other_interpreters():
    ours = sys.version_info[:2]
    found = glob.glob(os.path.expanduser("~/.pyenv/versions/3.*/bin/python"))
    for name in (f"python3.{minor}" for minor in range(10, 20)):
        found += [str(Path(folder) / name) for folder in os.get_exec_path() if (Path(folder) / name).exists()]
    checked = {ours}
    for python in found:
        asked = subprocess.run([python, "-c", TELL_VERSION], capture_output=True)
        version = tuple(map(int, asked.stdout.split()))
        if version < (3, 10) or version in checked:
            continue
        checked.add(version)
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        run = subprocess.run([python, __file__], capture_output=True, text=True, env=environment, timeout=120)
        assert run.returncode == 0, f"{python}\n{run.stdout}{run.stderr}"
    if len(checked) == 1:
        raise unittest.SkipTest("this machine has no other Python from 3.10 on")


def main():
    for name, test in list(globals().items()):
        if name.startswith("test_") and "other_interpreters" not in name:
            test()


if __name__ == "__main__":
    main()
