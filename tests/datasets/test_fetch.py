"""Files in the cache: fetched once, recorded, verified, placed by hand."""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pooch
import pytest
from _atlas_server import BODY, DIGEST, NAME, NEWER, QUICK, RECORD, entry, files_in, get

import spatrace_sc as st
from spatrace_sc._settings import DATA_DIR, MIRROR
from spatrace_sc.datasets import _checksums
from spatrace_sc.datasets._checksums import BY_HAND, FIRST_DOWNLOAD, PUBLISHED
from spatrace_sc.datasets._download import CHUNK
from spatrace_sc.datasets._fetch import cache_directory, fetch
from spatrace_sc.datasets._registry import registry


def test_a_download_is_recorded_and_not_repeated(server, cache):
    path, record = get(server, cache)
    assert path == cache / NAME
    assert path.read_bytes() == BODY
    assert files_in(cache) == {NAME, RECORD}
    assert record["sha256"] == DIGEST
    assert record["checksum"] == FIRST_DOWNLOAD
    assert json.loads((cache / RECORD).read_text()) == record
    assert get(server, cache) == (path, record)
    assert len(server.requests) == 1


def test_without_a_network_a_filled_cache_is_enough(server, cache):
    get(server, cache)
    server.close()
    path, record = get(server, cache, verify=True)
    assert path.read_bytes() == BODY
    assert record["sha256"] == DIGEST
    with pytest.raises(
        st.DownloadError, match=r"could not be downloaded.*no progress in \d+ retries"
    ):
        get(server, cache / "empty", transfer=replace(QUICK, retries=1))


def test_a_published_checksum_is_verified(server, cache):
    assert get(server, cache, sha256=DIGEST)[1]["checksum"] == PUBLISHED


def test_a_wrong_checksum_is_an_error_and_the_download_is_deleted(server, cache):
    with pytest.raises(st.ChecksumError, match=DIGEST) as error:
        get(server, cache, sha256="0" * 64)
    assert "0" * 64 in str(error.value)
    assert "deleted" in str(error.value)
    assert files_in(cache) == set()
    assert len(server.requests) == 1


def test_a_file_placed_by_hand_is_recorded_and_then_verified(server, cache):
    cache.mkdir()
    (cache / NAME).write_bytes(BODY)
    path, record = get(server, cache)
    assert record["sha256"] == DIGEST
    assert record["checksum"] == BY_HAND
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
    assert files_in(cache) == {NAME}


def test_size_and_time_replace_the_checksum_unless_verify(server, cache, monkeypatch):
    path, record = get(server, cache)
    hashed, file_hash = [], pooch.file_hash
    monkeypatch.setattr(
        pooch, "file_hash", lambda path, alg: hashed.append(path) or file_hash(path, alg)
    )
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
    with pytest.raises(st.ChecksumError, match="not read or changed"):
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
    (cache / RECORD).unlink()
    assert get(server, cache)[0].read_bytes() == NEWER


def test_a_checksum_that_is_published_later_is_compared(server, cache):
    get(server, cache)
    assert get(server, cache, sha256=DIGEST)[1]["checksum"] == PUBLISHED
    with pytest.raises(st.ChecksumError, match="stated by the publisher"):
        get(server, cache, sha256="0" * 64)


@pytest.mark.parametrize("text", ["", "{}", "[]", '"x"'])
def test_a_record_that_cannot_be_read_is_named(server, cache, text):
    get(server, cache)
    (cache / RECORD).write_text(text)
    with pytest.raises(st.DataError, match=re.escape(RECORD)):
        get(server, cache)


def test_a_cache_that_can_only_be_read(server, cache, monkeypatch, caplog):
    cache.mkdir()
    (cache / NAME).write_bytes(BODY)

    def refuse(*_):
        raise PermissionError(errno.EACCES, "read-only")

    monkeypatch.setattr(_checksums.os, "replace", refuse)
    with caplog.at_level(logging.WARNING, "spatrace_sc"):
        assert get(server, cache)[1]["sha256"] == DIGEST
    assert "could not be recorded" in caplog.text


def test_a_cache_that_cannot_be_written(server, cache):
    cache.write_text("a file")
    with pytest.raises(st.InvalidArgumentError, match=r"cache_dir.*SPATRACE_SC_DATA_DIR"):
        get(server, cache)
    assert not server.requests


