"""Settings of a session: what they are, what they refuse, and that the code obeys them."""

from __future__ import annotations

import logging
import tomllib
from contextlib import contextmanager
from pathlib import Path

import pooch
import pytest
import torch
from _helpers import NOTHING_SIGNIFICANT, small_result, tiny_config, tissue

import spatrace_sc as st
from spatrace_sc._inference import communication, group_slopes, knockout, run
from spatrace_sc._settings import NAMES, resolve_device
from spatrace_sc.datasets import _atlases
from spatrace_sc.datasets._fetch import address, cache_directory
from spatrace_sc.datasets._registry import registry
from spatrace_sc.tl import _modules

pytestmark = pytest.mark.filterwarnings(NOTHING_SIGNIFICANT)

PUBLIC = {name for name in vars(st.Settings) if isinstance(vars(st.Settings)[name], property)}


@pytest.fixture(autouse=True)
def initial(monkeypatch):
    """No setting and no variable before a test, and none left after it."""
    monkeypatch.delenv("SPATRACE_SC_DATA_DIR", raising=False)
    monkeypatch.delenv("SPATRACE_SC_MIRROR", raising=False)
    st.settings.reset()
    yield
    st.settings.reset()


def test_initial_values():
    assert set(NAMES) == PUBLIC
    assert st.settings.data_dir == Path(pooch.os_cache("spatrace_sc"))
    initial = {name: getattr(st.settings, name) for name in NAMES if name != "data_dir"}
    assert initial == {"device": "auto", "mirror": None, "progress": True, "verbosity": "warning"}


