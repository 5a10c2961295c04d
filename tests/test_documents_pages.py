"""Markdown, HTML and PDF: what of a page becomes text."""

import io
import json
import re
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from rag_app.documents import read_documents
from rag_app.documents.pdf import join_pages
from rag_app.text.normalise import normalise


def text_of(tmp_path: Path, name: str, content: str | bytes) -> str:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    result = read_documents([path])
    assert result.failures == []
    text: str = result.documents[0].text
    assert normalise(text) == text
    return text


# Markdown


def test_markdown_syntax_stays_and_comments_go(tmp_path: Path) -> None:
    source = """# Title

See [the docs](http://x.y/a_b "t") and *this* <!-- not
this -->one.
<!-- a whole line -->
<!-- before --> text
- item  <b>raw</b>

```html
<!-- code -->
```
Inline `<!-- code -->` too. <!-- never closed
"""
    assert (
        text_of(tmp_path, "a.md", source)
        == """# Title

See [the docs](http://x.y/a_b "t") and *this* one.
 text
- item  <b>raw</b>

```html
<!-- code -->
```
Inline `<!-- code -->` too. <!-- never closed"""
    )


PIXELS = "data:image/png;base64," + "iVBORw0KGgoAAAANSUhEUgAA" * 500


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (f"Before\n\n![Order flow]({PIXELS})\n\nafter", "Before\n\nOrder flow\n\nafter"),
        (f'Before ![]({PIXELS} "Flow") after', "Before  after"),
        (f"![Flow][f]\n\n[f]: {PIXELS}\n\nafter", "![Flow][f]\n\nafter"),
        (f'One <img width="9" alt="Flow" src="{PIXELS}"/> two', "One Flow two"),
        (f"[file](data:application/pdf;base64,{'JVBERi0x' * 20})", "file"),
        (f"svg: data:image/svg+xml;utf8,%3Csvg{'%20xmlns' * 20}", "svg:"),
        ("a `data:text/plain;base64,SGVsbG8=` stays", "a `data:text/plain;base64,SGVsbG8=` stays"),
    ],
)
def test_pictures_written_as_data_are_no_text(tmp_path: Path, source: str, text: str) -> None:
    for name in ("a.md", "a.txt"):
        assert text_of(tmp_path, name, source) == text
    row = json.dumps({"question": "q", "answer": source, "logo": PIXELS})
    (tmp_path / "a.jsonl").write_text(row, "utf-8")
    (document,) = read_documents([tmp_path / "a.jsonl"]).documents
    assert "base64,iVBOR" not in json.dumps([document.text, document.metadata])


def test_what_was_left_out_of_a_text_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text(f"# ![Logo]({PIXELS}) Shop\n\n![]({PIXELS})\n\nText", "utf-8")
    result = read_documents([tmp_path])
    assert result.documents[0].metadata["title"] == "Logo Shop"
    (left,) = result.left_out[tmp_path / "a.md"]
    assert str(left) == "2 pictures or files written as data URIs"


def test_many_unclosed_comments_take_no_time(tmp_path: Path) -> None:
    begun = time.monotonic()
    text_of(tmp_path, "a.md", "<!-- ` x\n" * 40_000)
    assert time.monotonic() - begun < 20


def test_many_backticks_take_no_time(tmp_path: Path) -> None:
    assert text_of(tmp_path, "a.md", "`" * 120_000) == "`" * 120_000


def test_code_within_a_line_opens_no_fence(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text("``` rag-app ```\n\n# Title\n\n<!-- draft -->\nText", "utf-8")
    (document,) = read_documents([path]).documents
    assert document.metadata["title"] == "Title"
    assert document.text == "``` rag-app ```\n\n# Title\n\nText"


@pytest.mark.parametrize(
    ("front", "title"),
    [
        ("title: Notice: closed\ncategory: news", "Notice: closed"),
        ("title: 'unclosed\ncategory: news", "unclosed"),
        ("title: T\ncategory: news\ndeep: " + "[" * 5000, "T"),
    ],
)
def test_broken_front_matter_loses_nothing(tmp_path: Path, front: str, title: str) -> None:
    (tmp_path / "a.md").write_text(f"---\n{front}\n---\nBody", "utf-8")
    (document,) = read_documents([tmp_path / "a.md"]).documents
    assert document.text == f"---\n{front}\n---\nBody"
    assert (document.metadata["title"], document.metadata["category"]) == (title, "news")


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("---\nprose between rules\n---\nBody", "---\nprose between rules\n---\nBody"),
        ("---\n---\nBody", "Body"),
        ("\ufeff\n---\r\ntags:\t[a]\t\r\n...\r\nBody\r\n", "Body"),
        ("Body\n\n---\nx: 1\n---\n", "Body\n\n---\nx: 1\n---"),
        ("---\nx: 1\nBody without an end", "---\nx: 1\nBody without an end"),
    ],
)
def test_what_is_front_matter(tmp_path: Path, source: str, text: str) -> None:
    assert text_of(tmp_path, "a.md", source) == text


