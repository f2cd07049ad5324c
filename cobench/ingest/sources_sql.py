"""A query as a source: its rows are kept as a file of the delivery, and read, counted and hashed like any other."""

from __future__ import annotations

import importlib.util
import io
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cobench.errors import IngestError, StudyFileError
from cobench.files import file_hash
from cobench.ingest.packages import MAX_CELLS, refused, too_large
from cobench.ingest.readers import EMPTY, TEXT, Sheet, number_text
from cobench.sources import Source, Sql
from cobench.study import Study, Term

_MARK = b"cobench_query"
_CHUNK = 20_000
_SECONDS = 15
_PASSWORD_KEYS = ("password", "passwd", "pwd", "sslpassword")


def refresh(study: Study, term: Term) -> None:
    """Run the queries of all SQL sources for ``term`` and keep what they return below ``data/raw/<term>/sql``.

    A file whose rows haven't changed stays as it is, byte by byte, so nothing is read again for its sake. Files
    of queries that are no longer declared are removed.

    Raises
    ------
    StudyFileError
        On a password in the study file, an address that can't be read, or a query that isn't one.
    IngestError
        On a server that can't be reached, a missing driver or password, or a query that fails; never holds the
        password.
    """
    wanted = set()
    kept = study.root / "data" / "raw" / term.id / "sql"
    for left_over in kept.glob(".sql-*"):
        shutil.rmtree(left_over, ignore_errors=True)
    for number, source in enumerate(study.sources):
        if source.sql is None:
            continue
        target = study.root / source.pattern(term.id)
        wanted.add(target)
        _keep(study, source, target, term, f"sources[{number}].sql")
    for old in kept.glob("*.parquet"):
        if old not in wanted:
            old.unlink()


def read_snapshot(data: bytes, label: str) -> Sheet:
    """Rows of a query as text, its column names in the first row.

    Raises
    ------
    UnreadableFileError
        On a Parquet file that cobench didn't write.
    """
    try:
        schema = pq.read_schema(io.BytesIO(data))
        if _MARK not in (schema.metadata or {}):
            raise refused(
                label,
                "is a Parquet file that no query of cobench made",
                "不是 cobench 查询所存的 Parquet 文件",
            )
        table = pq.read_table(io.BytesIO(data), page_checksum_verification=True)
        if (table.num_rows + 1) * table.num_columns > MAX_CELLS:
            raise too_large(label)
        columns = [column.to_pandas().fillna("").to_numpy(dtype=object) for column in table.columns]
    except (pa.ArrowException, OSError, ValueError, TypeError):
        raise refused(label, "is cut off or damaged", "不完整或已损坏") from None
    text = np.full((table.num_rows + 1, table.num_columns), "", dtype=object)
    text[0] = table.column_names
    for place, column in enumerate(columns):
        text[1:, place] = column
    kind = np.where(text == "", EMPTY, TEXT).astype(np.uint8)
    return Sheet("", text, kind, first_row=0, how="SQL", records=True)


def check_declared(sql: Sql, path: str):
    """The address as SQLAlchemy reads it.

    Raises
    ------
    StudyFileError
        On a password inside it, or on a statement that isn't a query.
    """
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(sql.url)
    except (ArgumentError, ValueError):
        raise StudyFileError(
            en=f"{path}.url is no database address; write one like postgresql+psycopg://reader@host:5432/database",
            zh=f"{path}.url 不是数据库地址；写法如 postgresql+psycopg://reader@host:5432/database",
        ) from None
    if url.password is not None or any(name.lower() in _PASSWORD_KEYS for name in url.query):
        raise StudyFileError(
            en=f"{path}.url holds a password; take it out of the file and give it in the environment variable "
            f"{sql.password_env} (password_env names another)",
            zh=f"{path}.url 中含有密码；请从文件中删除，改用环境变量 {sql.password_env} 提供（可用 password_env 另行指定）",
        )
    words = sql.query.strip().split(None, 1)
    if not words or words[0].lower() not in ("select", "with", "table", "values"):
        raise StudyFileError(
            en=f"{path}.query must begin with select or with; cobench only reads",
            zh=f"{path}.query 必须以 select 或 with 开头；cobench 只读取数据",
        )
    return url


def _keep(study: Study, source: Source, target: Path, term: Term, path: str) -> None:
    if importlib.util.find_spec("sqlalchemy") is None:
        raise IngestError(
            en=f"{path}: SQL sources need SQLAlchemy: pip install cobench[sources]",
            zh=f"{path}：SQL 来源需要 SQLAlchemy：pip install cobench[sources]",
        )
    url = check_declared(source.sql, path)
    if url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:"):
        url = url.set(database=str(study.root / url.database))
        if not Path(url.database).is_file():
            raise IngestError(
                en=f"{path}.url: there is no database file {source.sql.url.rpartition('/')[2]} in the study folder",
                zh=f"{path}.url：研究文件夹中没有数据库文件 {source.sql.url.rpartition('/')[2]}",
            )
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".sql-", dir=target.parent) as folder:
        rows, ordered = Path(folder) / "rows.parquet", Path(folder) / "ordered.parquet"
        with _translated(source.sql, path):
            _fetch(source.sql, url, term, rows, path)
        _order(rows, ordered)
        if not target.exists() or file_hash(target) != file_hash(ordered):
            os.replace(ordered, target)


