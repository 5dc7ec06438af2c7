"""Libraries' objects that hold state behind an interface of their own, files that are read, and what can't be carried."""

import pytest
from twin import Place, check, twins

TWINS = [
    *twins(
        "reads_files.py", fast="S4, S22, S41 TERM, S60", slow="S1, S9, S10, S18, S19, S35, S36, S45, S48, S49, S57, S65"
    ),
    *twins("held_things.py", fast="S5, S14 TERM", slow="S1, S4, S8, S12, S19, S23"),
    *twins("traced_modules.py", fast="S6, S12, S26 TERM", slow="S1, S5, S8, S9, S16, S17, S24, S25, S31"),
    *twins("python_objects.py", fast="S4, S10 TERM", slow="S1, S3, S7, S8, S12"),
    *twins(
        "library_generators.py", fast="S4, S15, S26 TERM, S36", slow="S1, S8, S9, S16, S24, S25, S27, S29, S33, S43"
    ),
    *twins("running_loss.py", fast="S8, S16 TERM", slow="S1, S4, S6, S7, S11, S12, S17"),
    *twins("old_weight_norm.py", fast="S8, S15 TERM", slow="S1, S4, S10, S11, S18"),
    *twins("endless_held.py", fast="S4, S9 TERM", slow="S1, S5, S6, S7, S12"),
    *twins("one_process_ddp.py", fast="S8 TERM, S13", slow="S1, S4, S5, S10, S18"),
    *twins("made_while_training.py", fast="S6, S12 TERM", slow="S1, S2, S4, S9, S14, S19"),
    *twins("delegating.py", fast="S6, S18 TERM", slow="S1, S5, S13, S14, S20, S21, S28"),
    *twins("changing_settings.py", fast="S5, S11 TERM", slow="S1, S3, S4, S6, S7, S9, S10, S12 TERM"),
    *twins("named_constants.py", fast="S6, S10 TERM", slow="S1, S3, S5, S7, S11, S13 TERM"),
    *twins("memory_windows.py", fast="S4, S9 TERM", slow="S1, S2, S6, S7, S11, S13"),
    *twins("loggers_and_locks.py", fast="S4, S8 TERM", slow="S1, S5, S6, S7, S10"),
    *twins("project_folder", fast="S4, S9 TERM", slow="S1, S7, S8, S14, S20"),
]


@pytest.mark.parametrize("case", TWINS)
def test_a_killed_run_equals_the_plain_one(case):
    check(case)


@pytest.mark.parametrize(
    "script, named",
    [
        ("other_processes.py", "ours (multiprocessing.connection.Connection, made at other_processes.py:"),
        ("fetches_ahead.py", "__main__.Ahead"),
        ("thread_unheld.py", "thread draw (threading.Thread"),
        ("tasks_beside.py", "task ticks (_asyncio.Task"),
    ],
)
def test_what_has_a_life_of_its_own_is_named_before_training_goes_on(script, named):
    place = Place(script)
    try:
        session = place.survive()
        assert session.code == 5
        assert named in session.err
        assert sum(event.kind in "SB" for event in session.trace.events) <= 2
    finally:
        place.remove()


@pytest.mark.parametrize(
    "what, named",
    [
        ("context", "context (torch.amp.autocast_mode.autocast, made at exchanges.py:"),
        ("database", "database (sqlite3.Connection, made at exchanges.py:"),
        ("memory", "held (sqlite3.Connection, made at exchanges.py:"),
        ("rows", "rows (sqlite3.Cursor, made at exchanges.py:"),
        ("file", "log (_io.TextIOWrapper, made at exchanges.py:"),
        ("class", "held (of a class that is made while training: class_of_its_own.<locals>.Local)"),
        ("type", "held (of a class that is made while training: Made)"),
    ],
)
def test_what_training_exchanges_and_a_rerun_would_make_as_it_was_is_named_at_the_first_safe_point_after_it(what, named):
    place = Place("exchanges.py", (what,))
    try:
        session = place.survive()
        assert session.code == 5
        assert named in session.err
        assert sum(event.kind == "S" for event in session.trace.events) <= 3
    finally:
        place.remove()


def test_what_is_left_to_the_setup_and_stays_as_it_was_is_no_reason_to_stop():
    check(("exchanges.py", ("S4 TERM",), {"args": ("nothing",)}))
