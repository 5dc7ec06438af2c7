"""``@survivable``: a call that survives, returns, raises and continues."""

import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "supervisor"))

from supervising import Workplace, is_gone, wait_for

HEAD = "import os, signal, sys, time\nfrom survivor.decorator import survivable\n"


@pytest.fixture
def work(tmp_path):
    workplace = Workplace(tmp_path)
    yield workplace
    workplace.clean_up()


def test_a_call_returns_the_function_s_value_from_another_process(work):
    script = work.write(
        HEAD + "@survivable\n"
        "def train(n, *, scale=1):\n"
        "    return os.getpid(), [scale * i for i in steps(n)]\n"
        "pid, values = train(3, scale=2)\n"
        "print(pid != os.getpid(), values)\n"
    )
    done = work.python(script)
    assert (done.returncode, done.stdout) == (0, "True [0, 2, 4]\n"), done.stderr


def test_a_call_raises_the_function_s_exception_with_the_child_s_traceback_as_its_cause(work):
    script = work.write(
        HEAD + "class Mine(Exception):\n"
        "    pass\n"
        "@survivable(job='other')\n"
        "def train():\n"
        "    raise Mine('words')\n"
        "try:\n"
        "    train()\n"
        "except Mine as error:\n"
        "    print(error, os.listdir('survivor-jobs'))\n"
        "    raise\n"
    )
    done = work.python(script)
    assert (done.returncode, done.stdout) == (1, "words ['other']\n"), done.stderr
    assert "in train\n    raise Mine('words')" in done.stderr


def test_a_killed_call_continues_when_it_is_made_again(work):
    script = work.write(
        HEAD + "@survivable(every=0)\n"
        "def train(n):\n"
        "    seen = []\n"
        "    for i in steps(n):\n"
        "        print(i, flush=True)\n"
        "        seen.append(i)\n"
        "        if i == 5 and not os.path.exists('killed'):\n"
        "            open('killed', 'w').close()\n"
        "            os.kill(os.getppid(), signal.SIGKILL)\n"
        "            time.sleep(0.5)\n"
        "    return seen\n"
        "print(train(9))\n"
    )
    first = work.python(script)
    assert first.returncode == -signal.SIGKILL
    second = work.python(script)
    # the listing of the first session is the fake engine's business: it carries no list
    assert second.stdout.splitlines()[-1] == "[6, 7, 8]", second.stderr


def test_a_crashed_child_is_started_again_and_the_value_is_the_last_one_s(work):
    script = work.write(
        HEAD + "@survivable(every=0)\n"
        "def train():\n"
        "    for i in steps(9):\n"
        "        if i == 5 and not os.path.exists('killed'):\n"
        "            open('killed', 'w').close()\n"
        "            os.abort()\n"
        "    return 'whole'\n"
        "print(train())\n"
    )
    done = work.python(script)
    assert (done.returncode, done.stdout) == (0, "whole\n"), done.stderr


def test_a_finished_call_gives_its_value_again(work):
    script = work.write(
        HEAD + "@survivable(every=0, quiet=True)\n"
        "def train():\n"
        "    for i in steps(9):\n"
        "        print(i, flush=True)\n"
        "    return 'value'\n"
        "print(train(), flush=True)\n"
        "print(train())\n"
    )
    done = work.python(script)
    assert done.stdout.split() == [*"012345678", "value", "8", "value"], done.stderr


def test_other_arguments_are_refused(work):
    script = work.write(
        HEAD + "@survivable(every=0)\ndef train(lr):\n    for i in steps(3): pass\ntrain(0.1)\ntrain(0.2)\n"
    )
    done = work.python(script)
    assert done.returncode == 1
    assert "JobChangedError" in done.stderr and "- 0.1" in done.stderr and "+ 0.2" in done.stderr
    assert "fresh=True to start over" in done.stderr
    assert "in open_session" not in done.stderr, "the way through survivor says nothing"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("@survivable(epochs=3)\ndef train(): pass", "no option 'epochs'"),
        ("@survivable\ndef train():\n    yield 1", "train() is a generator or a coroutine"),
        ("@survivable\nasync def train(): pass", "train() is a generator or a coroutine"),
        ("@survivable\nclass Trainer: pass", "Trainer is no function"),
        ("survivable(3)", "3 is no function"),
    ],
)
def test_what_cannot_be_survivable_is_told_where_it_is_written(text, told):
    from survivor.errors import UsageError

    with pytest.raises(UsageError) as raised:
        exec(f"from survivor import survivable\n{text}", {})
    assert told in str(raised.value) and raised.value.advice


def test_a_call_inside_a_survivor_process_is_a_plain_call(work):
    script = work.write(HEAD + "@survivable\ndef train():\n    return os.getpid()\nprint(train() == os.getpid())\n")
    code, out, err = work.run(script)
    assert (code, out) == (0, "True\n"), err


