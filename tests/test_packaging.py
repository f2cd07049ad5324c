"""Claims about what is shipped: one list of requirements, a lock that follows it."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
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


def test_an_installed_wheel_lays_out_a_study_with_notebooks(tmp_path):
    # A district does not live inside this repository: everything `cobench new` needs must be in the wheel.
    wheels, site = tmp_path / "wheels", tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", wheels, ROOT], check=True)
    wheel = next(wheels.glob("cobench-*.whl"))
    subprocess.run([*pip, "install", "--no-deps", "--target", site, wheel], check=True)
    code = (
        "import cobench, pathlib, sys; from cobench.new_study import lay_out; lay_out(pathlib.Path('district'));"
        "from cobench.study import load_study; from cobench.show.wording import say; say('page.reach', 'zh');"
        "print(pathlib.Path(cobench.__file__).parent.parent, load_study('district').id)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [str(site), "district"]
    names = {path.name for path in (tmp_path / "district" / "notebooks").glob("*.ipynb")}
    assert names == {path.name for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert (tmp_path / "district" / "codebooks" / "parents_v1.toml").exists()
    assert (site / "cobench" / "run" / "templates" / "style.css").exists()
