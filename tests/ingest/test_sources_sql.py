"""A query as a source, against SQLite for its rules and against a real PostgreSQL for the rest."""

from __future__ import annotations

import io
import sqlite3

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pandas.testing import assert_frame_equal
from small_study import EARLIER, KEY, LOG, STUDY, TERM, lay_out, log_rows, raw

from cobench import store
from cobench.errors import CobenchError, IngestError, StudyFileError, UnreadableFileError
from cobench.files import file_hash
from cobench.ingest import sources_sql
from cobench.ingest.ingest import ingest_term, ingest_terms
from cobench.ingest.readers import read_cells
from cobench.study import load_study
from cobench.workbench import prepare

pytest.importorskip("sqlalchemy", reason="SQLAlchemy is not installed (extra sources)")
FILES = 'files = "data/raw/{term}/*/家访记录*"\nschool = "folder"\ncolumns = {date'
QUERY = "select school as 学校, day as 日期, child as 学生姓名, class as 班级, mode as 家访方式, kind as 类型 from visits where day between :start and :end"


def declare(root, url: str, query: str = QUERY, more: str = "") -> None:
    """The visit log comes from a query instead of files."""
    given = f'sql = {{url = "{url}", query = "{query}"{more}}}\ncolumns = {{school = "学校", date'
    text = STUDY.replace(FILES, given).replace(', minutes = "时长", entered_at = "录入时间"}', "}")
    text = text.replace('optional = ["minutes", "entered_at"]\n', "", 1)
    assert text.count("sql = ") == 1
    (root / "study.toml").write_text(text, encoding="utf-8")


VISITS = [
    ("S01", f"2025-10-{day:02d}", row[1], row[2], row[3], row[4]) for day, row in enumerate(log_rows(), 9)
]


@pytest.fixture
def sqlite(tmp_path):
    """A small study whose visit log is a SQLite file inside it."""
    root = lay_out(tmp_path / "tiny")
    raw(root, LOG).unlink()
    raw(root, LOG, EARLIER).unlink()
    with sqlite3.connect(root / "visits.db") as base:
        base.execute("create table visits (school, day, child, class, mode, kind)")
        base.executemany("insert into visits values (?, ?, ?, ?, ?, ?)", VISITS)
    base.close()
    declare(root, "sqlite:///visits.db")
    return root


def change(root, sql: str) -> None:
    with sqlite3.connect(root / "visits.db") as base:
        base.execute(sql)
    base.close()


def test_rows_of_a_query_are_conserved_like_those_of_a_file(sqlite):
    result = ingest_term(load_study(sqlite), TERM, key=KEY)
    (row,) = result.files[result.files["file"].str.endswith(".parquet")].to_dict("records")
    assert row["file"].startswith(f"data/raw/{TERM}/sql/contacts-")
    assert (row["rows_in"], row["kind"], row["non_data"]) == (5, "contacts", 1)
    assert row["accepted"] + row["quarantined"] + row["non_data"] == row["rows_in"]
    assert row["sha256"] == file_hash(sqlite / row["file"])
    contacts = store.read_table(load_study(sqlite), "contacts", [TERM])
    assert len(contacts) == 5  # four rows, one of two children


def test_the_same_rows_give_the_same_file_whatever_their_order(sqlite):
    study = load_study(sqlite)
    sources_sql.refresh(study, study.term(TERM))
    (kept,) = (sqlite / f"data/raw/{TERM}/sql").iterdir()
    before, stamp = kept.read_bytes(), kept.stat().st_mtime_ns
    change(sqlite, "create table other as select * from visits order by child desc")
    change(sqlite, "drop table visits")
    change(sqlite, "alter table other rename to visits")
    sources_sql.refresh(study, study.term(TERM))
    assert (kept.read_bytes(), kept.stat().st_mtime_ns) == (before, stamp)
    change(sqlite, "delete from visits where child = '李四'")
    sources_sql.refresh(study, study.term(TERM))
    assert kept.read_bytes() != before


def test_rows_of_a_query_that_is_no_longer_declared_go(sqlite):
    study = load_study(sqlite)
    sources_sql.refresh(study, study.term(TERM))
    declare(sqlite, "sqlite:///visits.db", QUERY + " ")
    sources_sql.refresh(load_study(sqlite), study.term(TERM))
    assert len(list((sqlite / f"data/raw/{TERM}/sql").iterdir())) == 1


def test_values_of_every_type_come_as_text(sqlite):
    select = "select 12345678901234567 as id, 1.5 as x, 2.0 as y, null as n, '' as e, 'a\U0001f600' as t, '2025-10-09' as d"
    declare(sqlite, "sqlite:///visits.db", select)
    study = load_study(sqlite)
    sources_sql.refresh(study, study.term(TERM))
    (kept,) = (sqlite / f"data/raw/{TERM}/sql").iterdir()
    sheet = read_cells(kept)[0]
    assert sheet.text.tolist()[1] == ["12345678901234567", "1.5", "2", "", "", "a\U0001f600", "2025-10-09"]


