"""``survivor log``: the whole job's output as one text, and standard output left as it was."""

import contextlib
import os
import pty
import re
import signal
import sys

import pytest
from supervising import wait_for

LOOP = "import time\nfor i in steps(100000):\n    print('line é', i, flush=True)\n    time.sleep(0.01)\n"


def log(work, job="script"):
    return work.python("-m", "survivor", "log", job).stdout.encode()


def test_what_was_printed_twice_or_lost_with_a_kill_stands_in_the_log_once(work):
    script = work.write(
        "import os, sys\n"
        "for i in steps(12):\n"
        "    print('line', i, flush=True)\n"
        "    if i == int(sys.argv[1]):\n"
        "        os.kill(os.getpid(), 9)\n"
        "print('the end')\n"
    )
    for kill in (4, 7):
        work.run("--every", "0", "--max-restarts", "0", "--accept-changes", script, kill)
    code, _, err = work.run("--every", "0", "--accept-changes", script, 99)
    assert code == 0, err
    assert log(work) == b"".join(b"line %d\n" % i for i in range(12)) + b"the end\n"


def test_a_restart_within_a_session_goes_back_to_the_checkpoint_s_output(work):
    script = work.write(
        "import os, pathlib\n"
        "for i in steps(9):\n"
        "    print('line', i, flush=True)\n"
        "    if i == 4 and not pathlib.Path('struck').exists():\n"
        "        pathlib.Path('struck').touch()\n"
        "        os.kill(os.getpid(), 9)\n"
    )
    code, out, err = work.run("--every", "0", script)
    assert code == 0, err
    assert out.count("line 4") == 2
    assert log(work) == b"".join(b"line %d\n" % i for i in range(9))


def test_a_stopped_job_s_log_ends_at_its_checkpoint(work):
    script = work.write(LOOP)
    run = work.start("--every", "0", script)
    run.read_until("line é 5")
    run.send(signal.SIGTERM)
    code, _, err = run.end()
    assert code == 75, err
    assert log(work).decode() == "\n".join(run.lines) + "\n"


def test_a_script_that_fails_has_its_last_lines_in_the_log(work):
    script = work.write("print('before')\nfor i in steps(3): pass\nprint('last words')\nraise SystemExit(3)\n")
    assert work.run(script)[0] == 3
    assert log(work) == b"before\nlast words\n"


def test_what_is_printed_on_the_way_to_the_checkpoint_is_dropped_below_sys_stdout_buffer_as_well(work):
    script = work.write("pass")
    code = (
        "from survivor.training.output import Output\n"
        "import os, sys\n"
        "out = Output()\n"
        "out.install()\n"
        "print('one')\n"
        "out.mute()\n"
        "print('no'); sys.stdout.buffer.write(b'no'); print('no', file=sys.__stdout__)\n"
        "if os.fork() == 0:\n"
        "    print('no'); sys.stdout.flush(); os._exit(0)\n"
        "os.wait()\n"
        "out.unmute()\n"
        "sys.stdout.buffer.write(b'two\\n')\n"
        "sys.stdout.flush()\n"
        "if os.fork() == 0:\n"
        "    print('fork'); sys.stdout.flush(); os._exit(0)\n"
        "os.wait()\n"
        "os.system('echo echo')\n"
        "sys.stderr.write(repr(out.read()))\n"
    )
    done = work.python("-c", code)
    assert script and done.stdout == "one\ntwo\nfork\necho\n"
    assert done.stderr == repr(b"one\ntwo\nfork\n"), "what another program writes is shown, and not noted"


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_standard_output_is_described_to_the_script_as_under_python(work, monkeypatch, unbuffered):
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    script = work.write(
        "import sys\n"
        "s = sys.stdout\n"
        "raw = getattr(s.buffer, 'raw', s.buffer)\n"
        "print(type(s), s.name, s.mode, s.encoding, s.errors, s.newlines, s.line_buffering, s.write_through, s.closed)\n"
        "print(s.fileno(), s.isatty(), isinstance(s.buffer, type(raw)), raw.mode, raw.closefd, raw.name, raw._blksize)\n"
        "print(s is sys.__stdout__)\n"
    )
    plain = work.python(script)
    assert plain.returncode == 0, plain.stderr
    assert work.run(script)[1] == plain.stdout


def test_a_terminal_stays_a_terminal(work):
    script = work.write(
        "import os, sys\n"
        "print(sys.stdout.isatty(), os.isatty(1), os.ttyname(1))\n"
        "for i in steps(2): print(i)\n"
    )
    ours, theirs = pty.openpty()
    shell = f"{sys.executable} -m survivor run {script} >{os.ttyname(theirs)}"
    assert work.python("-c", f"import os; os._exit(os.system({shell!r}) != 0)").returncode == 0
    name = os.ttyname(theirs)
    os.close(theirs)
    shown = wait_for(lambda: os.read(ours, 4096)).decode()
    os.close(ours)
    assert shown.splitlines() == [f"True True {name}", "0", "1"]
    assert log(work).decode().splitlines() == shown.splitlines()


