"""The page: template, style sheet, scripts and data in one text."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from importlib.resources import files
from typing import Any

import numpy as np

#: Scripts in the order in which they are run.
SCRIPTS = ("data.js", "map.js", "zoom.js", "network.js", "tables.js", "main.js")


def page(title: str, summary: str, data: dict[str, Any]) -> str:
    """Return the HTML text.

    Text of the user enters as escaped HTML or as JSON without ``<``, which scripts only write as
    text. The page allows nothing but its own script and style sheet, by their checksums, and no
    network.
    """
    script = "\n".join(_read(name) for name in SCRIPTS)
    style = _read("report.css")
    values = {
        "title": html.escape(title),
        "summary": html.escape(summary),
        "style": style,
        "style_hash": _checksum(style),
        "script": script,
        "script_hash": _checksum(script),
        "data": json_text(data),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda m: values[m[1]], _read("template.html"))


def json_text(data: dict[str, Any]) -> str:
    """Return JSON that is harmless inside a script element."""
    text = json.dumps(data, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    escapes = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028"}
    escapes |= {"\u2029": "\\u2029"}
    for character, escape in escapes.items():
        text = text.replace(character, escape)
    return text


def colour_table(name: str) -> str:
    """Return 256 colours of a colour map of matplotlib as hexadecimal text."""
    from matplotlib import colormaps

    colours = np.rint(255 * colormaps[name](np.linspace(0, 1, 256))[:, :3]).astype(np.uint8)
    text: str = colours.tobytes().hex()
    return text


def _read(name: str) -> str:
    """Return a file of the page."""
    return (files(__package__) / "page" / name).read_text(encoding="utf-8")


def _checksum(text: str) -> str:
    """Return the checksum by which a content security policy allows a script or a style."""
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"
