from __future__ import annotations

import datetime as dt
import struct

import numpy as np
import pandas as pd
import pytest
from questionnaire import EXPECTED, answers, codebook, codebook_text, read, same

from cobench.errors import UnreadableFileError
from cobench.ingest import labelled
from cobench.ingest.readers import MISSING, read_cells

pyreadstat = pytest.importorskip("pyreadstat", reason="pyreadstat is not installed (extra sources)")

ITEMS = [
    ("m1", "老师愿意听我说", "choice", "agree"),
    ("m2", "reach", "choice", "agree"),
    ("way", "联系方式", "multiple", "way"),
    ("need", "最需要的帮助", "ranking", "help"),
    ("best", "best", "choice", "way"),
]
IDENTIFY = 'identify = {school = "school", class = "class_", name = "child", submitted = "sent"}\n'
AGREE = {1: "不符合", 2: "一般，说不清", 3: "符合", 98: "拒答", 99: "不知道"}
WAY = {1: "电话", 2: "微信", 3: "其他"}
NAN = np.nan
FRAME = pd.DataFrame(
    {
        "sent": [dt.datetime(2026, 1, 5, 12)] * 4,
        "school": "一小",
        "class_": "四(1)班",
        "child": "赵一",
        "listens": [3, NAN, 1, 99.0],
        "reach": [2, 1, NAN, 3.0],
        "way_1": [1, NAN, 0, 1.0],
        "way_2": [0, NAN, 1, 1.0],
        "way_3": [1, NAN, 0, 0.0],
        "need_1": [2, NAN, NAN, 1.0],
        "need_2": [1, NAN, NAN, 2.0],
        "need_3": [3, NAN, 1, 3.0],
        "best": [3, NAN, 1, 2.0],
    }
)
LABELS = {
    "listens": "老师愿意听我说",
    **{f"way_{n}": f"联系方式:{text}" for n, text in WAY.items()},
    **{f"need_{n}": f"最需要的帮助:{text}" for n, text in {1: "作业辅导", 2: "心理支持", 3: "家访"}.items()},
}
VALUES = {"listens": AGREE, "reach": AGREE, "best": WAY}


def write_sav(path, frame: pd.DataFrame = FRAME, **more):
    given = {
        "column_labels": LABELS,
        "variable_value_labels": VALUES,
        "missing_ranges": {"listens": [98, 99]},
    }
    pyreadstat.write_sav(frame, path, **{**given, **more})
    return path


def write_dta(path, frame: pd.DataFrame = FRAME):
    listens = frame["listens"].astype("object").where(frame["listens"] != 99, "b")
    values = {**VALUES, "listens": {1: "不符合", 2: "一般，说不清", 3: "符合", "b": "不知道"}}
    pyreadstat.write_dta(
        frame.assign(listens=listens),
        path,
        column_labels=LABELS,
        variable_value_labels=values,
        missing_user_values={"listens": ["b"]},
    )
    return path


@pytest.mark.parametrize(
    ("write", "name", "form"), [(write_sav, "a.sav", "SPSS"), (write_dta, "a.dta", "Stata")]
)
def test_labels_and_declared_missing_values(tmp_path, write, name, form):
    path = write(tmp_path / name)
    found, batch = read(path, codebook(tmp_path, codebook_text(ITEMS, IDENTIFY)))
    same(answers(batch), EXPECTED)
    assert found.how.startswith(f"{form} by text, {form}, UTF-8")
    assert batch.cells["submitted"].unique().tolist() == ["2026-01-05 12:00:00"]
    assert batch.cells["row"].tolist() == [1, 2, 3, 4]


def test_a_declared_missing_value_stays_typed_even_where_the_code_book_does_not_name_it(tmp_path):
    frame = FRAME.assign(listens=[98, 3, 3, 97.0])
    path = write_sav(tmp_path / "a.sav", frame, missing_ranges={"listens": [{"lo": 97, "hi": 98}]})
    book = codebook(tmp_path, codebook_text(ITEMS, IDENTIFY).replace(', "拒答" = "refused"', ""))
    _, batch = read(path, book)
    assert answers(batch)["m1"].tolist() == ["user_missing", 3, 3, "user_missing"]
    assert batch.recodes.loc[batch.recodes["missing_reason"] == "user_missing", "raw"].tolist() == [
        "97",
        "拒答",
    ]


