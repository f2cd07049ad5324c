"""Both languages together, with the same slots."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cobench.effects.estimates import VOCABULARY
from cobench.errors import CobenchError
from cobench.show import number, phrases, say
from cobench.show.wording import LANGUAGES, MINUS, p_text, slots, wording


@pytest.mark.parametrize("key", sorted(wording()))
def test_every_phrase_has_both_languages_with_the_same_slots(key):
    phrase = wording()[key]
    assert set(phrase) == set(LANGUAGES)
    assert slots(phrase["zh"]) == slots(phrase["en"])
    assert phrase["zh"].strip() and phrase["en"].strip()


def test_english_phrases_hold_no_chinese_and_no_double_blanks():
    for key, phrase in wording().items():
        text = re.sub("“[^”]*”|\\([\u4e00-\u9fff]+\\)", "", phrase["en"])  # a word to be typed may be quoted
        assert not re.search("[\u4e00-\u9fff，。；：（）]", text), key
        assert "  " not in phrase["en"] and "  " not in phrase["zh"], key


def test_chinese_sentences_use_chinese_punctuation():
    for key, phrase in wording().items():
        assert not re.search("[\u4e00-\u9fff][,;:?!(]", phrase["zh"]), key


def test_unknown_phrases_and_wrong_slots_stop():
    with pytest.raises(CobenchError, match="no phrase"):
        say("effect.nothing", "zh")
    with pytest.raises(CobenchError, match="slots"):
        say("figure.n_single", "en")
    with pytest.raises(CobenchError, match="slots"):
        say("figure.n_single", "en", n=1, m=2)


def test_fixed_phrases_are_known_to_the_identifier_scan():
    assert "本学期无法判断" in phrases()
    assert all(re.fullmatch("[\u4e00-\u9fff]{2,}", phrase) for phrase in phrases())


@given(st.floats(-1e6, 1e6), st.integers(0, 4))
def test_numbers_read_back_and_never_show_a_negative_zero(value, digits):
    text = number(value, digits)
    read = float(text.replace(MINUS, "-").replace(",", ""))
    assert read == pytest.approx(round(value, digits), abs=10**-digits / 2 * 1.001)
    assert not re.fullmatch(f"{MINUS}[0.]+", text)


def test_small_p_values_are_bounded():
    assert (p_text(0.0004), p_text(0.0421)) == ("< 0.001", "0.042")


@pytest.mark.parametrize("column", ["method", "estimand", "role", "status", "evidence"])
def test_every_word_of_the_frame_of_estimates_can_be_said_in_both_languages(column):
    for word in VOCABULARY[column]:
        said = {language: say(f"{column}.{word}", language) for language in ("zh", "en")}
        assert all(said.values()) and word not in (said["zh"], ""), word