def test_environment_variables_hold_until_something_is_assigned(monkeypatch, tmp_path):
    monkeypatch.setenv("SPATRACE_SC_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("SPATRACE_SC_MIRROR", "http://a.org/b")
    assert (st.settings.data_dir, st.settings.mirror) == (tmp_path, "http://a.org/b")
    st.settings.data_dir, st.settings.mirror = tmp_path / "mine", None
    assert (st.settings.data_dir, st.settings.mirror) == (tmp_path / "mine", None)
    st.settings.reset("mirror")
    assert (st.settings.data_dir, st.settings.mirror) == (tmp_path / "mine", "http://a.org/b")
    st.settings.reset()
    assert st.settings.data_dir == tmp_path


def test_a_folder_stays_where_it_was_when_assigned(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    st.settings.data_dir = "here"
    monkeypatch.chdir("/")
    assert st.settings.data_dir == tmp_path / "here"
    assert not st.settings.data_dir.exists(), "made when something is fetched, not before"
    st.settings.data_dir = "~/there"
    assert st.settings.data_dir == Path.home() / "there"


@pytest.mark.parametrize(
    ("name", "value", "match"),
    [
        ("data_dir", 3, r"data_dir.*folder, found 3"),
        ("data_dir", None, r"data_dir.*folder, found None"),
        ("data_dir", "", r"data_dir.*folder, found ''"),
        ("data_dir", __file__, r"data_dir.*is a file"),
        ("mirror", "ftp://a.org", r"st.settings.mirror.*http.*'ftp://a.org'"),
        ("mirror", "/a/folder", r"st.settings.mirror.*http"),
        ("mirror", 1, r"st.settings.mirror.*found 1"),
        ("progress", "no", r"progress.*True or False, found 'no'"),
        ("progress", 1, r"progress.*found 1"),
        ("device", "gpu", r"device.*'cuda'.*found 'gpu'"),
        ("device", "cuda:x", r"device.*found 'cuda:x'"),
        ("device", None, r"device.*found None"),
        ("verbosity", 3, r"verbosity.*'error', 'warning', 'info', found 3"),
        ("verbosity", "INFO", r"verbosity.*'info', found 'INFO'"),
    ],
)
def test_unusable_arguments_are_refused_changes_nothing(name, value, match):
    before = repr(st.settings)
    with pytest.raises(st.InvalidArgumentError, match=match):
        setattr(st.settings, name, value)
    assert repr(st.settings) == before


@pytest.mark.parametrize(
    "use",
    [
        lambda: setattr(st.settings, "datadir", "x"),
        lambda: st.settings.datadir,
        lambda: st.settings.reset("datadir"),
        lambda: st.settings.override(datadir="x").__enter__(),
    ],
    ids=["assigned", "read", "reset", "override"],
)
def test_unknown_names_list_the_available_ones(use):
    with pytest.raises(
        st.UnknownSettingError, match=r"no 'datadir'.*'data_dir', 'device'.*Did you mean 'data_dir'"
    ):
        use()
    assert not hasattr(st.settings, "datadir")


def test_override_ends_with_the_block():
    st.settings.device = "cuda:1"
    before, level = repr(st.settings), logging.getLogger("spatrace_sc").level
    with st.settings.override(
        device="cpu", progress=False, mirror="http://a.org", verbosity="error"
    ) as inside:
        assert (inside.device, inside.progress, inside.mirror) == ("cpu", False, "http://a.org")
        assert inside.verbosity == "error"
    assert repr(st.settings) == before
    assert logging.getLogger("spatrace_sc").level == level


@pytest.mark.parametrize("values", [{"progress": False}, {"progress": False, "device": "gpu"}])
def test_override_ends_also_after_an_error(values):
    before = repr(st.settings)
    with pytest.raises(st.InvalidArgumentError), st.settings.override(**values):
        st.settings.verbosity = "loud"
    assert repr(st.settings) == before


def test_a_login_is_not_shown():
    st.settings.mirror = "https://me:secret@a.org/b"
    assert "secret" not in repr(st.settings)
    assert "https://a.org/b" in repr(st.settings)


def test_data_sets_are_fetched_by_the_settings(monkeypatch, tmp_path):
    entry = registry()["mouse_midbrain"]
    st.settings.data_dir, st.settings.mirror = tmp_path, "http://a.org/b/"
    assert cache_directory(None) == tmp_path
    assert cache_directory(tmp_path / "x") == tmp_path / "x"
    assert address(entry, None) == f"http://a.org/b/{entry.file}"
    assert address(entry, "https://c.org") == f"https://c.org/{entry.file}"
    st.settings.reset("mirror")
    assert address(entry, None) == entry.url
    monkeypatch.setenv("SPATRACE_SC_MIRROR", "nowhere")
    with pytest.raises(
        st.InvalidArgumentError, match=r"environment variable SPATRACE_SC_MIRROR.*'nowhere'"
    ):
        address(entry, None)
    assert "nowhere" in repr(st.settings), "what is wrong can still be looked at"


@pytest.mark.parametrize(("argument", "shown"), [(None, False), (True, True), (False, False)])
def test_bars_of_downloads(argument, shown, monkeypatch):
    seen = []
    monkeypatch.setattr(_atlases, "_atlas", lambda *given: seen.append(given[-1].progressbar))
    with st.settings.override(progress=False):
        st.datasets.mouse_midbrain(progressbar=argument)
        st.datasets.axolotl_regeneration(progressbar=argument)
    assert seen == [shown] * 2


class Bars:
    """Stands in for tqdm and notes which bars were to be seen."""

    def __init__(self, monkeypatch):
        self.shown, self.made = set(), set()
        for module in (communication, knockout, group_slopes, _modules):
            monkeypatch.setattr(module, "tqdm", self._spy(module.tqdm))

    def _spy(self, tqdm):
        def made(*args, desc, disable, **options):
            self.made.add(desc)
            if not disable:
                self.shown.add(desc)
            return tqdm(*args, desc=desc, disable=True, **options)

        return made


def every_verb(adata, **arguments):
    st.tl.knockout(adata, ligand="LIG000")
    st.tl.compare(adata, "stage", max_q=1.0)
    st.tl.communication(adata, n_permutations=1, **arguments)
    st.tl.modules(adata, max_q=1.0, n_draws=1, **arguments)


BARS = {"rolling forward", "responses", "permuting labels", "modules"}


@pytest.fixture(scope="module")
def with_bars():
    """A result whose Config asks for bars."""
    adata = small_result().copy()
    adata.uns["spatrace"]["params"]["config"]["progress"] = True
    return adata


def test_bars_of_verbs(with_bars, monkeypatch):
    monkeypatch.setattr(group_slopes, "MIN_TARGETS_FOR_BAR", 1)
    bars = Bars(monkeypatch)
    with st.settings.override(progress=False):
        every_verb(with_bars.copy())
    assert bars.made == BARS
    assert not bars.shown
    every_verb(with_bars.copy())
    assert bars.shown == BARS


def test_progress_argument_overrides_the_setting(with_bars, monkeypatch):
    bars = Bars(monkeypatch)
    adata = with_bars.copy()
    st.tl.communication(adata, n_permutations=1, progress=False)
    assert not bars.shown
    with st.settings.override(progress=False):
        st.tl.communication(adata, n_permutations=1, progress=True)
    assert bars.shown == {"permuting labels"}


@pytest.mark.parametrize(
    ("config", "setting", "shown"), [(True, True, True), (True, False, False), (False, True, False)]
)
def test_bars_of_the_inference(config, setting, shown, monkeypatch):
    """The result stores the requested value, not the setting of the session."""
    seen = []

    class Enough(Exception):
        pass

    def spy(problem, given, **_):
        seen.append(given.progress)
        raise Enough

    monkeypatch.setattr(run, "calibrate_prior", spy)
    with st.settings.override(progress=setting), pytest.raises(Enough):
        st.tl.infer_ccc(tissue(), sample_key="sample", config=tiny_config(progress=config))
    assert seen == [shown]


def test_a_result_does_not_know_the_settings():
    adata = tissue()
    with st.settings.override(progress=False, device="cpu"):
        st.tl.infer_ccc(adata, sample_key="sample", config=tiny_config(progress=True))
    assert adata.uns["spatrace"]["params"]["config"]["progress"] is True
    assert st.get.params(adata)["device"] == "cpu"


def test_device_is_what_auto_means(monkeypatch):
    with st.settings.override(device="cpu"):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        assert resolve_device("auto").type == "cpu"
    assert resolve_device("auto").type == "cuda"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto").type == "cpu"
    with st.settings.override(device="cuda:1"):
        with pytest.raises(st.DeviceError, match=r"st.settings.device = 'cuda:1'.* 0 CUDA GPUs"):
            resolve_device("auto")
        assert resolve_device("cpu").type == "cpu"
        with pytest.raises(st.DeviceError, match=r"`device='cuda'`"):
            resolve_device("cuda")


@contextmanager
def fresh_logging():
    """Logging as in a new interpreter: while a test runs pytest has handlers at the root."""
    root, log = logging.getLogger(), logging.getLogger("spatrace_sc")
    of_root, level, of_log = root.handlers[:], root.level, log.handlers[:]
    root.handlers[:], log.handlers[:] = [], []
    root.setLevel(logging.WARNING)
    try:
        yield log
    finally:
        root.handlers[:], log.handlers[:] = of_root, of_log
        root.setLevel(level)


def info():
    st.settings.verbosity = "info"


def twice():
    info()
    info()


def error():
    st.settings.verbosity = "error"


def info_and_back():
    info()
    st.settings.reset("verbosity")


def info_then_root():
    info()
    logging.basicConfig(format="root %(message)s")


def root_then_info():
    logging.basicConfig(format="root %(message)s")
    info()


def everything():
    logging.basicConfig(level="INFO", format="%(message)s")


def own_handler():
    logging.getLogger("spatrace_sc").addHandler(logging.StreamHandler())
    info()


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (lambda: None, ["two"]),
        (info, ["one", "two"]),
        (twice, ["one", "two"]),
        (error, []),
        (info_and_back, ["two"]),
        (info_then_root, ["root one", "root two"]),
        (root_then_info, ["root one", "root two"]),
        (everything, ["one", "two", "three"]),
        (own_handler, ["one", "two"]),
    ],
)
def test_what_is_shown(before, expected, capsys):
    """Never twice, and other packages are left alone."""
    with fresh_logging() as log:
        before()
        log.info("one")
        log.warning("two")
        logging.getLogger("other").info("three")
    assert capsys.readouterr().err.split("\n")[:-1] == expected


def test_verbosity_says_what_logging_does():
    with fresh_logging() as log:
        everything()
        assert st.settings.verbosity == "info"
        log.setLevel("ERROR")
        assert st.settings.verbosity == "error"


def test_types_are_checked_strictly_and_nothing_of_ours_is_excused():
    with (Path(__file__).parents[1] / "pyproject.toml").open("rb") as file:
        chosen = tomllib.load(file)["tool"]["mypy"]
    assert chosen["strict"] is True
    for part in chosen["overrides"]:
        assert not [module for module in part["module"] if module.startswith("spatrace_sc")]
        assert set(part) == {"module", "ignore_missing_imports"}
