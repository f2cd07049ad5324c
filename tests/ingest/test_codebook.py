from __future__ import annotations

import pytest
from small_study import CODEBOOK

from cobench.errors import StudyFileError
from cobench.ingest.codebook import load_codebook


@pytest.fixture
def book(tmp_path):
    path = tmp_path / "parents.toml"

    def write(text: str = CODEBOOK):
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_ranges_come_from_the_options(book):
    assert load_codebook(book()).ranges() == {"p1": (1.0, 3.0), "p2": (1.0, 3.0)}


def test_open_questions_are_no_coded_items(book):
    assert [item.id for item in load_codebook(book()).coded] == ["p1", "p2"]


def test_the_codebooks_of_the_demo_district_load():
    from importlib.resources import files

    for name, n_items in (("parents_v1", 29), ("students_v1", 22)):
        loaded = load_codebook(files("cobench.demo") / "codebooks" / f"{name}.toml")
        assert len(loaded.coded) == n_items


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (('options = "agree"', 'options = "agre"'), "options 'agre' are not declared"),
        (('id = "p2"', 'id = "p1"'), "id 'p1' stands more than once"),
        (("4、家校沟通—我能联系到老师", "4、家校沟通——老师愿意听我说"), "stands more than once"),
        (('"不符合" = 1', '"符　合" = 1\n"符 合" = 4'), "lists one text twice"),
        (('version = "1"', 'versions = "1"'), "unknown key versions"),
        (('version = "1"', "version = "), "can't be read"),
    ],
)
def test_a_wrong_codebook_is_refused(book, change, says):
    with pytest.raises(StudyFileError, match=says):
        load_codebook(book(CODEBOOK.replace(*change)))


def test_an_absent_codebook_is_named(tmp_path):
    with pytest.raises(StudyFileError, match=r"nothing\.toml"):
        load_codebook(tmp_path / "nothing.toml")
