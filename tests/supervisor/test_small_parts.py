"""Options, differences, words, events, messages."""

import json

import pytest

from survivor import channel
from survivor.errors import UsageError
from survivor.supervisor import environment, events, identity
from survivor.supervisor.console import Console, size_text, time_text
from survivor.supervisor.job import choose_hash_seed
from survivor.supervisor.options import RunOptions, job_name_of


def test_all_that_is_wrong_with_the_options_is_said_at_once():
    with pytest.raises(UsageError) as caught:
        RunOptions(
            kind="script", target="x.py", job="a/b", command="", every_s=-1, overhead=2, grace_s=0, max_restarts=-1
        )
    assert all(name in str(caught.value) for name in ("--job", "--every", "--overhead", "--grace", "--max-re"))


@pytest.mark.parametrize(
    ("kind", "target", "name"),
    [
        ("script", "a/train.py", "train"),
        ("script", "my script (2).py", "my-script-2-"),
        ("script", "__main__.py", "main__"),
        ("script", "....py", "job"),
        ("module", "package.train", "train"),
        ("function", "__main__.Trainer.fit", "fit"),
    ],
)
def test_a_job_has_a_name_that_can_be_a_folder(kind, target, name):
    assert job_name_of(kind, target) == name


def test_arguments_are_compared_option_by_option():
    before = ["train.py", "--lr", "0.1", "--epochs", "3", "--name=a", "-v"]
    now = ["train.py", "--lr", "0.2", "--epochs", "3", "--name=b"]
    assert identity.argument_difference(before, now).splitlines() == [
        "- --lr 0.1",
        "+ --lr 0.2",
        "- --name=a",
        "- -v",
        "+ --name=b",
    ]


def test_a_long_diff_is_cut():
    diff = identity.source_difference("a\n" * 100, "b\n" * 100, "x.py").splitlines()
    assert len(diff) == 31 and diff[-1].startswith("… and ")


def test_differences_of_environments_say_what_they_do_to_the_bits():
    before = {"python": "3.11.7", "torch": "2.4", "host": "a", "gpu": "A100"}
    now = {"python": "3.11.8", "torch": "2.5", "host": "b", "OMP_NUM_THREADS": "2"}
    found = {d.key: d.effect for d in environment.differences(before, now)}
    assert found == {
        "python": "harmless",
        "torch": "may differ",
        "host": "harmless",
        "gpu": "will differ",
        "OMP_NUM_THREADS": "may differ",
    }
    assert environment.differences(now, now) == []


def test_the_fingerprint_is_text_and_names_python():
    found = environment.fingerprint()
    assert all(isinstance(value, str) and value for value in found.values())
    assert {"python", "machine", "cpus", "torch"} <= set(found)


def test_the_user_s_hash_seed_is_kept_and_another_is_drawn():
    assert choose_hash_seed("12") == 12
    assert choose_hash_seed("0") == 0
    assert 0 <= choose_hash_seed("random") < 2**32
    assert choose_hash_seed("") != choose_hash_seed("")


def test_sizes_and_times_read_well():
    assert [size_text(n) for n in (5, 1200, 3_400_000, 2_000_000_000_000)] == [
        "5 bytes",
        "1.2 kB",
        "3.4 MB",
        "2.0 TB",
    ]
    assert [time_text(s) for s in (-1, 12.3, 200, 7500, 300_000)] == ["0 s", "12 s", "3 min", "2 h 5 min", "3 d"]


def test_events_are_lines_of_json(tmp_path):
    hook = events.file_hook(tmp_path / "e.jsonl")
    hook(events.CheckpointSaved(job="a", session=2, checkpoint="c", step=1, position="", size_bytes=3, seconds=0.1))
    hook(events.Ended(job="a", session=2, outcome="finished", exit_code=0))
    first, second = map(json.loads, (tmp_path / "e.jsonl").read_text().splitlines())
    assert (first["event"], first["step"], second["event"]) == ("checkpoint_saved", 1, "ended")


def test_an_event_file_that_cannot_be_written_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="--events"):
        events.file_hook(tmp_path / "no" / "e.jsonl")


def test_quiet_keeps_warnings():
    shown = []
    console = Console(quiet=True, write=shown.append)
    console.say("no")
    console.warn("yes")
    assert shown == ["survivor: warning: yes\n"]


MESSAGES = [
    channel.Start(kind="script", target="a", args=("b",), store="s", job="j", session=1, token=2, origin={"a": "b"}),
    channel.Stop(reason="SIGTERM", deadline_s=3.5),
    channel.Saved(checkpoint="c", step=1, position="é\n", size_bytes=2, seconds=0.5, final=True),
    channel.Refused(error_type="E", message="m\nn", advice="", exit_code=5),
    channel.Finished(),
]


def test_messages_arrive_whole_however_the_bytes_are_cut():
    data = b"".join(map(channel.encode, MESSAGES))
    for size in (1, 7, 1000):
        decoder = channel.Decoder()
        pieces = [data[i : i + size] for i in range(0, len(data), size)]
        assert [message for piece in pieces for message in decoder.feed(piece)] == MESSAGES


@pytest.mark.parametrize("line", [b"{}", b'{"type": "Message"}', b'{"type": "Stop"}', b"nonsense"])
def test_what_is_no_message_is_refused(line):
    with pytest.raises(ValueError):
        channel.decode(line)
