"""A study whose data are already one table: read strictly as text, typed strictly, derived and filtered in SQL."""

from __future__ import annotations

import re

import duckdb
import numpy as np
import pandas as pd

from cobench.errors import (
    DuplicateStudentError,
    IngestError,
    MissingColumnError,
    StudyFileError,
    UnreadableFileError,
)
from cobench.ingest.batches import Batch, RawFile
from cobench.ingest.headers import place
from cobench.ingest.identities import pseudonyms
from cobench.ingest.quarantine import Tidy, faults, first_faults
from cobench.ingest.readers import Sheet, read_cells
from cobench.ingest.report import FileRecord, Outcome
from cobench.ingest.text import clean_text, map_unique
from cobench.study import Source, Study, Term

NA = ("", "NA", ".")
ROW_NUMBER = "row_number"
_INTEGER = re.compile(r"[+-]?(?:0|[1-9]\d{0,17})")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_LEADING_ZERO = re.compile(r"[+-]?0\d")
_BOOLEAN = {"true": True, "false": False}


def panel_cells(sheet: Sheet, label: str) -> pd.DataFrame:
    """Cells of the one table of a panel source: header in the first row, text below, index of row numbers.

    Raises
    ------
    UnreadableFileError
        When a row is longer than the header, or two columns share a name.
    """
    header = [clean_text(cell) for cell in sheet.text[0]]
    en, zh = place(label, sheet.name)
    extra = [column for column, name in enumerate(header) if not name]
    long = np.flatnonzero((sheet.text[:, extra] != "").any(axis=1)) if extra else []
    if len(long):
        row = sheet.row_numbers[long[0]]
        raise UnreadableFileError(
            en=f"{en}, row {row}: more cells than the header has names; a delimiter inside a text needs quotes",
            zh=f"{zh} 第 {row} 行：单元格多于表头；文字中的分隔符须加引号",
        )
    names = [name for name in header if name]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UnreadableFileError(
            en=f"{en}: the header has {twice[0]!r} twice; rename one",
            zh=f"{zh}：表头中 {twice[0]!r} 重复；请改名",
        )
    keep = [column for column, name in enumerate(header) if name]
    return pd.DataFrame(sheet.text[1:, keep], columns=names, index=sheet.row_numbers[1:], dtype="object")


def infer_types(cells: pd.DataFrame) -> pd.DataFrame:
    """Text cells as columns of numbers, truth values or text; "", NA and . are missing.

    A column is numeric only if every value is a plain number without leading zeros; whole numbers without a
    decimal point stay whole.
    """
    return pd.DataFrame({name: _typed(cells[name]) for name in cells.columns}, index=cells.index)


def tidy_panel(
    cells: pd.DataFrame, source: Source, *, study_id: str, key: bytes, term_id: str, label: str
) -> Tidy:
    """Table ``panel_source``: typed columns, ``derive`` and ``filter`` applied, key columns made a pseudonym.

    Parameters
    ----------
    cells : DataFrame
        From :func:`panel_cells`; its index is the row number in the file.

    Returns
    -------
    Tidy
        ``rid`` is the row number; a key column that alone tells rows apart is left out of the table.

    Raises
    ------
    MissingColumnError, StudyFileError, DuplicateStudentError
    """
    blank = (cells.isin(NA)).all(axis=1)
    typed = infer_types(cells[~blank])
    rows = typed.assign(**{ROW_NUMBER: typed.index.to_numpy()}) if ROW_NUMBER not in typed else typed
    absent = [name for name in source.key if name not in rows]
    if absent:
        raise MissingColumnError(
            en=f"{label}: missing key column {', '.join(absent)}; columns found: {', '.join(cells.columns[:40])}; "
            f"{ROW_NUMBER} stands for the row of the file",
            zh=f"{label}：缺少主键列 {', '.join(absent)}；现有列：{', '.join(cells.columns[:40])}；"
            f"{ROW_NUMBER} 表示文件中的行号",
        )
    identifier = _identifier(rows, source.key)
    empty = rows[list(source.key)].isna().any(axis=1)
    broken = first_faults(rows.index, [(source.key[0], _rule(empty, "blank_required"))])
    _check_unique(identifier[~empty], label, source.key)
    computed = _compute(rows[~empty], source, label)
    alone = [name for name in source.key if rows.loc[~empty, name].is_unique]
    drop = {*alone, ROW_NUMBER} if ROW_NUMBER not in cells else set(alone)
    student = pseudonyms(key, study_id, "student", identifier.reindex(computed.index))
    table = computed.drop(columns=[name for name in drop if name in computed and name not in source.derive])
    left_out = rows.index[~empty].difference(computed.index)
    return Tidy(
        {"panel_source": table.assign(student=student, term=term_id).rename_axis("rid").reset_index()},
        broken,
        faults(
            [(row, source.key[0], "blank") for row in cells.index[blank]]
            + [(row, source.key[0], "filtered") for row in left_out]
        ),
    )