def test_a_sentence_with_a_colon_is_no_metadata_key(tmp_path: Path) -> None:
    long = "a sentence that goes on and on until somebody puts a colon into it, as here"
    (tmp_path / "a.md").write_text(f"---\n{long}: so\ntopic: x\n---\nBody", "utf-8")
    metadata = read_documents([tmp_path / "a.md"]).documents[0].metadata
    assert [key for key in metadata if " " in key or "_" in key] == []
    assert metadata["topic"] == "x"


# HTML


def test_html_whose_head_is_not_closed_keeps_its_text(tmp_path: Path) -> None:
    """As the standard allows; the parser then puts the body into the head."""
    page = "<html><head><title>Refunds</title><meta charset=utf-8><body><p>In five days."
    (tmp_path / "a.html").write_text(page, "utf-8")
    [document] = read_documents([tmp_path]).documents
    assert (document.metadata["title"], document.text) == ("Refunds", "In five days.")


def test_footnotes_of_a_book_stay(tmp_path: Path) -> None:
    page = """<body><div><p>Refunds take five days.</p><div class=footnotes>
<aside epub:type="footnote">Working days.</aside><aside role="doc-footnote">In Korea.</aside>
<aside>Buy our lamps</aside></div></div></body>"""
    text = text_of(tmp_path, "a.html", page)
    assert "Working days." in text
    assert "In Korea." in text
    assert "lamps" not in text


def test_html_structure_becomes_marks(tmp_path: Path) -> None:
    source = """<html><head><title>Shop</title><style>p{}</style></head><body>
<header><h1>Our shop</h1></header><nav><a href=/>Home</a></nav>
<main><article><header><h2>Refunds &amp;<br>returns</h2></header>
<p>You   get
<b>all</b> of <a href=/x>your money</a>.<br>Always.</p>
<ul><li>within 7 days<li><p>unopened</p></ul>
<h3></h3>
<table><tr><th>Plan<th>Price</tr><tr><td>Basic<td><p>10</p> won<tr><td> <tr><td>Full<td>20</table>
<table><tr><td><h4>Laid out</h4><p>by a table</p></td></tr></table>
<pre>def f():
    return  1
</pre><!-- secret --></article></main><script>let x</script>
<aside>Ad</aside><footer>2024</footer></body></html>"""
    assert (
        text_of(tmp_path, "a.html", source)
        == """## Refunds & returns

You get all of your money.
Always.

- within 7 days
- unopened

Plan | Price
--- | ---
Basic | 10 won
Full | 20

#### Laid out

by a table

```
def f():
    return 1
```"""
    )


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (
            "<p>10<sup>6</sup> users, 5 m<sup>2</sup>, x<sup>2</sup>, 10<sup>-3</sup>",
            "10^6 users, 5 m^2, x^2, 10^-3",
        ),
        ("<p>$500<sup>1</sup> a year (net)<sup>2</sup>", "$500 [1] a year (net) [2]"),
        (
            "<p>It costs 210<sup>1</sup> or 12<sup><a href=#n>3</a></sup>",
            "It costs 210 [1] or 12 [3]",
        ),
        (
            "<p>note<sup>1,2</sup>, term<sup>3-5</sup>, word<sup>a</sup>",
            "note [1,2], term [3-5], word [a]",
        ),
        (
            "<p>1<sup>1</sup>/<sub>2</sub> cups, <sup>3</sup>&frasl;<sub>4</sub>",
            "1 1/2 cups, 3⁄4",
        ),
        (
            "<p>7<sup>3</sup>=343, 343 = 7<sup>3</sup>, 3 × 4<sup>2</sup>; total = 210<sup>1</sup>",
            "7^3=343, 343 = 7^3, 3 × 4^2; total = 210 [1]",
        ),
        (
            "<p>a<sup>2</sup> + <i>b</i><sup>2</sup>, (a + b)<sup>2</sup> = "
            "SO<sub>4</sub><sup>2-</sup>",
            "a^2 + b^2, (a + b)^2 = SO4^2-",
        ),
        ("<p><i>E</i> = <i>mc</i><sup>2</sup>, W/m<sup>2</sup>", "E = mc^2, W/m^2"),
        (
            "<math><msup><mi>x</mi><mn>2</mn></msup><mo>=</mo>"
            "<mfrac><mn>1</mn><mn>2</mn></mfrac></math>",
            "x^2=1/2",
        ),
        (
            "<p>so <math><semantics><mrow><msubsup><mo>∑</mo><mrow><mi>i</mi><mo>=</mo><mn>1</mn>"
            "</mrow><mi>n</mi></msubsup><mfrac><mrow><mi>a</mi><mo>+</mo><mi>b</mi></mrow><mn>2.5</mn></mfrac>"
            "</mrow><annotation>x</annotation></semantics></math> holds",
            "so ∑_(i=1)^n(a+b)/2.5 holds",
        ),
        ("<p>the 1<sup>st</sup> of H<sub>2</sub>O<sup>TM</sup>", "the 1st of H2OTM"),
        ("<p>within <del>30</del> <ins>14</ins> <s>working</s> days", "within 14 days"),
        (
            "<p>Put <name> and <email> into the field <b>first</b>.",
            "Put <name> and <email> into the field first.",
        ),
        (
            "<p>Send <First Name>, <user_id> and <your-name> to <kim@example.com> or "
            "<https://example.com/a?b>, <br/>not <Widget/> or <v:shape id='x'>.",
            "Send <First Name>, <user_id> and <your-name> to <kim@example.com> or "
            "<https://example.com/a?b>,\nnot or .",
        ),
        (
            "<p>log<sub>10</sub>100, x<sub>1</sub>, CO<sub>2</sub>, 5<sub>2</sub>",
            "log_10 100, x1, CO2, 5_2",
        ),
        ("<p>x<sup>n</sup> + y<sup>n+1</sup>, the 2<sup>e</sup>", "x^n + y^n+1, the 2e"),
        (
            "<p>Name <input value='Kim'> <input type=checkbox checked> agreed <input type=submit "
            "value=Send><input type=checkbox>no",
            "Name Kim [x] agreed [ ] no",
        ),
        (
            "<p><label>City</label><input value=Seoul><select><option selected>KR</select>"
            "<textarea>by post</textarea><label><input type=radio checked>now</label>",
            "City Seoul KR by post [x] now",
        ),
        (
            "<p>as agreed<a epub:type='noteref' href='#n'>1</a> or "
            "later<a role=doc-noteref href='#m'><sup>2</sup></a>",
            "as agreed [1] or later [2]",
        ),
        ("<p>See <img alt='the order flow'> and <img alt=logo>.", "See the order flow and ."),
        (
            "<p>Of <price>5 won</price>, <x-card>new</x-card> <o:p>and old</o:p>",
            "Of 5 won, new and old",
        ),
    ],
)
def test_what_inline_tags_mean(tmp_path: Path, source: str, text: str) -> None:
    assert text_of(tmp_path, "a.html", source) == text


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("<ol><li>Open<li>Pay</ol><p>Do step 2.", "1. Open\n2. Pay\n\nDo step 2."),
        (
            "<ol start=3><li>c</li><li><ul><li>x</li></ul></li><li value=9>i</li></ol>",
            "3. c\n4. - x\n\n9. i",
        ),
        ("<ol reversed><li>c<li>b<li>a</ol>", "3. c\n2. b\n1. a"),
        ("<ol type=i start=3><li>c<li><p>d</p></ol>", "iii. c\niv. d"),
        ("<ol style='list-style-type: upper-alpha' start=26><li>z<li>a</ol>", "Z. z\nAA. a"),
        ("<ol style='list-style:none'><li>§ 1<li>§ 2</ol>", "§ 1\n§ 2"),
        ("<ol type=a><li><p>first</p></li><li>second</li></ol>", "a. first\n\nb. second"),
        (
            "<table><thead><tr><td>Plan<td>Price</thead><tr><td rowspan=2>Basic<td>1<tr><td>2"
            "<tr><td>Full<td>3</table>",
            "Plan | Price\n--- | ---\nBasic | 1\nBasic | 2\nFull | 3",
        ),
        ("<table><tr><th>Plan<th>Price</table>", "Plan | Price"),
        ("<table><tr><th>Plan<td>1<tr><th>Price<td>2</table>", "Plan | 1\nPrice | 2"),
        (
            "<main><aside>Note</aside>text<header>Part</header>more<fieldset><legend>Card</legend>"
            "no fee</fieldset><center>middle</center>end</main>",
            "Note\n\ntext\n\nPart\n\nmore\n\nCard\n\nno fee\n\nmiddle\n\nend",
        ),
        ("<pre># one line</pre>", "# one line"),
        ("<pre>\n# a\n# b\n</pre>", "```\n# a\n# b\n```"),
    ],
)
def test_what_blocks_mean(tmp_path: Path, source: str, text: str) -> None:
    assert text_of(tmp_path, "a.html", source) == text


