"""Fetching over real HTTP: slow, cut off, reset, changed, missing, wrong, twice at once."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import re
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pooch
import pytest

import spatrace_sc as st
from spatrace_sc.datasets import _download, _fetch
from spatrace_sc.datasets._download import CHUNK, Transfer
from spatrace_sc.datasets._fetch import FIRST_DOWNLOAD, PUBLISHED, Entry, fetch, registry, sha256

NAME = "atlas.h5ad"
BODY = np.random.default_rng(0).bytes(10 * CHUNK + 77)
NEWER = np.random.default_rng(1).bytes(10 * CHUNK + 77)
DIGEST = hashlib.sha256(BODY).hexdigest()
QUICK = Transfer(timeout=5.0, retries=2, backoff=0.01, progressbar=False)


@pytest.fixture
def server(serve):
    return serve(atlas__h5ad=BODY)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.delenv(_fetch.MIRROR, raising=False)
    monkeypatch.delenv(_fetch.DATA_DIR, raising=False)
    return tmp_path / "cache"


def entry(server, **changes):
    about = {"title": "t", "citation": "c", "doi": "d", "layout": {}, "url": server.url(NAME)}
    return Entry(name="atlas", file=NAME, **about | changes)


def get(
    server, cache, transfer=QUICK, check=lambda path: None, mirror=None, verify=False, **changes
):
    of = entry(server, **changes)
    return fetch(of, check=check, cache_dir=cache, mirror=mirror, verify=verify, transfer=transfer)


def left_in(cache):
    return {path.name for path in cache.iterdir()}


GOOD = {NAME, f"{NAME}.record.json", f"{NAME}.lock"}


def test_a_download_is_whole_recorded_and_not_repeated(server, cache):
    path, record = get(server, cache)
    assert path == cache / NAME
    assert path.read_bytes() == BODY
    assert left_in(cache) == GOOD
    assert record["sha256"] == DIGEST == sha256(path)
    assert record["checksum"] == FIRST_DOWNLOAD
    assert json.loads((cache / f"{NAME}.record.json").read_text()) == record
    assert get(server, cache) == (path, record)
    assert len(server.requests) == 1


def test_without_a_network_a_filled_cache_is_enough(server, cache):
    get(server, cache)
    server.close()
    path, record = get(server, cache, verify=True)
    assert path.read_bytes() == BODY
    assert record["sha256"] == DIGEST
    with pytest.raises(
        st.DownloadError, match=r"could not be fetched.*retries brought nothing new"
    ):
        get(server, cache / "empty", transfer=replace(QUICK, retries=1))


def test_a_published_checksum_is_verified(server, cache):
    assert get(server, cache, sha256=DIGEST)[1]["checksum"] == PUBLISHED


def test_a_wrong_checksum_is_an_error_and_the_download_is_deleted(server, cache):
    with pytest.raises(st.ChecksumError, match=DIGEST) as error:
        get(server, cache, sha256="0" * 64)
    assert "0" * 64 in str(error.value)
    assert "deleted" in str(error.value)
    assert left_in(cache) == {f"{NAME}.lock"}
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [404, 403, 410, 401, 204])
def test_a_refusal_is_not_asked_again_and_says_what_to_do(server, cache, status):
    server.plan = [{"status": status}] * 3
    with pytest.raises(st.DownloadError, match=f"answered {status}") as error:
        get(server, cache)
    assert len(server.requests) == 1
    for word in (
        server.url(NAME),
        "mirror=",
        _fetch.MIRROR,
        str(cache / NAME),
        "cache_dir=",
        _fetch.DATA_DIR,
    ):
        assert word in str(error.value)


def test_a_file_that_is_not_there(serve, cache):
    with pytest.raises(st.DownloadError, match="404"):
        get(serve(other=b""), cache)


@pytest.mark.parametrize("status", [500, 502, 503, 429, 408])
def test_a_passing_trouble_is_asked_again_later(server, cache, status, monkeypatch):
    waits = []
    monkeypatch.setattr(_download.time, "sleep", waits.append)
    server.plan = [{"status": status}, {"status": status}]
    assert get(server, cache)[0].read_bytes() == BODY
    assert len(server.requests) == 3
    assert waits == [0.01, 0.02]


def test_a_lasting_trouble_ends(server, cache):
    server.plan = [{"status": 503}] * 9
    with pytest.raises(st.DownloadError, match="503"):
        get(server, cache)
    assert len(server.requests) == 1 + QUICK.retries


def test_the_server_says_how_long_to_wait(server, cache, monkeypatch):
    waits = []
    monkeypatch.setattr(_download.time, "sleep", waits.append)
    server.plan = [
        {"status": 503, "headers": {"Retry-After": "7"}},
        {"status": 503, "headers": {"Retry-After": "9999"}},
    ]
    get(server, cache)
    assert waits == [7.0, 60.0]


@pytest.mark.parametrize("how", ["cut", "reset"])
def test_a_broken_transfer_goes_on_where_it_stopped(server, cache, how):
    server.plan = [{how: 4 * CHUNK}, {how: 3 * CHUNK}]
    assert get(server, cache)[0].read_bytes() == BODY
    first, second, third = server.asked
    assert first is None
    assert int(re.fullmatch(r"bytes=(\d+)-", second)[1]) >= 3 * CHUNK
    assert int(re.fullmatch(r"bytes=(\d+)-", third)[1]) >= 6 * CHUNK
    assert server.requests[1]["if-range"] == server.etag
    assert server.requests[0]["accept-encoding"] == "identity"
    assert server.sent <= len(BODY) + 2 * CHUNK
    assert left_in(cache) == GOOD


def test_a_connection_that_is_reset_at_once_is_tried_again(server, cache, caplog):
    server.plan = [{"drop": True}]
    assert get(server, cache)[0].read_bytes() == BODY
    assert "reset by peer" in caplog.text


def test_progress_renews_the_retries_and_its_lack_ends_them(server, cache):
    server.plan = [{"cut": 2 * CHUNK}] * 5
    assert get(server, cache, transfer=replace(QUICK, retries=1))[0].read_bytes() == BODY
    server.ranges, server.plan = False, [{"cut": 2 * CHUNK}] * 9
    with pytest.raises(st.DownloadError, match=f"cut off at {2 * CHUNK} of {len(BODY)}"):
        get(server, cache / "other")
    assert len(server.requests) == 6 + 1 + QUICK.retries


def test_a_server_that_falls_silent_is_left_and_asked_for_the_rest(server, cache):
    server.plan = [{"stall": 5 * CHUNK}]
    start = time.monotonic()
    assert get(server, cache, transfer=replace(QUICK, timeout=0.8))[0].read_bytes() == BODY
    assert time.monotonic() - start < 5
    assert server.asked == [None, f"bytes={5 * CHUNK}-"]


def test_a_slow_transfer_that_goes_on_does_not_time_out(server, cache):
    server.plan = [{"drip": (CHUNK, 0.15)}]
    start = time.monotonic()
    assert get(server, cache, transfer=Transfer(1.0, 0, progressbar=False))[0].read_bytes() == BODY
    assert time.monotonic() - start > 1.5
    assert len(server.requests) == 1


def stopped(server, cache, at=4 * CHUNK):
    """A call that ended with a part of the file."""
    server.plan = [{"cut": at}]
    with pytest.raises(st.DownloadError, match=f"cut off at {at} of {len(BODY)}"):
        get(server, cache, transfer=replace(QUICK, retries=0))
    assert NAME not in left_in(cache)
    assert (cache / f"{NAME}.part").stat().st_size == at


def test_the_next_call_goes_on_where_the_last_one_stopped(server, cache):
    stopped(server, cache)
    assert get(server, cache)[0].read_bytes() == BODY
    assert server.asked == [None, f"bytes={4 * CHUNK}-"]
    assert server.sent == len(BODY)


def test_two_versions_are_never_joined(server, cache):
    stopped(server, cache)
    server.files[NAME], server.etag = NEWER, '"two"'
    path, record = get(server, cache)
    assert path.read_bytes() == NEWER
    assert record["sha256"] == hashlib.sha256(NEWER).hexdigest()


def test_a_server_without_ranges_sends_all_of_it(server, cache):
    stopped(server, cache)
    server.ranges = False
    assert get(server, cache)[0].read_bytes() == BODY
    assert server.sent == len(BODY) + 4 * CHUNK


@pytest.mark.parametrize(("etag", "modified"), [("", ""), ('W/"weak"', "")])
def test_without_a_validator_nothing_is_continued(server, cache, etag, modified):
    server.etag, server.modified = etag, modified
    stopped(server, cache)
    assert get(server, cache)[0].read_bytes() == BODY
    assert server.asked == [None, None]


def test_the_date_of_change_stands_in_for_a_weak_etag(server, cache):
    server.etag, server.modified = 'W/"weak"', "Sat, 01 Jan 2022 00:00:00 GMT"
    stopped(server, cache)
    assert get(server, cache)[0].read_bytes() == BODY
    assert server.requests[1]["if-range"] == server.modified


@pytest.mark.parametrize("lie", [{"shift": 5}, {"total": 10**9}, {"headers": {"ETag": '"other"'}}])
def test_the_wrong_rest_is_thrown_away(server, cache, lie):
    stopped(server, cache)
    server.plan = [lie]
    assert get(server, cache)[0].read_bytes() == BODY
    assert server.asked == [None, f"bytes={4 * CHUNK}-", None]


def test_a_part_that_has_no_rest_at_the_server_is_thrown_away(server, cache):
    stopped(server, cache)
    server.plan = [{"status": 416}]
    assert get(server, cache)[0].read_bytes() == BODY
    assert server.asked[2] is None


@pytest.mark.parametrize("state", ["{", "{}", "[]", None, "longer", "elsewhere"])
def test_a_part_of_unknown_origin_is_thrown_away(server, cache, state):
    stopped(server, cache)
    path = cache / f"{NAME}.part.json"
    known = json.loads(path.read_text())
    if state is None:
        path.unlink()
    elif state == "longer":
        path.write_text(json.dumps(known | {"total": CHUNK}))
    elif state == "elsewhere":
        path.write_text(json.dumps(known | {"url": "http://elsewhere/atlas.h5ad"}))
    else:
        path.write_text(state)
    assert get(server, cache)[0].read_bytes() == BODY
    assert server.asked == [None, None]


def test_a_part_that_was_whole_is_not_asked_for_again(server, cache):
    stopped(server, cache)
    (cache / f"{NAME}.part").write_bytes(BODY)
    assert get(server, cache)[0].read_bytes() == BODY
    assert len(server.requests) == 1


def test_a_server_that_states_no_length(server, cache):
    server.framing = "chunked"
    server.plan = [{"cut": 4 * CHUNK}]
    assert get(server, cache)[0].read_bytes() == BODY
    assert len(server.requests) == 2
    server.framing = "close"
    assert get(server, cache / "other")[0].read_bytes() == BODY


def test_what_the_check_refuses_is_deleted(server, cache):
    server.framing, server.plan = (
        "close",
        [{"cut": 4 * CHUNK}],
    )  # nothing in HTTP tells that the end is missing
    with pytest.raises(st.DownloadError, match=r"too short\. What was fetched has been deleted"):
        get(server, cache, check=lambda path: None if path.read_bytes() == BODY else "too short")
    assert left_in(cache) == {f"{NAME}.lock"}


def test_a_compressed_answer_is_refused(server, cache):
    server.plan = [{"headers": {"Content-Encoding": "gzip"}}]
    with pytest.raises(st.DownloadError, match="compresses"):
        get(server, cache)


def test_a_full_disk_is_named_before_the_transfer(server, cache, monkeypatch):
    usage = _download.shutil.disk_usage(cache.parent)
    monkeypatch.setattr(_download.shutil, "disk_usage", lambda path: usage._replace(free=100))
    with pytest.raises(st.DownloadError, match=f"{len(BODY)} bytes are needed .* 100 are free"):
        get(server, cache)


def test_a_file_placed_by_hand_is_recorded_and_then_verified(server, cache):
    cache.mkdir()
    (cache / NAME).write_bytes(BODY)
    path, record = get(server, cache)
    assert record["sha256"] == DIGEST
    assert record["checksum"] == _fetch.BY_HAND
    path.write_bytes(NEWER[:-1])
    with pytest.raises(st.ChecksumError, match=DIGEST):
        get(server, cache)
    assert path.read_bytes() == NEWER[:-1]
    assert not server.requests


def test_a_file_placed_by_hand_must_have_the_published_checksum(server, cache):
    cache.mkdir()
    (cache / NAME).write_bytes(NEWER)
    with pytest.raises(st.ChecksumError, match=f"stated by the publisher is {DIGEST}"):
        get(server, cache, sha256=DIGEST)
    assert left_in(cache) == {NAME, f"{NAME}.lock"}


def test_size_and_time_stand_in_for_the_checksum_unless_verify(server, cache, monkeypatch):
    path, record = get(server, cache)
    hashed = []
    monkeypatch.setattr(_fetch, "sha256", lambda p: hashed.append(p) or sha256(p))
    get(server, cache)
    assert not hashed
    os.utime(path, ns=(1, 1))  # copied: another time, the same bytes
    assert get(server, cache)[1]["mtime_ns"] == 1
    assert len(hashed) == 1
    get(server, cache)
    assert len(hashed) == 1
    path.write_bytes(NEWER)  # the same size, and the time is set back
    os.utime(path, ns=(1, 1))
    assert get(server, cache)[1]["sha256"] == record["sha256"]
    with pytest.raises(st.ChecksumError, match="left as it is"):
        get(server, cache, verify=True)


def test_the_first_checksum_holds_for_later_downloads(server, cache):
    path, record = get(server, cache)
    path.unlink()
    assert get(server, cache)[1]["sha256"] == record["sha256"]
    path.unlink()
    server.files[NAME], server.etag = NEWER, '"two"'
    with pytest.raises(st.ChecksumError, match=r"recorded at first download.*delete the record"):
        get(server, cache)
    assert not path.exists()
    (cache / f"{NAME}.record.json").unlink()
    assert get(server, cache)[0].read_bytes() == NEWER


def test_a_checksum_that_is_published_later_is_compared(server, cache):
    get(server, cache)
    assert get(server, cache, sha256=DIGEST)[1]["checksum"] == PUBLISHED
    with pytest.raises(st.ChecksumError, match="stated by the publisher"):
        get(server, cache, sha256="0" * 64)


@pytest.mark.parametrize("text", ["", "{}", "[]", '"x"'])
def test_a_record_that_cannot_be_read_is_named(server, cache, text):
    get(server, cache)
    (cache / f"{NAME}.record.json").write_text(text)
    with pytest.raises(st.DataError, match=re.escape(f"{NAME}.record.json")):
        get(server, cache)


def test_a_cache_that_can_only_be_read(server, cache, monkeypatch, caplog):
    cache.mkdir()
    (cache / NAME).write_bytes(BODY)
    (cache / f"{NAME}.lock").mkdir()  # opening it fails, for whoever runs the tests

    def refuse(*_):
        raise PermissionError(errno.EACCES, "read-only")

    monkeypatch.setattr(_fetch.os, "replace", refuse)
    with caplog.at_level(logging.WARNING, "spatrace_sc"):
        assert get(server, cache)[1]["sha256"] == DIGEST
    assert "could not be recorded" in caplog.text


def test_a_cache_that_cannot_be_written(server, cache):
    cache.write_text("a file")
    with pytest.raises(st.InvalidArgumentError, match=r"cache_dir.*SPATRACE_SC_DATA_DIR"):
        get(server, cache)
    assert not server.requests


def test_threads_at_once_fetch_once(server, cache):
    server.plan = [{"drip": (CHUNK, 0.03)}]
    found = []
    threads = [threading.Thread(target=lambda: found.append(get(server, cache))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.requests) == 1
    assert [record["sha256"] for _, record in found] == [DIGEST] * 4
    assert {record["checksum"] for _, record in found} == {FIRST_DOWNLOAD}


def test_another_process_that_fetches_is_waited_for(server, cache, caplog):
    """The other process holds the lock, as a download does, and puts the file there before it ends."""
    cache.mkdir()
    program = (
        "import sys, time; from pathlib import Path; from importlib import util\n"
        "lock, path = Path(sys.argv[1]), Path(sys.argv[2])\n"
        "handle = lock.open('ab')\n"
        "if sys.platform == 'win32':\n"
        "    import msvcrt; msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)\n"
        "else:\n"
        "    import fcntl; fcntl.flock(handle, fcntl.LOCK_EX)\n"
        "print('held', flush=True); time.sleep(0.6); path.write_bytes(sys.stdin.buffer.read())\n"
    )
    arguments = [sys.executable, "-c", program, str(cache / f"{NAME}.lock"), str(cache / NAME)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        threading.Thread(target=lambda: (other.stdin.write(BODY), other.stdin.close())).start()
        with caplog.at_level(logging.INFO, "spatrace_sc"):
            path, record = get(server, cache)
        assert path.read_bytes() == BODY
        assert record["sha256"] == DIGEST
    assert "waiting for it" in caplog.text
    assert not server.requests


def test_a_lock_ends_with_its_process(server, cache):
    cache.mkdir()
    program = "import fcntl, os, sys; h = open(sys.argv[1], 'ab'); fcntl.flock(h, fcntl.LOCK_EX); os.kill(os.getpid(), 9)"
    if sys.platform == "win32":
        pytest.skip("kill -9 is of POSIX")
    subprocess.run([sys.executable, "-c", program, str(cache / f"{NAME}.lock")], check=False)
    assert get(server, cache)[0].read_bytes() == BODY


def test_where_files_cannot_be_locked(server, cache, monkeypatch, caplog):
    def unsupported(handle):
        raise OSError(errno.ENOTSUP, "no locks here")

    monkeypatch.setattr(_fetch, "_lock", unsupported)
    server.plan = [{"cut": 4 * CHUNK}]
    with (
        caplog.at_level(logging.WARNING, "spatrace_sc"),
        pytest.raises(st.DownloadError, match="cut off"),
    ):
        get(server, cache, transfer=replace(QUICK, retries=0))
    assert "no locks here" in caplog.text
    assert left_in(cache) == {f"{NAME}.lock"}
    server.plan = [{"cut": 4 * CHUNK}]
    assert get(server, cache)[0].read_bytes() == BODY
    assert server.asked[-1] == f"bytes={4 * CHUNK}-"
    assert left_in(cache) == GOOD


def test_a_mirror_serves_instead_of_the_publisher(server, serve, cache, monkeypatch):
    mirror = serve(**{"mirrored/atlas__h5ad": BODY})
    address = mirror.url("mirrored")
    assert get(server, cache, mirror=address + "/")[1]["url"] == f"{address}/{NAME}"
    monkeypatch.setenv(_fetch.MIRROR, address)
    get(server, cache / "by variable")
    assert not server.requests
    assert len(mirror.requests) == 2
    monkeypatch.setenv(_fetch.MIRROR, "")
    get(server, cache / "publisher")
    assert len(server.requests) == 1


@pytest.mark.parametrize("wrong", ["", "ftp://x/y", "/a/folder", "mirror.org", "http://", 5])
def test_a_mirror_must_be_an_address(server, cache, wrong, monkeypatch):
    with pytest.raises(st.InvalidArgumentError, match="`mirror` must be an address"):
        get(server, cache, mirror=wrong)
    if wrong and isinstance(wrong, str):
        monkeypatch.setenv(_fetch.MIRROR, wrong)
        with pytest.raises(st.InvalidArgumentError, match=_fetch.MIRROR):
            get(server, cache)


def test_a_login_is_sent_and_never_shown(server, cache, capfd, caplog):
    mirror = server.address.replace("http://", "http://me:secret@")
    server.plan = [{"status": 503}, {"status": 404}]
    with caplog.at_level(logging.DEBUG, "spatrace_sc"), pytest.raises(st.DownloadError) as error:
        get(server, cache, mirror=mirror)
    record = get(server, cache, mirror=mirror)[1]
    assert server.requests[0]["authorization"].startswith("Basic ")
    written = "".join(path.read_text(errors="ignore") for path in cache.glob("*.json"))
    shown = (
        "".join(capfd.readouterr()) + caplog.text + str(error.value) + json.dumps(record) + written
    )
    assert "secret" not in shown
    assert "127.0.0.1" in shown


def test_where_the_cache_is(server, cache, monkeypatch):
    assert _fetch.cache_directory(None) == Path(pooch.os_cache("spatrace_sc")).absolute()
    monkeypatch.setenv(_fetch.DATA_DIR, str(cache))
    assert _fetch.cache_directory(None) == cache
    assert _fetch.cache_directory(cache / "named") == cache / "named"
    monkeypatch.setenv("HOME", "/at/home")
    assert _fetch.cache_directory("~/data") == Path("/at/home/data")
    fetch(entry(server), check=lambda path: None, transfer=QUICK)
    assert (cache / NAME).read_bytes() == BODY


@pytest.mark.parametrize("shown", [True, False])
def test_progress(server, cache, capfd, shown):
    server.plan = [{"cut": 5 * CHUNK}]
    get(server, cache, transfer=replace(QUICK, progressbar=shown))
    text = capfd.readouterr().err
    assert (f"{NAME}: 100%" in text) is shown
    assert ("50%" in text) is shown  # the second try begins where the first ended


def test_the_registry_is_shipped_and_states_no_checksum_of_our_own():
    entries = registry()
    assert set(entries) == {"mouse_midbrain", "axolotl_regeneration"}
    for known in entries.values():
        assert known.url.endswith("/" + known.file)
        assert (
            known.sha256 is None
        )  # neither publisher states one; change this with the source of the checksum
        assert set(known.layout) == {"sample", "stage", "cell_type"}
        assert known.doi
        assert known.citation


def test_the_registry_of_the_repository_is_the_one_that_is_shipped():
    link = Path(__file__).parents[2] / "datasets" / "registry.toml"
    if not link.exists():
        pytest.skip("not a checkout")
    shipped = Path(_fetch.__file__).with_name("registry.toml")
    text = link.read_text(encoding="utf-8")
    assert (
        text == shipped.read_text(encoding="utf-8")
        or text.strip() == "../src/spatrace_sc/datasets/registry.toml"
    )
