"""Consent withdrawn: a child taken out of everything that is stored, and kept out of what comes."""

from __future__ import annotations

import csv
import json
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cobench import store
from cobench.declared import Text
from cobench.delivered import read_deliveries
from cobench.errors import CobenchError, ForgetError
from cobench.ingest import aliases
from cobench.ingest.identities import pseudonym, read_identities
from cobench.ingest.keys import study_key
from cobench.ingest.parse import parse_student_number
from cobench.ingest.persons import load_persons
from cobench.ingest.readers import read_cells
from cobench.ingest.rewrite import rewritten
from cobench.ingest.text import name_key, split_at_blanks, split_children
from cobench.ingest.withdrawn import load_withdrawn
from cobench.lock import writing
from cobench.study import Study

_KEPT = ("withdrawn.json", "keys.json", "hashes.json", ".gitignore")
_REWRITTEN = ("identities", "quarantine")
RAW_ROWS = ["file", "sheet", "row", "found_by"]


@dataclass(frozen=True)
class Forgotten:
    """What was removed.

    Attributes
    ----------
    rows : dict
        Rows removed by table.
    terms : tuple of str
        Terms in whose tables the child was.
    published : tuple of str
        Those of them whose published reports count the child in their totals.
    n_raw_rows : int
        Rows of raw files that hold the child and must be deleted by hand, listed in ``raw_rows``.
    unread : tuple of str
        Raw files that could not be searched.
    """

    rows: dict[str, int]
    terms: tuple[str, ...]
    published: tuple[str, ...]
    n_raw_rows: int
    raw_rows: Path
    unread: tuple[str, ...]

    def told(self, study: Study) -> Text:
        """What was removed, what reports still count, and what is left to do by hand, in both languages."""
        rows = sum(self.rows.values())
        terms, published = ", ".join(self.terms) or "–", ", ".join(self.published) or "–"
        listed, unread = self.raw_rows.relative_to(study.root).as_posix(), ", ".join(self.unread)
        zh = [
            f"已删除 {rows} 行（{len(self.rows)} 张表，学期：{terms}），身份对照、隔离记录和中间结果一并清除；今后读入时自动略去。",
            f"已发布报告的汇总数中仍含该生的学期：{published}；请重新运行这些学期（cobench run 学期），并收回旧版。",
            f"原始文件中还有 {self.n_raw_rows} 行需人工删除，清单见 {listed}（仅列文件与行号）。",
        ]
        en = [
            f"removed {rows} rows of {len(self.rows)} tables (terms: {terms}), and the child's traces in the identity map, "
            "quarantine and derived results; the next ingests leave the child out.",
            f"published reports that still count the child in their totals: {published}; run these terms again "
            "(cobench run TERM) and recall the old editions.",
            f"{self.n_raw_rows} rows of raw files are left to delete by hand, listed in {listed} (files and rows only).",
        ]
        if unread:
            zh.append(f"以下原始文件无法检索，请人工核对：{unread}")
            en.append(f"these raw files could not be searched; check them by hand: {unread}")
        return Text("\n".join(zh), "\n".join(en))


@dataclass(frozen=True)
class _Child:
    student: str
    numbers: frozenset[str]
    names: frozenset[str]
    places: frozenset[tuple[str, str]]
    schools: frozenset[str]

    def is_in(self, text: str) -> bool:
        """Whether a text holds any of what identifies the child."""
        return any(
            each in text
            for each in (self.student, *self.numbers, *(n[1:] for n in self.numbers), *self.names)
        )


