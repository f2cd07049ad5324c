"""Invented people: valid checksums, no namesakes but the planted ones."""

from collections import Counter

import numpy as np
import pytest

from cobench.demo.calendar import TERMS
from cobench.demo.names import RARE, check_character, number_is_valid


@pytest.mark.parametrize(("body", "check"), [("11010519491231002", "X"), ("44052418800101001", "4")])
def test_check_character_matches_the_examples_of_gb_11643(body, check):
    assert check_character(np.array([body])) == [check]


def test_every_student_number_is_valid_and_its_own(district):
    numbers = district.people["student_number"]
    assert numbers.is_unique
    assert set(numbers.str[0]) == {"G", "J", "L"}
    assert all(map(number_is_valid, numbers))


def test_a_changed_digit_makes_a_number_invalid(district):
    number = district.people["student_number"].iloc[0]
    changed = number[:10] + str((int(number[10]) + 1) % 10) + number[11:]
    assert not number_is_valid(changed)


def test_region_code_belongs_to_no_place(district):
    assert set(district.people["student_number"].str[1:7]) == {"999901"}


def test_classes_hold_no_namesakes_but_the_two_planted_pairs(district):
    names = district.people["name"].to_numpy()
    for term in range(len(TERMS)):
        frame = district.records[term].district
        listed = np.flatnonzero(frame.class_of[term] >= 0)
        keys = list(zip(frame.class_of[term][listed], names[listed], strict=True))
        counts = Counter(keys)
        twice = {key for key in keys if counts[key] > 1}
        twins = set(np.flatnonzero(frame.ambiguous))
        assert {person for person, key in zip(listed, keys, strict=True) if key in twice} == twins & set(
            listed
        )
        assert len(twins) == 4


def test_names_include_dots_rare_characters_and_namesakes_across_schools(district):
    names = district.people["name"]
    assert names.str.contains("·").sum() > 10
    assert names.map(lambda name: any(each in name for each in RARE)).sum() > 10
    assert names.duplicated().sum() > 50