def test_a_query_without_rows_is_a_file_with_a_header_alone(sqlite):
    declare(sqlite, "sqlite:///visits.db", QUERY + " and 1 = 0")
    result = ingest_term(load_study(sqlite), TERM, key=KEY)
    assert result.files.loc[result.files["file"].str.endswith(".parquet"), "rows_in"].tolist() == [1]


@pytest.mark.parametrize(
    ("url", "query", "error", "says"),
    [
        ("postgresql+psycopg://u:hush@h/d", QUERY, StudyFileError, r"sources\[3\]\.sql\.url holds a password.*COBENCH_SQL_PASSWORD"),
        ("postgresql+psycopg://u@h/d?password=hush", QUERY, StudyFileError, "holds a password"),
        ("visits.db", QUERY, StudyFileError, r"sources\[3\]\.sql\.url is no database address"),
        ("sqlite:///visits.db", "delete from visits", StudyFileError, "must begin with select"),
        ("sqlite:///visits.db", "select 1 as a, 2 as a", StudyFileError, "column a twice"),
        ("sqlite:///visits.db", "select :who as a", StudyFileError, "uses :who; it may use :term"),
        ("sqlite:///nothing.db", QUERY, IngestError, "no database file nothing.db"),
        ("sqlite:///visits.db", "select * from nowhere", IngestError, r"sources\[3\]\.sql"),
        ("oddbase://h/d", QUERY, IngestError, "driver of this database is not installed"),
    ],
)  # fmt: skip
def test_a_wrong_declaration_is_refused_with_key_path_and_way_out(sqlite, url, query, error, says):
    declare(sqlite, url, query)
    with pytest.raises(error, match=says) as caught:
        ingest_term(load_study(sqlite), TERM, key=KEY)
    assert "hush" not in caught.value.en + caught.value.zh


def test_files_and_sql_together_are_refused(sqlite):
    text = (sqlite / "study.toml").read_text(encoding="utf-8")
    (sqlite / "study.toml").write_text(text.replace("sql = {", 'files = "x"\nsql = {'), encoding="utf-8")
    with pytest.raises(StudyFileError, match=r"sources\[3\] must give either files"):
        load_study(sqlite)


def test_an_unreachable_server_is_named_without_the_password(sqlite, monkeypatch):
    pytest.importorskip("psycopg", reason="psycopg is not installed (extra sources)")
    monkeypatch.setenv("COBENCH_SQL_PASSWORD", "hush-hush")
    declare(sqlite, "postgresql+psycopg://reader@127.0.0.1:1/district")
    with pytest.raises(IngestError, match=r"sources\[3\]\.sql\.url: the database can't be reached") as caught:
        ingest_term(load_study(sqlite), TERM, key=KEY)
    assert "hush" not in caught.value.en + caught.value.zh + repr(caught.value.__cause__)


def test_a_driver_that_repeats_the_password_is_not_repeated(sqlite, monkeypatch):
    from sqlalchemy.exc import OperationalError

    def fail(*_):
        raise OperationalError("", None, Exception("no route for u:hush-hush@h"))

    monkeypatch.setenv("COBENCH_SQL_PASSWORD", "hush-hush")
    monkeypatch.setattr(sources_sql, "_fetch", fail)
    with pytest.raises(IngestError, match=r"no route for u:\*\*\*@h") as caught:
        ingest_term(load_study(sqlite), TERM, key=KEY)
    assert "hush" not in caught.value.en + caught.value.zh


def test_a_parquet_file_of_somebody_else_is_refused(tmp_path):
    pq.write_table(pa.table({"a": ["1"]}), tmp_path / "a.parquet")
    with pytest.raises(UnreadableFileError, match="no query of cobench made"):
        read_cells(tmp_path / "a.parquet")


def test_a_kept_file_cut_anywhere_is_refused(sqlite):
    study = load_study(sqlite)
    sources_sql.refresh(study, study.term(TERM))
    (kept,) = (sqlite / f"data/raw/{TERM}/sql").iterdir()
    data = kept.read_bytes()
    for size in range(4, len(data), 97):
        with pytest.raises(CobenchError):
            sources_sql.read_snapshot(data[:size], "a.parquet")
    assert sources_sql.read_snapshot(io.BytesIO(data).read(), "a.parquet").n_rows == 5


