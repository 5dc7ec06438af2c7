"""Rules of the workshop that no linter knows."""

import configparser
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "survivor"
#: Lines; a file that is longer has a reason, and the reason stands here.
LONGEST = 350
LONGER = {
    "state/decode.py": "one pass over all kinds of node, the mirror of encode.py",
    "state/encode.py": "one walk over all kinds of object",
    "training/engine.py": "the decisions at the head of a loop share one state",
}
#: Not even a reason makes these longer.
LONGEST_OF_ALL = 450


def python(*words, **options):
    return subprocess.run(
        [sys.executable, *words], text=True, capture_output=True, timeout=120, check=False, cwd=ROOT, **options
    )


def test_imports_run_downward_only():
    tool = shutil.which("lint-imports", path=sysconfig.get_path("scripts")) or pytest.skip("no import-linter here")
    done = subprocess.run([tool], cwd=ROOT, text=True, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout


def test_help_is_shown_without_torch():
    done = python("-X", "importtime", "-m", "survivor", "--help")
    assert done.returncode == 0
    assert "Commands" in done.stdout
    loaded = {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
    assert "survivor.cli" in loaded
    assert not loaded & {"torch", "numpy", "rich", "cloudpickle", "fsspec"}


def test_the_help_of_each_command_is_shown_without_torch():
    code = """
import sys, click.testing
from survivor.cli import cli
for name in cli.list_commands(None):
    shown = click.testing.CliRunner().invoke(cli, [name, "--help"])
    assert shown.exit_code == 0 and "Usage" in shown.output, (name, shown.output)
print("torch" in sys.modules)
"""
    done = python("-c", code)
    assert done.stdout == "False\n", done.stderr


def test_survivor_is_imported_without_torch():
    done = python("-c", "import sys, survivor; print('torch' in sys.modules, survivor.__all__)")
    assert done.stdout.startswith("False "), done.stderr


def test_files_stay_small():
    lengths = {str(p.relative_to(PACKAGE)): p.read_text().count("\n") for p in PACKAGE.rglob("*.py")}
    too_long = {name: n for name, n in lengths.items() if n > LONGEST and name not in LONGER}
    assert not too_long, f"longer than {LONGEST} lines: split them, or say why not in {Path(__file__).name}"
    assert max(lengths.values()) <= LONGEST_OF_ALL, max(lengths, key=lengths.get)


def test_every_module_says_what_it_is():
    for path in PACKAGE.rglob("*.py"):
        assert path.read_text().lstrip().startswith('"""'), path


def test_the_readme_has_the_command_that_ci_runs():
    commands = re.findall(r"<!-- command (one|two) -->\s+```sh\n(.+?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert [name for name, _ in commands] == ["one", "two"]
    assert "pytest" in dict(commands)["two"]
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_links_between_our_own_pages_lead_somewhere():
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_layer_rule_gives_its_reason():
    text = (ROOT / "setup.cfg").read_text()
    rules = [name for name in configured().sections() if name.startswith("importlinter:contract")]
    assert rules
    for name in rules:
        assert text.split(f"[{name}]\n")[1].startswith("# "), name


def configured():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser
