"""What is reported dead is never read: shown by poisoning it in random programs, on every Python at hand.

Nothing here needs pytest: ``python tests/training/test_liveness.py [FIRST_SEED COUNT]`` checks a bare Python.
"""

import dis
import glob
import os
import random
import subprocess
import sys
import time
import unittest
from pathlib import Path
from types import CodeType

from survivor.training.frames import read, user_frames, write
from survivor.training.liveness import dead_names, live_variables, may_swallow

ROOT = Path(__file__).resolve().parents[2]
TELL_VERSION = "import sys; print(*sys.version_info[:2])"
CASES = 100  # of each flavour
NAMES = "abcdef"


class Poisoned(BaseException):
    """A dead variable was read."""


class Poison:
    """Raises at any use that a generated program makes of a variable."""


def _refuse(*_arguments):
    raise Poisoned


_USES = "add radd sub rsub mod bool repr eq hash iter index call getattribute enter exit lt gt await"
for _name in _USES.split():
    setattr(Poison, f"__{_name}__", _refuse)


class Writer:
    """Writes the body of a random function, statement by statement; every loop in it ends."""

    def __init__(self, seed, flavour):
        self.random = random.Random(f"{seed} {flavour}")
        self.flavour = flavour
        self.swallows = seed % 2
        self.lines = []
        self.loops = 0

    def program(self):
        # Most variables are bound at first, so that a program gets beyond its first lines.
        for name in NAMES:
            if self.random.random() < 0.8:
                self.add(1, f"{name} = {self.random.randrange(9)}")
        if self.flavour != "module" and self.random.random() < 0.2:
            name = self.name()
            self.add(1, f"keep(lambda: {name})")
        self.block(1, 4)
        self.add(1, f"note({self.name()})")
        body = "\n".join(self.lines)
        if self.flavour == "module":
            return f"if 1:\n{body}\n"
        return f"{'async ' if self.flavour == 'async' else ''}def function(f=3):\n{body}\n"

    def add(self, level, line):
        self.lines.append("    " * level + line)

    def name(self):
        return self.random.choice(NAMES)

    def value(self, depth=2):
        choose, name, other = self.random.randrange(12), self.name(), self.name()
        if depth == 0 or choose < 4:
            return self.random.choice([name, str(self.random.randrange(9)), f"({name} + 1) % 97"])
        inner = self.value(depth - 1)
        if choose < 6:
            return f"mix({inner}, {self.value(depth - 1)})"
        return [
            f"probe({inner})",
            f"({name} := {inner})",
            f"total([mix({name}, {inner}) for {name} in range(3)])",
            f"total([probe({name}) for {other} in range(2) for {name} in [{other}, {inner}] if {name} != 1])",
            f"total({{{other}: {name} for {other} in range(3)}})",
            f"({inner} if {name} % 2 else {other})",
        ][choose - 6]

    def block(self, level, depth):
        before = len(self.lines)
        for _ in range(self.random.randint(1, 4)):
            self.statement(level, depth)
        if len(self.lines) == before:
            self.add(level, "pass")

    def statement(self, level, depth):
        choices = [self.assign] * 3 + [self.probe] * 2 + [self.delete, self.leave, self.note]
        if depth:
            choices += [self.for_loop, self.attempt] * 2 + [self.branch, self.while_loop, self.using]
        self.random.choice(choices)(level, depth - 1)

    def assign(self, level, _):
        two = f"{{}}, {self.name()} = {{}}, {self.name()}"
        form = self.random.choice(["{} = {}", "{} = {}", "{} += {}", two])
        self.add(level, form.format(self.name(), self.value()))

    def probe(self, level, _):
        waits = "await wait()" if self.flavour == "async" else "yield"
        stops = self.flavour in ("async", "generator") and self.random.random() < 0.5
        self.add(level, waits if stops else "probe()")

    def delete(self, level, _):
        if self.random.random() < 0.5:
            self.add(level, f"del {self.name()}")

    def leave(self, level, _):
        choose = self.random.random()
        if self.loops and choose < 0.5:
            self.add(level, f"if {self.name()} % 3 == 1: {self.random.choice(['break', 'continue'])}")
        elif choose < 0.7:
            self.add(level, f"fail({self.name()})")
        elif choose < 0.75 and self.flavour != "module":
            value = self.value() if self.flavour == "plain" else ""
            self.add(level, f"if {self.name()} % 5 == 4: return {value}")

    def note(self, level, _):
        self.add(level, f"note({self.value()})")

    def branch(self, level, depth):
        self.add(level, f"if {self.value()} % 2:")
        self.block(level + 1, depth)
        if self.random.random() < 0.5:
            self.add(level, "else:")
            self.block(level + 1, depth)

    def loop(self, head, level, depth):
        self.add(level, head)
        self.loops += 1
        self.block(level + 1, depth)
        self.loops -= 1
        if self.random.random() < 0.3:
            self.add(level, "else:")
            self.block(level + 1, depth)

    def for_loop(self, level, depth):
        kind = "async for" if self.flavour == "async" and self.random.random() < 0.5 else "for"
        items = self.random.choice(["items(3)", "range(3)"]) if kind == "for" else "async_items(3)"
        self.loop(f"{kind} {self.name()} in {items}:", level, depth)

    def while_loop(self, level, depth):
        also = self.random.choice(["", f" and {self.name()} != 2"])
        self.loop(f"while fuel(){also}:", level, depth)

    def attempt(self, level, depth):
        self.add(level, "try:")
        self.block(level + 1, depth)
        form = self.random.randrange(3)
        loops = self.loops
        if form:
            caught = self.random.choice(["Failure", f"Failure as {self.name()}", "Exception"])
            self.add(level, f"except {caught}:")
            self.block(level + 1, depth)
            if self.random.random() < 0.3:
                self.add(level, "else:")
                self.block(level + 1, depth)
        if form != 1:
            self.add(level, "finally:")
            self.block(level + 1, depth)
        self.loops = loops

    def using(self, level, depth):
        manager = f"manager({self.random.randrange(1 + self.swallows)})"
        kind = "async with" if self.flavour == "async" and self.random.random() < 0.5 else "with"
        self.add(level, f"{kind} {manager} as {self.name()}, {manager}:")
        self.block(level + 1, depth)


