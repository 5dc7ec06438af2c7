"""``@survivable`` in real Jupyter kernels, whose user runs cells, presses stop and loses the kernel."""

import os
import re

from supervising import FAKES, is_gone, wait_for

HEAD = "import os, sys, time\nfrom survivor import survivable\n"
LOOP = """\
@survivable(every=0)
def train(n):
    print("pid", os.getpid(), flush=True)
    for i in steps(n):
        print("line", i, flush=True)
        time.sleep(0.02)
    return "value", n
"""


def fast(kernels):
    """A kernel whose training processes have the fake engine."""
    kernel = kernels(PYTHONPATH=str(FAKES))
    cell = kernel.run(HEAD)
    assert not cell.error, cell.error
    return kernel


def lines(text):
    return [int(number) for number in re.findall(r"^line (\d+)$", text, re.MULTILINE)]


def test_a_call_streams_its_output_into_the_cell_and_gives_its_value(kernels):
    kernel = fast(kernels)
    cell = kernel.run(LOOP + "print('err', file=sys.stderr)\ntrain(5)")
    assert cell.result == "('value', 5)", cell.error
    assert lines(cell.out) == [0, 1, 2, 3, 4]
    assert len(cell.lines) == 1, "survivor has one line, which changes in place"
    assert any("train: new job in" in text for text in cell.shown)
    assert any("saved at" in text for text in cell.shown)
    assert not cell.err.replace("err\n", ""), "no line of survivor's goes to standard error"


def test_output_comes_while_the_cell_still_runs(kernels):
    kernel = fast(kernels)
    cell = kernel.begin(LOOP + "train(10**6)").until(lambda cell: len(lines(cell.out)) > 3)
    kernel.interrupt()
    assert "stopped (SIGINT); run the cell again to go on" in cell.wait().error


def test_the_stop_button_saves_and_the_cell_run_again_continues(kernels):
    kernel = fast(kernels)
    cell = kernel.begin(LOOP + "train(400)").until(lambda cell: len(lines(cell.out)) > 3)
    kernel.interrupt()
    first = lines(cell.wait().out)
    assert "Traceback" not in cell.error
    again = kernel.run("train(400)")
    assert again.result == "('value', 400)", again.error
    assert first + lines(again.out) == list(range(400))


def test_a_kernel_that_dies_leaves_no_orphan_and_a_new_one_continues(kernels):
    kernel = fast(kernels)
    cell = kernel.begin(LOOP + "train(400)").until(lambda cell: len(lines(cell.out)) > 3)
    pid = int(re.search(r"pid (\d+)", cell.out)[1])
    assert os.getpgid(pid) != os.getpgid(kernel.pid)
    kernel.kill()
    wait_for(lambda: is_gone(pid))
    second = fast(kernels)
    again = second.run(LOOP + "train(400)")
    assert again.result == "('value', 400)", again.error
    done = lines(again.out)
    assert done[0] >= lines(cell.out)[-1], "what was done before the kernel died is not done again"
    assert done == list(range(done[0], 400))


def test_functions_classes_and_globals_of_earlier_cells_come_along(kernels):
    kernel = fast(kernels)
    kernel.run("FACTOR = 3\nclass Meter:\n    def __init__(self):\n        self.total = 0\n")
    kernel.run("def add(meter, value):\n    meter.total += FACTOR * value\n    return meter\n")
    cell = kernel.run(
        "@survivable\ndef train(start):\n    meter = Meter()\n    for i in steps(4):\n        add(meter, i + start)\n"
        "    return meter\nmeter = train(start=1)\nprint(type(meter) is Meter, meter.total)"
    )
    assert cell.out == "True 30\n", cell.error


def test_what_cannot_go_along_is_named_with_what_to_do(kernels):
    kernel = fast(kernels)
    kernel.run("import threading\nclass Pool:\n    def __init__(self):\n        self.inner = {'lock': threading.Lock()}")
    cell = kernel.run("pool = Pool()\n@survivable\ndef train():\n    return pool\ntrain()")
    assert "variable 'pool'.inner['lock'] (_thread.lock)" in cell.error
    assert "make it inside train()" in cell.error and "Traceback" not in cell.error
    cell = kernel.run("@survivable\ndef other(file):\n    return file\nother(open('x', 'w'))")
    assert "argument 'file'" in cell.error


