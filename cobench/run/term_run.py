"""All reports of a term: executed, checked for release, published with manifest and index."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from rich.console import Console

from cobench.declared import Text
from cobench.errors import RunError
from cobench.lock import storing
from cobench.release.structure import Registered
from cobench.run import gate
from cobench.run import manifest as manifests
from cobench.run.cache import Cache
from cobench.run.execute import Event, Outcome, execute, work_folder
from cobench.run.guard import check_reports
from cobench.run.index import inputs_of, render_index
from cobench.run.kernels import private_folder
from cobench.run.plan import Report, check_plan
from cobench.run.progress import ProgressLine, ui_language
from cobench.run.render import PageContext, render_placeholder
from cobench.run.warm import Kernels
from cobench.run.words import phrase
from cobench.study import Study
from cobench.workbench import term_release

Redo = Literal["changed", "all", "failed"]


@dataclass(frozen=True)
class Download:
    """A data file to publish beside the pages, and what it is."""

    source: Path
    label: Text


@dataclass(frozen=True)
class RunResult:
    """What a run published. ``exit_code`` is 0 when every report came out, else 1."""

    outcomes: tuple[Outcome, ...]
    index: Path
    manifest: Path
    seconds: float

    @property
    def counts(self) -> dict[str, int]:
        """Pages by state: ``ok``, ``failed``, ``withheld``."""
        states = [outcome.state for outcome in self.outcomes]
        return {state: states.count(state) for state in ("ok", "failed", "withheld")}

    @property
    def exit_code(self) -> int:
        return 0 if self.counts["ok"] == len(self.outcomes) else 1

    def summary(self, language: str) -> str:
        """One line for the terminal."""
        return phrase("progress.summary", seconds=round(self.seconds), **self.counts)[language]


def run_term(
    study: Study,
    term_id: str,
    reports: Sequence[Report],
    *,
    scan: gate.Scan,
    jobs: int | None = None,
    schools: pd.DataFrame | None = None,
    downloads: Mapping[str, Download] | None = None,
    tables: Sequence[Registered] = (),
    partial: bool = False,
    console: Console | None = None,
    language: str | None = None,
    cell_timeout: int | None = 1800,
    kernels: Kernels | None = None,
    redo: Redo = "changed",
    populations: Mapping[str, object] | None = None,
    scheduler: str | None = None,
    server: Mapping[str, str] | None = None,
) -> RunResult:
    """Run ``reports`` and publish them in ``reports/<term>/``.

    Reports that would come out as they are aren't run again (:mod:`cobench.run.cache`). Pages are made in ``private/run`` and published only when all are ready and checked: each page whole,
    then ``run.json``, then the index. Whatever ends the run before that leaves the earlier reports as they
    were. Partial notebooks and tracebacks of failed reports go to ``private/failed/<term>``.

    Parameters
    ----------
    scan : ``scan(html, path)`` returns what must not be public; anything found withholds the page. Embedded
        images and fonts are blanked before.
    jobs : worker processes; by default one a processor.
    schools : released figures for the index, see :func:`cobench.run.index.render_index`.
    downloads : data files to publish, by file name.
    tables : what ``schools`` and ``downloads`` released, for the audit of the whole term.
    partial : only some of the term's reports are run; the others are kept from the last run.
    language : of the progress line, by default that of the user's locale.
    kernels : see :func:`cobench.run.execute.execute`.
    redo : ``changed`` runs what is new, has changed or failed, ``all`` everything, ``failed`` only what failed or was
        withheld last time; the others are then kept, as with ``partial``.
    populations : see :func:`cobench.run.guard.check_reports`.
    scheduler, server : see :func:`cobench.run.execute.execute`.

    Raises
    ------
    ParameterError
        Before any kernel starts.
    RunError
        When there is nothing to run.
    ReleaseError
        When the index, ``run.json`` or a data file holds something that must not be public; nothing is
        published then.
    """
    check_plan(reports)
    if not reports:
        raise RunError(en="no report to run", zh="没有可运行的报告")
    speak, console = language or ui_language(), console or Console()
    started, clock = _now(), time.monotonic()
    target = study.root / "reports" / term_id
    earlier = manifests.read_manifest(target / "run.json")
    states = {entry["page"]: entry["state"] for entry in (earlier or {}).get("reports", [])}
    if redo == "failed":
        reports = [report for report in reports if states.get(report.path) in ("failed", "withheld")]
        if not reports:
            console.print(phrase("progress.nothing_failed")[speak], highlight=False)
            return RunResult((), target / "index.html", target / "run.json", time.monotonic() - clock)
    partial = partial or redo == "failed"
    raw = manifests.input_hashes(study, term_id)
    kept = _kept(earlier, reports, target) if partial else []
    context = _context(study, term_id, reports, kept, raw, started)
    cache = Cache(study, term_id, context, states, force=redo == "all")
    work_dir = work_folder(study.root, term_id)
    scan = gate.remembered(scan)
    try:
        outcomes = _make(
            reports,
            cache,
            jobs=jobs or os.cpu_count() or 1,
            work_dir=work_dir,
            console=console,
            language=speak,
            cell_timeout=cell_timeout,
            kernels=kernels,
            scheduler=scheduler,
            server=server,
            scan=scan,
        )
        earlier_terms = [each.id for each in study.terms_until(term_id)]
        outcomes = check_reports(outcomes, term=term_id, also=earlier_terms, populations=populations)
        outcomes = [gate.check_page(outcome, scan, study) for outcome in outcomes]
        earlier_counts = term_release.published(study, term_id)
        beside = cache.tables_of([entry["page"] for entry in kept])
        passed = gate.audit_term(outcomes, tables, study.release.min_cell, earlier_counts, beside)
        outcomes, downloads = passed.outcomes, (downloads or {}) if passed.downloads else {}
        _keep_for_analysts(outcomes, study, term_id)
        edition = _edition(
            study,
            term_id,
            outcomes,
            kept,
            context,
            raw=raw,
            started=started,
            schools=schools if passed.downloads else None,
            downloads=downloads,
        )
        _check_edition(edition, scan, study)
        term_release.add_edition(study, term_id, passed.tables)
        with storing():
            publish(target, edition, earlier)
        _settle(cache, outcomes, edition)
    except KeyboardInterrupt:
        console.print(phrase("progress.interrupted")[speak], highlight=False)
        raise
    finally:
        shutil.rmtree(work_dir, ignore_errors=True)
    return RunResult(tuple(outcomes), target / "index.html", target / "run.json", time.monotonic() - clock)


def _make(
    reports: Sequence[Report],
    cache: Cache,
    *,
    jobs: int,
    work_dir: Path,
    console: Console,
    language: str,
    cell_timeout: int | None,
    kernels: Kernels | None,
    scheduler: str | None,
    server: Mapping[str, str] | None,
    scan: gate.Scan,
) -> list[Outcome]:
    """Outcomes of all ``reports``: executed, rendered again, or as they are."""
    judged = {report.path: cache.judge(report) for report in reports}
    anew = {path: each for path, each in judged.items() if each.action != "reuse"}
    with ProgressLine(len(anew), console=console, language=language, judged=judged) as progress:

        def follow(event: Event) -> None:
            done = event.outcome
            if done and done.state == "ok" and anew[done.report.path].action == "run":
                cache.keep(done)
            progress(event)
            if done:
                # Looked through while others are made, and remembered for the check of the whole term.
                gate.check_page(done, scan, cache.study)

        made = execute(
            [each.report for each in anew.values()],
            jobs=jobs,
            work_dir=work_dir,
            study_root=cache.study.root,
            context=cache.context,
            on_event=follow,
            cell_timeout=cell_timeout,
            kernels=kernels,
            scheduler=scheduler,
            server=server,
            executed={
                path: cache.notebook(each.report) for path, each in anew.items() if each.action == "render"
            },
        )
    found = {outcome.report.path: outcome for outcome in made}
    return [cache.finished(each, found.get(path)) for path, each in judged.items()]


def _settle(cache: Cache, outcomes: Sequence[Outcome], edition: Edition) -> None:
    entries = {entry["page"]: entry for entry in edition.manifest["reports"]}
    cache.settle(
        outcomes,
        {page: entry["page_sha256"] for page, entry in entries.items()},
        edition.manifest["finished"],
    )
    cache.forget_others(entries)


@dataclass(frozen=True)
class Edition:
    """All that a run publishes: pages by file name, data files, manifest and index."""

    pages: Mapping[str, str]
    downloads: Mapping[str, Download]
    manifest: Mapping[str, Any]
    index: str


def _edition(
    study: Study,
    term_id: str,
    outcomes: Sequence[Outcome],
    kept: Sequence[dict[str, Any]],
    context: PageContext,
    *,
    raw: Mapping[str, str],
    started: datetime,
    schools: pd.DataFrame | None,
    downloads: Mapping[str, Download],
) -> Edition:
    pages = {outcome.report.path: _page_text(outcome, context) for outcome in outcomes}
    manifest = manifests.build_manifest(
        study,
        term_id,
        _entries(outcomes, pages, kept, study),
        raw=raw,
        files={name: manifests.file_hash(item.source) for name, item in downloads.items()},
        started=started,
        finished=_now(),
    )
    labels = {name: item.label for name, item in downloads.items()}
    index = render_index(
        manifest, context=context, language=study.languages[0], schools=schools, downloads=labels
    )
    return Edition(pages, downloads, manifest, index)


def _check_edition(edition: Edition, scan: gate.Scan, study: Study) -> None:
    gate.check_text(edition.index, "index.html", scan, study)
    gate.check_text(manifests.to_json(edition.manifest), "run.json", scan, study)
    for name, item in edition.downloads.items():
        gate.check_file(item.source, name, scan, study)


def publish(target: Path, edition: Edition, earlier: Mapping[str, Any] | None) -> None:
    """Replace the published term: pages and data one by one, then ``run.json``, then the index.

    Each file is whole at any moment, and the index never links to a page that isn't there: what the run of
    the manifest ``earlier`` published and this one doesn't is removed last. Scraps of a publisher that was killed go.
    """
    target.mkdir(parents=True, exist_ok=True)
    for left in target.glob(".*.tmp"):
        left.unlink(missing_ok=True)
    for name, html in edition.pages.items():
        if not _is_there(target / name, html):
            manifests.write_atomically(target / name, html)
    for name, item in edition.downloads.items():
        if item.source.resolve() != (target / name).resolve():
            manifests.write_atomically(target / name, item.source.read_bytes())
    manifests.write_atomically(target / "run.json", manifests.to_json(edition.manifest))
    manifests.write_atomically(target / "index.html", edition.index)
    current = {entry["page"] for entry in edition.manifest["reports"]}
    for entry in (earlier or {}).get("reports", []):
        name = Path(entry["page"]).name
        if name not in current:
            (target / name).unlink(missing_ok=True)
    for name in set((earlier or {}).get("files", {})) - set(edition.manifest.get("files", {})):
        (target / Path(name).name).unlink(missing_ok=True)


def _is_there(path: Path, html: str) -> bool:
    return path.is_file() and path.read_bytes() == html.encode("utf-8")


def _now() -> datetime:
    return datetime.now().astimezone()


def _context(
    study: Study,
    term_id: str,
    reports: Sequence[Report],
    kept: Sequence[Mapping[str, Any]],
    raw: Mapping[str, str],
    started: datetime,
) -> PageContext:
    term = study.term(term_id)
    settings = manifests.settings_hashes(study)
    hashes = {"raw_files": manifests.combined_hash(raw)} if raw else {}
    if "study.toml" in settings:
        hashes["study_file"] = settings["study.toml"]
    notebooks = {report.notebook for report in reports}
    hashes |= {f"notebook:{path.name}": manifests.file_hash(path) for path in sorted(notebooks)}
    return PageContext(
        study=study.label,
        term=term_id,
        term_label=term.label or Text(term_id, term_id),
        run_date=started.date().isoformat(),
        simulated=study.simulated,
        versions=manifests.software_versions(manifests.SHOWN_PACKAGES),
        hashes=hashes,
        pages=frozenset([*(report.path for report in reports), *(entry["page"] for entry in kept)]),
    )


def _kept(earlier: Mapping[str, Any] | None, reports: Sequence[Report], target: Path) -> list[dict[str, Any]]:
    """Entries of the last run that this one leaves alone and whose pages are still as published."""
    replaced = {report.path for report in reports}
    return [
        {"inputs": inputs_of(earlier or {})} | entry | {"carried_over": True}
        for entry in (earlier or {}).get("reports", [])
        if entry["page"] not in replaced
        and (page := target / Path(entry["page"]).name).is_file()
        and manifests.file_hash(page) == entry["page_sha256"]
    ]


def _page_text(outcome: Outcome, context: PageContext) -> str:
    if outcome.state == "ok":
        return outcome.page.read_text(encoding="utf-8")
    return render_placeholder(outcome.report, outcome.state, outcome.reason, context=context)


def _keep_for_analysts(outcomes: Sequence[Outcome], study: Study, term_id: str) -> None:
    """Partial notebooks, tracebacks and withheld pages into ``private/failed``; those now settled go."""
    private_folder(study.root / "private" / "failed")
    folder = private_folder(study.root / "private" / "failed" / term_id)
    for outcome in outcomes:
        stem = Path(outcome.report.path).stem
        for suffix in (".ipynb", ".txt", ".html"):
            (folder / f"{stem}{suffix}").unlink(missing_ok=True)
        if outcome.state == "ok":
            continue
        (folder / f"{stem}.txt").write_text(f"{outcome.reason.en}\n\n{outcome.detail}\n", encoding="utf-8")
        if outcome.notebook:
            shutil.copyfile(outcome.notebook, folder / f"{stem}.ipynb")
        if outcome.page:
            shutil.copyfile(outcome.page, folder / f"{stem}.html")


def _entries(
    outcomes: Sequence[Outcome], pages: Mapping[str, str], kept: Sequence[dict[str, Any]], study: Study
) -> list[dict[str, Any]]:
    finished = _now()
    fresh = [manifests.describe_outcome(o, pages[o.report.path], study, finished) for o in outcomes]
    if not kept:
        return fresh
    return sorted(
        [*fresh, *kept], key=lambda entry: (entry.get("order", 0), entry["id"], entry["language"] != "zh")
    )
