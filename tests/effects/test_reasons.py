"""Claims about reasons: both languages, the same slots, found again from the English text."""

import re

import pytest

from cobench.effects.reasons import REASONS, not_estimable, reason_in


@pytest.mark.parametrize("key", REASONS)
def test_both_languages_hold_the_same_slots(key):
    text = REASONS[key]
    slots = set(re.findall(r"{(\w+)}", text.en))
    assert slots == set(re.findall(r"{(\w+)}", text.zh))


@pytest.mark.parametrize("key", REASONS)
def test_the_chinese_text_is_found_from_the_english_one(key):
    slots = {name: f"<{name}>" for name in re.findall(r"{(\w+)}", REASONS[key].en)}
    error = not_estimable(key, **slots)
    assert reason_in(error.en, "zh") == error.zh
    assert re.search(r"[\u4e00-\u9fff]", error.zh)


def test_an_arm_is_named_in_the_language_of_the_reason():
    error = not_estimable("ate_off_support", where="white = false", arm="exposed students")
    assert "exposed" not in error.zh
    assert reason_in(error.en, "zh") == error.zh


def test_a_foreign_reason_comes_back_as_it_is():
    assert reason_in("because", "zh") == "because"
    assert reason_in("no rows", "en") == "no rows"