HEAD = "<table><tr><th>Plan<th>Month<th>Year"


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (
            f"{HEAD}<tr><td rowspan=2><p>Pro</p><p>Max</p></td><td>1<td>10<tr><td>2<td>20</table>",
            "Pro Max | 1 | 10\nPro Max | 2 | 20",
        ),
        # A value stands under its own column.
        (f"{HEAD}<tr><td colspan=2>Free<td>0</table>", "Free | Free | 0"),
        (
            f"{HEAD}<tr><td>a<td rowspan=2 colspan=2>b<tr><td>c<tr><td>d<td>e<td>f</table>",
            "a | b | b\nc | b | b\nd | e | f",
        ),
        (f"{HEAD}<tr><td rowspan=0>a<td>1<td>2<tr><td>3<td>4</table>", "a | 1 | 2\na | 3 | 4"),
        # A row that is one cell does not end the table.
        (f"{HEAD}<tr><td colspan=3>Extras<tr><td>a<td>1<td>2</table>", "Extras |\na | 1 | 2"),
        # Nor do paragraphs and lists.
        (f"{HEAD}<tr><td>a<td><p>One.</p><p>Two.</p><td>2</table>", "a | One. Two. | 2"),
        (
            f"{HEAD}<tr><td>a<td><ul><li>x<li>y</ul><td>With:<ol><li>z<li>w</ol></table>",
            "a | x; y | With: 1. z; 2. w",
        ),
    ],
)
def test_cells_stay_in_their_rows_and_columns(tmp_path: Path, source: str, text: str) -> None:
    expected = f"Plan | Month | Year\n--- | --- | ---\n{text}"
    assert text_of(tmp_path, "a.html", source) == expected


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (
            "<table><tr><th rowspan=2>Plan<th colspan=2>Price<tr><th>Month<th>Year"
            "<tr><td>Pro<td>1<td>10</table>",
            "Plan | Price Month | Price Year\n--- | --- | ---\nPro | 1 | 10",
        ),
        (
            "<table><thead><tr><th colspan=2>Now<tr><th>Plan<th>Price<tbody><tr><td>a<td>1</table>",
            "Now\nPlan | Price\n--- | ---\na | 1",
        ),
        # Columns in which no cell begins are none.
        (
            "<table><tr><td colspan=2>a<td colspan=9>b<tr><td colspan=2>c<td>d</table>",
            "a | b\nc | d",
        ),
        # One column lays out a page.
        ("<table><tr><td><p>One.</p><p>Two.</p></table>", "One.\n\nTwo."),
        # A header above nothing is none.
        ("<table><tr><th>a<th>b</table><table><tr><td>c<td>d</table>", "a | b\n\nc | d"),
    ],
)
def test_headers_of_tables(tmp_path: Path, source: str, text: str) -> None:
    assert text_of(tmp_path, "a.html", source) == text


