"""What the package declares: extras and groups agree, versions are tested, the command exists."""

from __future__ import annotations

import re
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DECLARED = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = DECLARED["project"]
EXTRAS = PROJECT["optional-dependencies"]
GROUPS = DECLARED["dependency-groups"]


def of_extra(name):
    """Packages of an extra, those of extras that it includes among them."""
    for entry in EXTRAS[name]:
        if included := re.fullmatch(r"spatrace-sc\[(.*)\]", entry):
            for other in included[1].split(","):
                yield from of_extra(other)
        else:
            yield entry


def of_group(name):
    """Packages of a group, those of groups that it includes among them."""
    for entry in GROUPS[name]:
        if isinstance(entry, dict):
            yield from of_group(entry["include-group"])
        else:
            yield entry


@pytest.mark.parametrize("name", GROUPS)
def test_groups_hold_what_the_extras_hold(name):
    assert sorted(of_group(name)) == sorted(of_extra(name))


def test_versions_of_python_are_declared_and_tested():
    prefix = "Programming Language :: Python :: "
    declared = [c.removeprefix(prefix) for c in PROJECT["classifiers"] if c.startswith(prefix)]
    assert declared == ["3.11", "3.12", "3.13", "3.14"]
    assert PROJECT["requires-python"] == f">={declared[0]}"
    file = ROOT / ".github" / "workflows" / "test.yaml"
    if not file.exists():
        pytest.skip("a source distribution has no workflows")
    workflow = file.read_text(encoding="utf-8")
    tested = re.search(r"matrix:\n +python: \[(.*)\]", workflow)
    assert re.findall(r"[\d.]+", tested[1]) == declared
    assert "--resolution lowest-direct" in workflow
    assert "--prerelease allow" in workflow


def test_every_requirement_has_a_lowest_version():
    for entry in PROJECT["dependencies"]:
        assert ">=" in entry, entry


def test_the_command_leads_to_a_function():
    assert PROJECT["scripts"] == {"spatrace-sc": "spatrace_sc._cli.command:main"}
    module, _, function = PROJECT["scripts"]["spatrace-sc"].partition(":")
    assert callable(getattr(import_module(module), function))


def test_the_version_is_the_same_in_all_files():
    version = PROJECT["version"]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(rf"^version: \"?{re.escape(version)}\"?$", citation, re.MULTILINE)
