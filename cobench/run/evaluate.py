"""A term from raw files to published reports: ingest, term stage, release, reports, index."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
from rich.console import Console

from cobench.declared import Text
from cobench.errors import ParameterError
from cobench.ingest.identities import load_names
from cobench.lock import writing
from cobench.new_study import bundled
from cobench.release import ledger, scan_html
from cobench.release.identifiers import Roster
from cobench.run import settled
from cobench.run.execute import standby
from cobench.run.index import with_change
from cobench.run.plan import Report, check_plan, plan_term
from cobench.run.steps import StepLine
from cobench.run.term_run import Download, Redo, RunResult, run_term
from cobench.run.warm import Kernels
from cobench.run.words import phrase
from cobench.show.wording import phrases
from cobench.study import Study
from cobench.workbench import exports, term_release
from cobench.workbench.desk import Desk
from cobench.workbench.prepare import bring_up_to_date

ANY_SCHOOL = "S00"


def evaluate_term(
    study: Study,
    term_id: str,
    *,
    languages: Sequence[str] | None = None,
    only: Sequence[str] = (),
    school: str | None = None,
    jobs: int = 1,
    console: Console | None = None,
    language: str = "en",
    kernels: Kernels | None = None,
    redo: Redo = "changed",
    scheduler: str | None = None,
) -> RunResult:
    """Evaluate ``term_id`` of ``study`` and publish its reports in ``reports/<term>/``.

    Notebooks and their parameters are checked before anything is read, so a misspelt one costs no time.

    Parameters
    ----------
    languages : of the pages, by default those of the study.
    language : of progress and messages.
    kernels : see :func:`cobench.run.execute.execute`.
    redo, scheduler : see :func:`cobench.run.term_run.run_term`.
    """
    study.term(term_id)
    wanted = tuple(languages or study.languages)
    console = console or Console()
    check_plan(plan(study, term_id, wanted, {ANY_SCHOOL: Text(ANY_SCHOOL, ANY_SCHOOL)}))
    # Held until the reports are published: a second run would mix its pages with these.
    with writing(study.root):
        return _evaluate(
            study, term_id, wanted, only, school, jobs, console, language, kernels, redo, scheduler
        )


def _evaluate(
    study: Study,
    term_id: str,
    wanted: tuple[str, ...],
    only: Sequence[str],
    school: str | None,
    jobs: int,
    console: Console,
    language: str,
    kernels: Kernels | None,
    redo: Redo,
    scheduler: str | None,
) -> RunResult:
    with StepLine(console=console, language=language) as steps:
        bring_up_to_date(study, term_id, jobs=jobs, on_progress=steps)
    desk = Desk(study, study.term(term_id), study.languages[0])
    with _decided(desk, kernels, scheduler) as server:
        schools = {code: Text(name, name) for code, name in desk.schools.items()}
        reports = plan(study, term_id, wanted, schools, only=only, school=school)
        people = load_names(study)
        partial = bool(only or school or set(wanted) != set(study.languages))
        whole = not partial and redo == "changed"
        clock = time.monotonic()
        if whole and (same := settled.unchanged(study, term_id, reports, people)) is not None:
            console.print(phrase("progress.reused", n=len(same))[language], highlight=False)
            target = study.root / "reports" / term_id
            return RunResult(
                tuple(same), target / "index.html", target / "run.json", time.monotonic() - clock
            )
        names = Roster(people)
        known = [*phrases(), *desk.schools.values(), *study_phrases(study)]
        with tempfile.TemporaryDirectory(prefix="cobench-") as folder:
            with ledger.collecting() as tables:
                overview, downloads = exports.school_overview(desk), _downloads(desk, Path(folder))
            if desk.term.baseline is not None:
                overview = with_change(overview, study.root / "reports" / desk.term.baseline / "index.html")
            result = run_term(
                study,
                term_id,
                reports,
                scan=lambda html, path: scan_html(html, names=names, exclude=known),
                jobs=jobs,
                schools=overview,
                downloads=downloads,
                tables=tables,
                partial=partial,
                console=console,
                language=language,
                kernels=kernels,
                redo=redo,
                populations=_populations(desk),
                scheduler=scheduler,
                server=server,
            )
        if not partial and redo != "failed" and result.exit_code == 0:
            settled.note(study, term_id, reports, people)
        return result


@contextmanager
def _decided(desk: Desk, kernels: Kernels | None, scheduler: str | None) -> Iterator[Mapping[str, str]]:
    """The term's release decided; meanwhile what makes pages starts, as pages will be made then."""
    if term_release.is_decided(desk.study, desk.term.id):
        yield {}
        return
    with standby(desk.study.root, kernels, scheduler) as server:
        exports.decide_term(desk)
        yield server


def _populations(desk: Desk) -> dict[str, object]:
    """Students of each school, reached and not: schools that differ in these can't have the same figures."""
    if not desk.has("reach"):
        return {}
    frame = desk.derived("reach")
    return {str(row["school"]): tuple(row.drop("school")) for _, row in frame.iterrows()}


def plan(
    study: Study,
    term_id: str,
    languages: Sequence[str],
    schools: dict[str, Text],
    *,
    only: Sequence[str] = (),
    school: str | None = None,
) -> tuple[Report, ...]:
    """The reports of a term: every notebook of the study in every language, for each treatment and school."""
    unknown = [each for each in languages if each not in study.languages]
    if unknown:
        listed = ", ".join(study.languages)
        raise ParameterError(
            en=f"language {unknown[0]!r} is not one of this study: {listed}",
            zh=f"本研究没有语言 {unknown[0]!r}；可用：{listed}",
        )
    declared = {effect.treatment for effect in study.effects_in(term_id)}
    return plan_term(
        notebooks_dir(study),
        term_id,
        languages=languages,
        treatments={key: each.label for key, each in study.treatments.items() if key in declared},
        schools=schools,
        records=not any(source.table == "panel" for source in study.sources),
        communities=any(source.table == "communities" for source in study.sources),
        value_added=bool(study.value_added),
        only=only,
        school=school,
    )


def notebooks_dir(study: Study) -> Path:
    """The study's own notebooks, else those that ship with cobench."""
    own = study.root / "notebooks"
    return own if own.is_dir() else bundled("notebooks")


def study_phrases(study: Study) -> list[str]:
    """Labels that ``study.toml`` gives: words of the study, never names of people."""
    labelled = [
        study,
        *study.categories,
        *study.treatments.values(),
        *(level for treatment in study.treatments.values() for level in treatment.levels),
        *study.scales.values(),
        *study.outcomes.values(),
        *study.columns.values(),
        *study.terms,
    ]
    return [each.label[language] for each in labelled if each.label for language in ("zh", "en")]


def _downloads(desk: Desk, folder: Path) -> dict[str, Download]:
    """Released estimates and tables to publish beside the pages."""
    estimates, workbook = folder / "estimates.parquet", folder / "tables.xlsx"
    released = desk.effects().frame
    pd.DataFrame(released).to_parquet(estimates, index=False)
    exports.write_tables_workbook(desk, workbook)
    return {
        "estimates.parquet": Download(estimates, Text("全部估计（Parquet）", "all estimates (Parquet)")),
        "tables.xlsx": Download(
            workbook, Text("已发布的表格与数据字典", "released tables with data dictionary")
        ),
    }