@pytest.mark.parametrize(
    ("item", "text"),
    [
        ("<p>a", "a\n\n"),
        ("<li>a", "- a\n"),
        ("<dt>a<dd>b", "a\n\nb\n\n"),
        ("<tr><td>a<td>b", "a | b\n"),
    ],
)
def test_end_tags_that_html_lets_an_author_leave_out(tmp_path: Path, item: str, text: str) -> None:
    around = {"<li>": "ul", "<dt>": "dl", "<tr>": "table"}.get(item[:4], "div")
    source = f"<{around}>{item * 3_000}</{around}>"
    assert text_of(tmp_path, "a.html", source) == (text * 3_000).rstrip()


def test_what_does_not_end_a_paragraph_or_an_item(tmp_path: Path) -> None:
    source = "<ul><li>a<ul><li>b</ul>c<li>d</ul><p>e <b>f <i>g</i></b><div>h</div>"
    assert text_of(tmp_path, "a.html", source) == "- a\n\n- b\nc\n- d\n\ne f g\n\nh"


LONG = "Whereas recognition of the inherent dignity of all members of the human family is needed, "


@pytest.mark.parametrize(
    ("source", "text"),
    [
        # Within the main content nothing is dropped for its name.
        (
            "<main><h1>Fees</h1><aside><p>Half for students.</p></aside></main><aside>Ad</aside>",
            "# Fees\n\nHalf for students.",
        ),
        ("<section><header><h2>Hours</h2></header><p>Nine.</p></section>", "## Hours\n\nNine."),
        (
            "<article><p>Text.</p><footer>1 Note</footer></article><footer>2024</footer>",
            "Text.\n\n1 Note",
        ),
        # Where the page does not say what its main content is, a note stands among paragraphs.
        (
            "<div><p>Fees.</p><aside>Half for students.</aside></div><aside>Ad</aside>",
            "Fees.\n\nHalf for students.",
        ),
        ("<p>Fees.</p><aside><a href=/>Home</a> <a href=/b>Blog</a></aside>", "Fees."),
        # What pandoc writes above the text of a page.
        (
            "<body><header id=title-block-header><h1>Handbook</h1></header><p>Text.</p></body>",
            "# Handbook\n\nText.",
        ),
        (
            f"<header><p>{LONG}</p></header><article><p>One.</p></article>",
            f"{LONG.strip()}\n\nOne.",
        ),
        ("<header><h1>Shop</h1><p>Fair!</p></header><main><p>Text.</p></main>", "Text."),
        ("<header>Shop <nav>Home</nav></header><div>Text.</div><footer>2024</footer>", "Text."),
    ],
)
def test_only_what_is_around_the_main_content_is_boilerplate(
    tmp_path: Path, source: str, text: str
) -> None:
    assert text_of(tmp_path, "a.html", source) == text


@pytest.mark.timeout(60)
def test_many_unclosed_comments_of_html_take_no_time(tmp_path: Path) -> None:
    source = "<p>a <!-- gone -->b" + "<!--" * 500_000 + " text"
    text = text_of(tmp_path, "a.html", source)
    assert text.startswith("a b<!--<!--")
    assert text.endswith("<!-- text")


@pytest.mark.parametrize(
    ("charset", "encoding"),
    [
        ("euc-kr", "cp949"),
        ("ks_c_5601-1987", "cp949"),
        ("euc-kr", "utf-8"),
        ("no-such-charset", "cp949"),
        ("utf-8", "utf-16"),
    ],
)
def test_html_charsets(tmp_path: Path, charset: str, encoding: str) -> None:
    source = f'<meta http-equiv="Content-Type" content="text/html; charset={charset}"><p>똠방각하'
    assert text_of(tmp_path, "a.html", source.encode(encoding)) == "똠방각하"


