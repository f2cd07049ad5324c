from __future__ import annotations

import pytest
from small_study import CODEBOOK, EARLIER, KEY, STUDY, TERM, lay_out

from cobench import store
from cobench.errors import StudyFileError
from cobench.ingest.codebook import instrument_ranges, load_codebook, term_codebooks
from cobench.ingest.ingest import ingest_term
from cobench.study import load_study


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
        (
            ("[options.agree]", '[directions]\nagree = "descending"\n[options.agree]'),
            "declared descending, but its values .* 1, 2, 3",
        ),
        (
            ("[options.agree]", '[directions]\nagre = "ascending"\n[options.agree]'),
            "directions.agre names 'agre'",
        ),
        (("[options.agree]", '[codes.agree]\n"1" = "从不"\n[options.agree]'), "codes.agree.1 names '从不'"),
        (('"符合" = 3', '"符合" = "?"'), "is a draft: 1 values are still"),
        (
            ('"符合" = 3', '"符合" = 3  # Confirm'),
            r"is a draft: 0 values .*1 lines are marked # confirm \(lines 10\)",
        ),
    ],
)
def test_a_wrong_codebook_is_refused(book, change, says):
    with pytest.raises(StudyFileError, match=says):
        load_codebook(book(CODEBOOK.replace(*change)))


def test_an_absent_codebook_is_named(tmp_path):
    with pytest.raises(StudyFileError, match=r"nothing\.toml"):
        load_codebook(tmp_path / "nothing.toml")


MULTIPLE = """
[options.way]
"电话" = 1
"微信" = 2
[[items]]
id = "way"
header = "6、方式"
kind = "multiple"
options = "way"
label = "way"
free_text = "redacted"
[[items]]
id = "rank"
header = "7、先后"
kind = "ranking"
options = "way"
label = "rank"
"""


def test_an_option_of_a_ticked_or_ranked_question_is_an_item_with_its_own_range(book):
    loaded = load_codebook(book(CODEBOOK + MULTIPLE))
    assert [each.id for each in loaded.stored] == [
        "p1", "p2", "way_1", "way_2", "way_text", "rank_1", "rank_2",
    ]  # fmt: skip
    ranges = loaded.ranges()
    assert (ranges["way_1"], ranges["rank_2"]) == ((0.0, 1.0), (1.0, 2.0)) and "way_text" not in ranges


def test_options_of_a_ticked_question_need_numbers_of_their_own(book):
    with pytest.raises(
        StudyFileError, match="item way: every option of a multiple question needs its own number"
    ):
        load_codebook(book(CODEBOOK + MULTIPLE.replace('"微信" = 2', '"微信" = 1')))


def test_a_codebook_of_open_questions_alone_is_refused(book):
    text = (
        CODEBOOK[: CODEBOOK.index("[[items]]")]
        + '[[items]]\nid = "o"\nheader = "x"\nkind = "text"\nlabel = "o"\n'
    )
    with pytest.raises(StudyFileError, match="no item is stored"):
        load_codebook(book(text))
    assert load_codebook(book(text + 'free_text = "redacted"\n')).stored[0].kind == "text"


def test_a_codebook_holds_only_for_the_terms_that_it_names(book):
    path = book('terms = ["2024-2025-2"]\n' + CODEBOOK)
    assert load_codebook(path, "2024-2025-2")
    with pytest.raises(StudyFileError, match="holds for 2024-2025-2, not for term 2025-2026-1"):
        load_codebook(path, "2025-2026-1")


@pytest.fixture
def versions(tmp_path):
    """The small study with a second version of its questionnaire in the later term."""
    root = lay_out(tmp_path / "tiny")
    text = STUDY.replace(
        'codebook = "codebooks/parents.toml"',
        f'versions = [{{codebook = "codebooks/later.toml", terms = ["{TERM}"]}}]\ncodebook = "codebooks/parents.toml"',
    )
    (root / "study.toml").write_text(text, encoding="utf-8")

    def later(book: str, scales: str = ""):
        (root / "codebooks" / "later.toml").write_text(book, encoding="utf-8")
        (root / "study.toml").write_text(text + scales, encoding="utf-8")
        return load_study(root)

    return later


LATER = CODEBOOK.replace('version = "1"', 'version = "2"')


def test_each_term_is_read_by_the_version_that_holds_for_it(versions):
    study = versions(LATER)
    assert term_codebooks(study, EARLIER)["parents"].version == "1"
    assert term_codebooks(study, TERM)["parents"].version == "2"
    ingest_term(study, TERM, key=KEY)
    assert store.read_table(study, "responses", [TERM])["version"].unique().tolist() == ["2"]


def test_an_item_keeps_its_values_in_all_versions(versions):
    assert instrument_ranges(versions(LATER))["parents"]["p1"] == (1.0, 3.0)
    with pytest.raises(
        StudyFileError, match="later.toml, item p1: its values run from 1 to 5, in another version"
    ):
        instrument_ranges(versions(LATER.replace('"符合" = 3', '"符合" = 5')))


def test_reverse_in_the_code_book_must_agree_with_the_scale(versions):
    scale = '[scales.trust]\nlabel = "t"\ninstrument = "parents"\nitems = ["p1", "p2"]\nreverse = ["p2"]\n'
    agreeing = LATER.replace('id = "p2"', 'id = "p2"\nreverse = true')
    assert term_codebooks(versions(agreeing, scale), TERM)
    with pytest.raises(
        StudyFileError, match=r"item p1 of parents: .*reverse = true, scales.trust.reverse says the opposite"
    ):
        term_codebooks(versions(LATER.replace('id = "p1"', 'id = "p1"\nreverse = true'), scale), TERM)


def test_a_version_for_an_unknown_or_a_doubled_term_is_refused(versions):
    study = versions(LATER)
    path = study.root / "study.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(f'terms = ["{TERM}"]', 'terms = ["2031"]'), encoding="utf-8")
    with pytest.raises(StudyFileError, match=r"instruments\.parents\.versions = '2031'"):
        load_study(study.root)
    path.write_text(text.replace(f'terms = ["{TERM}"]', f'terms = ["{TERM}", "{TERM}"]'), encoding="utf-8")
    with pytest.raises(StudyFileError, match="stands more than once"):
        load_study(study.root)