class Run:
    """One execution of a generated program, with its own helpers; `poisons`: dead variables really die."""

    def __init__(self, code, poisons, swallows):
        self.code, self.poisons, self.swallows = code, poisons, swallows
        self.poisoned = self.probes = self.failures = 0
        self.log, self.kept = [], []
        self.budget = 300

    def namespace(self):
        run = self

        class Failure(Exception):
            pass

        class Manager:
            def __init__(self, suppresses):
                self.suppresses = suppresses

            def __enter__(self):
                return run.probe(self.suppresses)

            def __exit__(self, kind, *_):
                run.probe()
                return bool(self.suppresses) and kind is Failure

            async def __aenter__(self):
                await wait()
                return self.__enter__()

            async def __aexit__(self, *error):
                await wait()
                return self.__exit__(*error)

        class Wait:
            def __await__(self):
                yield
                return run.probe(1)

        def wait():
            return Wait()

        def items(count):
            for item in range(count):
                run.probe()
                yield item

        async def async_items(count):
            for item in range(count):
                await wait()
                yield item

        def fail(value):
            run.probe()
            self.failures += 1
            if (self.failures * 7 + value) % 3 == 0:
                raise Failure

        helpers = [wait, items, async_items, fail, Failure]
        return {
            **{helper.__name__: helper for helper in helpers},
            "probe": run.probe,
            "manager": Manager,
            "keep": self.kept.append,
            "note": lambda value: self.log.append(repr(value)),
            "mix": lambda first, second: (number(first) * 31 + number(second)) % 97,
            "total": lambda values: sum(map(number, values)) % 97,
            "fuel": self.fuel,
        }

    def fuel(self):
        self.probe()
        self.budget -= 1
        return self.budget % 5 > 0

    def probe(self, value=0):
        self.probes += 1
        if self.probes > 500:
            raise TimeoutError
        if self.poisons:
            self.poison(sys._getframe(1))
        return value

    def poison(self, start):
        for frame in user_frames(start, lambda code: code.co_filename == self.code.co_filename):
            if frame.f_code.co_name == "<module>":
                dead = dead_names(frame.f_code, frame.f_lasti, (), withs_swallow=self.swallows)
            else:
                live = live_variables(frame.f_code, frame.f_lasti, withs_swallow=self.swallows)
                dead = frozenset(frame.f_code.co_varnames) - live
            bound = dead & read(frame).keys()
            write(frame, {name: Poison() for name in bound}, set())
            self.poisoned += len(bound)

    def outcome(self):
        space = self.namespace()
        try:
            exec(self.code, space)
            result = drive(space["function"]()) if "function" in space else None
            kept = []
            for reader in self.kept:
                try:
                    kept.append(reader())
                except NameError:
                    kept.append("unbound")
            return repr(result), kept, self.log
        except Exception as error:
            return type(error).__name__, str(error), self.log


