"""A folder that someone forged gets a clear error: nothing runs, nothing outside is read, no memory is taken."""

import contextlib
import hashlib
import json
import os
import pickle
import struct
import tracemalloc
import zlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jobfolder import assert_exact, blob, files, snapshot

from survivor.checkpoint import envelope, manifest, pack
from survivor.checkpoint.names import parse_stamp
from survivor.checkpoint.repository import Repository
from survivor.checkpoint.snapshot import Snapshot
from survivor.errors import FormatError, NewerFormatError, StoreError
from survivor.store import FolderStore

NAME = "00000001-0000000001-01-0123abcd"
STAMP = parse_stamp(NAME)


def sealed(first, body=b"{}"):
    """Frame anything at all with a seal that holds."""
    content = (first if isinstance(first, bytes) else json.dumps(first).encode()) + b"\n" + body + b"\n"
    return memoryview(content + b'{"sha256": "%s"}\n' % hashlib.sha256(content).hexdigest().encode())


def frame(**changes):
    whole = {"survivor": "manifest", "version": 1, "name": NAME, "encoding": "json", "size": 2, "head": {}}
    return {**whole, **changes}


HEAD = {
    "token": 1, "step": 1, "session": 1, "position": "", "time": 1.0, "metrics": {}, "origin": {},
    "size": 0, "written": 0, "count": 0,
    "packs": [{"name": NAME, "size": 1000, "header": 100, "digest": "0" * 32}],
}  # fmt: skip


def forged(head=None, blobs=None, **changes):
    body = json.dumps({"blobs": blobs if blobs is not None else {}, "document": None}).encode()
    return sealed(frame(head={**HEAD, **(head or {})}, size=len(body), **changes), body)


def opened(data):
    return manifest.read(STAMP, data, "manifest").body()


def test_the_forger_of_these_tests_knows_the_format():
    refs, document = opened(forged(blobs={"x": ["F32", [2], 0, 100, "0" * 32]}))
    assert refs["x"].size_bytes == 8
    assert document is None


@pytest.mark.parametrize(
    "changes",
    [
        {"packs": [{"name": "../../etc/passwd", "size": 1000, "header": 100, "digest": "0" * 32}]},
        {"packs": [{"name": NAME + "/..", "size": 1000, "header": 100, "digest": "0" * 32}]},
        {"packs": [{"name": NAME, "size": -1, "header": 100, "digest": "0" * 32}]},
        {"packs": [{"name": NAME, "size": 1e300, "header": 100, "digest": "0" * 32}]},
        {"packs": [{"name": NAME, "size": 1000, "header": 2000, "digest": "0" * 32}]},
        {"packs": [{"name": NAME, "size": 1000, "header": 100, "digest": "x" * 32}]},
        {"packs": [{"name": NAME}]},
        {"packs": [None]},
        {"packs": {"0": 1}},
        {"packs": [{"name": NAME, "size": 1000, "header": 100, "digest": "0" * 32}] * 20_000},
        {"token": 2},
        {"step": "1"},
        {"session": -1},
        {"position": 5},
        {"time": "soon"},
        {"time": 10**400},
        {"metrics": {"x": []}},
        {"metrics": []},
        {"origin": "x"},
        {"size": 1 << 70},
    ],
    ids=repr,
)
def test_a_forged_head_is_refused(changes):
    with pytest.raises(FormatError):
        opened(forged(changes))


@pytest.mark.parametrize(
    "entry",
    [
        ["F32", [2], 0, 99, "0" * 32],
        ["F32", [2], 0, 993, "0" * 32],
        ["F32", [2], 1, 100, "0" * 32],
        ["F32", [2], -1, 100, "0" * 32],
        ["F32", [-2], 0, 100, "0" * 32],
        ["F32", [1 << 40, 1 << 40], 0, 100, "0" * 32],
        ["F32", [0, 1 << 63], 0, 100, "0" * 32],
        ["F32", [1] * 65, 0, 100, "0" * 32],
        ["F32", [2.0], 0, 100, "0" * 32],
        ["F32", [True], 0, 100, "0" * 32],
        ["F32", 2, 0, 100, "0" * 32],
        ["object", [2], 0, 100, "0" * 32],
        [None, [2], 0, 100, "0" * 32],
        ["F32", [2], 0, 100, "0" * 31],
        ["F32", [2], 0, 100],
        [],
        None,
        "F32",
    ],
    ids=repr,
)
def test_a_forged_blob_is_refused(entry):
    with pytest.raises(FormatError):
        opened(forged(blobs={"x": entry}))


