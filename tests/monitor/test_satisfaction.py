"""What silence does to satisfaction: weights mend what is known, bounds hold whatever isn't."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cobench.declared import Text
from cobench.monitor.satisfaction import ALIKE, answers, by_lecture, estimate, estimates, weights
from cobench.study import Term
from cobench.tables import conform


def _roster(**columns) -> pd.DataFrame:
    n = len(next(iter(columns.values())))
    plain = {"school": "A", "class_id": "A1", "grade": 1, "sex": "f", "key_student": False}
    return pd.DataFrame({"student": [f"c{i}" for i in range(n)], **plain, **columns})


def test_an_answer_stands_for_the_families_like_it():
    # School A: 10 asked, 10 answered 5. School B: 30 asked, 10 answered 3. Raw 4; all 40 families: 3.5.
    roster = _roster(
        school=["A"] * 10 + ["B"] * 30, class_id=["A1"] * 5 + ["A2"] * 5 + ["B1"] * 15 + ["B2"] * 15
    )
    value = np.array([5.0] * 10 + [3.0] * 10 + [np.nan] * 20)
    found = estimate(roster, value, (1, 5))
    assert found["raw"] == 4 and found["weighted"] == pytest.approx(3.5)
    assert found["response_rate"] == 0.5
    # All silent at 1: (80 + 20) / 40; all at 5: (80 + 100) / 40.
    assert (found["bound_low"], found["bound_high"]) == (2.5, 4.5)


def test_the_error_is_that_of_class_totals():
    # Two classes of two, all answered: residuals -1, -1 and 1, 1 sum to -2 and 2; 2/(2-1) x 8 = 16; root / 4 = 1.
    roster = _roster(class_id=["A1", "A1", "A2", "A2"])
    found = estimate(roster, np.array([1.0, 1.0, 3.0, 3.0]), (1, 5))
    assert found["std_error"] == pytest.approx(1.0) and found["df"] == 1


def test_one_class_or_no_answer_gives_no_interval():
    one = estimate(_roster(class_id=["A1"] * 6), np.array([1.0, 2, 3, 4, 5, np.nan]), (1, 5))
    assert "std_error" not in one and one["weighted"] == 3
    none = estimate(_roster(class_id=["A1"] * 6), np.full(6, np.nan), (1, 5))
    assert "raw" not in none and (none["bound_low"], none["bound_high"]) == (1, 5)


def test_a_cell_without_enough_answers_joins_its_neighbours():
    # Grade 2 has 1 answer of 9: it joins nobody else in school A, so in the end all who answered speak for it.
    roster = _roster(grade=[1] * 10 + [2] * 9)
    answered = np.array([True] * 10 + [True] + [False] * 8)
    weight, _ = weights(roster, answered, ("school", "grade"))
    assert weight.sum() == pytest.approx(19)
    assert weight[10] < 9 * 1.8  # not what nine families weigh against a single answer times the rest


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.05, 1.0))
def test_weights_add_up_and_bounds_hold(seed, rate):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 120))
    school = rng.integers(0, 4, n).astype(str)
    roster = _roster(
        school=school, class_id=school, grade=rng.integers(1, 4, n), sex=rng.choice(["f", "m"], n)
    )
    truth = rng.integers(1, 6, n).astype(float)
    # Silence may depend on the answer itself: no weight mends that, and the bounds hold all the same.
    answered = rng.random(n) < rate * np.where(truth < 3, 0.3, 1.0)
    found = estimate(roster, np.where(answered, truth, np.nan), (1, 5))
    assert found["bound_low"] - 1e-9 <= truth.mean() <= found["bound_high"] + 1e-9
    if answered.any():
        weight, _ = weights(roster, answered)
        assert weight.sum() == pytest.approx(n) and (weight[answered] >= 1 - 1e-9).all()
        assert found["bound_low"] - 1e-9 <= found["weighted"] <= found["bound_high"] + 1e-9


def _district(rng) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """40 classes of 30 in 10 schools: families of key students are less content and answer half as often."""
    classes = np.repeat(np.arange(40), 30)
    key = rng.random(1200) < 0.3
    quality = 0.3 * rng.standard_normal(40)
    score = 4 + quality[classes] - 0.8 * key + 0.8 * rng.standard_normal(1200)
    truth = np.clip(np.round(score), 1, 5)
    school = classes // 4
    answered = rng.random(1200) < np.where(key, 0.4, 0.85) - 0.02 * school
    roster = _roster(
        school=school.astype(str), class_id=classes.astype(str), grade=classes % 4 + 1, sex=rng.choice(["f", "m"], 1200),
        key_student=key,
    )  # fmt: skip
    return roster, truth, answered


def test_weighting_comes_nearer_the_truth_where_silence_depends_on_what_is_known():
    rng = np.random.default_rng(11)
    raw, weighted, held, values, errors = [], [], [], [], []
    for _ in range(60):
        roster, truth, answered = _district(rng)
        found = estimate(roster, np.where(answered, truth, np.nan), (1, 5))
        raw.append(found["raw"] - truth.mean())
        weighted.append(found["weighted"] - truth.mean())
        held.append(found["conf_low"] <= truth.mean() <= found["conf_high"])
        values.append(found["weighted"])
        errors.append(found["std_error"])
        assert found["bound_low"] <= truth.mean() <= found["bound_high"]
    # Answers are 0.1 too good as they come; weighted they are right but for chance (about 0.02 a district).
    assert np.mean(raw) > 0.06 and abs(np.mean(weighted)) < 0.015
    assert np.mean(np.abs(weighted)) < 0.5 * np.mean(np.abs(raw))
    assert np.mean(held) >= 0.93  # errors are those of such classes, so for these families alone rather wide
    # Over districts drawn anew the error is what the estimates vary by; 60 draws know that to 9 %.
    assert np.mean(errors) == pytest.approx(np.std(values, ddof=1), rel=0.3)


def test_top_two_box_and_knowledge_are_shares_of_the_families():
    roster = _roster(class_id=["A1", "A1", "A2", "A2", "A2"])
    given_ = pd.DataFrame(
        {"p23": [5.0, 4, 3, 1], "k1": [1.0, 1, 0, 1], "k_all": [1.0, 0, 0, 1]}, index=["c0", "c1", "c2", "c3"]
    )
    found = estimates(roster, given_, {"p23": (1, 5)}).set_index(["item", "statistic"])
    assert found.loc[("p23", "top_two"), "raw"] == 0.5 and found.loc[("p23", "mean"), "raw"] == 3.25
    assert found.loc[("k1", "rate"), "raw"] == 0.75 and found.loc[("k_all", "rate"), "raw"] == 0.5
    assert found.loc[("k1", "rate"), ["bound_low", "bound_high"]].tolist() == [0.6, 0.8]


TERM = Term("t1", pd.Timestamp("2026-03-02").date(), pd.Timestamp("2026-07-10").date(), Text("t1", "t1"))


def _answered(rows) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["student", "item", "value"])
    return conform("responses", frame.assign(term="t1", instrument="parents_v1"))


def test_two_parents_count_once_and_a_blank_is_not_right():
    found = answers(
        TERM,
        _answered([
            ("a", "p23", 5), ("a", "p23", 3), ("a", "k1", 1), ("a", "k2", np.nan), ("b", "k1", 1), ("b", "k2", 1),
            (None, "p23", 1), ("a", "p01", 1),
        ]),
    )  # fmt: skip
    assert found.loc["a", "p23"] == 4 and found.loc["a", "k_all"] == 0 and found.loc["b", "k_all"] == 1
    assert "p01" not in found and len(found) == 2


def _lectures(rng, *, spread: float) -> tuple[dict[str, pd.DataFrame], pd.DataFrame, pd.DataFrame]:
    n_schools, topics, per = 12, 10, 12
    rows = [
        (f"{s}-{t}-{i}", f"S{s}", f"S{s}C{t}", f"e{s}-{t}", t)
        for s in range(n_schools) for t in range(topics) for i in range(per)
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["student", "school", "class_id", "event", "topic"])
    truth = np.linspace(-spread, spread, topics)
    school = 0.2 * rng.standard_normal(n_schools)
    value = (
        4
        + truth[frame["topic"]]
        + school[frame["school"].str[1:].astype(int)]
        + rng.standard_normal(len(frame))
    )
    events = frame.drop_duplicates("event").assign(
        topic=lambda f: "T" + f["topic"].astype(str), kind="lecture", term="t1"
    )
    frames = {
        "events": conform("events", events.assign(speaker="p_" + events["topic"])),
        "attendance": conform("attendance", frame.assign(term="t1", present=True)),
    }
    roster = frame.assign(grade=1, sex="f", key_student=False)
    return frames, roster, pd.DataFrame({"p21": value}, index=frame["student"].to_numpy())


def test_topics_that_do_not_differ_are_not_told_apart():
    wrong = []
    for seed in range(8):
        found = by_lecture(TERM, *_lectures(np.random.default_rng(seed), spread=0.0))
        wrong.append((found.loc[found["by"] == "topic", "verdict"] != ALIKE).sum())
    # 80 topics without any difference: intervals that were not shrunken would call about 4 of them different.
    assert sum(wrong) <= 2


def test_topics_that_differ_are_and_values_are_shrunken():
    found = by_lecture(TERM, *_lectures(np.random.default_rng(2), spread=0.6))
    topic = found[found["by"] == "topic"].set_index("level")
    assert topic.loc["T9", "verdict"] == "above" and topic.loc["T0", "verdict"] == "below"
    own = topic["mean"] - topic["mean"].mean()
    assert abs(topic.loc["T9", "difference"]) < abs(own["T9"])
    speakers = found.loc[found["by"] == "speaker", "level"]
    assert speakers.tolist() == [f"{place:02d}" for place in range(1, 11)]  # numbered, never named
    assert topic.index.tolist() == sorted(topic.index)


def test_families_of_several_topics_answer_for_none():
    frames, roster, given_ = _lectures(np.random.default_rng(2), spread=0.0)
    twice = frames["attendance"].iloc[[0]].assign(event="e0-1")
    frames["attendance"] = pd.concat([frames["attendance"], twice], ignore_index=True)
    found = by_lecture(TERM, frames, roster, given_)
    assert found.loc[found["by"] == "topic", "n"].sum() == len(roster) - 1


def test_a_single_topic_has_a_reason_and_no_difference():
    frames, roster, given_ = _lectures(np.random.default_rng(2), spread=0.0)
    frames["events"] = frames["events"].assign(topic="T0", speaker="p_one")
    found = by_lecture(TERM, frames, roster, given_)
    assert found["difference"].isna().all() and found["reason_zh"].notna().all()
