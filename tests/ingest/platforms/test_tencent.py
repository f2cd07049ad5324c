from __future__ import annotations

import io
import zipfile

import pytest
from questionnaire import EXPECTED, answers, codebook, codebook_text, read, same
from small_study import write_xlsx

from cobench.errors import UnreadableFileError

ITEMS = [
    ("m1", "4.家校沟通:老师愿意听我说", "choice", "agree"),
    ("m2", "4.家校沟通:我能联系到老师", "choice", "agree"),
    ("way", "5.用过哪些联系方式", "multiple", "way"),
    ("need", "6.最需要的帮助", "ranking", "help"),
    ("best", "7.最喜欢的方式", "choice", "way"),
    ("open", "8.您还有什么话想说", "text", None),
]
WHO = {"Q1": "1.学校", "Q2": "2.孩子班级", "Q3": "3.孩子姓名"}
QUESTIONS = {
    "Q4_1": "4.家校沟通:老师愿意听我说", "Q4_2": "4.家校沟通:我能联系到老师",
    "Q5_1": "5.用过哪些联系方式:电话", "Q5_2": "5.用过哪些联系方式:微信", "Q5_3": "5.用过哪些联系方式:其他",
    "Q6_1": "6.最需要的帮助:作业辅导", "Q6_2": "6.最需要的帮助:心理支持", "Q6_3": "6.最需要的帮助:家访",
    "Q7": "7.最喜欢的方式", "Q8": "8.您还有什么话想说",
}  # fmt: skip
LEAD = ["编号", "开始答题时间", "结束答题时间", "答题时长", "地理位置省", "地理位置市", "用户标识", "昵称"]
BEFORE = [1, "2026-01-05 12:00:00", "2026-01-05 12:03:00", "180", "示例省", "示例市", "u-77", "花妈"]
CODES = [
    [3, 2, 1, 0, 1, 2, 1, 3, 3, "谢谢"],
    [-2, 1, -2, -2, -2, -2, -2, -2, -2, ""],
    [1, -2, 0, 1, 0, "", "", 1, 1, ""],
    [99, 3, 1, 1, 0, 1, 2, 3, 2, ""],
]
SYNTAX = """* Made by the platform.
VARIABLE LABELS
{labels}.
VALUE LABELS Q4_1 Q4_2
  1 '不符合'
  2 '一般，说不清'
  3 "符合"
  99 '不知道'
 /Q7 1 '电话' 2 '微信' 3 '其他'.
MISSING VALUES Q4_1 Q4_2 (99).
EXECUTE.
"""


def archive(path, files: dict[str, bytes]):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in files.items():
            made.writestr(name, content)
    return path


def export(encoding: str = "utf-8-sig") -> dict[str, bytes]:
    """A csv of codes under variable names, and the syntax that labels them."""
    lines = [[*LEAD, *WHO, *QUESTIONS], *([*BEFORE, "一小", "四(1)班", "赵一", *row] for row in CODES)]
    text = "\r\n".join(",".join(map(str, line)) for line in lines) + "\r\n"
    labels = "\n".join(f" {name} '{label}'" for name, label in {**WHO, **QUESTIONS}.items())
    return {"数据.csv": text.encode(encoding), "语法.sps": SYNTAX.format(labels=labels).encode(encoding)}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "gb18030"])
def test_a_zip_of_codes_and_syntax_gives_the_same_answers(tmp_path, encoding):
    path = archive(tmp_path / "家长问卷.zip", export(encoding))
    found, batch = read(path, codebook(tmp_path, codebook_text(ITEMS)))
    same(answers(batch), EXPECTED)
    assert found.how.startswith("腾讯问卷 by text, zip, csv,") and "SPSS syntax" in found.how
    assert batch.cells["submitted"].unique().tolist() == ["2026-01-05 12:03:00"]
    assert not batch.cells.isin(["u-77", "花妈", "示例省", "谢谢"]).any(axis=None)


def test_a_workbook_of_option_texts_is_read_too(tmp_path):
    header = [*LEAD, *WHO.values(), *QUESTIONS.values()]
    row = [
        *BEFORE,
        "一小",
        "四(1)班",
        "赵一",
        "符合",
        "一般，说不清",
        "电话",
        "",
        "其他",
        2,
        1,
        3,
        "其他",
        "",
    ]
    path = tmp_path / "家长问卷.xlsx"
    write_xlsx(path, {"数据": [header, row]})
    found = answers(read(path, codebook(tmp_path, codebook_text(ITEMS)), platform="tencent")[1])
    same(found, EXPECTED.head(1))


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, "holds 0"),
        ({"a.csv": b"x,y\n1,2\n", "b.csv": b"x,y\n1,2\n"}, "holds 2"),
        ({"a.csv": b"  "}, "empty"),
        ({"a.csv": b"\x00" * 30_000_000}, "unpacks to far more"),
        ({"a.sps": b"VALUE LABELS q 1 'a'."}, "holds 0"),
    ],
)
def test_a_zip_without_one_data_file_is_refused(tmp_path, files, says):
    path = archive(tmp_path / "a.zip", {"readme.txt": b"hello", **files})
    with pytest.raises(UnreadableFileError, match=says):
        read(path, codebook(tmp_path))


def test_a_zip_within_a_zip_is_not_followed(tmp_path):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as made:
        made.writestr("a.csv", "x,y\n1,2\n")
    with pytest.raises(UnreadableFileError, match="holds 0"):
        read(archive(tmp_path / "a.zip", {"b.zip": inner.getvalue()}), codebook(tmp_path))