@pytest.mark.parametrize("name", ["", "__metadata__", "a\nb", "\ud800", "x" * 1025])
def test_a_forged_blob_name_is_refused(name):
    with pytest.raises(FormatError):
        opened(forged(blobs={name: ["F32", [2], 0, 100, "0" * 32]}))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        pickle.dumps({"a": 1}),
        sealed(b""),
        sealed(b"[]"),
        sealed(b"null"),
        sealed(frame(survivor="job")),
        sealed(frame(name="00000001-0000000002-01-0123abcd")),
        sealed(frame(encoding="pickle")),
        sealed(frame(size=1 << 40)),
        sealed(frame(size=-1)),
        sealed(frame(size=3)),
        sealed(frame(head=[])),
        sealed(frame(version="1")),
        sealed(frame(head=HEAD), b"NaN"),
        sealed(frame(head=HEAD, size=8), b"Infinity"),
        sealed(frame(head=HEAD, size=3), b'"\xff"'),
        sealed(frame(head=HEAD), b"[]"),
        sealed(frame(head=HEAD, size=2000), b"[" * 1000 + b"]" * 1000),
        sealed(frame(head=HEAD, size=200_000), b"[" * 200_000),
        sealed(frame(head=HEAD, size=5000), b"1" * 5000),
        sealed(frame(head=HEAD, encoding="zlib"), b"not zlib"),
        sealed(frame(head=HEAD, encoding="zlib"), zlib.compress(b"{}") + b"more"),
        sealed(frame(head=HEAD, encoding="zlib"), zlib.compress(b"{}")[:-1]),
    ],
    ids=lambda data: bytes(data[:150]).decode("latin1").encode("ascii", "replace").decode(),
)
def test_a_forged_frame_is_refused(data):
    with pytest.raises(FormatError):
        opened(memoryview(data))


def test_a_newer_format_says_so_but_a_damaged_number_does_not():
    with pytest.raises(NewerFormatError, match="format 2") as raised:
        opened(sealed(frame(version=2, survivor="whatever")))
    assert "pip install" in raised.value.advice
    torn = bytes(forged()).replace(b'"version": 1', b'"version": 3')
    with pytest.raises(FormatError, match="changed"):
        opened(memoryview(torn))


def test_a_newer_checkpoint_is_not_passed_over_in_silence(tmp_path):
    repository = Repository.open(tmp_path, "job")
    repository.commit(snapshot(1), session=1, token=1)
    name = "00000001-0000000002-01-0123abcd"
    repository.store.put(f"job/checkpoints/{name}.json", [sealed(frame(version=2, name=name))])
    for act in (repository.newest, repository.list):
        with pytest.raises(NewerFormatError):
            act()
    with pytest.raises(NewerFormatError):
        Repository.open(tmp_path, "job").commit(snapshot(3), session=1, token=1)


def test_a_small_file_does_not_take_much_memory():
    bombs = [
        sealed(frame(head=HEAD, encoding="zlib", size=1000), zlib.compress(bytes(100 << 20))),
        sealed(frame(head=HEAD, encoding="zlib", size=1 << 40), zlib.compress(bytes(100 << 20))),
        memoryview(b"x" * 1000),
    ]
    tracemalloc.start()
    for bomb in bombs:
        with pytest.raises(FormatError):
            opened(bomb)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 << 20


def test_a_pack_header_that_claims_to_be_huge_is_refused():
    with pytest.raises(FormatError):
        pack.header_bytes(memoryview(struct.pack("<Q", 1 << 62)), "pack")
    with pytest.raises(FormatError):
        pack.header_bytes(memoryview(b"123"), "pack")


def test_a_pickle_in_any_place_never_runs(tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "bang"),)

    repository = Repository.open(tmp_path, "job")
    repository.commit(snapshot(1), session=1, token=1)
    for path in files(tmp_path / "job"):
        path.write_bytes(pickle.dumps(Bomb()))
    assert Repository.open(tmp_path, "job").newest() is None
    assert not (tmp_path / "bang").exists()


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


def only_format_errors(action):
    with contextlib.suppress(FormatError, NewerFormatError):
        action()


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=400), st.binary(max_size=200))
def test_any_bytes_at_all_are_refused_in_order(first, body):
    only_format_errors(lambda: opened(memoryview(first + body)))
    only_format_errors(lambda: opened(sealed(first.replace(b"\n", b""), body)))


@settings(max_examples=400, deadline=None)
@given(st.dictionaries(st.sampled_from([*HEAD, "other"]), json_values, max_size=4), json_values, st.data())
def test_any_json_in_a_manifest_is_read_or_refused_in_order(head, value, data):
    only_format_errors(lambda: opened(forged(head)))
    only_format_errors(lambda: opened(forged(blobs={"x": value})))
    only_format_errors(lambda: opened(forged(blobs=value)))
    changed = frame(head=HEAD)
    changed[data.draw(st.sampled_from(sorted(changed)))] = value
    only_format_errors(lambda: opened(sealed(changed)))


