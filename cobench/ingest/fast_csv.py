"""Csv files of one shape throughout, read by Arrow; whatever is odd about a file is left to the readers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from cobench.ingest import headers
from cobench.ingest.columns import cleaned, coded, constant
from cobench.ingest.encoding import decode
from cobench.ingest.headers import Located, Wanted
from cobench.ingest.packages import MAX_CELLS, too_large
from cobench.ingest.readers import CSV_SUFFIXES, EMPTY, OLE, TEXT, ZIP, Sheet, csv_form, delimiter_of
from cobench.ingest.text import header_key

# What every footer starts with; a text that doesn't match is none (headers.is_footer decides the rest).
_MAYBE_FOOTER = (
    r"^[\s]*(?:平均|合计|总计|小计|总人数|人数|及格率|优秀率|最高分|最低分|制表|填表|填报|审核|备注|说明|统计|以上|负责人"
    r"|签字|打印|导出|数据来源|注|共|日期)|[^\x{4E00}-\x{9FA5} -~]| "
)


@dataclass(frozen=True)
class CsvTable:
    """A csv file as columns.

    Attributes
    ----------
    columns : tuple of pyarrow.DictionaryArray
        Raw cells, "" where empty.
    head : Sheet
        Its first rows.
    """

    columns: tuple[pa.DictionaryArray, ...]
    head: Sheet
    n_rows: int


def read_table(data: bytes, suffix: str, label: str) -> CsvTable | None:
    """The cells of a csv file, None where quotes, lone carriage returns or rows of several widths need a closer look.

    Raises
    ------
    UnreadableFileError
        As :func:`cobench.ingest.readers.read_cells`.
    """
    if suffix.lower() not in CSV_SUFFIXES or data.startswith((ZIP, OLE)) or b'"' in data:
        return None
    text, encoding = decode(data, label)
    delimiter = delimiter_of(text, label)
    if text.count("\r") != text.count("\r\n"):
        return None
    n_rows = text.count("\n") + (not text.endswith("\n"))
    width = text[: text.find("\n")].count(delimiter) + 1 if "\n" in text else 0
    if n_rows * width > MAX_CELLS:
        raise too_large(label)
    table = _parsed(text, delimiter, width) if width > 1 else None
    if table is None or table.num_rows != n_rows:
        return None
    arrays = tuple(_one(column) for column in table.columns)
    head = np.array([each.slice(0, headers.HEADER_DEPTH).to_pylist() for each in arrays], dtype=object).T
    kind = np.where(head == "", EMPTY, TEXT).astype(np.uint8)
    return CsvTable(arrays, Sheet("", head, kind, how=csv_form(encoding, delimiter)), n_rows)


def locate(table: CsvTable, wanted: Wanted, label: str) -> Located:
    """Find the header and split the rows, as :func:`cobench.ingest.headers.locate` does.

    Raises
    ------
    MissingColumnError
    """
    columns, first, last = headers.find_columns(table.head, wanted, label)
    names, n_above = tuple(wanted.aliases), last + 1
    body = [each.slice(n_above) for each in table.columns]
    rule = _rules(table, body, columns, last)
    data = np.flatnonzero(rule == "") if (rule != "").any() else None
    rows = np.arange(n_above, table.n_rows) + table.head.first_row
    index = pd.RangeIndex(len(rows) if data is None else len(data))
    cells, kinds = {}, {}
    for name in names:
        if name in columns:
            cells[name], kinds[name] = _cleaned(body[columns[name]], data, index)
        else:
            cells[name] = coded(np.zeros(len(index), np.int8), pd.Index([""], dtype=object), index)
            kinds[name] = np.full(len(index), EMPTY, dtype=np.uint8)
    others = np.flatnonzero(rule != "")
    above = ["header" if row >= first else headers.rule_above(table.head, row) for row in range(n_above)]
    non_data = pd.DataFrame(
        {
            "row": [*(np.arange(n_above) + table.head.first_row), *rows[others]],
            "rule": [*above, *rule[others]],
        }
    ).assign(sheet="")
    found = {name: headers.shown_header(table.head, place, first, last) for name, place in columns.items()}
    how = headers.how_located(table.head, first, last, [name for name in names if name not in columns])
    place = {"sheet": constant("", index), "row": rows if data is None else rows[data]}
    placed = pd.DataFrame({**cells, **place}, index=index)
    return Located(placed, pd.DataFrame(kinds, index=index), non_data[["sheet", "row", "rule"]], found, how)


def _parsed(text: str, delimiter: str, width: int) -> pa.Table | None:
    names = [f"c{number}" for number in range(width)]
    try:
        return pyarrow.csv.read_csv(
            pa.BufferReader(text.encode("utf-8")),
            pyarrow.csv.ReadOptions(column_names=names, use_threads=False, block_size=1 << 23),
            pyarrow.csv.ParseOptions(delimiter=delimiter, quote_char=False, ignore_empty_lines=False),
            pyarrow.csv.ConvertOptions(
                column_types={name: pa.dictionary(pa.int32(), pa.string()) for name in names},
                strings_can_be_null=False,
                check_utf8=False,
            ),
        )
    except pa.ArrowInvalid:
        return None


def _one(column: pa.ChunkedArray) -> pa.DictionaryArray:
    joined = column.unify_dictionaries().combine_chunks()
    return joined.chunk(0) if isinstance(joined, pa.ChunkedArray) else joined


def _codes(array: pa.DictionaryArray) -> np.ndarray:
    return array.indices.to_numpy(zero_copy_only=False)


def _cleaned(array: pa.DictionaryArray, data: np.ndarray | None, index: pd.Index):
    """A canonical column as codes of cleaned texts, and the kind of each cell as the file held it."""
    codes = _codes(array) if data is None else _codes(array)[data]
    merged, distinct = pd.factorize(cleaned(array.dictionary))
    blank = np.flatnonzero(pc.equal(array.dictionary, "").to_numpy(zero_copy_only=False))
    kind = np.full(len(codes), TEXT, dtype=np.uint8)
    if len(blank):
        kind[codes == blank[0]] = EMPTY
    return coded(merged[codes], pd.Index(distinct, dtype=object), index), kind


def _rules(table: CsvTable, body: list[pa.DictionaryArray], columns: dict[str, int], last: int) -> np.ndarray:
    """Rule of each row below the header that is no data, "" for data rows."""
    n = table.n_rows - last - 1
    rule = np.full(n, "", dtype=object)
    if n == 0:
        return rule
    undecided = np.ones(n, dtype=bool)
    for each in body:
        blank = pc.equal(each.dictionary, "").to_numpy(zero_copy_only=False)
        filled = undecided & ~blank[_codes(each)] if blank.any() else undecided
        rule[filled & _footers(each)] = "footer"
        undecided = undecided & ~filled
        if not undecided.any():
            break
    if "student_name" in columns:
        rule[_footers(body[columns["student_name"]])] = "footer"
    places = list(columns.values())
    header = [header_key(table.head.text[last, place]) for place in places]
    raw = table.head.text[last, places[0]]
    same = pc.equal(body[places[0]].dictionary, raw).to_numpy(zero_copy_only=False)
    for row in np.flatnonzero(same[_codes(body[places[0]])]) if same.any() and any(header) else ():
        if [header_key(body[place][int(row)].as_py()) for place in places] == header:
            rule[row] = "repeated_header"
    rule[undecided] = "blank"
    return rule


def _footers(array: pa.DictionaryArray) -> np.ndarray:
    """Rows whose cell begins a footer."""
    maybe = pc.match_substring_regex(array.dictionary, _MAYBE_FOOTER).to_numpy(zero_copy_only=False)
    found = np.zeros(len(maybe), dtype=bool)
    for place in np.flatnonzero(maybe):
        found[place] = headers.is_footer(array.dictionary[int(place)].as_py())
    codes = _codes(array)
    return found[codes] if found.any() else np.zeros(len(codes), dtype=bool)
