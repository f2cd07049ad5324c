"""What `cobench inspect` says of a file, and what it must never say."""

from __future__ import annotations

import pytest
import test_jinshuju
import test_kobo
import test_qualtrics
import test_redcap
import test_statistical
import test_tencent
import test_wenjuanxing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_study import write_csv, write_xlsx
from typer.testing import CliRunner

from cobench.cli import app
from cobench.errors import CobenchError, UnreadableFileError
from cobench.ingest.codebook_draft import draft_codebook
from cobench.ingest.inspect_command import inspect_for_user
from cobench.ingest.inspect_report import describe
from cobench.ingest.inspection import inspect_file
from cobench.ingest.personal import may_be_people

KINDS = ["choice", "choice", "multiple", "ranking", "choice"]


def files(folder) -> dict:
    """The same questionnaire from every platform, each answer given several times."""
    made = {}
    header, rows = test_wenjuanxing.rows_by_number()
    made["wenjuanxing text"] = test_wenjuanxing.write(
        folder, test_wenjuanxing.BY_TEXT, test_wenjuanxing.HEADER, test_wenjuanxing.rows_by_text() * 5
    )
    made["wenjuanxing number"] = test_wenjuanxing.write(folder, test_wenjuanxing.BY_NUMBER, header, rows * 5)
    made["tencent"] = test_tencent.archive(folder / "t.zip", test_tencent.export())
    made["jinshuju"] = folder / "j.xlsx"
    write_xlsx(made["jinshuju"], {"a": [*test_jinshuju.LINES, *test_jinshuju.LINES[1:] * 4]})
    made["qualtrics"] = test_qualtrics.write(folder / "q.csv", test_qualtrics.ROWS * 5)
    made["kobo"] = test_kobo.write(folder, [*test_kobo.LINES, *test_kobo.LINES[1:] * 4], "csv")
    made["redcap"] = folder / "r.csv"
    write_csv(made["redcap"], [*test_redcap.RAW, *test_redcap.RAW[1:] * 4], "utf-8")
    made["spss"] = test_statistical.write_sav(folder / "a.sav")
    made["stata"] = test_statistical.write_dta(folder / "a.dta")
    return made


PLATFORM_FILES = [
    "wenjuanxing text", "wenjuanxing number", "tencent", "jinshuju", "qualtrics", "kobo", "redcap", "spss", "stata",
]  # fmt: skip


@pytest.mark.parametrize("which", PLATFORM_FILES)
def test_platform_and_types_of_questions_are_recognised(tmp_path, which):
    (reading,) = inspect_file(files(tmp_path)[which]).readings
    platform, _, mode = which.partition(" ")
    assert reading.layout.platform == platform
    assert reading.layout.mode == (mode or ("number" if platform == "redcap" else "text"))
    types = [question.kind for question in reading.questions]
    asked = [kind for kind in types if kind in ("choice", "multiple", "ranking")]
    assert asked == KINDS, types


SECRETS = [
    "赵一",
    "张小花",
    "13800138000",
    "托人",
    "谢谢",
    "花妈",
    "u-77",
    "203.0.113.7",
    "collector7",
    "R_1",
    "很好",
]


@pytest.mark.parametrize("which", PLATFORM_FILES)
def test_no_person_and_no_free_text_is_ever_shown_or_drafted(tmp_path, which):
    found = inspect_file(files(tmp_path)[which])
    said = describe(found)
    shown = said.zh + said.en + draft_codebook(found)
    assert [secret for secret in SECRETS if secret in shown] == []


def test_teachers_named_again_and_again_are_no_options(tmp_path):
    path = tmp_path / "9_按文本_问卷_1_1.xlsx"
    header = [*test_wenjuanxing.LEAD, "1、家访的是谁", "2、对接人", "3、常用方式", "4、谁来过", "5、证号"]
    rows = [
        [*test_wenjuanxing.lead(n)[:6], *cells]
        for n in range(12)
        for cells in [
            [
                ["王芳", "李娜"][n % 2],
                ["周主任", "不清楚"][n % 2],
                ["常常", "有时"][n % 2],
                "没人┋刘老师",
                "110101",
            ]
        ]
    ]
    write_xlsx(path, {"a": [header, *rows]})
    (reading,) = inspect_file(path).readings
    assert [question.options != () for question in reading.questions] == [False, False, True, False, False]
    shown = describe(inspect_file(path)).zh + draft_codebook(inspect_file(path))
    assert not any(name in shown for name in ("王芳", "李娜", "周主任", "刘老师", "110101"))


