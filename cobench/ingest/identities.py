"""Keyed pseudonyms: the key lies outside the study, the map of who is who in ``private/``."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cobench.declared import Text
from cobench.delivered import read_deliveries
from cobench.errors import KeyMismatchError, KeyMissingError
from cobench.ingest.columns import coded, column, factor, stack_frames
from cobench.store import finish_private, stage_private
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
    codes, distinct = factor(identifiers)
    if len(distinct) < _WORTH_REMEMBERING:
        made = [pseudonym(key, study_id, entity, str(each)) for each in distinct]
        return column(codes, made, identifiers.index)
    made, texts = np.full(len(distinct), None, dtype=object), pa.array(map(str, distinct), pa.string())
    mark = pseudonym(key, study_id, entity, "")
    known = _remembered.get(mark)
    if known is not None:
        places = pc.index_in(texts, known[0])
        made = known[1].take(places).to_numpy(zero_copy_only=False).copy()
    new = np.flatnonzero(made == None)  # noqa: E711
    made[new] = _many_pseudonyms(key, f"{study_id}|{entity}|", distinct[new])
    _remembered.clear()
    _remembered[mark] = (texts, pa.array(made, pa.string()))
    return coded(codes, pd.Index(made, dtype=object), identifiers.index)


def keyed(key: bytes, study_id: str, entity: str, texts: pd.Series) -> pd.Series:
    """Keyed hashes of ``teacher``, ``speaker`` or ``note`` texts, missing where they are.

    Equal texts have equal hashes; the first letter says what was hashed (``t_``, ``p_``, ``n_``).
    """
    codes, distinct = factor(texts)
    made = _many_pseudonyms(key, f"{study_id}|{entity}|", distinct, _MARKS[entity])
    return column(codes, made, texts.index)


_MARKS = {"teacher": "t_", "speaker": "p_", "note": "n_"}


def _many_pseudonyms(key: bytes, prefix: str, identifiers: Iterable[object], mark: str = "s_") -> list[str]:
    """:func:`pseudonym` of each identifier: HMAC as RFC 2104 writes it, with what all messages share hashed once."""
    block = hashlib.sha256().block_size
    whole = (key if len(key) <= block else hashlib.sha256(key).digest()).ljust(block, b"\0")
    inner = hashlib.sha256(bytes(each ^ 0x36 for each in whole) + prefix.encode())
    outer = hashlib.sha256(bytes(each ^ 0x5C for each in whole))
    made = []
    for identifier in identifiers:
        within, around = inner.copy(), outer.copy()
        within.update(str(identifier).encode())
        around.update(within.digest())
        made.append(mark + around.hexdigest()[:20])
    return made


# The last district's pseudonyms, while the process lives: most children are there next term again.
_remembered: dict[str, tuple[pa.Array, pa.Array]] = {}
_WORTH_REMEMBERING = 10_000


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


def key_file(study_id: str, env: Mapping[str, str] | None = None) -> Path | None:
    """The file that a key is read from, None where ``COBENCH_KEY`` gives the key itself."""
    env = os.environ if env is None else env
    if env.get(KEY_VARIABLE):
        return None
    return Path(env[KEY_FILE_VARIABLE]) if env.get(KEY_FILE_VARIABLE) else key_path(study_id, env)


def key_bytes(text: str, where: str) -> bytes:
    """The key that a text holds; lines that begin with ``#`` are remarks.

    Raises
    ------
    KeyMissingError
        When it is too short; ``where`` says where the text stands.
    """
    text = "".join(line for line in text.splitlines() if not line.startswith("#")).strip()
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
        return key_bytes(env[KEY_VARIABLE], KEY_VARIABLE)
    path = key_file(study_id, env)
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
    return key_bytes(text, path.name)


def stored_key_ids(study: Study) -> set[str]:
    """Ids of the keys with which the stored tables were made: one, or none where nothing is stored."""
    return {each.key_id for each in read_deliveries(study).values() if each.key_id}


def check_key(study: Study, key: bytes) -> None:
    """Refuse a key that the stored tables weren't made with.

    Raises
    ------
    KeyMismatchError
    """
    held = stored_key_ids(study)
    if held - {key_id(key)}:
        shown = ", ".join(sorted(held))
        raise KeyMismatchError(
            en=f"the tables of this study were made with key {shown}, the key at hand is {key_id(key)}; nothing was "
            "written. Bring the right key back from its copy (`cobench key --restore FILE`); to change keys, use "
            "`cobench key --rotate`. If the key is lost for good, move data/processed and private/identities away: "
            "all terms are then read again, and earlier exports can no longer be joined",
            zh=f"本研究的数据由密钥 {shown} 生成，而当前密钥是 {key_id(key)}；未写入任何内容。请从备份恢复原密钥"
            "（`cobench key --restore 文件`）；如需更换密钥，请用 `cobench key --rotate`。若原密钥已彻底丢失，请移走 "
            "data/processed 和 private/identities，之后会重新读入各学期，但与往期导出数据无法再对应",
        )


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
    return sorted(set(read_identities(study, columns=["name"])["name"].dropna()))


def read_identities(
    study: Study, terms: Iterable[str] | None = None, columns: Iterable[str] = IDENTITIES
) -> pd.DataFrame:
    """The identity map of the given terms (all, when None); columns :data:`IDENTITIES`."""
    finish_private(study)
    folder = study.root / "private" / "identities"
    paths = (
        sorted(folder.glob("*.parquet")) if terms is None else [folder / f"{term}.parquet" for term in terms]
    )
    held = [pq.read_table(path, columns=list(columns)) for path in paths if path.exists()]
    if not held:
        return pd.DataFrame(columns=list(columns), dtype="str")
    return pa.concat_tables(each.cast(held[0].schema) for each in held).to_pandas().astype("str")


def read_roster(study: Study, terms: Iterable[str], key: bytes) -> pd.DataFrame:
    """The roster of the given terms as far as it was made with ``key``: columns of codes."""
    finish_private(study)
    return identities_at([study.root / "private" / identities_place(term) for term in terms], key)


def identities_at(paths: Iterable[Path], key: bytes) -> pd.DataFrame:
    """:func:`read_roster` of identity maps wherever they lie."""
    names = [name for name in IDENTITIES if name != "key_id"]
    held = []
    for path in paths:
        if path.exists() and _made_with(path, key):
            table = pq.read_table(path, columns=names, read_dictionary=names).combine_chunks()
            index = pd.RangeIndex(table.num_rows)
            held.append(pd.DataFrame({name: _coded(table[name], index) for name in names}, index=index))
    return stack_frames(held) if held else pd.DataFrame(columns=names, dtype="object")


def _made_with(path: Path, key: bytes) -> bool:
    return pc.unique(pq.read_table(path, columns=["key_id"])["key_id"]).to_pylist() == [key_id(key)]


def _coded(column: pa.ChunkedArray, index: pd.Index) -> pd.Series:
    array = column.unify_dictionaries().combine_chunks()
    array = array.chunk(0) if isinstance(array, pa.ChunkedArray) else array
    distinct = pd.Index(array.dictionary.to_numpy(zero_copy_only=False), dtype=object)
    return coded(array.indices.fill_null(-1).to_numpy(zero_copy_only=False), distinct, index)


def stage_identities(study: Study, term_id: str, roster: pd.DataFrame, key: bytes) -> str:
    """Write what the identity map holds of one term, to count once it is committed; its staged name."""
    table = {name: _strings(roster[name]) for name in IDENTITIES if name in roster}
    table["key_id"] = pa.array([key_id(key)] * len(roster), pa.string())
    return stage_private(
        study, identities_place(term_id), pa.table({name: table[name] for name in IDENTITIES})
    )


def identities_place(term_id: str) -> str:
    """Where the identity map of a term lies below ``private/``."""
    return f"identities/{term_id}.parquet"


def _strings(texts: pd.Series) -> pa.Array:
    codes, distinct = factor(texts)
    return pa.array(distinct, pa.string()).take(pa.array(codes, pa.int32(), mask=codes < 0))
