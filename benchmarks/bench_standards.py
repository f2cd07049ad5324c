"""Do 128 standards of a province's size take half a minute? One term of a million invented students, from Parquet.

A million students in 600 schools and 25,000 classes, with all that standards count: 2 million contacts, a million
events, 12 million records, 6 million check-ins, 3 million answers to knowledge items. The tables are made by DuckDB and
stored as ingest stores them; judging is a fresh process on two threads, timed after its imports, from opening the tables
to the frame of verdicts. Memory is the highest resident memory of that process. ``python bench_standards.py [STUDENTS]``.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb

from cobench import store
from cobench.delivered import Delivery, Part
from cobench.lock import writing
from cobench.monitor.standards import judge
from cobench.monitor.units import stored
from cobench.study import load_study

TERM = "2025-2026-1"
SCHOOLS, CLASS_SIZE = 600, 40
LIMIT_SECONDS, LIMIT_GB = 30, 2
STUDY = """
[study]
id = "scale"
label = "scale"
simulated = true
[[terms]]
id = "2025-2026-1"
start = 2025-09-01
end = 2026-01-23
holidays = [[2025-10-01, 2025-10-08], [2026-01-01, 2026-01-03]]
makeup_days = [2025-09-28, 2025-10-11]
[[sources]]
table = "outcomes"
files = "*.xlsx"
school = "column"
columns = {school = "s", student_name = "n"}
measures = {common = "m"}
[outcomes.common]
label = "common"
measure = "common"
test = "common"
[standards]
profiles = ["district_plan", "county_campaign", "class_plan", "parent_school", "plan_collection"]
campaigns = {visits = [2025-09-01, 2025-12-31], reading = [2025-09-01, 2025-12-31]}
"""
CLASS_EVENTS = {"bulletin": 20, "theme_discussion": 5, "call_round": 5, "communication_review": 5, "parent_meeting": 2,
                "lecture": 1, "open_day": 2, "inspection": 1}  # fmt: skip
SCHOOL_EVENTS = ("lecture", "guidance", "forum", "parent_meeting", "selection", "appraisal", "open_class", "survey",
                 "teacher_training", "course", "parent_school_activity", "reception_day", "midterm_exam")  # fmt: skip
UNIT_EVENTS = ("sync_lesson", "online_research", "offline_research", "online_course", "student_exchange", "research",
               "community_meeting", "lesson_exchange", "weak_subject", "quality_meeting", "homework_workshop",
               "teaching_contest", "media_report", "assessment", "lead_principal", "mentor_activity")  # fmt: skip
PUPIL_RECORDS = {
    "health_record": ("'x'", "1.0"),
    "awareness": ("'x'", "0.9"),
    "contact_card": ("'x'", "0.95", 5),
    "study_plan": ("['study', 'behaviour', 'morals'][1 + m % 3]", "1.0", 3),
    "growth_note": ("'monthly_note'", "0.2", 5),
    "growth_summary": ("'term_summary'", "1.0"),
    "plan": ("'x'", "0.12"),
    "archive": ("'x'", "0.12"),
}
SCHOOL_RECORDS = {
    "flag": ["meeting_rule", "open_day_rule", "reception_rule", "parent_school", "guidance_committee", "steering_group",
             "school_scheme", "plan_in_development", "plan_in_annual", "attendance_book", "exchange_book",
             "parent_school_sign", "classroom", "plan_summary"],
    "committee_flag": ["place", "sign", "rules", "charter"],
    "budget": ["x"], "fee_violation": ["x"], "score_breach": ["x"], "volunteers": ["x"], "jury": ["e1", "e2"],
    "supervision_group": ["canteen"], "opinion": ["food", "homework"],
}  # fmt: skip


def main() -> int:
    """Make the tables, judge them in a fresh process, print one line of JSON."""
    if sys.argv[1:2] == ["--judge"]:
        return timed(Path(sys.argv[2]))
    n_students = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "study.toml").write_text(STUDY, encoding="utf-8")
        rows = make_tables(Path(folder), n_students)
        print(
            f"{n_students:,} students; rows: " + ", ".join(f"{name} {n:,}" for name, n in rows.items()),
            flush=True,
        )
        command = [sys.executable, __file__, "--judge", folder]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    told = json.loads(done.stdout.strip().splitlines()[-1])
    print(
        f"judged {told['n_standards']} standards ({told['n_rows']:,} verdicts) in {told['seconds']:.1f} s, "
        f"{told['peak_memory_gb']:.2f} GB at most"
    )
    print(json.dumps(told | {"n_students": n_students}))
    fine = told["seconds"] < LIMIT_SECONDS and told["peak_memory_gb"] < LIMIT_GB
    return 0 if fine or n_students != 1_000_000 else 1


def timed(folder: Path) -> int:
    """Judge every standard of the study in ``folder``; time and memory as JSON."""
    study = load_study(folder)
    start = time.perf_counter()
    with stored(study, study.terms[0]) as connection:
        verdicts = judge(connection, study, study.terms[0])
    seconds = time.perf_counter() - start
    peak = highest_memory()
    told = {
        "seconds": round(seconds, 2),
        "peak_memory_gb": round(peak / 1e9, 3),
        "n_standards": int(verdicts["standard"].nunique()) + 5,  # five reported figures count nothing
        "n_rows": len(verdicts),
        "verdicts": verdicts["verdict"].value_counts().to_dict(),
    }
    print(json.dumps(told))
    return 0


def highest_memory() -> int:
    """Bytes. Linux hands a child its parent's ``ru_maxrss``, here that of making the tables; the status file doesn't."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(each for each in status.read_text().splitlines() if each.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def make_tables(folder: Path, n_students: int) -> dict[str, int]:
    """Store the term's tables; rows by table."""
    study = load_study(folder)
    with duckdb.connect(":memory:") as connection:
        connection.execute("set preserve_insertion_order = false")
        connection.execute("select setseed(0.1)")
        lay_people(connection, n_students)
        made, rows = {}, {}
        for name, query in queries().items():
            table = connection.sql(
                f"select * exclude (term), '{TERM}' as term from ({query})"
            ).to_arrow_table()
            made[name] = {
                TERM: {"file": store.write_parquet(study, f"{name}/term={TERM}", table), "rows": len(table)}
            }
            rows[name] = len(table)
    with writing(study.root):
        store.commit(study, {TERM: Delivery(parts={"all": Part("", made)})})
    return rows