def forget_student(study: Study, typed: str, today: date, *, keep_out: bool = False) -> Forgotten:
    """Remove a child from every stored table, the identity map, quarantine and all else in ``private/``.

    Keyed hashes stay, so that raw files which still hold the child don't bring it back. Raw files are never changed.
    Cut short at any moment, the command can be given again: tables change all at once and last.

    Parameters
    ----------
    typed : str
        A student number (any of the child's), or the pseudonym.
    keep_out : bool
        Also when the study doesn't hold the child yet.

    Raises
    ------
    ForgetError
        When nobody answers to ``typed``, which is not repeated.
    KeyMissingError, KeyMismatchError, StudyLockedError, StorageError
    """
    with writing(study.root):
        store.finish_private(study)
        key = study_key(study)
        child = _find(study, key, typed, keep_out)
        raw, unread = _raw_rows(study, child)
        listed = _write_raw_rows(study, raw, today)
        load_withdrawn(study, key, make=True).add(child.numbers, child.places, today)
        shutil.rmtree(store.processed_dir(study) / "derived", ignore_errors=True)
        _scrub(study, child)
        held = aliases.read_aliases(study)
        mine = held["earlier"].isin(child.numbers) | held["later"].isin(child.numbers)
        if mine.any():
            aliases.write_aliases(study, held[~mine])
        rows: dict[str, int] = {}
        terms: set[str] = set()
        made = {
            name: rewritten(study, each, _Without(child, rows, terms), _private_without(child))
            for name, each in read_deliveries(study).items()
        }
        store.commit(study, made)
    published = tuple(each for each in sorted(terms) if (study.root / "reports" / each / "run.json").exists())
    return Forgotten(rows, tuple(sorted(terms)), published, len(raw), listed, tuple(unread))


def _find(study: Study, key: bytes, typed: str, keep_out: bool) -> _Child:
    if any(source.table == "panel" for source in study.sources):
        raise ForgetError(
            en="this study is one table without an identity map; take the row out of the raw file and ingest again",
            zh="本研究为单一数据表，没有身份对照表；请从原始文件中删去该行后重新读入",
        )
    identities = read_identities(study)
    number = parse_student_number(typed).value
    first = load_persons(study, key).first
    if number is not None:
        student = pseudonym(key, study.id, "student", first.get(number, number))
    else:
        student = typed.strip()
    own = identities[identities["student"] == student]
    if own.empty and not (keep_out and number is not None):
        raise ForgetError(
            en="nobody in this study has that student number or pseudonym; nothing was changed. Check it; for a child "
            "who isn't in the data yet add --keep-out",
            zh="本研究中没有该学籍号或假名，未作任何更改。请核对；如该生尚未进入数据，请加 --keep-out",
        )
    siblings = {
        each for each, root in first.items() if number is not None and root == first.get(number, number)
    }
    numbers = {*own["student_number"].dropna(), *siblings, *([number] if number else [])}
    root = {first.get(each, each) for each in numbers}
    numbers |= {each for each, other in first.items() if other in root}
    named = own.dropna(subset=["class_id", "name"])
    return _Child(
        student,
        frozenset(numbers),
        frozenset({*named["name"], *named["name"].map(name_key)}),
        frozenset(zip(named["class_id"], named["name"], strict=True)),
        frozenset(own["school"].dropna()),
    )


class _Without:
    """Drops a child's rows of a table, and counts them."""

    def __init__(self, child: _Child, rows: dict[str, int], terms: set[str]) -> None:
        self.child, self.rows, self.terms = child, rows, terms

    def __call__(self, name: str, table: pa.Table) -> pa.Table:
        if "student" not in table.column_names:
            return table
        own = pc.fill_null(pc.equal(table["student"], self.child.student), False)
        n = pc.sum(own).as_py() or 0
        if not n:
            return table
        self.rows[name] = self.rows.get(name, 0) + n
        if "term" in table.column_names:
            self.terms.update(pc.unique(table["term"].filter(own)).to_pylist())
        return table.filter(pc.invert(own))


