"""Claims about what is shipped: one list of requirements, a lock that follows it."""

from __future__ import annotations

import re
import runpy
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def _requirements() -> tuple[list[str], list[str]]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project["dependencies"], project["optional-dependencies"]["test"]


def _name(requirement: str) -> str:
    return re.match(r"[A-Za-z0-9_.-]+", requirement).group().lower().replace("_", "-").replace(".", "-")


def _locked(file: str) -> set[str]:
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    return {_name(line) for line in lines if line and not line.startswith("#")}


def test_environment_yml_is_what_pyproject_generates():
    lock = runpy.run_path(str(ROOT / "tools" / "lock.py"))
    assert (ROOT / "environment.yml").read_text(encoding="utf-8") == lock["environment_yml"]()


def test_every_requirement_is_pinned_in_its_lock_file():
    core, test = _requirements()
    assert {_name(each) for each in core} <= _locked("requirements.lock")
    assert {_name(each) for each in (*core, *test)} <= _locked("requirements-test.lock")


def test_lock_files_agree_on_every_shared_pin():
    pins = []
    for file in ("requirements.lock", "requirements-test.lock"):
        lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
        pins.append({line.split("==")[0].lower(): line for line in lines if "==" in line})
    shared = pins[0].keys() & pins[1].keys()
    assert {name: pins[0][name] for name in shared} == {name: pins[1][name] for name in shared}
    assert set(pins[0]) <= set(pins[1])


def test_no_registry_or_local_path_stands_in_a_lock_file():
    for file in ("requirements.lock", "requirements-test.lock", "environment.yml"):
        text = (ROOT / file).read_text(encoding="utf-8")
        assert "://" not in text and "file:" not in text and "--index-url" not in text
