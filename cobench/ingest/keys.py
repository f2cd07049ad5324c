"""The life of a pseudonym key: fits the stored tables or stops, is copied, brought back, handed over, replaced.

The one moment at which a rotation counts is the replacement of the manifest (:func:`cobench.store.commit`): before it
every table holds the old pseudonyms and the old key is in use, after it every table holds the new ones and the new
key, which was written beside the old one beforehand, is put in its place by whoever comes next.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from cobench import store
from cobench.declared import Text
from cobench.errors import KeyMismatchError, KeyMissingError
from cobench.files import write_json
from cobench.ingest.identities import (
    KEY_FILE_VARIABLE,
    KEY_VARIABLE,
    MIN_KEY_BYTES,
    check_key,
    key_bytes,
    key_file,
    key_id,
    load_key,
    stored_key_ids,
)
from cobench.ingest.rewrite import rekeyed
from cobench.ingest.withdrawn import wrap_for, wrap_only_for
from cobench.lock import storing, writing
from cobench.study import Study

NEW_KEY_VARIABLE = "COBENCH_NEW_KEY"
_RECORD = "keys.json"


@dataclass(frozen=True)
class Rotated:
    """What a rotation did: ids of both keys, how many children have a new pseudonym, where the old key was kept."""

    old: str
    new: str
    n_students: int
    kept: Path | None

    def told(self) -> Text:
        """What happened and what to do now, in both languages."""
        kept = self.kept.name if self.kept else ""
        zh = f"密钥已由 {self.old} 更换为 {self.new}，{self.n_students} 名学生的假名已全部换新；请立即备份新密钥"
        en = f"key {self.old} was replaced by {self.new}; {self.n_students} children have new pseudonyms; back the new key up now"
        if kept:
            zh += f"（原密钥保存为 {kept}，确认无误后请销毁）"
            en += f" (the old one is kept as {kept}; destroy it once all is well)"
        else:
            zh += f"；并将 {KEY_VARIABLE} 改为新密钥"
            en += f"; and set {KEY_VARIABLE} to the new key"
        return Text(zh, en)


def study_key(study: Study, env: Mapping[str, str] | None = None) -> bytes:
    """The key of a study, which fits the tables that are stored; a rotation cut short is finished first.

    Raises
    ------
    KeyMissingError
    KeyMismatchError
    """
    finish_rotation(study, env)
    key = load_key(study.id, study.root, env)
    check_key(study, key)
    return key


# ---- copies -------------------------------------------------------------------------------------------


def backup_key(study: Study, target: Path, env: Mapping[str, str] | None = None) -> Text:
    """Write a copy of the key to ``target``, for its owner's eyes only, with its id and what to do with it.

    Raises
    ------
    KeyMismatchError
        When ``target`` is there already or lies inside the study folder.
    """
    key = study_key(study, env)
    target = Path(target).expanduser()
    if target.resolve().is_relative_to(study.root.resolve()):
        raise KeyMismatchError(
            en=f"{target.name} would lie inside the study folder and travel with the data; choose another place",
            zh=f"{target.name} 位于研究文件夹内，会随数据一起流出；请换一个位置",
        )
    _write_new(target, _with_instructions(study.id, key))
    return Text(
        f"已将密钥 {key_id(key)} 复制到 {target.name}；该文件未加密：请存入保险柜或加密介质，与数据分开存放",
        f"copied key {key_id(key)} to {target.name}; the file is not encrypted: keep it in a safe or on an encrypted "
        "medium, away from the data",
    )


def restore_key(study: Study, source: Path, env: Mapping[str, str] | None = None) -> Text:
    """Put a copied key in its place on this machine.

    Raises
    ------
    KeyMissingError
        When the file can't be read or holds no key.
    KeyMismatchError
        When the stored tables were made with another key, or another key is in its place.
    """
    source, place = Path(source), _key_file(study, env)
    try:
        key = key_bytes(source.read_text(encoding="utf-8"), source.name)
    except (OSError, UnicodeDecodeError):
        raise KeyMissingError(
            en=f"{source.name} can't be read; check its path and that you own it",
            zh=f"{source.name} 无法读取；请检查路径及是否归您所有",
        ) from None
    check_key(study, key)
    if not place.exists():
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_new(place, key.hex() + "\n")
    elif key_id(load_key(study.id, study.root, env)) != key_id(key):
        raise KeyMismatchError(
            en=f"another key is in place already ({place.name}); move it away first if it is no longer wanted",
            zh=f"已有另一把密钥（{place.name}）；如不再需要，请先将其移走",
        )
    return Text(f"密钥 {key_id(key)} 已就位", f"key {key_id(key)} is in place")


def _with_instructions(study_id: str, key: bytes) -> str:
    lines = [
        f"# cobench: pseudonym key of study {study_id}, key id {key_id(key)} 假名密钥，编号 {key_id(key)}",
        "# With it and the raw files everybody in the study can be named. Keep it away from the data, in a safe.",
        "# 持有本文件和原始文件即可还原每个学生的身份。请与数据分开、存放在保险柜中。",
        "# To use it on another machine 换机或交接时: cobench key --restore <this file 本文件>",
        key.hex(),
    ]
    return "\n".join(lines) + "\n"


# ---- rotation -----------------------------------------------------------------------------------------


def rotate_key(study: Study, env: Mapping[str, str] | None = None) -> Rotated:
    """Replace the key and every stored pseudonym, all or nothing; estimates stay what they are.

    The new key is drawn at random, or read from ``COBENCH_NEW_KEY`` where the old one comes from ``COBENCH_KEY``.
    The old key is kept beside the new one, named after its id, and both ids in ``private/keys.json``.

    Raises
    ------
    KeyMissingError, KeyMismatchError
    CobenchError
        When a stored pseudonym has no number in the identity map; nothing is changed then.
    """
    with writing(study.root):
        store.finish_private(study)
        old = study_key(study, env)
        new, pending = _new_key(study, env)
        if key_id(new) == key_id(old):
            raise KeyMismatchError(
                en=f"{NEW_KEY_VARIABLE} holds the key that is in use", zh=f"{NEW_KEY_VARIABLE} 就是当前密钥"
            )
        made, n_students = rekeyed(study, old, new)
        wrap_for(study, old, new)
        if pending is not None:
            pending.unlink(missing_ok=True)
            _write_new(pending, new.hex() + "\n")
        _note(
            study, {"date": date.today().isoformat(), "old": key_id(old), "new": key_id(new), "done": False}
        )
        store.commit(study, made)
        kept = finish_rotation(study, env)
    return Rotated(key_id(old), key_id(new), n_students, kept)


def finish_rotation(study: Study, env: Mapping[str, str] | None = None) -> Path | None:
    """Put the new key in place where the stored tables already hold its pseudonyms; the old key's file, if any.

    A new key whose tables were never stored stays unused and is drawn afresh by the next rotation.
    """
    entry = next((each for each in recorded(study) if not each["done"]), None)
    if entry is None:
        return None
    held = stored_key_ids(study)
    kept = None
    if not held or held == {entry["new"]}:
        pending = _pending(study, env)
        if pending is not None and pending.exists() and _id_of(pending) == entry["new"]:
            kept = _switch(pending)
        shutil.rmtree(store.processed_dir(study) / "derived", ignore_errors=True)
        wrap_only_for(study, entry["new"])
        _note(study, entry | {"done": True})
    return kept


def _new_key(study: Study, env: Mapping[str, str] | None) -> tuple[bytes, Path | None]:
    """The new key, and where its file waits (none where keys come from variables)."""
    env = os.environ if env is None else env
    pending = _pending(study, env)
    if pending is not None:
        return secrets.token_bytes(MIN_KEY_BYTES), pending
    if not env.get(NEW_KEY_VARIABLE):
        raise KeyMissingError(
            en=f"the key comes from the variable {KEY_VARIABLE}; put the new one (64 hexadecimal digits) into "
            f"{NEW_KEY_VARIABLE}, rotate, then set {KEY_VARIABLE} to it; or keep the key in a file ({KEY_FILE_VARIABLE})",
            zh=f"密钥来自环境变量 {KEY_VARIABLE}；请将新密钥（64 位十六进制）放入 {NEW_KEY_VARIABLE} 后更换，再把 "
            f"{KEY_VARIABLE} 改为新密钥；或改用密钥文件（{KEY_FILE_VARIABLE}）",
        )
    return key_bytes(env[NEW_KEY_VARIABLE], NEW_KEY_VARIABLE), None


def _key_file(study: Study, env: Mapping[str, str] | None) -> Path:
    place = key_file(study.id, env)
    if place is None:
        raise KeyMismatchError(
            en=f"the key comes from the variable {KEY_VARIABLE}; unset it to use a key file",
            zh=f"密钥来自环境变量 {KEY_VARIABLE}；如需使用密钥文件，请先取消该变量",
        )
    return place


def _pending(study: Study, env: Mapping[str, str] | None) -> Path | None:
    place = key_file(study.id, env)
    return None if place is None else place.with_name(f"{place.name}.new")


def _switch(pending: Path) -> Path | None:
    """Put a waiting key in place; the one there goes to a file named after its id."""
    place = pending.with_name(pending.name.removesuffix(".new"))
    kept = None
    if place.exists():
        kept = place.with_name(f"{place.name}.{_id_of(place)}")
        # A copy, not a move: at every moment there is a key in place.
        kept.unlink(missing_ok=True)
        _write_new(kept, place.read_text(encoding="utf-8"))
    os.replace(pending, place)
    return kept


def _id_of(path: Path) -> str:
    return key_id(key_bytes(path.read_text(encoding="utf-8"), path.name))


def recorded(study: Study) -> list[dict]:
    """Rotations on record, oldest first: ``date, old, new, done``."""
    path = study.root / "private" / _RECORD
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []


def _note(study: Study, entry: dict) -> None:
    """Keep ``entry`` on record, in place of one that never came to its end."""
    done = [each for each in recorded(study) if each["done"]]
    write_json(store.private_dir(study) / _RECORD, [*done, entry])


def _write_new(path: Path, text: str) -> None:
    """Write a file that isn't there yet, readable by its owner only."""
    if path.exists():
        raise _already(path)
    with storing():
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
        file.write(text)


def _already(path: Path) -> KeyMismatchError:
    return KeyMismatchError(
        en=f"{path.name} is there already and stays; choose another name",
        zh=f"{path.name} 已存在，予以保留；请换一个文件名",
    )
