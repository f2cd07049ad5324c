"""Questionnaires through the whole of ingest: counted, conserved, and rid of what nobody declared."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_study import CODEBOOK, EARLIER, KEY, SURVEY, SURVEY_HEADER, TERM, raw, response, write_xlsx

from cobench import store
from cobench.errors import CobenchError, UnknownLevelError
from cobench.ingest import batches, questionnaires
from cobench.ingest.codebook import load_codebook
from cobench.ingest.context import Context
from cobench.ingest.identities import read_identities
from cobench.ingest.ingest import ingest_term
from cobench.ingest.tidy_results import tidy_responses
from cobench.study import load_study

NUMBER = "370102201403151234"
FREE = f"赵一在家很好，电话13800138000，{NUMBER}"
KEPT = CODEBOOK.replace('kind = "text"', 'kind = "text"\nfree_text = "redacted"')


def survey(root, rows: list[list], name: str = SURVEY, book: str = CODEBOOK):
    (root / "codebooks" / "parents.toml").write_text(book, encoding="utf-8")
    write_xlsx(raw(root, name), {"Sheet1": [SURVEY_HEADER, *rows]})
    return load_study(root)


def test_recodes_are_stored_and_account_for_every_answer(root):
    study = survey(root, [response(1, "四(1)班", "赵一"), response(2, "四(1)班", "孙三", "(空)", "不知道")])
    ingest_term(study, TERM, key=KEY)
    recodes = store.read_table(study, "ingest_recodes", [TERM])
    assert list(recodes.columns) == [
        "term", "file", "instrument", "version", "item", "raw", "recoded", "value", "missing_reason", "n",
    ]  # fmt: skip
    counted = recodes.set_index(["item", "raw"])["n"].to_dict()
    assert counted == {("p1", "(空)"): 1, ("p1", "符合"): 1, ("p2", "不知道"): 1, ("p2", "不符合"): 1}
    responses = store.read_table(study, "responses", [TERM])
    after = responses.groupby(["item", "raw"]).size().to_dict()
    assert after == counted


def test_free_text_is_not_stored_anywhere_unless_declared(root):
    row = response(1, "四(1)班", "赵一")
    row[-1] = FREE
    study = survey(root, [row])
    ingest_term(study, TERM, key=KEY)
    responses = store.read_table(study, "responses", [TERM])
    assert set(responses["item"]) == {"p1", "p2"}
    held = [
        path
        for path in (study.root / "data" / "processed").rglob("*.parquet")
        if b"13800138000" in path.read_bytes()
    ]
    assert held == []


def test_declared_free_text_is_stored_without_names_and_numbers(root):
    rows = [response(1, "四(1)班", "赵一"), response(2, "四(1)班", "孙三")]
    rows[0][-1] = FREE
    study = survey(root, rows, book=KEPT)
    result = ingest_term(study, TERM, key=KEY)
    responses = store.read_table(study, "responses", [TERM])
    texts = responses.loc[responses["item"] == "open", "raw"].tolist()
    assert len(texts) == 2 and "谢谢老师" in texts
    assert not any(secret in text for text in texts for secret in ("赵一", "13800138000", NUMBER))
    assert responses.loc[responses["item"] == "open", "value"].isna().all()
    assert result.rules.loc[result.rules["rule"] == "redacted", "n"].tolist() == [1]


def test_a_student_number_links_where_the_questionnaire_asks_for_it(root):
    from small_study import number

    rows = [[*response(1, "四(1)班", "不在册"), number(1)], [*response(2, "四(1)班", "孙三"), ""]]
    book = CODEBOOK.replace('name = "3"}', 'name = "3", student_number = "6"}')
    (root / "codebooks" / "parents.toml").write_text(book, encoding="utf-8")
    write_xlsx(raw(root, SURVEY), {"Sheet1": [[*SURVEY_HEADER, "6、学籍号"], *rows]})
    study = load_study(root)
    result = ingest_term(study, TERM, key=KEY)
    links = result.links[result.links["table"] == "responses"]
    assert (links["n_by_number"].sum(), links["n_by_name"].sum()) == (1, 1)


def test_unlisted_options_of_several_questions_are_all_named_and_nothing_is_stored(root):
    study = survey(
        root, [response(1, "四(1)班", "赵一", "好", "不符合"), response(2, "四(1)班", "孙三", "符合", "坏")]
    )
    with pytest.raises(CobenchError, match="2 problems, nothing was stored") as caught:
        ingest_term(study, TERM, key=KEY)
    assert "row 2" in caught.value.en and "row 3" in caught.value.en and "坏" not in caught.value.en
    assert store.table_names(study) == ()


# ---- conservation ---------------------------------------------------------------------------------------

KNOWN = [
    "符合",
    "不符合",
    "一般，说不清",
    "(空)",
    "(跳过)",
    "〖跳过〗",
    "不知道",
    "",
    "符合〖其实不〗",
    "没有这个选项",
]
TIMES = ["2026/01/05 12:00:00", "", "昨天", "2026-02-30 12:00:00"]
SCHOOLS = ["一小", "S01", "", "没有的学校"]


@pytest.fixture(scope="module")
def context(ingested):
    study = load_study(ingested[0])
    roster = read_identities(study).astype("object")
    stored = {
        n: store.read_table(study, n, deliveries=[EARLIER])
        for n in ("contacts", "events", "attendance", "logs")
    }
    schools = store.read_table(study, "schools", [TERM])
    return Context(study, study.term(TERM), KEY, schools, roster.where(roster.notna(), None), stored)


LINE = st.tuples(
    st.sampled_from(TIMES),
    st.sampled_from(SCHOOLS),
    st.sampled_from(["四(1)班", "401", "?", ""]),
    st.sampled_from(["赵一", "孙 三", "查无此人", ""]),
    st.sampled_from(KNOWN),
    st.sampled_from(KNOWN),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=8),
)


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(lines=st.lists(st.one_of(LINE, st.just(("",) * 7)), max_size=8), kept=st.booleans())
def test_rows_in_are_rows_accepted_put_aside_or_no_data(context, tmp_path_factory, lines, kept):
    folder = tmp_path_factory.getbasetemp() / "conserved"
    folder.mkdir(exist_ok=True)
    (folder / "book.toml").write_text(KEPT if kept else CODEBOOK, encoding="utf-8")
    book = load_codebook(folder / "book.toml")
    rows = [[1, line[0], "12秒", "微信", "", "", *line[1:]] if any(line) else [""] for line in lines]
    path = folder / SURVEY
    try:
        write_xlsx(path, {"Sheet1": [SURVEY_HEADER, *rows]})
    except ValueError:
        return  # openpyxl refuses some characters
    source = next(each for each in context.study.sources if each.table == "responses")
    read = batches.read_file(batches.RawFile(path, SURVEY, source, ""), book)
    batch = batches.put_together(source, [read], {}, 100, book)
    assert read.rows_in == len(batch.cells) + len(read.non_data)
    assert batch.recodes.empty or (batch.recodes.groupby("item")["n"].sum() == len(batch.cells)).all()
    wrong = questionnaires.unknown_options(batch.cells, book)
    unlisted = any(cell in ("没有这个选项",) for line in lines for cell in line[4:6])
    assert bool(wrong) == unlisted and all(isinstance(error, UnknownLevelError) for error in wrong)
    if wrong:
        return
    tidy = tidy_responses(batch, context)
    accepted = set(tidy.tables["responses"]["rid"])
    put_aside = tidy.quarantined["rid"].tolist()
    assert len(put_aside) == len(set(put_aside)) and accepted.isdisjoint(put_aside)
    assert accepted | set(put_aside) == set(batch.cells.index)
    # Every accepted questionnaire has each item once: a value, or the reason why there is none.
    responses = tidy.tables["responses"]
    assert len(responses) == len(accepted) * len(book.stored)
    coded = responses[responses["item"] != "open"]
    assert (coded["value"].notna() != coded["missing_reason"].notna()).all()