def test_html_in_a_western_or_shifting_charset(tmp_path: Path) -> None:
    western = "<meta charset='ISO-8859-1'><p>“déjà vu”".encode("cp1252")
    assert text_of(tmp_path, "a.html", western) == "“déjà vu”"
    declared = '<?xml version="1.0" encoding="iso-8859-15"?><p>déjà 5 €'.encode("iso-8859-15")
    assert text_of(tmp_path, "c.html", declared) == "déjà 5 €"
    shifting = "<meta charset=iso-2022-jp><p>日本語".encode("iso-2022-jp")
    assert text_of(tmp_path, "b.html", shifting) == "日本語"


def test_html_date(tmp_path: Path) -> None:
    source = (
        '<?xml version="1.0"?><html><meta property="article:modified_time" content="2025-01-01">'
        '<meta property="article:published_time" content="2024-03-05T10:00:00Z"><p>text'
    )
    (tmp_path / "a.html").write_text(source, "utf-8")
    assert read_documents([tmp_path / "a.html"]).documents[0].metadata["date"] == "2024-03-05"


# PDF


def pdf(*pages: list[str], locked: str | None = None) -> bytes:
    """Make a PDF of pages of lines, ASCII in Helvetica; a page without lines has no text."""
    from pypdf import PdfWriter
    from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

    writer = PdfWriter()
    writer.add_metadata({"/CreationDate": "D:20240305120000+09'00'"})
    font = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Font"),
            NameObject("/Subtype"): NameObject("/Type1"),
            NameObject("/BaseFont"): NameObject("/Helvetica"),
        }
    )
    for lines in pages:
        page = writer.add_blank_page(600, 800)
        fonts = DictionaryObject({NameObject("/F1"): font})
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
        stream = DecodedStreamObject()
        shown = " ".join(f"({line}) Tj T*" for line in lines)
        stream.set_data(f"BT /F1 12 Tf 14 TL 50 700 Td {shown} ET".encode() if lines else b"")
        page[NameObject("/Contents")] = writer._add_object(stream)
    if locked is not None:
        writer.encrypt(locked, "of its owner", algorithm="RC4-128")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def test_pdf_pages_and_where_they_begin(tmp_path: Path) -> None:
    path = tmp_path / "annual-report.pdf"
    path.write_bytes(pdf([], ["First page,", "line two."], [], ["Last    page."], []))
    (document,) = read_documents([path]).documents
    assert document.text == "First page,\nline two.\n\nLast  page."
    assert document.metadata["page_starts"] == "[0, 0, 21, 23, 34]"
    starts = json.loads(document.metadata["page_starts"])
    assert document.text[starts[3] :] == "Last  page."
    assert document.metadata["title"] == "annual report"
    assert document.metadata["date"] == "2024-03-05"
    assert document.metadata["kind"] == "pdf"