def _private_without(child: _Child):
    def change(place: str, table: pa.Table) -> pa.Table:
        if place.startswith("quarantine/"):
            values = table["values"].to_pylist()
            hidden = [each is not None and child.is_in(each) for each in values]
            if not any(hidden):
                return table
            blank = pa.array(
                ["" if gone else each for each, gone in zip(values, hidden, strict=True)], pa.string()
            )
            return table.set_column(table.schema.get_field_index("values"), "values", blank)
        frame = table.select(["student", "student_number", "class_id", "name"]).to_pandas()
        unnumbered = frame["student"].isna() & pd.Series(
            [pair in child.places for pair in zip(frame["class_id"], frame["name"], strict=True)],
            index=frame.index,
        )
        own = (frame["student"] == child.student) | frame["student_number"].isin(child.numbers) | unnumbered
        return table if not own.any() else table.filter(pa.array(~own.to_numpy(dtype=bool)))

    return change


# ---- what else lies in private/ -----------------------------------------------------------------------


def _scrub(study: Study, child: _Child) -> None:
    """Remove files of ``private/`` that name the child: kept cells, correction lists, failed runs; all come again."""
    root = study.root / "private"
    for path in sorted(root.rglob("*")):
        inside = path.relative_to(root).parts
        if (
            not path.is_file()
            or inside[0] in _REWRITTEN
            or path.name in _KEPT
            or path.name == "aliases.parquet"
        ):
            continue
        if inside[0] == "cells" or child.is_in(path.name) or any(map(child.is_in, _texts(path))):
            path.unlink()


def _texts(path: Path) -> Iterator[str]:
    """What a file holds, as far as it can be read."""
    if path.suffix == ".parquet":
        frame = pq.read_table(path).to_pandas()
        yield from (str(value) for name in frame for value in frame[name].dropna().astype("object").unique())
        return
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                yield archive.read(name).decode("utf-8", errors="ignore")
        return
    data = path.read_bytes()
    yield data.decode("utf-8", errors="ignore")
    yield data.decode("gb18030", errors="ignore")
    if path.suffix in (".ipynb", ".json"):
        # Notebooks may hold Chinese as escapes.
        yield json.dumps(json.loads(data), ensure_ascii=False)


# ---- raw files ----------------------------------------------------------------------------------------


def _raw_rows(study: Study, child: _Child) -> tuple[list[tuple[str, str, int, str]], list[str]]:
    """Rows of raw files that hold the child's number, or its name in a file of its school or of the district."""
    found, unread = [], []
    folder = study.root / "data" / "raw"
    for path in sorted(
        each for each in folder.rglob("*") if each.is_file() and not each.name.startswith((".", "~$"))
    ):
        label = path.relative_to(study.root).as_posix()
        own = len(path.relative_to(folder).parts) < 3 or any(
            school in path.parent.name for school in child.schools
        )
        try:
            for sheet in read_cells(path, label):
                for row, cells in zip(sheet.row_numbers, sheet.text, strict=True):
                    how = _how_found(child, cells, own)
                    if how:
                        found.append((label, sheet.name, int(row), how))
        except CobenchError:
            unread.append(label)
    return found, unread


def _how_found(child: _Child, cells: list[str], own: bool) -> str | None:
    joined = "".join("".join(cells).split()).upper()
    if any(number[1:] in joined for number in child.numbers):
        return "number"
    if own and any(_named(child, cell) for cell in cells):
        return "name"
    return None


def _named(child: _Child, cell: str) -> bool:
    keys = {name_key(cell), *split_children(cell), *split_at_blanks(cell)}
    return bool(keys & child.names) or any(len(name) > 2 and name in name_key(cell) for name in child.names)


def _write_raw_rows(study: Study, rows: list[tuple[str, str, int, str]], today: date) -> Path:
    folder = store.private_dir(study, "withdrawn")
    number = 1 + len(list(folder.glob(f"{today.isoformat()}-*.csv")))
    path = folder / f"{today.isoformat()}-{number}.csv"
    with open(path, "w", encoding="utf-8-sig", newline="") as file:
        path.chmod(0o600)
        writer = csv.writer(file)
        writer.writerow(["文件 file", "工作表 sheet", "行 row", "依据 found by"])
        writer.writerows(rows)
    return path
