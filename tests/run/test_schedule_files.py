"""Claims about the files that start runs: systemd, cron and YAML read back exactly the command that is meant.

systemd and cron check their files themselves where they are installed; elsewhere those tests are skipped and say so.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from throwaway import make_study

from cobench.errors import ParameterError
from cobench.run.notices import VARIABLES
from cobench.run.schedule_files import Plan, cron, github, systemd
from cobench.run.schedule_options import Options
from cobench.run.schedule_times import parse_when

TODAY = date(2026, 7, 1)
# Blanks, per cent signs, Chinese, quotes, dollars: all that the three read in their own ways.
AWKWARD = "示例 区%h $HOME 'x' \"y\" #;&"


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study") / AWKWARD
    folder.mkdir()
    return make_study(folder)


@pytest.fixture
def stub(tmp_path) -> Path:
    """Stands for Python: writes down where it is, what it is told, and its environment."""
    path = tmp_path / "py th%on 家"
    told = shlex.quote(str(tmp_path / "told"))
    path.write_text(f'#!/bin/sh\nprintf \'%s\\0\' "$PWD" "$@" > {told}\nenv > {told}.env\n', encoding="utf-8")
    path.chmod(0o755)
    return path


def plan_of(study, python: Path | str = "/usr/bin/python3", *, at=("Mon 06:00",), term="", **options) -> Plan:
    return Plan(study, term, tuple(map(parse_when, at)), Options(**options), "zh", str(python))


def told(stub: Path) -> list[str]:
    return (stub.parent / "told").read_text(encoding="utf-8").split("\0")[:-1]


# ---- systemd ------------------------------------------------------------------------------------------


def settings(unit: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key, value in re.findall(r"^(\w+)=(.*)$", unit, re.MULTILINE):
        found.setdefault(key, []).append(value)
    return found


def systemd_words(line: str) -> list[str]:
    """A command line as systemd.service(5) says it is read: quotes, escapes, doubled % and $."""
    words, rest = [], line
    while rest := rest.lstrip(" "):
        quoted = re.match(r'"((?:[^"\\]|\\.)*)"(?: |$)', rest)
        plain = re.match(r"[^\s\"'\\]+(?= |$)", rest)
        assert quoted or plain, rest
        rest = rest[(quoted or plain).end() :]
        word = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else plain[0]
        assert not re.search(r"(?<!%)(%%)*%(?!%)", word), "a specifier"
        if words:
            assert not re.search(r"(?<!\$)(\$\$)*\$(?!\$)", word), "a variable"
            word = word.replace("$$", "$")
        words.append(word.replace("%%", "%"))
    return words


def test_a_service_runs_the_command_in_the_study_and_its_timer_makes_up_for_what_was_missed(study, stub):
    plan = plan_of(
        study, stub, at=("Mon 06:00", "07-12 20:00"), term="2025-2026-1", wait_until="14d", retries=3
    )
    service, timer = (settings(text) for text in systemd(plan).values())
    assert systemd_words(service["ExecStart"][0]) == plan.command
    assert plan.command[1:] == [
        *("-m", "cobench.cli", "schedule", "2025-2026-1", "--now", "--study", str(study.root)),
        *("--wait-until", "14d", "--retries", "3", "--zone", "Asia/Shanghai"),
    ]
    assert service["WorkingDirectory"] == [str(study.root).replace("%", "%%")] != [str(study.root)]
    assert service["TimeoutStartSec"] == [f"{15 * 86400}s"], "the wait and a day for the run"
    assert timer["OnCalendar"] == ["Mon *-*-* 06:00:00 Asia/Shanghai", "*-07-12 20:00:00 Asia/Shanghai"]
    assert timer["Persistent"] == ["true"] and timer["Unit"] == [f"{plan.name}.service"]


def test_a_run_that_waits_for_a_date_is_not_ended_before(study):
    assert (
        "TimeoutStartSec=infinity"
        in systemd(plan_of(study, wait_until="2026-07-20"))[f"{plan_of(study).name}.service"]
    )


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_systemd_has_nothing_to_say_against_the_files_and_finds_the_program(study, stub, tmp_path):
    files = systemd(plan_of(study, stub, at=("06:00", "Mon,Thu 06:00", "2027-07-12 06:00"), wait_until="14d"))
    assert _verified(files, tmp_path) == ""
    spoilt = {name: text.replace("Persistent=true", "Persistent=maybe") for name, text in files.items()}
    assert "maybe" in _verified(spoilt, tmp_path)
    stub.unlink()
    assert stub.name in _verified(files, tmp_path), "systemd reads the program's path as it is"


def _verified(files: dict[str, str], folder: Path) -> str:
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "--user", "verify", *(str(folder / name) for name in files)],
        capture_output=True, text=True, env={"XDG_RUNTIME_DIR": str(folder), "PATH": os.environ["PATH"], "LC_ALL": "C"},
    )  # fmt: skip
    return done.stderr


paths = st.text(
    st.characters(exclude_categories=["C", "Zl", "Zp"], exclude_characters="\\/"), min_size=1
).filter(lambda text: text == text.strip())


@given(paths)
def test_any_path_comes_back_from_systemd_and_cron_and_yaml(name):
    study = replace(STUDY, root=Path("/data") / name)
    plan = plan_of(study, "/usr/bin/python3")
    assert systemd_words(settings(systemd(plan)[f"{plan.name}.service"])["ExecStart"][0]) == plan.command
    try:
        [line] = cron(plan, TODAY)[f"{plan.name}.cron"].splitlines()[2:]
        assert shlex.split(cron_command(line))[-len(plan.command) :] == plan.command
    except ParameterError as error:
        assert "998 bytes" in error.en
    if "${{" not in name:
        workflow = yaml.safe_load(github(plan)[f"{plan.name}.yml"])
        assert shlex.split(workflow["jobs"]["evaluate"]["steps"][0]["run"]) == plan.command


@pytest.mark.parametrize("name", ["a\\b", "a\nb", "a\tb", "a\u2028b", "a "])
def test_paths_that_timers_cannot_carry_are_refused(name):
    plan = plan_of(replace(STUDY, root=Path("/data") / name))
    for write in (systemd, github, lambda each: cron(each, TODAY)):
        with pytest.raises(ParameterError, match="move or rename"):
            write(plan)


def test_a_program_that_systemd_would_not_start_is_refused():
    with pytest.raises(ParameterError, match="quotation mark"):
        systemd(plan_of(STUDY, "/opt/it's/python"))


# ---- cron ---------------------------------------------------------------------------------------------


def cron_command(line: str) -> str:
    """What cron hands to the shell: after five fields, up to a bare %, with ``\\%`` made ``%`` (as its source does)."""
    rest, made, escaped = line.split(" ", 5)[5], "", False
    for each in rest:
        if escaped:
            made, escaped = (made[:-1] if each == "%" else made) + each, False
            continue
        if each == "%":
            break
        escaped = each == "\\"
        made += each
    return made


def test_cron_starts_the_command_in_the_study_with_settings_read_from_home(study, stub, tmp_path):
    plan = plan_of(study, stub, at=("Mon 06:00", "07-12 20:00"), if_missing="go-on")
    lines = cron(plan, TODAY)[f"{plan.name}.cron"].splitlines()[2:]
    home = tmp_path / "home 家"
    (home / ".config" / "cobench").mkdir(parents=True)
    (home / ".config" / "cobench" / "notify.env").write_text(
        "COBENCH_SMTP_HOST='mail 100%'\n", encoding="utf-8"
    )
    assert len(lines) == 2
    for line in lines:
        # The whole environment that cron gives.
        bare = {"HOME": str(home), "PATH": "/usr/bin:/bin", "SHELL": "/bin/sh", "LOGNAME": "x"}
        subprocess.run(["/bin/sh", "-c", cron_command(line)], check=True, env=bare)
        assert told(stub) == [str(study.root), *plan.command[1:]]
        given = (stub.parent / "told.env").read_text(encoding="utf-8")
        assert "LANG=zh_CN.UTF-8" in given and "COBENCH_SMTP_HOST=mail 100%" in given


def test_cron_times_are_by_the_clock_of_the_machine(study, monkeypatch):
    import time

    plan = plan_of(study)
    try:
        for zone, fields in {"UTC": "0 22 * * 0", "Asia/Shanghai": "0 6 * * 1"}.items():
            monkeypatch.setenv("TZ", zone)
            time.tzset()
            assert cron(plan, TODAY)[f"{plan.name}.cron"].splitlines()[2].startswith(f"{fields} ")
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.skipif(
    not shutil.which("crontab")
    or "-n" not in subprocess.run(["crontab", "-h"], capture_output=True, text=True).stderr,
    reason="no crontab that checks files (crontab -n)",
)
def test_crontab_accepts_the_file(study, stub, tmp_path):
    plan = plan_of(study, stub, at=("06:00", "Mon,Thu 06:00", "01-01 06:00"))
    path = tmp_path / "lines"
    for text, fine in ((cron(plan, TODAY)[f"{plan.name}.cron"], True), ("61 6 * * * true\n", False)):
        path.write_text(text, encoding="utf-8")
        done = subprocess.run(["crontab", "-n", str(path)], capture_output=True, text=True)
        assert (done.returncode == 0) is fine, done.stderr


def test_a_command_longer_than_cron_takes_is_refused():
    with pytest.raises(ParameterError, match="998 bytes"):
        cron(plan_of(replace(STUDY, root=Path("/" + "家" * 200))), TODAY)


# ---- GitHub -------------------------------------------------------------------------------------------


def test_a_workflow_runs_on_a_machine_of_ones_own_and_may_do_nothing_else(study, stub, tmp_path):
    plan = plan_of(study, stub, quiet=True, wait_until="2d")
    text = github(plan)[f"{plan.name}.yml"]
    workflow = yaml.safe_load(text)
    job = workflow["jobs"]["evaluate"]
    assert job["runs-on"] == ["self-hosted"] and "minors" in text
    assert workflow["permissions"] == {} and "uses:" not in text
    assert workflow[True] == {
        "schedule": [{"cron": "0 22 * * 0"}],
        "workflow_dispatch": {},
    }  # YAML 1.1 reads on as yes
    [step] = job["steps"]
    assert {name: step["env"][name] for name in VARIABLES} == {
        n: f"${{{{ secrets.{n} }}}}" for n in VARIABLES
    }
    subprocess.run(["/bin/sh", "-e", "-c", step["run"]], check=True, cwd=tmp_path)
    assert told(stub) == [str(tmp_path), *plan.command[1:]]


def test_a_workflow_fits_the_schema_of_workflows(study, tmp_path):
    plan = plan_of(study, at=("06:00", "Mon 06:00"))
    path = tmp_path / "workflow.yml"
    check = [
        sys.executable,
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        "vendor.github-workflows",
        str(path),
    ]
    text = github(plan)[f"{plan.name}.yml"]
    for content, fine in ((text, True), (text.replace("runs-on", "runs-upon"), False)):
        path.write_text(content, encoding="utf-8")
        done = subprocess.run(check, capture_output=True, text=True)
        assert (done.returncode == 0) is fine, done.stdout


def test_what_github_would_cut_short_or_compute_is_refused(study):
    with pytest.raises(ParameterError, match="five days"):
        github(plan_of(study, wait_until="14d"))
    with pytest.raises(ParameterError, match="compute"):
        github(plan_of(replace(study, root=Path("/a${{ secrets.X }}"))))
    with pytest.raises(ParameterError, match="summer time"):
        github(plan_of(study, zone="Europe/Berlin"))


# ---- all ----------------------------------------------------------------------------------------------


def test_names_of_files_are_such_as_systemd_allows_and_no_two_studies_share_one(study):
    names = {plan_of(replace(study, id=name)).name for name in ("small", "海淀", "朝阳", "a b", "a_b")}
    assert len(names) == 5 and all(re.fullmatch(r"cobench-?[A-Za-z0-9-]*", name) for name in names)
    assert plan_of(study, term="2025-2026-1").name == "cobench-small-2025-2026-1"


def test_no_secret_of_the_environment_is_written(study, monkeypatch):
    for name in (*VARIABLES, "COBENCH_KEY"):
        monkeypatch.setenv(name, "s3cret-value")
    plan = plan_of(study)
    written = "".join(
        text for files in (systemd(plan), cron(plan, TODAY), github(plan)) for text in files.values()
    )
    assert "s3cret-value" not in written


def test_the_command_writes_the_files_below_private_and_says_what_is_next(tmp_path):
    from district import cobench

    make_study(tmp_path)
    done = cobench(tmp_path, "schedule", "--as", "systemd", "--at", "周一 06:00", language="zh_CN.UTF-8")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "private" / "schedule"
    assert {path.name for path in folder.iterdir()} == {"cobench-small.service", "cobench-small.timer"}
    assert "systemctl --user enable --now cobench-small.timer" in done.stdout and "启用" in done.stdout
    assert "COBENCH_KEY" in done.stdout, "the key of this environment will be wanted"
    refused = cobench(tmp_path, "schedule", "--as", "cron")
    assert refused.returncode == 2 and "--at" in refused.stderr
    refused = cobench(tmp_path, "schedule", "--as", "cron", "--at", "06:00", "--now")
    assert refused.returncode == 2 and "--now alone" in refused.stderr


def _study():
    from cobench.declared import Text
    from cobench.study import study_from

    data = {
        "study": {"id": "small", "label": "small"},
        "terms": [{"id": "t", "start": datetime(2026, 3, 2).date(), "end": datetime(2026, 7, 10).date()}],
    }
    made = study_from(data, Path("/data"))
    assert isinstance(made.label, Text)
    return made


STUDY = _study()
