"""A term of a small district from raw files to published pages, by the command line, as a person would."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from browser import chromium, needs_browser, sideways, violations
from district import TERM, cobench, lay_out_small_district

from cobench import store
from cobench.files import file_hash
from cobench.run.page_data import unpacked
from cobench.study import load_study


@pytest.fixture(scope="module")
def term(tmp_path_factory):
    folder = tmp_path_factory.mktemp("district") / "demo"
    world = lay_out_small_district(folder)
    before = _raw_hashes(folder)
    done = cobench(folder, "run", "--jobs", "2")
    return {"folder": folder, "world": world, "done": done, "raw_before": before}


def _raw_hashes(folder: Path) -> dict[str, str]:
    return {path.name: file_hash(path) for path in (folder / "data" / "raw").rglob("*.*") if path.is_file()}


def _reports(term) -> Path:
    return term["folder"] / "reports" / TERM


def test_the_run_ends_well_and_says_where_the_index_is(term):
    assert term["done"].returncode == 0, term["done"].stdout[-2000:] + term["done"].stderr[-2000:]
    assert "index.html" in term["done"].stdout


def test_every_report_is_there_in_both_languages(term):
    names = {path.stem for path in _reports(term).glob("*.html")}
    wanted = [
        "00_summary",
        "01_data_quality",
        "02_implementation",
        "04_effect-home_visit",
        "04_effect-parent_lecture",
    ]
    wanted += [f"05_school-{school}" for school in term["world"].tables["schools"]["school"].unique()]
    assert names >= {f"{report}.{language}" for report in wanted for language in ("zh", "en")}


def test_every_page_is_stamped_as_simulated_in_both_languages(term):
    for path in _reports(term).glob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert "模拟数据" in text and re.search("simulated data", text, re.IGNORECASE), path.name


def test_raw_files_are_never_changed(term):
    assert _raw_hashes(term["folder"]) == term["raw_before"]


def test_no_name_or_number_of_a_person_reaches_anything_but_private_and_raw(term):
    from cobench.release import scan_text
    from cobench.run.gate import visible

    world, folder = term["world"], term["folder"]
    numbers = set(world.people["student_number"])
    rare = {name for name in world.people["name"] if len(name) >= 3}
    for path in [*_reports(term).rglob("*"), *(folder / "data" / "processed").rglob("*.parquet")]:
        if not path.is_file():
            continue
        text = _readable(path)
        assert not [number for number in numbers if number in text], path.name
        if path.suffix in (".html", ".json"):
            assert not scan_text(visible(text)), path.name
    tables = [pd.read_parquet(path) for path in (folder / "data" / "processed").rglob("*.parquet")]
    values = {
        str(v) for frame in tables for c in frame.select_dtypes("str") for v in frame[c].dropna().unique()
    }
    assert not values & rare
    said = term["done"].stdout + term["done"].stderr
    assert not [name for name in rare if name in said]


def _readable(path: Path) -> str:
    if path.suffix == ".parquet":
        frame = pd.read_parquet(path)
        return " ".join(str(v) for c in frame for v in frame[c].dropna().astype("str").unique())
    text = path.read_bytes().decode("utf-8", errors="ignore")
    return unpacked(text) if path.suffix == ".html" else text


def test_conservation_holds_for_every_file(term):
    files = store.read_table(load_study(term["folder"]), "ingest_files")
    assert len(files) > 50
    assert (files["rows_in"] == files["accepted"] + files["quarantined"] + files["non_data"]).all()


def test_the_published_estimates_are_released_and_hold_the_declared_effects(term):
    estimates = pd.read_parquet(_reports(term) / "estimates.parquet")
    assert {"home_visit", "parent_lecture"} == set(estimates["treatment"])
    shown = estimates[estimates["estimate"].notna()]
    assert (shown["n_treated"] >= 10).all()
    assert ((shown["n_obs"] - shown["n_treated"]) >= 10).all()
    assert "randomised" not in set(estimates["evidence"])


def test_run_json_tells_what_a_reviewer_needs_and_nothing_of_the_machine(term):
    text = (_reports(term) / "run.json").read_text(encoding="utf-8")
    manifest = json.loads(text)
    assert manifest["term"] == TERM
    assert all(entry["state"] == "ok" for entry in manifest["reports"])
    assert str(term["folder"]) not in text


def test_pages_load_nothing_from_a_network(term):
    for path in _reports(term).glob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert not re.findall(r"""(?:src|href)\s*=\s*["']https?://""", text), path.name
        assert not re.findall(r"url\(\s*['\"]?https?://", text), path.name


