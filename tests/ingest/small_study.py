"""A study of two invented schools in a folder, written file by file, so that a test can spoil one of them."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import openpyxl

from cobench.ingest.numbers import CHECK_CHARACTERS, WEIGHTS

KEY = bytes(range(32))
TERM = "2025-2026-1"
EARLIER = "2024-2025-2"
PRIMARY, JUNIOR = "S01_示例第一小学", "S02_示例初中"

STUDY = """
[study]
id = "tiny"
label = "tiny"
[[terms]]
id = "2024-2025-2"
start = 2025-02-17
landmark = 2025-03-03
exposure_end = 2025-05-30
exam = 2025-06-25
end = 2025-07-04
[[terms]]
id = "2025-2026-1"
start = 2025-09-01
landmark = 2025-09-15
exposure_end = 2025-12-19
exam = 2026-01-16
end = 2026-01-23
baseline = "2024-2025-2"
[[sources]]
table = "schools"
files = "data/raw/{term}/学校名录.csv"
columns = {school = "学校代码", name = "学校名称", short_name = "简称", stage = "学段"}
levels.stage = {"小学" = "primary", "初中" = "junior", "幼儿园" = "kindergarten"}
[[sources]]
table = "students"
files = "data/raw/{term}/*/学籍名册*.xlsx"
school = "folder"
columns = {student_name = "姓名", student_number = "学籍号", sex = "性别", birth_month = "出生年月", class = "班级", boarding = "住宿", status = "状态"}
levels.sex = {"男" = "m", "女" = "f"}
levels.boarding = {"是" = true, "否" = false}
levels.status = {"在读" = "enrolled", "转入" = "transferred_in", "转出" = "transferred_out"}
[[sources]]
table = "memberships"
files = "data/raw/{term}/重点学生名单*.xlsx"
school = "column"
columns = {school = "学校代码", student_name = "姓名", class = "班级", category = "类别", valid_from = "认定日期", source = "依据"}
levels.category = {"留守" = "left_behind"}
[[sources]]
table = "contacts"
files = "data/raw/{term}/*/家访记录*"
school = "folder"
columns = {date = ["日期", "家访时间"], student_name = "学生姓名", class = "班级", mode = "家访方式", trigger = "类型", minutes = "时长", entered_at = "录入时间"}
optional = ["minutes", "entered_at"]
levels.mode = {"入户" = "at_home", "电话" = "phone"}
levels.trigger = {"常规" = "routine", "重点" = "targeted"}
[[sources]]
table = "events"
files = "data/raw/{term}/*/活动记录*.xlsx"
school = "folder"
columns = {date = "日期", kind = "活动类型", class = "班级", topic = "主题"}
levels.kind = {"家长讲座" = "lecture", "家长会" = "parent_meeting"}
[[sources]]
table = "attendance"
files = "data/raw/{term}/*/家长学校签到*.xlsx"
school = "folder"
event_kind = "lecture"
columns = {student_name = "姓名", class = "孩子班级", event = "场次", present = "状态"}
levels.present = {"已签到" = true, "未到" = false}
[[sources]]
table = "outcomes"
files = "data/raw/{term}/*/成绩册*.xlsx"
school = "folder"
columns = {student_name = "姓名", class = "班级"}
measures = {chinese = "语文", math = "数学"}
level_measures = ["math_level", "chinese_level"]
level_values = {"优" = 4, "良" = 3, "中" = 2, "差" = 1}
source = "school paper"
[[sources]]
table = "responses"
platform = "wenjuanxing"
files = "data/raw/{term}/*家长问卷*.xlsx"
instrument = "parents"
[instruments.parents]
codebook = "codebooks/parents.toml"
linkage = "student"
respondent = "parent"
[[categories]]
id = "left_behind"
label = "left behind"
source = "list"
"""

CODEBOOK = """
instrument = "parents"
version = "1"
respondent = "parent"
identify = {school = "1", class = "2", name = "3"}
missing = {"不知道" = "dont_know"}
[options.agree]
"不符合" = 1
"一般，说不清" = 2
"符合" = 3
[[items]]
id = "p1"
header = "4、家校沟通—老师愿意听我说"
options = "agree"
label = "heard"
[[items]]
id = "p2"
header = "4、家校沟通—我能联系到老师"
options = "agree"
label = "reached"
[[items]]
id = "open"
header = "5、您还有什么话想说"
kind = "text"
label = "open"
"""

ROSTER_HEADER = ["序号", "姓名", "学籍号", "性别", "出生年月", "班级", "住宿", "状态"]
LOG_HEADER = ["日期", "学生姓名", "班级", "家访方式", "类型", "时长", "录入时间", "家访内容"]
SURVEY_HEADER = [
    "序号", "提交答卷时间", "所用时间", "来源", "来源详情", "来自IP", "1、学校", "2、孩子班级", "3、孩子姓名",
    "4、家校沟通—老师愿意听我说", "4、家校沟通—我能联系到老师", "5、您还有什么话想说",
]  # fmt: skip
LOG, ROSTER = f"{PRIMARY}/家访记录.csv", f"{PRIMARY}/学籍名册.xlsx"
SURVEY = "900_按文本_家长问卷_4_4.xlsx"


def number(serial: int, letter: str = "G") -> str:
    """A valid invented student number; no place has region code 999901."""
    body = f"99990120150301{serial:03d}"
    total = sum(weight * int(digit) for weight, digit in zip(WEIGHTS, body, strict=True))
    return letter + body + CHECK_CHARACTERS[total % 11]


def child(serial: int, name: str, where: str, status: str = "在读") -> list:
    """A roster line."""
    return [serial, name, number(serial), "女" if serial % 2 else "男", "2015-03", where, "否", status]


def response(serial: int, where: str, name: str, first: str = "符合", second: str = "不符合") -> list:
    """A questionnaire line."""
    lead = [serial, "2026/01/05 12:00:00", "123秒", "微信", "N/A", "203.0.113.7(示例)"]
    return [*lead, "一小", where, name, first, second, "谢谢老师"]


def write_csv(path: Path, rows: list[list], encoding: str = "gb18030") -> None:
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(buffer.getvalue().encode(encoding))


def write_xlsx(path: Path, sheets: dict[str, list[list]], merges: tuple[str, ...] = ()) -> None:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
        for area in merges:
            sheet.merge_cells(area)
    path.parent.mkdir(parents=True, exist_ok=True)
    book.save(path)


def lay_out(root: Path) -> Path:
    """The whole study; two terms, the later one with every kind of file."""
    (root / "codebooks").mkdir(parents=True)
    (root / "study.toml").write_text(STUDY, encoding="utf-8")
    (root / "codebooks" / "parents.toml").write_text(CODEBOOK, encoding="utf-8")
    for term in (EARLIER, TERM):
        write_schools(root, term)
        write_rosters(root, term)
    write_log(root, EARLIER, [["2025-03-10", "赵一", grade(EARLIER), "入户", "常规", "40分钟", "", "谈学习"]])
    write_later_term(root)
    return root


def grade(term: str) -> str:
    """The primary class of 赵一 as it is called in a term (entered in 2022)."""
    return "三(1)班" if term == EARLIER else "四(1)班"


def raw(root: Path, name: str, term: str = TERM) -> Path:
    """Path of a raw file."""
    return root / "data" / "raw" / term / name


def write_schools(root: Path, term: str) -> None:
    rows = [
        ["学校代码", "学校名称", "简称", "学段"],
        ["S01", "示例第一小学", "一小", "小学"],
        ["S02", "示例初中", "初中", "初中"],
    ]
    write_csv(raw(root, "学校名录.csv", term), rows, "utf-8-sig")


def write_rosters(root: Path, term: str) -> None:
    where = grade(term)
    rows = [
        child(1, "赵一", where),
        child(2, "钱二宝", where),
        child(3, "孙三", where),
        child(4, "李·四", where),
    ]
    write_roster(root, rows, term)
    junior = "初一(1)班" if term == TERM else "初二(1)班"
    write_xlsx(
        raw(root, f"{JUNIOR}/学籍名册.xlsx", term),
        {"名册": [["学籍名册"], ROSTER_HEADER, child(11, "周五", junior), child(12, "吴六", junior)]},
        ("A1:H1",),
    )


def write_roster(root: Path, rows: list[list], term: str = TERM) -> None:
    sheets = {"名册": [["学籍名册"], ROSTER_HEADER, *rows, [], [f"合计：{len(rows)}人"]]}
    write_xlsx(raw(root, ROSTER, term), sheets, ("A1:H1",))


def write_log(root: Path, term: str, rows: list[list], name: str = LOG, encoding: str = "gb18030") -> None:
    write_csv(raw(root, name, term), [LOG_HEADER, *rows], encoding)


def log_rows() -> list[list]:
    """The later term's log: six rows, one of two children."""
    return [
        ["2025/10/09", "赵一", "四(1)班", "入户", "常规", "半小时", "2025-10-09 20:15", "谈学习"],
        ["10月12日", "赵一、钱二宝", "四年级1班", "电话", "重点", "", "", "商量"],
        ["11.20", "李四", "401", "入户", "常规", "很久", "", "看望"],
        ["２０２５-１１-２１", "孙 三", "四（1）班", "电话", "常规", "１０分钟", "", ""],
    ]


def write_later_term(root: Path) -> None:
    write_log(root, TERM, log_rows())
    nil = [["2025-12-19", "无", "初一(1)班", "", "", "", "", ""]]
    write_log(root, TERM, nil, f"{JUNIOR}/家访记录.csv", "utf-8")
    write_xlsx(
        raw(root, "重点学生名单.xlsx"),
        {
            "名单": [
                ["学校代码", "姓名", "班级", "类别", "认定日期", "依据"],
                ["S01", "钱二宝", "四1班", "留守", "2025-09-05", "摸排"],
            ]
        },
    )
    write_xlsx(
        raw(root, f"{PRIMARY}/活动记录.xlsx"),
        {
            "活动": [
                ["日期", "活动类型", "班级", "主题", "参加人数"],
                ["2025-10-20", "家长讲座", "全校", "亲子沟通", 40],
                ["2025-09-12", "家长会", "四(1)班", "学期初", 40],
            ]
        },
    )
    write_xlsx(
        raw(root, f"{PRIMARY}/家长学校签到.xlsx"),
        {
            "10月20日": [
                ["姓名", "孩子班级", "场次", "状态", "签到时间"],
                ["赵一", "四(1)班", "2025-10-20 亲子沟通", "已签到", "19:01"],
                ["孙三", "四(1)班", "2025-10-20 亲子沟通", "未到", ""],
            ]
        },
    )
    write_scores(
        root, [["赵一", "四(1)班", 85, "９０"], ["钱二宝", "四(1)班", "缺考", 77.5], ["平均分", "", 85, 83]]
    )
    write_xlsx(
        raw(root, SURVEY), {"Sheet1": [SURVEY_HEADER, response(1, "四(1)班", "赵一"), *odd_responses()]}
    )


def odd_responses() -> list[list]:
    return [
        response(2, "四(1)班", "查无此人", "(空)", "不知道"),
        response(3, "四(9)班", "孙三", "(跳过)", "一般，说不清"),
    ]


def write_scores(root: Path, rows: list[list]) -> None:
    head = [["期末成绩册"], ["姓名", "班级", "期末成绩", None], [None, None, "语文", "数学"]]
    write_xlsx(
        raw(root, f"{PRIMARY}/成绩册.xlsx"), {"四年级": [*head, *rows]}, ("A1:D1", "A2:A3", "B2:B3", "C2:D2")
    )
