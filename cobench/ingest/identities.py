"""Keyed pseudonyms: the key lies outside the study, the map of who is who in ``private/``."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from cobench.declared import Text
from cobench.errors import KeyMissingError
from cobench.ingest.text import map_unique
from cobench.store import private_dir
from cobench.study import Study

MIN_KEY_BYTES = 32
KEY_VARIABLE, KEY_FILE_VARIABLE = "COBENCH_KEY", "COBENCH_KEY_FILE"
IDENTITIES = ["student", "student_number", "name", "term", "school", "class_id", "key_id"]


def pseudonym(key: bytes, study_id: str, entity: str, identifier: str) -> str:
    """``s_`` and 20 hexadecimal digits of HMAC-SHA256(key, "study|entity|identifier").

    Study and entity type are part of the message, so one study's pseudonyms are of no use in another.
    """
    message = f"{study_id}|{entity}|{identifier}".encode()
    return "s_" + hmac.new(key, message, hashlib.sha256).hexdigest()[:20]


def pseudonyms(key: bytes, study_id: str, entity: str, identifiers: pd.Series) -> pd.Series:
    """Pseudonyms of identifiers, missing where they are."""
    known = identifiers.dropna().astype("object")
    return map_unique(known, lambda each: pseudonym(key, study_id, entity, str(each))).reindex(
        identifiers.index
    )


def key_id(key: bytes) -> str:
    """Eight hexadecimal digits that tell one key from another without revealing it."""
    return hmac.new(key, b"key-id", hashlib.sha256).hexdigest()[:8]


def key_path(study_id: str, env: Mapping[str, str] | None = None) -> Path:
    """Where the key of a study lies when neither environment variable says otherwise."""
    env = os.environ if env is None else env
    if sys.platform == "win32":
        base = Path(env.get("APPDATA") or Path.home() / "AppData" / "Roaming")
    else:
        base = Path(env.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return base / "cobench" / f"{study_id}.key"


def load_key(study_id: str, root: Path | None = None, env: Mapping[str, str] | None = None) -> bytes:
    """The pseudonym key: from ``COBENCH_KEY``, the file named by ``COBENCH_KEY_FILE``, or the user's own folder.

    Parameters
    ----------
    root : Path, optional
        The study folder, in which a key file may not lie.

    Raises
    ------
    KeyMissingError
        When there is none, or it is too short, inside the study, or readable by others; says how to mend it.
    """
    env = os.environ if env is None else env
    if env.get(KEY_VARIABLE):
        return _checked(env[KEY_VARIABLE], KEY_VARIABLE)
    path = Path(env[KEY_FILE_VARIABLE]) if env.get(KEY_FILE_VARIABLE) else key_path(study_id, env)
    if root is not None and path.resolve().is_relative_to(Path(root).resolve()):
        raise KeyMissingError(
            en=f"the key file {path.name} lies inside the study folder and would travel with the data; move it out "
            f"and name it in {KEY_FILE_VARIABLE}",
            zh=f"密钥文件 {path.name} 位于研究文件夹内，会随数据一起流出；请移到别处并在 {KEY_FILE_VARIABLE} 中指明",
        )
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise KeyMissingError(
            en=f"no pseudonym key for study {study_id!r} ({path.name} is not there); `cobench key` makes one, or set "
            f"{KEY_VARIABLE} or {KEY_FILE_VARIABLE}",
            zh=f"研究 {study_id!r} 没有假名密钥（找不到 {path.name}）；可用 `cobench key` 生成，"
            f"或设置 {KEY_VARIABLE}、{KEY_FILE_VARIABLE}",
        ) from None
    except (OSError, UnicodeDecodeError):
        raise KeyMissingError(
            en=f"the key file {path.name} can't be read; check that you own it",
            zh=f"密钥文件 {path.name} 无法读取；请检查是否归您所有",
        ) from None
    if sys.platform != "win32" and path.stat().st_mode & 0o077:
        raise KeyMissingError(
            en=f"the key file {path.name} can be read by others; run: chmod 600 {path}",
            zh=f"密钥文件 {path.name} 可被他人读取；请运行：chmod 600 {path}",
        )
    return _checked(text, path.name)


def create_key(study_id: str, env: Mapping[str, str] | None = None) -> Path:
    """Write a new random key for ``study_id`` where only its owner can read it; an existing one stays.

    Raises
    ------
    KeyMissingError
        When there is one already: another key would give every child another pseudonym.
    """
    path = key_path(study_id, env)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise KeyMissingError(
            en=f"{path.name} is there already and stays: another key would change every pseudonym",
            zh=f"{path.name} 已存在，予以保留：更换密钥会改变所有假名",
        ) from None
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(secrets.token_hex(MIN_KEY_BYTES) + "\n")
    return path


def ensure_key(study_id: str, root: Path | None = None, env: Mapping[str, str] | None = None) -> Text:
    """Make a key if there is none; says which key is used and to keep a copy of it."""
    env = os.environ if env is None else env
    given = env.get(KEY_VARIABLE) or env.get(KEY_FILE_VARIABLE)
    if given or key_path(study_id, env).exists():
        found = key_id(load_key(study_id, root, env))
        return Text(f"假名密钥已就绪（编号 {found}）", f"pseudonym key ready (id {found})")
    path = create_key(study_id, env)
    found = key_id(load_key(study_id, root, env))
    return Text(
        f"已生成假名密钥 {path}（编号 {found}）；请另存一份，丢失后无法对应往期数据",
        f"made the pseudonym key {path} (id {found}); keep a copy of it: without it later terms can't be joined",
    )


def load_names(study: Study) -> list[str]:
    """Names of all children in the identity map (for the scan of finished pages); empty before the first ingest."""
    return sorted(set(read_identities(study)["name"].dropna()))


def read_identities(study: Study, *, except_term: str | None = None) -> pd.DataFrame:
    """The identity map; columns :data:`IDENTITIES`."""
    path = study.root / "private" / "identities.parquet"
    if not path.exists():
        return pd.DataFrame(columns=IDENTITIES, dtype="str")
    stored = pd.read_parquet(path)
    return stored if except_term is None else stored[stored["term"] != except_term].reset_index(drop=True)


def write_identities(study: Study, term_id: str, rows: pd.DataFrame) -> None:
    """Replace what the identity map holds of one term."""
    kept = read_identities(study, except_term=term_id)
    order = ["term", "school", "class_id", "student", "name"]
    joined = pd.concat([kept, rows[IDENTITIES].astype("str")], ignore_index=True).sort_values(
        order, kind="stable"
    )
    write_private(private_dir(study) / "identities.parquet", joined.reset_index(drop=True))


def write_private(path: Path, frame: pd.DataFrame) -> None:
    """Replace a Parquet file by ``frame``, atomically and for its owner's eyes only (mode 0600)."""
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    os.close(handle)
    try:
        frame.to_parquet(temporary, index=False)
        os.chmod(temporary, 0o600)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def identity_rows(rows: Iterable[pd.DataFrame], term_id: str, key: bytes) -> pd.DataFrame:
    """Roster rows as rows of the identity map."""
    frames = [frame.reindex(columns=IDENTITIES) for frame in rows]
    joined = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=IDENTITIES)
    return joined.assign(term=term_id, key_id=key_id(key))


def _checked(text: str, where: str) -> bytes:
    text = text.strip()
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = text.encode()
    if len(key) < MIN_KEY_BYTES:
        raise KeyMissingError(
            en=f"the key in {where} is too short: {MIN_KEY_BYTES} bytes (64 hexadecimal digits) or more; "
            "`cobench key` makes one",
            zh=f"{where} 中的密钥过短：至少 {MIN_KEY_BYTES} 字节（64 位十六进制）；可用 `cobench key` 生成",
        )
    return key
