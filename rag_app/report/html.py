"""A report as one HTML page: no network, no other file, every text escaped."""

import hashlib
from base64 import b64encode
from html import escape
from pathlib import Path

from rag_app.report.blocks import Block, Figure, Listing, Paragraph, Report, Section, Table
from rag_app.report.question_html import question_html
from rag_app.report.questions import QuestionList

WORDS = {"promote": "Promote", "hold": "Hold", "reject": "Reject"}


def as_html(report: Report) -> str:
    """The page. A browser loads nothing for it, and runs no other script than its own."""
    styles, script = _file("page.css"), _file("page.js")
    names = [f"part-{number}" for number in range(1, len(report.sections) + 1)]
    parts = zip(names, report.sections, strict=True)
    links = "".join(
        f'<li><a href="#{name}">{escape(section.title)}</a></li>'
        for name, section in zip(names, report.sections, strict=True)
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_policy(styles, script)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(report.title)}</title>\n<style>{styles}</style>\n</head>\n<body>\n"
        f"{_head(report)}\n"
        f'<nav aria-label="Parts of this report"><ol>{links}</ol></nav>\n<main>\n'
        + "\n".join(_section(name, section) for name, section in parts)
        + f"\n</main>\n<script>{script}</script>\n</body>\n</html>\n"
    )


def _file(name: str) -> str:
    """A file that lies beside this one."""
    return Path(__file__).with_name(name).read_text("utf-8")


def _policy(styles: str, script: str) -> str:
    """No network, and no script or style but those of this page, whatever a document says."""
    style, own = _hash(styles), _hash(script)
    return f"default-src 'none'; style-src '{style}'; script-src '{own}'; base-uri 'none'"


def _hash(text: str) -> str:
    return f"sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _head(report: Report) -> str:
    verdict = WORDS.get(report.verdict, "")
    badge = f'<strong class="badge {report.verdict}">{verdict}</strong> ' if verdict else ""
    promises = "".join(f"<p>{escape(promise)}</p>" for promise in report.promises)
    return (
        f'<header><p class="run">rag-app report, run {escape(report.run)}</p>'
        f"<h1>{escape(report.title)}</h1>"
        f'<p class="verdict">{badge}{escape(report.sentence)}</p>{promises}</header>'
    )


def _section(name: str, section: Section) -> str:
    inside = "\n".join(_block(block) for block in section.blocks)
    return (
        f'<section id="{name}" aria-labelledby="{name}-title">'
        f'<h2 id="{name}-title">{escape(section.title)}</h2>\n{inside}</section>'
    )


def _block(block: Block) -> str:
    if isinstance(block, Paragraph):
        return f"<p>{escape(block.text)}</p>"
    if isinstance(block, Listing):
        return f'<pre tabindex="0">{escape(block.text)}</pre>'
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, QuestionList):
        return question_html(block)
    return _figure(block)


def _figure(figure: Figure) -> str:
    table = figure.table
    below = f"<details><summary>as a table</summary>{_table(table)}</details>" if table else ""
    return (
        f'<figure><div class="wide" role="group" tabindex="0" aria-label="{escape(figure.title)}">'
        f"{figure.svg}</div><figcaption>{escape(figure.title)}</figcaption>"
        f"{below}</figure>"
    )


def _table(table: Table) -> str:
    caption = f"<caption>{escape(table.caption)}</caption>" if table.caption else ""
    head = "".join(f'<th scope="col">{escape(one)}</th>' for one in table.heads)
    shown = f"<thead><tr>{head}</tr></thead>" if any(table.heads) else ""
    body = "".join(
        f'<tr><th scope="row">{escape(first)}</th>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in others)
        + "</tr>"
        for first, *others in table.rows
    )
    label = escape(table.caption or table.heads[0] or "figures")
    return (
        f'<div class="wide" role="group" tabindex="0" aria-label="{label}">'
        f"<table>{caption}{shown}<tbody>{body}</tbody></table></div>"
    )
