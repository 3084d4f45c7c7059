"""Files of the registry: from the cache or, once, from their publisher."""

from __future__ import annotations

import datetime
import json
import logging
import os
import sys
import time
import tomllib
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import IO, Any

from .._errors import ChecksumError, DataError, DownloadError, InvalidArgumentError, SpatraceError
from .._settings import DATA_DIR, MIRROR, checked_address, settings, without_login
from ._download import ResumingDownloader, Transfer

logger = logging.getLogger("spatrace_sc")

#: Where a checksum comes from, as stored with the file.
PUBLISHED, FIRST_DOWNLOAD, BY_HAND = (
    "stated by the publisher",
    "recorded at first download",
    "recorded when found",
)


@dataclass(frozen=True)
class Entry:
    """One file of the registry. ``sha256`` is what the publisher states, None if nothing; ``layout``: columns of ``obs``."""

    name: str
    title: str
    file: str
    url: str
    citation: str
    doi: str
    layout: dict[str, str]
    sha256: str | None = None
    cells: int | None = None
    genes: int | None = None


def registry() -> dict[str, Entry]:
    """All files that can be fetched."""
    text = (files(__package__) / "registry.toml").read_text(encoding="utf-8")
    return {name: Entry(name=name, **values) for name, values in tomllib.loads(text).items()}


def cache_directory(cache_dir: str | os.PathLike[str] | None) -> Path:
    """The argument, else the setting."""
    return settings.data_dir if cache_dir is None else Path(cache_dir).expanduser().absolute()


def address(entry: Entry, mirror: str | None) -> str:
    """Where the file is fetched from: the mirror, or else the publisher."""
    base = settings.mirror if mirror is None else mirror
    if base is None:
        return entry.url
    # what was assigned to the setting has been checked, what comes from the environment has not
    named = "`mirror`" if mirror is not None else f"the environment variable {MIRROR}"
    return f"{checked_address(base, named).rstrip('/')}/{entry.file}"


def fetch(
    entry: Entry,
    *,
    check: Callable[[Path], str | None],
    cache_dir: str | os.PathLike[str] | None = None,
    mirror: str | None = None,
    verify: bool = False,
    transfer: Transfer | None = None,
) -> tuple[Path, dict[str, Any]]:
    """The file on this machine and its record (``sha256``, ``checksum``: where that comes from, ``size``, ``mtime_ns``, ``url``, ``recorded``).

    A file in the cache is never fetched again, changed or deleted. It is compared with its checksum: in full when its size or time of change is not the
    recorded one or with ``verify``; otherwise by these two. A download appears under its name only when it is whole, passes ``check`` and has the
    checksum, if one is known; one that does not is deleted.
    """
    url = address(entry, mirror)
    path = cache_directory(cache_dir) / entry.file
    if path.exists() and _record_of(path).exists():
        return path, _verified(entry, path, verify)
    with _exclusive(path) as part:
        if path.exists():
            return path, _verified(entry, path, verify)
        return path, _downloaded(entry, path, part, url, check, transfer or Transfer())


def sha256(path: Path) -> str:
    """Checksum of a file."""
    import hashlib

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _advice(path: Path) -> str:
    return (
        f"Call again, set another address with `mirror=`, `st.settings.mirror` or the environment variable {MIRROR}, or fetch the file by other means "
        f"and place it at {path} (the folder is `cache_dir=`, `st.settings.data_dir` or the environment variable {DATA_DIR})."
    )


def _downloaded(
    entry: Entry,
    path: Path,
    part: Path,
    url: str,
    check: Callable[[Path], str | None],
    transfer: Transfer,
) -> dict[str, Any]:
    import pooch

    old = _read_record(path)
    known = entry.sha256 or (old["sha256"] if old else None)
    downloader = ResumingDownloader(
        source=url, part=part, transfer=transfer, check=check, advice=_advice(path)
    )
    urls = {entry.file: without_login(url)}
    manager = pooch.create(path=path.parent, base_url="", registry={entry.file: known}, urls=urls)
    try:
        manager.fetch(entry.file, downloader=downloader)
    except SpatraceError:
        raise
    except ValueError as error:
        raise ChecksumError(
            f"{without_login(url)} is not the file that was expected, and what was fetched has been deleted: {error} "
            f"The expected checksum is the one {_origin(entry, old)}. {_if_accepted(entry, path)} {_advice(path)}"
        ) from error
    except OSError as error:
        raise DownloadError(
            f"{without_login(url)} could not be placed at {path}: {error}. Name a folder that can be written with `cache_dir=`, `st.settings.data_dir` or {DATA_DIR}."
        ) from error
    source = PUBLISHED if entry.sha256 else FIRST_DOWNLOAD
    record = _write_record(path, known or sha256(path), source, without_login(url))
    logger.info("%s is in %s; sha256 %s, %s.", entry.file, path.parent, record["sha256"], source)
    return record