def test_a_tensor_on_another_device_is_named(kernels):
    kernel = fast(kernels)
    # a device without memory stands in for a GPU
    kernel.run("import torch\nmodel = torch.nn.Linear(2, 2, device='meta')")
    cell = kernel.run("@survivable\ndef train():\n    return model\ntrain()")
    assert "variable 'model'" in cell.error and "lives on meta" in cell.error and ".cpu()" in cell.error


def test_an_exception_comes_with_the_cell_s_own_lines(kernels):
    kernel = fast(kernels)
    cell = kernel.run("@survivable\ndef train():\n    x = 1\n    raise ValueError('words')\ntrain()")
    plain = re.sub(r"\x1b\[[0-9;]*m", "", cell.error)
    assert "ValueError: words" in plain and "in train\n    raise ValueError('words')" in plain


def test_a_cell_without_a_function_is_run_by_the_magic_and_its_names_come_back(kernels):
    kernel = fast(kernels)
    kernel.run("%load_ext survivor\nstart = 10\nscale = 2")
    text = (
        "%%survivable mine --every 0\n"
        "text = '''two\n"
        "lines'''\n"
        "seen = []\n"
        "for i in steps(40):\n"
        "    seen.append(scale * i)\n"
        "    print('line', i, flush=True)\n"
        "    time.sleep(0.02)\n"
        "start += len(seen)\n"
        "lock = __import__('threading').Lock()\n"
    )
    cell = kernel.begin(text).until(lambda cell: len(lines(cell.out)) > 3)
    kernel.interrupt()
    assert "run the cell again" in cell.wait().error
    assert kernel.run("start").result == "10", "a cell that was stopped changes nothing"
    again = kernel.run(text)
    assert not again.error, again.error
    assert lines(cell.out) + lines(again.out) == list(range(40))
    assert "not brought back from the training process: lock" in again.out
    # the fake engine carries nothing but the place: seen began anew
    assert kernel.run("start, i, text").result == rf"({10 + len(lines(again.out))}, 39, 'two\nlines')"


def test_the_magic_says_what_is_wrong_with_its_line_and_with_the_cell(kernels):
    kernel = fast(kernels)
    kernel.run("%load_ext survivor")
    assert "NAME" in kernel.run("%%survivable\npass").error
    assert "no such option" in kernel.run("%%survivable --wrong x\npass").error.lower()
    assert "line 2 of the cell" in kernel.run("%%survivable x\nfrom os import *").error
    assert "--time-limit" in kernel.run("%%survivable --help\npass").out


def test_two_calls_of_one_job_at_once_are_refused(kernels):
    kernel, other = fast(kernels), fast(kernels)
    cell = kernel.begin(LOOP + "train(10**6)").until(lambda cell: len(lines(cell.out)) > 1)
    refused = other.run(LOOP + "train(10**6)")
    assert "job 'train' is being run by" in refused.error and "Traceback" not in refused.error
    kernel.interrupt()
    cell.wait()


def test_the_stop_button_saves_a_script_that_runs_from_a_shell_line(kernels, tmp_path):
    (tmp_path / "train.py").write_text(
        "import time\nfor i in steps(400):\n    print('line', i, flush=True)\n    time.sleep(0.02)\n"
    )
    kernel = fast(kernels)
    command = "!{sys.executable} -m survivor run --every 0 train.py"
    cell = kernel.begin(command).until(lambda cell: "line 3" in cell.out)
    # IPython gives a shell line that is interrupted little time before it kills it
    wait_for(lambda: list(tmp_path.glob("survivor-jobs/train/checkpoints/*.json")))
    kernel.interrupt()
    cell.wait()
    again = kernel.run(command)
    started = re.search(r"continuing at step (\d+)", again.out + again.err)
    seen = [int(number) for number in re.findall(r"^line (\d+)\r?$", again.out, re.MULTILINE)]
    assert seen == list(range(int(started[1]), 400))
    assert seen[0] > 0
    assert "finished after 2 sessions" in again.out + again.err
    # IPython drops some of a shell line's output when it is interrupted, so what came before is read from the job
    whole = kernel.run("!{sys.executable} -m survivor log train")
    assert lines(whole.out.replace("\r", "")) == list(range(400))
