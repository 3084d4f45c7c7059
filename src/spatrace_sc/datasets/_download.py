"""A downloader for pooch that retries, and resumes a transfer where it broke off."""

from __future__ import annotations

import logging
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from .._errors import DownloadError

logger = logging.getLogger("spatrace_sc")

#: Bytes per read, the most that is lost when a connection breaks.
CHUNK = 16 * 1024

#: Longest wait between two attempts, in seconds.
MAX_WAIT = 60.0

#: Answers after which another attempt may succeed: timeout, too early, too many requests.
TRANSIENT = {408, 425, 429}


@dataclass(frozen=True)
class Transfer:
    """Options of a download.

    - ``timeout``: seconds without a connection or without a byte after which an attempt fails. A
      slow transfer that continues never times out.
    - ``retries``: number of attempts in a row that may fail without a new byte.
    - ``backoff``: seconds before the first retry, doubled each time, at most a minute.
    - ``progressbar``: whether a progress bar is shown.
    """

    timeout: float = 60.0
    retries: int = 4
    backoff: float = 1.0
    progressbar: bool = True


class Interrupted(OSError):
    """An attempt failed for a reason that may pass. ``wait``: seconds that the server asks for."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


class Refused(Exception):
    """Another attempt would not help."""


@dataclass(frozen=True)
class ResumingDownloader:
    """:class:`pooch.HTTPDownloader` with retries that resume by HTTP range requests.

    ``login`` is user name and password, or None; ``advice`` ends every error message.
    """

    transfer: Transfer
    login: tuple[str, str] | None
    advice: str

    def __call__(self, url: str, output_file: str, pooch: Any, check_only: bool = False) -> None:
        """Download ``url`` to ``output_file``; pooch calls this."""
        largest = failures = 0
        with open(output_file, "wb") as file:
            answer = _Answer(file)
            while True:
                try:
                    self._attempt(url, answer)
                    return
                except Refused as error:
                    raise self._error(url, str(error)) from error
                except OSError as error:  # errors of the connection are OSErrors, too
                    failures = 1 if file.tell() > largest else failures + 1
                    largest = max(largest, file.tell())
                    if failures > self.transfer.retries:
                        reason = f"{error} (no progress in {self.transfer.retries} retries)"
                        raise self._error(url, reason) from error
                    self._wait(url, error, failures)

    def _attempt(self, url: str, answer: _Answer) -> None:
        """Fetch what is missing of the file; an :class:`OSError` calls for another attempt."""
        from pooch import HTTPDownloader

        answer.started = False
        download = HTTPDownloader(
            progressbar=self.transfer.progressbar,
            chunk_size=CHUNK,
            timeout=self.transfer.timeout,
            headers=answer.request_headers(),
            auth=self.login,
            hooks={"response": answer.start},
        )
        try:
            download(url, answer.file, None)
        except OSError as error:
            if "certificate" in str(error).lower():
                raise Refused(f"the certificate is not trusted ({error})") from error
            if not answer.started:
                raise
            raise answer.cut_off() from error
        if answer.length not in {None, answer.file.tell()}:
            raise answer.cut_off()

    def _wait(self, url: str, error: OSError, failures: int) -> None:
        """Sleep before the next attempt, at least as long as the server asks for."""
        backoff = min(self.transfer.backoff * 2 ** (failures - 1), MAX_WAIT)
        wait = max(backoff, getattr(error, "wait", 0.0))
        logger.warning("%s: %s; next attempt in %.3g s.", url, error, wait)
        time.sleep(wait)

    def _error(self, url: str, reason: str) -> DownloadError:
        return DownloadError(f"{url} could not be downloaded: {reason}. {self.advice}")


@dataclass
class _Answer:
    """The answers of the server to successive requests for one file.

    ``validator`` (a strong ETag, otherwise Last-Modified) and ``length`` are those of the version
    whose first bytes are in ``file``. The remainder is requested only if both are known, and with
    ``If-Range``: a server whose file changed sends all of it. Two versions are never joined.
    """

    file: IO[bytes]
    started: bool = False
    validator: str | None = None
    length: int | None = None

    def request_headers(self) -> dict[str, str]:
        """Headers of the next request: for the remainder, or for the whole file."""
        headers = {"Accept-Encoding": "identity"}
        if self.file.tell() and self.validator and self.length:
            headers |= {"Range": f"bytes={self.file.tell()}-", "If-Range": self.validator}
        return headers

    def start(self, response: Any, *_: Any, **__: Any) -> None:
        """Check an answer before its body is read, and go to the position where it belongs."""
        if response.is_redirect:
            return
        status, headers = response.status_code, response.headers
        reason = f"the server answered {status} {response.reason}"
        if status in TRANSIENT or status >= 500:
            wait = headers.get("Retry-After", "")
            raise Interrupted(reason, min(float(wait), MAX_WAIT) if wait.isdecimal() else 0.0)
        if status in {206, 416}:
            if not self._is_remainder(response):
                self._restart(None, None)
                raise Interrupted("the server sent another part than the one requested")
        elif status != 200:
            raise Refused(reason)
        else:
            length = headers.get("Content-Length", "")
            self._restart(_validator(response), int(length) if length.isdecimal() else None)
        if headers.get("Content-Encoding", "identity") != "identity":
            raise Refused("the server compresses the file although it was asked not to")
        folder = Path(self.file.name).parent
        needed, free = (self.length or 0) - self.file.tell(), shutil.disk_usage(folder).free
        if needed > free:
            raise Refused(f"{needed} bytes are needed in {folder} and {free} are free")
        self.started = True

    def cut_off(self) -> Interrupted:
        """The error of an answer that ended too early."""
        total = self.length or "unknown"
        return Interrupted(f"the transfer was cut off at {self.file.tell()} of {total} bytes")

    def _restart(self, validator: str | None, length: int | None) -> None:
        self.file.seek(0)
        self.file.truncate()
        self.validator, self.length = validator, length

    def _is_remainder(self, response: Any) -> bool:
        """Whether the answer is the remainder of the version in the file."""
        size, length = self.file.tell(), self.length
        return (
            response.status_code == 206
            and length is not None
            and response.headers.get("Content-Range") == f"bytes {size}-{length - 1}/{length}"
            and _validator(response) in {None, self.validator}
        )


def _validator(response: Any) -> str | None:
    """Header that distinguishes two versions of a file; a weak ETag does not."""
    tag: str = response.headers.get("ETag", "")
    modified: str | None = response.headers.get("Last-Modified")
    return tag if tag and not tag.startswith("W/") else modified