def lay_people(connection: duckdb.DuckDBPyConnection, n_students: int) -> None:
    """Schools, classes and children as whole numbers with their codes."""
    connection.execute(
        f"create table pupil as select i, 's_' || substr(md5(i::varchar), 1, 20) as student, i // {CLASS_SIZE} as c, "
        f"(i // {CLASS_SIZE}) % {SCHOOLS} as s, 'S' || lpad(((i // {CLASS_SIZE}) % {SCHOOLS})::varchar, 3, '0') as school, "
        f"'S' || lpad(((i // {CLASS_SIZE}) % {SCHOOLS})::varchar, 3, '0') || '-' || (i // {CLASS_SIZE}) as class_id, "
        f"1 + ((i // {CLASS_SIZE}) // {SCHOOLS}) % 9 as grade from range({n_students}) t(i)"
    )
    connection.execute("create table class as select distinct c, s, school, class_id, grade from pupil")
    connection.execute("create table place as select distinct s, school from pupil")


def queries() -> dict[str, str]:
    """A query of the rows of every table; columns that it doesn't name are missing."""
    start = "date '2025-09-01'"
    class_events = " union all ".join(
        f"select '{kind}' as kind, school, class_id, grade, ({start} + (({140 // n} * m) % 140)::integer)::timestamp as date, "
        f"35 as n_present, null as unit from class, range({n}) t(m)"
        for kind, n in CLASS_EVENTS.items()
    )
    school_events = " union all ".join(
        f"select '{kind}', school, null, null, ({start} + (7 * m + 1)::integer)::timestamp, 200, null "
        f"from place, range({20 if kind == 'reception_day' else 2}) t(m)"
        for kind in SCHOOL_EVENTS
    )
    unit_events = " union all ".join(
        f"select '{kind}', null, null, null, ({start} + (9 * m)::integer)::timestamp, 30, 'U' || (s // 4) "
        "from place, range(4) t(m)"
        for kind in UNIT_EVENTS
    )
    pupil_records = " union all ".join(
        f"select '{kind.split('_')[0] if kind.startswith('growth') else kind}' as kind, {item[0]} as item, school, class_id, "
        f"student, ({start} + (30 * m + 10)::integer)::timestamp as date, 1.0 as value, true as holds, null as level, "
        f"grade from pupil, range({item[2] if len(item) > 2 else 1}) t(m) where hash(i + 7 * m) % 1000 < 1000 * {item[1]}"
        for kind, item in PUPIL_RECORDS.items()
    )
    school_records = " union all ".join(
        f"select '{kind}', item, school, null, null, null, 3.0, true, 'school', null from place, unnest({items}) t(item)"
        for kind, items in SCHOOL_RECORDS.items()
    )
    committees = " union all ".join(
        f"select 'committee', '{item}', school, class_id, null, null, {n}.0, true, 'class', grade from class"
        for item, n in {"head": 1, "deputy": 2, "member": 3, "representative": 1}.items()
    )
    return {
        "schools": "select distinct school, case when grade > 6 then 'junior' else 'primary' end as stage, '' as term "
        "from class where grade in (1, 7)",
        "enrolments": "select student, school, class_id, grade, 'enrolled' as status, '' as term from pupil",
        "memberships": "select student, 'left_behind' as category, '' as term from pupil where i % 9 = 0",
        "logs": "select 'contacts' as \"table\", school, class_id, '' as term from class where c % 50 <> 0",
        "contacts": f"select student, school, class_id, ({start} + (hash(i + 99 * m) % 120)::integer)::timestamp as date, "
        "['at_home', 'phone', 'wechat'][1 + (hash(i * 3 + m) % 3)::integer] as mode, "
        "['class_teacher', 'class_teacher', 'subject_teacher'][1 + m % 3] as teacher_role, 'T' || c as teacher, "
        "true as has_form, true as has_photo, '' as term from pupil, range(2) t(m)",
        "events": f"select 'e' || row_number() over () as event, *, true as has_minutes, true as has_feedback, "
        f"null::varchar as subject, null::varchar as topic, '' as term from ({class_events} union all {school_events} "
        f"union all {unit_events})",
        "records": "select 'r' || row_number() over () as record, *, null::varchar as unit, null::timestamp as done, "
        f"'' as term from ({pupil_records} union all {school_records} union all {committees} union all "
        "select 'guard_slot', ['arrival', 'departure'][1 + m % 2], school, null, null, "
        f"({start} + (m // 2)::integer)::timestamp, 2.0, true, null, null from place, range(280) t(m))",
        "checkins": f"select student, school, class_id, ({start} + m::integer)::timestamp as date, 25.0 as minutes, "
        "'' as term from pupil, range(30) t(m) where c % 5 = 0",
        "teaching": "select 'L' || s as teacher, school, '' as class_id, '' as subject, 'leader' as role, '' as term from place",
        "communities": "select 'U' || (s // 4) as unit, ['pair', 'community', 'alliance'][1 + (s // 4) % 3] as kind, school, "
        "case when s % 4 = 0 then 'lead' else 'member' end as role, 'primary' as stage, timestamp '2024-09-01' as valid_from, "
        "timestamp '2027-08-31' as valid_to, '' as term from place",
        "postings": "select 'P' || s || m as teacher, 'U' || (s // 4) as unit, school as from_school, school as to_school, "
        "['leader', 'backbone', 'trainee', 'rotation', 'online', 'studio'][1 + m] as kind, "
        "timestamp '2025-09-01' as valid_from, timestamp '2026-08-31' as valid_to, 200.0 as days, '' as term "
        "from place, range(6) t(m)",
        "tasks": "select 'k' || s || m as task, 'U' || (s // 4) as unit, 'sync_lesson' as kind, 1.0 as planned, 1.0 as done, "
        "timestamp '2025-12-31' as due, timestamp '2025-09-20' as done_on, '' as term from place, range(10) t(m)",
        "responses": "select 'p' || i as respondent, student, school, class_id, 'k0' || (m + 1) as item, "
        "(hash(i + m) % 10 > 0)::double as value, '' as term from pupil, range(5) t(m) where i % 5 < 3",
        "outcomes": "select student, 'common' as measure, 80.0 as value, '' as term from pupil where grade = 4",
    }


if __name__ == "__main__":
    sys.exit(main())
