from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cobench.demo.names import GIVEN, SURNAMES
from cobench.ingest.free_text import MASK, Names, ordinary_words, plain
from cobench.ingest.free_text import redact as redacted
from cobench.ingest.numbers import checksum_fits

# Region 999901 is no place; the check characters are right.
IDENTITY = "999901201503010012"
IDENTITY = IDENTITY[:17] + next(c for c in "0123456789X" if checksum_fits(IDENTITY[:17] + c))
OLD = "110101850301001"
NAMES = Names(["赵一", "欧阳修远", "阿依·古丽", "迪丽热巴·买买提", "王小明", "周五", "高兴"])


def redact(text: str, names: list[Names]) -> str:
    return redacted(text, names)[0]


def grouped(digits: str, sizes: list[int], sign: str) -> str:
    parts, at = [], 0
    for size in sizes:
        parts.append(digits[at : at + size])
        at += size
    return sign.join(parts)


@pytest.mark.parametrize(
    "number",
    [
        IDENTITY,
        "110101201503010000",
        OLD,
        "G" + IDENTITY,
        "学籍号：g " + IDENTITY,
        grouped(IDENTITY, [6, 4, 4, 4], " "),
        grouped(IDENTITY, [6, 8, 4], "-"),
        grouped(IDENTITY, [6, 8, 4], "."),
        grouped(IDENTITY, [1] * 18, " "),
        "\u200b".join(IDENTITY),
        "\u00ad".join(IDENTITY),
        IDENTITY.translate(str.maketrans("0123456789X", "０１２３４５６７８９Ｘ")),
        "13800001111",
        "138 0000 1111",
        "138-0000-1111",
        "138.0000.1111",
        "1 3 8 0 0 0 0 1 1 1 1",
        "１３８００００１１１１",
        "+86 138 0000 1111",
        "0086-13800001111",
        "٠٥٧١-٨٨٨٨٠٠٠٠",
        "0571-88880000",
        "(0571)8888 0000",
        "010-8888-0000",
        "一三八〇〇〇〇一一一一",
        "幺三八零零零零幺幺幺幺",
        "壹叁捌零零零零壹壹壹壹",
        "400-888-0000",
        "QQ 12345678",
        "parent@example.cn",
        "203.0.113.7",
        "wxid_abcdef123456",
        "oABCDefghijklmnopqrstuvwxyz1",
    ],
)
def test_a_number_of_a_person_never_stays_in_a_text(number):
    cleaned = redact(f"请联系{number}，谢谢", [])
    assert MASK in cleaned
    assert sum(map(str.isdigit, cleaned)) <= 2
    assert cleaned.startswith("请联系") and cleaned.endswith("谢谢")


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-20 19:00-20:30 亲子沟通",
        "20260320 家长会",
        "3月15日下午2:30",
        "语文85、数学90、英语92、体育88",
        "第3周 12课时 45/45",
        "五年级二班三十五人",
        "一二三年级",
        "1.5小时 约80%",
        "2024-2025学年第一学期",
        "100,000元",
    ],
)
def test_dates_marks_and_counts_stay(text):
    assert redact(text, [NAMES]) == text


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("看望赵一同学", "看望＊同学"),
        ("看望赵 一同学", "看望＊同学"),
        ("欧阳修远表现好", "＊表现好"),
        ("欧　阳　修　远", "＊"),
        ("阿依古丽、阿依•古丽、阿依・古丽", "＊、＊、＊"),
        ("迪丽热巴买买提的家长", "＊的家长"),
        ("王\u200b小\u200b明", "＊"),
        ("王小明明天来", "＊明天来"),
    ],
)
def test_names_are_found_with_dots_blanks_and_invisible_characters(text, cleaned):
    assert redact(text, [NAMES]) == cleaned


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("周五下午家长会", "周五下午家长会"),
        ("家长很高兴", "家长很高兴"),
        ("周五同学进步大", "＊同学进步大"),
        ("学生周五", "学生＊"),
        ("高兴妈妈来电", "＊妈妈来电"),
        ("周五、王小明", "＊、＊"),
        ("周五", "＊"),
    ],
)
def test_a_name_that_is_an_everyday_word_counts_only_where_a_person_is_meant(text, cleaned):
    assert redact(text, [NAMES]) == cleaned


def test_two_character_names_that_are_no_words_count_everywhere():
    assert "赵一" not in ordinary_words() and {"周五", "高兴", "方法"} <= ordinary_words()
    assert redact("和赵一谈心", [NAMES]) == "和＊谈心"


@given(st.text(max_size=40))
def test_redacting_twice_changes_nothing_more(text):
    once = redact(text, [NAMES])
    assert redact(once, [NAMES]) == plain(once)


@given(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    st.sampled_from(["", " ", "-", ".", "\u200b", "·", "－", "　"]),
    st.text(
        st.characters(
            exclude_categories=["Cs", "Nd", "No", "Nl"], exclude_characters="一二三四五六七八九零〇幺"
        ),
        max_size=12,
    ),
)
def test_an_identity_number_is_found_whatever_stands_around_and_inside(before, sign, after):
    typed = before + "，" + sign.join(IDENTITY) + "，" + after
    assert IDENTITY[6:] not in "".join(filter(str.isalnum, redact(typed, [])))


def test_a_million_names_cost_no_more_than_one_pass():
    people = [a + b + c for a in SURNAMES for b in set(GIVEN) for c in set(GIVEN)][:1_000_000]
    names = Names(people)
    text = "和家长沟通孩子的学习习惯、约定每晚阅读半小时"
    start = time.perf_counter()
    for _ in range(2000):
        redact(text, [names])
    assert time.perf_counter() - start < 2
    assert redact(f"{text}、{people[777]}进步", [names]) == f"{text}、＊进步"
