"""What random programs are made of: kinds of variables, what is done to them, classes, iterables.

In the texts ``{n}`` is the variable, ``{o}`` another of its kind, ``{i}`` an expression for a natural number
and ``{f}`` one for a real number.
"""

from __future__ import annotations

HEAD = """
import collections, contextlib, copy, dataclasses, functools, itertools, math, random
import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset
w = torch.tensor([0.5, -0.25], requires_grad=True)
loader = DataLoader(TensorDataset(torch.arange(5.)), batch_size=2, shuffle=True)
def number(x):
    if isinstance(x, (list, tuple)):
        x = x[0]
    if isinstance(x, torch.Tensor):
        x = x.reshape(-1)[0].item()
    return int(x) if isinstance(x, (int, float)) else len(str(x))
def numbers(n):
    for i in range(n):
        yield i + random.randrange(3)
class Countdown:
    def __init__(self, n):
        self.n = n
    def __iter__(self):
        return self
    def __next__(self):
        if self.n <= 0:
            raise StopIteration
        self.n -= 1
        return self.n
def shared(items):
    return {'a': items, 'b': {'c': items}, 'n': 0}
def maker(n):
    calls = 0
    def made():
        nonlocal calls, n
        calls += 1
        n = (n + calls) % 17
        return train(n)
    return made
@dataclasses.dataclass
class Record:
    n: int = 0
    items: list = dataclasses.field(default_factory=list)
    best: float = float('-inf')
Point = collections.namedtuple('Point', 'n items')
class Early(Exception):
    def __init__(self, n, *, step):
        super().__init__('early', n)
        self.n, self.step = n, step
class Section:
    depth = 0
    def __enter__(self):
        Section.depth += 1
        return self
    def __exit__(self, *error):
        Section.depth -= 1
        return False
"""

_TRAIN = """
def train(x):
    loss = ((w * (x + 1) - 0.5) ** 2).sum()
    loss.backward()
    update()
    event('train', x, loss.item())
    return loss.item()
"""

TRAINERS = [
    "def update():\n    with torch.no_grad():\n        w.sub_(w.grad * 0.01)\n    w.grad = None\n" + _TRAIN,
    "def update():\n    with torch.no_grad():\n        w.sub_(w.grad * 0.01)\n        w.grad.zero_()\n" + _TRAIN,
    "opt = torch.optim.SGD([w], lr=0.01, momentum=0.9)\ndef update():\n    opt.step()\n    opt.zero_grad()\n" + _TRAIN,
    "opt = torch.optim.Adam([w], lr=0.01)\nsched = torch.optim.lr_scheduler.StepLR(opt, 3, 0.9)\n"
    "def update():\n    opt.step()\n    sched.step()\n    opt.zero_grad(set_to_none=False)\n" + _TRAIN,
    "steps = 0\ndef update():\n    global w, steps\n    steps += 1\n"
    "    w = (w - w.grad * 0.01).detach().requires_grad_()\n" + _TRAIN,
]

CLASSES = [
    """
class Meter:
    total = 0
    made = []
    def __init__(self, n):
        self.count = n
        self.log = [n]
    def bump(self, x):
        self.count = (self.count + x) % 101
        self.log = self.log[-4:] + [x]
        Meter.total += 1
        return self.count
""",
    """
class Keeper:
    __slots__ = ("count", "log", "best")
    def __init__(self, n):
        self.count, self.log, self.best = n, {}, None
    def bump(self, x):
        self.count += 1
        self.log[x] = self.log.get(x, 0) + 1
        if self.best is None or x > self.best:
            self.best = x
        return self.count
""",
    """
class Average(torch.nn.Module):
    def __init__(self, n):
        super().__init__()
        self.count = n
        self.register_buffer("log", torch.zeros(3))
    def bump(self, x):
        self.count = (self.count * 3 + x) % 89
        self.log[x % 3] += 1
        return self.count
""",
    """
class Trainer:
    def __init__(self, n):
        self.count, self.log = n, collections.deque(maxlen=3)
        self.hook = self.note
    def note(self, x):
        self.log.append(x)
    def bump(self, x):
        for i in range(2):
            self.count += 1
            train(i + x)
            self.hook(x)
        return self.count
""",
    """
class History(list):
    def __init__(self, n):
        super().__init__([n])
        self.count = 0
        self.log = self
    def bump(self, x):
        self.append(x)
        self.count += len(self)
        del self[:-4]
        return self.count
""",
]

