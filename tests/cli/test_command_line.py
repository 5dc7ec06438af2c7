"""The command line: fast, without torch, with a clear border between survivor's words and the program's."""

import subprocess
import sys
import time

import click
import pytest
from click.testing import CliRunner

from survivor.cli import cli
from survivor.cli.run import Share, Span


def survivor(*words):
    return subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL
    )


def test_help_lists_the_commands():
    done = survivor("-m", "survivor", "--help")
    assert done.returncode == 0
    assert "  run " in done.stdout


def test_help_is_fast_and_loads_neither_torch_nor_the_supervisor():
    code = (
        "import sys, time; begin = time.process_time()\n"
        "from survivor.cli import cli\n"
        "try: cli(['--help'])\n"
        "except SystemExit: pass\n"
        "loaded = {'torch', 'numpy', 'survivor.supervisor.session'} & set(sys.modules)\n"
        "print(loaded or 'none', time.process_time() - begin, file=sys.stderr)\n"
    )
    loaded, seconds = survivor("-c", code).stderr.split()
    assert loaded == "none"
    assert float(seconds) < 0.3


def test_the_whole_of_the_parent_s_wing_loads_no_torch():
    code = (
        "import sys, survivor.cli.run, survivor.supervisor.run, survivor.decorator, survivor.channel\n"
        "print({'torch', 'numpy', 'survivor.training'} & set(sys.modules) or 'none')\n"
    )
    assert survivor("-c", code).stdout == "none\n"


def test_an_unknown_command_is_told():
    done = survivor("-m", "survivor", "walk")
    assert done.returncode == 2
    assert "No such command 'walk'" in done.stderr


def test_run_without_a_script_says_what_to_type():
    done = survivor("-m", "survivor", "run")
    assert done.returncode == 2
    assert "survivor run train.py" in done.stderr


def test_version():
    import survivor as package

    assert survivor("-m", "survivor", "--version").stdout == f"survivor {package.__version__}\n"


@pytest.mark.parametrize(
    ("words", "target", "args"),
    [
        (["train.py"], "train.py", ()),
        (["train.py", "--job", "x", "-m", "y"], "train.py", ("--job", "x", "-m", "y")),
        (["--job", "x", "train.py", "--", "-h"], "train.py", ("--", "-h")),
        (["--every=5m", "train.py", "--help"], "train.py", ("--help",)),
        (["--fresh", "-m", "pack.mod", "--job", "x"], "pack.mod", ("--job", "x")),
        (["-m", "pack.mod"], "pack.mod", ()),
        (["-mpack.mod", "a"], "pack.mod", ("a",)),
        (["--ignore", "-m", "train.py"], "train.py", ()),
        (["--", "train.py", "--x"], "train.py", ("--x",)),
    ],
)
def test_words_behind_the_program_are_the_program_s(monkeypatch, words, target, args):
    seen = []
    monkeypatch.setattr("survivor.supervisor.run.run_job", lambda options: seen.append(options) or 0)
    result = CliRunner().invoke(cli, ["run", *words])
    assert result.exit_code == 0, result.output
    assert (seen[0].target, seen[0].args) == (target, args)


def test_options_arrive_in_seconds_and_shares(monkeypatch):
    seen = []
    monkeypatch.setattr("survivor.supervisor.run.run_job", lambda options: seen.append(options) or 0)
    words = ["--every", "5m", "--grace", "45", "--time-limit", "11h30m", "--overhead", "2%", "--ignore", "a"]
    CliRunner().invoke(cli, ["run", *words, "--ignore", "b", "x/train.py"])
    options = seen[0]
    assert (options.every_s, options.grace_s, options.time_limit_s) == (300, 45, 41400)
    assert (options.overhead, options.ignore, options.job, options.store) == (
        0.02,
        ("a", "b"),
        "train",
        "survivor-jobs",
    )


def test_the_store_comes_from_the_environment(monkeypatch):
    seen = []
    monkeypatch.setattr("survivor.supervisor.run.run_job", lambda options: seen.append(options) or 0)
    monkeypatch.setenv("SURVIVOR_STORE", "/somewhere")
    CliRunner().invoke(cli, ["run", "train.py"])
    assert seen[0].store == "/somewhere"


@pytest.mark.parametrize(("text", "seconds"), [("0", 0), ("30s", 30), ("1.5h", 5400), ("1d2h", 93600)])
def test_spans_of_time(text, seconds):
    assert Span().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "s", "5 minutes", "-3"])
def test_what_is_no_span_of_time_is_told(text):
    with pytest.raises(click.BadParameter, match="11h30m"):
        Span().convert(text, None, None)


def test_a_share_that_is_none_is_told():
    with pytest.raises(click.BadParameter, match="1%"):
        Share().convert("much", None, None)


def test_starting_up_costs_little():
    begin = time.monotonic()
    survivor("-m", "survivor", "--help")
    assert time.monotonic() - begin < 2.0  # 0.06 s on an idle machine; this one may be busy
