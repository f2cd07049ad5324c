"""What changed between terms, what was reproduced and why not, and bundles."""

import io
import zipfile

import numpy as np
import pandas as pd
import pytest
from nbformat.v4 import new_markdown_cell, new_notebook
from test_render import report
from test_verify_page import estimates
from throwaway import page_context

from cobench.declared import Text
from cobench.run.bundle import zipped
from cobench.run.diff import Difference, compare_terms, revised_files, told
from cobench.run.render import render_report
from cobench.run.verify import compare, differing, verify_pages


def test_the_same_numbers_are_reproduced_exactly():
    frame = estimates()
    states = compare(frame, frame.copy())["state"]
    assert set(states) == {"same"} and len(states) == 2 * 12


def test_a_last_bit_is_close_a_real_change_differs_and_lost_and_added_rows_are_told():
    then, now = estimates(), estimates()
    now.loc[0, "estimate"] = np.nextafter(now.loc[0, "estimate"], 1)
    now.loc[1, "estimate"] = now.loc[1, "estimate"] * 1.001
    found = compare(then, now)
    picked = found[found["number"] == "estimate"].set_index("outcome")["state"]
    assert picked.to_dict() == {"maths": "close", "days": "differs"}
    assert set(compare(then, now.iloc[:1])["state"]) == {"same", "close", "gone"}
    assert "new" in set(compare(then.iloc[:1], now)["state"])


def test_a_number_that_became_missing_differs():
    then, now = estimates(), estimates()
    now.loc[0, "std_error"] = np.nan
    found = compare(then, now)
    assert (found["state"] == "differs").sum() == 1


def _terms(**changes):
    first, second = estimates(), estimates().assign(term="u")
    return first, second.assign(**changes)


@pytest.mark.parametrize(
    ("changes", "revised", "causes"),
    [
        ({}, False, {"maths": "none", "days": "none"}),
        ({"estimate": [0.6, 0.05]}, False, {"maths": "world", "days": "none"}),
        ({"estimate": [0.6, 0.05]}, True, {"maths": "data", "days": "none"}),
        ({"spec_id": ["xyz", "abc"]}, True, {"maths": "specification", "days": "none"}),
        ({"estimate": [np.nan, 0.05]}, False, {"maths": "unknown", "days": "none"}),
    ],
)
def test_why_an_estimate_differs_between_terms(changes, revised, causes):
    rows = compare_terms(*_terms(**changes), revised=revised)
    assert rows.set_index("outcome")["cause"].to_dict() == causes


def test_of_many_changes_one_at_two_errors_is_chance_and_one_at_five_is_not():
    errors = [2.2, 5.0, *[0.1] * 18]
    first = pd.concat([estimates().iloc[:1].assign(outcome=f"o{i:02}") for i in range(20)], ignore_index=True)
    second = first.assign(estimate=first["estimate"] + np.array(errors) * np.hypot(0.05, 0.05))
    causes = compare_terms(first, second, revised=False).set_index("outcome")["cause"]
    assert causes["o01"] == "world" and set(causes.drop("o01")) == {"none"}


def test_the_interval_of_a_change_adds_the_errors_of_both():
    rows = compare_terms(*_terms(estimate=[0.3134, 0.0412]), revised=False).set_index("outcome")
    half = 1.96 * np.hypot(0.05, 0.05)
    assert rows.loc["maths", "conf_low"] == pytest.approx(0.1 - half)
    assert rows.loc["maths", "conf_high"] == pytest.approx(0.1 + half)


def test_an_effect_of_one_term_only_is_kept_and_told():
    first, second = _terms()
    rows = compare_terms(first, second.iloc[:1], revised=False)
    assert rows.set_index("outcome")["cause"].to_dict() == {"maths": "none", "days": "unknown"}
    lines = told(Difference(rows, (Text("注", "note"),)), "en")
    assert lines[0] == "note" and any("– " in line or "→ –" in line for line in lines)
    assert len(told(Difference(rows, ()), "zh")) == 4


def test_files_of_the_earlier_run_that_changed_or_went_are_revised_and_new_ones_are_not():
    then = {"raw_files": {"a": "1", "b": "2", "c": "3"}}
    now = {"raw_files": {"a": "1", "b": "9", "d": "4"}}
    assert revised_files(then, now) == ["b", "c"]


def test_a_bundle_is_the_same_twice_and_its_hashes_fit():
    import hashlib

    contents = {"index.html": "家访".encode(), "b.html": b"b"}
    how = Text("说明", "how")
    first = zipped("s-t", contents, how)
    assert first == zipped("s-t", dict(reversed(contents.items())), how)
    archive = zipfile.ZipFile(io.BytesIO(first))
    lines = archive.read("s-t/SHA256SUMS").decode().splitlines()
    assert dict(line.split("  ")[::-1] for line in lines) == {
        name: hashlib.sha256(data).hexdigest() for name, data in contents.items()
    }
    assert archive.read("s-t/index.html") == contents["index.html"]


def test_all_pages_of_a_folder_are_verified_and_a_bad_one_among_them_is_told(tmp_path):
    for name in ("a", "b"):
        page = render_report(
            new_notebook(cells=[new_markdown_cell("Words.")]), report("en"), context=page_context()
        )
        (tmp_path / f"{name}.html").write_text(page, encoding="utf-8")
    said = []
    assert verify_pages([tmp_path], said.append, "en") and sum("agrees" in line for line in said) == 2
    (tmp_path / "b.html").write_text(page.replace("Words.", "Words 7."), encoding="utf-8")
    said.clear()
    assert not verify_pages([tmp_path], said.append, "en")
    assert any("Words 7" in line for line in said) and any(
        "held by seals only: 1 other" in line for line in said
    )


def test_estimates_that_differ_are_told_once_each_the_greatest_change_first():
    then = estimates()
    now = then.copy()
    now["estimate"] += [0.005, 0.045]  # a tenth and half a standard error
    now.loc[0, "p_value"] = 0.5
    lines = differing(compare(then, now), "en")
    assert len(lines) == 2
    assert lines[0].startswith("home_visit · any · days · regress: 0.0412 → 0.0862 (moved by 0.50")
    assert "0.2134 → 0.2184 (moved by 0.10" in lines[1]
    only = then.assign(n_obs=[399, 400])
    assert differing(compare(then, only), "en") == ["home_visit · any · maths · regress · n_obs: 400 → 399"]
