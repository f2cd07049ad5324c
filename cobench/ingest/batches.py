"""Files of a delivery, matched to sources, read and put together: one frame of cells for each source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from cobench.errors import CobenchError, IngestError, StudyFileError, UnknownLevelError
from cobench.files import file_hash
from cobench.ingest import columns, fast_csv, headers, questionnaires, resent
from cobench.ingest.codebook import Codebook
from cobench.ingest.free_text import masked_labels
from cobench.ingest.headers import Located, Wanted
from cobench.ingest.readers import read_bytes, read_cells
from cobench.ingest.text import clean_text
from cobench.study import Source, Study, Term

ROW = ["file", "sheet", "row", "school_of_file"]
# Canonical columns that a source must name, and those whose labels it must decode if it names them.
_NEEDED = {
    "schools": ("school", "name", "stage"),
    "students": ("student_name", "student_number", "class"),
    "memberships": ("student_name", "class", "category", "valid_from"),
    "contacts": ("date", "student_name", "class", "mode"),
    "events": ("date",),
    "attendance": ("student_name", "class", "event", "present"),
    "outcomes": ("student_name", "class"),
    "records": (),
    "checkins": ("student_name", "class", "date"),
    "teaching": ("teacher", "role"),
    "communities": ("unit", "kind", "school", "role"),
    "postings": ("teacher", "kind"),
    "tasks": ("unit", "kind", "planned"),
}
_LABELLED = (
    "stage",
    "sex",
    "boarding",
    "status",
    "category",
    "mode",
    "trigger",
    "teacher_role",
    "kind",
    "present",
    "role",
    "holds",
    "passed",
    "has_form",
    "has_photo",
    "has_minutes",
    "has_feedback",
)
# An unlisted label in these leaves the cell empty, or puts the row aside: one clerk's new word doesn't stop a district.
_SOFT_COLUMNS = ("subject", "has_form", "has_photo", "has_minutes", "has_feedback")
RECORD_TABLES = ("records", "checkins", "teaching", "communities", "postings", "tasks")
_PLACES = ("school", "unit", "from_school", "to_school")
_SYSTEM_FILES = ("thumbs.db", "desktop.ini")


@dataclass(frozen=True)
class RawFile:
    """A file of a delivery; ``label`` is its path relative to the study without numbers of persons, ``source`` None if none matches."""

    path: Path
    label: str
    source: Source | None
    sha256: str


@dataclass(frozen=True)
class FileCells:
    """One file read: its sheets with canonical columns, and all rows that are no data."""

    raw: RawFile
    located: tuple[Located, ...]
    non_data: pd.DataFrame
    rows_in: int
    how: str


@dataclass(frozen=True)
class Batch:
    """All files of one source.

    Attributes
    ----------
    cells : DataFrame
        Indexed by ``rid`` (a number for each data row of the ingest): :data:`ROW` and canonical columns as
        cleaned text, "" where blank, all as codes (:mod:`cobench.ingest.columns`). ``school_of_file`` is missing
        where the file doesn't tell.
    kinds : DataFrame
        Kind of each cell (:mod:`cobench.ingest.readers`).
    headers : dict of (file, sheet, column) to header text
    codebook : Codebook, of questionnaires
    recodes : DataFrame
        ``file`` and what each answer of a questionnaire became (:data:`cobench.ingest.questionnaires.RECODES`).
    """

    source: Source
    cells: pd.DataFrame
    kinds: pd.DataFrame
    headers: dict[tuple[str, str, str], str]
    codebook: Codebook | None = None
    recodes: pd.DataFrame = field(default_factory=pd.DataFrame)

    def header(self, file: str, sheet: str, column: str) -> str:
        """What the file calls a canonical column."""
        return self.headers.get((file, sheet, column), column)


def find_files(study: Study, term: Term, hash_of: Callable[[Path], str] = file_hash) -> list[RawFile]:
    """Every file of the delivery ``data/raw/<term>``, in order of its path.

    Raises
    ------
    StudyFileError
        When a file fits two sources.
    """
    sources: dict[Path, Source] = {}
    for source in study.sources:
        for path in study.root.glob(source.pattern(term.id)):
            if path in sources and sources[path] is not source:
                shown = path.relative_to(study.root).as_posix()
                raise StudyFileError(
                    en=f"{shown} fits two sources ({_named(sources[path])} and {_named(source)}); narrow one of them",
                    zh=f"{shown} 同时符合两个来源（{_named(sources[path])} 与 {_named(source)}）；请收窄其一",
                )
            sources[path] = source
    folder = study.root / "data" / "raw" / term.id
    paths = sorted(
        {path for path in (*folder.rglob("*"), *sources) if path.is_file() and not _is_hidden(path)}
    )
    labels = masked_labels(path.relative_to(study.root).as_posix() for path in paths)
    raws = [
        RawFile(path, label, sources.get(path), hash_of(path))
        for path, label in zip(paths, labels, strict=True)
    ]
    return resent.adopted(study, term, raws)


def check_sources(study: Study) -> None:
    """Refuse a source that doesn't say what its table needs.

    Raises
    ------
    StudyFileError
        Naming the key path.
    """
    for number, source in enumerate(study.sources):
        path = f"sources[{number}] ({_named(source)})"
        named = {*source.columns, *(("kind",) if source.event_kind else ())}
        for column in (*_NEEDED.get(source.table, ()), *(("kind",) if source.table == "events" else ())):
            if column not in named:
                raise _undeclared(f"{path}.columns.{column}", source.table)
        for column in source.columns:
            if column in _LABELLED and column not in source.levels:
                raise _undeclared(f"{path}.levels.{column}", source.table)
        if source.table == "outcomes" and not source.measures:
            raise _undeclared(f"{path}.measures", source.table)
        if source.table == "records" and not (source.kind or source.measures or "kind" in source.columns):
            raise _undeclared(f"{path}.kind", source.table)
        if source.table == "attendance" and not source.event_kind:
            raise _undeclared(f"{path}.event_kind", source.table)
        by_row = any(name in source.columns for name in _PLACES)
        if (
            source.table in _NEEDED
            and source.table != "schools"
            and not by_row
            and source.school in (None, "column")
        ):
            raise _undeclared(f"{path}.school", source.table)


def _named(source: Source) -> str:
    return source.files or "sql"


def _undeclared(path: str, table: str) -> StudyFileError:
    return StudyFileError(
        en=f"{path} is missing: the table {table} needs it", zh=f"缺少 {path}：表 {table} 需要它"
    )


def read_file(raw: RawFile, codebook: Codebook | None) -> FileCells:
    """Read one matched file into canonical columns.

    Raises
    ------
    CobenchError
        One of the project's errors, naming file, sheet, row and column.
    """
    source = raw.source
    wanted = wanted_columns(source)
    asked = source.table == "responses"
    if not asked and source.encoding is None:
        data = read_bytes(raw.path, raw.label)
        table = fast_csv.read_table(data, raw.path.suffix, raw.label)
        if table is not None:
            found = fast_csv.locate(table, wanted, raw.label)
            return FileCells(raw, (found,), found.non_data, table.n_rows, found.how)
    located, others, how = [], [], []
    rows_in = 0
    for sheet in read_cells(raw.path, raw.label, source.encoding):
        rows_in += sheet.n_rows
        skipped = "hidden_sheet" if sheet.hidden else None
        if skipped is None and asked:
            skipped = questionnaires.is_other_sheet(sheet)
        elif skipped is None and headers.is_notes(sheet, wanted):
            skipped = "notes_sheet"
        if skipped:
            others.append(pd.DataFrame({"row": sheet.row_numbers, "rule": skipped}).assign(sheet=sheet.name))
            continue
        if asked:
            found = questionnaires.locate(sheet, codebook, raw.label, source)
        else:
            found = headers.locate(sheet, wanted, raw.label)
        located.append(found)
        others.append(found.non_data)
        how.append(found.how)
    if not located:
        raise IngestError(
            en=f"{raw.label}: no sheet holds a table; check that the right file was sent",
            zh=f"{raw.label}：没有任何工作表含有表格；请检查是否报错了文件",
        )
    # Sheet names stay out: a sheet may be named after a child.
    kinds = {each: how.count(each) for each in how}
    shown = "; ".join(each if n == 1 else f"{n} sheets: {each}" for each, n in kinds.items())
    return FileCells(raw, tuple(located), pd.concat(others, ignore_index=True), rows_in, shown)


def wanted_columns(source: Source) -> Wanted:
    """Headers that files of ``source`` must hold, or may where the source calls them optional."""
    return Wanted({**source.columns, **source.measures}, frozenset(source.optional))


def put_together(
    source: Source, files: list[FileCells], schools: dict[str, str], first_rid: int, codebook: Codebook | None
) -> Batch:
    """One batch of all files of a source; ``schools`` gives the school of each file by its label."""
    names, frames, kinds = {}, [], []
    for each in files:
        for located in each.located:
            sheets = located.cells["sheet"].unique() if len(located.cells) else []
            for sheet in sheets:
                names.update({(each.raw.label, sheet, name): text for name, text in located.headers.items()})
            index, file = located.cells.index, each.raw.label
            sheets = columns.recode(located.cells["sheet"], str)
            placed = {
                "file": columns.constant(file, index),
                "sheet": sheets,
                "school_of_file": columns.recode(
                    sheets, lambda sheet, file=file: schools.get(f"{file}/{sheet}", schools.get(file))
                ),
            }
            frames.append(located.cells.assign(**placed))
            kinds.append(located.kinds)
    joined = columns.stack_frames(frames) if frames else pd.DataFrame(columns=ROW)
    index = pd.RangeIndex(first_rid, first_rid + len(joined), name="rid")
    texts = {name: _texts(joined[name]) for name in joined.columns if name not in ROW}
    cells = pd.DataFrame({**{name: joined[name] for name in ROW}, **texts}).set_index(index)
    joined_kinds = pd.concat(kinds, ignore_index=True) if kinds else pd.DataFrame()
    counted = [located.recodes.assign(file=each.raw.label) for each in files for located in each.located]
    recodes = pd.concat(counted, ignore_index=True) if codebook is not None and counted else pd.DataFrame()
    return Batch(source, cells, joined_kinds.fillna(0).set_index(index), names, codebook, recodes)


def _texts(texts: pd.Series) -> pd.Series:
    """A column of codes in which nothing is missing: a cell that a file doesn't have is blank."""
    codes, distinct = columns.factor(texts)
    if len(codes) and codes.min() >= 0:
        return (
            texts
            if isinstance(texts.dtype, pd.CategoricalDtype)
            else columns.column(codes, distinct, texts.index)
        )
    return columns.column(np.where(codes < 0, len(distinct), codes), [*distinct, ""], texts.index)


