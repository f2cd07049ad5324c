"""PDF and Word versions of pages: Chinese intact, content complete, taken away when they are not made anew."""

import json
import shutil

import docx
import openpyxl
import pytest
from browser import CHROMIUM
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from pypdf import PdfReader
from test_render import report
from test_verify_page import LABELS, estimates
from throwaway import page_context

from cobench.errors import RunError
from cobench.release import release_estimates
from cobench.run import pdf
from cobench.run.annexes import with_files
from cobench.run.index import render_index
from cobench.run.render import render_report
from cobench.run.verify_page import verify_page
from cobench.run.word import write_annex, write_word
from cobench.show import forest_plot, table


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    released = release_estimates(estimates(), min_cell=10)
    figure = forest_plot(released, language="zh", labels=LABELS)
    data, metadata = figure._repr_mimebundle_()
    columns = ["outcome", "estimate", "n_obs"]
    shown = table(released, language="zh", labels=LABELS, columns=columns, caption="主要结果")
    cells = [
        new_markdown_cell("## 主要结论\n\n入户家访覆盖了六成学生。\n\n- 第一条\n- 第二条"),
        new_code_cell("", outputs=[new_output("display_data", data=data, metadata=metadata)]),
        new_code_cell("", outputs=[new_output("display_data", data=shown._repr_mimebundle_())]),
    ]
    path = tmp_path_factory.mktemp("page") / "00_summary.zh.html"
    html = render_report(new_notebook(cells=cells), report("zh"), context=page_context())
    path.write_text(html, encoding="utf-8")
    return path


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: no PDF was printed")
def test_a_pdf_keeps_its_chinese_as_text_and_the_stamp_on_every_page(page, tmp_path):
    made = pdf.print_page(page, tmp_path / "page.pdf")
    reader = PdfReader(made)
    texts = ["".join(sheet.extract_text().split()) for sheet in reader.pages]
    whole = "".join(texts)
    assert "入户家访覆盖了六成学生" in whole and "主要结论" in whole and "家访的成效" in whole
    assert all("模拟数据" in text for text in texts)


def test_without_a_browser_a_pdf_is_refused_with_the_way_out(monkeypatch):
    monkeypatch.setattr(pdf, "NAMES", ("no-such-browser",))
    monkeypatch.setattr(pdf, "PLACES", ())
    with pytest.raises(RunError, match="install one of them"):
        pdf.find_chromium()


def test_a_word_document_has_headings_paragraphs_lists_tables_and_figures_with_alt_text(page, tmp_path):
    document = docx.Document(write_word(page, tmp_path / "page.docx"))
    texts = {paragraph.text: paragraph.style.name for paragraph in document.paragraphs}
    assert texts["家访的成效"] == "Title" and texts["主要结论"] == "Heading 1"
    assert "入户家访覆盖了六成学生。" in texts and texts["第一条"] == "List Bullet"
    assert [text for text in texts if "模拟数据" in text]
    assert len(document.tables) == 1, "tables behind figures belong to the workbook"
    cells = [[cell.text for cell in row.cells] for row in document.tables[0].rows]
    soup = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")
    shown = soup.find("caption", string="主要结果").find_parent("table")
    rows = [[cell.get_text() for cell in row.find_all(["th", "td"])] for row in shown.find_all("tr")]
    assert cells == rows
    (picture,) = document.inline_shapes
    assert picture._inline.docPr.get("descr") == soup.find("img")["alt"]


def test_the_workbook_has_every_table_of_the_page_with_numbers_as_numbers(page, tmp_path):
    book = openpyxl.load_workbook(write_annex(page, tmp_path / "page.annex.xlsx"))
    sheet = next(each for each in book if each["A1"].value == "主要结果")
    assert sheet["B3"].value == pytest.approx(0.2134) and sheet["C3"].value == 400
    assert len(book.sheetnames) == 2


def test_the_index_lists_annexes_once_and_still_agrees_with_its_seals(tmp_path):
    from test_index import FIGURES, manifest

    html = render_index(manifest(), context=page_context(), language="zh", schools=FIGURES)
    titles = {"00_summary.zh": {"zh": "学期摘要", "en": "Summary"}}
    once = with_files(html, ["00_summary.zh.pdf", "00_summary.zh.docx", "estimates.parquet"], titles)
    again = with_files(once, ["00_summary.zh.pdf"], titles)
    path = tmp_path / "index.html"
    for text, links in ((once, ["00_summary.zh.pdf", "00_summary.zh.docx"]), (again, ["00_summary.zh.pdf"])):
        path.write_text(text, encoding="utf-8")
        section = BeautifulSoup(text, "html.parser").find_all(id="annexes")
        assert [link["href"] for link in section[0].find_all("a")] == links and len(section) == 1
        assert verify_page(path).wrong == ()


def test_annexes_are_published_with_their_hashes_though_the_terms_downloads_were_held_back(
    finished, tmp_path
):
    from cobench.run.annexes import add_annexes
    from cobench.run.manifest import file_hash

    root = tmp_path / "study"
    shutil.copytree(finished.study.root, root)
    from throwaway import TERM

    from cobench.study import load_study

    folder = root / "reports" / TERM
    manifest = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    for entry in manifest["reports"]:
        entry["notebook"] = entry["notebook"].replace("00_good", "00_summary")
    (folder / "run.json").write_text(json.dumps(manifest), encoding="utf-8")
    (folder / "estimates.parquet").unlink()
    made = add_annexes(load_study(root), TERM, word=True)
    assert made == ["00_good.zh.docx", "00_good.en.docx"]
    files = json.loads((folder / "run.json").read_text(encoding="utf-8"))["files"]
    assert all(files[name] == file_hash(folder / name) for name in made)


def test_words_marked_within_a_sentence_bring_no_blanks_into_a_word_file():
    from bs4 import BeautifulSoup

    from cobench.run.word import _text

    marked = BeautifulSoup(
        '<p>低 <a class="cited">0.11 个标准差</a>（<a>95% 置信区间</a>）</p>', "html.parser"
    )
    assert _text(marked.p) == "低 0.11 个标准差（95% 置信区间）"
