"""Which reports need not be made anew: a private note beside each says what it was made of.

A note counts only while everything in it is still the same: notebook, parameters, cobench, environment, and all that
the report read (:mod:`cobench.reads`). It keeps the executed notebook as far as its page shows it, and what the report
released, so that a page can be made again and every page takes part in the audit of the term. Notes are written as
soon as a report is done: the next run goes on where a killed one ended.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from cobench.declared import Text
from cobench.lock import storing
from cobench.reads import Read
from cobench.run import inputs
from cobench.run.execute import Outcome
from cobench.run.kernels import private_folder
from cobench.run.manifest import file_hash, relative, write_atomically
from cobench.run.plan import Report
from cobench.run.reasons import changed, why
from cobench.run.render import PageContext
from cobench.study import Study

FORMAT = 1
Action = Literal["run", "render", "reuse"]


@dataclass(frozen=True)
class Note:
    """What a report was made of, and what became of it; ``page`` and ``rendering`` are empty until it is published."""

    notebook: str
    parameters: Mapping[str, Any]
    code: str
    environment: str
    reads: tuple[tuple[Read, str], ...]
    kept: Mapping[str, str]
    seconds: float
    rendering: str = ""
    page: str = ""
    finished: str = ""


@dataclass(frozen=True)
class Judged:
    """What is to be done for a report, and why."""

    report: Report
    action: Action
    why: Text | None = None
    note: Note | None = None


@dataclass
class Cache:
    """Notes of a term's reports in ``private/cache/<term>``.

    ``states`` are those of the last run by page; ``force`` takes no note for valid.
    """

    study: Study
    term_id: str
    context: PageContext
    states: Mapping[str, str]
    force: bool = False
    inputs: inputs.Inputs = field(init=False)

    def __post_init__(self) -> None:
        self.inputs = inputs.Inputs(self.study)
        private_folder(self.study.root / "private" / "cache")
        self.folder = private_folder(self.study.root / "private" / "cache" / self.term_id)

    def place(self, report: Report) -> Path:
        """Folder of a report's note."""
        return self.folder / Path(report.path).stem

    def judge(self, report: Report) -> Judged:
        """Whether a report is to be run, its page made again, or left as it is."""
        if self.force:
            return Judged(report, "run", why("forced"))
        state = self.states.get(report.path)
        if state in ("failed", "withheld"):
            return Judged(report, "run", why(state))
        note, problem = self._read(report)
        if note is None:
            return Judged(report, "run", problem)
        reasons = self._reasons(report, note)
        if reasons:
            return Judged(report, "run", changed(reasons))
        page = self.study.root / "reports" / self.term_id / report.path
        if not note.page:
            return Judged(report, "render", why("resumed"), note)
        if note.rendering != self._rendering(report) or not _holds(page, note.page):
            return Judged(report, "render", why("page"), note)
        return Judged(report, "reuse", None, note)

    def notebook(self, report: Report) -> Path:
        """The executed notebook that a page can be made of again."""
        return self.place(report) / "notebook.ipynb"

    def ledger(self, report: Report) -> Path:
        """What the report released."""
        return self.place(report) / "ledger.jsonl"

    def finished(self, judged: Judged, made: Outcome | None) -> Outcome:
        """What has become of a report: as it was ``made`` in this run, with what is known of it from earlier ones."""
        if made is None:
            page = self.study.root / "reports" / self.term_id / judged.report.path
            made = Outcome(judged.report, "ok", judged.note.seconds, page)
        kept = self.notebook(judged.report)
        if made.state == "ok" and kept.exists():
            made = replace(made, notebook=kept)
        if judged.action == "run" or made.state != "ok":
            return replace(made, why=judged.why)
        return replace(
            made,
            seconds=judged.note.seconds,
            ledger=self.ledger(judged.report),
            reads=tuple(read for read, _ in judged.note.reads),
            made="reused" if judged.action == "reuse" else "rendered",
            finished=judged.note.finished,
            why=judged.why,
        )

    def keep(self, outcome: Outcome) -> None:
        """Note a report that has just been executed, unless what it read isn't known.

        Raises
        ------
        StorageError
            When the disk is full.
        """
        place = self.place(outcome.report)
        with storing():
            shutil.rmtree(place, ignore_errors=True)
            if outcome.reads is None or not outcome.report.cached:
                return
            private_folder(place)
            shutil.move(outcome.notebook, place / "notebook.ipynb")
            ledger = outcome.ledger.read_bytes() if outcome.ledger.exists() else b""
            (place / "ledger.jsonl").write_bytes(ledger)
            note = Note(
                notebook=file_hash(outcome.report.notebook),
                parameters=dict(outcome.report.parameters),
                code=inputs.execution_code(),
                environment=self._environment(),
                reads=tuple((read, self.inputs.hash_of(read)) for read in outcome.reads),
                kept={path.name: file_hash(path) for path in sorted(place.iterdir())},
                seconds=round(outcome.seconds, 2),
            )
            self._write(outcome.report, note)

    def settle(self, outcomes: Sequence[Outcome], pages: Mapping[str, str], finished: str) -> None:
        """After publication: what was published stays noted, what was not does not.

        ``pages`` are the hashes of published pages.
        """
        with storing():
            for outcome in outcomes:
                report = outcome.report
                if outcome.state != "ok":
                    shutil.rmtree(self.place(report), ignore_errors=True)
                elif outcome.made != "reused" and (note := self._read(report)[0]):
                    made = note.finished if outcome.made == "rendered" and note.finished else finished
                    told = {"rendering": self._rendering(report), "page": pages[report.path]}
                    self._write(report, replace(note, **told, finished=made))

    def forget_others(self, pages: Collection[str]) -> None:
        """Remove notes of reports that the term doesn't have any more, and environments that no note names."""
        stems = {Path(page).stem for page in pages}
        for place in self.folder.iterdir():
            if place.is_dir() and place.name not in stems:
                shutil.rmtree(place, ignore_errors=True)

    def tables_of(self, pages: Collection[str]) -> dict[str, Path]:
        """What pages that this run leaves alone released, where it is known."""
        ledgers = {page: self.folder / Path(page).stem / "ledger.jsonl" for page in sorted(pages)}
        return {page: path for page, path in ledgers.items() if path.exists()}

    def _read(self, report: Report) -> tuple[Note | None, Text | None]:
        """The note of a report; else why there is none that counts."""
        place = self.place(report)
        if not report.cached or not (place / "note.json").exists():
            seen = report.path in self.states
            return None, why("unknown" if seen else "first")
        try:
            stored = json.loads((place / "note.json").read_text(encoding="utf-8"))
            if stored.pop("format") != FORMAT:
                return None, why("unknown")
            stored["reads"] = tuple((tuple(read), digest) for read, digest in stored["reads"])
            note = Note(**stored)
            whole = all(_holds(place / name, digest) for name, digest in note.kept.items())
        except (OSError, ValueError, TypeError, KeyError):
            whole = False
        return (note, None) if whole else (None, why("damaged"))

    def _write(self, report: Report, note: Note) -> None:
        text = json.dumps({"format": FORMAT, **asdict(note)}, ensure_ascii=False)
        write_atomically(self.place(report) / "note.json", text, durable=False)

    def _reasons(self, report: Report, note: Note) -> dict[str, Sequence[str]]:
        """Kinds of things that have changed since, with their names."""
        reasons: dict[str, list[str]] = {}
        if note.notebook != file_hash(report.notebook):
            reasons["notebook"] = [relative(report.notebook, self.study.root)]
        if note.parameters != dict(report.parameters):
            reasons["parameters"] = sorted(_differing(note.parameters, dict(report.parameters)))
        if note.code != inputs.execution_code():
            reasons["code"] = []
        if note.environment != inputs.environment_hash():
            reasons["environment"] = sorted(_differing(self._environment_of(note), inputs.environment()))
        for read, digest in note.reads:
            if self.inputs.hash_of(read) != digest:
                reasons.setdefault(read[0], []).append(_name_of(read))
        return reasons

    def _environment(self) -> str:
        """The hash of today's environment, which is written down once."""
        digest = inputs.environment_hash()
        path = self.folder / f"environment-{digest[:16]}.json"
        if not path.exists():
            write_atomically(path, json.dumps(inputs.environment(), indent=1), durable=False)
        return digest

    def _environment_of(self, note: Note) -> dict[str, str]:
        path = self.folder / f"environment-{note.environment[:16]}.json"
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}

    def _rendering(self, report: Report) -> str:
        """Hash of all but the date that a page rests on beside its executed notebook.

        A page that only its date would tell from the one there is left with that day's date.
        """
        own = f"notebook:{report.notebook.name}"
        context = replace(
            self.context,
            run_date="",
            hashes={
                key: value
                for key, value in self.context.hashes.items()
                if key == own or not key.startswith("notebook:")
            },
        )
        told = {name: value for name, value in vars(context).items() if name != "pages"}
        return inputs.canonical(
            [inputs.rendering_code(), repr(sorted(told.items())), sorted(context.pages), _described(report)]
        )


def _described(report: Report) -> str:
    return repr([(name, value) for name, value in vars(report).items() if name != "notebook"])


def _holds(path: Path, digest: str) -> bool:
    return path.is_file() and file_hash(path) == digest


def _differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> set[str]:
    return {name for name in {*before, *now} if before.get(name) != now.get(name)}


def _name_of(read: Read) -> str:
    """How a reason names what was read; of a file that may bear a person's name only its folder."""
    kind, *parts = read
    if kind == "table":
        return parts[0]
    if kind in ("stage", "own"):
        return parts[1]
    if kind == "file" and Path(parts[0]).suffix not in (".toml", ".py", ".ipynb"):
        return Path(parts[0]).parent.as_posix()
    return parts[0]