def number(value):
    return value if isinstance(value, int) else len(repr(value)) if value is None else 1


def drive(running):
    """Run a function's result to its end, if it is a generator or a coroutine."""
    if hasattr(running, "send"):
        try:
            for step in range(10_000):
                running.send(None)
        except StopIteration as end:
            return end.value
    return running


def check(seed, flavour):
    """Poison all that is dead at each probe of one program; return the number of poisoned variables."""
    writer = Writer(seed, flavour)
    source = writer.program()
    try:
        code = compile(source, f"<{flavour} {seed}>", "exec")
    except SyntaxError as error:
        # A comprehension may not rebind its own variable.
        assert "assignment expression" in str(error), source
        return 0, 0
    plain = Run(code, False, writer.swallows)
    expected = plain.outcome()
    poisoned = Run(code, True, writer.swallows)
    try:
        found = poisoned.outcome()
    except Poisoned:
        found = "a dead variable was read"
    assert found == expected, f"seed {seed}, {flavour}, {sys.version}\n{source}\n{expected}\n{found}"
    return poisoned.poisoned, poisoned.probes


def check_many(flavour, first, count):
    poisoned, probes = map(sum, zip(*(check(seed, flavour) for seed in range(first, first + count))))
    last = first + count - 1
    print(f"{flavour}: seeds {first} to {last}, {poisoned} variables poisoned at {probes} probes")
    assert poisoned > count and probes > count


def test_dead_variables_of_random_functions_are_never_read():
    check_many("plain", 0, CASES)


def test_dead_variables_of_random_generators_are_never_read():
    check_many("generator", 0, CASES)


def test_dead_variables_of_random_coroutines_are_never_read():
    check_many("async", 0, CASES)


def test_dead_names_of_random_modules_are_never_read():
    check_many("module", 0, CASES)


def live_at_head(source, name="function"):
    """Names live at the call of ``head()`` in the loop of `source`."""
    space = {}
    found = []

    def head(items=()):
        frame = sys._getframe(1)
        found.append(live_variables(frame.f_code, frame.f_lasti))
        return items

    exec(source, space)
    space["head"] = head
    space[name]()
    return found[-1]


def test_the_batch_the_output_and_the_loss_are_dead_at_the_head_of_a_training_loop():
    source = """
def function(steps=3):
    total, best = 0, None
    for epoch in range(2):
        for x, y in zip(range(steps), range(steps)):
            head()
            out = x + y
            loss = out * 2
            try:
                total += loss
            except ValueError:
                break
            if best is None or loss < best:
                best = loss
    return total
"""
    # x and y of the iteration under way are read by its body.
    assert live_at_head(source) == {"total", "best", "steps", "x", "y"}


def test_at_the_item_of_a_for_the_variables_of_the_last_iteration_are_dead():
    source = """
def function(steps=3):
    total = 0
    for x in items():
        out = x + 1
        loss = out * 2
        total += loss
    return total
"""
    found = []
    space = {}

    def items():
        for item in range(2):
            frame = sys._getframe(1)
            found.append(live_variables(frame.f_code, frame.f_lasti))
            yield item

    exec(source, space)
    space["items"] = items
    assert space["function"]() == 6
    assert found == [{"total"}, {"total"}]


WITH = """
def function(manager):
    total = 0
    for step in range(2):
        head()
        with manager:
            loss = step
        total += loss
    return total
"""


