"""What is stored, rewritten without its raw files: pseudonyms of another key, or without a child."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cobench import store
from cobench.delivered import Delivery, read_deliveries
from cobench.errors import KeyMismatchError
from cobench.ingest import delivery
from cobench.ingest.aliases import alias_numbers
from cobench.ingest.hashes import FileHashes
from cobench.ingest.identities import key_id, pseudonyms, read_identities
from cobench.study import Study

STUDENT = "student"
Change = Callable[[str, pa.Table], pa.Table]


def rewritten(
    study: Study, held: Delivery, change: Change, change_private: Callable[[str, pa.Table], pa.Table]
) -> Delivery:
    """A delivery whose tables and private files are what ``change`` makes of them; written, to count once committed.

    Its keys are cleared, so that the next ingest makes it again from raw files where these are still there.

    Parameters
    ----------
    change : called with name and rows of each stored table; returns the same object where nothing changes.
    change_private : called with the place below ``private/`` and the table of each private file.
    """
    parts = {}
    for name, part in held.parts.items():
        tables = {
            table: {term: _changed(study, table, term, entry, change) for term, entry in by_term.items()}
            for table, by_term in part.tables.items()
        }
        parts[name] = replace(part, key="", tables=tables)
    private = {}
    for place, staged in held.private.items():
        path = study.root / "private" / place
        before = pq.read_table(path) if path.exists() else None
        after = None if before is None else change_private(place, before)
        private[place] = staged if after is before else store.stage_private(study, place, after)
    return replace(held, key="", parts=parts, private=private)


def _changed(study: Study, name: str, term: str, entry: dict, change: Change) -> dict:
    path = store.processed_dir(study) / entry["file"]
    coded = [
        each.name for each in pq.read_schema(path) if pa.types.is_string(each.type) and each.name != STUDENT
    ]
    before = pq.read_table(path, read_dictionary=coded, partitioning=None)
    after = change(name, before)
    if after is before:
        return entry
    return {"file": store.write_parquet(study, f"{name}/term={term}", after), "rows": after.num_rows}


# ---- another key --------------------------------------------------------------------------------------


def rekeyed(study: Study, old: bytes, new: bytes) -> tuple[dict[str, Delivery], int]:
    """All deliveries with the pseudonyms of another key, written but not committed, and how many children they hold.

    A child's number stands in the identity map; a study that is one table has none and is read again.

    Raises
    ------
    KeyMismatchError
        When a stored pseudonym has no number.
    CobenchError
        Whatever reading a study of one table finds wrong.
    """
    known = _translation(study, old, new)
    seen: set[str] = set()

    def change(name: str, table: pa.Table) -> pa.Table:
        return _translated(table, known, seen)

    def change_private(place: str, table: pa.Table) -> pa.Table:
        if not place.startswith("identities/"):
            return table
        changed = _translated(table, known, seen)
        at = changed.schema.get_field_index("key_id")
        return changed.set_column(at, "key_id", pa.array([key_id(new)] * len(changed), pa.string()))

    made = {}
    for name, held in read_deliveries(study).items():
        if "panel" in held.parts:
            made[name], _ = delivery.make(study, study.term(name), new, FileHashes(study), lambda *_: None)
        else:
            made[name] = replace(rewritten(study, held, change, change_private), key_id=key_id(new))
    return made, len(seen)


def _translation(study: Study, old: bytes, new: bytes) -> dict[str, str]:
    numbers = read_identities(study, columns=["student_number"])["student_number"].dropna()
    distinct = pd.Series(sorted({*numbers, *alias_numbers(study)}), dtype="object")
    before, after = (pseudonyms(key, study.id, STUDENT, distinct) for key in (old, new))
    return dict(zip(before, after, strict=True))


def _translated(table: pa.Table, known: dict[str, str], seen: set[str]) -> pa.Table:
    if STUDENT not in table.column_names:
        return table
    held = [each for each in table[STUDENT].unique().to_pylist() if each is not None]
    strange = [each for each in held if each not in known]
    if strange:
        raise KeyMismatchError(
            en=f"{len(strange)} stored pseudonyms have no number in the identity map (private/identities), so they "
            "can't be given new ones; nothing was changed. Ingest their terms again first",
            zh=f"有 {len(strange)} 个已存假名在身份对照表（private/identities）中没有学籍号，无法换新；未作任何更改。"
            "请先重新读入相应学期",
        )
    seen.update(held)
    return replaced(table, known)


def replaced(table: pa.Table, known: dict[str, str]) -> pa.Table:
    """A table with other pseudonyms; the same object where it holds none of those ``known``."""
    if STUDENT not in table.column_names:
        return table
    coded = table[STUDENT].combine_chunks()
    coded = coded if pa.types.is_dictionary(coded.type) else coded.dictionary_encode()
    held = coded.dictionary.to_pylist()
    after = [known.get(each, each) for each in held]
    if after == held:
        return table
    fresh = pa.array(after, pa.string()).take(coded.indices)
    return table.set_column(table.schema.get_field_index(STUDENT), STUDENT, fresh)