#: How a variable of each kind is first bound.
INITIAL: dict[str, list[str]] = {
    "int": ["0", "3", "random.randrange(50)"],
    "float": ["0.5", "random.random()", "float('inf')"],
    "str": ["''", "'abc'"],
    "list": ["[1, 2, 3]", "list(range(4))", "[random.randrange(9) for _ in range(3)]", "torch.randperm(4).tolist()"],
    "strings": ["['b', 'a']", "'the cat sat'.split()"],
    "dict": ["{}", "{'a': 1, 'b': 2}", "dict(zip('xyz', range(3)))", "collections.OrderedDict(a=1)"],
    "set": ["set()", "{1, 5, 9}", "set('hello')", "{'ab', 'cd'}"],
    "deque": ["collections.deque(maxlen=4)", "collections.deque([1, 2])"],
    "counter": ["collections.Counter()", "collections.Counter('hello')"],
    "lists": ["collections.defaultdict(list)"],
    "tuple": ["(1, 2)", "()"],
    "nested": ["{'a': [1], 'b': {'c': [2]}, 'n': 0}", "shared([1])"],
    "tensor": ["torch.zeros(3)", "torch.rand(3)", "torch.arange(6.)[1:4]"],
    "array": ["np.zeros(3)", "np.random.rand(3)", "np.arange(6.)[::2]"],
    "pyrng": ["random.Random(5)"],
    "nprng": ["np.random.default_rng(6)", "np.random.RandomState(3)"],
    "trng": ["torch.Generator().manual_seed(7)"],
    "iter": ["iter(range(3))", "iter([4, 5])", "numbers(3)", "iter(Countdown(2))", "zip(range(3), 'abc')",
             "iter(loader)", "itertools.count()",
             "itertools.cycle([1, 2])", "enumerate(numbers(2))", "(q * 2 for q in range(3))", "map(str, range(3))"],
    "call": ["functools.partial(train, 2)", "lambda: train(1)", "maker(2)"],
    "calls": ["[lambda: train(1)]", "{'a': functools.partial(train, 3)}"],
    "record": ["Record()", "Record(3, [1])", "Point(1, [2])"],
    "object": [],
}

#: Expressions for a natural number.
READS: dict[str, list[str]] = {
    "int": ["{n} % 13", "{n} % 5"],
    "any": ["number({n}) % 7"],
    "float": ["int({n} * 10) % 7 if math.isfinite({n}) else 0"],
    "str": ["len({n})"],
    "list": ["len({n})", "sum({n}) % 11", "{n}[-1] % 7 if {n} else 1"],
    "strings": ["len({n})"],
    "dict": ["len({n})", "{n}.get('a', 0) % 5"],
    "set": ["len({n})", "sum(len(str(q)) for q in {n}) % 9"],
    "deque": ["len({n})"],
    "counter": ["len({n})", "sum({n}.values()) % 7"],
    "lists": ["sum(map(len, {n}.values()))"],
    "tuple": ["len({n})"],
    "nested": ["{n}['n'] % 7", "len({n}['a'])"],
    "tensor": ["int({n}.abs().sum()) % 7 if {n}.isfinite().all() else 0"],
    "array": ["int(abs({n}).sum()) % 7"],
    "pyrng": ["{n}.randrange(8)"],
    "nprng": ["int({n}.normal() * 3) % 8"],
    "trng": ["int(torch.randint(8, (1,), generator={n}))"],
    "record": ["{n}.n % 7", "len({n}.items)"],
    "object": ["{n}.count % 7", "{n}.bump({n}.count % 3) % 7"],
}

