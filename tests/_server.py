"""A real HTTP server on loopback that serves bytes, correctly or not, request by request."""

from __future__ import annotations

import socket
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

#: Keys of a step of ``FileServer.plan``, one step per request. Without a step the file is served
#: correctly.
#: - status: an answer without the file
#: - headers: additional headers
#: - cut: close the connection after this number of bytes; reset: the same with a TCP reset
#: - drop: reset the connection instead of an answer
#: - stall: send nothing more after this number of bytes
#: - drip: (bytes, seconds between)
#: - shift: begin the range this number of bytes later than requested
#: - total: state this length in Content-Range
STEPS = {"status", "headers", "cut", "reset", "drop", "stall", "drip", "shift", "total"}


class _Http(ThreadingHTTPServer):
    def shutdown_request(self, request: Any) -> None:
        """Close without the goodbye that would come before a reset."""
        self.close_request(request)


class FileServer:
    """``files`` by name.

    ``requests`` are the headers of each request; ``sent`` is the number of bytes of body sent.
    """

    def __init__(self, **files: bytes) -> None:
        self.files = {name.replace("__", "."): body for name, body in files.items()}
        self.plan: list[dict[str, Any]] = []
        self.requests: list[dict[str, str]] = []
        self.sent = 0
        self.ranges, self.etag, self.modified, self.framing = True, '"one"', "", "length"
        self.closing = threading.Event()
        self._http = _Http(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()
        self.address = f"http://127.0.0.1:{self._http.server_address[1]}"

    def url(self, name: str) -> str:
        return f"{self.address}/{name}"

    def close(self) -> None:
        self.closing.set()
        self._http.shutdown()
        self._http.server_close()

    @property
    def asked(self) -> list[str | None]:
        """The range of each request."""
        return [request.get("range") for request in self.requests]


def _handler(server: FileServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            """Nothing on stderr."""

        def do_GET(self) -> None:
            server.requests.append({key.lower(): value for key, value in self.headers.items()})
            step = server.plan.pop(0) if server.plan else {}
            assert set(step) <= STEPS
            body = server.files.get(self.path.lstrip("/"))
            self.close_connection = True
            if "drop" in step:
                self.break_off()
                return
            if "status" in step or body is None:
                self.answer(
                    step.get("status", 404), {"Content-Length": "0"} | step.get("headers", {})
                )
                return
            start = self.start_of(len(body))
            headers = {"ETag": server.etag, "Last-Modified": server.modified} | step.get(
                "headers", {}
            )
            if start >= len(body):
                self.answer(416, {"Content-Range": f"bytes */{len(body)}", "Content-Length": "0"})
                return
            if start:
                start += step.get("shift", 0)
                headers["Content-Range"] = (
                    f"bytes {start}-{len(body) - 1}/{step.get('total', len(body))}"
                )
            rest = body[start:]
            framing = {
                "length": {"Content-Length": str(len(rest))},
                "chunked": {"Transfer-Encoding": "chunked"},
            }
            self.answer(206 if start else 200, headers | framing.get(server.framing, {}))
            self.send_body(rest, step)

        def break_off(self) -> None:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

        def answer(self, status: int, headers: dict[str, str]) -> None:
            self.send_response(status)
            for key, value in headers.items():
                if value:
                    self.send_header(key, value)
            self.send_header("Connection", "close")
            self.end_headers()

        def start_of(self, size: int) -> int:
            """First byte to send; 0 without a range, or if the client has another file."""
            asked, condition = self.headers.get("Range"), self.headers.get("If-Range")
            if (
                not asked
                or not server.ranges
                or (condition and condition not in {server.etag, server.modified})
            ):
                return 0
            return int(asked.removeprefix("bytes=").removesuffix("-"))

        def send_body(self, body: bytes, step: dict[str, Any]) -> None:
            part = body[: step.get("cut", step.get("reset", step.get("stall", len(body))))]
            size, pause = step.get("drip", (len(part) or 1, 0))
            for at in range(0, len(part), size):
                piece = part[at : at + size]
                server.sent += len(piece)
                self.wfile.write(
                    b"%x\r\n%b\r\n" % (len(piece), piece) if server.framing == "chunked" else piece
                )
                server.closing.wait(pause)
            if "stall" in step:
                server.closing.wait(10)
            elif "reset" in step:
                server.closing.wait(0.1)  # a reset throws away what the client has not read
                self.break_off()
            elif "cut" not in step and server.framing == "chunked":
                self.wfile.write(b"0\r\n\r\n")

    return Handler