def _verified(entry: Entry, path: Path, verify: bool) -> dict[str, Any]:
    old, stat = _read_record(path), path.stat()
    expected = entry.sha256 or (old["sha256"] if old else None)
    if (
        old
        and not verify
        and (old["size"], old["mtime_ns"]) == (stat.st_size, stat.st_mtime_ns)
        and old["sha256"] == expected
        and (entry.sha256 is None or old["checksum"] == PUBLISHED)
    ):
        return old
    found = sha256(path)
    if expected and found != expected:
        raise ChecksumError(
            f"{path} is not the file that was expected: its sha256 is {found}, the one {_origin(entry, old)} is {expected}. It is left as it is and not "
            f"read. Move it away to fetch it again. {_if_accepted(entry, path)}"
        )
    source = PUBLISHED if entry.sha256 else old["checksum"] if old else BY_HAND
    return _write_record(path, found, source, old["url"] if old else "")


def _origin(entry: Entry, old: dict[str, Any] | None) -> str:
    return (
        "stated by the publisher"
        if entry.sha256 or not old
        else f"{old['checksum']} ({old['recorded']})"
    )


def _if_accepted(entry: Entry, path: Path) -> str:
    if entry.sha256:
        return ""
    return f"If the publisher has brought out a new version and you want it, delete the record {_record_of(path)}."


def _record_of(path: Path) -> Path:
    return path.with_name(path.name + ".record.json")


def _read_record(path: Path) -> dict[str, Any] | None:
    record = _record_of(path)
    if not record.exists():
        return None
    try:
        values = json.loads(record.read_text(encoding="utf-8"))
        return {k: values[k] for k in ("sha256", "checksum", "size", "mtime_ns", "url", "recorded")}
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{record}, which holds the checksum of {path.name}, cannot be read ({error!r}); delete it to record the checksum anew."
        ) from error


def _write_record(path: Path, digest: str, source: str, url: str) -> dict[str, Any]:
    stat = path.stat()
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    values = {
        "sha256": digest,
        "checksum": source,
        "size": stat.st_size,
        "mtime_ns": stat.st_mtime_ns,
        "url": url,
        "recorded": now,
    }
    fresh = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        fresh.write_text(json.dumps(values, indent=1), encoding="utf-8")
        os.replace(fresh, _record_of(path))
    except OSError as error:
        logger.warning(
            "the checksum of %s could not be recorded (%s); it is not verified next time.",
            path,
            error,
        )
    return values


@contextmanager
def _exclusive(path: Path) -> Iterator[Path]:
    """The partial file, while no other process or thread writes it. Where files cannot be locked, a partial file of one's own, which is not kept."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = path.with_name(path.name + ".lock").open("ab")
    except OSError as error:
        if path.exists():  # a cache that can only be read
            yield path.with_name(path.name + ".part")
            return
        raise InvalidArgumentError(
            f"the cache {path.parent} cannot be written ({error}); name a folder with `cache_dir=`, `st.settings.data_dir` or the environment variable {DATA_DIR}."
        ) from error
    with handle:  # closing it gives the lock back
        if _take(handle, path):
            yield path.with_name(path.name + ".part")
            return
        own = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
        try:
            yield own
        finally:
            own.unlink(missing_ok=True)
            own.with_name(own.name + ".json").unlink(missing_ok=True)


def _take(handle: IO[bytes], path: Path) -> bool:
    """Wait for the lock; False where the file system has none."""
    waiting = False
    while True:
        try:
            _lock(handle)
            return True
        except BlockingIOError:
            if not waiting:
                logger.info("another process is fetching %s; waiting for it.", path.name)
            waiting = True
            time.sleep(0.1)
        except OSError as error:
            logger.warning(
                "%s cannot be locked (%s); a broken download will not be continued.",
                path.parent,
                error,
            )
            return False


if sys.platform == "win32":

    def _lock(handle: IO[bytes]) -> None:
        import msvcrt

        handle.seek(0)
        try:
            msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)
        except PermissionError as error:  # held by another
            raise BlockingIOError from error

else:

    def _lock(handle: IO[bytes]) -> None:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