def names_of_school(found: FileCells) -> list[tuple[str, str]]:
    """Texts that tell a file's school, each with its place: the file's label, or ``label/sheet``."""
    raw, how = found.raw, found.raw.source.school
    if how == "folder":
        return [(raw.label, raw.path.parent.name)]
    if how == "file":
        return [(raw.label, raw.path.stem)]
    if how == "sheet":
        sheets = [name for each in found.located for name in each.cells["sheet"].unique()]
        return [(f"{raw.label}/{name}", name) for name in dict.fromkeys(sheets)]
    return []


def decode_levels(batch: Batch, column: str) -> pd.Series:
    """Values of a labelled column, missing where blank (labels have been checked by :func:`unknown_levels`)."""
    levels = {clean_text(label): value for label, value in batch.source.levels[column].items()}
    return columns.recode(batch.cells[column], levels.get)


def unknown_levels(batch: Batch) -> list[CobenchError]:
    """An error for each file and column with a label that ``levels`` doesn't list; labels are not repeated."""
    errors = []
    source = batch.source
    if source.table in RECORD_TABLES:
        return errors
    cells = batch.cells
    if source.table == "contacts" and "student_name" in cells:
        cells = cells[~is_nil(batch)]
    for column, levels in source.levels.items():
        if column not in cells or column in _SOFT_COLUMNS:
            continue
        known = {clean_text(label) for label in levels} | {""}
        unknown = ~columns.is_value(cells[column], known.__contains__)
        wrong = cells.loc[unknown, ROW].astype("object")
        for (file, sheet), rows in wrong.groupby(["file", "sheet"], sort=True):
            errors.append(unknown_label(file, sheet, batch.header(file, sheet, column), rows["row"], levels))
    return errors