def test_a_changed_database_makes_its_term_be_read_again_and_an_unchanged_one_does_not(sqlite, monkeypatch):
    study, read = load_study(sqlite), []
    monkeypatch.setattr(prepare, "study_key", lambda *_: KEY)
    monkeypatch.setattr(prepare.stage, "prepare", lambda *_, **__: None)
    monkeypatch.setattr(
        prepare,
        "ingest_terms",
        lambda study, terms, **more: read.extend(changed := ingest_terms(study, terms, **more)) or changed,
    )
    prepare.bring_up_to_date(study, TERM)
    first, read[:] = list(read), []
    prepare.bring_up_to_date(study, TERM)
    assert first == [EARLIER, TERM] and read == []
    change(sqlite, "delete from visits where child = '李四'")
    prepare.bring_up_to_date(study, TERM)
    assert read == [TERM]


# ---- a real PostgreSQL --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def postgres():
    pytest.importorskip("psycopg", reason="psycopg is not installed (extra sources)")
    postgres = pytest.importorskip("postgres", reason="needs a POSIX system")
    if postgres.binaries() is None:
        pytest.skip("no PostgreSQL server: install Debian's package postgresql to try SQL sources against it")
    with postgres.server() as running:
        running.admin(
            "create table visits (school text, day date, child text, class text, mode text, kind text, n bigint);"
            "insert into visits values "
            + ", ".join(str((*row, 1)) for row in VISITS)
            + f"; create role reader login password '{postgres.PASSWORD}'; grant select on visits to reader;"
        )
        yield running


@pytest.fixture
def district(sqlite, postgres, monkeypatch):
    """The study with its visit log in PostgreSQL; the password is in the environment."""
    from postgres import PASSWORD

    monkeypatch.setenv("DISTRICT_PASSWORD", PASSWORD)
    monkeypatch.delenv("PGPASSWORD", raising=False)

    def point(query: str = QUERY):
        url = f"postgresql+psycopg://reader@127.0.0.1:{postgres.port}/postgres"
        declare(sqlite, url, query, ', password_env = "DISTRICT_PASSWORD"')
        return sqlite

    return point


def test_postgresql_gives_the_same_tables_as_the_file(district, sqlite):
    from_file = ingest_term(load_study(sqlite), TERM, key=KEY)
    before = store.read_table(load_study(sqlite), "contacts", [TERM])
    root = district()
    result = ingest_term(load_study(root), TERM, key=KEY)
    after = store.read_table(load_study(root), "contacts", [TERM])
    assert_frame_equal(
        *(each.sort_values(["student", "date"], ignore_index=True) for each in (before, after))
    )
    assert result.files["rows_in"].sum() == from_file.files["rows_in"].sum()


def test_postgresql_nothing_of_the_password_is_kept_anywhere(district):
    from postgres import PASSWORD

    root = district()
    ingest_term(load_study(root), TERM, key=KEY)
    held = [path for path in root.rglob("*") if path.is_file() and PASSWORD.encode() in path.read_bytes()]
    assert held == []


def test_postgresql_a_wrong_password_is_told_without_it(district, monkeypatch):
    root = district()
    monkeypatch.setenv("DISTRICT_PASSWORD", "wrong-one")
    with pytest.raises(IngestError, match="refuses the login") as caught:
        ingest_term(load_study(root), TERM, key=KEY)
    assert "wrong-one" not in caught.value.en + caught.value.zh
    monkeypatch.delenv("DISTRICT_PASSWORD")
    with pytest.raises(IngestError, match="DISTRICT_PASSWORD holds no password"):
        ingest_term(load_study(root), TERM, key=KEY)


def test_postgresql_cannot_be_written_through_a_query(district, postgres):
    # A sequence moves on even where a transaction is rolled back; only a read-only one refuses.
    postgres.admin(
        "create sequence counter; grant all on sequence counter to reader; grant all on visits to reader"
    )
    root = district("select nextval('counter')::text as a")
    with pytest.raises(IngestError, match="read-only transaction|failed in the database"):
        ingest_term(load_study(root), TERM, key=KEY)
    root = district("with gone as (delete from visits returning child) select child as a from gone")
    with pytest.raises(IngestError, match=r"sources\[3\]\.sql"):
        ingest_term(load_study(root), TERM, key=KEY)
    district()
    assert ingest_term(load_study(root), TERM, key=KEY).files["rows_in"].max() >= 5


def test_postgresql_an_error_of_evaluation_never_repeats_a_value(district):
    root = district("select child::int as a from visits")
    with pytest.raises(IngestError, match=r"sources\[3\]\.sql\.query failed in the database") as caught:
        ingest_term(load_study(root), TERM, key=KEY)
    assert not any(row[2] in caught.value.en + caught.value.zh for row in VISITS)


def test_postgresql_a_query_that_it_refuses_is_explained(district):
    root = district("select nothing from visits")
    with pytest.raises(IngestError, match='refused by the database: column "nothing" does not exist'):
        ingest_term(load_study(root), TERM, key=KEY)
