"""Claims about withdrawn consent: nothing of the child is left but raw files, and these don't bring it back."""

from __future__ import annotations

import io
import shutil
import zipfile
from datetime import date

import pandas as pd
import pyarrow.ipc
import pytest
from small_study import (
    EARLIER,
    KEY,
    PRIMARY,
    SURVEY,
    SURVEY_HEADER,
    TERM,
    child,
    grade,
    lay_out,
    log_rows,
    number,
    raw,
    response,
    write_log,
    write_roster,
    write_xlsx,
)

from cobench import store
from cobench.errors import ForgetError, KeyMismatchError
from cobench.ingest import keys, withdrawn
from cobench.ingest.forget import forget_student
from cobench.ingest.identities import pseudonym, read_identities
from cobench.ingest.ingest import ingest_term
from cobench.ingest.report import read_quarantine
from cobench.study import load_study

TODAY = date(2026, 2, 1)
NAME, NUMBER = "钱二宝", number(2)
STUDENT = pseudonym(KEY, "tiny", "student", NUMBER)


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("COBENCH_KEY", KEY.hex())


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A study in which 钱二宝 stands in good rows and bad ones, beside others and alone, in texts and failed runs."""
    root = lay_out(tmp_path_factory.mktemp("made") / "tiny")
    bad = ["2025-02-30", NAME, "四(1)班", "入户", "常规", "", "", ""]
    unknown_class = ["2025-10-30", NAME, "四(7)班", "入户", "常规", "", "", ""]
    alone = ["2025-10-30", NAME, "四(1)班", "入户", "常规", "", "", ""]
    write_log(root, TERM, [*log_rows(), bad, unknown_class, alone])
    write_xlsx(
        raw(root, f"{PRIMARY}/活动记录.xlsx"),
        {
            "活动": [
                ["日期", "活动类型", "班级", "主题"],
                ["2025-10-20", "家长讲座", "全校", f"{NAME}家长谈亲子沟通"],
            ]
        },
    )
    write_xlsx(
        raw(root, SURVEY),
        {"Sheet1": [SURVEY_HEADER, response(1, "四(1)班", "赵一"), response(2, "四(1)班", NAME)]},
    )
    loaded = load_study(root)
    ingest_both(loaded)
    failed = store.private_dir(loaded, "failed", TERM)
    (failed / "04_effect.zh.ipynb").write_text('{"cells": ["\\u94b1\\u4e8c\\u5b9d"]}')
    (failed / "04_effect.zh.txt").write_text(f"KeyError: {STUDENT}")
    (failed / "other.txt").write_text("nothing of anybody")
    pd.DataFrame({"学籍号": [NUMBER]}).to_excel(failed / "list.xlsx")
    store.write_stage(loaded, TERM, "k", {"panel": store.read_table(loaded, "enrolments", [TERM])})
    return root


@pytest.fixture
def study(made, tmp_path):
    return load_study(shutil.copytree(made, tmp_path / "copy"))


def ingest_both(study):
    return [ingest_term(study, term, key=KEY) for term in (EARLIER, TERM)][-1]


def traces(root) -> list[str]:
    """Files outside data/raw in which name, number or pseudonym can be read."""
    return [
        str(path.relative_to(root))
        for path in sorted(root.rglob("*"))
        if path.is_file()
        and "raw" not in path.relative_to(root).parts
        and any(mark in text for text in readable(path) for mark in (NAME, NUMBER, NUMBER[1:], STUDENT))
    ]


def readable(path):
    data = path.read_bytes()
    yield str(path)
    yield data.decode("utf-8", errors="ignore")
    yield data.decode("gb18030", errors="ignore")
    if path.suffix == ".ipynb":
        yield data.decode("unicode_escape", errors="ignore")
    if path.suffix == ".parquet":
        frame = pd.read_parquet(path)
        yield " ".join(str(value) for name in frame for value in frame[name])
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            yield from (archive.read(name).decode("utf-8", errors="ignore") for name in archive.namelist())
    if path.suffix == ".cells":
        source = io.BytesIO(data[data.index(b"\n") + 1 :])
        while source.tell() < len(source.getvalue()):
            yield pyarrow.ipc.open_stream(source).read_all().to_pandas().to_csv()


def test_the_study_holds_the_child_everywhere_before(study):
    found = " ".join(traces(study.root))
    for place in (
        "enrolments",
        "outcomes",
        "identities",
        "quarantine",
        "cells",
        "derived",
        ".ipynb",
        ".txt",
        ".xlsx",
    ):
        assert place in found, place


def test_after_forgetting_nothing_of_the_child_is_left_but_raw_files(study):
    done = forget_student(study, NUMBER, TODAY)
    assert traces(study.root) == []
    assert set(done.terms) == {EARLIER, TERM} and done.rows["enrolments"] == 2
    assert (study.root / "private" / "failed" / TERM / "other.txt").exists()
    assert len(store.read_table(study, "enrolments", [TERM])) == 5


def test_raw_files_that_still_hold_the_child_do_not_bring_it_back(study):
    forget_student(study, NUMBER, TODAY)
    for _ in range(2):
        result = ingest_both(study)
        assert traces(study.root) == []
        files = result.files
        assert (files["rows_in"] == files["accepted"] + files["quarantined"] + files["non_data"]).all()
    dropped = result.rules[result.rules["rule"] == "consent_withdrawn"].groupby("file")["n"].sum()
    by_file = {name.rsplit("/", 1)[-1]: n for name, n in dropped.items()}
    assert by_file == {
        "学籍名册.xlsx": 1,
        "家访记录.csv": 2,
        "重点学生名单.xlsx": 1,
        "成绩册.xlsx": 1,
        SURVEY: 1,
    }
    assert set(result.rules.loc[result.rules["rule"] == "consent_withdrawn", "status"]) == {"non_data"}


def test_others_of_the_same_rows_and_texts_stay(study):
    before = store.read_table(study, "contacts", [TERM])
    forget_student(study, NUMBER, TODAY)
    ingest_both(study)
    after = store.read_table(study, "contacts", [TERM])
    kept = before[before["student"] != STUDENT].reset_index(drop=True)
    pd.testing.assert_frame_equal(after, kept)
    assert "＊家长谈亲子沟通" in store.read_table(study, "events", [TERM])["topic"].tolist()


def test_a_child_in_another_class_next_term_is_still_kept_out(study):
    forget_student(study, NUMBER, TODAY)
    rows = [
        child(1, "赵一", grade(TERM)),
        child(2, NAME, "四(2)班"),
        child(3, "孙三", "四(2)班"),
        child(4, "李·四", grade(TERM)),
    ]
    write_roster(study.root, rows)
    write_log(
        study.root, TERM, [*log_rows()[:1], ["2025-10-30", NAME, "四(2)班", "入户", "常规", "", "", ""]]
    )
    ingest_both(study)
    assert traces(study.root) == []
    result = ingest_both(study)
    assert not result.changed and traces(study.root) == []


def test_a_namesake_is_not_taken_for_the_child_nor_the_child_for_the_namesake(root):
    rows = [
        child(n, name, grade(TERM))
        for n, name in ((1, "赵一"), (2, NAME), (3, "孙三"), (4, "李·四"), (5, NAME))
    ]
    write_roster(root, rows)
    study = load_study(root)
    ingest_both(study)
    forget_student(study, NUMBER, TODAY)
    ingest_both(study)
    namesake = pseudonym(KEY, "tiny", "student", number(5))
    assert namesake in set(store.read_table(study, "enrolments", [TERM])["student"])
    assert namesake not in set(store.read_table(study, "outcomes", [TERM])["student"])
    put_aside = read_quarantine(study, TERM)
    assert "ambiguous_student" in set(put_aside["rule"])


def test_what_is_left_to_do_is_told_without_the_childs_name(study):
    folder = study.root / "reports" / TERM
    folder.mkdir(parents=True)
    (folder / "run.json").write_text("{}")
    done = forget_student(study, NUMBER, TODAY)
    assert done.published == (TERM,)
    listed = pd.read_csv(done.raw_rows)
    assert done.n_raw_rows == len(listed) >= 9
    assert {"家访记录.csv", "学籍名册.xlsx", "成绩册.xlsx", SURVEY} <= {
        name.rsplit("/", 1)[-1] for name in listed.iloc[:, 0]
    }
    said = done.told(study)
    for text in (said.zh, said.en, done.raw_rows.read_text(encoding="utf-8-sig")):
        assert NAME not in text and NUMBER not in text and STUDENT not in text
    assert TERM in said.en and done.raw_rows.name in said.en


def test_an_unknown_number_is_refused_and_not_repeated_unless_it_is_to_be_kept_out(study):
    stranger = number(77)
    with pytest.raises(ForgetError, match="keep-out") as caught:
        forget_student(study, stranger, TODAY)
    assert stranger not in caught.value.en + caught.value.zh
    assert not (study.root / "private" / "withdrawn.json").exists()
    forget_student(study, stranger, TODAY, keep_out=True)
    write_roster(study.root, [*(child(n, name, grade(TERM)) for n, name in ((1, "赵一"), (77, "新来者")))])
    result = ingest_both(study)
    assert result.rules.query("rule == 'consent_withdrawn'")["n"].sum() == 1
    assert "新来者" not in set(read_identities(study)["name"])


def test_a_pseudonym_will_do(study):
    forget_student(study, STUDENT, TODAY)
    ingest_both(study)
    assert traces(study.root) == []


def test_forgetting_cut_short_can_be_done_again(study, monkeypatch, tmp_path):
    real = store.commit
    monkeypatch.setattr(store, "commit", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        forget_student(study, NUMBER, TODAY)
    copy = shutil.copytree(study.root, tmp_path / "cut")
    monkeypatch.setattr(store, "commit", real)
    assert STUDENT in set(store.read_table(study, "enrolments")["student"])
    forget_student(study, NUMBER, TODAY)
    assert traces(study.root) == []
    ingest_both(load_study(copy))
    assert traces(copy) == []


def test_the_list_of_withdrawn_children_survives_a_rotation_and_opens_with_no_other_key(study, monkeypatch):
    forget_student(study, NUMBER, TODAY)
    other = b"another key of thirty-two bytes!"
    keys.rotate_key(study, {"COBENCH_KEY": KEY.hex(), "COBENCH_NEW_KEY": other.hex()})
    keys.finish_rotation(study, {"COBENCH_KEY": other.hex()})
    monkeypatch.setenv("COBENCH_KEY", other.hex())
    for term in (EARLIER, TERM):
        result = ingest_term(study, term, key=other)
    assert result.rules.query("rule == 'consent_withdrawn'")["n"].sum() == 6
    assert traces(study.root) == []
    with pytest.raises(KeyMismatchError, match="withdrawn"):
        withdrawn.load_withdrawn(study, KEY)
