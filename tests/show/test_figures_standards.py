"""Schools by standards: every standard once, no row of panels too wide, and what is said of it in words."""

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from cobench.release import release_aggregate, release_table
from cobench.show.figures_standards import MOST_COLUMNS, _bands, _panels, _width, standards_panels
from cobench.show.labels import Labels

PROFILES = {"P1": "plan", "P2": "plan", "Q1": "school", "R1": "county"}


@given(st.lists(st.integers(1, 60), min_size=1, max_size=8))
def test_every_standard_stands_once_and_no_row_is_too_wide(sizes):
    profiles = {
        f"{letter}{n}": letter for letter, size in zip("ABCDEFGH", sizes, strict=False) for n in range(size)
    }
    bands = _bands(_panels(list(profiles), profiles))
    drawn = [standard for band in bands for _, columns in band for standard in columns]
    assert sorted(drawn) == sorted(profiles)
    assert all(_width(band) <= MOST_COLUMNS for band in bands)
    assert all(profiles[each] == profile for band in bands for profile, columns in band for each in columns)


def test_narrow_panels_share_a_row_and_one_too_wide_for_it_starts_another():
    panels = [("a", ["x"] * 15), ("b", ["x"] * 10), ("c", ["x"] * 11)]
    assert [[name for name, _ in band] for band in _bands(panels)] == [["a", "b"], ["c"]]


def verdicts(language="en"):
    rows = [
        ("S1", "P1", "met"), ("S1", "P2", "not_met"), ("S1", "Q1", "not_met"), ("S1", "R1", "no_data"),
        ("S2", "P1", "met"), ("S2", "P2", "not_met"), ("S2", "Q1", "met"), ("S2", "R1", "not_yet_due"),
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["school", "standard", "verdict"])
    released = release_aggregate(frame.assign(n_met=3, n_units=[4] * 7 + [0]), about="events")
    return standards_panels(released, PROFILES, language=language, labels=Labels({}))


def test_the_alt_text_says_who_missed_most_and_which_standards_most_schools_missed():
    figure = verdicts()
    assert "3 of 6 verdicts due were met" in figure.alt
    assert "S1 2; S2 1" in figure.alt
    assert "P2 P2 2/2; Q1 Q1 1/2" in figure.alt and "P1 P1" not in figure.alt
    assert verdicts().png == figure.png and verdicts("zh").alt != figure.alt


def test_the_table_behind_has_a_line_a_standard_and_a_cell_a_school_and_carries_the_long_one():
    behind = verdicts().behind()
    assert behind.text.splitlines()[:3] == [
        "standard | S1 | S2",
        "P1 P1 | ✓ 3/4 | ✓ 3/4",
        "P2 P2 | ✗ 3/4 | ✗ 3/4",
    ]
    assert "R1 R1 | – 3/4 | …" in behind.text
    shown, long = behind.carried
    assert shown["rows"][1] == ["P2 P2", "✗ 3/4", "✗ 3/4"] and set(shown["printed"][1:]) == {"exact"}
    assert shown["id"] in behind.html and len(long["rows"]) == 8 and "n_units" in long["columns"]


def test_hidden_counts_stay_hidden_in_the_table_behind():
    frame = pd.DataFrame(
        {"school": ["S1", "S2"], "standard": "P1", "verdict": "not_met", "n_met": 12, "n_units": [40, 7]}
    )
    released = release_table(frame, counts=["n_units", "n_met"], min_cell=10)
    behind = standards_panels(released, PROFILES, language="en", labels=Labels({})).behind()
    assert "/<10" in behind.text and "/7" not in behind.html