def test_threads_at_once_do_not_disturb_each_other(server, cache):
    server.plan = [{"drip": (CHUNK, 0.03)}] * 4
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(get(server, cache))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [record["sha256"] for _, record in results] == [DIGEST] * 4
    assert (cache / NAME).read_bytes() == BODY
    assert files_in(cache) == {NAME, RECORD}
    assert get(server, cache)[1]["sha256"] == DIGEST


FETCHER = """
import hashlib, sys
from pathlib import Path
from types import SimpleNamespace
from _atlas_server import get
server = SimpleNamespace(url=lambda name: f"{sys.argv[1]}/{name}")
print("ready", flush=True)
sys.stdin.readline()
path, record = get(server, Path(sys.argv[2]))
print(record["sha256"], hashlib.sha256(path.read_bytes()).hexdigest())
"""


@pytest.mark.slow
def test_two_processes_at_once_both_get_the_whole_file(server, cache):
    server.plan = [{"drip": (CHUNK, 0.05)}] * 2
    command = [sys.executable, "-W", "ignore", "-c", FETCHER, server.address, str(cache)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    pipes = dict.fromkeys(("stdin", "stdout"), subprocess.PIPE)
    processes = [subprocess.Popen(command, **pipes, env=environment, text=True) for _ in range(2)]
    assert [process.stdout.readline().strip() for process in processes] == ["ready"] * 2
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=60)[0].split() for process in processes]
    assert answers == [[DIGEST, DIGEST]] * 2
    assert len(server.requests) == 2  # neither waited for the other
    assert files_in(cache) == {NAME, RECORD}
    assert get(server, cache)[1]["sha256"] == DIGEST


def test_a_mirror_serves_instead_of_the_publisher(server, serve, cache, monkeypatch):
    mirror = serve(**{"mirrored/atlas__h5ad": BODY})
    address = mirror.url("mirrored")
    assert get(server, cache, mirror=address + "/")[1]["url"] == f"{address}/{NAME}"
    monkeypatch.setenv(MIRROR, address)
    get(server, cache / "by variable")
    assert not server.requests
    assert len(mirror.requests) == 2
    monkeypatch.setenv(MIRROR, "")
    get(server, cache / "publisher")
    assert len(server.requests) == 1


@pytest.mark.parametrize("wrong", ["", "ftp://x/y", "/a/folder", "mirror.org", "http://", 5])
def test_a_mirror_must_be_an_address(server, cache, wrong, monkeypatch):
    with pytest.raises(st.InvalidArgumentError, match="`mirror` must be an address"):
        get(server, cache, mirror=wrong)
    if wrong and isinstance(wrong, str):
        monkeypatch.setenv(MIRROR, wrong)
        with pytest.raises(st.InvalidArgumentError, match=MIRROR):
            get(server, cache)


def test_where_the_cache_is(server, cache, monkeypatch):
    assert cache_directory(None) == Path(pooch.os_cache("spatrace_sc")).absolute()
    monkeypatch.setenv(DATA_DIR, str(cache))
    assert cache_directory(None) == cache
    assert cache_directory(cache / "named") == cache / "named"
    monkeypatch.setenv("HOME", "/at/home")
    assert cache_directory("~/data") == Path("/at/home/data")
    fetch(entry(server), check=lambda path: None, transfer=QUICK)
    assert (cache / NAME).read_bytes() == BODY


def test_the_registry_is_shipped_and_states_no_checksum_of_our_own():
    entries = registry()
    assert set(entries) == {"mouse_midbrain", "axolotl_regeneration"}
    for listed in entries.values():
        assert listed.url.endswith("/" + listed.file)
        # neither publisher states one; change this with the source of the checksum
        assert listed.sha256 is None
        assert set(listed.layout) == {"sample", "stage", "cell_type"}
        assert listed.doi
        assert listed.citation


def test_the_registry_of_the_repository_is_the_one_that_is_shipped():
    link = Path(__file__).parents[2] / "datasets" / "registry.toml"
    if not link.exists():
        pytest.skip("not a checkout")
    shipped = Path(_checksums.__file__).with_name("registry.toml")
    text = link.read_text(encoding="utf-8")
    assert (
        text == shipped.read_text(encoding="utf-8")
        or text.strip() == "../src/spatrace_sc/datasets/registry.toml"
    )