STRIKE = (
    "import os\n"
    "for i in steps(7):\n"
    "    print('line', i, flush=True)\n"
    "    if str(i) == os.environ.get('STRIKE'):\n"
    "        os.kill(os.getpid(), 9)\n"
)


def on_terminal(work, script, **variables):
    """What a terminal is sent by a session that writes to it."""
    ours, theirs = pty.openpty()
    env = {"TERM": "xterm", "NO_COLOR": "", "TMPDIR": str(work.folder), **variables}
    try:
        run = work.start("--every", "0", "--max-restarts", "0", script, stdout=theirs, env=env)
        os.close(theirs)
        found = b""
        with contextlib.suppress(OSError):  # the last writer has closed it
            while data := os.read(ours, 4096):
                found += data
        return run.process.wait(), found.decode().replace("\r\n", "\n"), run.process.stderr.read()
    finally:
        os.close(ours)


def lines(first, last):
    return "".join(f"line {i}\n" for i in range(first, last + 1))


def test_what_was_shown_before_is_dimmed_on_a_terminal_and_plain_in_the_log(work):
    script = work.write(STRIKE)
    code, shown, err = on_terminal(work, script, STRIKE="4")
    assert code != 0 and shown == lines(0, 4), err
    code, shown, err = on_terminal(work, script)
    assert code == 0, err
    dimmed = r"\x1b\[2m([^\x1b]*)\x1b\[22m"
    again, rest = "".join(re.findall(dimmed, shown)), re.sub(dimmed, "", shown)
    assert again and lines(0, 4).endswith(again) and rest == lines(5, 6)
    assert log(work).decode() == lines(0, 6)


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_nothing_is_dimmed_where_colours_are_not_wanted(work, variables):
    script = work.write(STRIKE)
    on_terminal(work, script, STRIKE="4")
    code, shown, err = on_terminal(work, script, **variables)
    assert code == 0 and "\x1b" not in shown and shown.endswith(lines(4, 6)), err


def test_nothing_is_dimmed_in_a_pipe(work):
    script = work.write(STRIKE)
    on_terminal(work, script, STRIKE="4")
    code, out, err = work.run("--every", "0", script, env={"TERM": "xterm", "TMPDIR": str(work.folder)})
    assert code == 0 and "\x1b" not in out and out.endswith(lines(4, 6)), err


def test_output_beyond_the_limit_is_shown_but_not_kept(work):
    code = (
        "import survivor.training.output as output, os, sys\n"
        "output.MOST_BYTES = 200\n"
        "out = output.Output()\n"
        "out.install()\n"
        "for i in range(9):\n"
        "    print('x' * 99, flush=True)\n"
        "sys.stderr.write(str(len(out.read())) + out.read().decode()[-100:])\n"
    )
    done = work.python("-c", code)
    assert len(done.stdout) == 900
    assert "transcript ends here" in done.stderr


def test_a_long_log_is_whole_after_a_restart_out_of_memory_and_after_a_kill_of_all(work):
    script = work.write(
        "import os, pathlib\n"
        "for i in steps(8):\n"
        "    print(str(i) * 700_001, flush=True)\n"
        "    if i in (3, 5) and not pathlib.Path(f'struck{i}').exists():\n"
        "        pathlib.Path(f'struck{i}').touch()\n"
        "        print('lost', flush=True)\n"
        "        os.kill(os.getpid(), 9)\n"
    )
    work.run("--every", "0", "--max-restarts", "0", script)
    code, _, err = work.run("--every", "0", script)
    assert code == 0, err
    assert log(work).decode() == "".join(str(i) * 700_001 + "\n" for i in range(8))


def test_what_a_closed_pipe_raises_shows_the_script_s_lines_only(work):
    script = work.write(
        "import os\nfor i in steps(2): pass\nr, w = os.pipe(); os.close(r); os.dup2(w, 1)\nprint('x', flush=True)\n"
    )
    # unbuffered, since Python would try once more at its end
    code, _, err = work.run(script, env={"PYTHONUNBUFFERED": "1"})
    assert code == 1 and "BrokenPipeError" in err and "output.py" not in err


def test_a_log_of_very_many_lines_is_whole(work):
    script = work.write(
        "import os\n"
        "for i in steps(4):\n"
        "    print('\\n'.join(f'line {i} {n}' for n in range(60000)), flush=True)\n"
        "    if i == 2 and os.environ.get('STRIKE'):\n"
        "        os.kill(os.getpid(), 9)\n"
    )
    work.run("--every", "0", "--max-restarts", "0", script, env={"STRIKE": "1"})
    code, _, err = work.run("--every", "0", script)
    assert code == 0, err
    assert log(work).decode().splitlines() == [f"line {i} {n}" for i in range(4) for n in range(60000)]


def test_a_job_that_printed_nothing_has_an_empty_log(work):
    assert work.run(work.write("for i in steps(2): pass\n"))[0] == 0
    assert log(work) == b""
