"""A page holds what its numbers come from, and what was altered on it is found."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from test_render import report
from throwaway import page_context

from cobench.effects.estimates import as_estimates
from cobench.errors import RunError
from cobench.release import release_aggregate, release_estimates
from cobench.run import page_data
from cobench.run.gate import visible
from cobench.run.render import render_report
from cobench.run.verify_page import _rounds_to, verify_page
from cobench.show import Labels, answer, table
from cobench.show.figures_standards import standards_panels

LABELS = Labels(
    {
        "treatment": {"home_visit": {"zh": "家访", "en": "home visit"}},
        "outcome": {"maths": {"zh": "数学", "en": "maths"}, "days": {"zh": "缺勤", "en": "days absent"}},
    }
)


def estimates() -> pd.DataFrame:
    common = {
        "study": "s", "term": "t", "population": "all", "subgroup": "", "treatment": "home_visit",
        "contrast": "any", "estimand": "ATT", "method": "regress", "df": 30.0, "n_obs": 400, "n_treated": 150,
        "n_clusters": 20, "role": "confirmatory", "evidence": "adjusted_association", "spec_id": "abc",
    }  # fmt: skip
    return as_estimates(
        [
            common | {"outcome": "maths", "estimate": 0.2134, "std_error": 0.05, "effect_size": 0.21},
            common | {"outcome": "days", "estimate": 0.0412, "std_error": 0.09, "effect_size": 0.04},
        ]
    )


def output(shown):
    return new_output("display_data", data=shown._repr_mimebundle_())


@pytest.fixture(scope="module", params=["zh", "en"])
def page(request):
    language = request.param
    released = release_estimates(estimates(), min_cell=10)
    rows = [row for _, row in released.frame.iterrows()]
    columns = ["outcome", "estimate", "conf_low", "conf_high", "p_value", "n_obs"]
    cells = [
        new_markdown_cell("## Answer"),
        new_code_cell("", outputs=[output(answer(rows, LABELS, language))]),
        new_code_cell(
            "", outputs=[output(table(released, language=language, labels=LABELS, columns=columns))]
        ),
        new_markdown_cell("About 1,234 families were asked."),
    ]
    return render_report(new_notebook(cells=cells), report(language), context=page_context())


@pytest.fixture
def verdict(tmp_path):
    def check(html: str):
        path = tmp_path / "page.html"
        path.write_text(html, encoding="utf-8")
        return verify_page(path)

    return check


def test_an_untouched_page_agrees_and_says_what_was_and_could_not_be_checked(page, verdict):
    found = verdict(page)
    assert found.fine and not found.wrong
    told = " ".join(text.en for text in found.checked)
    assert "number(s) of the prose" in told and "numeric cell(s)" in told and "passage(s)" in told
    assert any("without data" in text.en for text in found.unchecked)


def test_every_number_of_an_effect_leads_to_its_row_on_the_page(page):
    cited = re.findall(r'<a class="cited"[^>]*href="#([^"]+)"', page)
    assert len(cited) >= 4
    assert all(f'<tr id="{target}"' in page for target in cited)


def test_numbers_altered_in_prose_are_found_with_what_the_page_carries(page, verdict):
    altered = page.replace(">0.21", ">0.31", 1)
    assert altered != page
    wrong = " ".join(text.en for text in verdict(altered).wrong)
    assert "0.31" in wrong and "0.2134" in wrong


def test_an_altered_limit_of_an_interval_is_found(page, verdict):
    altered = re.sub(r"(data-field=\"interval\"[^>]*>95%[^<]*?)0\.11", r"\g<1>0.01", page, count=1)
    assert altered != page
    assert any("0.111" in text.en for text in verdict(altered).wrong)


def test_an_altered_cell_of_a_table_is_found(page, verdict):
    altered = re.sub(r'(<td class="num[^"]*">)400<', r"\g<1>500<", page, count=1)
    assert altered != page
    assert any("500" in text.en and "400" in text.en for text in verdict(altered).wrong)


def test_a_row_taken_out_of_a_table_is_found(page, verdict):
    start = page.index("<tbody>")
    row = page[page.index("<tr>", start) : page.index("</tr>", start) + 5]
    assert any("rows" in text.en for text in verdict(page.replace(row, "", 1)).wrong)


def test_a_number_without_a_row_is_held_against_the_seal_of_its_passage(page, verdict):
    wrong = verdict(page.replace("1,234 families", "1,334 families")).wrong
    assert any("1,334" in text.en for text in wrong)


def test_estimates_altered_inside_the_block_contradict_prose_and_themselves(page, verdict):
    altered = page.replace('"estimate":[0.2134,', '"estimate":[0.4134,')
    assert altered != page
    wrong = " ".join(text.en for text in verdict(altered).wrong)
    assert "outside its own interval" in wrong and "the text says" in wrong


def test_an_altered_p_value_does_not_follow_from_estimate_and_error(page, verdict):
    altered = re.sub(r'"p_value":\[[0-9.e-]+', '"p_value":[0.9', page)
    assert altered != page
    assert any("p-value" in text.en for text in verdict(altered).wrong)


def test_a_page_differing_from_its_published_hash_is_found(page, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(page, encoding="utf-8")
    entry = {"page": "page.html", "page_sha256": "0" * 64}
    (tmp_path / "run.json").write_text(json.dumps({"schema": 1, "reports": [entry]}))
    assert any("run.json" in text.en for text in verify_page(path).wrong)


def test_a_page_without_its_block_is_refused(page, verdict):
    with pytest.raises(RunError, match="no data block"):
        verdict(page.replace('id="page-data"', 'id="other"'))


@pytest.mark.parametrize(
    ("value", "printed", "agrees"),
    [
        (0.125, "0.13", True), (0.125, "0.12", True), (0.126, "0.12", False), (-0.2, "\u22120.20", True),
        (1234.0, "1,234", True), (0.0, "0.00", True), (-0.2, "0.20", False), (0.3049, "0.3", True),
    ],
)  # fmt: skip
def test_a_printed_number_is_a_rounding_or_not(value, printed, agrees):
    assert _rounds_to(value, printed) is agrees


def test_the_block_holds_no_run_of_eleven_digits_that_could_pass_for_a_number_of_a_person(page):
    block = page[page.index('id="page-data">') : page.index("</script>", page.index('id="page-data">'))]
    assert not re.search(r"\d{11}", block)
    assert np.isclose(json.loads(block.partition(">")[2])["estimates"]["columns"]["estimate"][0], 0.2134)


def test_a_cell_of_a_table_of_two_ways_that_was_changed_and_sealed_again_is_found(tmp_path):
    frame = pd.DataFrame(
        {"school": ["S1", "S2"], "standard": "P1", "verdict": "met", "n_met": 3, "n_units": 4}
    )
    inner = standards_panels(
        release_aggregate(frame, about="events"), {"P1": "plan"}, language="en", labels=LABELS
    ).behind()
    cells = [new_markdown_cell("## Standards"), new_code_cell("", outputs=[output(inner)])]
    made = render_report(new_notebook(cells=cells), report("en"), context=page_context())
    path = tmp_path / "page.html"
    path.write_text(made, encoding="utf-8")
    assert verify_page(path).fine
    path.write_text(
        page_data.sealed_again(made.replace("<td>✓ 3/4</td>", "<td>✓ 4/4</td>", 1)), encoding="utf-8"
    )
    assert [text.en for text in verify_page(path).wrong if "3/4" in text.en]


@pytest.fixture
def packed(page, monkeypatch):
    """The same page with its data compressed, as those of many estimates are."""
    monkeypatch.setattr(page_data, "PLAIN", 0)
    found = page_data.sealed_again(page)
    assert found != page and page_data.unpacked(found) == page
    return found


def test_a_page_with_compressed_data_is_held_against_them(packed, verdict):
    assert verdict(packed).fine
    assert any("the text says" in text.en for text in verdict(packed.replace("0.21", "0.31")).wrong)


def test_compressed_data_that_were_cut_off_are_refused(packed, verdict):
    start = packed.index('"deflate:') + 60
    with pytest.raises(RunError, match="no data block"):
        verdict(packed[:start] + packed[start + 40 :])


def test_a_name_in_compressed_data_is_seen_by_the_look_before_publication(page, monkeypatch):
    monkeypatch.setattr(page_data, "PLAIN", 0)
    number = "11010519491231002X"
    planted = page_data.sealed_again(page.replace('"term":"', f'"term":"{number} ', 1))
    assert number not in planted and number in visible(planted)
