"""What may be said about an effect follows from its evidence."""

import re

import numpy as np
import pytest
from causal_words import BELOW, CAUSAL
from scipy import stats

from cobench.show import effect_sentence, evidence_badge, finding
from cobench.show.wording import wording


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("evidence", BELOW)
@pytest.mark.parametrize("estimate_", [0.12, -0.12, 0.01])
@pytest.mark.parametrize("outcome", ["math", "absences"])
def test_no_causal_verb_below_quasi_experimental(estimate, labels, language, evidence, estimate_, outcome):
    row = estimate(evidence=evidence, estimate=estimate_, outcome=outcome, effect_size=estimate_)
    sentence = effect_sentence(row, labels, language, sensitivity="x")
    # an unmeasured cause is what could explain the difference, not what the treatment did
    sentence = sentence.replace("unmeasured cause", "")
    assert not re.search(CAUSAL[language], sentence, re.IGNORECASE), sentence


@pytest.mark.parametrize("language", ["zh", "en"])
def test_wording_below_quasi_experimental_has_no_causal_verb_in_the_file_either(language):
    for key, phrase in wording().items():
        if key.startswith(tuple(f"effect.{evidence}" for evidence in BELOW)):
            assert not re.search(CAUSAL[language], phrase[language], re.IGNORECASE), key


def test_the_causal_word_list_would_catch_a_causal_sentence(estimate, labels):
    row = estimate(evidence="randomised")
    for language in ("zh", "en"):
        assert re.search(CAUSAL[language], effect_sentence(row, labels, language))


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("evidence", ["randomised", "quasi_experimental", *BELOW])
def test_not_detected_is_always_said_with_the_smallest_detectable_effect(
    estimate, labels, language, evidence
):
    row = estimate(evidence=evidence, estimate=0.01, effect_size=0.01, std_error=0.05, df=20.0)
    sentence = effect_sentence(row, labels, language)
    m = (stats.t.ppf(0.975, 20) + stats.t.ppf(0.80, 20)) * 0.05
    assert f"{m:.2f}" == "0.15"
    assert {"zh": "没有发现", "en": "detected"}[language] in sentence
    assert re.search({"zh": "0.15 个标准差或更大", "en": r"0\.15 SD or more"}[language], sentence)
    assert "80%" in sentence


def test_a_finding_names_its_size_interval_and_groups(estimate, labels):
    sentence = effect_sentence(estimate(outcome="absences", estimate=-0.8, std_error=0.2), labels, "en")
    for part in ("0.80 days lower", "95% CI −1.20 to −0.40", "“targeted home visit”", "“no contact”", "12%"):
        assert part in sentence
    sentence = effect_sentence(estimate(outcome="absences", estimate=-0.8, std_error=0.2), labels, "zh")
    for part in ("少 0.80 天", "95% 置信区间 −1.20 至 −0.40", "“重点入户家访”", "“未家访”"):
        assert part in sentence


def test_randomised_and_quasi_experimental_speak_of_effects(estimate, labels):
    assert "raised maths score by 0.12 SD" in effect_sentence(estimate(evidence="randomised"), labels, "en")
    sentence = effect_sentence(
        estimate(evidence="quasi_experimental"), labels, "en", assumption="trends were parallel"
    )
    assert "is estimated to have raised" in sentence and "if trends were parallel" in sentence
    assert "使缺勤天数减少了" in effect_sentence(
        estimate(evidence="randomised", outcome="absences", estimate=-0.8), labels, "zh"
    )


def test_a_difference_lost_to_multiplicity_says_so(estimate, labels):
    assert "adjusted p = 0.080" in effect_sentence(estimate(p_adjusted=0.08), labels, "en")
    assert "adjusted p" not in effect_sentence(estimate(p_adjusted=0.01), labels, "en")


@pytest.mark.parametrize(
    ("reason", "zh", "en"),
    [
        ("no_common_test", "没有全区统一测试", "no common test"),
        ("math has the same value for everybody", "取值全部相同", "the same value for everybody"),
        ("the dog ate it.", "the dog ate it", "the dog ate it"),
    ],
)
def test_what_cannot_be_answered_says_why_and_what_would_help(estimate, labels, reason, zh, en):
    row = estimate(status="not_estimable", evidence="not_estimable", reason=reason, estimate=np.nan)
    chinese = effect_sentence(row, labels, "zh", remedy="统一测试一次")
    english = effect_sentence(row, labels, "en", remedy="one test is held")
    assert "本学期无法判断" in chinese and zh in chinese and "如果统一测试一次，下学期可以回答" in chinese
    assert (
        "cannot be answered this term" in english
        and en in english
        and "next term, if one test is held" in english
    )


def test_a_hidden_row_says_that_it_is_hidden(estimates, labels):
    row = estimates.frame.iloc[3]
    assert "人数太少" in effect_sentence(row, labels, "zh")
    assert "too small" in effect_sentence(row, labels, "en")


@pytest.mark.parametrize(
    ("subgroup", "zh", "en"),
    [
        ("sex=f", "在女中", "Among girls"),
        ("category:left_behind=1", "在留守中", "Among left behind"),
        ("", "“重点", "On "),
    ],
)
def test_subgroups_come_first(estimate, labels, subgroup, zh, en):
    assert effect_sentence(estimate(subgroup=subgroup), labels, "zh").startswith(zh)
    assert effect_sentence(estimate(subgroup=subgroup), labels, "en").startswith(en)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_badges_name_the_evidence_and_say_why(language):
    for kind in ("randomised", "quasi_experimental", "adjusted_association", "descriptive", "not_estimable"):
        badge = evidence_badge(kind, language)
        assert (
            f'data-evidence="{kind}"' in badge
            and 'title="' in badge
            and wording()[f"evidence.{kind}"][language] in badge
        )
    assert "&lt;b&gt;" in evidence_badge("descriptive", language, why="<b>")


def test_a_finding_is_a_sentence_with_a_badge(estimate, labels):
    shown = finding(estimate(), labels, "zh")
    assert 'class="finding"' in shown.html and "data-evidence" in shown.html
    assert shown.text.endswith("[调整后的关联]")
