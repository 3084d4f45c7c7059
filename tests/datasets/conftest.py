from __future__ import annotations

import pytest
from _server import FileServer


@pytest.fixture
def serve(monkeypatch):
    """Start servers that are closed after the test; proxies of the environment are not for them."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")
    started = []

    def start(**files: bytes) -> FileServer:
        started.append(FileServer(**files))
        return started[-1]

    yield start
    for server in started:
        server.close()