def test_an_extended_missing_value_of_stata_without_label_keeps_its_letter(tmp_path):
    frame = pd.DataFrame({"q": [1.0, "c", np.nan]}, dtype="object")
    pyreadstat.write_dta(frame, tmp_path / "a.dta", missing_user_values={"q": ["c"]})
    sheet = read_cells(tmp_path / "a.dta")[0]
    assert sheet.text[:, 0].tolist() == ["q", "1", ".c", ""] and sheet.kind[2, 0] == MISSING


def test_an_unlabelled_code_is_an_unlisted_option(tmp_path):
    path = write_sav(tmp_path / "a.sav", FRAME.assign(best=[3, NAN, 7, 2.0]))
    _, batch = read(path, codebook(tmp_path, codebook_text(ITEMS, IDENTIFY)))
    with pytest.raises(AssertionError, match="column best, row 3"):
        answers(batch)


def _gbk(path, named: bytes | None, page: int):
    """A .sav whose bytes are GBK, under the encoding ``named`` (or none at all)."""
    words = {"AABB": "赵一", "LLLLMMMM": "老师家访", "XXXXXX": "不符合", "YYYY": "符合"}
    frame = pd.DataFrame({"q": [1.0, 2.0], "child": ["AABB", "AABB"]})
    labels = {"q": {1: "XXXXXX", 2: "YYYY"}}
    pyreadstat.write_sav(frame, path, column_labels={"q": "LLLLMMMM"}, variable_value_labels=labels)
    data = path.read_bytes()
    for ascii_word, word in words.items():
        data = data.replace(ascii_word.encode(), word.encode("gbk"))
    record = struct.pack("<iiii", 7, 20, 1, 5)
    assert data.count(record + b"UTF-8") == 1
    data = data.replace(record, struct.pack("<iiii", 7, 99, 1, 5)) if named is None else data
    data = data.replace(b"UTF-8", named or b"UTF-8").replace(
        struct.pack("<i", 65001), struct.pack("<i", page)
    )
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("named", "page", "shown"),
    [
        (b"cp936", 936, "GBK"),
        (b"UTF-8", 65001, "GB18030"),
        (b"cp125", 1252, "GB18030"),
        (None, 1252, "GB18030"),
    ],
)
def test_chinese_text_is_found_whatever_encoding_the_file_names(tmp_path, named, page, shown):
    sheet = read_cells(_gbk(tmp_path / "a.sav", named, page))[0]
    assert sheet.text.tolist() == [["q", "child"], ["不符合", "赵一"], ["符合", "赵一"]]
    assert sheet.variables[0].label == "老师家访" and sheet.how == f"SPSS, {shown}"


def test_a_western_file_stays_western(tmp_path):
    frame = pd.DataFrame({"q": ["caf??"]})
    pyreadstat.write_sav(frame, tmp_path / "a.sav")
    data = (tmp_path / "a.sav").read_bytes().replace(b"caf??", "café!".encode("cp1252"))
    record = struct.pack("<iiii", 7, 20, 1, 5)
    data = data.replace(record, struct.pack("<iiii", 7, 99, 1, 5))
    (tmp_path / "a.sav").write_bytes(data.replace(struct.pack("<i", 65001), struct.pack("<i", 1252)))
    assert read_cells(tmp_path / "a.sav")[0].text[1, 0] == "café!"


def test_an_encoding_may_be_declared(tmp_path):
    path = _gbk(tmp_path / "a.sav", b"cp125", 1252)
    assert read_cells(path, encoding="gbk")[0].text[1, 1] == "赵一"


@pytest.mark.parametrize("name", ["a.sav", "a.dta"])
def test_a_damaged_file_is_refused_even_where_the_library_crashes(tmp_path, name):
    (write_sav if name == "a.sav" else write_dta)(tmp_path / name)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: len(data) // 2])
    with pytest.raises(UnreadableFileError, match="cut off, damaged or no"):
        read_cells(tmp_path / name)


def test_a_crash_of_the_library_is_a_damaged_file(tmp_path, monkeypatch):
    dying = tmp_path / "dying.py"
    dying.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGTERM)\n")
    monkeypatch.setattr(labelled, "_WORKER", dying)
    with pytest.raises(UnreadableFileError, match="cut off, damaged"):
        read_cells(write_sav(tmp_path / "a.sav"))


def test_without_pyreadstat_the_message_says_what_to_install(tmp_path, monkeypatch):
    path = write_sav(tmp_path / "a.sav")
    monkeypatch.setattr(labelled.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UnreadableFileError, match=r"pip install cobench\[sources\]"):
        read_cells(path)
