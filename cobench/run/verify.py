"""``cobench verify``: pages against what they carry, and a term's numbers against its raw files."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cobench import store
from cobench.declared import Text
from cobench.effects.estimates import COUNTS, RESULTS
from cobench.errors import RunError
from cobench.release.escape import safe_cell
from cobench.run.manifest import (
    file_hash,
    input_hashes,
    read_manifest,
    settings_hashes,
    software_versions,
)
from cobench.run.verify_page import verify_page
from cobench.run.words import phrase
from cobench.study import Study, load_study

Say = Callable[[str], object]
NUMBERS = (*RESULTS, *COUNTS)
FINE = ("same", "close")
STATES = ("same", "close", "differs", "gone", "new")
MARKS = {"same": "✓", "close": "✓", "differs": "✗", "gone": "✗", "new": "✗"}
MADE_BY_RUNS = ("cells", "run", "failed", "verify", "corrections", ".staged", "cache")
MOST, FEW = 10, 5


def verify_pages(paths: Sequence[Path], say: Say, language: str) -> bool:
    """Check pages (or all pages of a folder) without data, tell what was found, and whether all agree."""
    fine = True
    for path in _pages(paths):
        verdict = verify_page(path)
        key = "verify.fine" if verdict.fine else "verify.bad"
        say(phrase(key, page=verdict.page, n=len(verdict.wrong))[language])
        for mark, texts in (("✗", verdict.wrong), ("✓", verdict.checked), ("–", verdict.unchecked)):
            for text in texts:
                say(f"  {mark} {text[language]}")
        fine = fine and verdict.fine
    return fine


def _pages(paths: Sequence[Path]) -> list[Path]:
    return [page for path in paths for page in (sorted(path.glob("*.html")) if path.is_dir() else [path])]


def verify_term(study: Study, term_id: str, say: Say, language: str) -> bool:
    """Compute a term anew from its raw files and compare every published estimate; whether all came out again."""
    folder = study.root / "reports" / term_id
    manifest = published(folder, term_id)
    altered = altered_files(folder, manifest)
    for name in altered:
        say(f"✗ {phrase('verify.altered', file=name)[language]}")
    causes = what_changed(study, term_id, manifest)
    say(phrase("verify.again", term=term_id)[language])
    anew = recompute(study, term_id)
    told = compare(pd.read_parquet(folder / "estimates.parquet"), anew, causes)
    counts = told["state"].value_counts()
    for state in STATES:
        if counts.get(state):
            say(f"  {MARKS[state]} {phrase(f'verify.{state}', n=int(counts[state]))[language]}")
    for line in differing(told, language):
        say(f"    {line}")
    fine = bool(told["state"].isin(FINE).all()) and not altered
    for cause in causes:
        say(f"  – {cause[language]}")
    if not fine and not causes:
        say(f"  – {phrase('verify.no_cause')[language]}")
    path = store.private_dir(study, "verify") / f"{term_id}.csv"
    told.map(safe_cell).to_csv(path, index=False, encoding="utf-8-sig")
    say(phrase("verify.list", path=path.relative_to(study.root).as_posix())[language])
    return fine


def differing(told: pd.DataFrame, language: str) -> list[str]:
    """A line an estimate that wasn't reproduced, the greatest change in standard errors first."""
    lines = []
    for _, rows in told[~told["state"].isin(FINE)].groupby("estimate_id", sort=False):
        whole = told[told["estimate_id"] == rows["estimate_id"].iloc[0]].set_index("number")
        number = "estimate" if "estimate" in set(rows["number"]) else rows["number"].iloc[0]
        then, now = (float(whole.at[number, side]) for side in ("published", "recomputed"))
        error = float(whole["published"].get("std_error", math.nan))
        moved = abs(now - then) / error if number == "estimate" and error > 0 else math.nan
        first = rows.iloc[0]
        names = [first["treatment"], first["contrast"], first["outcome"], first["subgroup"], first["method"]]
        name = " · ".join(str(each) for each in names if each and not pd.isna(each) and each != "all")
        size = "" if math.isnan(moved) else f" ({phrase('verify.moved', size=f'{moved:.2f}')[language]})"
        label = "" if number == "estimate" else f" · {number}"
        lines.append(
            (
                -math.inf if math.isnan(moved) else moved,
                f"{name}{label}: {_short(then)} → {_short(now)}{size}",
            )
        )
    lines.sort(key=lambda each: -each[0])
    rest = [phrase("verify.more", n=len(lines) - MOST)[language]] if len(lines) > MOST else []
    return [line for _, line in lines[:MOST]] + rest


