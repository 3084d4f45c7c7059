"""Configuration of Sphinx: ``python -m sphinx -W -b html docs docs/_build/html``."""

from __future__ import annotations

import builtins
import importlib.util
import os
import re
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.ext import intersphinx

import spatrace_sc

DOCS = Path(__file__).parent
os.environ.pop("MPLBACKEND", None)  # or figures of notebooks are drawn for nobody

project = "spatrace-sc"
author = "spatrace-sc developers"
copyright = author
release = version = spatrace_sc.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
if importlib.util.find_spec("sphinx-mathjax-offline"):  # draws equations without a network
    extensions.append("sphinx-mathjax-offline")
templates_path = ["_templates"]
exclude_patterns = ["_build", "**.ipynb_checkpoints"]
nitpicky = True

# Pages and notebooks
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "tasklist"]
myst_heading_anchors = 3
# Generated tables go from the title to third-level headings; nothing is lost by it.
suppress_warnings = ["myst.header"]
nb_execution_mode = os.environ.get("SPATRACE_DOCS_NOTEBOOKS", "force")  # force, cache or off
nb_execution_timeout = 300
nb_execution_raise_on_error = True
nb_merge_streams = True
#: Progress bars, and what other packages announce for their next versions. The notebooks send the
#: log of this package to standard output.
nb_output_stderr = "remove"

# The interface: what ``__all__`` of each layer names, see _templates/autosummary/module.rst
autosummary_generate = True
autosummary_imported_members = True
autosummary_ignore_module_all = False
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
python_maximum_signature_line_length = 88
toc_object_entries_show_parents = "hide"
napoleon_google_docstring = False
napoleon_use_param = False
napoleon_use_rtype = False
napoleon_preprocess_types = False
#: "Returns" and "Raises" of this package are prose and lists, not typed fields.
napoleon_custom_sections = ["Returns", "Raises"]

html_theme = "sphinx_book_theme"
html_title = "spatrace-sc"
html_static_path = ["_static"]
html_extra_path = ["llms.txt"]  # for language models, at the root of the site
html_css_files = ["pages.css"]
html_theme_options = {
    "navbar_persistent": [],  # the search stands in the sidebar
    "show_navbar_depth": 1,
    "show_toc_level": 2,
    "use_download_button": True,
}

INVENTORIES = {
    "anndata": "https://anndata.readthedocs.io/en/stable/",
    "matplotlib": "https://matplotlib.org/stable/",
    "numpy": "https://numpy.org/doc/stable/",
    "pandas": "https://pandas.pydata.org/docs/",
    "python": "https://docs.python.org/3/",
    "scipy": "https://docs.scipy.org/doc/scipy/",
    "spatialdata": "https://spatialdata.scverse.org/en/stable/",
}

#: Names of other packages in our signatures, as written there or as Python resolves them. They are
#: links where the inventory answers and plain text elsewhere. Any other name that leads nowhere is
#: a warning, and so an error. This is all that ``nitpick_ignore`` would hold.
FOREIGN = {
    "AnnData": "anndata.AnnData",
    "Any": "typing.Any",
    "Axes": "matplotlib.axes.Axes",
    "Figure": "matplotlib.figure.Figure",
    "Mapping": "collections.abc.Mapping",
    "Model": "spatrace_sc.tl.load_model",  # opaque; it is only passed on
    "NDArray": "numpy.typing.NDArray",
    "Path": "pathlib.Path",
    "Prior": "pandas.DataFrame",  # our own alias; the parameter says which tables
    "RandomSource": "numpy.random.Generator",  # our own alias; the parameter says what else
    "Sequence": "collections.abc.Sequence",
    "SpatialData": "spatialdata.SpatialData",
    "np.float64": "numpy.float64",
    "np.ndarray": "numpy.ndarray",
    "pd.DataFrame": "pandas.DataFrame",
    "pd.Series": "pandas.Series",
    "sparse.csr_matrix": "scipy.sparse.csr_matrix",
    "spatrace_sc._result.model.Model": "spatrace_sc.tl.load_model",
}
PACKAGES = {*INVENTORIES, "collections", "dataclasses", "networkx", "os", "pathlib", "typing"}
BUILTIN = set(dir(builtins))

#: Files of the repository that a page here shows, so that a link to the file leads to the page.
SHOWN = {
    "CHANGELOG.md": "project/changelog.md",
    "CODE_OF_CONDUCT.md": "project/conduct.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
    "benchmarks/README.md": "project/benchmark_scripts.md",
    "changelog.d/README.md": "project/changelog_fragments.md",
}


def answers(inventory: tuple[str, str]) -> bool:
    """Whether an inventory can be fetched; the pages are built without one too."""
    try:
        with urllib.request.urlopen(f"{inventory[1]}objects.inv", timeout=5) as reply:
            return reply.status == 200
    except OSError:
        return False


