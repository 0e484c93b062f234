"""PDF and PNG: text is text in embedded fonts, in any script; pages, tables and figures keep together."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zlib

import pytest
from PySide6.QtGui import QFontDatabase, QImage

from tests.helpers.hostile import PIECES
from tests.helpers.synthetic_run import make_config, write_five, write_run
from tfx_engine.runfile.edit import rename
from tfx_workbench.exhibits.kind import all_exhibits, exhibit_type
from tfx_workbench.exhibits.palette import DARK
from tfx_workbench.report.build import Wanted, build
from tfx_workbench.report.document import Cell, Grid, Head
from tfx_workbench.report.paper import BOTTOM, HEIGHT, Paper
from tfx_workbench.report.pdf import exhibit_pdf, exhibit_png, report_pdf
from tfx_workbench.report.subject import Subject
from tfx_workbench.runs.rundata import RunData

KOREAN = "한국어 실험"


@pytest.fixture(scope="module")
def five(qapp, tmp_path_factory):
    if not QFontDatabase.families():
        pytest.skip("this machine has no font at all")
    runs = [RunData(path).load() for path in write_five(tmp_path_factory.mktemp("five"), steps=40)]
    yield runs
    for run in runs:
        run.close()


class Pdf:
    """As much of a PDF as QPdfWriter writes: its objects, and the text of its pages through the fonts' own maps."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.objects = {int(number): body for number, body in re.findall(
            rb"(?s)(?:^|\n)(\d+) 0 obj\n(.*?)\nendobj", data)}
        self.pages = [body for body in self.objects.values() if re.search(rb"/Type\s*/Page\b", body)]

    def stream(self, number: int) -> bytes:
        head, _, rest = self.objects[number].partition(b"stream\n")
        body = rest.rpartition(b"\nendstream")[0]
        return zlib.decompress(body) if b"/FlateDecode" in head else body

    def fonts(self) -> dict[bytes, bytes]:
        """The descriptor of every font, by its name."""
        return {re.search(rb"/FontName\s*/(\S+)", body)[1]: body for body in self.objects.values()  # type: ignore[index]
                if b"/FontDescriptor" in body and b"/FontName" in body}

    def _letters(self, font: int) -> dict[int, str]:
        unicode = re.search(rb"/ToUnicode\s+(\d+) 0 R", self.objects[font])
        found: dict[int, str] = {}
        if unicode is None:
            return found
        table = self.stream(int(unicode[1]))
        for first, last, text in re.findall(rb"<(\w+)>\s*<(\w+)>\s*(<\w+>|\[[^\]]*\])", table):
            values = re.findall(rb"<(\w+)>", text)
            for i, code in enumerate(range(int(first, 16), int(last, 16) + 1)):
                value = values[i] if len(values) > 1 else b"%04X" % (int(values[0], 16) + i)
                found[code] = bytes.fromhex(value.decode()).decode("utf-16-be", "replace")
        return found

    def text(self) -> str:
        """All text, pieces of a line one after the other."""
        names = {name: int(number) for page in self.objects.values()
                 for name, number in re.findall(rb"/(F\d+)\s+(\d+) 0 R", page)}
        letters = {name: self._letters(number) for name, number in names.items()}
        said: list[str] = []
        for page in self.pages:
            content = self.stream(int(re.search(rb"/Contents (\d+) 0 R", page)[1]))  # type: ignore[index]
            font = b""
            for name, glyphs in re.findall(rb"/(F\d+) \S+ Tf|<([0-9a-fA-F]+)>", content):
                font = name or font
                if glyphs:
                    codes = [int(glyphs[i : i + 4], 16) for i in range(0, len(glyphs), 4)]
                    said.append("".join(letters.get(font, {}).get(code, "?") for code in codes))
        return "".join(said)


def without_blanks(text: str) -> str:
    return re.sub(r"\s+", "", text)