def test_what_a_with_sets_is_live_only_if_its_manager_may_swallow_an_exception():
    space = {}
    exec(WITH, space)
    code = space["function"].__code__
    lasti = next(i.offset for i in dis.get_instructions(code) if i.argval == "head")
    assert live_variables(code, lasti) == {"total", "step", "manager", "loss"}
    assert live_variables(code, lasti, withs_swallow=False) == {"total", "step", "manager"}
    module = LOOP.replace("out =", "with open('/dev/null'): out =")
    assert dead_at_head(module) == {"loss"}
    assert dead_at_head(module, withs_swallow=False) == {"loss", "out"}


def test_code_that_names_or_defines_a_swallowing_manager_is_told():
    for source, expected in {
        "with open(x) as f, torch.no_grad(): pass": False,
        "with contextlib.suppress(KeyError): pass": True,
        "def f():\n  with contextlib.ExitStack(): pass": True,
        "class A:\n  def __exit__(self, *error):\n    self.t = 1": False,
        "class A:\n  def __exit__(self, *error):\n    if error: return None\n    self.t = 1": False,
        "class A:\n  def __exit__(self, *error):\n    return True": True,
        "class A:\n  def __exit__(self, *error):\n    return self.x if self.x else None": True,
        "@contextmanager\ndef f(): yield": True,
    }.items():
        assert may_swallow([compile(source, "x", "exec")]) == expected, source


def test_cells_and_free_variables_are_always_live():
    def outer():
        free = 0

        def function():
            cell = 1
            dead = 2
            (lambda: cell)()
            return free and dead

        return function.__code__

    code = outer()
    assert live_variables(code, len(code.co_code) - 2) == {"cell", "free"}


def test_before_the_first_instruction_the_parameters_that_are_read_are_live():
    def function(used, unused):
        local = used
        return local

    assert live_variables(function.__code__, -1) == {"used"}


def test_everything_is_live_where_the_function_looks_at_its_own_variables():
    for call in ("locals()", "eval('dead')", "exec('')", "vars()", "dir()", "__import__('sys')._getframe()"):
        source = f"def function():\n    dead = 1\n    head()\n    {call}\n"
        assert "dead" in live_at_head(source), call


def test_methods_and_arguments_of_such_names_do_not_make_everything_live():
    for call in ("model.eval()", "vars(model)", "dir(model.part)", "model.dir", "model.exec(vars(model))"):
        source = f"def function():\n    dead = 1\n    def later(model):\n        {call}\n    head()\n"
        assert "dead" not in live_at_head(source), call
        nested = f"def function(model=None):\n    dead = 1\n    head()\n    if model: {call}\n"
        assert live_at_head(nested) == {"model"}, call


def test_a_pandas_query_that_names_a_variable_makes_everything_live():
    source = "def function(t=None):\n    limit = 1\n    head()\n    if t: t.query('loss < @limit')\n"
    assert "limit" in live_at_head(source)


def test_super_without_arguments_needs_the_first_parameter():
    class Method:
        def method(self, other):
            super().__init__()

    code = Method.method.__code__
    assert "self" in live_variables(code, 0)


def test_a_variable_to_be_deleted_is_live():
    assert live_at_head("def function():\n    x = 1\n    head()\n    del x\n") == {"x"}


def test_a_variable_that_only_a_handler_reads_is_live_in_its_try():
    source = """
def function():
    x, y = 1, 2
    try:
        head()
        x = y = 3
        return y
    except ValueError:
        return x
"""
    assert live_at_head(source) == {"x"}


def test_code_longer_than_one_byte_of_jumps_is_followed():
    filler = "\n".join(f"        total += x * {number}.5" for number in range(600))
    loop = f"    for x in range(2):\n        head()\n        dead = 1\n{filler}\n"
    source = f"def function():\n    total = 0\n{loop}    return total\n"
    assert live_at_head(source) == {"total", "x"}
    many = "".join(f"    v{number} = {number}\n" for number in range(300))
    reads = " + ".join(f"v{number}" for number in range(0, 300, 2))
    source = f"def function():\n{many}    head()\n    return {reads}\n"
    assert live_at_head(source) == {f"v{number}" for number in range(0, 300, 2)}


def dead_at_head(source, *others, **options):
    """Names dead at the call of ``head()`` in the module `source`, beside the modules `others`."""
    codes = [compile(text, f"{place}.py", "exec") for place, text in enumerate((source, *others))]
    found = []

    def head(*_):
        frame = sys._getframe(1)
        while frame.f_code is not codes[0]:
            frame = frame.f_back
        found.append(dead_names(codes[0], frame.f_lasti, codes, **options))
        return True

    exec(codes[0], {"head": head, "model": Poison})
    return found[-1]