def test_figures_carry_alternative_text_that_says_something(term):
    page = (_reports(term) / "04_effect-home_visit.en.html").read_text(encoding="utf-8")
    alts = re.findall(r'<img[^>]*\balt="([^"]*)"', page)
    assert len(alts) >= 2
    assert all(len(alt) > 40 for alt in alts)


def test_another_key_gives_the_same_estimates_and_no_shared_pseudonym(term, tmp_path):
    folder = tmp_path / "demo"
    shutil.copytree(term["folder"] / "data" / "raw", folder / "data" / "raw")
    for name in ("study.toml", "codebooks", "notebooks"):
        source = term["folder"] / name
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, folder / name)
    done = cobench(folder, "prepare", key="c3" * 32)
    assert done.returncode == 0, done.stderr
    ours, theirs = load_study(term["folder"]), load_study(folder)
    pd.testing.assert_frame_equal(
        store.read_stage(ours, TERM, "estimates"),
        store.read_stage(theirs, TERM, "estimates"),
        check_exact=True,
    )
    students = [set(store.read_table(study, "students")["student"]) for study in (ours, theirs)]
    assert students[0] and not students[0] & students[1]


def test_one_failing_report_leaves_the_others_and_keeps_its_traceback_private(term, tmp_path):
    folder = tmp_path / "demo"
    shutil.copytree(term["folder"], folder)
    notebook = nbformat.read(folder / "notebooks" / "00_summary.ipynb", 4)
    notebook.metadata["cobench"] |= {"order": 99, "title": {"zh": "坏报告", "en": "Broken"}}
    notebook.cells.append(nbformat.v4.new_code_cell("1 / 0"))
    nbformat.write(notebook, folder / "notebooks" / "90_broken.ipynb")
    done = cobench(folder, "run", "--only", "90_broken", "--only", "00_summary", "--language", "en")
    assert done.returncode == 1
    page = (folder / "reports" / TERM / "90_broken.en.html").read_text(encoding="utf-8")
    assert "ZeroDivisionError" not in page and "Traceback" not in page
    assert (folder / "reports" / TERM / "00_summary.en.html").exists()
    kept = list((folder / "private" / "failed" / TERM).glob("90_broken*"))
    assert any("ZeroDivisionError" in path.read_text(encoding="utf-8", errors="ignore") for path in kept)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "2031-2032-1"), ("2031-2032-1", "2025-2026-2")),
        (("run", "--only", "04_efect"), ("04_efect", "04_effect")),
        (("run", "--school", "S99"), ("S99",)),
        (("run", "--language", "fr"), ("fr", "zh")),
    ],
)
def test_bad_requests_exit_2_and_run_nothing(term, arguments, words):
    before = (_reports(term) / "run.json").read_bytes()
    done = cobench(term["folder"], *arguments)
    assert done.returncode == 2
    assert all(word in done.stderr for word in words)
    assert "Traceback" not in done.stderr
    assert (_reports(term) / "run.json").read_bytes() == before


def test_a_misspelt_parameter_exits_2_before_any_kernel_starts(term, tmp_path):
    folder = tmp_path / "demo"
    shutil.copytree(term["folder"], folder, ignore=shutil.ignore_patterns("reports"))
    path = folder / "notebooks" / "00_summary.ipynb"
    path.write_text(
        path.read_text(encoding="utf-8").replace("language: str", "langauge: str"), encoding="utf-8"
    )
    done = cobench(folder, "run")
    assert done.returncode == 2
    assert "language" in done.stderr and "00_summary" in done.stderr
    assert not (folder / "reports").exists()