MUTATIONS: dict[str, list[str]] = {
    "list": ["{n}.append({i})", "{n}.insert(0, {i})", "{n}[:] = {n}[-5:] + [{i}]", "random.shuffle({n})", "{n}.sort()",
             "{n}.reverse()", "del {n}[4:]", "{n} and {n}.pop()"],
    "strings": ["{n}.append('s%d' % ({i}))", "del {n}[3:]", "{n}.sort()"],
    "dict": ["{n}[str({i})] = {i}", "{n}['a'] = {n}.get('a', 0) + 1", "{n}.pop('b', None)", "{n}.setdefault('z', {i})",
             "{n}.clear()"],
    "set": ["{n}.add({i})", "{n}.add('k%d' % ({i}))", "{n}.discard({i})", "{n}.update(range({i}))",
            "{n}.difference_update({{1, 3}})"],
    "deque": ["{n}.append({i})", "{n}.appendleft({i})", "{n}.rotate(1)", "{n} and {n}.popleft()"],
    "counter": ["{n}[{i}] += 1", "{n}.update('ab')", "{n}.subtract(['a'])"],
    "lists": ["{n}[{i}].append({i})", "{n}['a'].append({n}['b'])"],
    "nested": ["{n}['a'].append({i})", "{n}['b']['c'] = {n}['a']", "{n}['a'] = {n}['a'][-3:]", "{n}['n'] += 1",
               "{n}['b']['d'] = {n}", "{n}['b']['c'].append({n}['n'])", "{n}['b'] = {{'c': [{i}]}}"],
    "tensor": ["{n}.mul_(0.5)", "{n}.add_({i})", "{n}[0] = {f}", "{n}[1:] += 1", "{n}.copy_(torch.randn(3))", "{n}.sub_({o})"],
    "array": ["{n}[0] = {i}", "np.multiply({n}, 0.5, out={n})", "{n}[:] = np.random.rand(3)"],
    "pyrng": ["{n}.random()", "{n}.seed({i})"],
    "nprng": ["{n}.random()"],
    "trng": ["torch.rand(2, generator={n})", "{n}.manual_seed({i})"],
    "object": ["{n}.bump({i})", "{n}.count += {i}", "{n}.count = {o}.count"],
    "iter": ["next({n}, None)"],
    "record": ["{n}.items.append({i})", "{n}.items[:] = {n}.items[-3:]"],
}

REBINDINGS: dict[str, list[str]] = {
    "int": ["{n} += {i}", "{n} = ({n} * 3 + {i}) % 1009", "{n} = {i}", "{n} = 2 ** 70 + {i}"],
    "float": ["{n} = {n} * 0.5 + {f}", "{n} = {f}", "{n} += {f}"],
    "str": ["{n} = ({n} + str({i}))[-12:]", "{n} += 'é'"],
    "list": ["{n} = {n}[-4:] + [{i}]", "{n} = sorted({n})[:5]", "{n} = {o}", "{n} += [{i}]"],
    "dict": ["{n} = {{**{n}, 'c': {i}}}", "{n} = {o}"],
    "set": ["{n} = {n} | {{{i}}}", "{n} = {n} - {{1}}", "{n} |= {{{i}}}"],
    "tuple": ["{n} = (*{n}[-3:], {i})", "{n} = {n} + ({n},) if len({n}) < 3 else ()"],
    "tensor": ["{n} = {n} * 0.5 + {f}", "{n} = torch.cat([{n}[1:], torch.rand(1)])", "{n} = {o}.clone()", "{n} = {o}[:]",
               "{n} = {n}.roll(1)"],
    "array": ["{n} += {f}", "{n} = {n} + {f}", "{n} = np.roll({n}, 1)", "{n} = {o}.copy()"],
    "nested": ["{n} = copy.deepcopy({n})"],
    "record": ["{n} = copy.copy({n})", "{n} = Record({i}, {n}.items)", "{n} = Point({i}, {n}.items)"],
    "pyrng": ["{n} = random.Random({i})"],
    "trng": ["{n} = torch.Generator().manual_seed({i})"],
    "nprng": ["{n} = np.random.default_rng({i})"],
    "object": ["{n} = type({n})({i})", "{n} = {o}"],
    "graph": ["{n} = {n}.detach()"],
    "call": ["{n} = functools.partial(train, {i})", "{n} = lambda q={i}: train(q)", "{n} = maker({i})"],
}

