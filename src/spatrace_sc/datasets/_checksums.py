"""Checksums of files in the cache, recorded next to them."""

from __future__ import annotations

import datetime
import json
import logging
import os
import uuid
from pathlib import Path
from typing import TypedDict, cast

from .._errors import ChecksumError, DataError
from ._registry import Entry

logger = logging.getLogger("spatrace_sc")

#: Where a checksum comes from, as stored in the record.
PUBLISHED = "stated by the publisher"
FIRST_DOWNLOAD = "recorded at first download"
BY_HAND = "recorded when found"


class Record(TypedDict):
    """Identity of a file in the cache.

    ``checksum`` is the source of ``sha256``; ``mtime_ns`` the time of the last change; ``recorded``
    the time of the record.
    """

    sha256: str
    checksum: str
    size: int
    mtime_ns: int
    url: str
    recorded: str


def record_path(path: Path) -> Path:
    """Path of the record of a file."""
    return path.with_name(path.name + ".record.json")


def verified(entry: Entry, path: Path, verify: bool) -> Record:
    """Record of a file in the cache, after comparison with its checksum.

    The checksum is computed if the size or the time of change differs from the record, or with
    ``verify``. A file without a record gets one.

    Raises
    ------
    ChecksumError
        The file does not have the expected checksum.
    """
    import pooch

    old, stat = read_record(path), path.stat()
    expected = expected_checksum(entry, old)
    unchanged = old is not None and (old["size"], old["mtime_ns"]) == (
        stat.st_size,
        stat.st_mtime_ns,
    )
    source = PUBLISHED if entry.sha256 else old["checksum"] if old else BY_HAND
    if old and unchanged and not verify and (old["sha256"], old["checksum"]) == (expected, source):
        return old
    digest = str(pooch.file_hash(str(path), alg="sha256"))
    if expected and digest != expected:
        raise ChecksumError(
            f"{path} is not the expected file: its sha256 is {digest}, but the one "
            f"{origin(entry, old)} is {expected}. The file was not read or changed. Move it away "
            f"to download it again.{accept_new_version(entry, path)}"
        )
    return write_record(path, digest, source, old["url"] if old else "")


def expected_checksum(entry: Entry, record: Record | None) -> str | None:
    """The publisher's checksum, else the recorded one, else None."""
    return entry.sha256 or (record["sha256"] if record else None)


def origin(entry: Entry, record: Record | None) -> str:
    """Source of the expected checksum, for messages."""
    if entry.sha256 or not record:
        return PUBLISHED
    return f"{record['checksum']} ({record['recorded']})"


def accept_new_version(entry: Entry, path: Path) -> str:
    """How to accept a new version of the file, for messages."""
    if entry.sha256:
        return ""
    return (
        " If the publisher has released a new version and you want it, delete the record "
        f"{record_path(path)}."
    )


def read_record(path: Path) -> Record | None:
    """Record of a file; None without one."""
    record = record_path(path)
    if not record.exists():
        return None
    try:
        values = json.loads(record.read_text(encoding="utf-8"))
        return cast(Record, {key: values[key] for key in Record.__annotations__})
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{record}, which holds the checksum of {path.name}, cannot be read ({error!r}). "
            "Delete it to record the checksum again."
        ) from error


def write_record(path: Path, digest: str, source: str, url: str) -> Record:
    """Record the checksum of a file; a cache that cannot be written is only logged."""
    stat = path.stat()
    record = Record(
        sha256=digest,
        checksum=source,
        size=stat.st_size,
        mtime_ns=stat.st_mtime_ns,
        url=url,
        recorded=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        temporary.write_text(json.dumps(record, indent=1), encoding="utf-8")
        os.replace(temporary, record_path(path))
    except OSError as error:
        logger.warning(
            "the checksum of %s could not be recorded (%s); the next call cannot verify it.",
            path,
            error,
        )
    return record