@settings(max_examples=300, deadline=None)
@given(json_values, st.integers(0, 5), st.binary(max_size=50))
def test_any_pack_header_is_read_or_refused_in_order(value, place, junk):
    table = {"x": {"dtype": "U8", "shape": [2], "data_offsets": [0, 2]}}
    metadata = {"name": NAME, "digests": json.dumps({"x": "0" * 32})}
    forms = [
        value,
        {"x": value, "__metadata__": metadata},
        {**table, "__metadata__": value},
        {**table, "__metadata__": {**metadata, "digests": json.dumps(value)}},
        {"x": {**table["x"], "shape": value}, "__metadata__": metadata},
        {"x": {**table["x"], "data_offsets": value}, "__metadata__": metadata},
    ]
    text = json.dumps(forms[place]).encode()
    header = memoryview(struct.pack("<Q", len(text)) + text)
    only_format_errors(lambda: pack.read_header(NAME, header, len(header) + 2, "pack"))
    only_format_errors(lambda: pack.read_header(NAME, memoryview(bytes(8) + junk), 100, "pack"))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    document=json_values,
    sizes=st.dictionaries(st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=9),
                          st.binary(max_size=300), max_size=6),
    metrics=st.dictionaries(st.text(max_size=9), st.floats(), max_size=3),
)  # fmt: skip
def test_whatever_is_committed_comes_back(ram, document, sizes, metrics):
    repository = Repository.open(ram, f"job-{len(os.listdir(ram))}")
    blobs = {name: blob(name, data) for name, data in sizes.items()}
    repository.commit(
        Snapshot(document=document, blobs=blobs, step=1, position="", metrics=metrics), session=1, token=1
    )
    found = Repository(repository.store, repository.job).newest()
    assert found.document == document
    assert {name: bytes(made.data) for name, made in found.blobs().items()} == sizes
    assert json.dumps(found.metrics) == json.dumps(metrics)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damage_at_any_place_of_a_folder_ends_in_an_exact_checkpoint_or_none(ram, data):
    root = ram / "one"
    if not root.exists():
        repository = Repository.open(root, "job")
        for step in (1, 2):
            repository.commit(snapshot(step), session=1, token=1)
    path = data.draw(st.sampled_from(files(root)))
    whole = path.read_bytes()
    start = data.draw(st.integers(0, len(whole)))
    junk = data.draw(st.binary(min_size=1, max_size=100))
    kept = data.draw(st.integers(0, 100))
    path.write_bytes(whole[:start] + junk + whole[start + kept :])
    try:
        found = Repository.open(root, "job").newest()
    except StoreError:
        found = None
    finally:
        path.write_bytes(whole)
    if found is not None:
        assert_exact(found)


def test_the_nesting_of_text_is_not_counted():
    text = json.dumps(["[" * 2000, '\\"[' * 2000, "{" * 2000]).encode()
    assert envelope.parse(text, "x")[0] == "[" * 2000
    deep = b"[" * 499 + b'"[[["' + b"]" * 499
    envelope.parse(deep, "x")
    with pytest.raises(FormatError, match="nested"):
        envelope.parse(b"[" * 501 + b"]" * 501, "x")
    # strings that never end, with many ends that are escaped
    for evil in (b"[" * 600 + b'"' + b'\\"' * 200_000, b"[" * 600 + b'"' * 200_001, b"[" * 600 + b'"\\'):
        with pytest.raises(FormatError):
            envelope.parse(evil, "x")


@pytest.mark.parametrize("number", [b"1e999", b"-1e999", b"1" + b"0" * 400, b"-1", b"1e300", b"true", b"null", b'"x"'])
@pytest.mark.parametrize("key", ["since", "ttl_s", "pid", "born", "token", "session"])
def test_no_number_in_a_claim_breaks_the_reader(tmp_path, key, number):
    """A claim that holds nonsense counts as torn: its token is spent, and a newcomer gets the next one."""
    from survivor.checkpoint.lease import Lease, live_holder

    lease = Lease.acquire(Repository.open(tmp_path, "job").store, "job", session=1)
    (path,) = files(tmp_path)
    line = path.read_bytes().split(b"\n")[0]
    known = json.dumps(json.loads(line)["head"][key]).encode()
    assert b'"%s": %s' % (key.encode(), known) in line
    content = line.replace(b'"%s": %s' % (key.encode(), known), b'"%s": %s' % (key.encode(), number)) + b"\nnull\n"
    path.write_bytes(content + b'{"sha256": "%s"}\n' % hashlib.sha256(content).hexdigest().encode())
    str(live_holder(FolderStore(tmp_path), "job"))
    assert Lease.acquire(FolderStore(tmp_path), "job", session=2, take_over=True).token == lease.token + 1


@pytest.mark.parametrize("number", [b"1e999", b"1" + b"0" * 400, b"1e300"])
def test_no_time_in_a_manifest_breaks_a_listing(number):
    first, body, _ = bytes(forged()).split(b"\n", 2)
    assert opened(sealed(first, body)) == ({}, None)
    with pytest.raises(FormatError, match="no time"):
        opened(sealed(first.replace(b'"time": 1.0', b'"time": ' + number), body))