with ThreadPoolExecutor() as pool:
    intersphinx_mapping = {
        name: (url, None)
        for (name, url), there in zip(
            INVENTORIES.items(), pool.map(answers, INVENTORIES.items()), strict=True
        )
        if there
    }


def link_foreign(app: Sphinx, env, node, contnode) -> nodes.Node | None:
    """Names of other packages to their documentation, or to plain text."""
    target = node.get("reftarget", "")
    package = target.partition(".")[0]
    if node.get("refdomain") != "py" or not (
        target in FOREIGN or target in BUILTIN or package in PACKAGES
    ):
        return None
    if package in {"anndata", "pandas", "spatialdata"}:  # pandas.core.frame.DataFrame
        target = (
            f"{package}.{target.rpartition('.')[2]}"
            if "._" in target or ".core." in target
            else target
        )
    node["reftarget"] = FOREIGN.get(target, target)
    node["reftype"] = "obj"
    return intersphinx.missing_reference(app, env, node, contnode) or contnode


def link_within(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Turn names of pages into links.

    Under "Raises", every error begins a paragraph or definition of its own, and its name is a link.
    """
    lines[:] = [re.sub(r"``docs/([\w/]+)\.md``", r":doc:`/\1`", line) for line in lines]
    errors = "|".join(n for n in spatrace_sc.__all__ if n.endswith(("Error", "Warning")))
    start = next(
        (k for k, line in enumerate(lines) if line.strip() == ".. rubric:: Raises"), len(lines)
    )
    end = next((k for k in range(start + 1, len(lines)) if lines[k].startswith(".. ")), len(lines))
    written: list[str] = []
    for line in lines[start + 1 : end]:
        if re.match(rf"({errors})\b", line):
            written += ["", re.sub(rf"\b({errors})\b", r":class:`~spatrace_sc.\1`", line)]
        else:
            written.append(line)
    lines[start + 1 : end] = written


def show(app: Sphinx, docname: str, source: list[str]) -> None:
    """Replace a page of SHOWN by the file that it shows, and links to that file by the page."""
    page = DOCS / f"{docname}.md"
    file = next((name for name, where in SHOWN.items() if DOCS / where == page), None)
    folder = page.parent
    if file is not None:
        source[0] = (DOCS.parent / file).read_text(encoding="utf-8")
        app.env.note_dependency(str(DOCS.parent / file))
        folder = (DOCS.parent / file).parent

    def moved(found: re.Match[str]) -> str:
        target = Path(os.path.normpath(folder / found[1]))
        name = (
            target.relative_to(DOCS.parent).as_posix() if target.is_relative_to(DOCS.parent) else ""
        )
        target = (
            DOCS / SHOWN.get(name, name.removeprefix("docs/"))
            if name in SHOWN or name.startswith("docs/")
            else target
        )
        return (
            f"]({Path(os.path.relpath(target, page.parent)).as_posix()}{found[2] or ''})"
            if name
            else found[0]
        )

    source[0] = re.sub(r"\]\((?!https?:|mailto:|#)([^)#\s]+)(#[^)]*)?\)", moved, source[0])


def join_numbers(app: Sphinx, doctree: nodes.document) -> None:
    """Keep the groups of a number, and a number with its unit, on one line."""
    code = (nodes.literal, nodes.literal_block, nodes.math, nodes.math_block, nodes.raw)
    for text in list(doctree.findall(nodes.Text)):
        joined = re.sub(r"(?<=\d) (?=\d{3}\b|%|µm\b|GB\b|MB\b)", "\u00a0", text)
        joined = re.sub(r"\b([pqR]²?) ([≤<>=]) (?=\.?\d)", "\\1\u00a0\\2\u00a0", joined)
        if joined != text and not isinstance(text.parent, code):
            text.parent.replace(text, nodes.Text(joined))


def look_for_figures(app: Sphinx, exception: Exception | None) -> None:
    """A notebook that draws shows what it drew."""
    if exception is not None or app.builder.name != "html" or nb_execution_mode == "off":
        return
    for page in sorted((DOCS / "notebooks").glob("*.md")):
        drawn = page.read_text(encoding="utf-8").count("\nst.pl.")
        shown = (
            (Path(app.outdir) / "notebooks" / f"{page.stem}.html")
            .read_text(encoding="utf-8")
            .count("<img ")
        )
        if shown < drawn:
            raise ExtensionError(f"{page.name} draws {drawn} figures and shows {shown}")


def setup(app: Sphinx) -> None:
    """Connect the above."""
    app.connect("build-finished", look_for_figures)
    app.connect("doctree-read", join_numbers)
    app.connect("missing-reference", link_foreign, priority=400)
    app.connect("autodoc-process-docstring", link_within, priority=900)
    app.connect("source-read", show)
