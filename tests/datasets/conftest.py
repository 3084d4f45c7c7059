from __future__ import annotations

import pytest
from _atlas_server import BODY
from _published_atlas import ATLASES
from _server import FileServer

from spatrace_sc._settings import DATA_DIR, MIRROR


@pytest.fixture
def serve(monkeypatch):
    """Start servers that are closed after the test, without the proxies of the environment."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")
    started = []

    def start(**files: bytes) -> FileServer:
        started.append(FileServer(**files))
        return started[-1]

    yield start
    for server in started:
        server.close()


@pytest.fixture
def server(serve):
    return serve(atlas__h5ad=BODY)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.delenv(MIRROR, raising=False)
    monkeypatch.delenv(DATA_DIR, raising=False)
    return tmp_path / "cache"


@pytest.fixture
def data_dir(tmp_path, monkeypatch):
    """Folder of the cache, set by the environment variable."""
    monkeypatch.setenv(DATA_DIR, str(tmp_path))
    monkeypatch.delenv(MIRROR, raising=False)
    return tmp_path


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("published")


@pytest.fixture(params=ATLASES)
def name(request):
    return request.param