def test_a_report_is_a_pdf_with_pages_text_and_fonts(five):
    printed = report_pdf(build(Subject.of(five), Wanted(title="Five of them")))
    pdf = Pdf(printed.data)
    assert printed.data.startswith(b"%PDF-1.") and printed.data.rstrip().endswith(b"%%EOF")
    assert len(pdf.pages) > 10
    fonts = pdf.fonts()
    assert fonts and all(b"/FontFile" in body for body in fonts.values()), "every font is embedded"
    text = without_blanks(pdf.text())
    words = ["Five of them", "Summary", "Contents", "Where did it go?", "How to reproduce", "recompute", "Figure 1."]
    for words_ in words:
        assert without_blanks(words_) in text, words_
    for number in range(1, len(pdf.pages) + 1):
        assert f"{number}/{len(pdf.pages)}" in text
    assert not any(letter.isalnum() for letter in printed.without_glyph)


def test_a_name_in_korean_is_text_in_a_pdf_or_said_to_be_without_a_font(qapp, tmp_path):
    run = RunData(write_run(tmp_path / "run.tfx", make_config(KOREAN, steps=8))).load()
    printed = report_pdf(build(Subject.of([run]), Wanted(exhibits=("loss",))))
    run.close()
    there = any(QFontDatabase.WritingSystem.Korean in QFontDatabase.writingSystems(family)
                for family in QFontDatabase.families())
    if there:
        assert printed.without_glyph == ""
        assert without_blanks(KOREAN) in without_blanks(Pdf(printed.data).text())
    else:
        assert set(without_blanks(KOREAN)) <= set(printed.without_glyph)


@pytest.mark.parametrize("name", [kind.name for kind in all_exhibits()])
def test_every_exhibit_is_a_pdf_and_a_png_of_its_own(five, name):
    exhibit = exhibit_type(name).make(Subject.of(five).views, {})
    pdf = Pdf(exhibit_pdf(exhibit))
    assert len(pdf.pages) == 1
    assert without_blanks(str(exhibit.title)) in without_blanks(pdf.text())
    for palette in (None, DARK):
        image = QImage.fromData(exhibit_png(exhibit) if palette is None else exhibit_png(exhibit, str, palette))
        assert image.width() == 3 * 560 and image.height() > 100
        corner = image.pixelColor(2, 2).name()
        assert (corner == DARK.card.lower()) == (palette is DARK)


def test_lines_are_lines_in_a_pdf(five):
    data = exhibit_pdf(exhibit_type("loss").make(Subject.of(five).views, {}))
    assert b"/Subtype /Image" not in data and b"/Subtype/Image" not in data


def test_a_table_goes_over_pages_with_its_head_on_each(qapp):
    paper, grid = Paper(), Grid("Rows", (Head("first"), Head("second")),
                                tuple((Cell(f"row {i}"), Cell("x" * 400)) for i in range(40)))
    paper.grid(grid, str)
    assert len(paper.pages) > 2
    assert paper.y <= HEIGHT - BOTTOM + 30


def test_printing_loads_no_widgets_and_needs_no_display(five, tmp_path):
    code = (
        "import sys; from tfx_workbench.cli import main; code = main(sys.argv[1:]); "
        "assert not {'PySide6.QtWidgets', 'torch', 'pyqtgraph'} & set(sys.modules), 'loaded'; sys.exit(code)"
    )
    target = tmp_path / "loss.pdf"
    done = subprocess.run(
        [sys.executable, "-c", code, "report", str(five[0].path), "-o", str(target), "--exhibits", "loss"],
        capture_output=True, text=True, env=_without_display(),
    )
    assert done.returncode == 0, done.stderr
    assert target.read_bytes().startswith(b"%PDF-")


def _without_display() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")}


def test_names_bring_no_action_and_no_address_into_a_pdf(qapp, tmp_path):
    names = ["".join(PIECES[i::2]) for i in range(2)]
    runs = []
    for i, name in enumerate(names):
        path = write_run(tmp_path / f"{i}.tfx", make_config(steps=8, layers=1, heads=1, context=8, width=8))
        rename(path, name)
        runs.append(RunData(path).load())
    made = Pdf(report_pdf(build(Subject.of(runs), Wanted(title=names[0], exhibits=("loss",)))).data)
    allowed = {b"/GoTo"}  # from the contents to a page
    for body in made.objects.values():
        head = body.partition(b"stream")[0]
        assert not re.search(rb"/(URI|JavaScript|JS|Launch|SubmitForm|ImportData|GoToR|EmbeddedFile|AA)\b", head)
        assert set(re.findall(rb"/S\s*(/\w+)", head)) <= allowed | {b"/D", b"/Transparency"}, head
    for run in runs:
        run.close()