def unknown_label(file: str, sheet: str, column: str, rows: pd.Series, allowed) -> UnknownLevelError:
    """An unlisted label, named by its place; the label itself may be a name in the wrong column."""
    en, zh = headers.place(file, sheet)
    listed = ", ".join(map(str, rows.head(10))) + (", …" if len(rows) > 10 else "")
    labels = " | ".join(allowed)
    return UnknownLevelError(
        en=f"{en}, column {column}, row {listed}: a label that isn't listed; allowed: {labels}; "
        "mend the cell, or add the label to study.toml or the code book",
        zh=f"{zh} 列「{column}」第 {listed} 行：出现未列出的选项；可用：{labels}；请修正单元格，或将该选项加入 study.toml 或编码表",
    )


def is_nil(batch: Batch) -> pd.Series:
    """Rows by which a class reports that it had no contact."""
    nil = {clean_text(value) for value in batch.source.nil_values}
    found = columns.is_one_of(batch.cells["student_name"], nil)
    return pd.Series(found, index=batch.cells.index)


def school_in(name: str, codes: dict[str, str]) -> str | None:
    """School that a folder or file name tells: all of it, the part before "_", or the longest name inside it."""
    name = clean_text(name)
    for part in (name, name.partition("_")[0]):
        if part in codes:
            return codes[part]
    inside = sorted((key for key in codes if key in name), key=len, reverse=True)
    longest = {codes[key] for key in inside if len(key) == len(inside[0])} if inside else set()
    return longest.pop() if len(longest) == 1 else None


def _is_hidden(path: Path) -> bool:
    return path.name.startswith((".", "~$")) or path.name.lower() in _SYSTEM_FILES
