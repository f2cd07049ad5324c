"""One writer and one scheduled run at a time, by locks of the operating system; and errors of a full disk in plain words."""

from __future__ import annotations

import errno
import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from cobench.declared import Text
from cobench.errors import StorageError, StudyLockedError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_REFUSED = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST)


@contextmanager
def writing(root: Path) -> Iterator[None]:
    """Hold the right to write the study in folder ``root``; the same process may ask again inside.

    The lock is the operating system's, so that a killed process never leaves it behind.

    Raises
    ------
    StudyLockedError
        While another process writes; says which, where and since when.
    StorageError
        When the folder can't be written to.
    """
    with _holding(Path(root) / "data" / "processed", _locked):
        yield


@contextmanager
def scheduling(root: Path) -> Iterator[None]:
    """Hold the right to be the one scheduled run of the study in folder ``root``, from waiting for files to its end.

    Others may write the study meanwhile: only what is published needs :func:`writing`.

    Raises
    ------
    StudyLockedError
        While another scheduled run waits or works; says which, where and since when.
    StorageError
        When the folder can't be written to.
    """
    with _holding(Path(root) / "private" / "schedule", _scheduled):
        yield


@contextmanager
def _holding(folder: Path, refusal: Callable[[Path], StudyLockedError]) -> Iterator[None]:
    with storing():
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock", thread_local=False, is_singleton=True, timeout=0)
        outermost = not lock.is_locked
        try:
            lock.acquire()
        except Timeout:
            raise refusal(folder) from None
    try:
        if outermost:
            _sign(folder)
        yield
    finally:
        if outermost:
            with suppress(OSError):
                (folder / ".writer.json").unlink()
        lock.release()


@contextmanager
def storing() -> Iterator[None]:
    """Turn errors of a full, read-only or unwritable disk into ones that say what to do.

    Raises
    ------
    StorageError
    """
    try:
        yield
    except OSError as error:
        made = _storage_error(error)
        if made is None:
            raise
        raise made from None


def is_full(number: int | None) -> bool:
    """Whether an error of this number says that there is no room left."""
    return number in _FULL


def _storage_error(error: OSError) -> StorageError | None:
    where = Path(os.fsdecode(error.filename)).parent.name if error.filename else "data/processed"
    if error.errno in _FULL:
        return StorageError(
            en=f"the disk is full, or a quota is used up (while writing to {where}); what was stored or published before is "
            "whole; free some space and run again",
            zh=f"磁盘已满或配额用尽（写入 {where} 时）；此前存储或发布的内容完好；请腾出空间后重新运行",
        )
    if error.errno in _REFUSED:
        return StorageError(
            en=f"can't write to {where}: it is read-only, or not a folder of yours; the tables stored before are "
            "whole; check its permissions and run again",
            zh=f"无法写入 {where}：该位置只读，或不是您可写的文件夹；此前存储的数据完好；请检查权限后重新运行",
        )
    return None


def _sign(folder: Path) -> None:
    """Leave word of who writes, for others to read."""
    since = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
    writer = {"pid": os.getpid(), "host": socket.gethostname(), "since": since}
    with storing():
        (folder / ".writer.json").write_text(json.dumps(writer), encoding="utf-8")


def _locked(folder: Path) -> StudyLockedError:
    writer = _signed(folder)
    return StudyLockedError(
        en=f"the study is being written by {writer.en}; wait until it has finished, or stop it, and run again",
        zh=f"本研究正由{writer.zh}写入；请等其结束（或将其停止）后重新运行",
    )


def _scheduled(folder: Path) -> StudyLockedError:
    holder = _signed(folder)
    return StudyLockedError(
        en=f"a scheduled run of this study is under way already: {holder.en}; nothing to do",
        zh=f"本研究已有定时运行在进行：{holder.zh}；本次不再运行",
    )


def _signed(folder: Path) -> Text:
    try:
        writer = json.loads((folder / ".writer.json").read_text(encoding="utf-8"))
        en = f"process {writer['pid']} on {writer['host']} since {writer['since']}"
        zh = f"主机 {writer['host']} 上的进程 {writer['pid']}（自 {writer['since']} 起）"
    except (OSError, ValueError, KeyError):
        en, zh = "another process", "另一进程"
    return Text(zh, en)
