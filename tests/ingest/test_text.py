from __future__ import annotations

import pandas as pd
import pytest

from cobench.ingest.text import clean_text, header_key, map_unique, name_key, split_at_blanks, split_children


def test_full_width_forms_and_look_alike_radicals_become_plain_characters():
    assert clean_text("　８５（分）\u200b") == "85(分)"
    assert clean_text("⽬的、⻅面、⻓大") == "目的、见面、长大"


@pytest.mark.parametrize("typed", ["阿依·古丽", "阿依•古丽", "阿依・古丽", "阿依 古丽", "阿依‧古丽"])
def test_dots_and_blanks_in_a_name_do_not_matter(typed):
    assert name_key(typed) == "阿依古丽"


def test_one_cell_names_two_children_only_at_a_separator():
    assert split_children("张三、李 四") == ("张三", "李四")
    assert split_children("张三丰") == ("张三丰",)
    assert split_children("、") == ()


def test_blanks_separate_children_only_where_every_part_can_be_a_name():
    assert split_at_blanks("张三 李四") == ("张三", "李四")
    assert split_at_blanks("张 三") == ()


def test_headers_are_compared_without_blanks_asterisks_and_kinds_of_dash():
    assert (
        header_key("4、家校 沟通——老师*")
        == header_key("4、家校沟通—老师")
        == header_key("4、家校沟通-老师".replace("-", "–"))
    )


def test_values_are_converted_once_each_and_missing_ones_stay_apart():
    calls = []
    texts = pd.Series(["a", "b", "a", None], index=[5, 6, 7, 8], dtype="object")

    def convert(text):
        calls.append(text)
        return text if isinstance(text, str) else "none"

    assert map_unique(texts, convert).tolist() == ["a", "b", "a", "none"]
    assert len(calls) == 3