def test_pdfs_that_cannot_be_read_say_why_and_do_no_harm(tmp_path: Path) -> None:
    good = pdf(["Some text that is long enough to be cut in the middle."])
    bad = {
        "locked.pdf": (pdf(["secret"], locked="key"), "needs a password; save it without: qpdf"),
        "scanned.pdf": (
            pdf([], []),
            "has no text layer on its 2 pages (scanned?); `--ocr kor+eng` r",
        ),
        "cut.pdf": (good[: len(good) // 2], "does not end as a PDF does"),
        "broken.pdf": (
            b"%PDF-1.7\nnothing\n%%EOF",
            "cannot be parsed (Failed to load document (PDFium: Data format",
        ),
    }
    (tmp_path / "good.pdf").write_bytes(good)
    for name, (data, _) in bad.items():
        (tmp_path / name).write_bytes(data)
    result = read_documents([tmp_path])
    assert [document.id_ for document in result.documents] == [f"{tmp_path.name}/good.pdf"]
    reasons = {failure.path.name: failure.reason for failure in result.failures}
    assert set(reasons) == set(bad)
    for name, (_, reason) in bad.items():
        assert reasons[name].startswith(reason)
        assert "; " in reasons[name]


def test_a_pdf_that_only_forbids_changes_is_read(tmp_path: Path) -> None:
    assert text_of(tmp_path, "a.pdf", pdf(["Open to all"], locked="")) == "Open to all"


def test_a_folder_with_a_json_py_does_not_confuse_the_parser(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('taken in')", "utf-8")
    monkeypatch.chdir(tmp_path)
    assert text_of(tmp_path, "a.pdf", pdf(["text"])) == "text"


HELVETICA = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"


def raw_pdf(content: bytes, font: bytes = HELVETICA, *more: bytes, page: bytes = b"") -> bytes:
    """Make a PDF of one page: its content stream, its font (object 5), and objects from 6 on."""
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents 4 0 R "
        b"/Resources << /Font << /F1 5 0 R >> >> " + page + b" >>",
        stream(content),
        font,
        *more,
    ]
    out, offsets = b"%PDF-1.7\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return out + (
        b"xref\n0 %d\n0000000000 65535 f \n%btrailer\n<< /Size %d /Root 1 0 R >>\n"
        b"startxref\n%d\n%%%%EOF\n" % (len(objects) + 1, table, len(objects) + 1, len(out))
    )


def stream(data: bytes) -> bytes:
    return b"<< /Length %d >>\nstream\n%b\nendstream" % (len(data), data)


COURIER = HELVETICA.replace(b"Helvetica", b"Courier")


def placed(*texts: tuple[int, int, str], font: bytes = HELVETICA) -> bytes:
    """Write texts at places of a page, in this order; letters of Courier are 6 points wide."""
    size = 10 if font == COURIER else 12
    shown = " ".join(f"1 0 0 1 {x} {y} Tm ({text}) Tj" for x, y, text in texts)
    return raw_pdf(f"BT /F1 {size} Tf {shown} ET".encode(), font)


@pytest.mark.parametrize(
    ("encoding", "codec"),
    [("KSCms-UHC-H", "cp949"), ("KSC-EUC-H", "euc_kr"), ("UniKS-UTF16-H", "utf-16-be")],
)
def test_korean_in_a_pdf_whose_font_names_only_its_encoding(
    tmp_path: Path, encoding: str, codec: str
) -> None:
    text = "환불은 7일 안에 됩니다."
    content = f"BT /F1 12 Tf 50 700 Td <{text.encode(codec).hex()}> Tj ET"
    data = raw_pdf(content.encode(), *korean_font(encoding))
    assert text_of(tmp_path, "a.pdf", data) == text


def korean_font(encoding: str) -> tuple[bytes, ...]:
    """Objects 5 to 7 of a PDF: a Korean font that is not in the file."""
    font = (
        f"<< /Type /Font /Subtype /Type0 /BaseFont /HYSMyeongJo-Medium /Encoding /{encoding} "
        "/DescendantFonts [6 0 R] >>"
    )
    descendant = (
        b"<< /Type /Font /Subtype /CIDFontType0 /BaseFont /HYSMyeongJo-Medium /CIDSystemInfo "
        b"<< /Registry (Adobe) /Ordering (Korea1) /Supplement 1 >> /W [1 [333]] "
        b"/FontDescriptor 7 0 R >>"
    )
    descriptor = (
        b"<< /Type /FontDescriptor /FontName /HYSMyeongJo-Medium /Flags 4 /FontBBox "
        b"[0 -200 1000 900] /ItalicAngle 0 /Ascent 800 /Descent -200 /StemV 80 >>"
    )
    return font.encode(), descendant, descriptor


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_korean_letters_that_no_font_here_draws_are_read(tmp_path: Path, turn: int) -> None:
    """Words of one letter, placed one by one; on a page on its side whole lines."""
    words = [(50, 700, "새"), (70, 700, "주소로"), (111, 700, "온"), (50, 680, "준비")]
    words += [(50, 660, "필터의 비닐을 벗깁니다")]
    shown = " ".join(
        f"12 0 0 12 {x} {y} Tm <{text.encode('utf-16-be').hex()}> Tj" for x, y, text in words
    )
    content = f"{UPRIGHT[turn]} BT /F1 1 Tf {shown} ET"
    data = raw_pdf(content.encode(), *korean_font("UniKS-UTF16-H"), page=b"/Rotate %d" % turn)
    assert text_of(tmp_path, "a.pdf", data) == "새 주소로 온\n준비\n필터의 비닐을 벗깁니다"


TERMS = (
    "환불은 물건을 받은 날부터 칠일 안에 신청할 수 있으며 포장을 뜯은 물건은 교환만 됩니다 "
    "배송비는 보내는 사람이 내지만 물건에 흠이 있으면 우리가 냅니다 교환한 물건은 다시 환불하지 "
    "않으며 선물로 받은 물건은 보낸 사람에게 돈을 돌려 드립니다 신청은 앱이나 전화로 하고 접수한 "
    "다음 날 택배 기사가 물건을 가지러 갑니다 돈은 물건이 돌아온 뒤 사흘 안에 카드로 돌아갑니다"
)


def broken(pieces: Iterable[str]) -> list[str]:
    """Lines of these pieces, twelve letters wide; a blank behind a word stays at its line's end.

    Letters of `korean_font` are as wide as they are high, a blank is a third of that.
    """
    lines = [""]
    for piece in pieces:
        shown = (lines[-1] + piece).rstrip()
        if len(shown) - 2 / 3 * shown.count(" ") > 12:
            lines.append("")
        lines[-1] += piece
    return lines


def korean_pdf(lines: list[str]) -> bytes:
    shown = " ".join(
        f"1 0 0 1 50 {700 - 16 * row} Tm <{line.encode('utf-16-be').hex()}> Tj"
        for row, line in enumerate(lines)
    )
    return raw_pdf(f"BT /F1 12 Tf {shown} ET".encode(), *korean_font("UniKS-UTF16-H"))


def test_korean_words_that_lines_end_within_are_whole_where_the_file_tells(tmp_path: Path) -> None:
    lines = broken(TERMS)
    assert sum(line.endswith(" ") for line in lines) >= 3
    read = text_of(tmp_path, "a.pdf", korean_pdf(lines))
    assert " ".join(read.split()) == TERMS
    # Without a blank behind words there is nothing to tell by, and the lines stay.
    bare = [line.strip() for line in lines]
    assert text_of(tmp_path, "b.pdf", korean_pdf(bare)) == "\n".join(bare)


def test_lines_that_end_with_words_stay_though_some_lack_the_blank(tmp_path: Path) -> None:
    lines = broken(f"{word} " for word in TERMS.split())
    lines[4] = lines[4].strip()
    expected = "\n".join(line.strip() for line in lines)
    assert text_of(tmp_path, "a.pdf", korean_pdf(lines)) == expected


def test_ligatures_are_read_as_letters(tmp_path: Path) -> None:
    meaning = (
        b"/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapType 2 def\n"
        b"1 begincodespacerange <00> <FF> endcodespacerange\n"
        b"2 beginbfchar <01> <FB01> <02> <FB03> endbfchar\n"
        b"1 beginbfrange <61> <7A> <0061> endbfrange endcmap end end"
    )
    font = HELVETICA.replace(b">>", b"/ToUnicode 6 0 R >>")
    content = b"BT /F1 12 Tf 50 700 Td (o\\002ce) Tj 0 -14 Td (\\001nal) Tj ET"
    data = raw_pdf(content, font, stream(meaning))
    assert text_of(tmp_path, "a.pdf", data) == "office\nfinal"


@pytest.mark.parametrize("turn", ["", "/Rotate 90", "/Rotate 180", "/Rotate 270"])
def test_a_turned_page_keeps_its_lines_in_order(tmp_path: Path, turn: str) -> None:
    content = b"BT /F1 12 Tf 14 TL 50 700 Td (First line) Tj T* (second line) Tj ET"
    data = raw_pdf(content, page=turn.encode())
    assert text_of(tmp_path, "a.pdf", data) == "First line\nsecond line"


# Text that is upright for who looks at a page that is turned so.
UPRIGHT = {
    0: "",
    90: "0 1 -1 0 800 0 cm",
    180: "-1 0 0 -1 600 800 cm",
    270: "0 -1 1 0 0 600 cm",
}


@pytest.mark.parametrize("rotate", [b"", b"/Rotate 0"])
@pytest.mark.parametrize("turn", UPRIGHT)
def test_text_on_its_side_keeps_lines_and_cells(tmp_path: Path, turn: int, rotate: bytes) -> None:
    """As wide tables are put on a page; where the page is not turned with them, too."""
    lines = [
        [(50, 500 - 14 * row, f"A line of prose, number {row}, which is long") for row in range(6)],
        [(50, 390, "Plan"), (150, 390, "Month"), (250, 390, "Year")],
        [(50, 370, "Basic"), (150, 370, "1"), (250, 370, "10")],
    ]
    shown = " ".join(f"1 0 0 1 {x} {y} Tm ({text}) Tj" for line in lines for x, y, text in line)
    content = f"{UPRIGHT[turn]} BT /F1 12 Tf {shown} ET"
    data = raw_pdf(content.encode(), page=rotate or b"/Rotate %d" % turn)
    text = text_of(tmp_path, "a.pdf", data)
    prose = [f"A line of prose, number {row}, which is long" for row in range(6)]
    assert text.split("\n") == [*prose, "Plan  Month  Year", "Basic  1  10"]


def test_text_turned_by_a_quarter_keeps_its_lines(tmp_path: Path) -> None:
    content = b"q 0 1 -1 0 300 300 cm BT /F1 12 Tf 14 TL 0 0 Td (One line) Tj T* (two) Tj ET Q"
    assert text_of(tmp_path, "a.pdf", raw_pdf(content)) == "One line\ntwo"


def test_columns_are_read_one_after_the_other(tmp_path: Path) -> None:
    left = [(50, 700 - 14 * row, f"left {row}") for row in range(3)]
    right = [(320, 700 - 14 * row, f"right {row}") for row in range(3)]
    text = text_of(tmp_path, "a.pdf", placed(*left, *right))
    assert text.split("\n") == ["left 0", "left 1", "left 2", "right 0", "right 1", "right 2"]


LEFT = [
    "Refunds are paid to the card that the",
    "order was paid with, and they take",
    "five working days after the parcel",
    "has come back to us. Parcels without",
    "a number are opened by hand, which",
    "may take a week more. The money for",
    "an exchange is held until the other",
    "article has been sent, and paid back",
    "when it is sold out meanwhile.",
]
RIGHT = [
    "Batteries and lamps are not part of",
    "what is taken back, nor is anything",
    "that was made to measure. Who sends",
    "such things back all the same has to",
    "pay for the way there and for the",
    "way back, and gets them again within",
    "a month. Of sets that were opened we",
    "take back the parts that are still",
    "sealed, at a share of the price.",
]


@pytest.mark.parametrize("word_by_word", [False, True])
def test_columns_written_line_by_line_are_read_one_after_the_other(
    tmp_path: Path, word_by_word: bool
) -> None:
    lines = [(50, 760, "What we take back, and what becomes of the money that was paid for it")]
    for row, (left, right) in enumerate(zip(LEFT, RIGHT, strict=True)):
        lines += [(50, 730 - 14 * row, left), (310, 730 - 14 * row, right)]
    if word_by_word:
        lines = [
            (x + 6 * len(text[: match.start()]), y, match[0])
            for x, y, text in lines
            for match in re.finditer(r"\S+", text)
        ]
    text = text_of(tmp_path, "a.pdf", placed(*lines, (290, 50, "12"), font=COURIER))
    assert text.split("\n")[1:] == [*LEFT, *RIGHT, "12"]


def test_rows_of_sentences_are_no_columns(tmp_path: Path) -> None:
    """Long cells, each a sentence of its own; terms beside meanings; columns of numbers."""
    questions = [f"Where do I find part {row} of it?" for row in range(10)]
    answers = [f"It is in box {row}, below the others." for row in range(10)]
    terms = [("Refund", LEFT[0]), *(("", line) for line in LEFT[1:]), ("Sets", RIGHT[0])]
    numbers = [(f"{row},150,000 won", f"{row},275,000 won") for row in range(1, 10)]
    for rows in (list(zip(questions, answers, strict=True)), terms, numbers):
        cells = [
            (x, 750 - 14 * row, text)
            for row, pair in enumerate(rows)
            for x, text in zip((50, 310), pair, strict=True)
            if text
        ]
        text = text_of(tmp_path, "a.pdf", placed(*cells, font=COURIER))
        assert text.split("\n") == ["  ".join(filter(None, pair)) for pair in rows]


def test_words_placed_one_by_one_are_a_line_and_cells_stay_apart(tmp_path: Path) -> None:
    data = placed(
        *((50, 700, "Basic"), (82, 700, "plan"), (200, 700, "10"), (300, 700, "3")),
        *((50, 680, "Full"), (75, 680, "plan"), (200, 680, "20"), (300, 680, "12")),
    )
    assert text_of(tmp_path, "a.pdf", data) == "Basic plan  10  3\nFull plan  20  12"


def test_a_footnote_s_mark_ends_no_line(tmp_path: Path) -> None:
    content = (
        b"BT /F1 12 Tf 50 700 Td (Price 500) Tj 7 Ts /F1 7 Tf (1) Tj 0 Ts /F1 12 Tf "
        b"( per month) Tj 0 -14 Td (and more) Tj ET"
    )
    assert text_of(tmp_path, "a.pdf", raw_pdf(content)) == "Price 5001 per month\nand more"


def test_a_word_parted_at_the_line_s_end_of_a_pdf_is_joined(tmp_path: Path) -> None:
    assert text_of(tmp_path, "a.pdf", pdf(["an impor-", "tant letter"])) == "an important letter"


def test_text_beyond_the_first_plane_is_kept(tmp_path: Path) -> None:
    meaning = (
        b"/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapType 2 def\n"
        b"1 begincodespacerange <00> <FF> endcodespacerange\n"
        b"1 beginbfchar <01> <D83DDE00> endbfchar 1 beginbfrange <20> <7A> <0020> endbfrange\n"
        b"endcmap end end"
    )
    font = HELVETICA.replace(b">>", b"/ToUnicode 6 0 R >>")
    content = b"BT /F1 12 Tf 50 700 Td (a \\001 b c) Tj ET"
    assert text_of(tmp_path, "a.pdf", raw_pdf(content, font, stream(meaning))) == "a 😀 b c"


def test_a_page_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    data = raw_pdf(b"").replace(b"/Kids [3 0 R] /Count 1", b"/Kids [3 0 R 9 0 R] /Count 2")
    (tmp_path / "a.pdf").write_bytes(data)
    (failure,) = read_documents([tmp_path]).failures
    assert failure.reason.startswith("cannot be parsed (page 2: Failed to load page")


def test_words_parted_at_the_line_s_end_are_joined() -> None:
    pages = [
        "an impor-\ntant co\u00ad\noperation, a long-\nterm plan, state-of-the-\nart",
        "our long-term\n  plan,  cost:    5   won; air, sold, air-\nsold, A-\nB, on-\n going",
        "ongoing",
    ]
    text, starts = join_pages(pages)
    assert text[: starts[1]] == ("an important cooperation, a long-term plan, state-of-the-art\n\n")
    assert text[starts[1] :] == (
        "our long-term\nplan, cost:  5  won; air, sold, air-sold, A-\nB, ongoing\n\nongoing"
    )


@pytest.mark.slow
def test_an_annual_report_keeps_its_words_whole(shared_data: Path) -> None:
    (document,) = read_documents([shared_data / "filings_10k" / "uber_2021.pdf"]).documents
    starts = json.loads(document.metadata["page_starts"])
    assert (len(starts), starts) == (307, sorted(starts))
    assert document.metadata["date"] == "2022-02-24"
    # The file places words one by one; read as they come they are "actionsfrom" and "wel l".
    assert "Investigations and enforcement actions\nfrom such entities, as well as" in document.text
    page = document.text[starts[40] : starts[41]]
    assert page.startswith("million ($150,000 as a fine")
    table = document.text[starts[147] : starts[148]]
    assert "Charges  199  98  65  362\nCash payments  (197)  (3)  (45)  (245)\n" in table


def test_a_cut_annual_report_is_not_taken_for_the_one_inside_it(
    shared_data: Path, tmp_path: Path
) -> None:
    # This file holds another whole report before its own, which a parser falls back on.
    data = (shared_data / "filings_10k" / "lyft_2021.pdf").read_bytes()
    (tmp_path / "cut.pdf").write_bytes(data[: len(data) * 9 // 10])
    result = read_documents([tmp_path])
    assert result.documents == []
    assert "part of it is missing; fetch it again" in result.failures[0].reason
