"""Mails (.eml): the text, who wrote it when to whom, and the names of what is attached."""

import email
import email.policy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage

from rag_app.documents.content import Content
from rag_app.documents.html import decode_as, read_markup
from rag_app.documents.left_out import LeftOut, named
from rag_app.documents.sources import Source
from rag_app.errors import DocumentError
from rag_app.text.normalise import normalise

_FIELDS = ("from", "to", "cc")


@dataclass(frozen=True)
class Mail:
    """What a mail says, whatever format it is kept in.

    Fields:
        fields: from, to and cc, those that it has.
        attached: names of the files, or their types.
        left_out: of its HTML.
    """

    text: str
    subject: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    date: object = None
    attached: Sequence[str] = ()
    left_out: Sequence[LeftOut] = ()


def read_mail(source: Source) -> list[Content]:
    """Read a mail as one document; its subject is the title.

    Raises:
        DocumentError: it has no text.
    """
    message = email.message_from_bytes(source.read_bytes(), policy=email.policy.default)
    attached = [part.get_filename() or part.get_content_type() for part in _attached(message)]
    bodies = [body for body in _bodies(message) if body.text]
    mail = Mail(
        "\n\n".join(body.text for body in bodies),
        subject=str(message["subject"] or "") or None,
        fields=people(message),
        date=str(message["date"]) if message["date"] else None,
        attached=attached,
        left_out=[left for body in bodies for left in body.left_out],
    )
    return [as_content(mail)]


def as_content(mail: Mail) -> Content:
    """The document that a mail is.

    Raises:
        DocumentError: it has no text.
    """
    text = normalise(mail.text)
    names = named(mail.attached)
    if not text:
        but = f", but {names} attached" if names else ""
        raise DocumentError(f"holds no text{but}; save what is attached beside it")
    files = [LeftOut("files attached", len(mail.attached), names)] if names else []
    return Content(
        text,
        kind="mail",
        title=mail.subject,
        fields=mail.fields,
        dates=[mail.date] if mail.date else (),
        left_out=[*mail.left_out, *files],
    )


def people(message: EmailMessage) -> dict[str, str]:
    """Who wrote a mail to whom, as its headers say."""
    return {name: str(message[name]) for name in _FIELDS if message[name]}


def _bodies(message: EmailMessage) -> Iterator[Content]:
    """The bodies of a mail; of one that is written twice, the one that says more."""
    if message.get_content_type() == "multipart/alternative":
        parts = (message.get_body((kind,)) for kind in ("plain", "html"))
        bodies = [_body(part) for part in parts if isinstance(part, EmailMessage)]
        said = [body for body in bodies if body.text.strip()]
        yield from said[1:] if len(said) > 1 and _lacks_most(*said) else said[:1]
    elif message.get_content_maintype() == "multipart":
        for part in message.iter_parts():
            if isinstance(part, EmailMessage) and not part.is_attachment():
                yield from _bodies(part)
    elif message.get_content_maintype() == "text":
        yield _body(message)


def _lacks_most(plain: Content, html: Content) -> bool:
    """Whether the plain text only says that there is HTML: of its words it lacks more than half."""
    shown = set(html.text.lower().split())
    return 2 * len(shown - set(plain.text.lower().split())) > len(shown)


def _body(part: EmailMessage) -> Content:
    data = part.get_payload(decode=True)
    text = decode_as(data, part.get_content_charset("utf-8")) if isinstance(data, bytes) else ""
    is_html = part.get_content_subtype() == "html"
    return read_markup(text) if is_html else Content(text, kind="mail")


def _attached(message: EmailMessage) -> Iterator[EmailMessage]:
    """Parts that are no text of the mail, mails inside included; pictures of its HTML too."""
    for part in message.iter_parts():
        if not isinstance(part, EmailMessage):
            continue
        if part.get_content_maintype() == "multipart":
            yield from _attached(part)
        elif part.is_attachment() or part.get_content_maintype() != "text":
            yield part