#: ``for`` headers over a container of the program's.
OVER_HELD = [
    "for {x} in itertools.islice({h}, {k}):",
    "for {x}, _ in zip({h}, range({k})):",
    "for {x} in list({h})[:{k}]:",
    "for {x} in tuple({h})[:{k}][::-1]:",
]
#: ``for`` headers; the kind that the loop's variable has.
ITERABLES: list[tuple[str, str]] = [
    ("for {x} in range({k}):", "int"),
    ("for {x} in range({k}):", "int"),
    ("for {x} in range(1, {k} * 2, 2):", "int"),
    ("for {x} in [5, 1, 4, 2][:{k}]:", "int"),
    ("for {x}, {x}_i in enumerate([5, 1, 4][:{k}]):", "int"),
    ("for _, {x} in zip(range({k}), [9, 8, 7, 6]):", "int"),
    ("for {x} in reversed(range({k})):", "int"),
    ("for {x} in reversed([3, 2, 1]):", "int"),
    ("for {x}, {x}_v in {{'a': 1, 'b': 2}}.items():", "any"),
    ("for {x} in Countdown({k}):", "int"),
    ("for {x} in numbers({k}):", "int"),
    ("for {x} in itertools.count():{{guard}}", "int"),
    ("for {x} in torch.randperm({k} * 2).split(2):", "any"),
    ("for {x} in torch.arange({k} * 2.).view({k}, 2):", "any"),
    ("for {x} in np.random.permutation({k}):", "any"),
    ("for ({x},) in DataLoader(TensorDataset(torch.arange({k} * 2.)), batch_size=2, shuffle=True):", "any"),
    ("for {x}, batch in enumerate(DataLoader(TensorDataset(torch.rand({k} * 2)), batch_size=2, shuffle=True)):", "int"),
    ("for {x} in map(number, ['a', 2, 3.5][:{k}]):", "int"),
    ("for {x} in (q * q for q in range({k})):", "int"),
    ("for {x} in [random.randrange(9) for _ in range({k})]:", "int"),
    ("for {x} in random.sample(range(20), {k}):", "int"),
    ("for {x}, _ in itertools.product(range(2), 'ab'):", "int"),
    ("for {x} in itertools.chain([1], range({k} - 1)):", "int"),
    ("for {x} in filter(None, range({k} + 1)):", "int"),
    ("for {x} in iter(functools.partial(next, iter(range({k})), None), None):", "int"),
    ("for {x} in 'abcd'[:{k}]:", "any"),
    ("for {x} in {{3, 11, 27}}:", "int"),
    ("for {x} in numbers({i} % 4 + 1):", "int"),
]

#: Texts of what survivor refuses to carry, and says so; left out unless a campaign asks for everything.
REFUSED = ("functools.partial(next", "islice({h}", "zip({h}", "OrderedDict")


def leave_out(texts: tuple[str, ...]) -> None:
    """Make no programs with these texts from now on."""
    for table in (INITIAL, READS, MUTATIONS, REBINDINGS):
        for kind, found in table.items():
            table[kind] = [text for text in found if not any(part in text for part in texts)]
    ITERABLES[:] = [pair for pair in ITERABLES if not any(part in pair[0] for part in texts)]
    OVER_HELD[:] = [text for text in OVER_HELD if not any(part in text for part in texts)]
