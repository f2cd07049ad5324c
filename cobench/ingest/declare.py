"""``cobench aliases``: propose numbers that may be one child's, take in what people confirm, and mend what is stored."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow as pa

from cobench import store
from cobench.declared import Text
from cobench.delivered import read_deliveries
from cobench.ingest import aliases
from cobench.ingest.identities import pseudonym, read_identities
from cobench.ingest.keys import study_key
from cobench.ingest.rewrite import STUDENT, replaced, rewritten
from cobench.lock import writing
from cobench.study import Study


def list_proposals(study: Study) -> Text:
    """Write what may be one child to ``private/aliases_to_confirm.csv``; says how many there are."""
    births = store.read_table(study, "students", columns=["student", "term", "birth_month"])
    declared = aliases.read_aliases(study)
    found = aliases.propose(read_identities(study), births, aliases.first_numbers(declared))
    path = aliases.write_proposals(study, found).relative_to(study.root).as_posix()
    if found.empty:
        return Text(
            f"已声明 {len(declared)} 条学籍号变更；没有新的可能变更",
            f"{len(declared)} changes of number are declared; no further one looks likely",
        )
    return Text(
        f"已声明 {len(declared)} 条学籍号变更；另有 {len(found)} 条可能的变更待确认：{path}。请在「确认」列填“是”，"
        f"再运行 cobench aliases --declare {path}",
        f"{len(declared)} changes of number are declared; {len(found)} more look likely and wait in {path}: write 是 (yes) "
        f"into the column 确认, then run cobench aliases --declare {path}",
    )


def declare_aliases(study: Study, path: Path, today: date) -> Text:
    """Take in the changes of number that a file declares; stored tables then know the child by its first number.

    Raises
    ------
    IngestError
        See :func:`cobench.ingest.aliases.declare`; nothing is changed then.
    """
    with writing(study.root):
        store.finish_private(study)
        key = study_key(study)
        before = aliases.read_aliases(study)
        joined, n_waiting = aliases.declare(study, path, today)
        first = aliases.first_numbers(joined)
        known = {
            pseudonym(key, study.id, STUDENT, number): pseudonym(key, study.id, STUDENT, root)
            for number, root in first.items()
        }

        def change(name: str, table: pa.Table) -> pa.Table:
            return replaced(table, known)

        def change_private(place: str, table: pa.Table) -> pa.Table:
            return replaced(table, known)

        aliases.write_aliases(study, joined)
        if known:
            deliveries = read_deliveries(study)
            store.commit(
                study,
                {name: rewritten(study, each, change, change_private) for name, each in deliveries.items()},
            )
    n_new = len(joined) - len(before)
    return Text(
        f"新声明 {n_new} 条学籍号变更（未确认 {n_waiting} 条）；变更前后的号码视为同一名学生，相应学期请重新运行",
        f"{n_new} changes of number declared ({n_waiting} not confirmed); both numbers are one child now; run the terms again",
    )
