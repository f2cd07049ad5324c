from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cobench.ingest.options import split_options

OPTIONS = ["电话", "微信", "微信,QQ", "其他", "电", "a b"]
TICKS = ("┋", "┦")


@pytest.mark.parametrize(
    ("text", "separators", "found"),
    [
        ("电话", TICKS, [("电话", "")]),
        ("电话┋微信┦其他", TICKS, [("电话", ""), ("微信", ""), ("其他", "")]),
        ("其他〖张三┋电话〗┋微信", TICKS, [("其他", "张三┋电话"), ("微信", "")]),
        ("其他〖说〖引号〗的〗", TICKS, [("其他", "说〖引号〗的")]),
        ("微信,QQ,电话", (",",), [("微信,QQ", ""), ("电话", "")]),
        ("微信, 电话", (",",), [("微信", ""), ("电话", "")]),
        ("电 a b 微信", (" ",), [("电", ""), ("a b", ""), ("微信", "")]),
        ("电话;微信", (";", " "), [("电话", ""), ("微信", "")]),
        ("电话微信", TICKS, None),
        ("电话┋", TICKS, None),
        ("传真┋电话", TICKS, None),
        ("其他〖没有收尾", TICKS, None),
        ("", TICKS, None),
    ],
)
def test_a_cell_is_matched_against_the_listed_options(text, separators, found):
    assert split_options(text, OPTIONS, separators) == found


@given(st.lists(st.sampled_from(OPTIONS), min_size=1, max_size=6), st.text(max_size=8))
def test_what_a_platform_joins_comes_apart_again(chosen, filled):
    text = "┋".join(f"{option}〖{filled}〗" if option == "其他" else option for option in chosen)
    found = split_options(text, OPTIONS, TICKS)
    assert found is not None
    if "〗" not in filled:
        assert found == [(option, filled if option == "其他" else "") for option in chosen]


@given(st.text(st.sampled_from("电话微信其他〖〗┋,; a"), max_size=60))
def test_any_cell_ends_quickly_and_holds_nothing_but_listed_options(text):
    found = split_options(text, OPTIONS, ("┋", ",", ";", " "))
    assert found is None or {option for option, _ in found} <= set(OPTIONS)


def test_a_cell_made_to_exhaust_the_matcher_does_not():
    assert split_options("电话┋" * 100_000, OPTIONS, TICKS) is None
    assert split_options("其他〖" + "〗" * 3_000 + "x", OPTIONS, TICKS) is None
    assert split_options("┋".join(["电"] * 290), ["电"], TICKS) is not None