def ingest_panel(study: Study, term: Term, raws: list[RawFile], source: Source, key: bytes) -> Outcome:
    """Read the one file of a panel source.

    Raises
    ------
    CobenchError
        Also when there is no such file, or more than one.
    """
    own = [raw for raw in raws if raw.source is source]
    if len(own) != 1:
        raise IngestError(
            en=f"{source.pattern(term.id)}: {len(own)} files where one is wanted",
            zh=f"{source.pattern(term.id)}：需要一个文件，现有 {len(own)} 个",
        )
    raw = own[0]
    sheets = [sheet for sheet in read_cells(raw.path, raw.label, source.encoding) if not sheet.hidden]
    if len(sheets) != 1 or sheets[0].n_rows < 2:
        raise UnreadableFileError(
            en=f"{raw.label}: one sheet with a header and rows is wanted",
            zh=f"{raw.label}：需要一张含表头和数据的工作表",
        )
    sheet = sheets[0]
    cells = panel_cells(sheet, raw.label)
    tidy = tidy_panel(cells, source, study_id=study.id, key=key, term_id=term.id, label=raw.label)
    placed = cells.assign(file=raw.label, sheet=sheet.name, row=cells.index)
    header = pd.DataFrame({"sheet": [sheet.name], "row": [sheet.first_row], "rule": ["header"]})
    record = FileRecord(raw.label, "panel", sheet.how, raw.sha256, sheet.n_rows, header)
    nothing = header.iloc[:0]
    others = [
        FileRecord(each.label, "unrecognised", "fits no source of study.toml", each.sha256, 0, nothing)
        for each in raws
        if each is not raw
    ]
    table = tidy.tables["panel_source"].drop(columns="rid")
    batch = Batch(source, placed, pd.DataFrame(), {})
    return Outcome({"panel_source": table}, (record, *others), ((batch, tidy),))


def _typed(texts: pd.Series) -> pd.Series:
    cleaned = map_unique(texts, clean_text)
    known = cleaned[~cleaned.isin(NA)]
    values = known.unique()
    if len(values) == 0:
        return pd.Series(np.nan, index=texts.index, dtype="float64")
    if all(_INTEGER.fullmatch(value) for value in values):
        return (
            known.astype("int64").reindex(texts.index).astype("Int64")
            if len(known) < len(texts)
            else known.astype("int64")
        )
    if all(_NUMBER.fullmatch(value) and not _LEADING_ZERO.match(value) for value in values):
        return known.astype("float64").reindex(texts.index)
    if all(value.lower() in _BOOLEAN for value in values):
        return known.map(lambda value: _BOOLEAN[value.lower()]).reindex(texts.index).astype("boolean")
    return known.reindex(texts.index).astype("str")


def _identifier(rows: pd.DataFrame, key: tuple[str, ...]) -> pd.Series:
    joined = rows[key[0]].astype("str")
    for name in key[1:]:
        joined = joined + "|" + rows[name].astype("str")
    return joined


def _rule(where: pd.Series, rule: str) -> pd.Series:
    return pd.Series(None, index=where.index, dtype="object").mask(where, rule)


def _check_unique(identifier: pd.Series, label: str, key: tuple[str, ...]) -> None:
    twice = identifier[identifier.duplicated(keep=False)]
    if len(twice):
        rows = ", ".join(map(str, twice.index[:10])) + (", …" if len(twice) > 10 else "")
        raise DuplicateStudentError(
            en=f"{label}: the key ({', '.join(key)}) stands more than once, rows {rows}; correct it or widen the key",
            zh=f"{label}：主键（{', '.join(key)}）重复，第 {rows} 行；请改正，或增加主键列",
        )


def _compute(rows: pd.DataFrame, source: Source, label: str) -> pd.DataFrame:
    """Derived columns beside the read ones, then the filter, which may use both."""
    derived = {name.lower() for name in source.derive}
    kept = [name for name in rows.columns if name.lower() not in derived]
    base = ", ".join(_quoted(name) for name in kept)
    added = "".join(f", ({expression}) as {_quoted(name)}" for name, expression in source.derive.items())
    where = f" where coalesce(({source.filter})::boolean, false)" if source.filter else ""
    # A filter may speak of columns that a derived one has replaced, so it sees every name once: derived first.
    hidden = "".join(
        f", {_quoted(name)} as {_quoted('raw ' + name)}" for name in rows.columns if name not in kept
    )
    query = (
        f"select * from (select {base}{added}{hidden}, cobench_row from rows) as computed{where} "
        "order by cobench_row"
    )
    with duckdb.connect(":memory:", config={"enable_external_access": "false"}) as connection:
        connection.register("rows", rows.assign(cobench_row=rows.index.to_numpy()))
        try:
            found = connection.sql(query).df()
        except duckdb.Error as error:
            raise StudyFileError(
                en=f"sources of {label}: derive or filter can't be evaluated: {_first_line(error)}",
                zh=f"{label} 的来源：derive 或 filter 无法计算：{_first_line(error)}",
            ) from None
    return found.set_index("cobench_row").rename_axis(None)[[*kept, *source.derive]]


def _first_line(error: duckdb.Error) -> str:
    """What DuckDB says, without the values of cells that errors of evaluation quote."""
    line = str(error).splitlines()[0]
    if isinstance(error, duckdb.BinderException | duckdb.ParserException | duckdb.CatalogException):
        return line
    return re.sub(r"'[^']*'|\"[^\"]*\"", "…", line)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
