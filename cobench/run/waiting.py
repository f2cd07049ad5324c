"""Wait for a term's files: who owes what, looked at again and again until all is there or a deadline has passed."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cobench.declared import Text
from cobench.errors import CobenchError
from cobench.ingest.receive import STATES, receive
from cobench.ingest.resent import CHOICES
from cobench.run.words import phrase
from cobench.study import load_study

# A file that is still being copied looks whole for a moment; what is complete has to be so twice.
SETTLE_SECONDS = 60.0
_SHOWN = 20


@dataclass(frozen=True)
class Lack:
    """A kind of file that a school (the district: "") owes, and why it doesn't count: a key of ``receive.STATES``."""

    school: str
    name: str
    kind: str
    state: str


@dataclass(frozen=True)
class Arrived:
    """What a look at the files found; ``error`` where they can't even be listed."""

    lacking: tuple[Lack, ...] = ()
    error: Text | None = None

    @property
    def complete(self) -> bool:
        return not self.lacking and self.error is None

    def lines(self, language: str, most: int = _SHOWN) -> list[str]:
        """A line for each school that owes something, with what; names of schools, never of files or people."""
        by_school: dict[tuple[str, str], list[str]] = {}
        for each in self.lacking:
            said = f"{each.kind} {STATES[each.state][language]}"
            by_school.setdefault((each.school, each.name), []).append(said)
        district = phrase("schedule.district")[language]
        mark, comma = ("：", "、") if language == "zh" else (": ", ", ")
        lines = [
            f"{f'{school} {name}'.strip() or district}{mark}{comma.join(kinds)}"
            for (school, name), kinds in by_school.items()
        ]
        rest = len(lines) - most
        return [*lines[:most], *([phrase("schedule.more", n=rest)[language]] if rest > 0 else [])]


def look(root: Path, term_id: str) -> Arrived:
    """What has come of ``term_id``, by the study file as it is now."""
    try:
        status = receive(load_study(root), term_id).status
    except CobenchError as error:
        return Arrived(error=Text(error.zh, error.en))
    behind = status[status["state"] != "received"]
    columns = [behind[name] for name in ("school", "name", "kind", "state")]
    return Arrived(tuple(Lack(*map(str, row)) for row in zip(*columns, strict=True)))


def wait_for_files(
    root: Path,
    term_id: str,
    *,
    deadline: datetime,
    every: timedelta,
    say: Callable[[Text], None],
    say_lacking: Callable[[Arrived], None],
    now: Callable[[], datetime],
) -> Arrived:
    """Look until nothing is lacking, or until ``deadline``; what is lacking is said whenever it changes.

    Files are opened only where one of them, the study file or a choice has changed since the last look.
    """
    told, seen, found = None, None, Arrived()
    while True:
        mark = fingerprint(root, term_id)
        if mark != seen:
            found, seen = look(root, term_id), mark
        if found != told:
            told = found
            say_lacking(found)
        left = deadline - now()
        if found.complete:
            settle = min(timedelta(seconds=SETTLE_SECONDS), every)
            if left <= timedelta() or _still(root, term_id, mark, settle):
                return found
            say(phrase("schedule.still_changing"))
            continue
        if left <= timedelta():
            return found
        time.sleep(min(every, left).total_seconds())


def _still(root: Path, term_id: str, mark: str, settle: timedelta) -> bool:
    time.sleep(settle.total_seconds())
    return fingerprint(root, term_id) == mark


def fingerprint(root: Path, term_id: str) -> str:
    """A hash over names, sizes and times of all that decides what has arrived."""
    paths = {root / "study.toml", root / CHOICES, *(root / "data" / "raw" / term_id).rglob("*")}
    with suppress(CobenchError):  # what is wrong is told by the look itself
        study = load_study(root)
        paths |= {path for source in study.sources for path in root.glob(source.pattern(term_id))}
        paths |= {root / name for each in study.instruments.values() for name in each.codebooks}
    said = hashlib.sha256()
    for path in sorted(paths):
        try:
            facts = path.stat()
        except OSError:  # gone, or not there yet
            continue
        said.update(
            f"{path.relative_to(root)}\0{facts.st_size}\0{facts.st_mtime_ns}\n".encode(
                "utf-8", "surrogatepass"
            )
        )
    return said.hexdigest()
