"""A downloader for pooch that goes on where it stopped."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .._errors import DownloadError
from .._settings import without_login

if TYPE_CHECKING:
    from requests import Response

logger = logging.getLogger("spatrace_sc")

#: Bytes per read; also the most that is lost when a connection breaks.
CHUNK = 16 * 1024

#: Longest wait between two tries, seconds.
LONGEST_WAIT = 60.0

#: Answers after which asking again may help: time-out, too early, too many requests (and every 5xx).
TRY_AGAIN = {408, 425, 429}


@dataclass(frozen=True)
class Transfer:
    """How to transfer a file.

    ``timeout``: seconds without a connection or without a byte after which a try has failed; a slow transfer that goes on never times out.
    ``retries``: how many tries in a row may fail without a new byte. ``backoff``: seconds before the first retry, doubled each time, at most a minute.
    """

    timeout: float = 60.0
    retries: int = 4
    backoff: float = 1.0
    progressbar: bool = True


class Interrupted(Exception):
    """A try failed in a way that may pass. ``wait``: seconds that the server asks for."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


def size_of(path: Path) -> int:
    """Bytes; 0 when there is no file."""
    return path.stat().st_size if path.exists() else 0


@dataclass(frozen=True)
class ResumingDownloader:
    """What pooch calls to bring ``source`` to a temporary file.

    Bytes gather in ``part``, with the address, the validator (strong ETag, otherwise Last-Modified) and the length in ``part`` + ``.json``. A later try asks for the rest with
    ``Range`` and ``If-Range``, so a server whose file changed, or that knows no ranges, sends all of it and the part is begun anew. It is also begun anew when the
    server gave no validator or the address is another one: two versions are never joined. ``check`` says what is wrong with the whole file, or None; ``advice`` ends every error.
    pooch, which logs the address, is given it without the login that ``source`` may have.
    """

    source: str
    part: Path
    transfer: Transfer
    check: Callable[[Path], str | None]
    advice: str

    def __call__(self, url: str, output_file: str, pooch: Any, check_only: bool = False) -> None:
        """Bring the file to ``output_file``; pooch then compares checksums and moves it into place. ``url`` only names it."""
        best, failures = size_of(self.part), 0
        while True:
            try:
                self._try()
                break
            except Interrupted as error:
                failures = 1 if size_of(self.part) > best else failures + 1
                best = max(best, size_of(self.part))
                if failures > self.transfer.retries:
                    raise self._gave_up(error) from error
                wait = max(
                    min(self.transfer.backoff * 2 ** (failures - 1), LONGEST_WAIT), error.wait
                )
                logger.warning(
                    "%s: %s; next try in %.3g s.", without_login(self.source), error, wait
                )
                time.sleep(wait)
        wrong = self.check(self.part)
        if wrong:
            self._discard()
            raise self._error(f"{wrong}. What was fetched has been deleted")
        os.replace(self.part, output_file)
        self._state.unlink(missing_ok=True)

    @property
    def _state(self) -> Path:
        return self.part.with_name(self.part.name + ".json")

    def _discard(self) -> None:
        self.part.unlink(missing_ok=True)
        self._state.unlink(missing_ok=True)

    def _error(self, reason: str) -> DownloadError:
        return DownloadError(
            f"{without_login(self.source)} could not be fetched: {reason}. {self.advice}"
        )

    def _gave_up(self, error: Interrupted) -> DownloadError:
        kept = self._resumable()[0]
        rest = (
            f"; {kept} bytes are kept in {self.part}, and the next call tries to go on from there"
            if kept
            else ""
        )
        return self._error(f"{error} ({self.transfer.retries} retries brought nothing new{rest})")

    def _try(self) -> None:
        import requests

        have, known = self._resumable()
        if have and have == known["total"]:
            return
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers |= {"Range": f"bytes={have}-", "If-Range": known["validator"]}
        limits = (self.transfer.timeout, self.transfer.timeout)
        try:
            with requests.get(
                self.source, headers=headers, stream=True, timeout=limits
            ) as response:
                start, total = self._begin(response, have, known)
                self._write(response, start, total)
        except requests.exceptions.SSLError as error:
            if "certificate" in str(error).lower():
                raise self._error(f"the server's certificate is not trusted ({error})") from error
            raise Interrupted(str(error)) from error
        except (requests.exceptions.ConnectionError, requests.exceptions.Timeout) as error:
            raise Interrupted(str(error)) from error
        except requests.exceptions.RequestException as error:
            raise self._error(str(error)) from error
        except OSError as error:
            raise self._error(f"{self.part} could not be written ({error})") from error

    def _resumable(self) -> tuple[int, dict[str, Any]]:
        """Bytes already here and what is known of their file; 0 when they cannot be continued."""
        have = size_of(self.part)
        if not have or not self._state.exists():
            return 0, {}
        try:
            known = json.loads(self._state.read_text(encoding="utf-8"))
            same = known["url"] == without_login(self.source) and known["validator"]
            fits = known["total"] is None or have <= known["total"]
        except (ValueError, KeyError, TypeError) as error:
            logger.warning("%s cannot be read (%s); the download begins anew.", self._state, error)
            return 0, {}
        if not (same and fits):
            logger.info("%s cannot be continued safely; the download begins anew.", self.part)
            return 0, {}
        return have, known

    def _begin(
        self, response: Response, have: int, known: dict[str, Any]
    ) -> tuple[int, int | None]:
        """First byte and total length of what the server is about to send."""
        status = response.status_code
        if status in TRY_AGAIN or status >= 500:
            asked = response.headers.get("Retry-After", "")
            wait = min(float(asked), LONGEST_WAIT) if asked.isdecimal() else 0.0
            raise Interrupted(f"the server answered {status} {response.reason}", wait)
        if status == 206 and have:
            return have, self._continued(response, have, known)
        if status == 416 and have:
            self._discard()
            raise Interrupted("the server has no rest of the file to send")
        if status != 200:
            raise self._error(f"the server answered {status} {response.reason}")
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise self._error("the server compresses the file, although it was asked not to")
        length = response.headers.get("Content-Length", "")
        total = int(length) if length.isdecimal() else None
        self.part.write_bytes(
            b""
        )  # before the state, so that no bytes of another version can be continued
        state = {
            "url": without_login(self.source),
            "validator": _validator(response),
            "total": total,
        }
        self._state.write_text(json.dumps(state), encoding="utf-8")
        return 0, total

    def _continued(self, response: Response, have: int, known: dict[str, Any]) -> int | None:
        """Total length, once the answer is known to be the rest of the same file."""
        span = re.fullmatch(
            r"bytes (\d+)-(\d+)/(\d+|\*)", response.headers.get("Content-Range", "").strip()
        )
        total = int(span[3]) if span and span[3] != "*" else known["total"]
        length = known["total"] if known["total"] is not None else total
        other = _validator(response) not in {None, known["validator"]}
        if span is None or int(span[1]) != have or total != length or other:
            self._discard()
            raise Interrupted("the server sent another part than the one asked for")
        return total

    def _write(self, response: Response, start: int, total: int | None) -> None:
        from requests.exceptions import ChunkedEncodingError
        from tqdm.auto import tqdm

        free = shutil.disk_usage(self.part.parent).free
        if total is not None and total - start > free:
            raise self._error(
                f"{total - start} bytes are needed in {self.part.parent} and {free} are free"
            )
        shown = {
            "unit": "B",
            "unit_scale": True,
            "unit_divisor": 1024,
            "desc": Path(urlsplit(self.source).path).name,
        }
        with (
            self.part.open("ab") as file,
            tqdm(initial=start, total=total, disable=not self.transfer.progressbar, **shown) as bar,
        ):
            try:
                for chunk in response.iter_content(CHUNK):
                    file.write(chunk)
                    bar.update(len(chunk))
            except ChunkedEncodingError as error:
                raise Interrupted(
                    f"the transfer was cut off at {file.tell()} of {total or 'unknown'} bytes"
                ) from error
        if total is not None and size_of(self.part) != total:
            raise Interrupted(f"the transfer was cut off at {size_of(self.part)} of {total} bytes")


def _validator(response: Response) -> str | None:
    """What tells two versions of a file apart; weak ETags do not."""
    tag = response.headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified")
