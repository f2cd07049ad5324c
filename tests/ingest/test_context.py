from __future__ import annotations

from datetime import date

import pandas as pd
import pytest
from small_study import EARLIER, KEY, TERM, number

from cobench.ingest.context import (
    Context,
    class_ids,
    is_whole_school,
    link_rows,
    listed_classes,
    redact,
    resolve_schools,
    school_codes,
    terms_of,
)
from cobench.ingest.identities import pseudonym
from cobench.study import load_study

SCHOOLS = pd.DataFrame(
    {
        "school": ["S01", "S02", "S03"],
        "name": ["示例第一小学", "示例初中", "示例第二小学"],
        "short_name": ["实验", "初中", "实验"],
        "former_names": [None, None, None],
        "stage": ["primary", "junior", "primary"],
    }
)
ROSTER = pd.DataFrame(
    {
        "term": TERM,
        "school": "S01",
        "class_id": ["S01-2022-1", "S01-2022-1"],
        "name": ["赵一", "阿依·古丽"],
        "student": [pseudonym(KEY, "tiny", "student", number(1)), None],
    },
    dtype="object",
)


@pytest.fixture
def ctx(root):
    study = load_study(root)
    return Context(study, study.term(TERM), KEY, SCHOOLS, ROSTER, {})


@pytest.mark.parametrize(
    ("day", "term"),
    [
        (date(2025, 10, 1), TERM),
        (date(2025, 9, 1), TERM),
        (date(2026, 1, 23), TERM),
        (date(2025, 3, 10), EARLIER),
        (date(2025, 8, 20), TERM),
        (date(2025, 2, 1), EARLIER),
        (date(2026, 2, 10), TERM),
    ],
)
def test_a_rows_term_follows_its_date_and_breaks_belong_to_a_neighbour(ctx, day, term):
    assert terms_of(ctx, pd.Series([day], dtype="object"))["value"].tolist() == [term]


@pytest.mark.parametrize("day", [date(2026, 5, 1), date(2024, 6, 1)])
def test_days_that_the_delivery_cannot_speak_of_belong_to_no_term(ctx, day):
    assert terms_of(ctx, pd.Series([day], dtype="object"))["rule"].tolist() == ["date_outside_term"]


def test_a_missing_date_has_neither_term_nor_rule(ctx):
    assert terms_of(ctx, pd.Series([None], dtype="object")).isna().all(axis=None)


def test_schools_are_known_by_code_name_and_short_name_unless_two_share_it():
    codes = school_codes(SCHOOLS)
    found = resolve_schools(pd.Series(["S01", "示例初中", "初中", "实验", "无名", ""]), codes)
    assert found["value"].astype("object").fillna("").tolist() == ["S01", "S02", "S02", "", "", ""]
    assert found["rule"].astype("object").fillna("").tolist() == [
        "",
        "",
        "",
        "unknown_school",
        "unknown_school",
        "blank_required",
    ]


def test_one_text_is_another_class_in_another_school_or_year():
    found = class_ids(
        pd.Series(["S01", "S01", "S02", "S01"]),
        pd.Series(["三(2)班", "三(2)班", "一(2)班", "老班"]),
        pd.Series([2024, 2025, 2025, 2025]),
        {"S01": "primary", "S02": "junior"},
    )
    assert found["value"].astype("object").fillna("").tolist() == [
        "S01-2022-2",
        "S01-2023-2",
        "S02-2025-2",
        "",
    ]
    assert found["grade"].astype("object").fillna("").tolist() == [3, 3, 7, ""]
    assert found["rule"].astype("object").fillna("").tolist() == ["", "", "", "unreadable_class"]


def test_only_classes_of_the_roster_of_that_term_are_known(ctx):
    terms, school = pd.Series([TERM, TERM, EARLIER]), pd.Series(["S01"] * 3)
    found = listed_classes(ctx, terms, school, pd.Series(["四(1)班", "四(2)班", "三(1)班"]))
    assert found["value"].astype("object").fillna("").tolist() == ["S01-2022-1", "", ""]
    assert found["rule"].astype("object").fillna("").tolist() == ["", "unknown_class", "unknown_class"]


def test_names_and_long_numbers_are_taken_out_of_stored_text(ctx):
    texts = pd.Series(["亲子沟通", "看望赵一同学", "看望阿依·古丽", "电话13800001111", "学籍号" + number(1)])
    cleaned, held = redact(ctx, texts, pd.Series(["S01"] * len(texts)))
    assert cleaned.tolist() == ["亲子沟通", "看望＊同学", "看望＊", "电话＊", "学籍号＊"]
    assert held.tolist() == [False, True, True, True, True]


def test_a_student_number_links_even_where_the_name_is_wrong(ctx):
    rows = pd.DataFrame({"term": [TERM], "school": ["S01"], "class_id": ["S01-2022-1"], "name_key": ["照一"]})
    linked = link_rows(ctx, rows, pd.Series([number(1)]))
    assert linked.loc[0, ["student", "by"]].tolist() == [ROSTER.loc[0, "student"], "number"]
    assert link_rows(ctx, rows, pd.Series([number(2)])).loc[0, "rule"] == "unknown_student"


def test_words_for_the_whole_school_are_no_class():
    assert is_whole_school(pd.Series(["全校", "", "四(1)班"])).tolist() == [True, True, False]
