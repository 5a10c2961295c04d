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
    """

    text: str
    subject: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    date: object = None
    attached: Sequence[str] = ()


def read_mail(source: Source) -> list[Content]:
    """Read a mail as one document; its subject is the title.

    Raises:
        DocumentError: it has no text.
    """
    message = email.message_from_bytes(source.read_bytes(), policy=email.policy.default)
    attached = [part.get_filename() or part.get_content_type() for part in _attached(message)]
    mail = Mail(
        "\n\n".join(filter(None, _texts(message))),
        subject=str(message["subject"] or "") or None,
        fields=people(message),
        date=str(message["date"]) if message["date"] else None,
        attached=attached,
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
    left = [LeftOut("files attached", len(mail.attached), names)] if names else []
    return Content(
        text,
        kind="mail",
        title=mail.subject,
        fields=mail.fields,
        dates=[mail.date] if mail.date else (),
        left_out=left,
    )


def people(message: EmailMessage) -> dict[str, str]:
    """Who wrote a mail to whom, as its headers say."""
    return {name: str(message[name]) for name in _FIELDS if message[name]}


def _texts(message: EmailMessage) -> Iterator[str]:
    """The bodies of a mail; of one that is written twice, the plain one unless it is blank."""
    if message.get_content_type() == "multipart/alternative":
        bodies = (message.get_body((kind,)) for kind in ("plain", "html"))
        texts = (_text(body) for body in bodies if isinstance(body, EmailMessage))
        yield next(filter(str.strip, texts), "")
    elif message.get_content_maintype() == "multipart":
        for part in message.iter_parts():
            if isinstance(part, EmailMessage) and not part.is_attachment():
                yield from _texts(part)
    elif message.get_content_maintype() == "text":
        yield _text(message)


def _text(part: EmailMessage) -> str:
    data = part.get_payload(decode=True)
    text = decode_as(data, part.get_content_charset("utf-8")) if isinstance(data, bytes) else ""
    return read_markup(text).text if part.get_content_subtype() == "html" else text


def _attached(message: EmailMessage) -> Iterator[EmailMessage]:
    """Parts that are no text of the mail, mails inside included; pictures of its HTML too."""
    for part in message.iter_parts():
        if not isinstance(part, EmailMessage):
            continue
        if part.get_content_maintype() == "multipart":
            yield from _attached(part)
        elif part.is_attachment() or part.get_content_maintype() != "text":
            yield part
