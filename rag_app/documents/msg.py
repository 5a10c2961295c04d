"""Outlook's mails (.msg), by python-oxmsg: as mails in .eml are read."""

import email
import email.policy
from collections.abc import Iterator
from typing import Any

from rag_app.documents.content import Content
from rag_app.documents.extras import imported
from rag_app.documents.html import decode_as, read_markup
from rag_app.documents.mail import Mail, as_content, people
from rag_app.documents.sources import Source
from rag_app.errors import DocumentError

# Numbers of properties, as MS-OXPROPS calls them.
_TRANSPORT_HEADERS = 0x007D
_RECIPIENT_TYPE = 0x0C15
_SENDER_NAME = 0x0C1A
_SENDER_ADDRESSES = (0x5D01, 0x0C1F)
_RTF_COMPRESSED = 0x1009
_HTML = 0x1013
_ATTACHED_NAMES = (0x3707, 0x3704, 0x3001)
_RECIPIENTS = {1: "to", 2: "cc"}
# Times that were never set are of the year 1601.
_EARLIEST_YEAR = 1970


def read_msg(source: Source) -> list[Content]:
    """Read a mail that Outlook saved as one document; its subject is the title.

    Raises:
        DocumentError: it is none, has no text, or python-oxmsg is not installed.
    """
    oxmsg = imported("oxmsg", extra="office")
    data = source.read_bytes()
    try:
        message = oxmsg.Message.load(data)
        body = _body(message)
    except (ValueError, OSError, KeyError):
        raise DocumentError("is not a mail as Outlook saves it; save it again as .msg") from None
    if not body.text and message.properties.binary_prop_value(_RTF_COMPRESSED):
        raise DocumentError("holds its text as RTF alone; save it as HTML in Outlook")
    headers = email.message_from_string(
        message.properties.str_prop_value(_TRANSPORT_HEADERS) or "", policy=email.policy.default
    )
    mail = Mail(
        body.text,
        subject=message.subject or None,
        fields=_people(message) | people(headers),
        date=str(headers["date"]) if headers["date"] else _sent(message),
        attached=[_attached(one) for one in message.attachments],
        left_out=body.left_out,
    )
    return [as_content(mail)]


def _body(message: Any) -> Content:
    """The plain body; of a mail without one, that in HTML."""
    if body := (message.body or "").strip():
        return Content(str(body), kind="mail")
    data = message.properties.binary_prop_value(_HTML)
    markup = decode_as(data, message.properties.body_encoding) if data else message.html_body
    return read_markup(markup or "")


def _people(message: Any) -> dict[str, str]:
    """Who wrote a mail to whom, where it has no headers: one that was never sent by SMTP."""
    addresses = map(message.properties.str_prop_value, _SENDER_ADDRESSES)
    sender = _person(message.properties.str_prop_value(_SENDER_NAME), *addresses)
    found: dict[str, list[str]] = {"from": [sender] if sender else []}
    for one in message.recipients:
        name = _RECIPIENTS.get(one.properties.int_prop_value(_RECIPIENT_TYPE))
        if name and (person := _person(one.name, one.email_address)):
            found.setdefault(name, []).append(person)
    return {name: ", ".join(people) for name, people in found.items() if people}


def _person(name: str | None, *addresses: str | None) -> str:
    """A name with an address; addresses inside Exchange, which tell a reader nothing, are not."""
    address = next((one for one in addresses if one and "@" in one), "")
    if not name or name == address:
        return address
    return f"{name} <{address}>" if address else name


def _sent(message: Any) -> Any:
    sent = message.sent_date
    return sent if sent is not None and sent.year >= _EARLIEST_YEAR else None


def _attached(attachment: Any) -> str:
    return next(_names(attachment), "a file")


def _names(attachment: Any) -> Iterator[str]:
    """What an attached file is called; a mail inside has its subject alone."""
    values = map(attachment.properties.str_prop_value, _ATTACHED_NAMES)
    yield from filter(None, values)
    yield attachment.mime_type
