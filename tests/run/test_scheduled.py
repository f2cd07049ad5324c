"""Claims about runs that nobody watches, each a real process: what they wait for, leave, log, send and return."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from functools import partial
from pathlib import Path

import psutil
import pytest
from servers import PASSWORD, mail_server, webhook
from throwaway import notebook, planned

sys.path.insert(0, str(Path(__file__).parents[1] / "ingest"))

from district import KEY
from small_study import JUNIOR, TERM, lay_out, raw, write_csv

from cobench.errors import ParameterError, RunError, StudyFileError
from cobench.lock import writing
from cobench.run.execute import Outcome
from cobench.run.schedule_options import Options
from cobench.run.scheduled import Ending, due_term, run_scheduled
from cobench.run.term_run import RunResult
from cobench.run.waiting import Arrived, Lack
from cobench.study import load_study

ROOT = Path(__file__).resolve().parents[2]
# A study that owes a list of schools, rosters and logs, and has no questionnaire: quick to ingest.
STUDY = """
[study]
id = "tiny"
label = {zh = "示例区", en = "Small District"}
languages = ["en"]
[[terms]]
id = "2025-2026-1"
label = {zh = "第一学期", en = "Autumn term"}
start = 2025-09-01
end = 2026-01-23
[[sources]]
table = "schools"
files = "data/raw/{term}/学校名录.csv"
columns = {school = "学校代码", name = "学校名称", short_name = "简称", stage = "学段"}
levels.stage = {"小学" = "primary", "初中" = "junior", "幼儿园" = "kindergarten"}
[[sources]]
table = "students"
files = "data/raw/{term}/*/学籍名册*.xlsx"
school = "folder"
columns = {student_name = "姓名", student_number = "学籍号", sex = "性别", class = "班级"}
levels.sex = {"男" = "m", "女" = "f"}
"""
ONCE = """
import os
from pathlib import Path
assert not [name for name in os.environ if "SMTP" in name or "WEBHOOK" in name], "a notebook inherits the settings"
seen = Path("seen.txt")
seen.write_text((seen.read_text() if seen.exists() else "") + "x")
print("tries", len(seen.read_text()))
"""
LATE = f"{JUNIOR}/学籍名册.xlsx"


@pytest.fixture
def hook():
    with webhook() as server:
        yield server


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A study with one notebook, of whose two schools one hasn't sent its roster; that lies in ``late.xlsx``."""
    monkeypatch.setenv("COBENCH_KEY", KEY)
    folder = tmp_path / "示例 区"
    folder.mkdir()
    lay_out(folder)
    (folder / "study.toml").write_text(STUDY, encoding="utf-8")
    for path in raw(folder, "x").parent.rglob("*"):
        if path.is_file() and path.name not in ("学籍名册.xlsx", "学校名录.csv"):
            path.unlink()
    raw(folder, LATE).rename(folder / "late.xlsx")
    notebook(folder / "notebooks" / "00_one.ipynb", ONCE)
    return folder


def send_late(root: Path) -> None:
    os.replace(root / "late.xlsx", raw(root, LATE))


def environment(**also: str) -> dict[str, str]:
    plain = {
        "COBENCH_KEY": KEY,
        "LC_ALL": "C.UTF-8",
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(ROOT),
        "COLUMNS": "200",
    }
    return os.environ | plain | also


def command(*options: str) -> list[str]:
    fast = ("--every", "0.005", "--pause", "0.1", "--jobs", "1")
    return [sys.executable, "-m", "cobench.cli", "schedule", "--now", *fast, *options]


def run(root: Path, *options: str, **also: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        command(*options),
        cwd=root,
        env=environment(**also),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=150,
    )


def here(root: Path, **given) -> tuple[int, str]:
    """A scheduled run in this process, which is quicker: its exit code and what it showed."""
    shown: list[str] = []
    variables = {name: given.pop(name) for name in list(given) if name.isupper()}
    options = Options(**{"wait_until": "0s", "every": 0.005, "pause": 0.1, "jobs": 1} | given)
    code = run_scheduled(root, "", options, language="en", show=shown.append, environment=variables)
    return code, "\n".join(shown)


def start(root: Path, *options: str, **also: str) -> subprocess.Popen:
    """A scheduled run in the background, which has begun to wait."""
    # A shell's background jobs, and so what they start, have SIGINT ignored.
    hear = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(
        command(*options), cwd=root, env=environment(**also), text=True, encoding="utf-8", start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=hear,
    )  # fmt: skip
    until(lambda: "still missing" in logs(root))
    return process