LOOP = """
total = 0
for x in range(3):
    head()
    out = x + 1
    loss = out * 2
    total += loss
"""


def test_what_an_iteration_of_a_module_writes_first_is_dead():
    assert dead_at_head(LOOP) == {"out", "loss"}


def test_a_name_that_other_code_reads_is_not_dead():
    assert dead_at_head(LOOP + "def show():\n    return loss\n") == {"out", "show"}
    method = "class A:\n    def show(self):\n        return [loss for _ in ()]\n"
    assert dead_at_head(LOOP + method) == {"out", "A"}
    assert dead_at_head(LOOP, "from main import loss\n") == {"out"}
    assert dead_at_head(LOOP, "def late():\n    import main\n    return main.out\n") == {"loss"}
    assert dead_at_head(LOOP + "def show(model):\n    return model.loss\n") == {"out", "loss", "show"}
    storing = "out = 1\nclass A:\n    def __init__(self):\n        self.loss = 1\n"
    assert dead_at_head(LOOP, storing) == {"out", "loss"}


def test_nothing_is_dead_where_code_could_look_at_all_globals():
    for line in ("globals()", "exec('')", "eval('1')", "vars()", "locals()", "import sys; sys.modules"):
        assert dead_at_head(LOOP + line) == frozenset(), line
    for line in ("globals()", "exec('')", "eval('1')", "import __main__", "import sys; sys.modules"):
        assert dead_at_head(LOOP + f"def late():\n    {line}\n") == frozenset(), line
        assert dead_at_head(LOOP, f"def late():\n    {line}\n") == frozenset(), line
    assert dead_at_head(LOOP, "from main import *\n") == frozenset()


def test_such_names_as_methods_leave_a_module_its_dead_names():
    for line in ("model.eval()", "vars(model)", "model.modules()", "dir(model)"):
        assert dead_at_head(LOOP + f"if total < 0: {line}\n") == {"out", "loss"}, line
        late = f"def late():\n    {line}\n    locals()\n"
        assert dead_at_head(LOOP + late) == {"out", "loss", "late"}, line


def test_a_module_above_a_function_keeps_what_it_reads_afterwards():
    source = "kept, dead = 1, 2\ndef main():\n    head()\nmain()\nprint(end=str(kept) * 0)\n"
    assert dead_at_head(source) == {"dead", "main"}


def test_asking_again_costs_microseconds():
    source = "def f():\n" + "".join(f"    v{n} = 1\n    print(v{n})\n" for n in range(500))
    code = compile(source, "f", "exec").co_consts[0]
    assert isinstance(code, CodeType)
    live_variables(code, 100)
    start_s = time.perf_counter()
    for _ in range(1000):
        live_variables(code, 100)
    assert (time.perf_counter() - start_s) / 1000 < 1e-3


def test_all_this_holds_on_the_other_interpreters():
    found = glob.glob(os.path.expanduser("~/.pyenv/versions/3.*/bin/python"))
    for name in (f"python3.{minor}" for minor in range(10, 20)):
        found += [str(Path(folder) / name) for folder in os.get_exec_path() if (Path(folder) / name).exists()]
    checked = {sys.version_info[:2]}
    for python in found:
        asked = subprocess.run([python, "-c", TELL_VERSION], capture_output=True)
        version = tuple(map(int, asked.stdout.split()))
        if version < (3, 10) or version in checked:
            continue
        checked.add(version)
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        run = subprocess.run([python, __file__], capture_output=True, text=True, env=environment, timeout=120)
        print(python, run.stdout, sep="\n")
        assert run.returncode == 0, f"{python}\n{run.stdout}{run.stderr}"
    if len(checked) == 1:
        raise unittest.SkipTest("this machine has no other Python from 3.10 on")


def main(arguments):
    global CASES
    CASES = 25  # the checks of all interpreters together should take seconds
    if arguments:
        for flavour in ("plain", "generator", "async", "module"):
            check_many(flavour, *map(int, arguments))
        return
    for name, test in list(globals().items()):
        if name.startswith("test_") and "other_interpreters" not in name:
            test()


if __name__ == "__main__":
    main(sys.argv[1:])
