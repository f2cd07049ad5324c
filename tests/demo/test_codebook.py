"""Code books, calendar and study file agree."""

import tomllib
from pathlib import Path

import numpy as np
import pytest

from cobench.demo.calendar import TERMS
from cobench.demo.codebook import INSTRUMENTS, PARENT_SCALES, STUDENT_SCALES, codebook, codebook_text
from cobench.demo.surveys import BLANK, scale_score
from cobench.study import load_study

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("instrument", INSTRUMENTS)
def test_the_code_book_of_the_repository_is_the_one_that_ships(instrument):
    assert (ROOT / "codebooks" / f"{instrument}.toml").read_text(encoding="utf-8") == codebook_text(
        instrument
    )


@pytest.mark.parametrize(("instrument", "n_coded"), [("parents_v1", 29), ("students_v1", 22)])
def test_items_have_their_own_ids_and_headers(instrument, n_coded):
    book = codebook(instrument)
    assert len(book.coded) == n_coded
    assert len({item.id for item in book.items}) == len(book.items)
    assert len({item.header for item in book.items}) == len(book.items)
    assert all(len(item.texts) >= 3 for item in book.coded)


def test_every_code_book_entry_is_labelled_in_both_languages():
    for instrument in INSTRUMENTS:
        for item in tomllib.loads(codebook_text(instrument))["items"]:
            assert item["label"]["zh"] and item["label"]["en"]


def test_scales_and_calendar_are_those_of_the_study_file():
    study = load_study(ROOT)
    ours = PARENT_SCALES | STUDENT_SCALES
    assert {name: (scale.items, scale.reverse) for name, scale in study.scales.items()} == ours
    dates = (
        "id",
        "start",
        "end",
        "landmark",
        "exposure_end",
        "exam",
        "holidays",
        "baseline",
        "teaching_weeks",
    )
    for term, declared in zip(TERMS, study.terms, strict=True):
        assert [getattr(term, name) for name in dates] == [getattr(declared, name) for name in dates]


def test_a_scale_score_turns_reversed_items_and_needs_two_thirds():
    """trust: 5, 4, 3, 2 and a reversed 1 (5 after turning) make 19 / 5; with three answers left it is missing."""
    book = codebook("parents_v1")
    codes = np.full((2, len(book.coded)), BLANK)
    columns = [book.column(f"p0{each}") for each in range(1, 6)]
    codes[0, columns] = [4, 3, 2, 1, 0]
    codes[1, columns[:3]] = [4, 3, 2]
    assert scale_score(codes, book, "trust")[0] == pytest.approx(19 / 5)
    assert np.isnan(scale_score(codes, book, "trust")[1])
