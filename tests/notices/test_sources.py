"""What each source of notices sees, and what it makes of it."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from survivor.machine import Memory
from survivor.notices import View, clock, spot
from survivor.notices.cpu import CpuTime
from survivor.notices.memory import MemoryLimit
from survivor.notices.space import StoreSpace
from survivor.notices.stopfile import StopFile

HOUR = 3600.0
GB = 10**9


class Now:
    """A clock that a test sets."""

    def __init__(self, at=0.0):
        self.at = at

    def __call__(self):
        return self.at


# ------------------------------------------------------------------ time


def test_a_time_limit_is_told_when_no_more_than_the_margin_is_left():
    now = Now(1000.0)
    limit = clock.of_user(100.0, now)
    now.at = 1089.0
    assert limit.look(View(margin_s=10.0)) is None
    now.at = 1091.0
    notice = limit.look(View(margin_s=10.0))
    assert (notice.reason, notice.left_s, notice.ends) == ("time limit", 9.0, True)


def test_a_limit_is_looked_at_more_often_as_it_comes_nearer():
    now = Now()
    limit = clock.of_user(1000.0, now)
    seen = [limit.every_s]
    for now.at in (900.0, 999.0, 2000.0):
        seen.append(limit.every_s)
    assert seen == [10.0, 5.0, 0.05, 0.05]


def place(environ, age_h=0.0, root="/nowhere"):
    from pathlib import Path

    return clock.of_place(environ, boot_time=lambda: 0.0, clock=lambda: age_h * HOUR, root=Path(root))


def test_slurm_says_when_its_job_ends():
    assert place({"SLURM_JOB_END_TIME": "12345"}).end_at == 12345.0


def test_kaggle_and_colab_count_from_the_start_of_the_machine():
    assert place({"KAGGLE_KERNEL_RUN_TYPE": "Batch"}, age_h=1).end_at == 12 * HOUR
    assert place({"KAGGLE_KERNEL_RUN_TYPE": "Batch", "TPU_NAME": "x"}).end_at == 9 * HOUR
    assert place({"COLAB_RELEASE_TAG": "x"}, age_h=2).end_at == 12 * HOUR


def test_a_colab_that_is_older_than_twelve_hours_has_twenty_four():
    assert place({"COLAB_RELEASE_TAG": "x"}, age_h=13).end_at == 24 * HOUR


def test_elsewhere_there_is_no_limit():
    assert place({}) is None
    assert place({"COLAB_RELEASE_TAG": "x", "VERTEX_PRODUCT": "COLAB_ENTERPRISE"}) is None


# ------------------------------------------------------------------ memory, room, processor, file


def test_memory_is_told_when_it_is_full_or_will_be_within_half_a_minute():
    now, used = Now(), [50]
    source = MemoryLimit(lambda: Memory(100, used[0]), now)
    assert source.look(View()) is None
    used[0] = 98
    assert not source.look(View()).ends
    growing = MemoryLimit(lambda: Memory(1000, used[0]), now)
    told = []
    for now.at, used[0] in [(2 * i, 880 + 10 * i) for i in range(9)]:
        told.append(growing.look(View()))
    assert told[:5] == [None] * 5
    assert "full in" in told[-1].reason
    steady = MemoryLimit(lambda: Memory(1000, 900), now)
    for now.at in range(20):
        assert steady.look(View()) is None


def test_a_store_without_room_for_two_checkpoints_is_told():
    assert StoreSpace().look(View(state_bytes=GB, free_bytes=3 * GB)) is None
    assert StoreSpace().look(View(state_bytes=GB, free_bytes=None)) is None
    notice = StoreSpace().look(View(state_bytes=GB, free_bytes=GB // 2))
    assert (notice.ends, "0.50 GB left" in notice.reason) == (False, True)


def test_cpu_time_is_told_before_the_kernel_s_signal():
    used = [10.0]
    source = CpuTime(100, lambda pid: used[0])
    assert source.look(View(pid=1, margin_s=5)) is None
    used[0] = 95.0
    notice = source.look(View(pid=1, margin_s=5))
    assert notice.left_s == 5.0 and "SIGXCPU" in notice.reason
    assert source.look(View(pid=0, margin_s=5)) is None


def test_a_stop_file_counts_once(tmp_path):
    path = tmp_path / "stop"
    source = StopFile(str(path))
    assert source.look(View()) is None
    path.touch()
    assert source.look(View()).ends
    assert source.look(View()) is None


# ------------------------------------------------------------------ spot machines, against a server on loopback


@pytest.fixture
def metadata():
    """A server of metadata: ``answers`` by path, ``seen`` requests with their headers."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.seen.append((self.command, self.path, dict(self.headers)))
            needed, text = self.server.answers.get(self.path, (None, None))
            if text is None:
                self.send_error(404)
            elif needed and self.headers.get(needed[0]) != needed[1]:
                self.send_error(401)
            else:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(text.encode())

        do_PUT = do_GET

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.answers, server.seen = {}, []
    server.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_aws_is_asked_with_a_token_and_tells_the_time_that_is_left(metadata):
    metadata.answers["/latest/api/token"] = (("X-aws-ec2-metadata-token-ttl-seconds", "21600"), "abc")
    now = Now(1795506000.0)  # 2026-11-24T07:40:00Z
    source = spot.Aws(metadata.address, now)
    assert source.look(View()) is None
    token = ("X-aws-ec2-metadata-token", "abc")
    path = "/latest/meta-data/spot/instance-action"
    metadata.answers[path] = (token, '{"action": "terminate", "time": "2026-11-24T07:42:00Z"}')
    notice = source.look(View())
    assert (notice.reason, notice.left_s) == ("AWS will terminate this spot machine", 120.0)
    assert [method for method, _, _ in metadata.seen] == ["PUT", "GET", "GET"]