def test_errors_speak_chinese_in_a_chinese_locale(term):
    done = cobench(term["folder"], "run", "2031-2032-1", language="zh_CN.UTF-8")
    assert done.returncode == 2
    assert "学期" in done.stderr


def test_check_validates_and_runs_nothing(term):
    done = cobench(term["folder"], "check")
    assert done.returncode == 0, done.stderr
    assert "notebooks and parameters: fine" in done.stdout


def test_doctor_finds_font_kernel_key_files_and_disk(term):
    done = cobench(term["folder"], "doctor")
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("✓") == 5


def test_a_new_study_is_laid_out_and_its_study_file_is_valid(tmp_path):
    done = cobench(tmp_path, "new", "district")
    assert done.returncode == 0, done.stderr
    study = load_study(tmp_path / "district")
    assert study.id == "district" and not study.simulated
    assert (tmp_path / "district" / "notebooks" / "04_effect.ipynb").exists()
    again = cobench(tmp_path, "new", "district")
    assert again.returncode == 2 and "not empty" in again.stderr


def test_demo_files_are_refused_in_a_real_study(tmp_path):
    cobench(tmp_path, "new", "district")
    done = cobench(tmp_path / "district", "demo")
    assert done.returncode == 2 and "not simulated" in done.stderr


# ---- pages in a browser, and what the command line says of a published term -----------------------------


@pytest.fixture(scope="module")
def looked_at(term):
    """The index and every kind of page in both languages; one school stands for all."""
    entries = json.loads((_reports(term) / "run.json").read_text(encoding="utf-8"))["reports"]
    first: dict[tuple[str, str], str] = {}
    for entry in sorted(entries, key=lambda each: each["page"]):
        first.setdefault((entry["notebook"], entry["language"]), entry["page"])
    pages = dict.fromkeys(["index.html", "00_summary.zh.html", *first.values()])
    assert len(pages) == 1 + 2 * len({notebook for notebook, _ in first})
    return [_reports(term) / page for page in pages]


@pytest.fixture(scope="module")
def browser():
    with chromium() as running:
        yield running


@needs_browser
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing_wrong_with_any_kind_of_page(browser, looked_at, dark):
    for path in looked_at:
        with browser.page(path, dark=dark, bypass_csp=True) as page:
            for details in page.query_selector_all("details:not([open]) > summary"):
                details.evaluate("each => each.parentElement.open = true")
            assert violations(page) == [], path.name


@needs_browser
def test_axe_finds_what_is_planted(browser, looked_at):
    with browser.page(looked_at[1], bypass_csp=True) as page:
        page.evaluate(
            "document.querySelector('main').insertAdjacentHTML('beforeend', '<img src=\"data:,\">')"
        )
        assert "image-alt" in [rule for rule, _, _ in violations(page)]


@needs_browser
def test_nothing_is_wider_than_a_phone_or_than_a_window_at_200_per_cent(browser, looked_at):
    for path in looked_at:
        for width in (320, 390, 640):
            with browser.page(path, width=width, height=700) as page:
                assert sideways(page) <= 0, (path.name, width)


@needs_browser
def test_no_page_asks_for_anything_beyond_itself(browser, looked_at):
    browser.requests.clear()
    for path in looked_at:
        with browser.page(path):
            pass
    assert browser.requests == []


@needs_browser
def test_everything_is_reached_by_keyboard_with_a_visible_focus_skip_link_first(browser, looked_at):
    focus = """() => { const e = document.activeElement, s = getComputedStyle(e), r = e.getBoundingClientRect();
        return {text: e.textContent.trim(), tag: e.tagName, ringed: s.outlineStyle !== 'none' && s.outlineWidth !== '0px',
                seen: r.width > 0 && r.height > 0 && r.left >= 0}; }"""
    for path in (looked_at[0], looked_at[1]):
        with browser.page(path) as page:
            wanted = page.evaluate(
                "[...document.querySelectorAll('a[href],button,input,select,summary,[tabindex=\"0\"]')]"
                ".filter(e => e.checkVisibility()).length"
            )
            reached = []
            for _ in range(wanted + 1):
                page.keyboard.press("Tab")
                reached.append(page.evaluate(focus))
                if reached[-1]["tag"] == "BODY":
                    break
            stops = [each for each in reached if each["tag"] != "BODY"]
            assert len(stops) >= wanted, path.name
            assert all(each["ringed"] and each["seen"] for each in stops), path.name
            assert stops[0]["text"] in ("跳到正文", "Skip to content", "跳到正文Skip to content")


