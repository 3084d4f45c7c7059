"""Draw the figures of the gallery and write its page.

python -m benchmarks.gallery [--only maps types edges report] [--data simulated embryo heart]
    [--every]
"""

from __future__ import annotations

import argparse
import ast
import inspect
import re
import textwrap
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from types import ModuleType

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from anndata import AnnData
from benchmarks.gallery.data import CHOSEN, DATA, load
from matplotlib.figure import Figure
from PIL import Image

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE, PICTURES = DOCS / "gallery.md", DOCS / "_static" / "gallery"
#: Sections in the order of the page.
SECTIONS = ("maps", "types", "edges", "report")
#: Resolution, the largest file in bytes, and the numbers of colours to try until a file fits.
DPI, LARGEST, COLOURS = 110, 150_000, (256, 128, 64, 32, 16)


def save(figure: Figure, path: Path) -> int:
    """Write a picture with as many colours as its size allows, and return the size in bytes."""
    raw = BytesIO()
    figure.savefig(raw, format="png", dpi=DPI, bbox_inches="tight", facecolor="white")
    plt.close(figure)
    image = Image.open(raw).convert("RGB")
    for n_colours in COLOURS:
        packed = BytesIO()
        image.quantize(n_colours, dither=Image.Dither.NONE).save(packed, "png", optimize=True)
        if packed.tell() <= LARGEST:
            break
    path.write_bytes(packed.getvalue())
    return packed.tell()


def code_of(function: Callable[[AnnData], Figure]) -> str:
    """Return the code of a figure as a user would write it."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    statements = [s for s in definition.body if not _is_docstring(s)]
    lines = [
        f"figure = {ast.unparse(s.value)}" if isinstance(s, ast.Return) else ast.unparse(s)
        for s in statements
    ]
    return "\n".join(lines).replace("'", '"')


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def section(name: str, module: ModuleType) -> str:
    """Return the section of a module: its figures with their code."""
    title = getattr(module, "TITLE", name.capitalize())
    parts = [f"## {title}"]
    for key, function in module.FIGURES.items():
        sentence = inspect.getdoc(function) or ""
        shown = [data for data in DATA if (PICTURES / f"{data}_{key}.png").exists()]
        pictures = [f"![{sentence} ({d})](_static/gallery/{d}_{key}.png)" for d in shown]
        parts += [f"### {key}", sentence, f"```python\n{code_of(function)}\n```", *pictures]
    return "\n\n".join(parts)


def write_page(sections: dict[str, str]) -> None:
    """Replace sections of the page between their markers, and leave the others."""
    text = PAGE.read_text(encoding="utf-8")
    for name, content in sections.items():
        start, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        pattern = re.compile(f"{re.escape(start)}.*?{re.escape(end)}", re.DOTALL)
        if not pattern.search(text):
            raise SystemExit(f"{PAGE} has no markers {start} and {end}.")
        replacement = f"{start}\n\n{content}\n\n{end}"
        text = pattern.sub(lambda _, new=replacement: new, text)
    PAGE.write_text(text, encoding="utf-8")


def draw(modules: dict[str, ModuleType], data: list[str], *, every: bool) -> list[str]:
    """Draw the chosen figures, or every one, of every data set; return what failed."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    failed = []
    for name in data:
        adata = load(name)
        for module in modules.values():
            for key, function in module.FIGURES.items():
                if not every and key not in CHOSEN.get(name, module.FIGURES):
                    continue
                try:
                    size = save(function(adata), PICTURES / f"{name}_{key}.png")
                except Exception as error:  # noqa: BLE001 the other figures are drawn
                    failed.append(f"{name}_{key}: {type(error).__name__}: {error}")
                    continue
                print(f"{name}_{key}: {size / 1000:.0f} kB")
    return failed


def main() -> None:
    """Draw and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--data", nargs="+", choices=list(DATA), default=["simulated"])
    parser.add_argument("--every", action="store_true", help="not only the chosen figures")
    given = parser.parse_args()
    modules = {
        name: import_module(f"benchmarks.gallery.{name}")
        for name in given.only
        if find_spec(f"benchmarks.gallery.{name}") is not None
    }
    failed = draw(modules, given.data, every=given.every)
    write_page({name: section(name, module) for name, module in modules.items()})
    if failed:
        raise SystemExit("not drawn:\n" + "\n".join(failed))


if __name__ == "__main__":
    main()
