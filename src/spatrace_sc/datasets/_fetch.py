"""Files of the registry: from the cache or, once, from their publisher."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from .._errors import ChecksumError, DownloadError, InvalidArgumentError, SpatraceError
from .._settings import DATA_DIR, MIRROR, checked_address, settings, without_login
from ._checksums import (
    FIRST_DOWNLOAD,
    PUBLISHED,
    Record,
    accept_new_version,
    expected_checksum,
    origin,
    read_record,
    verified,
    write_record,
)
from ._download import ResumingDownloader, Transfer
from ._registry import Entry

logger = logging.getLogger("spatrace_sc")

#: Returns what is wrong with a downloaded file, or None.
Check = Callable[[Path], str | None]


def cache_directory(cache_dir: str | os.PathLike[str] | None) -> Path:
    """The argument, else the setting."""
    return settings.data_dir if cache_dir is None else Path(cache_dir).expanduser().absolute()


def address(entry: Entry, mirror: str | None) -> str:
    """Address from which the file is fetched: the mirror, or else the publisher."""
    base = settings.mirror if mirror is None else mirror
    if base is None:
        return entry.url
    # a value assigned to the setting has been checked, one from the environment has not
    named = "`mirror`" if mirror is not None else f"the environment variable {MIRROR}"
    return f"{checked_address(base, named).rstrip('/')}/{entry.file}"


def fetch(
    entry: Entry,
    *,
    check: Check,
    cache_dir: str | os.PathLike[str] | None = None,
    mirror: str | None = None,
    verify: bool = False,
    transfer: Transfer | None = None,
) -> tuple[Path, Record]:
    """Path of the file on this machine, and its record.

    A file in the cache is never fetched again, changed or deleted. It is compared with its
    checksum: in full if its size or time of change differs from the record, or with ``verify``. A
    download appears under its name only when it is complete, passes ``check`` and has the expected
    checksum, if one is known; otherwise it is deleted.
    """
    url = address(entry, mirror)
    path = cache_directory(cache_dir) / entry.file
    if path.exists():
        return path, verified(entry, path, verify)
    _make_folder(path.parent)
    downloader = ResumingDownloader(transfer or Transfer(), _login(url), _advice(path))
    return path, _downloaded(entry, path, without_login(url), downloader, check)


def _downloaded(
    entry: Entry, path: Path, url: str, downloader: ResumingDownloader, check: Check
) -> Record:
    """Download the file, verify it and move it into place; return its record."""
    import pooch

    def download_and_check(url: str, output_file: str, manager: Any) -> None:
        downloader(url, output_file, manager)
        problem = check(Path(output_file))
        if problem:
            raise DownloadError(
                f"{url} could not be downloaded: {problem}. The download has been deleted. "
                f"{downloader.advice}"
            )

    old = read_record(path)
    expected = expected_checksum(entry, old)
    manager = pooch.create(
        path=path.parent, base_url="", registry={entry.file: expected}, urls={entry.file: url}
    )
    try:
        manager.fetch(entry.file, downloader=download_and_check)
    except SpatraceError:
        raise
    except ValueError as error:  # pooch found another checksum
        raise ChecksumError(
            f"{url} is not the expected file, and the download has been deleted: {error} The "
            f"expected checksum is the one {origin(entry, old)}.{accept_new_version(entry, path)} "
            f"{downloader.advice}"
        ) from error
    except OSError as error:
        raise DownloadError(
            f"{url} could not be saved as {path}: {error}. Name a writable folder with "
            f"`cache_dir=`, `st.settings.data_dir` or {DATA_DIR}."
        ) from error
    source = PUBLISHED if entry.sha256 else FIRST_DOWNLOAD
    digest = expected or str(pooch.file_hash(str(path), alg="sha256"))
    record = write_record(path, digest, source, url)
    logger.info("%s is in %s; sha256 %s, %s.", entry.file, path.parent, digest, source)
    return record


def _make_folder(folder: Path) -> None:
    """Make the folder of the cache; raise if it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError("permission denied")
    except OSError as error:
        raise InvalidArgumentError(
            f"the cache {folder} cannot be written ({error}). Name a folder with `cache_dir=`, "
            f"`st.settings.data_dir` or the environment variable {DATA_DIR}."
        ) from error


def _advice(path: Path) -> str:
    """How to get the file in another way, for messages."""
    return (
        "Call again, set another address with `mirror=`, `st.settings.mirror` or the environment "
        f"variable {MIRROR}, or fetch the file by other means and place it at {path} (the folder "
        f"is `cache_dir=`, `st.settings.data_dir` or the environment variable {DATA_DIR})."
    )


def _login(url: str) -> tuple[str, str] | None:
    """User name and password in an address."""
    parts = urlsplit(url)
    if parts.username is None:
        return None
    return unquote(parts.username), unquote(parts.password or "")
