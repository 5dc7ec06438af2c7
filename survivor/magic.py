"""``%%survivable NAME``: a notebook cell with a training loop at its top level, run as a survivable call.

The cell's text becomes the body of a function, line for line, so that tracebacks name the cell's own lines.
Names that the cell assigns are the function's variables; those of them that have a value already go in as
arguments, and all of them come back into the notebook at the end. What can't come back is named.

Running the cell in a copy of the kernel does not work (a fork of a process with threads and a GPU); nor do
global variables in place of local ones: which of them are needed further on can't be told, and all of them,
with their graphs, would be carried.
"""

from __future__ import annotations

import ast
import io
import linecache
import shlex
import textwrap
import tokenize
from typing import Any

import click
import cloudpickle
from IPython.core.magic import register_cell_magic

from survivor.cli.run import Span
from survivor.errors import SurvivorError, UsageError

_BACK = "__survivor_back__"


def register() -> None:
    """Make the magic known to the running kernel."""
    register_cell_magic(survivable)


def survivable(line: str, cell: str) -> None:
    """%%survivable NAME [--store FOLDER] [--every TIME] [--time-limit TIME] [--fresh] …: train in this cell."""
    from IPython import get_ipython

    from survivor.decorator import run_call

    shell = get_ipython()
    options = parse_line(line)
    if options is None:
        return
    function = as_function(shell.transform_cell(cell), options["job"], shell.user_ns)
    given = {name: shell.user_ns[name] for name in function.__code__.co_varnames[: function.__code__.co_argcount]}
    try:
        back, lost = run_call(function, (), given, options, words=())
    finally:
        shell.user_ns.pop(_BACK, None)
    shell.user_ns.update(back)
    if lost:
        click.echo(f"survivor: not brought back from the training process: {', '.join(lost)}")


@click.command(name="%%survivable", add_help_option=True)
@click.option("--store", help="Folder in which job folders live. [default: SURVIVOR_STORE, or survivor-jobs]")
@click.option("--every", type=Span(), default="30s", show_default=True, help="Time between checkpoints.")
@click.option("--grace", type=Span(), default="30s", show_default=True, help="Time from a stop to the end.")
@click.option("--time-limit", type=Span(), help="Save and end after this time, e.g. 11h30m.")
@click.option("--fresh", is_flag=True, help="Start over; the old job folder is set aside.")
@click.option("--allow-partial", is_flag=True, help="Go on although some objects can't be saved.")
@click.option("--ignore", metavar="NAME", multiple=True, help="Don't save this variable. May be repeated.")
@click.argument("job", metavar="NAME")
def _command(**options: Any) -> None:
    """Train in this cell so that it survives: run the cell again and it goes on. NAME is the job's name."""


def parse_line(line: str) -> dict[str, Any] | None:
    """The options of the magic's line; None if it asked for help, which was shown.

    Raises:
        UsageError: the line is wrong.
    """
    try:
        with _command.make_context("%%survivable", shlex.split(line)) as context:
            return dict(context.params)
    except click.exceptions.Exit:
        return None
    except (click.ClickException, ValueError) as error:
        message = error.format_message() if isinstance(error, click.ClickException) else str(error)
        raise UsageError(f"%%survivable: {message}", advice="%%survivable --help") from None


def as_function(text: str, job: str, namespace: dict[str, Any]) -> Any:
    """A function that does what the cell does, and returns the values of the names that the cell assigns.

    Raises:
        SyntaxError: the cell can't be compiled.
        UsageError: the cell does what a function can't.
    """
    tree = ast.parse(text)
    assigned = _assigned(tree)
    arguments = sorted(name for name in assigned if name in namespace)
    outer = _declared_global(tree)
    head = f"def {_identifier(job)}({', '.join(name for name in arguments if name not in outer)}):"
    # the magic's own line is the cell's first: the body's lines keep their numbers
    body = [head, *_indented(text), f"    return {_BACK}(dict(locals()))"]
    source = "\n".join(body) + "\n"
    filename = f"<survivable cell {job}>"
    try:
        code = compile(source, filename, "exec", dont_inherit=True)
    except SyntaxError as error:
        raise UsageError(
            f"line {error.lineno} of the cell can't stand in a survivable cell: {error.msg}",
            advice="'import *', 'return' and top-level 'await' don't work there; put them into a cell of their own",
        ) from None
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    namespace[_BACK] = bring_back
    before = set(namespace)
    exec(code, namespace)  # noqa: S102 - the user's own cell
    function = namespace[_identifier(job)]
    if _identifier(job) not in before:
        del namespace[_identifier(job)]
    return function


def bring_back(variables: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """In the child: the variables that can be sent to the notebook, and the names of those that can't."""
    found, lost = {}, []
    for name, value in variables.items():
        try:
            cloudpickle.dumps(value)
        except Exception:
            lost.append(name)
        else:
            found[name] = value
    return found, lost


def _assigned(tree: ast.Module) -> set[str]:
    """The names that the cell's top level binds: not those of functions and classes inside it."""
    names: set[str] = set()
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Name) and isinstance(node.ctx, (ast.Store, ast.Del)):
            names.add(node.id)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
            waiting.extend(node.decorator_list)
            continue
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        elif isinstance(node, (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
            names |= {n.target.id for n in ast.walk(node) if isinstance(n, ast.NamedExpr)}
            continue
        waiting.extend(ast.iter_child_nodes(node))
    return names


def _declared_global(tree: ast.Module) -> set[str]:
    return {name for node in ast.walk(tree) if isinstance(node, ast.Global) for name in node.names}


def _indented(text: str) -> list[str]:
    """The lines, indented, but for those that are the inside of a string."""
    lines = text.splitlines() or ["pass"]
    inside: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.STRING or tokenize.tok_name[token.type].startswith("FSTRING"):
            inside |= set(range(token.start[0] + 1, token.end[0] + 1))
    if all(not line.strip() or line.lstrip().startswith("#") for line in lines):
        lines.append("pass")
    return [line if number in inside else textwrap.indent(line, "    ") for number, line in enumerate(lines, start=1)]


def _identifier(job: str) -> str:
    name = "".join(letter if letter.isalnum() or letter == "_" else "_" for letter in job)
    if not name or not name.isascii():
        raise UsageError(f"%%survivable: {job!r} is no name of a job", advice="use letters, digits and '-'")
    return name if not name[0].isdigit() else f"_{name}"


__all__ = ["SurvivorError", "as_function", "bring_back", "parse_line", "register", "survivable"]
