"""Children whose consent was withdrawn, known only by keyed hashes, so that raw files can't bring them back.

``private/withdrawn.json`` holds, for each child, hashes of the student numbers, of the name, and of the classes with
the name. They are made with a secret of their own, which is kept wrapped in the pseudonym key: a rotation wraps it
anew, the hashes stay.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import pandas as pd

from cobench.errors import KeyMismatchError
from cobench.files import write_json
from cobench.ingest.columns import column, factor, joint
from cobench.ingest.identities import key_id
from cobench.ingest.quarantine import CONSENT_WITHDRAWN
from cobench.ingest.text import clean_text, name_key, split_at_blanks, split_children
from cobench.store import private_dir
from cobench.study import Study

_FILE = "withdrawn.json"
_SECRET_BYTES = 32


@dataclass
class Withdrawn:
    """Who must not come in again.

    Attributes
    ----------
    numbers, names, classes, spots : set of str
        Hashes of student numbers, of name keys, of class ids, and of class id and name key together.
    lengths : set of int
        How many characters the names have.
    """

    study: Study
    secret: bytes = b""
    numbers: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    classes: set[str] = field(default_factory=set)
    spots: set[str] = field(default_factory=set)
    lengths: set[int] = field(default_factory=set)
    since: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.numbers)

    def fingerprint(self) -> list[str]:
        """Changes with who is withdrawn, not with the classes in which they are met."""
        return sorted(self.numbers)

    def has_number(self, number: object) -> bool:
        """Whether a student number is of a withdrawn child."""
        return bool(self.numbers) and self._hash("number", number) in self.numbers

    def has_place(self, class_id: object, key: object) -> bool:
        """Whether a class has a withdrawn child of this name."""
        return (
            self._hash("class", class_id) in self.classes and self._hash("place", class_id, key) in self.spots
        )

    def rules_of_numbers(self, numbers: pd.Series) -> pd.Series:
        """:data:`CONSENT_WITHDRAWN` where a student number is of a withdrawn child."""
        codes, distinct = factor(numbers)
        found = [CONSENT_WITHDRAWN if self.has_number(each) else None for each in distinct] if self else []
        return column(codes if self else np.full(len(codes), -1), found, numbers.index)

    def learn(self, class_ids: Iterable[str], keys: Iterable[str]) -> None:
        """Remember classes (with the names used there) in which withdrawn children are listed now."""
        before = len(self.spots), len(self.names)
        for class_id, key in zip(class_ids, keys, strict=True):
            self._add(class_id, key)
        if before != (len(self.spots), len(self.names)):
            self._save_hashes()

    def marked(self, rows: pd.DataFrame, found: pd.DataFrame, numbers: pd.Series | None) -> pd.DataFrame:
        """Links of rows (``school, class_id, name_key``), those to withdrawn children taken back.

        A row with a withdrawn child's number, or with class and name of one and no namesake there, breaks
        :data:`CONSENT_WITHDRAWN`. Where a namesake is left the name says no more which of the two is meant:
        ``ambiguous_student``.
        """
        if not self:
            return found
        own = numbers is not None and self.rules_of_numbers(numbers).notna().to_numpy()
        own = np.broadcast_to(own, len(rows))
        named = self._in_places(rows) & ~found["by"].isin(["number", "alias"]).to_numpy(dtype=bool) & ~own
        linked = found["student"].notna().to_numpy()
        rule = found["rule"].astype("object")
        rule = rule.mask(named & linked, "ambiguous_student").mask(own | (named & ~linked), CONSENT_WITHDRAWN)
        gone = own | named
        return found.assign(
            student=found["student"].astype("object").mask(gone, None),
            rule=rule,
            by=found["by"].astype("object").mask(gone, None),
        )

    def mentioned(self, text: str) -> bool:
        """Whether a cell names a withdrawn child or holds its number."""
        if not self or not text:
            return False
        key = name_key(text)
        parts = {key, *split_children(text), *split_at_blanks(text)}
        if any(self._hash("name", part) in self.names for part in parts if len(part) in self.lengths):
            return True
        number = "".join(clean_text(text).split()).upper()
        return (len(number) == 19 and self.has_number(number)) or bool(self.places(text))

    def places(self, text: str) -> list[tuple[int, int]]:
        """Start and end of names of withdrawn children in a text."""
        return [
            (start, start + length)
            for length in sorted(self.lengths)
            for start in range(len(text) - length + 1)
            if self._hash("name", name_key(text[start : start + length])) in self.names
        ]

    def add(self, numbers: Iterable[str], names: Iterable[tuple[str, str]], today: date) -> None:
        """Withdraw a child by its numbers and the classes and names under which it was listed; saved at once."""
        if not self.secret:
            raise ValueError("load it with a key first")
        self.numbers |= {self._hash("number", each) for each in numbers}
        for class_id, name in names:
            self._add(class_id, name_key(name))
        self.since.append(today.isoformat())
        self._save_hashes()

    def _add(self, class_id: str, key: str) -> None:
        self.names.add(self._hash("name", key))
        self.classes.add(self._hash("class", class_id))
        self.spots.add(self._hash("place", class_id, key))
        self.lengths.add(len(key))

    def _in_places(self, rows: pd.DataFrame) -> np.ndarray:
        keys = [rows["class_id"], rows["name_key"]]
        codes, distinct = pd.factorize(joint(keys))
        first = np.full(len(distinct), -1, dtype=np.int64)
        first[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)
        listed = rows.iloc[first]
        classes = {
            each: self._hash("class", each) in self.classes for each in listed["class_id"].dropna().unique()
        }
        hit = [
            classes.get(class_id, False) and self._hash("place", class_id, key) in self.spots
            for class_id, key in zip(listed["class_id"], listed["name_key"], strict=True)
        ]
        return np.array(hit, dtype=bool)[codes] if len(hit) else np.zeros(len(rows), dtype=bool)

    def _hash(self, *parts: object) -> str:
        message = "|".join(map(str, parts)).encode()
        return hmac.digest(self.secret, message, "sha256").hex()[:32]

    def _save_hashes(self) -> None:
        stored = _read(self.study) | {
            "numbers": sorted(self.numbers),
            "names": sorted(self.names),
            "classes": sorted(self.classes),
            "spots": sorted(self.spots),
            "lengths": sorted(self.lengths),
            "since": self.since,
        }
        _write(self.study, stored)


def load_withdrawn(study: Study, key: bytes, *, make: bool = False) -> Withdrawn:
    """Withdrawn children of a study; with ``make`` a secret is drawn where there is none.

    Raises
    ------
    KeyMismatchError
        When the hashes were made under another key.
    """
    stored = _read(study)
    if not stored and not make:
        return Withdrawn(study)
    if not stored:
        stored = {"wrapped": {key_id(key): _wrap(key, secrets.token_bytes(_SECRET_BYTES)).hex()}}
        _write(study, stored)
    if key_id(key) not in stored["wrapped"]:
        shown = ", ".join(stored["wrapped"])
        raise KeyMismatchError(
            en=f"the list of withdrawn children (private/{_FILE}) belongs to key {shown}, the key at hand is "
            f"{key_id(key)}; bring the right key back (`cobench key --restore FILE`). Without it withdrawn children "
            "would come in again",
            zh=f"撤回同意名单（private/{_FILE}）属于密钥 {shown}，当前密钥是 {key_id(key)}；请恢复原密钥"
            "（`cobench key --restore 文件`），否则已撤回的学生会被重新读入",
        )
    secret = _wrap(key, bytes.fromhex(stored["wrapped"][key_id(key)]))
    sets = {name: set(stored.get(name, [])) for name in ("numbers", "names", "classes", "spots", "lengths")}
    return Withdrawn(study, secret, **sets, since=stored.get("since", []))


def wrap_for(study: Study, old: bytes, new: bytes) -> None:
    """Let another key open the list as well (before a rotation counts)."""
    stored = _read(study)
    if stored:
        secret = _wrap(old, bytes.fromhex(stored["wrapped"][key_id(old)]))
        _write(study, stored | {"wrapped": stored["wrapped"] | {key_id(new): _wrap(new, secret).hex()}})


def wrap_only_for(study: Study, kept: str) -> None:
    """Let only the key with this id open the list (after a rotation)."""
    stored = _read(study)
    if kept in stored.get("wrapped", {}):
        _write(study, stored | {"wrapped": {kept: stored["wrapped"][kept]}})


def _wrap(key: bytes, secret: bytes) -> bytes:
    """Hide a secret behind the key, or bring it back."""
    pad = hmac.digest(key, b"withdrawn|wrap", "sha256")
    return bytes(a ^ b for a, b in zip(secret, pad, strict=True))


def _read(study: Study) -> dict:
    path = study.root / "private" / _FILE
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _write(study: Study, stored: dict) -> None:
    write_json(private_dir(study) / _FILE, stored)