def test_google_cloud_tells_preemption_and_maintenance(metadata):
    google = ("Metadata-Flavor", "Google")
    preempted = "/computeMetadata/v1/instance/preempted"
    event = "/computeMetadata/v1/instance/maintenance-event"
    metadata.answers |= {preempted: (google, "FALSE"), event: (google, "NONE")}
    source = spot.Gcp(metadata.address)
    assert source.look(View()) is None
    metadata.answers[event] = (google, "TERMINATE_ON_HOST_MAINTENANCE")
    assert source.look(View()).left_s == 60.0
    metadata.answers[preempted] = (google, "TRUE")
    assert source.look(View()).left_s == 30.0


def test_azure_tells_scheduled_events(metadata):
    needed = ("Metadata", "true")
    path = "/metadata/scheduledevents?api-version=2020-07-01"
    metadata.answers[path] = (needed, '{"Events": [{"EventType": "Reboot", "NotBefore": ""}]}')
    now = Now(1474309757.0)  # Mon, 19 Sep 2016 18:29:17 GMT
    source = spot.Azure(metadata.address, now)
    assert source.look(View()) is None
    event = '{"EventType": "Preempt", "NotBefore": "Mon, 19 Sep 2016 18:29:47 GMT"}'
    metadata.answers[path] = (needed, f'{{"Events": [{event}]}}')
    assert source.look(View()).left_s == 30.0


def test_a_server_that_fails_is_asked_again_and_one_that_talks_nonsense_is_no_notice(metadata):
    metadata.answers["/latest/api/token"] = (None, "abc")
    metadata.answers["/latest/meta-data/spot/instance-action"] = (("never", "sent"), "x")
    with pytest.raises(OSError):
        spot.Aws(metadata.address).look(View())
    metadata.answers["/metadata/scheduledevents?api-version=2020-07-01"] = (None, "<html>")
    assert spot.Azure(metadata.address).look(View()) is None


@pytest.mark.parametrize(
    ("file", "text", "kind"),
    [
        ("sys_vendor", "Amazon EC2\n", spot.Aws),
        ("product_name", "Google Compute Engine\n", spot.Gcp),
        ("chassis_asset_tag", "7783-7084-3265-9085-8269-3286-77\n", spot.Azure),
        ("sys_vendor", "Some Vendor\n", type(None)),
    ],
)
def test_a_cloud_is_asked_only_where_the_firmware_says_that_we_are_there(tmp_path, file, text, kind):
    folder = tmp_path / "sys/class/dmi/id"
    folder.mkdir(parents=True)
    (folder / file).write_text(text)
    assert type(spot.here(tmp_path)) is kind