def _fetch(sql: Sql, url, term: Term, target: Path, path: str) -> None:
    """Write what the query returns as text columns, a chunk at a time, inside a transaction that is rolled back."""
    from sqlalchemy import create_engine, text

    password = os.environ.get(sql.password_env)
    server = url.get_backend_name() in ("postgresql", "mysql", "mariadb")
    options = {"postgresql_readonly": True} if url.get_backend_name() == "postgresql" else {}
    engine = create_engine(
        url.set(password=password) if password and server else url,
        connect_args={"connect_timeout": _SECONDS} if server else {},
        hide_parameters=True,
    )
    statement = text(sql.query)
    given = {"term": term.id, "start": term.start, "end": term.end}
    asked = set(statement.compile().params)
    if asked - set(given):
        raise StudyFileError(
            en=f"{path}.query uses :{sorted(asked - set(given))[0]}; it may use :term, :start and :end",
            zh=f"{path}.query 使用了 :{sorted(asked - set(given))[0]}；可用的有 :term、:start、:end",
        )
    needed = {name: given[name] for name in asked}
    try:
        with engine.connect().execution_options(stream_results=True, **options) as connection:
            result = connection.execute(statement, needed)
            names = list(result.keys())
            _check_names(names, path)
            schema = pa.schema([(name, pa.string()) for name in names], metadata={_MARK: b"1"})
            with pq.ParquetWriter(target, schema) as writer:
                for rows in result.partitions(_CHUNK):
                    columns = [[_as_text(value) for value in column] for column in zip(*rows, strict=True)]
                    writer.write_table(pa.table(columns, schema=schema))
            connection.rollback()
    finally:
        engine.dispose()


def _check_names(names: list[str], path: str) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise StudyFileError(
            en=f"{path}.query returns the column {twice[0]} twice; rename one with as",
            zh=f"{path}.query 返回了两个 {twice[0]} 列；请用 as 改名",
        )


def _order(rows: Path, target: Path) -> None:
    """Sort by content: a server gives rows in any order, and the same rows must give the same file."""
    schema = pq.read_schema(rows)
    with duckdb.connect(":memory:") as connection:
        ordered = connection.sql(f"select * from read_parquet({str(rows)!r}) order by all").to_arrow_table()
    pq.write_table(
        ordered.cast(pa.schema(schema)).replace_schema_metadata(schema.metadata),
        target,
        write_page_checksum=True,
    )


def _as_text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return None if value is None else value.replace("\0", "")
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, datetime):
        midnight = (value.hour, value.minute, value.second) == (0, 0, 0)
        return f"{value:%Y-%m-%d}" if midnight else f"{value:%Y-%m-%d %H:%M:%S}"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return f"{value:f}"
    return number_text(value) if isinstance(value, int | float) else str(value)


@contextmanager
def _translated(sql: Sql, path: str) -> Iterator[None]:
    """Errors of the database as the project's own: what is wrong and the way out, no password and no values."""
    from sqlalchemy import exc

    try:
        yield
    except (exc.NoSuchModuleError, ModuleNotFoundError, ImportError):
        raise IngestError(
            en=f"{path}.url: the driver of this database is not installed; pip install cobench[sources] (PostgreSQL), "
            "or the driver that the address names",
            zh=f"{path}.url：未安装该数据库的驱动；请 pip install cobench[sources]（PostgreSQL），或安装地址中所指的驱动",
        ) from None
    except exc.OperationalError as error:
        raise _unreachable(sql, path, error) from None
    except exc.ProgrammingError as error:
        said = _first_line(error)
        raise IngestError(
            en=f"{path}.query was refused by the database: {said}; mend the query",
            zh=f"{path}.query 被数据库拒绝：{said}；请修正查询",
        ) from None
    except (exc.SQLAlchemyError, UnicodeError, ValueError, TypeError) as error:
        # Errors of evaluation quote values, so only their kind is told.
        kind = type(getattr(error, "orig", None) or error).__name__
        raise IngestError(
            en=f"{path}.query failed in the database ({kind}); run it there to see why, and mend it",
            zh=f"{path}.query 在数据库中执行失败（{kind}）；请在数据库中运行以查明原因并修正",
        ) from None


def _unreachable(sql: Sql, path: str, error: Exception) -> IngestError:
    given = bool(os.environ.get(sql.password_env))
    said = _without_password(_first_line(error), sql)
    hint_en = "" if given else f"; the environment variable {sql.password_env} holds no password"
    hint_zh = "" if given else f"；环境变量 {sql.password_env} 中没有密码"
    return IngestError(
        en=f"{path}.url: the database can't be reached or refuses the login ({said}){hint_en}; check address, network, "
        "user and password",
        zh=f"{path}.url：无法连接数据库或登录被拒（{said}）{hint_zh}；请检查地址、网络、用户和密码",
    )


def _without_password(text: str, sql: Sql) -> str:
    password = os.environ.get(sql.password_env)
    return text.replace(password, "***") if password else text


def _first_line(error: Exception) -> str:
    lines = str(getattr(error, "orig", None) or error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
