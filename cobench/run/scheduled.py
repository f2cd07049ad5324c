"""A run that nobody watches: waits for the term's files, evaluates, tries again what failed, and tells how it went.

Exit codes: 0 every report is published, or another scheduled run is at it; 1 some report failed or was withheld, retries
included; 2 bad input, or the study stayed locked or its disk full: nothing was published; 3 files were still missing at
the deadline and the run was told to stop then; 4 an error of the program; 130 or 143 ended from outside.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, MutableMapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console

from cobench.declared import Text
from cobench.errors import CobenchError, ParameterError, StorageError, StudyLockedError
from cobench.files import write_json
from cobench.lock import scheduling
from cobench.run.evaluate import evaluate_term
from cobench.run.index import STATES, states_of
from cobench.run.manifest import read_manifest
from cobench.run.notices import Channels, Notice, send, take_channels
from cobench.run.run_log import RunLog, secrets_of
from cobench.run.schedule_options import Options
from cobench.run.schedule_times import end_of_day, parse_deadline, zone_of
from cobench.run.term_run import RunResult
from cobench.run.waiting import Arrived, wait_for_files
from cobench.run.words import phrase
from cobench.study import Study, Term, load_study

CODES = {"published": 0, "incomplete": 1, "refused": 2, "files_missing": 3, "error": 4}
HELD = 0
_UNFINISHED = ("waiting", "running", "stopped")
_NONE = dict.fromkeys(STATES, 0)


@dataclass(frozen=True)
class Ending:
    """How a scheduled run ended.

    ``counts`` are pages by :data:`cobench.run.index.STATES`; ``index`` is relative to the study; ``news`` says whether a
    report is another than before; ``message`` why nothing was published, or no PDF or Word version made.
    """

    state: str
    counts: dict[str, int]
    arrived: Arrived
    index: str = ""
    seconds: float = 0.0
    retries: int = 0
    news: bool = False
    message: Text | None = None

    def text(self, language: str, *, schools: bool = True) -> str:
        """The summary; without what schools owe where others may read it."""
        clock = str(timedelta(seconds=round(self.seconds)))
        lines = [self.message[language]] if self.message and schools else []
        if self.index:
            lines += [phrase("schedule.counts", **self.counts)[language]]
        if self.arrived.lacking:
            owing = {each.school for each in self.arrived.lacking} - {""}
            said = phrase("schedule.missing", n=len(owing)) if owing else phrase("schedule.missing_district")
            lines.append(said[language])
            lines += self.arrived.lines(language) if schools else []
        if self.index:
            lines.append(phrase("schedule.where", index=self.index)[language])
        took = "schedule.took_tries" if self.retries else "schedule.took"
        return "\n".join([*lines, phrase(took, clock=clock, retries=self.retries)[language]])

    def facts(self, study: Study, term_id: str) -> dict[str, Any]:
        """The summary as data, for a webhook."""
        lacking = [vars(each) for each in self.arrived.lacking]
        named = {"published" if state == "ok" else state: n for state, n in self.counts.items()}
        return {"schema": 1, "study": study.id, "term": term_id, "state": self.state, **named, "missing": lacking,
                "index": self.index, "seconds": round(self.seconds), "retries": self.retries}  # fmt: skip

    def told(self) -> dict[str, Any]:
        """What has to be another for a notice to be news."""
        lacking = sorted(f"{each.school} {each.kind} {each.state}" for each in self.arrived.lacking)
        message = self.message.en if self.message else ""
        return {"state": self.state, "counts": self.counts, "missing": lacking, "message": message}


def due_term(study: Study, today: date) -> Term:
    """The latest term whose exam was before ``today``.

    Raises
    ------
    ParameterError
    """
    over = [term for term in study.terms if term.exam < today]
    if not over:
        said = phrase("schedule.no_term")
        raise ParameterError(en=said.en, zh=said.zh)
    return max(over, key=lambda term: term.start)


def run_scheduled(
    root: Path,
    term_id: str,
    options: Options,
    *,
    language: str,
    show: Callable[[str], None],
    watched: bool = False,
    environment: MutableMapping[str, str] = os.environ,
) -> int:
    """Run the study in folder ``root`` as a timer does; see the module for the exit code that is returned.

    Parameters
    ----------
    term_id : empty for :func:`due_term` of today.
    show : prints the summary; all that is logged where the run is ``watched``.
    environment : loses the settings of notices, so that no notebook inherits a password.
    """
    zone = zone_of(options.zone)
    _check(options)

    def now() -> datetime:
        return datetime.now(zone)

    secrets = secrets_of(environment)
    channels = take_channels(environment)
    echo = show if watched else None
    quietly = (lambda text: None) if watched else show
    with RunLog(root, now, options.keep, secrets, echo) as log, redirect_stdout(log), redirect_stderr(log):
        run = _Run(root, options, language, log, now)
        try:
            with scheduling(root):
                return run.to_its_end(term_id, channels, quietly)
        except StudyLockedError as held:
            log.say(held.in_language(language))
            quietly(held.in_language(language))
            return HELD
        except CobenchError as error:
            run.give_up(error, term_id, channels)
            raise


def _check(options: Options) -> None:
    if options.wait_until:
        parse_deadline(options.wait_until, zone_of(options.zone))


class _Run:
    """One scheduled run, which holds the lock already."""

    def __init__(self, root: Path, options: Options, language: str, log: RunLog, now: Callable[[], datetime]):
        self.root, self.options, self.language, self.log, self.now = root, options, language, log, now
        self.note = root / "private" / "schedule" / "last.json"
        self.retries = 0

    def say(self, text: Text) -> None:
        self.log.say(text[self.language])

    def to_its_end(self, term_id: str, channels: Channels, show: Callable[[str], None]) -> int:
        """All of it; what is left undone by a signal is noted, so that the next run goes on."""
        clock = time.monotonic()
        study = load_study(self.root)
        term = study.term(term_id) if term_id else due_term(study, self.now().date())
        before = self._read()
        kept = self._begin(term, before)
        try:
            ending = self._ended(term, datetime.fromisoformat(kept["deadline"]), kept)
        except KeyboardInterrupt:
            self._write(kept | {"state": "stopped"})
            self.say(phrase("schedule.stopped"))
            raise
        ending = replace(ending, seconds=time.monotonic() - clock, retries=self.retries)
        self._tell(study, term, ending, before, channels, show)
        self._write(kept | {"state": "ended", "told": ending.told()})
        return CODES[ending.state]

    def give_up(self, error: CobenchError, term_id: str, channels: Channels) -> None:
        """Tell that there is no study or term to run, or no room for a note of it."""
        state = phrase("schedule.state_refused")
        subject = phrase("schedule.subject", study="cobench", term=term_id or "schedule", state=state)[
            self.language
        ]
        said = error.in_language(self.language)
        self.log.say(said)
        facts = {"schema": 1, "term": term_id, "state": "refused"}
        send(Notice(subject, said, facts), channels, say=self.say, pause=min(2.0, self.options.pause))

    def _begin(self, term: Term, before: dict[str, Any]) -> dict[str, Any]:
        """What is noted of this run; the deadline of one that was cut short holds on."""
        began = self.now()
        kept = {"term": term.id, "began": began.isoformat(timespec="seconds"), "wait_until": self.options.wait_until,
                "deadline": self._deadline(term, began).isoformat(), "told": before.get("told")}  # fmt: skip
        if before.get("state") in _UNFINISHED:
            self.say(phrase("schedule.resumed", began=before["began"]))
            if all(before.get(name) == kept[name] for name in ("term", "wait_until")):
                kept |= {name: before[name] for name in ("began", "deadline")}
        shown = f"{datetime.fromisoformat(kept['deadline']):%Y-%m-%d %H:%M}"
        choice = phrase(f"schedule.choice_{self.options.if_missing}")
        self.say(phrase("schedule.start", term=term.id, deadline=shown, choice=choice))
        self._write(kept | {"state": "waiting"})
        return kept

    def _deadline(self, term: Term, began: datetime) -> datetime:
        if self.options.wait_until:
            return parse_deadline(self.options.wait_until, began.tzinfo)(began)
        due = end_of_day(term.files_due, began.tzinfo) if term.files_due else began
        return max(due, began)

    def _ended(self, term: Term, deadline: datetime, kept: dict[str, Any]) -> Ending:
        arrived = Arrived()
        try:
            arrived = self._wait(term, deadline)
            if not arrived.complete and self.options.if_missing == "stop":
                return Ending("files_missing", _NONE, arrived, message=arrived.error)
            if not arrived.complete:
                self.say(phrase("schedule.go_on"))
            self._write(kept | {"state": "running"})
            return self._evaluated(term.id, arrived)
        except CobenchError as error:
            return Ending("refused", _NONE, arrived, message=Text(error.zh, error.en))
        except Exception as error:  # a run that nobody watches has to end with a word of it
            self.log.say_error(error)
            said = phrase("schedule.unexpected", what=type(error).__name__)
            return Ending("error", _NONE, arrived, message=said)

    def _wait(self, term: Term, deadline: datetime) -> Arrived:
        return wait_for_files(
            self.root,
            term.id,
            deadline=deadline,
            every=timedelta(minutes=self.options.every),
            say=self.say,
            say_lacking=self._say_lacking,
            now=self.now,
        )

    def _say_lacking(self, arrived: Arrived) -> None:
        if arrived.complete:
            return self.say(phrase("schedule.all_here"))
        self.say(phrase("schedule.lacking"))
        if arrived.error:
            self.say(arrived.error)
        for line in arrived.lines(self.language, most=len(arrived.lacking)):
            self.log.say(f"  {line}")

    # ---- evaluation -----------------------------------------------------------------------------------

    def _evaluated(self, term_id: str, arrived: Arrived) -> Ending:
        self.say(phrase("schedule.begin"))
        results = self._tried(term_id)
        said = self._annexed(term_id)
        manifest = read_manifest(results[-1].manifest) or {"reports": []}
        for entry in manifest["reports"]:
            if entry["state"] != "ok":
                why = Text(**entry["reason"])
                self.say(
                    phrase("schedule.no_report", report=entry["id"], language=entry["language"], why=why)
                )
        counts = states_of(manifest)
        state = "incomplete" if counts["failed"] or counts["withheld"] or said else "published"
        news = any(outcome.made != "reused" for result in results for outcome in result.outcomes)
        index = results[-1].index.relative_to(self.root).as_posix()
        return Ending(state, counts, arrived, index, news=news, message=said)

    def _annexed(self, term_id: str) -> Text | None:
        """Make the PDF and Word versions asked for; why not, where they can't be made."""
        if not (self.options.pdf or self.options.docx):
            return None
        from cobench.run.annexes import add_annexes

        try:
            add_annexes(load_study(self.root), term_id, pdf=self.options.pdf, word=self.options.docx)
        except CobenchError as error:
            said = Text(error.zh, error.en)
            self.say(said)
            return said
        return None

    def _tried(self, term_id: str) -> list[RunResult]:
        """Results of the run and of what was tried again: failed reports only, or all where none was reached."""
        results: list[RunResult] = []
        while True:
            last = self.retries >= self.options.retries
            try:
                results.append(self._run_once(term_id, "failed" if results else "changed"))
                if last or not results[-1].counts["failed"]:
                    return results
            except (StudyLockedError, StorageError) as error:
                self.log.say(error.in_language(self.language))
                if last and results:
                    return results
                if last:
                    raise
            seconds = self.options.pause * 2**self.retries
            self.retries += 1
            self.say(phrase("schedule.attempt", n=self.retries, seconds=f"{seconds:g}"))
            time.sleep(seconds)

    def _run_once(self, term_id: str, redo: str) -> RunResult:
        return evaluate_term(
            load_study(self.root),
            term_id,
            jobs=self.options.jobs or os.cpu_count() or 1,
            console=Console(file=self.log, width=200, force_terminal=False, color_system=None),
            language=self.language,
            redo=redo,
        )

    # ---- word of it -----------------------------------------------------------------------------------

    def _tell(
        self,
        study: Study,
        term: Term,
        ending: Ending,
        before: dict[str, Any],
        channels: Channels,
        show: Callable[[str], None],
    ) -> None:
        name = term.label or Text(term.id, term.id)
        state = phrase(f"schedule.state_{ending.state}")
        subject = phrase("schedule.subject", study=study.label, term=name, state=state)[self.language]
        text = ending.text(self.language)
        self.log.say(f"{subject}\n{text}")
        seen = ending.text(self.language, schools=False) if self.options.quiet else text
        show(f"{subject}\n{seen}")
        if not ending.news and ending.told() == before.get("told"):
            return self.say(phrase("schedule.no_news"))
        send(
            Notice(subject, text, ending.facts(study, term.id)),
            channels,
            say=self.say,
            pause=min(2.0, self.options.pause),
        )

    def _read(self) -> dict[str, Any]:
        try:
            found = json.loads(self.note.read_text(encoding="utf-8"))
            return found if isinstance(found, dict) else {}
        except (OSError, ValueError):
            return {}

    def _write(self, kept: dict[str, Any]) -> None:
        write_json(self.note, kept)


def end_on_signals() -> None:
    """Let SIGTERM (of systemd, a shutdown or GitHub) end a run in order, as Ctrl+C does."""

    def end(number: int, _frame: object) -> None:
        raise KeyboardInterrupt(number)

    signal.signal(signal.SIGTERM, end)