@needs_browser
def test_the_index_filters_by_words_state_and_school_and_lists_all_without_scripts(browser, looked_at):
    shown = "[...document.querySelectorAll('tr.item')].filter(e => e.checkVisibility()).length"
    with browser.page(looked_at[0]) as page:
        everything = page.evaluate(shown)
        page.fill("#search", "s01")
        assert page.evaluate(shown) == 1 < everything
        page.fill("#search", "")
        page.select_option("#by-school", index=2)
        assert page.evaluate(shown) == 1
        page.select_option("#by-school", "")
        page.select_option("#by-state", "withheld")
        assert page.evaluate(shown) == 0 and page.is_visible("#nothing")
    with browser.page(looked_at[0], java_script_enabled=False) as page:
        assert page.locator("tr.item").count() == everything
        assert page.locator("tr.item:visible").count() == everything and not page.is_visible("#search")


@needs_browser
def test_the_data_of_a_page_are_taken_by_keyboard_and_its_tables_sort(browser, term):
    path = _reports(term) / "04_effect-home_visit.en.html"
    with browser.page(path, accept_downloads=True) as page:
        page.focus("[data-take='page.json']")
        with page.expect_download() as taken:
            page.keyboard.press("Enter")
        assert taken.value.suggested_filename == "04_effect-home_visit.en.page.json"
        data = json.loads(Path(taken.value.path()).read_text(encoding="utf-8"))
        page.focus("[data-take='estimates.csv']")
        with page.expect_download() as taken:
            page.keyboard.press("Enter")
        page.evaluate("delete window.DecompressionStream")
        page.focus("[data-take='page.json']")
        page.keyboard.press("Enter")
        page.wait_for_selector(".downloads [role=status]:has-text('too old')")
        rows = pd.read_csv(taken.value.path())
        published = pd.read_parquet(_reports(term) / "estimates.parquet")
        wanted = published[published["treatment"] == "home_visit"]
        assert set(rows["estimate_id"]) == set(data["estimates"]["columns"]["estimate_id"])
        assert set(rows["estimate_id"]) >= set(wanted["estimate_id"])
        head = page.locator("table.cited-rows thead th").nth(1)
        head.locator("button").press("Enter")
        cells = page.locator("table.cited-rows tbody tr td:nth-child(2)").all_inner_texts()
        values = [float(text.replace("\u2212", "-")) for text in cells if text != "–"]
        assert head.get_attribute("aria-sort") == "ascending" and values == sorted(values)


def test_every_page_without_its_figures_is_under_350_kilobytes_its_font_included(term):
    for path in _reports(term).glob("*.html"):
        bare = re.sub(r'src="data:image/[^"]*"', "", path.read_text(encoding="utf-8"))
        assert len(bare.encode("utf-8")) < 350_000, path.name


def test_every_published_page_agrees_with_the_data_it_carries(term):
    from cobench.run.verify_page import verify_page

    for path in sorted(_reports(term).glob("*.html")):
        if path.name != "index.html":
            assert verify_page(path).wrong == (), path.name


def test_a_term_computed_again_from_its_raw_files_gives_every_number_again(term):
    done = cobench(term["folder"], "verify")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "reproduced exactly" in done.stdout and "differ:" not in done.stdout


def test_a_bundle_holds_every_published_file_and_is_the_same_twice(term, tmp_path):
    import zipfile

    first, second = tmp_path / "1.zip", tmp_path / "2.zip"
    for path in (first, second):
        assert cobench(term["folder"], "bundle", "--to", str(path)).returncode == 0
    assert first.read_bytes() == second.read_bytes()
    names = {name.partition("/")[2] for name in zipfile.ZipFile(first).namelist()}
    assert names == {path.name for path in _reports(term).iterdir()} | {"SHA256SUMS", "README.txt"}
