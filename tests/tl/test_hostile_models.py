"""Files of models from strangers: refused without being executed or exhausting memory."""

from __future__ import annotations

import json
import os
import pickle
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from _helpers import slow, small_result

import spatrace_sc as st
from spatrace_sc._data import tensor_file

PACKAGE = Path(st.__file__).parent
REFUSED = (st.DataError, st.InvalidArgumentError)
#: Bytes that a process that loads a hostile file may allocate on top of what it needs to start.
MEMORY = 4_000_000_000


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "good"
    st.tl.save_model(small_result(), path)
    return path.read_bytes()


def taken_apart(content):
    """Header, its description of the model, and the data."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    return header, json.loads(header["__metadata__"]["content"]), content[8 + length :]


def put_together(header, description, data):
    header = header | {"__metadata__": {"content": json.dumps(description)}}
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def refused(content, folder, match=None):
    path = folder / "hostile"
    path.write_bytes(content)
    with pytest.raises(REFUSED, match=match) as error:
        st.tl.load_model(path)
    assert len(str(error.value)) < 700
    return str(error.value)


def changed(good, name, value):
    """The file with other values, of the same type and shape, of one array."""
    header, description, data = taken_apart(good)
    entry = header[name]
    first, last = entry["data_offsets"]
    array = np.frombuffer(data[first:last], dtype=tensor_file.DTYPES[entry["dtype"]]).copy()
    array.flat[:1] = value
    return put_together(header, description, data[:first] + array.tobytes() + data[last:])


def with_slot(good, path, value):
    """The file with another value in its description; None removes the part."""
    header, description, data = taken_apart(good)
    part = description
    *folders, last = path.split("/")
    for name in folders:
        part = part[name]
    if value is None:
        del part[last]
    else:
        part[last] = value
    return put_together(header, description, data)


def test_the_parts_make_the_whole(good, tmp_path):
    (tmp_path / "same").write_bytes(put_together(*taken_apart(good)))
    assert st.tl.load_model(tmp_path / "same").genes.n_targets == 20


class Bomb:
    def __reduce__(self):
        return os.mkdir, (os.environ["SPATRACE_BOMB"],)


@pytest.mark.parametrize("kind", ["pickle", "torch", "zip", "npz"])
def test_other_kinds_of_files_are_not_opened(kind, tmp_path, monkeypatch):
    """A pickle is never executed, an archive never unpacked."""
    import torch

    monkeypatch.setenv("SPATRACE_BOMB", str(tmp_path / "exploded"))
    path = tmp_path / "hostile"
    if kind == "pickle":
        path.write_bytes(pickle.dumps(Bomb()))
    elif kind == "torch":
        torch.save(Bomb(), path)
    elif kind == "npz":
        with path.open("wb") as stream:
            np.savez(stream, a=np.array([Bomb()], dtype=object))
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("../outside", b"\0" * 50_000_000)
    with pytest.raises(st.DataError, match="cannot be read as a model"):
        st.tl.load_model(path)
    assert not (tmp_path / "exploded").exists()
    assert not (tmp_path.parent / "outside").exists()


def test_links_folders_and_pipes_are_refused(good, tmp_path):
    (tmp_path / "good").write_bytes(good)
    (tmp_path / "link").symlink_to(tmp_path / "good")
    os.mkfifo(tmp_path / "pipe")
    for name, match in (
        ("link", "symbolic link"),
        ("pipe", "not a file"),
        (".", "not a file"),
        ("none", "does not exist"),
    ):
        with pytest.raises(st.InvalidArgumentError, match=match):
            st.tl.load_model(tmp_path / name)


def test_a_link_is_replaced_and_not_followed(tmp_path):
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "link").symlink_to(tmp_path / "precious")
    st.tl.save_model(small_result(), tmp_path / "link", overwrite=True)
    assert (tmp_path / "precious").read_text() == "precious"
    assert st.tl.load_model(tmp_path / "link").genes.n_targets == 20


@pytest.mark.parametrize("n", [0, 7, 8, 100, 5000, -1, -1000])
def test_truncated_files(good, tmp_path, n):
    refused(good[:n], tmp_path)


def test_longer_files(good, tmp_path):
    refused(good + b"\0", tmp_path, "arrays take")


SHELL = """
import resource, sys
import spatrace_sc as st
from spatrace_sc._inference import apply_model
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + {memory},) * 2)
try:
    st.tl.load_model(sys.argv[1])