def test_it_says_in_both_languages_how_the_file_is_read(tmp_path):
    said = describe(inspect_file(files(tmp_path)["qualtrics"]))
    assert "platform: Qualtrics, by option text" in said.en
    assert "read as: csv, UTF-8 BOM, delimiter ,; header row 1-3; 20 data rows; 8 other rows" in said.en
    assert "平台：Qualtrics，按选项文本" in said.zh and "表头第 1-3 行；数据 20 行；其他行 8" in said.zh
    assert "[several choices]  5 blank" in said.en and "        微信  10" in said.zh


def test_a_table_of_no_platform_is_told_without_a_single_cell(tmp_path):
    write_csv(tmp_path / "a.csv", [["赵一", "90"], ["钱二", "80"]], "gb18030")
    said = describe(inspect_file(tmp_path / "a.csv"))
    assert "csv, GB18030" in said.en and "2 rows, 2 columns" in said.en
    assert "赵一" not in said.en + said.zh
    with pytest.raises(UnreadableFileError, match="--platform table"):
        draft_codebook(inspect_file(tmp_path / "a.csv"))


def test_ambiguity_is_a_refusal_with_the_candidates(tmp_path):
    rows = [[*test_wenjuanxing.LEAD, "1、打分"], *([*test_wenjuanxing.lead(n)[:6], n % 5] for n in range(9))]
    write_xlsx(tmp_path / "问卷.xlsx", {"a": rows})
    with pytest.raises(UnreadableFileError, match="by option text or by option number"):
        inspect_file(tmp_path / "问卷.xlsx")
    assert inspect_file(tmp_path / "问卷.xlsx", mode="number").readings[0].layout.mode == "number"


@pytest.mark.parametrize(
    ("locale", "says"), [("zh_CN.UTF-8", "平台：问卷星"), ("en_GB.UTF-8", "platform: 问卷星")]
)
def test_the_command_speaks_the_users_language_and_writes_the_draft(tmp_path, monkeypatch, locale, says):
    monkeypatch.setenv("LC_ALL", locale)
    path, draft = files(tmp_path)["wenjuanxing text"], tmp_path / "draft.toml"
    done = CliRunner().invoke(app, ["inspect", str(path), "--codebook", str(draft)])
    assert done.exit_code == 0 and says in done.output and draft.exists()
    with pytest.raises(CobenchError, match="is there already"):
        inspect_for_user(path, draft)
    with pytest.raises(CobenchError, match="--mode"):
        inspect_for_user(path, mode="texts")


CELLS = st.sampled_from(
    ["", "1", "0", "2", "符合", "(空)", "(跳过)", "A┋B", "A→B", "其他〖x〗", "-3", "\ue000", "2026-01-05"]
)


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(
    header=st.lists(st.one_of(st.sampled_from(["1、a", "1、a(b)", "1、a(c)", "第1题(b)", "q/x", "q/y", "q"]), st.text(max_size=6)), max_size=6),
    rows=st.lists(st.lists(st.one_of(CELLS, st.text(max_size=5)), max_size=9), max_size=6),
)  # fmt: skip
def test_whatever_stands_in_a_sheet_it_is_told_drafted_or_refused(tmp_path, header, rows):
    path = tmp_path / "9_按文本_a_1_1.csv"
    write_csv(path, [["序号", "提交答卷时间", *header], *rows], "utf-8-sig")
    try:
        found = inspect_file(path)
        draft_codebook(found)
    except CobenchError:
        return
    (reading,) = found.readings
    assert reading.n_data + reading.n_other == reading.sheet.n_rows
    assert describe(found).zh


@pytest.mark.parametrize(
    "words",
    [["常常", "有时", "从不"], ["班主任", "科任老师", "校领导"], ["向老师请教", "自己想"], ["满意", "一般"]],
)
def test_words_that_look_a_little_like_names_stay_options(words):
    assert not may_be_people(words)


@pytest.mark.parametrize(
    "words",
    [["王芳", "李娜"], ["欧阳明", "有时"], ["赵老师", "没人"], ["138001", "无"], ["买买提·艾力", "王强"]],
)
def test_what_may_be_people_is_held_back(words):
    assert may_be_people(words)
