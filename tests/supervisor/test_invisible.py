"""What a program can see of the world is what it sees under ``python``."""

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest
from supervising import FAKES, PATIENCE_S, clean_environment

LOOK = """\
import json, os, signal, sys, threading

def plain(value):
    return value if isinstance(value, (str, int, float, bool, type(None))) else type(value).__name__

spec = __spec__ and [__spec__.name, __spec__.origin, __spec__.parent]
seen = {
    "globals": {key: plain(value) for key, value in globals().items() if key not in ("plain", "spec")},
    "argv": sys.argv,
    "orig_argv": sys.orig_argv,
    "path": sys.path,
    "spec": spec,
    "flags": str(sys.flags),
    "warnoptions": sys.warnoptions,
    "environ": {key: value for key, value in os.environ.items() if key != "_"},
    "folder": os.getcwd(),
    "handlers": [str(signal.getsignal(number)) for number in signal.valid_signals() if number < 32],
    "mask": [int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, [])],
    "threads": [thread.name for thread in threading.enumerate()],
    "main": sys.modules["__main__"].__dict__ is globals(),
    "next file": os.open("/", os.O_RDONLY),
    "stdin": sys.stdin.read(),
    "buffering": [sys.stdout.line_buffering, sys.stdout.write_through],
    "excepthook": sys.excepthook is sys.__excepthook__,
    "annotations": dict(__annotations__) if sys.version_info < (3, 14) else {},
    "builtins": __builtins__.__name__,
}
print(json.dumps(seen, indent=1, sort_keys=True))
"""


def test_a_script_sees_the_same_world(work):
    script = work.write(LOOK)
    assert_same(work, [script, "--epochs", "3", "a b"])


@pytest.mark.parametrize("path", ["./script.py", "sub/../script.py", "sub/deep.py", "link.py"])
def test_a_script_s_path_is_seen_as_it_was_typed(work, path):
    work.write(LOOK)
    work.write(LOOK, "sub/deep.py")
    (work.folder / "link.py").symlink_to("sub/deep.py")
    assert_same(work, [path])


def test_a_module_sees_the_same_world(work):
    work.write("", "pack/__init__.py")
    work.write(LOOK, "pack/mod.py")
    assert_same(work, ["-m", "pack.mod", "--x", "-m"])


def test_a_package_sees_the_same_world(work):
    work.write("", "pack/__init__.py")
    work.write(LOOK, "pack/__main__.py")
    assert_same(work, ["-m", "pack"])


def test_a_module_that_is_not_there_is_told(work):
    code, _, err = work.run("-m", "no.such.module")
    assert code == 2
    assert "no module named 'no.such.module'" in err


