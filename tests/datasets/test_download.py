"""Downloads over real HTTP: slow, cut off, reset, changed, refused, compressed."""

from __future__ import annotations

import hashlib
import logging
import re
import time
from dataclasses import replace

import pytest
from _atlas_server import BODY, NAME, NEWER, QUICK, RECORD, files_in, get

import spatrace_sc as st
from spatrace_sc.datasets import _download
from spatrace_sc.datasets._download import CHUNK, Transfer

REMAINDER = f"bytes={4 * CHUNK}-"


@pytest.fixture
def waits(monkeypatch):
    """Seconds that the downloader would have waited between attempts."""
    seconds = []
    monkeypatch.setattr(_download.time, "sleep", seconds.append)
    return seconds


@pytest.mark.parametrize("status", [404, 403, 410, 401, 204])
def test_a_refusal_is_not_retried_and_says_what_to_do(server, cache, status):
    server.plan = [{"status": status}] * 3
    with pytest.raises(st.DownloadError, match=f"answered {status}") as error:
        get(server, cache)
    assert len(server.requests) == 1
    expected = [server.url(NAME), str(cache / NAME), "mirror=", "SPATRACE_SC_MIRROR"]
    for words in (*expected, "cache_dir=", "SPATRACE_SC_DATA_DIR"):
        assert words in str(error.value)
    assert files_in(cache) == set()


def test_a_missing_file(serve, cache):
    with pytest.raises(st.DownloadError, match="404"):
        get(serve(other=b""), cache)


@pytest.mark.parametrize("status", [500, 502, 503, 429, 408])
def test_a_transient_refusal_is_retried_later(server, cache, status, waits):
    server.plan = [{"status": status}, {"status": status}]
    assert get(server, cache)[0].read_bytes() == BODY
    assert len(server.requests) == 3
    assert waits == [0.01, 0.02]


def test_a_lasting_refusal_ends_the_retries(server, cache):
    server.plan = [{"status": 503}] * 9
    with pytest.raises(st.DownloadError, match="503"):
        get(server, cache)
    assert len(server.requests) == 1 + QUICK.retries


def test_the_server_says_how_long_to_wait(server, cache, waits):
    server.plan = [
        {"status": 503, "headers": {"Retry-After": "7"}},
        {"status": 503, "headers": {"Retry-After": "9999"}},
    ]
    get(server, cache)
    assert waits == [7.0, 60.0]


@pytest.mark.parametrize("how", ["cut", "reset"])
def test_a_broken_transfer_is_resumed(server, cache, how):
    server.plan = [{how: 4 * CHUNK}, {how: 3 * CHUNK}]
    assert get(server, cache)[0].read_bytes() == BODY
    first, second, third = server.asked
    assert first is None
    assert int(re.fullmatch(r"bytes=(\d+)-", second)[1]) >= 3 * CHUNK
    assert int(re.fullmatch(r"bytes=(\d+)-", third)[1]) >= 6 * CHUNK
    assert server.requests[1]["if-range"] == server.etag
    assert server.requests[0]["accept-encoding"] == "identity"
    assert server.sent <= len(BODY) + 2 * CHUNK
    assert files_in(cache) == {NAME, RECORD}


def test_a_connection_that_is_reset_at_once_is_retried(server, cache, caplog):
    server.plan = [{"drop": True}]
    assert get(server, cache)[0].read_bytes() == BODY
    assert "reset by peer" in caplog.text


def test_new_bytes_renew_the_retries_and_their_lack_ends_them(server, cache):
    server.plan = [{"cut": 2 * CHUNK}] * 5
    assert get(server, cache, transfer=replace(QUICK, retries=1))[0].read_bytes() == BODY
    server.ranges, server.plan = False, [{"cut": 2 * CHUNK}] * 9
    with pytest.raises(st.DownloadError, match=f"cut off at {2 * CHUNK} of {len(BODY)}"):
        get(server, cache / "other")
    assert len(server.requests) == 6 + 1 + QUICK.retries


def test_a_download_that_is_given_up_leaves_nothing(server, cache):
    server.plan = [{"cut": 4 * CHUNK}]
    with pytest.raises(st.DownloadError, match=f"cut off at {4 * CHUNK} of {len(BODY)}"):
        get(server, cache, transfer=replace(QUICK, retries=0))
    assert files_in(cache) == set()
    assert get(server, cache)[0].read_bytes() == BODY
    assert server.asked == [None, None]


def test_a_silent_server_is_left_and_asked_for_the_remainder(server, cache):
    server.plan = [{"stall": 4 * CHUNK}]
    start = time.monotonic()
    assert get(server, cache, transfer=replace(QUICK, timeout=0.8))[0].read_bytes() == BODY
    assert time.monotonic() - start < 5
    assert server.asked == [None, REMAINDER]


def test_a_slow_transfer_that_continues_does_not_time_out(server, cache):
    server.plan = [{"drip": (CHUNK, 0.15)}]
    start = time.monotonic()
    assert get(server, cache, transfer=Transfer(1.0, 0, progressbar=False))[0].read_bytes() == BODY
    assert time.monotonic() - start > 1.5
    assert len(server.requests) == 1


