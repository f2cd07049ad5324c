"""Does ingest hold at a district's scale? Raw csv files of 500,000 invented students and 8 terms to panels, three ways.

(a) cobench: every term ingested (read, rules, pseudonyms, links, store) and the panel of every term, two processes;
(b) plain pandas, as an analyst writes it, in this same file: read, concatenate, merge, no checks, same columns;
(c) cobench again after one file has changed. Each way is a fresh process; time is measured inside it, after its
imports; memory is the highest sum of resident memory over the process and its children, sampled every 20 ms (shared
pages count in each). ``python bench_ingest.py [STUDENTS]`` for a smaller district.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress
from datetime import date, timedelta
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.csv

from cobench import store
from cobench.ingest.ingest import ingest_terms
from cobench.panel_store import read_panel
from cobench.study import load_study

N_TERMS, COUNTIES, CLASS_SIZE, GRADES = 8, 8, 42, 6
FIRST_YEAR = 2021
KEY = b"a key of thirty-two bytes or so."
SURNAMES = list(
    "赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨朱秦尤许何吕施张孔曹严华金魏陶姜戚谢邹喻柏水窦章云苏潘葛奚范彭郎"
)
GIVEN = list(
    "子梓宇轩浩然欣怡一诺雨桐思远佳琪博文若曦嘉禾明哲诗涵俊杰可馨天佑语嫣承志安宁晨曦乐瑶书白清和景行知夏星辰"
    "慕云听雪望舒怀瑾握瑜如松似海长风万里千帆过尽春江花月夜秋水共天色"
)
CLASS_NUMERALS = "一二三四五六"
NO_SCORES = pd.DataFrame(
    {"student": pd.Series([], dtype="str"), "term": [], "scale": [], "score": [], "measured_on": []}
)

STUDY = """
[study]
id = "scale"
label = "scale"
simulated = true
{terms}
[[sources]]
table = "schools"
files = "data/raw/{{term}}/学校名录.csv"
columns = {{school = "学校代码", name = "学校名称", stage = "学段"}}
levels.stage = {{"小学" = "primary"}}
[[sources]]
table = "students"
files = "data/raw/{{term}}/*/学籍名册.csv"
columns = {{school = "学校代码", student_name = "姓名", student_number = "学籍号", sex = "性别", birth_month = "出生年月", class = "班级", boarding = "住宿", status = "状态"}}
levels.sex = {{"男" = "m", "女" = "f"}}
levels.boarding = {{"是" = true, "否" = false}}
levels.status = {{"在读" = "enrolled", "转出" = "transferred_out"}}
[[sources]]
table = "contacts"
files = "data/raw/{{term}}/*/家访记录.csv"
columns = {{date = "日期", school = "学校代码", student_name = "学生姓名", class = "班级", mode = "家访方式", trigger = "类型", minutes = "时长"}}
levels.mode = {{"入户" = "at_home", "电话" = "phone", "微信" = "wechat"}}
levels.trigger = {{"常规" = "routine", "重点" = "targeted"}}
[[sources]]
table = "attendance"
files = "data/raw/{{term}}/*/家长学校签到.csv"
event_kind = "lecture"
columns = {{school = "学校代码", student_name = "姓名", class = "班级", event = "场次", present = "状态"}}
levels.present = {{"已签到" = true, "未到" = false}}
[[sources]]
table = "outcomes"
files = "data/raw/{{term}}/*/成绩册.csv"
columns = {{school = "学校代码", student_name = "姓名", class = "班级"}}
measures = {{chinese = "语文", math = "数学"}}
source = "district paper"
[treatments.home_visit]
label = "home visit"
from = "contacts"
levels = [{{id = "targeted", where = "mode = 'at_home' and trigger = 'targeted'"}}, {{id = "at_home", where = "mode = 'at_home'"}}, {{id = "remote", where = "true"}}]
[treatments.lecture]
label = "lecture"
from = "attendance"
levels = [{{id = "attended", where = "present"}}]
[outcomes.math]
label = "maths"
measure = "math"
standardise = ["term", "grade"]
[outcomes.chinese]
label = "Chinese"
measure = "chinese"
standardise = ["term", "grade"]
"""


# ---- the invented district --------------------------------------------------------------------------


def term_dates() -> list[dict]:
    """Id and dates of the terms, an autumn and a spring a school year."""
    terms = []
    for number in range(N_TERMS):
        year, spring = FIRST_YEAR + number // 2, number % 2
        start = date(year + 1, 2, 20) if spring else date(year, 9, 1)
        terms.append(
            {
                "id": f"{year}-{year + 1}-{spring + 1}",
                "year": year,
                "start": start,
                "landmark": start + timedelta(days=14),
                "exposure_end": start + timedelta(days=105),
                "exam": start + timedelta(days=125),
                "end": start + timedelta(days=132),
            }
        )
    return terms


def study_text() -> str:
    blocks, before = [], None
    for term in term_dates():
        lines = ["[[terms]]", f'id = "{term["id"]}"']
        lines += [f"{name} = {term[name]}" for name in ("start", "landmark", "exposure_end", "exam", "end")]
        blocks.append("\n".join([*lines, f'baseline = "{before}"' if before else ""]))
        before = term["id"]
    return STUDY.format(terms="\n".join(blocks))


def write_district(root: Path, n_students: int, seed: int = 7) -> dict[str, int]:
    """``study.toml`` and raw files of all terms; rows and bytes written."""
    rng = np.random.default_rng(seed)
    root.mkdir(parents=True, exist_ok=True)
    (root / "study.toml").write_text(study_text(), encoding="utf-8")
    people = invent_people(rng, n_students)
    counts = {"rows": 0, "bytes": 0, "files": 0}
    for term in term_dates():
        folder = root / "data" / "raw" / term["id"]
        folder.mkdir(parents=True)
        n_schools = int(people["school"].max()) + 1
        codes = school_codes(np.arange(n_schools))
        schools = pa.table(
            {
                "学校代码": codes,
                "学校名称": [f"示例第{n + 1}小学" for n in range(n_schools)],
                "学段": ["小学"] * n_schools,
            }
        )
        _write(folder / "学校名录.csv", schools, "utf-8-sig", counts)
        grade = term["year"] - people["entry"] + 1
        present = people[(grade >= 1) & (grade <= GRADES)].assign(grade=grade)
        for county in range(COUNTIES):
            own = present[present["school"] % COUNTIES == county]
            # What Excel saves by default in China: every fourth county sends GB18030.
            encoding = "gb18030" if county % 4 == 3 else "utf-8-sig"
            for name, table in county_files(rng, own, term).items():
                path = folder / f"第{county + 1}片区" / f"{name}.csv"
                path.parent.mkdir(exist_ok=True)
                _write(path, table, encoding, counts)
    return counts


def invent_people(rng: np.random.Generator, n_students: int) -> pd.DataFrame:
    """All children of four school years: ``school, entry, class, name, number, sex, month``."""
    years = N_TERMS // 2
    n = n_students * (GRADES + years - 1) // GRADES
    n_schools = max(COUNTIES, n_students // 1000)
    school = rng.integers(0, n_schools, n)
    entry = rng.integers(FIRST_YEAR - GRADES + 1, FIRST_YEAR + years, n)
    per_cell = max(1, round(n_students / n_schools / GRADES / CLASS_SIZE))
    given = np.array(GIVEN, dtype=object)
    second = given[rng.integers(0, len(GIVEN), n)]
    third = np.where(rng.random(n) < 0.85, given[rng.integers(0, len(GIVEN), n)], "")
    name = np.array(SURNAMES, dtype=object)[rng.integers(0, len(SURNAMES), n)] + second + third
    frame = pd.DataFrame(
        {
            "school": school,
            "entry": entry,
            "class": rng.integers(1, per_cell + 1, n),
            "name": name,
            "number": student_numbers(np.arange(n), entry - 7),
            "sex": np.where(rng.random(n) < 0.5, "男", "女"),
            "month": [
                f"{year - 7}-{month:02d}" for year, month in zip(entry, rng.integers(1, 13, n), strict=True)
            ],
        }
    )
    return frame.sort_values(["school", "entry", "class"], kind="stable").reset_index(drop=True)


def student_numbers(serial: np.ndarray, birth_year: np.ndarray) -> list[str]:
    """Valid numbers under region code 9999xx, which no place has."""
    region = 999900 + serial // 300_000
    day = 1 + serial % 28
    rest = serial % 300_000 // 28
    month, order = 1 + rest % 12, rest // 12
    weights, check = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2), "10X98765432"
    numbers = []
    for parts in zip(region, birth_year, month, day, order, strict=True):
        body = "{:06d}{:04d}{:02d}{:02d}{:03d}".format(*parts)
        numbers.append(f"G{body}{check[sum(w * int(d) for w, d in zip(weights, body, strict=True)) % 11]}")
    return numbers


def school_codes(school: np.ndarray) -> np.ndarray:
    return np.array([f"S{number + 1:04d}" for number in range(int(school.max(initial=0)) + 1)], dtype=object)[
        school
    ]


def county_files(rng: np.random.Generator, own: pd.DataFrame, term: dict) -> dict[str, pa.Table]:
    """Four files of one county: the roster, score sheets, visit log and sign-in lists, each with a few bad rows."""
    code = school_codes(own["school"].to_numpy())
    numeral = np.array(list(CLASS_NUMERALS), dtype=object)[own["grade"].to_numpy() - 1]
    where = numeral + "(" + own["class"].astype(str).to_numpy(dtype=object) + ")班"
    name, n = own["name"].to_numpy(dtype=object), len(own)
    number = own["number"].to_numpy(dtype=object).copy()
    bad = rng.choice(n, n // 2000, replace=False)
    number[bad] = [each[:-2] + ("1" if each[-2] == "0" else "0") + each[-1] for each in number[bad]]
    roster = pa.table(
        {
            "学校代码": code, "姓名": name, "学籍号": number, "性别": own["sex"].to_numpy(dtype=object),
            "出生年月": own["month"].to_numpy(dtype=object), "班级": where,
            "住宿": np.where(rng.random(n) < 0.1, "是", "否"), "状态": np.where(rng.random(n) < 0.002, "转出", "在读"),
        }
    )  # fmt: skip
    marks = [
        np.clip(rng.normal(78, 12, n).round(0), 0, 100).astype(int).astype(str).astype(object)
        for _ in range(2)
    ]
    for each in marks:
        each[rng.random(n) < 0.01] = "缺考"
    scores = pa.table({"学校代码": code, "姓名": name, "班级": where, "语文": marks[0], "数学": marks[1]})
    at = np.sort(rng.integers(0, n, n // 2))
    days = [term["start"] + timedelta(days=int(each)) for each in range(120)]
    shown = np.array(
        [f"{day:%Y-%m-%d}" if day.day % 2 else f"{day.year}/{day.month}/{day.day}" for day in days],
        dtype=object,
    )
    wrong = rng.random(len(at))
    log = pa.table(
        {
            "日期": np.where(wrong < 0.0005, "2月30日", shown[rng.integers(0, 120, len(at))]),
            "学校代码": code[at], "学生姓名": np.where(wrong > 0.9995, "查无此人", name[at]), "班级": where[at],
            "家访方式": rng.choice(["入户", "电话", "微信"], len(at)), "类型": rng.choice(["常规", "重点"], len(at), p=[0.8, 0.2]),
            "时长": rng.choice(["40分钟", "半小时", "1小时", "", "20"], len(at)),
        }
    )  # fmt: skip
    at = np.sort(rng.choice(n, n * 3 // 4, replace=False))
    event = f"{term['start'] + timedelta(days=50):%Y-%m-%d} 亲子沟通"
    sign_in = pa.table(
        {
            "学校代码": code[at], "姓名": name[at], "班级": where[at], "场次": [event] * len(at),
            "状态": rng.choice(["已签到", "未到"], len(at), p=[0.7, 0.3]),
        }
    )  # fmt: skip
    return {"学籍名册": roster, "成绩册": scores, "家访记录": log, "家长学校签到": sign_in}


def _write(path: Path, table: pa.Table, encoding: str, counts: dict[str, int]) -> None:
    sink = pa.BufferOutputStream()
    options = pyarrow.csv.WriteOptions(quoting_style="none", include_header=False)
    pyarrow.csv.write_csv(table, sink, options)
    header = ",".join(table.column_names) + "\n"
    data = (header + sink.getvalue().to_pybytes().decode("utf-8")).encode(encoding)
    path.write_bytes(data)
    counts["rows"] += table.num_rows
    counts["bytes"] += len(data)
    counts["files"] += 1


# ---- (b) plain pandas -------------------------------------------------------------------------------

_PLACE = ["学校代码", "班级", "姓名"]


KINDS = ("学籍名册", "成绩册", "家访记录", "家长学校签到")


def run_pandas(root: Path, *, by_term: bool = False) -> dict:
    """Read and merge as an analyst does: everything is read, then merged a term at a time to the panel's columns.

    ``by_term`` reads a term only when its turn comes and keeps nothing that later terms don't need: the thriftiest
    that plain pandas gets.
    """
    seen_visits, seen_lectures, before, rows = [], [], None, 0
    target = root / "pandas"
    target.mkdir(exist_ok=True)
    ids = [term["id"] for term in term_dates()]
    held = {} if by_term else {each: [_read_all(root, each, name) for name in KINDS] for each in ids}
    for term in term_dates():
        files = held.get(term["id"]) or [_read_all(root, term["id"], name) for name in KINDS]
        roster, scores, log, sign_in = files
        panel, visits, lectures = _pandas_term(roster, scores, log, sign_in, term)
        seen_visits.append(visits)
        seen_lectures.append(lectures)
        for treatment, seen in (("home_visit", seen_visits), ("lecture", seen_lectures)):
            history = pd.concat(seen)
            history = history[history["date"] <= pd.Timestamp(term["landmark"])].groupby("student").size()
            panel[f"{treatment}:history"] = panel["student"].map(history).fillna(0)
        for outcome in ("math", "chinese"):
            known = panel["student"].map(before[outcome]) if before is not None else np.nan
            panel[f"{outcome}@baseline"] = known
            panel[f"{outcome}@baseline:reason"] = np.where(
                pd.isna(known), np.where(panel["grade"] == 1, "entry_grade", "not_measured"), None
            )
        before = panel.drop_duplicates("student").set_index("student")[["math", "chinese"]]
        panel.to_parquet(target / f"{term['id']}.parquet", index=False)
        rows += len(panel)
    return {"panel_rows": rows}


def _read_all(root: Path, term: str, name: str) -> pd.DataFrame:
    files = sorted((root / "data" / "raw" / term).glob(f"*/{name}.csv"))
    frames = []
    for file in files:
        try:
            frames.append(pd.read_csv(file, dtype="str", encoding="utf-8-sig"))
        except UnicodeDecodeError:
            frames.append(pd.read_csv(file, dtype="str", encoding="gb18030"))
    return pd.concat(frames, ignore_index=True)


def _pandas_term(roster, scores, log, sign_in, term):
    roster = roster[roster["状态"] == "在读"].drop_duplicates("学籍号")
    people = roster.drop_duplicates(_PLACE)[[*_PLACE, "学籍号"]]
    grade = roster["班级"].str[0].map({text: number for number, text in enumerate(CLASS_NUMERALS, 1)})
    entry = (term["year"] + 1 - grade).astype("str")
    panel = pd.DataFrame(
        {
            "student": roster["学籍号"],
            "term": term["id"],
            "school": roster["学校代码"],
            "class_id": roster["学校代码"] + "-" + entry + "-" + roster["班级"].str.extract(r"\((\d+)\)")[0],
            "grade": grade,
            "sex": roster["性别"].map({"男": "m", "女": "f"}),
            "birth_month": roster["出生年月"],
            "boarding": roster["住宿"] == "是",
        }
    )
    log = log.rename(columns={"学生姓名": "姓名"}).merge(people, on=_PLACE, how="inner")
    minutes = {"40分钟": 40.0, "半小时": 30.0, "1小时": 60.0, "20": 20.0}
    visits = pd.DataFrame(
        {
            "student": log["学籍号"],
            "date": pd.to_datetime(log["日期"].str.replace("/", "-"), format="mixed", errors="coerce"),
            "mode": log["家访方式"],
            "trigger": log["类型"],
            "minutes": log["时长"].map(minutes),
        }
    )
    sign_in = sign_in.merge(people, on=_PLACE, how="inner")
    lectures = pd.DataFrame(
        {
            "student": sign_in["学籍号"],
            "date": pd.to_datetime(sign_in["场次"].str[:10]),
            "present": sign_in["状态"] == "已签到",
        }
    )
    home = visits["mode"] == "入户"
    visits["rank"] = np.where(home & (visits["trigger"] == "重点"), 0, np.where(home, 1, 2))
    asked = _during(lectures, term)["student"].unique()
    lectures = lectures[lectures["present"]]
    during = (
        _during(visits, term)
        .groupby("student")
        .agg(rank=("rank", "min"), n=("rank", "size"), minutes=("minutes", "sum"))
    )
    panel["home_visit"] = (
        panel["student"].map(during["rank"]).map({0: "targeted", 1: "at_home", 2: "remote"}).fillna("none")
    )
    panel["home_visit:count"] = panel["student"].map(during["n"]).fillna(0)
    panel["home_visit:minutes"] = panel["student"].map(during["minutes"])
    came = _during(lectures, term).groupby("student").size()
    panel["lecture:count"] = panel["student"].map(came).fillna(0)
    panel["lecture"] = np.where(panel["lecture:count"] > 0, "attended", "none")
    panel["lecture:minutes"] = np.nan
    panel["lecture:invited"] = panel["student"].isin(asked).astype("float64")
    marks = scores.merge(people, on=_PLACE, how="inner").drop_duplicates("学籍号").set_index("学籍号")
    for outcome, column in (("math", "数学"), ("chinese", "语文")):
        value = panel["student"].map(pd.to_numeric(marks[column], errors="coerce"))
        by_grade = value.groupby(panel["grade"])
        panel[outcome] = (value - by_grade.transform("mean")) / by_grade.transform("std")
    return panel, visits[["student", "date"]], lectures[["student", "date"]]


def _during(rows: pd.DataFrame, term: dict) -> pd.DataFrame:
    return rows[
        (rows["date"] > pd.Timestamp(term["landmark"])) & (rows["date"] <= pd.Timestamp(term["exposure_end"]))
    ]


# ---- (a) and (c) cobench ----------------------------------------------------------------------------

# One edit of each kind of file in the newest term.
EDITS = {
    "成绩册.csv": (b",78,", b",79,"),
    "家访记录.csv": ("半小时".encode(), "40分钟".encode()),
    "家长学校签到.csv": ("未到".encode(), "已签到".encode()),
    "学籍名册.csv": (",是,".encode(), ",否,".encode()),
}


def run_cobench(root: Path) -> dict:
    """Everything from raw files to panels; then once more after nothing, and after one file, has changed."""
    study = load_study(root)
    terms = [term.id for term in study.terms]
    began = time.perf_counter()
    assert ingest_terms(study, terms, key=KEY, jobs=2) == terms
    ingested = time.perf_counter() - began
    rows = build_panels(root, terms)
    seconds, cpu = time.perf_counter() - began, cpu_seconds()
    print(json.dumps({"at": "full"}), flush=True)
    began = time.perf_counter()
    assert ingest_terms(study, terms, key=KEY, jobs=2) == []
    unchanged = time.perf_counter() - began
    again = {}
    for name, edit in EDITS.items():
        path = root / "data" / "raw" / terms[-1] / "第1片区" / name
        path.write_bytes(path.read_bytes().replace(*edit))
        began = time.perf_counter()
        assert ingest_terms(study, terms, key=KEY, jobs=2) == terms[-1:]
        build_panels(root, terms[-1:])
        again[name.removesuffix(".csv")] = round(time.perf_counter() - began, 2)
    files = pd.concat([store.read_table(study, "ingest_files", deliveries=[each]) for each in terms])
    counts = {each: int(files[each].sum()) for each in ("rows_in", "accepted", "quarantined", "non_data")}
    assert counts["rows_in"] == counts["accepted"] + counts["quarantined"] + counts["non_data"]
    return {
        "seconds": seconds,
        "cpu_seconds": cpu,
        "ingest_seconds": ingested,
        "unchanged_seconds": unchanged,
        "changed_seconds": again,
        "panel_rows": rows,
        **counts,
    }


def build_panels(root: Path, terms: list[str]) -> int:
    """Panels of ``terms``, two at a time; number of rows."""
    (root / "panels").mkdir(exist_ok=True)
    if len(terms) == 1:
        return build_one(root, terms[0])
    waiting, rows = deque(terms), []

    def work(build: Callable[..., int]) -> None:
        with suppress(IndexError):
            while True:
                rows.append(build(root, waiting.popleft()))

    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool, ThreadPoolExecutor(1) as threads:
        beside = threads.submit(work, lambda *of: pool.submit(build_one, *of).result())
        work(build_one)
        beside.result()
    return sum(rows)


def build_one(root: Path, term_id: str) -> int:
    """The panel of one term as the term stage builds it; number of rows."""
    study = load_study(root)
    panel = read_panel(study, study.term(term_id))
    panel.frame.to_parquet(root / "panels" / f"{term_id}.parquet", index=False)
    return len(panel.frame)


# ---- measuring --------------------------------------------------------------------------------------


def cpu_seconds() -> float:
    """Processor time of this process and its ended children, imports included."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def measured(way: str, root: Path) -> dict:
    """Run one way in a fresh process; its own figures, and the highest memory of its process tree until ``full``."""
    command = [sys.executable, __file__, way, str(root)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    peak, full = [0], threading.Event()

    def sample() -> None:
        tree = psutil.Process(process.pid)
        while not full.is_set():
            total = 0
            with suppress(psutil.Error):
                for each in (tree, *tree.children(recursive=True)):
                    with suppress(psutil.Error):
                        total += each.memory_info().rss
            peak[0] = max(peak[0], total)
            time.sleep(0.02)

    watcher = threading.Thread(target=sample)
    watcher.start()
    found = {}
    for line in process.stdout:
        found = json.loads(line)
        if found.get("at") == "full":
            full.set()
    process.wait()
    full.set()
    watcher.join()
    if process.returncode != 0:
        raise SystemExit(f"{way} failed")
    return {**found, "peak_gb": peak[0] / 1e9}


def compare_panels(root: Path) -> dict[str, float]:
    """Figures of cobench's panel over those of pandas', which keeps what the rules put aside."""
    term = term_dates()[-2]["id"]
    ours, theirs = (pd.read_parquet(root / name / f"{term}.parquet") for name in ("panels", "pandas"))
    assert set(theirs.columns) == set(ours.columns), set(theirs.columns) ^ set(ours.columns)
    figures = {
        "rows": len,
        "visited": lambda panel: (panel["home_visit"] != "none").mean(),
        "minutes": lambda panel: panel["home_visit:minutes"].sum(),
        "history": lambda panel: panel["home_visit:history"].mean(),
        "baselines": lambda panel: panel["math@baseline"].notna().mean(),
    }
    return {name: round(float(figure(ours) / figure(theirs)), 4) for name, figure in figures.items()}


def main() -> None:
    """Write the district, measure, print one line of JSON."""
    n_students = int(sys.argv[1]) if len(sys.argv) > 1 else 500_000
    with tempfile.TemporaryDirectory(prefix="cobench-bench-") as folder:
        root = Path(folder) / "district"
        counts = write_district(root, n_students)
        megabytes = counts["bytes"] / 1e6
        print(f"{counts['rows']:,} raw rows in {counts['files']} files, {megabytes:,.0f} MB", flush=True)
        # Files younger than two seconds would be hashed again (cobench.ingest.hashes).
        time.sleep(3)
        thrifty = measured("pandas_by_term", root)
        print(f"pandas by term: {thrifty['seconds']:.1f} s, {thrifty['peak_gb']:.2f} GB", flush=True)
        plain = measured("pandas", root)
        print(f"pandas: {plain['seconds']:.1f} s, {plain['peak_gb']:.2f} GB", flush=True)
        ours = measured("cobench", root)
        print(f"cobench: {ours['seconds']:.1f} s, {ours['peak_gb']:.2f} GB", flush=True)
        alike = compare_panels(root)
    figures = {
        "time_over_pandas": round(ours["seconds"] / plain["seconds"], 3),
        "memory_over_pandas": round(ours["peak_gb"] / plain["peak_gb"], 3),
        "incremental_over_full": round(max(ours["changed_seconds"].values()) / ours["seconds"], 3),
        "time_over_pandas_by_term": round(ours["seconds"] / thrifty["seconds"], 3),
        "memory_over_pandas_by_term": round(ours["peak_gb"] / thrifty["peak_gb"], 3),
        "cpu_over_pandas": round(ours["cpu_seconds"] / plain["cpu_seconds"], 3),
        "students": n_students,
        "terms": N_TERMS,
        "rows": counts["rows"],
        "megabytes": round(megabytes),
        "seconds": round(ours["seconds"], 1),
        "ingest_seconds": round(ours["ingest_seconds"], 1),
        "pandas_seconds": round(plain["seconds"], 1),
        "peak_gb": round(ours["peak_gb"], 2),
        "pandas_peak_gb": round(plain["peak_gb"], 2),
        "unchanged_seconds": round(ours["unchanged_seconds"], 2),
        "changed_seconds": ours["changed_seconds"],
        "quarantined": ours["quarantined"],
        "panel_over_pandas": alike,
    }
    print(json.dumps(figures, ensure_ascii=False))


if __name__ == "__main__":
    if len(sys.argv) == 3:
        started = time.perf_counter()
        ways = {
            "pandas": run_pandas,
            "pandas_by_term": partial(run_pandas, by_term=True),
            "cobench": run_cobench,
        }
        done = ways[sys.argv[1]](Path(sys.argv[2]))
        print(json.dumps({"seconds": time.perf_counter() - started, "cpu_seconds": cpu_seconds(), **done}))
    else:
        main()