def test_a_value_that_cannot_be_pickled_is_an_error_that_says_so(work):
    script = work.write(HEAD + "import threading\n@survivable\ndef train():\n    return threading.Lock()\ntrain()\n")
    done = work.python(script)
    assert "TypeError: the return value of the survivable function can't be sent" in done.stderr


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 75), ("SIGINT", -signal.SIGINT)])
def test_a_signal_saves_and_ends_the_caller(work, name, code):
    script = work.write(
        HEAD + "@survivable\n"
        "def train():\n"
        "    print('pid', os.getpid(), flush=True)\n"
        "    for i in steps(1000):\n"
        "        if i == 3:\n"
        f"            os.kill(os.getppid(), signal.{name})\n"
        "        time.sleep(0.01)\n"
        "train()\n"
    )
    done = work.python(script)
    assert done.returncode == code
    assert f"{name}: saved at step" in done.stderr
    assert "go on with: the same call of train()" in done.stderr
    wait_for(lambda: is_gone(int(done.stdout.split()[1])))


def test_the_caller_s_signal_handlers_come_back(work):
    script = work.write(
        HEAD + "@survivable\n"
        "def train():\n"
        "    pass\n"
        "train()\n"
        "print(signal.getsignal(signal.SIGINT) is signal.default_int_handler,"
        " signal.getsignal(signal.SIGTERM) == signal.SIG_DFL)\n"
    )
    done = work.python(script)
    assert done.stdout == "True True\n", done.stderr


def test_a_function_that_calls_itself_is_told_what_to_do(work):
    script = work.write(HEAD + "@survivable\ndef train(n):\n    return train(n - 1) if n else 0\ntrain(2)\n")
    done = work.python(script)
    assert "UsageError: train() is survivable and calls itself" in done.stderr


def test_a_survivable_function_within_another_is_a_plain_call(work):
    script = work.write(
        HEAD + "@survivable\ndef inner(n):\n    return sum(steps(n)), os.getpid()\n"
        "@survivable\ndef outer():\n    return inner(4), os.getpid()\n"
        "(total, pid), own = outer()\n"
        "print(total, pid == own, pid != os.getpid(), os.listdir('survivor-jobs'))\n"
    )
    done = work.python(script)
    assert done.stdout == "6 True True ['outer']\n", done.stderr


def test_methods_partials_and_functions_of_modules_are_called_too(work):
    work.write("from survivor import survivable\n@survivable\ndef far(n):\n    return sum(steps(n))\n", "far_module.py")
    script = work.write(
        HEAD + "import functools\nimport far_module\n"
        "class Trainer:\n"
        "    scale = 10\n"
        "    @survivable\n"
        "    def train(self, n):\n"
        "        return self.scale * sum(steps(n))\n"
        "def plain(a, n):\n"
        "    return a + sum(steps(n))\n"
        "print(Trainer().train(3), far_module.far(4), survivable(functools.partial(plain, 100))(3))\n"
    )
    done = work.python(script)
    assert done.stdout == "30 6 103\n", done.stderr


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("class T:\n    def __init__(self, k): self.k = k\n    @survivable\n    def train(self): return self.k\n"
         "make = lambda k: T(k).train", "k=2"),
        ("class C:\n    def __init__(self, k): self.inner = [k]\nclass T:\n    def __init__(self, k): self.c = C(k)\n"
         "    def train(self): return self.c.inner[0]\nmake = lambda k: survivable(T(k).train)", "inner=[2]"),
        ("import functools\ndef train(a, k): return k\n"
         "make = lambda k: functools.partial(survivable(functools.partial(train, k=k)), 7)", "k=2"),
        ("def make(k):\n    @survivable\n    def train(): return k\n    return train", "k=2"),
    ],
    ids=["method", "bound-method", "partial", "closure"],
)
def test_a_call_that_differs_in_what_its_function_holds_is_another_call(work, text, told):
    script = work.write(HEAD + text + "\nprint(make(1)(), make(1)(), flush=True)\nmake(2)()\n")
    done = work.python(script)
    assert done.stdout == "1 1\n", done.stderr
    assert "JobChangedError" in done.stderr and told in done.stderr


def test_the_same_job_twice_at_once_is_refused(work):
    script = work.write(
        HEAD + "import threading\n"
        "from survivor.errors import JobRunningError\n"
        "@survivable\n"
        "def train():\n"
        "    for i in steps(10**6):\n"
        "        if os.path.exists('enough'): return i\n"
        "        open('going', 'w').close()\n"
        "first = threading.Thread(target=train)\n"
        "first.start()\n"
        "while not os.path.exists('going'): time.sleep(0.01)\n"
        "try:\n"
        "    train()\n"
        "except JobRunningError as error:\n"
        "    print('refused', error)\n"
        "open('enough', 'w').close()\n"
        "first.join()\n"
    )
    done = work.python(script)
    assert done.stdout.startswith("refused job 'train' is being run by"), done.stderr


def test_random_numbers_go_on_in_the_caller_as_after_a_plain_call(work):
    text = (
        HEAD + "import random\nrandom.seed(7)\n{}\ndef train():\n    return [random.random() for _ in range(3)]\n"
        "print(train(), random.random())\n"
    )
    plain = work.python(work.write(text.format(""), "plain.py"))
    done = work.python(work.write(text.format("@survivable")))
    assert done.stdout == plain.stdout, done.stderr


def test_under_a_plain_import_the_decorator_loads_nothing(work):
    code = (
        "import sys\nfrom survivor import survivable\n@survivable\ndef train(): pass\n"
        "print([name for name in ('torch', 'cloudpickle', 'click', 'IPython', 'survivor.supervisor') if name in sys.modules])"
    )
    assert work.python("-c", code).stdout == "[]\n"