@pytest.mark.parametrize("flags", [["-O"], ["-B", "-W", "error"], ["-u"], ["-X", "dev"]])
def test_the_interpreter_s_own_options_are_handed_on(work, flags):
    script = work.write(LOOK.replace('"orig_argv": sys.orig_argv,', ""))
    plain = subprocess.run(
        [sys.executable, *flags, script],
        cwd=work.folder,
        env=clean_environment(),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    ours = subprocess.run(
        [sys.executable, *flags, "-m", "survivor", "run", script],
        cwd=work.folder,
        env=clean_environment(),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert ours.stdout == plain.stdout


@pytest.mark.parametrize("name", ["survivor", "runpy", "json", "ctypes", "signal"])
def test_a_user_s_file_named_like_a_module_of_ours_is_not_taken_for_it(work, name):
    work.write("raise SystemExit('imported by mistake')", f"{name}.py")
    work.write("print('fine')\n", "sub/script.py")
    command = Path(sys.executable).with_name("survivor")
    assert work.run("sub/script.py", program=[command])[:2] == (0, "fine\n")


def test_the_user_s_own_modules_are_found(work):
    work.write("value = 7\n", "sub/helper.py")
    work.write("import helper\nprint(helper.value)\n", "sub/script.py")
    assert work.run("sub/script.py")[:2] == (0, "7\n")


def test_strings_hash_the_same_in_every_session_and_in_what_the_script_starts(work):
    script = work.write(
        "import os, subprocess, sys\n"
        "print(hash('a'), 'PYTHONHASHSEED' in os.environ, flush=True)\n"
        "subprocess.run([sys.executable, '-c', \"print(hash('a'))\"])\n"
        "for i in steps(9):\n"
        "    if i == 5 and not os.path.exists('seen'):\n"
        "        open('seen', 'w').close()\n"
        "        os.abort()\n"
    )
    code, out, _ = work.run("--every", 0, script)
    assert code == 0
    first, in_subprocess, second, _ = out.splitlines()
    assert first == second == f"{in_subprocess} False"


def test_the_user_s_own_hash_seed_is_kept_and_seen(work):
    script = work.write("import os\nprint(hash('a'), os.environ['PYTHONHASHSEED'])\n")
    plain = work.python(script, env={**clean_environment(), "PYTHONHASHSEED": "5"})
    assert work.run(script, env={"PYTHONHASHSEED": "5"})[1] == plain.stdout


def test_an_excepthook_of_the_user_s_gets_the_exception_without_our_frames(work):
    script = work.write(
        "import sys, traceback\nsys.excepthook = lambda kind, error, tb: print(kind, traceback.format_tb(tb))\n1 / 0\n"
    )
    plain = work.python(script)
    code, out, _ = work.run(script)
    assert (code, out) == (plain.returncode, plain.stdout)


def test_threads_and_exit_handlers_run_to_their_end(work):
    script = work.write(
        "import atexit, threading, time\n"
        "atexit.register(print, 'exit handler')\n"
        "threading.Thread(target=lambda: (time.sleep(0.3), print('thread'))).start()\n"
        "print('main')\n"
    )
    assert work.run(script)[:2] == (0, "main\nthread\nexit handler\n")


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_works_and_its_workers_are_plain_python(work, method):
    script = work.write(
        "import multiprocessing, sys\n"
        "def work(x):\n"
        "    return x * x\n"
        "if __name__ == '__main__':\n"
        f"    context = multiprocessing.get_context('{method}')\n"
        "    with context.Pool(2) as pool:\n"  # leaving it calls terminate(), which sends SIGTERM
        "        print(pool.map(work, range(4)))\n"
        "else:\n"
        "    assert __name__ == '__mp_main__' and 'survivor.training' not in sys.modules\n"
    )
    assert work.run(script)[:2] == (0, "[0, 1, 4, 9]\n")


def test_what_the_script_starts_can_be_ended_by_sigterm(work):
    script = work.write(
        "import multiprocessing, subprocess, sys, time\n"
        "process = subprocess.Popen(['sleep', '60'])\n"
        "process.terminate()\n"
        "print(process.wait())\n"
        "forked = multiprocessing.get_context('fork').Process(target=time.sleep, args=(60,))\n"
        "forked.start()\n"
        "forked.terminate()\n"
        "forked.join()\n"
        "print(forked.exitcode)\n"
    )
    assert work.run(script)[:2] == (0, "-15\n-15\n")


def test_a_signal_handler_of_the_script_s_own_is_called(work):
    script = work.write(
        "import os, signal\n"
        "signal.signal(signal.SIGUSR1, lambda *_: print('mine'))\n"
        "os.kill(os.getpid(), signal.SIGUSR1)\n"
    )
    assert work.run(script)[:2] == (0, "mine\n")


def test_a_fork_of_the_script_that_runs_to_its_end_does_not_finish_the_job(work):
    script = work.write(
        "import os, sys, time\n"
        "if os.fork() == 0:\n"
        "    sys.exit(0)\n"
        "os.wait()\n"
        "for i in steps(3):\n"
        "    print(i, flush=True)\n"
        "sys.exit(4)\n"
    )
    code, out, err = work.run(script)
    assert (code, out) == (4, "0\n1\n2\n")
    assert "finished" not in err


def test_a_terminal_stays_a_terminal(work):
    script = work.write(
        "import os, sys\n"
        "print([stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)])\n"
        "print('hello', input('name? '))\n"
        "for i in steps(1000):\n"
        "    print('loop', i)\n"
        "    __import__('time').sleep(0.01)\n"
    )
    code, shown = in_terminal(work, script, [(b"name? ", b"bob\n"), (b"loop 3", b"\x03")])
    assert "[True, True, True]" in shown
    assert "hello bob" in shown
    assert "SIGINT: saved at step" in shown
    assert code == 75


def assert_same(work, words):
    text = "some input\n"
    plain = work.python(*words, input=text, stdin=None)
    ours = subprocess.run(
        [sys.executable, "-m", "survivor", "run", *words],
        cwd=work.folder,
        env=clean_environment(),
        input=text,
        text=True,
        capture_output=True,
        timeout=PATIENCE_S,
    )
    assert plain.returncode == 0, plain.stderr
    assert ours.stdout == plain.stdout, ours.stderr


def in_terminal(work, script, dialogue):
    """Run in a pseudo-terminal, answer each expected text; returns the exit code and all that was shown."""
    pid, fd = pty.fork()
    if pid == 0:
        os.chdir(work.folder)
        os.environ["PYTHONPATH"] = str(FAKES)
        os.execv(sys.executable, [sys.executable, "-m", "survivor", "run", script])
    shown, deadline = b"", time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if select.select([fd], [], [], 0.1)[0]:
            try:
                data = os.read(fd, 4096)
            except OSError:
                break
            shown += data
            if dialogue and dialogue[0][0] in shown:
                os.write(fd, dialogue.pop(0)[1])
    os.close(fd)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode()