def test_two_versions_are_never_joined(server, cache, monkeypatch):
    def release_new_version(seconds):
        server.files[NAME], server.etag = NEWER, '"two"'

    monkeypatch.setattr(_download.time, "sleep", release_new_version)
    server.plan = [{"cut": 4 * CHUNK}]
    path, record = get(server, cache)
    assert server.asked == [None, REMAINDER]
    assert path.read_bytes() == NEWER
    assert record["sha256"] == hashlib.sha256(NEWER).hexdigest()


def test_a_server_without_ranges_sends_the_whole_file(server, cache):
    server.ranges, server.plan = False, [{"cut": 4 * CHUNK}]
    assert get(server, cache)[0].read_bytes() == BODY
    assert server.sent == len(BODY) + 4 * CHUNK


@pytest.mark.parametrize("etag", ["", 'W/"weak"'])
def test_without_a_validator_nothing_is_resumed(server, cache, etag):
    server.etag, server.plan = etag, [{"cut": 4 * CHUNK}]
    assert get(server, cache)[0].read_bytes() == BODY
    assert server.asked == [None, None]


def test_the_date_of_change_replaces_a_weak_etag(server, cache):
    server.etag, server.modified = 'W/"weak"', "Sat, 01 Jan 2022 00:00:00 GMT"
    server.plan = [{"cut": 4 * CHUNK}]
    assert get(server, cache)[0].read_bytes() == BODY
    assert server.asked == [None, REMAINDER]
    assert server.requests[1]["if-range"] == server.modified


@pytest.mark.parametrize(
    "wrong", [{"shift": 5}, {"total": 10**9}, {"headers": {"ETag": '"other"'}}, {"status": 416}]
)
def test_a_wrong_remainder_is_discarded(server, cache, wrong):
    server.plan = [{"cut": 4 * CHUNK}, wrong]
    assert get(server, cache)[0].read_bytes() == BODY
    assert server.asked == [None, REMAINDER, None]


def test_a_server_that_states_no_length(server, cache):
    server.framing = "chunked"
    server.plan = [{"cut": 4 * CHUNK}]
    assert get(server, cache)[0].read_bytes() == BODY
    assert len(server.requests) == 2
    server.framing = "close"
    assert get(server, cache / "other")[0].read_bytes() == BODY


def test_a_file_that_fails_the_check_is_deleted(server, cache):
    # nothing in HTTP reveals that the end is missing
    server.framing, server.plan = "close", [{"cut": 4 * CHUNK}]
    with pytest.raises(st.DownloadError, match=r"too short\. The download has been deleted"):
        get(server, cache, check=lambda path: None if path.read_bytes() == BODY else "too short")
    assert files_in(cache) == set()


def test_a_compressed_answer_is_refused(server, cache):
    server.plan = [{"headers": {"Content-Encoding": "gzip"}}]
    with pytest.raises(st.DownloadError, match="compresses"):
        get(server, cache)
    assert len(server.requests) == 1


def test_a_full_disk_is_named_before_the_transfer(server, cache, monkeypatch):
    usage = _download.shutil.disk_usage(cache.parent)
    monkeypatch.setattr(_download.shutil, "disk_usage", lambda path: usage._replace(free=100))
    with pytest.raises(st.DownloadError, match=f"{len(BODY)} bytes are needed .* 100 are free"):
        get(server, cache)
    assert len(server.requests) == 1


def test_an_untrusted_certificate_is_not_retried(server, cache, monkeypatch):
    import requests

    def refuse(*_, **__):
        raise requests.exceptions.SSLError("certificate verify failed: self-signed certificate")

    monkeypatch.setattr(requests, "get", refuse)
    with pytest.raises(st.DownloadError, match="certificate is not trusted"):
        get(server, cache)


def test_a_redirect_is_followed(server, serve, cache):
    moved = serve(other=b"")
    moved.plan = [{"status": 302, "headers": {"Location": server.url(NAME)}}]
    assert get(moved, cache)[0].read_bytes() == BODY
    assert len(moved.requests) == len(server.requests) == 1


def test_a_login_is_sent_and_never_shown(server, cache, capfd, caplog):
    mirror = server.address.replace("http://", "http://me:secret%21@")
    server.plan = [{"status": 503}, {"status": 404}]
    with caplog.at_level(logging.DEBUG, "spatrace_sc"), pytest.raises(st.DownloadError) as error:
        get(server, cache, mirror=mirror)
    record = get(server, cache, mirror=mirror)[1]
    # base64 of me:secret!
    assert server.requests[0]["authorization"] == "Basic bWU6c2VjcmV0IQ=="
    written = "".join(path.read_text(errors="ignore") for path in cache.glob("*.json"))
    shown = "".join(capfd.readouterr()) + caplog.text + str(error.value) + str(record) + written
    assert "secret" not in shown
    assert "127.0.0.1" in shown


@pytest.mark.parametrize("shown", [True, False])
def test_progress(server, cache, capfd, shown):
    server.plan = [{"cut": 5 * CHUNK}]
    get(server, cache, transfer=replace(QUICK, progressbar=shown))
    assert ("100%" in capfd.readouterr().err) is shown
