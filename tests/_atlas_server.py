"""One file to fetch: its bytes, its entry in the registry, and calls of ``fetch`` for it."""

from __future__ import annotations

import hashlib

import numpy as np

from spatrace_sc.datasets._download import CHUNK, Transfer
from spatrace_sc.datasets._fetch import fetch
from spatrace_sc.datasets._registry import Entry

NAME = "atlas.h5ad"
RECORD = f"{NAME}.record.json"
BODY = np.random.default_rng(0).bytes(10 * CHUNK + 77)
NEWER = np.random.default_rng(1).bytes(10 * CHUNK + 77)
DIGEST = hashlib.sha256(BODY).hexdigest()
QUICK = Transfer(timeout=5.0, retries=2, backoff=0.01, progressbar=False)


def entry(server, **changes):
    about = {"title": "t", "citation": "c", "doi": "d", "layout": {}, "url": server.url(NAME)}
    return Entry(name="atlas", file=NAME, **about | changes)


def get(
    server,
    cache,
    *,
    transfer=QUICK,
    check=lambda path: None,
    mirror=None,
    verify=False,
    **changes,
):
    return fetch(
        entry(server, **changes),
        check=check,
        cache_dir=cache,
        mirror=mirror,
        verify=verify,
        transfer=transfer,
    )


def files_in(folder):
    return {path.name for path in folder.iterdir()}
