"""Random training scripts: plain, deterministic, legal under the promise, and as odd as people write them.

A program is made of *blocks*: lists of statements for one place, which knows the variables that are bound
there (`Place`). Every statement is legal wherever it is put, so a program never fails by itself and never
reads what is not bound. `budget` bounds the number of training steps.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field, replace

from pieces import CLASSES, HEAD, INITIAL, ITERABLES, MUTATIONS, OVER_HELD, READS, REBINDINGS, TRAINERS

_MOST_STEPS = 70
_LEAST_STEPS = 12
_MOST_DEPTH = 4


@dataclass
class Place:
    """Where a block stands.

    Attributes:
        names: variables that are bound here, with their kinds.
        own: those that may be bound again here (locals, or declared global or nonlocal).
        frozen: containers that are being iterated over.
        times: how often this place is run, at most.
        kind: "module", "function" or "generator".
        loops: number of loops of this function around this place.
        fallible: a ValueError that is raised here is caught.
    """

    names: dict[str, str]
    own: set[str]
    frozen: frozenset[str] = frozenset()
    times: int = 1
    kind: str = "module"
    loops: int = 0
    depth: int = 0
    fallible: bool = False
    in_finally: bool = False

    def inner(self, **changes: object) -> Place:
        """A place inside this one: what is bound there is not known to be bound outside."""
        return replace(self, names=dict(self.names), own=set(self.own), depth=self.depth + 1, **changes)  # type: ignore[arg-type]


@dataclass
class Function:
    """Something that can be called: with which arguments, and at what price in training steps."""

    name: str
    parameters: tuple[str, ...]
    cost: int
    generator: bool = False


@dataclass
class Generator:
    """Writes one program.

    Args:
        seed: everything follows from it.
        features: names of statements to leave out.
    """

    seed: int
    lines: list[str] = field(default_factory=list)
    functions: list[Function] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.indent = 0
        self.count = 0
        self.cost = 0
        self.classes: list[str] = []

    # --- the whole ------------------------------------------------------------------------------

    def program(self) -> str:
        """The source."""
        r = self.random
        self.put(HEAD)
        if r.random() < 0.7:
            self.put(f"random.seed({r.randrange(99)}); np.random.seed({r.randrange(99)}); torch.manual_seed({r.randrange(99)})")
        self.put(r.choice(TRAINERS))
        for source in r.sample(CLASSES, r.randint(1, 3)):
            self.put(source)
            self.classes.append(source.split("class ")[1].split("(")[0].split(":")[0])
        top = Place({"w": "param"}, set())
        for _ in range(r.randint(3, 7)):
            self.declare(top)
        for _ in range(r.randint(0, 3)):
            self.function(top)
        self.block(top, r.randint(3, 6))
        while self.cost < _LEAST_STEPS:
            self.loop(top)
        self.event(top, list(top.names))
        return "\n".join(self.lines) + "\n"

    def put(self, text: str) -> None:
        for line in text.strip("\n").split("\n"):
            self.lines.append("    " * self.indent + line)

    def fresh(self, prefix: str = "v") -> str:
        self.count += 1
        return f"{prefix}{self.count}"

    def train(self, place: Place, text: str, cost: int = 1) -> None:
        self.cost += cost * place.times
        self.put(text)

    def affordable(self, place: Place, cost: int) -> bool:
        return self.cost + cost * place.times <= _MOST_STEPS

    # --- expressions ----------------------------------------------------------------------------

    def integer(self, place: Place) -> str:
        """An expression for a small natural number."""
        r = self.random
        options = [str(r.randrange(7)), str(r.randrange(7)), "random.randrange(9)", "int(torch.randint(9, (1,)))",
                   "int(np.random.randint(9))", "int(torch.rand(1) * 9)"]
        for name, kind in place.names.items():
            options += [text.format(n=name) for text in READS.get(kind, ())]
        return r.choice(options)

    def real(self, place: Place) -> str:
        r = self.random
        return r.choice([f"{r.randrange(1, 9) / 8}", "random.random()", "float(np.random.rand())", "torch.rand(1).item()",
                         f"({self.integer(place)}) / 8"])

    def condition(self, place: Place) -> str:
        r = self.random
        return r.choice([f"({self.integer(place)}) % {r.choice([2, 3])} == {r.randrange(2)}", f"{self.real(place)} < 0.5",
                         f"({self.integer(place)}) > {r.randrange(2, 6)}"])

    def of_kind(self, place: Place, *kinds: str, mutable: bool = False, own: bool = False) -> str | None:
        found = [n for n, k in place.names.items() if k in kinds and not (mutable and n in place.frozen)
                 and not (own and n not in place.own)]
        return self.random.choice(found) if found else None

    # --- statements -----------------------------------------------------------------------------

    def declare(self, place: Place, kind: str | None = None) -> str:
        """Bind a new variable."""
        kind = kind or self.random.choice(list(INITIAL))
        name = self.fresh()
        alike = self.of_kind(place, kind)
        if alike is not None and self.random.random() < 0.12 and kind not in ("iter", "function"):
            value = alike  # two names for one object
        elif kind == "tensor" and (base := self.of_kind(place, "tensor")) and self.random.random() < 0.3:
            value = f"{base}[:]"  # a view
        elif kind == "object":
            cls = self.random.choice(self.classes)
            value = f"{cls}({self.integer(place)})"
        else:
            value = self.random.choice(INITIAL[kind])
        self.put(f"{name} = {value}")
        place.names[name] = kind
        place.own.add(name)
        return name

    def event(self, place: Place, names: list[str] | None = None) -> None:
        r = self.random
        if names is None:
            names = r.sample(list(place.names), min(len(place.names), r.randint(1, 3)))
        tag = self.fresh("e")
        self.put(f"event({', '.join([repr(tag), *names])})")

    def mutate(self, place: Place) -> None:
        """Change something that a name stands for, or bind the name again."""
        r = self.random
        names = [n for n, k in place.names.items() if n not in place.frozen and (MUTATIONS.get(k) or REBINDINGS.get(k))]
        r.shuffle(names)
        for name in names:
            kind = place.names[name]
            options = list(MUTATIONS.get(kind, ()))
            if name in place.own:
                options += REBINDINGS.get(kind, ())
            if options:
                text = r.choice(options)
                other = self.of_kind(place, kind) or name
                self.put(text.format(n=name, i=self.integer(place), f=self.real(place), o=other))
                return
        self.event(place)

    def draw(self, place: Place) -> None:
        name = self.fresh("d")
        self.put(f"{name} = {self.integer(place)}")
        place.names[name] = "int"
        place.own.add(name)

    def step(self, place: Place) -> None:
        """Train."""
        r = self.random
        i = self.integer(place)
        if not self.affordable(place, 1):
            self.event(place)
            return
        match r.randrange(6):
            case 0:
                self.train(place, f"loss = ((w * ({i})) ** 2).mean()\nloss.backward()\nupdate()\nevent('s', loss.item())")
            case 1:
                name = self.fresh("l")
                self.train(place, f"{name} = train({i})")
                place.names[name] = "float"
                place.own.add(name)
            case 2:
                self.train(place, "event('t', [train(q) for q in range(2)])", 2)
            case _:
                self.train(place, f"train({i})")

    def conditional(self, place: Place) -> None:
        self.put(f"if {self.condition(place)}:")
        self.body(place.inner(), self.random.randint(1, 2))
        if self.random.random() < 0.4:
            self.put("else:")
            self.body(place.inner(), self.random.randint(1, 2))

    def body(self, place: Place, size: int) -> Place:
        self.indent += 1
        before = len(self.lines)
        self.block(place, size)
        if len(self.lines) == before:
            self.put("pass")
        self.indent -= 1
        return place

    def call(self, place: Place) -> None:
        """Call a function of the program's, if it can be afforded."""
        r = self.random
        usable = [f for f in self.functions if self.affordable(place, f.cost) and not f.generator]
        if not usable:
            self.mutate(place)
            return
        function = r.choice(usable)
        self.cost += function.cost * place.times
        arguments = ", ".join(self.argument(place, kind) for kind in function.parameters)
        result = self.fresh("r")
        if r.random() < 0.15 and function.cost * 2 * place.times + self.cost <= _MOST_STEPS:
            self.cost += function.cost * place.times
            self.put(f"{result} = sum([{function.name}({arguments}) for _ in range(2)]) % 97")
        else:
            self.put(f"{result} = {function.name}({arguments})")
        place.names[result] = "int"
        place.own.add(result)

    def argument(self, place: Place, kind: str) -> str:
        if kind == "int":
            return self.integer(place)
        held = self.of_kind(place, kind)
        if kind == "object" and held is None:
            return f"{self.random.choice(self.classes)}({self.integer(place)})"
        return held if held is not None else self.random.choice(INITIAL[kind])

    def attempt(self, place: Place) -> None:
        """``try``, with what goes with it."""
        r = self.random
        tag = self.fresh("e")
        self.put("try:")
        if r.random() < 0.5:
            self.body(place.inner(fallible=True), r.randint(2, 3))
            self.put("except ValueError as error:")
            self.put(f"    event({tag!r}, str(error))")
            if r.random() < 0.3:
                self.put("else:")
                self.body(place.inner(), 1)
            if r.random() < 0.3:
                self.put("finally:")
                self.body(place.inner(loops=0, kind="module" if place.kind == "module" else place.kind, in_finally=True), 1)
        else:
            self.body(place.inner(), r.randint(2, 3))
            self.put("finally:")
            self.body(place.inner(in_finally=True), 1)

    def context(self, place: Place) -> None:
        self.put(self.random.choice(["with torch.enable_grad():", "with contextlib.suppress(KeyError):", "with Section():"]))
        self.body(place.inner(), self.random.randint(1, 3))

    def leave(self, place: Place) -> None:
        """``break``, ``continue``, ``return`` or ``raise`` under a condition."""
        r = self.random
        options = []
        if place.loops and not place.in_finally:
            options += ["break", "continue"]
        if place.kind == "function" and not place.in_finally:
            options += [f"return {self.integer(place)}"]
        if place.fallible:
            options += [f"raise ValueError({r.randrange(9)})"]
        if options:
            self.put(f"if {self.condition(place)}:\n    {r.choice(options)}")
        else:
            self.mutate(place)

    def manual(self, place: Place) -> None:
        """An iterator that is held in a variable and asked by hand."""
        r = self.random
        name = self.of_kind(place, "iter", own=True)
        if name is None or r.random() < 0.2:
            name = self.declare(place, "iter")
        again = r.choice(INITIAL["iter"])
        got = self.fresh("g")
        self.put(f"try:\n    {got} = next({name})\nexcept StopIteration:\n    {name} = {again}\n    {got} = next({name})")
        place.names[got] = "int"
        self.put(f"{got} = number({got})")
        place.own.add(got)

    def hidden(self, place: Place) -> None:
        """A state that carries its graph from one iteration to the next, where it is detached first."""
        r = self.random
        trips = r.randint(2, 4)
        if not self.affordable(place, trips):
            return
        h = self.fresh("h")
        self.put(f"{h} = torch.zeros(2)\nfor {h}_i in range({trips}):")
        place.names[h] = "graph"
        place.own.add(h)
        self.indent += 1
        inner = place.inner(times=place.times * trips, loops=place.loops + 1)
        inner.names[f"{h}_i"] = "int"
        self.block(inner, r.randint(0, 2))
        self.train(inner, f"{h} = ({h}.detach() * 0.5 + w * {self.integer(place)}).tanh()\n({h} ** 2).sum().backward()\nupdate()")
        self.event(inner, [h])
        self.indent -= 1

    def window(self, place: Place) -> None:
        """Losses that are collected over some iterations, or gradients that are."""
        r = self.random
        trips = r.randint(3, 6)
        if not self.affordable(place, trips):
            return
        k = self.fresh("k")
        kind = r.randrange(3)
        self.put({0: f"{k}_sum = 0", 1: f"{k}_all = []", 2: ""}[kind] or "pass")
        self.put(f"for {k} in range({trips}):")
        self.indent += 1
        inner = place.inner(times=place.times * trips, loops=place.loops + 1)
        inner.names[k] = "int"
        loss = f"((w - {self.integer(inner)}) ** 2).mean()"
        self.block(inner, r.randint(0, 2))
        if kind == 0:
            self.train(inner, f"{k}_sum = {k}_sum + {loss}\nif {k} % 2:\n    {k}_sum.backward()\n    update()\n    {k}_sum = 0\n    event('w', w)")
        elif kind == 1:
            self.train(inner, f"{k}_all.append({loss})\nif len({k}_all) == 2:\n    sum({k}_all).backward()\n    update()\n    {k}_all.clear()\n    event('w', w)")
        else:
            self.train(inner, f"{loss}.backward()\nevent('a', w.grad)\nif {k} % 2:\n    update()")
        self.block(inner, r.randint(0, 1))
        self.indent -= 1

    def callback(self, place: Place) -> None:
        """Train through a callable that a variable, a list or a dict holds."""
        name = self.of_kind(place, "call", "calls")
        if name is None or not self.affordable(place, 2):
            self.declare(place, self.random.choice(["call", "calls"]))
            return
        if place.names[name] == "call":
            self.train(place, f"{name}()")
            return
        held = f"({name}.values() if isinstance({name}, dict) else {name})"
        self.train(place, f"for call in list({held})[-2:]:\n    call()", 2)
        if self.random.random() < 0.5:
            made = self.random.choice([f"functools.partial(train, {self.integer(place)})", f"maker({self.integer(place)})"])
            self.put(f"if isinstance({name}, dict):\n    {name}['b'] = {made}\nelse:\n    {name}.append({made})")

    def worklist(self, place: Place) -> None:
        """A list that grows while it is iterated over, or is taken from until it is empty."""
        r = self.random
        if place.depth >= _MOST_DEPTH or not self.affordable(place, 6):
            return
        q = self.fresh("q")
        x = self.fresh("x")
        inner = place.inner(times=place.times * 5, loops=place.loops + 1)
        inner.names[x] = "int"
        place.names[q] = inner.names[q] = "queue"
        self.put(f"{q} = {r.choice(['[0, 2]', 'collections.deque([1])'])}")
        if r.random() < 0.5:
            self.put(f"{q} = list({q})\nfor {x} in {q}:\n    if len({q}) < 5 and {x} < 3:\n        {q}.append({x} + 1)")
        else:
            self.put(f"{q} = list({q})\n{q}_n = 0\nwhile {q} and {q}_n < 5:\n    {q}_n += 1\n    {x} = {q}.pop()\n"
                     f"    if {x} < 2:\n        {q} += [{x} + 1, 3]")
        self.loop_body(inner, None)

    def escape(self, place: Place) -> None:
        """A loop that an exception leaves, which is caught outside of it; training may follow in the handler."""
        r = self.random
        if place.depth >= _MOST_DEPTH or not self.affordable(place, 8):
            return
        x, tag, trips = self.fresh("x"), self.fresh("e"), r.randint(2, 4)
        inner = place.inner(times=place.times * trips, loops=place.loops + 1)
        inner.names[x] = "int"
        match r.randrange(3):
            case 0:
                self.put(f"{x}_it = iter({r.choice(['range', 'numbers', 'Countdown'])}({trips}))\ntry:\n    while True:")
                first, last, caught = f"{x} = next({x}_it)", "", "except StopIteration:"
            case 1:
                self.put(f"try:\n    for {x} in range({trips}):")
                first = "pass"
                last = f"if {self.condition(inner)}:\n    raise Early({x}, step=[{self.integer(inner)}])"
                caught = "except Early as error:"
            case _:
                self.put(f"with contextlib.suppress(KeyError):\n    for {x} in range({trips}):")
                first, last, caught = "pass", f"if {x} == {r.randrange(trips)}:\n    {{}}[{x}]", ""
        self.indent += 2
        self.put(first)
        self.block(inner, r.randint(0, 2))
        self.step(inner)
        if last:
            self.put(last)
            self.block(inner, r.randint(0, 1))
        self.indent -= 2
        if caught:
            self.put(f"{caught}\n    event({tag!r}{', str(error), error.n, error.step' if 'error' in caught else ''})")
            self.indent += 1
            handler = place.inner()
            self.block(handler, r.randint(0, 2))
            if r.random() < 0.3 and self.affordable(handler, 3):
                self.for_loop(handler)
            self.indent -= 1
        if caught and r.random() < 0.3:
            self.put("finally:")
            self.body(place.inner(in_finally=True), 1)

    # --- loops ----------------------------------------------------------------------------------

    def loop(self, place: Place) -> None:
        """A loop, with statements before, in and after it."""
        if place.depth >= _MOST_DEPTH or not self.affordable(place, 4):
            self.step(place)
            return
        if self.random.random() < 0.3:
            self.while_loop(place)
        else:
            self.for_loop(place)

    def for_loop(self, place: Place) -> None:
        r = self.random
        trips = r.randint(2, 4)
        x = self.fresh("x")
        inner = place.inner(times=place.times * trips, loops=place.loops + 1)
        generators = [f for f in self.functions if f.generator and self.affordable(place, f.cost)]
        held = self.of_kind(place, "list", "dict", "set", "deque", "counter", "strings")
        if generators and r.random() < 0.2:
            function = r.choice(generators)
            self.cost += function.cost * place.times
            arguments = ", ".join(self.argument(place, kind) for kind in function.parameters)
            made = f"{function.name}({arguments})"
            header = r.choice([f"for {x} in {made}:", f"for {x}, _ in zip({made}, range({trips})):", f"for _, {x} in enumerate({made}):"])
            inner.names[x] = "any"
        elif held and r.random() < 0.25:
            header = self.over_held(place, inner, held, x, trips)
        else:
            text, kind = r.choice(ITERABLES)
            header = text.format(x=x, k=trips, i=self.integer(place))
            inner.names[x] = kind
        guard = None
        if "{guard}" in header:
            header = header.replace("{guard}", "")
            guard = f"if {x} >= {trips - 1}:\n    break"
        self.put(header)
        inner.own.add(x)
        self.loop_body(inner, guard)
        if r.random() < 0.15:
            self.put("else:")
            self.body(place.inner(), 1)

    def over_held(self, place: Place, inner: Place, held: str, x: str, trips: int) -> str:
        r = self.random
        kind = place.names[held]
        if kind == "set":
            form = "for {x} in sorted({h}, key=str)[:{k}]:"
        elif kind in ("dict", "counter"):
            form = r.choice(["for {x}, {x}_v in list({h}.items())[:{k}]:", "for {x} in sorted({h}, key=str)[:{k}]:",
                             "for {x}, {x}_v in itertools.islice({h}.items(), {k}):", "for {x} in list({h})[:{k}]:"])
        elif r.random() < 0.3 and kind == "list":
            return f"for {x} in [q for q in {held}][:{trips}]:" if r.random() < 0.5 else f"for {x} in {held}[:{trips}][::-1]:"
        else:
            form = r.choice(OVER_HELD)
        if not any(copy in form for copy in ("list(", "sorted(", "tuple(")):
            inner.frozen = inner.frozen | {n for n, k in place.names.items() if k == kind}
        inner.names[x] = "any"
        return form.format(x=x, h=held, k=trips)

    def while_loop(self, place: Place) -> None:
        r = self.random
        trips = r.randint(2, 4)
        n = self.fresh("n")
        inner = place.inner(times=place.times * trips, loops=place.loops + 1)
        inner.names[n] = "int"
        place.names[n] = "int"
        match r.randrange(7):
            case 0:
                self.put(f"{n} = 0\nwhile {n} < {trips}:\n    {n} += 1")
                self.loop_body(inner, None)
            case 1:
                self.put(f"{n} = 0\nwhile True:\n    {n} += 1\n    if {n} > {trips}:\n        break")
                self.loop_body(inner, None)
            case 2:
                self.put(f"{n} = 0\nwhile {n} < {trips} and {self.real(place)} < 0.9:\n    {n} += 1")
                self.loop_body(inner, None)
            case 3:
                self.put(f"{n} = -1\nwhile ({n} := {n} + 1) < {trips}:")
                self.loop_body(inner, None)
            case 4:
                self.put(f"{n}_todo = list(range({trips}))\nwhile {n}_todo:\n    {n} = {n}_todo.pop({r.choice(['', '0'])})")
                place.names[f"{n}_todo"] = inner.names[f"{n}_todo"] = "frozenlist"
                place.names.pop(n)
                self.loop_body(inner, None)
            case 5:
                self.put(f"{n} = 0\n{n}_done = False\nwhile not {n}_done:\n    {n} += 1\n    {n}_done = {n} >= {trips}")
                self.loop_body(inner, None)
            case 6:
                self.put(f"{n}_it = iter({r.choice(['range', 'numbers', 'Countdown'])}({trips}))\n"
                         f"while ({n} := next({n}_it, None)) is not None:")
                place.names.pop(n)
                self.loop_body(inner, None)
        if r.random() < 0.1:
            self.put("else:")
            self.body(place.inner(), 1)

    def loop_body(self, inner: Place, guard: str | None) -> None:
        r = self.random
        self.indent += 1
        temporary = None
        if r.random() < 0.15:
            temporary = self.declare(inner)
        self.block(inner, r.randint(1, 4))
        if r.random() < 0.6:
            self.step(inner)
            self.block(inner, r.randint(0, 2))
        if temporary is not None:
            self.put(f"del {temporary}")
            inner.names.pop(temporary, None)
        if guard:
            self.put(guard)
            # a ``continue`` above must not go round it
            start = max(i for i, line in enumerate(self.lines) if line.startswith("    " * (self.indent - 1) + "for "))
            for i in range(start, len(self.lines)):
                self.lines[i] = re.sub(r"^( +)continue$", r"\1pass", self.lines[i])
        self.indent -= 1

    # --- functions ------------------------------------------------------------------------------

    def function(self, outer: Place, nested: bool = False) -> None:
        """Define a function (perhaps a generator), usable from now on."""
        r = self.random
        name = self.fresh("f")
        generator = r.random() < 0.35 and not nested
        parameters = tuple(r.choice(["int", "int", "list", "dict", "object", "tensor", "deque"]) for _ in range(r.randint(0, 2)))
        names = [self.fresh("a") for _ in parameters]
        place = Place(dict(outer.names), set(), kind="generator" if generator else "function", depth=1)
        place.names |= dict(zip(names, parameters, strict=True))
        place.own |= set(names)
        self.put(f"def {name}({', '.join(names)}):")
        self.indent += 1
        declared = [n for n, k in outer.names.items() if n in outer.own and r.random() < 0.3]
        if declared:
            self.put(f"{'nonlocal' if nested else 'global'} {', '.join(declared)}")
            place.own |= set(declared)
        before, self.cost = self.cost, 0
        for _ in range(r.randint(0, 2)):
            self.declare(place)
        if not nested and not generator and r.random() < 0.3:
            known = list(self.functions)
            self.function(Place(dict(place.names), place.own - set(declared), kind="function", depth=1), nested=True)
            self.block(place, r.randint(2, 4))
            self.functions = known
        elif generator:
            self.generator_body(place)
        else:
            self.block(place, r.randint(2, 5))
        if not generator:
            if r.random() < 0.5:
                self.event(place, [n for n in place.names if n in place.own])
            self.put(f"return {self.integer(place)}")
        self.indent -= 1
        self.functions.append(Function(name, parameters, self.cost, generator))
        self.cost = before

    def generator_body(self, place: Place) -> None:
        r = self.random
        self.block(place, r.randint(0, 2))
        for _ in range(r.choice([1, 1, 2])):
            trips = r.randint(2, 3)
            n = self.fresh("n")
            if r.random() < 0.6:
                self.put(f"for {n} in {r.choice(['range({})', 'numbers({})', 'Countdown({})', 'torch.randperm({}).tolist()']).format(trips)}:")
            else:
                self.put(f"{n} = 0\nwhile {n} < {trips}:\n    {n} += 1")
            self.indent += 1
            inner = place.inner(times=trips, loops=1)
            inner.names[n] = "int"
            self.block(inner, r.randint(0, 2))
            if r.random() < 0.3:
                m = self.fresh("m")
                self.put(f"for {m} in range(2):\n    yield {m} + {self.integer(inner)}")
            else:
                self.put(f"yield {self.integer(inner)}")
            self.block(inner, r.randint(0, 2))
            self.indent -= 1

    # --- blocks ---------------------------------------------------------------------------------

    def block(self, place: Place, size: int) -> None:
        """Some statements."""
        r = self.random
        for _ in range(size):
            deep = place.depth >= _MOST_DEPTH
            choices = [
                (self.mutate, 7), (self.event, 2), (self.draw, 2), (self.step, 2), (self.leave, 1 if place.depth else 0),
                (self.manual, 1), (self.declare, 1), (self.callback, 0.7),
                *([] if deep else [(self.loop, 4), (self.conditional, 2), (self.call, 3), (self.attempt, 1),
                                   (self.context, 0.5), (self.escape, 1.2), (self.hidden, 0.4), (self.window, 0.4), (self.worklist, 0.4)]),
            ]
            methods, weights = zip(*choices, strict=True)
            r.choices(methods, weights)[0](place)


def generate(seed: int) -> str:
    """The program of a seed."""
    return Generator(seed).program()
