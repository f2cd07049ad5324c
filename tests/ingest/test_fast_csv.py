"""Claims about quick reading: what Arrow reads is, cell by cell and word for word, what the readers give."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cobench.errors import CobenchError
from cobench.ingest import fast_csv, headers
from cobench.ingest.headers import Wanted
from cobench.ingest.readers import read_cells

RUNS = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
WANTED = Wanted(
    {"student_name": ("姓名", "学生姓名"), "class": ("班级",), "math": ("数学",), "minutes": ("时长",)},
    frozenset({"minutes"}),
)
HEADER = ["姓名", "班级", "数学", "备注"]
CELLS = st.one_of(
    st.sampled_from(
        ["赵一", "张　三", "阿依·古丽", "平均分", "合计：3人", "统计区间", " 备注 ", "四(1)班", "９０", "85", "", " ", "-",
         "姓名", "班级", "数学", "⽬", "a b", "注：", "ＡＢ", "\u200b赵一", "1,5".replace(",", "，")]
    ),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"], exclude_characters='"'), max_size=5),
)  # fmt: skip


def _both(path, wanted=WANTED):
    """What the two ways give: a located sheet or an error each; None where Arrow leaves the file alone."""
    found = []
    for way in (_quick, _careful):
        try:
            found.append(way(path, wanted))
        except CobenchError as error:
            found.append((type(error), error.en, error.zh))
    return found


def _quick(path, wanted):
    table = fast_csv.read_table(path.read_bytes(), path.suffix, path.name)
    return None if table is None else fast_csv.locate(table, wanted, path.name)


def _careful(path, wanted):
    return headers.locate(read_cells(path, path.name)[0], wanted, path.name)


def _assert_alike(quick, careful) -> None:
    if isinstance(careful, tuple) or isinstance(quick, tuple):
        assert quick == careful
        return
    for one, other in (
        (quick.cells, careful.cells),
        (quick.kinds, careful.kinds),
        (quick.non_data, careful.non_data),
    ):
        assert list(one.columns) == list(other.columns)
        assert one.astype("object").to_numpy().tolist() == other.astype("object").to_numpy().tolist()
    assert (quick.headers, quick.how) == (careful.headers, careful.how)


@RUNS
@given(
    rows=st.lists(st.tuples(CELLS, CELLS, CELLS, CELLS), max_size=12),
    above=st.lists(st.tuples(CELLS, CELLS, CELLS, CELLS), max_size=2),
    delimiter=st.sampled_from([",", "\t", ";"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "gb18030"]),
    newline=st.sampled_from(["\n", "\r\n"]),
    closed=st.booleans(),
)
def test_both_ways_of_reading_give_the_same(
    tmp_path_factory, rows, above, delimiter, encoding, newline, closed
):
    lines = [delimiter.join(row) for row in (*above, tuple(HEADER), *rows)]
    text = newline.join(lines) + (newline if closed else "")
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(text.encode(encoding))
    quick, careful = _both(path)
    if quick is not None:
        _assert_alike(quick, careful)


def test_a_plain_file_is_read_the_quick_way_and_alike(tmp_path):
    path = tmp_path / "a.csv"
    rows = [
        "姓名,班级,数学,备注",
        "赵一,四(1)班,85,",
        "姓名,班级,数学,备注",
        ",,,",
        "平均分,,85,",
        "",
        "赵一 ,四（1）班,９０,x",
    ]
    path.write_text("\n".join(rows) + "\n", encoding="gb18030")
    quick, careful = _both(path)
    assert quick is not None
    _assert_alike(quick, careful)
    assert quick.cells["student_name"].tolist() == ["赵一", "赵一"]
    assert quick.non_data["rule"].tolist() == ["header", "repeated_header", "blank", "footer", "blank"]


@pytest.mark.parametrize(
    "text",
    [
        '姓名,班级,数学\n"赵一",四(1)班,85\n',
        "姓名,班级,数学\n赵一,四(1)班\n",
        "姓名,班级,数学\r赵一,四(1)班,85\r",
    ],
)
def test_quotes_ragged_rows_and_lone_returns_are_left_to_the_readers(text):
    assert fast_csv.read_table(text.encode(), ".csv", "a.csv") is None


def test_workbooks_are_left_to_the_readers():
    assert fast_csv.read_table(b"PK\x03\x04", ".csv", "a.csv") is None
    assert fast_csv.read_table("姓名,班级\n赵一,1\n".encode(), ".xlsx", "a.xlsx") is None


def test_columns_that_a_file_lacks_are_blank(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("姓名,班级,数学\n赵一,四(1)班,85\n", encoding="utf-8")
    quick, careful = _both(path)
    _assert_alike(quick, careful)
    assert quick.cells["minutes"].tolist() == [""]
    assert isinstance(quick.cells["minutes"].dtype, pd.CategoricalDtype)