@contextmanager
def another_writer(root: Path) -> Iterator[subprocess.Popen]:
    """Another process that writes the study meanwhile."""
    hold = "import sys; from cobench.lock import writing\nwith writing(sys.argv[1]):\n print('held', flush=True)\n sys.stdin.read()"
    process = subprocess.Popen(
        [sys.executable, "-c", hold, str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert process.stdout.readline().strip() == "held"
    try:
        yield process
    finally:
        process.communicate("")


def logs(root: Path) -> str:
    """All logs, oldest first."""
    folder = root / "private" / "logs"
    return "".join(path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.log")))


def written(root: Path) -> str:
    """All that stands in the study's folder."""
    files = [path for path in root.rglob("*") if path.is_file()]
    return "".join(path.read_text(encoding="utf-8", errors="replace") for path in files)


def told(hook) -> dict:
    """What the webhook got first."""
    return json.loads(hook.got[0][2])


def note(root: Path) -> dict:
    return json.loads((root / "private" / "schedule" / "last.json").read_text(encoding="utf-8"))


def until(true, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def test_it_waits_for_files_and_for_the_lock_evaluates_and_tells_by_webhook(root, hook):
    secrets = {"COBENCH_WEBHOOK": hook.address, "COBENCH_SMTP_PASSWORD": PASSWORD}
    process = start(root, "--wait-until", "90s", "--pause", "2", **secrets)
    assert not (root / "reports").exists()
    with another_writer(root) as busy:
        send_late(root)
        until(lambda: f"written by process {busy.pid}" in logs(root))
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out + logs(root)
    assert "1 published, 0 failed, 0 withheld, 0 stale" in out and "tried again 1 time(s)" in out
    body = told(hook)
    assert len(hook.got) == 1
    facts = body["cobench"]
    assert facts["state"] == "published" and facts["published"] == 1 and facts["missing"] == []
    assert facts["index"] == f"reports/{TERM}/index.html" and (root / facts["index"]).is_file()
    assert body["text"]["content"].startswith("Small District Autumn term: all reports are published")
    said = logs(root)
    assert (
        "S02 示例初中: 学籍名册 missing" in said
        and "all files are here" in said
        and "notice sent (webhook)" in said
    )
    for secret in ("s3cret", PASSWORD, KEY, str(root), "赵一", "127.0.0.1"):
        assert secret not in said + json.dumps(body, ensure_ascii=False)
    assert note(root)["state"] == "ended"


def test_it_goes_on_without_what_is_missing_and_tries_failed_reports_and_only_those_again(root, hook):
    mark = "from pathlib import Path\nmark = Path('{0}')\nmark.open('a').write('x')\n"
    flaky = mark.format("flaky.txt") + "if len(mark.read_text()) < 2:\n    raise OSError('told by nobody')"
    notebook(root / "notebooks" / "10_flaky.ipynb", flaky)
    notebook(
        root / "notebooks" / "20_bad.ipynb", mark.format("bad.txt") + "raise ValueError('told by nobody')"
    )
    done = run(
        root,
        "--wait-until",
        "0s",
        "--if-missing",
        "go-on",
        "--quiet",
        "--retries",
        "1",
        COBENCH_WEBHOOK=hook.address,
    )
    assert done.returncode == 1, done.stderr + logs(root)
    tries = {name: (root / f"{name}.txt").read_text() for name in ("seen", "flaky", "bad")}
    assert tries == {"seen": "x", "flaky": "xx", "bad": "xx"}
    said = logs(root)
    assert "goes on without what is missing" in said and "told by nobody" not in said
    assert "try again number 1, in 0.1 s" in said and "try again number 2" not in said
    assert "20_bad (en): A step of the analysis stopped with an error (cell 3)." in said
    facts = told(hook)["cobench"]
    assert (facts["state"], facts["published"], facts["failed"], facts["retries"]) == ("incomplete", 2, 1, 1)
    assert facts["missing"] == [{"school": "S02", "name": "示例初中", "kind": "学籍名册", "state": "missing"}]
    assert "S02 示例初中" in told(hook)["text"]["content"]
    assert "示例初中" not in done.stdout and "1 school(s)" in done.stdout, "quiet: counts only"


def test_at_the_deadline_it_stops_with_a_state_of_its_own_and_the_same_state_again_is_no_news(root, hook):
    for n in range(3):
        code, shown = here(root, keep=2, COBENCH_WEBHOOK=hook.address)
        assert code == 3 and "files are missing, nothing was run" in shown
        assert len(hook.got) == 1 and len(list((root / "private" / "logs").iterdir())) == min(n + 1, 2)
    assert told(hook)["cobench"]["state"] == "files_missing" and "nothing new since the last notice" in logs(
        root
    )
    assert not (root / "reports").exists() and not (root / "data" / "processed").exists()


def test_what_cannot_be_run_says_why_in_its_notice_and_returns_2(root, hook):
    head = ["学校代码", "学校名称", "简称", "学段"]
    write_csv(raw(root, "学校名录.csv"), [head, ["S01", "示例第一小学", "一小", "大学"]])
    assert here(root, if_missing="go-on", COBENCH_WEBHOOK=hook.address)[0] == 2
    assert told(hook)["cobench"]["state"] == "refused" and "学段" in told(hook)["text"]["content"]


def test_a_study_file_that_is_broken_is_told_as_well(root, hook):
    (root / "study.toml").write_text("[study]\nid = 1", encoding="utf-8")
    with pytest.raises(StudyFileError):
        here(root, COBENCH_WEBHOOK=hook.address)
    assert told(hook)["cobench"]["state"] == "refused" and "study.id" in told(hook)["text"]["content"]


def test_a_study_that_stays_locked_is_tried_so_often_and_no_more(root):
    send_late(root)
    with another_writer(root) as busy:
        code, shown = here(root, retries=1)
    assert code == 2 and logs(root).count("try again number") == 1
    assert f"written by process {busy.pid}" in shown and not (root / "reports").exists()


def test_a_dead_webhook_and_a_dead_mail_server_change_nothing_but_the_log(root):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    settings = {
        "COBENCH_WEBHOOK": f"http://127.0.0.1:{port}/robot?key=s3cret-of-robot", "COBENCH_SMTP_HOST": "127.0.0.1",
        "COBENCH_SMTP_PORT": port, "COBENCH_SMTP_USER": "u", "COBENCH_SMTP_PASSWORD": PASSWORD,
        "COBENCH_SMTP_FROM": "a@district.example", "COBENCH_SMTP_TO": "b@district.example",
    }  # fmt: skip
    code, shown = here(root, **settings)
    assert code == 3, "as without them"
    said = logs(root)
    assert said.count("notice not sent (webhook): ConnectionRefusedError") == 3
    assert said.count("notice not sent (mail): ConnectionRefusedError") == 3
    assert PASSWORD not in shown + written(root) and "s3cret" not in written(root)


@pytest.fixture
def published(root, monkeypatch):
    """Stands for the evaluation: publishes one page that is ok, and others of the states in the list; counts its calls."""
    send_late(root)
    states, calls = [], []

    def evaluate(study, term_id, **choices):
        calls.append(choices["redo"])
        reports = study.root / "reports" / term_id
        reports.mkdir(parents=True, exist_ok=True)
        entries = [
            {
                "id": f"r{n}",
                "language": "en",
                "page": f"r{n}.html",
                "state": state,
                "reason": {"zh": "因", "en": "why"},
            }
            for n, state in enumerate(["ok", *states])
        ]
        (reports / "run.json").write_text(json.dumps({"schema": 1, "reports": entries}))
        report = planned(study, languages=("en",))[0]
        outcomes = tuple(Outcome(report, entry["state"], 1.0) for entry in entries)
        return RunResult(outcomes, reports / "index.html", reports / "run.json", 1.0)

    monkeypatch.setattr("cobench.run.scheduled.evaluate_term", evaluate)
    return states, calls


def test_what_was_withheld_is_not_tried_again_but_told(root, published):
    states, calls = published
    states.append("withheld")
    code, shown = here(root)
    assert (code, calls) == (1, ["changed"]) and "1 published, 0 failed, 1 withheld" in shown
    assert "r1 (en): why" in logs(root)


def test_a_pdf_that_cannot_be_made_is_told_beside_what_was_published(root, published, monkeypatch):
    def no_browser(*_, **__):
        raise RunError("no browser was found")

    monkeypatch.setattr("cobench.run.annexes.add_annexes", no_browser)
    code, shown = here(root, pdf=True)
    assert code == 1 and "1 published, 0 failed" in shown and "no browser was found" in shown
    assert here(root)[0] == 0, "nobody asked for one"


def test_a_mail_tells_it_and_its_password_is_written_nowhere(root, tmp_path, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with mail_server(tmp_path / "ca.pem") as box:
        settings = {
            "COBENCH_SMTP_HOST": "localhost", "COBENCH_SMTP_PORT": str(box.port), "COBENCH_SMTP_USER": "cobench",
            "COBENCH_SMTP_PASSWORD": PASSWORD, "COBENCH_SMTP_FROM": "a@district.example",
            "COBENCH_SMTP_TO": "b@district.example",
        }  # fmt: skip
        code, shown = here(root, **settings)
    assert code == 3 and box.logins == [("cobench", PASSWORD, True)]
    [(_, message)] = box.mails
    assert message["Subject"] == "Small District Autumn term: files are missing, nothing was run"
    assert "S02 示例初中: 学籍名册 missing" in message.get_content()
    assert "notice sent (mail)" in logs(root) and PASSWORD not in shown + written(root)


def test_a_run_killed_while_it_waits_leaves_no_lock_and_the_next_keeps_its_deadline(root):
    first = start(root, "--wait-until", "5s")
    deadline = note(root)["deadline"]
    first.kill()
    first.communicate()
    assert note(root)["state"] == "waiting"
    assert here(root, wait_until="5s")[0] == 3
    assert logs(root).count("did not finish; this one goes on") == 1 and note(root)["deadline"] == deadline
    assert here(root)[0] == 3
    assert logs(root).count("did not finish") == 1 and note(root)["deadline"] != deadline


def test_a_second_run_says_who_is_at_it_and_ends_well(root):
    first = start(root, "--wait-until", "90s")
    try:
        second = run(root, "--wait-until", "90s")
        assert second.returncode == 0 and not (root / "reports").exists()
        for said in (second.stdout, logs(root)):
            assert "under way already" in said and str(first.pid) in said and socket.gethostname() in said
        with writing(root):
            pass  # who only waits keeps nobody from writing
    finally:
        first.kill()
        first.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order_with_a_code_of_its_own(root, number):
    process = start(root, "--wait-until", "90s")
    process.send_signal(number)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 128 + number, out
    assert (
        note(root)["state"] == "stopped"
        and "ended from outside" in logs(root)
        and "Traceback" not in out + logs(root)
    )


def test_a_signal_in_the_middle_of_a_report_leaves_no_process(root):
    notebook(
        root / "notebooks" / "10_slow.ipynb",
        "from pathlib import Path; import time\nPath('slow').touch()\ntime.sleep(60)",
    )
    send_late(root)
    process = subprocess.Popen(
        command(), cwd=root, env=environment(), start_new_session=True, stdout=subprocess.DEVNULL
    )
    until((root / "slow").exists)
    family = psutil.Process(process.pid).children(recursive=True)
    assert len(family) >= 2
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 128 + signal.SIGTERM
    _, alive = psutil.wait_procs(family, 20)
    assert not [each for each in alive if each.status() != psutil.STATUS_ZOMBIE]
    assert not (root / "reports").exists() and note(root)["state"] == "stopped"


def test_a_summary_tells_what_the_district_owes_from_what_schools_owe():
    district, school = Lack("", "", "家长问卷", "missing"), Lack("S02", "示例初中", "成绩册", "unreadable")
    only = Ending("files_missing", {}, Arrived((district,))).text("zh")
    assert only.splitlines() == ["缺全区材料：", "全区：家长问卷 缺", "用时 0:00:00"]
    both = Ending("files_missing", {}, Arrived((district, school)), seconds=3725.4, retries=2)
    assert both.text("en").splitlines()[0] == "files are missing (1 school(s)):"
    assert both.text("zh").splitlines()[-2:] == ["S02 示例初中：成绩册 读不懂", "用时 1:02:05，重试 2 次"]
    assert "S02" not in both.text("en", schools=False)


def test_without_a_term_it_is_the_latest_whose_exam_is_over(tmp_path):
    (tmp_path / "study.toml").write_text(
        '[study]\nid = "s"\nlabel = "s"\n'
        '[[terms]]\nid = "a"\nstart = 2025-02-17\nend = 2025-07-04\nexam = 2025-06-25\n'
        '[[terms]]\nid = "b"\nstart = 2025-09-01\nend = 2026-01-23\n',
        encoding="utf-8",
    )
    study = load_study(tmp_path)
    assert due_term(study, date(2025, 6, 26)).id == "a" and due_term(study, date(2026, 1, 23)).id == "a"
    assert due_term(study, date(2026, 1, 24)).id == "b"
    with pytest.raises(ParameterError, match="name the term"):
        due_term(study, date(2025, 6, 25))


def test_the_day_that_counts_is_that_of_the_zone(root):
    from datetime import datetime, timedelta
    from zoneinfo import ZoneInfo

    zones = [ZoneInfo("Pacific/Kiritimati"), ZoneInfo("Pacific/Midway")]  # 25 hours apart: never the same day
    later, earlier = (datetime.now(zone).date() for zone in zones)
    assert later > earlier
    text = STUDY.replace("end = 2026-01-23", f"end = {later + timedelta(days=9)}\nexam = {earlier}")
    (root / "study.toml").write_text(text, encoding="utf-8")
    assert here(root, zone="Pacific/Kiritimati")[0] == 3
    with pytest.raises(ParameterError, match="name the term"):
        here(root, zone="Pacific/Midway")