except (st.DataError, st.InvalidArgumentError) as error:
    print("refused:", error)
"""


def in_a_small_process(path):
    code = SHELL.format(memory=500_000_000)
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("refused:"), done.stderr[-2000:]
    return done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
@pytest.mark.parametrize("kind", ["shape", *map(slow, ["sparse file", "header", "nested"])])
def test_memory_is_not_exhausted(good, tmp_path, kind):
    """A terabyte is declared, or lies in the file as a hole; half a gigabyte can be allocated."""
    header, description, data = taken_apart(good)
    path = tmp_path / "hostile"
    n = 2**40
    if kind == "shape":
        entry = {"dtype": "F32", "shape": [n // 4], "data_offsets": [len(data), len(data) + n]}
        path.write_bytes(put_together(header | {"huge": entry}, description, data))
    elif kind == "sparse file":
        entry = {"dtype": "F32", "shape": [n // 4], "data_offsets": [len(data), len(data) + n]}
        content = put_together(header | {"huge": entry}, description, data)
        path.write_bytes(content)
        try:
            os.truncate(path, len(content) + n)
        except OSError:
            pytest.skip("the file system has no files of a terabyte")
    elif kind == "header":
        path.write_bytes((2**62).to_bytes(8, "little") + good[8:])
    else:
        text = b'{"a":' * 1_000_000
        path.write_bytes(len(text).to_bytes(8, "little") + text)
    assert "cannot be read as a model" in in_a_small_process(path)


@pytest.mark.parametrize(
    "name",
    [
        *("slots/model/values", "slots/model/network/gates", "slots/model/target_sd"),
        *("level_scales/column_mean", "reading_scales/filters/gain", "slots/tf_targets/effect"),
        *("reading_scales/covariates/mean", "level_scales/activity", "slots/refits/weight"),
    ],
)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite(good, tmp_path, name, value):
    refused(changed(good, name, value), tmp_path, "finite|NaN")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("slots/lr_targets/target", 20), ("slots/lr_targets/ligand", -1)),
        *(("slots/model/rows", 10**6), ("slots/refits/edge", 10**9)),
        *(("slots/tf_targets/group", 10**6), ("slots/model/network/pair_ligand", 5)),
    ],
)
def test_indices_that_point_nowhere(good, tmp_path, name, value):
    refused(changed(good, name, value), tmp_path, "index|order")


def entries(good):
    return [name for name in taken_apart(good)[0] if name != "__metadata__"]


def test_every_array_is_checked_for_its_shape_and_type(good, tmp_path):
    """A row less, another type, or no array: none of them loads."""
    header, description, data = taken_apart(good)
    accepted = []
    for name in entries(good):
        entry = header[name]
        first, last = entry["data_offsets"]
        flat = [int(np.prod(entry["shape"])), 1, 1]
        size = {"F16": 2, "I8": 1, "BOOL": 1, "F64": 8, "I64": 8}.get(entry["dtype"], 4)
        other = {1: "U8", 2: "U8", 4: "I32", 8: "I64"}[size]
        if other == entry["dtype"]:
            other = {1: "BOOL", 4: "F32", 8: "F64"}[size]
        shape = entry["shape"] if size != 2 else [2 * entry["shape"][0], *entry["shape"][1:]]
        for change in (
            entry | {"dtype": other, "shape": shape},
            entry | {"shape": flat if entry["shape"] != flat else [*flat, 1]},
        ):
            content = put_together(header | {name: change}, description, data)
            (tmp_path / "hostile").write_bytes(content)
            try:
                st.tl.load_model(tmp_path / "hostile")
            except REFUSED:
                continue
            accepted.append((name, change))
        assert (first, last) == tuple(entry["data_offsets"])
    assert not accepted


def test_names_of_arrays_are_no_paths(good, tmp_path):
    header, description, data = taken_apart(good)
    header["../../etc/passwd"] = header.pop("slots/tf_scores")
    refused(put_together(header, description, data), tmp_path, "missing or used twice")
    assert sorted(f.name for f in tmp_path.iterdir()) == ["hostile"]


@pytest.mark.parametrize(
    ("path", "value", "match"),
    [
        ("format", 99, "pip install --upgrade"),
        ("format", "1", "no description"),
        ("format", None, "no description"),
        ("level_scales", None, "parts are missing"),
        ("more", 1, "extra"),
        ("slots/more", 1, "extra"),
        ("slots/refits", None, "belong nowhere"),
        ("slots/genes/tfs", None, "names no genes"),
        ("slots/params/radius", -1.0, "radius"),
        ("slots/params/radius", "far", "kind"),
        ("slots/params/config/model/d_model", 10**9, "not the one"),
        ("slots/params/config/model/n_layers", 10**9, "not the one"),
        ("slots/params/config/evidence/n_permutations", 10**9, "permutations"),
        ("slots/params/config/model/d_model", 33, "multiple"),
        ("slots/params/config/training/batch_size", "many", "batch_size"),
        ("slots/params/config/model/more", 3, "more"),
        ("slots/params/config", [], "list"),
        ("slots/genes/tfs", {"$": "text", "values": ["A"] * 12}, "repeated"),
        ("slots/genes/tfs", {"$": "text", "values": [1] * 12}, "unknown kind"),
        ("slots/fit/r2_gates", {"$": "number", "value": "__import__('os')"}, "unknown kind"),
        ("slots/form", 99, "form"),
        ("slots/tf_scores", {"$": "array", "name": "slots/nothing"}, "missing or used twice"),
        ("slots/tf_scores", 3.0, "real numbers|shape|belong"),
        ("slots/model", {}, "belong|missing"),
        ("slots/model/network", {}, "belong|parameters"),
    ],
)
def test_descriptions(good, tmp_path, path, value, match):
    refused(with_slot(good, path, value), tmp_path, match)


def test_json_that_repeats_keys_or_holds_nan(good, tmp_path):
    header, description, data = taken_apart(good)
    for old, new in (('"format": 1', '"format": 1, "format": 1'), ('"seed": 0', '"seed": NaN')):
        text = json.dumps(description)
        assert old in text
        broken = header | {"__metadata__": {"content": text.replace(old, new)}}
        raw = json.dumps(broken).encode()
        refused(len(raw).to_bytes(8, "little") + raw + data, tmp_path, "not JSON")


def test_random_bytes_in_any_place(good, tmp_path):
    """Every file with a byte changed in its header is refused or is a model of the same genes."""
    hypothesis = pytest.importorskip("hypothesis")
    strategies = hypothesis.strategies
    n_header = 8 + int.from_bytes(good[:8], "little")
    path = tmp_path / "hostile"

    @hypothesis.settings(max_examples=60, deadline=None, derandomize=True, database=None)
    @hypothesis.given(
        strategies.integers(0, n_header - 1), strategies.binary(min_size=1, max_size=3)
    )
    def check(start, new):
        path.write_bytes(good[:start] + new + good[start + len(new) :])
        try:
            model = st.tl.load_model(path)
        except REFUSED:
            return
        assert model.genes.n_pairs == 144

    check()


def test_random_files(tmp_path):
    hypothesis = pytest.importorskip("hypothesis")
    path = tmp_path / "hostile"

    @hypothesis.settings(max_examples=60, deadline=None, derandomize=True, database=None)
    @hypothesis.given(hypothesis.strategies.binary(max_size=200))
    def check(content):
        path.write_bytes(content)
        with pytest.raises(REFUSED):
            st.tl.load_model(path)

    check()


def test_a_file_larger_than_free_memory_is_not_read(good, tmp_path, monkeypatch):
    from spatrace_sc._result import model

    (tmp_path / "model").write_bytes(good)
    monkeypatch.setattr(model, "free_memory", lambda: 1000)
    with pytest.raises(st.DataError, match="memory are free"):
        st.tl.load_model(tmp_path / "model")


#: What could execute code from a file: pickle by any name, and torch's and numpy's use of it.
EXECUTES = re.compile(
    r"\b(import|from) (pickle|cPickle|dill|cloudpickle|marshal|shelve)\b"
    r"|torch\.load\(|joblib\.load\(|read_pickle\(|allow_pickle=True|\beval\(|\bexec\(|yaml\.load\("
)


def test_nothing_in_the_package_reads_a_pickle():
    lines = [
        f"{file.relative_to(PACKAGE)}: {line.strip()}"
        for file in PACKAGE.rglob("*.py")
        for line in file.read_text().splitlines()
        if EXECUTES.search(line) and ".eval()" not in line
    ]
    assert not lines
    assert EXECUTES.search("model = torch.load(path)")
    assert EXECUTES.search("    import pickle")