def _short(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.4g}"


def published(folder: Path, term_id: str) -> dict[str, Any]:
    """The manifest of a published term.

    Raises
    ------
    RunError
        When the term has no published reports.
    """
    manifest = read_manifest(folder / "run.json")
    if manifest is None or not (folder / "estimates.parquet").is_file():
        raise RunError(
            en=f"term {term_id} has no published reports with estimates; run `cobench run {term_id}` first",
            zh=f"学期 {term_id} 没有已发布的报告和估计；请先运行 `cobench run {term_id}`",
        )
    return manifest


def altered_files(folder: Path, manifest: Mapping[str, Any]) -> list[str]:
    """Published files that are gone or differ from their hash in the manifest."""
    wanted = {entry["page"]: entry["page_sha256"] for entry in manifest["reports"]} | manifest["files"]
    return [
        name
        for name, digest in wanted.items()
        if not (folder / name).is_file() or file_hash(folder / name) != digest
    ]


def what_changed(study: Study, term_id: str, manifest: Mapping[str, Any]) -> list[Text]:
    """What differs today from what the manifest says went into the run."""
    found = []
    for key, then, now in (
        ("data", manifest["raw_files"], input_hashes(study, term_id)),
        ("specification", manifest["settings"], settings_hashes(study)),
        ("software", manifest["versions"], software_versions()),
    ):
        names = sorted(name for name in {*then, *now} if then.get(name) != now.get(name))
        if names:
            found.append(phrase(f"verify.cause_{key}", names=_some(names)))
    return found


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:FEW]) + (f" … (+{len(names) - FEW})" if len(names) > FEW else "")


def recompute(study: Study, term_id: str) -> pd.DataFrame:
    """Released estimates of a term, computed in a folder of their own from the raw files alone."""
    from cobench.workbench import exports
    from cobench.workbench.desk import Desk
    from cobench.workbench.prepare import bring_up_to_date

    with tempfile.TemporaryDirectory(prefix="cobench-verify-") as name:
        root = Path(name)
        for each in study.root.iterdir():
            if each.name not in ("data", "private", "reports") and not each.name.startswith("."):
                (root / each.name).symlink_to(each, target_is_directory=each.is_dir())
        (root / "data").mkdir()
        for each in (study.root / "data").iterdir():
            if each.name != "processed":
                (root / "data" / each.name).symlink_to(each, target_is_directory=each.is_dir())
        for each in (study.root / "private").glob("*"):
            if each.name not in MADE_BY_RUNS:
                _copy(each, root / "private")
        again = load_study(root)
        bring_up_to_date(again, term_id)
        desk = Desk(again, again.term(term_id), again.languages[0])
        exports.decide_term(desk)
        return pd.DataFrame(desk.effects().frame)


def compare(then: pd.DataFrame, now: pd.DataFrame, causes: Sequence[Text] = ()) -> pd.DataFrame:
    """Every published number beside the recomputed one.

    Returns
    -------
    DataFrame
        One row a number: ``estimate_id``, what it is of, ``number``, ``published``, ``recomputed``, and ``state``:
        ``same`` (bit for bit), ``close`` (to 1 in 10^9), ``differs``, ``gone`` or ``new``.
    """
    numbers = [name for name in NUMBERS if name in then and name in now]
    about = ["estimate_id", "treatment", "contrast", "outcome", "population", "subgroup", "method"]
    left, right = (
        frame.drop_duplicates("estimate_id")[[*about, *numbers]].melt(about, numbers, "number", "value")
        for frame in (then, now)
    )
    both = left.merge(
        right[["estimate_id", "number", "value"]],
        on=["estimate_id", "number"],
        how="outer",
        suffixes=("_then", "_now"),
        validate="1:1",
        indicator=True,
    )
    a, b = (pd.to_numeric(both[f"value_{side}"]).astype("float64") for side in ("then", "now"))
    same = (a == b) | (a.isna() & b.isna())
    close = (a - b).abs() <= 1e-9 * np.maximum(a.abs(), b.abs())
    state = np.select(
        [both["_merge"] == "left_only", both["_merge"] == "right_only", same, close],
        ["gone", "new", "same", "close"],
        "differs",
    )
    named = both.rename(columns={"value_then": "published", "value_now": "recomputed"})
    return named.assign(state=state)[[*about, "number", "published", "recomputed", "state"]]


def _copy(source: Path, folder: Path) -> None:
    folder.mkdir(exist_ok=True, mode=0o700)
    if source.is_dir():
        shutil.copytree(source, folder / source.name)
    else:
        shutil.copy2(source, folder / source.name)
