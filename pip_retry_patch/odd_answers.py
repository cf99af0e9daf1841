"""What a user reads of answers that came whole and are not what was asked for.

A web page for people in place of a file or of an index's page, a status that pip knows nothing of,
a coding that nobody asked for. Errors as in failures.py, and lines as in messages.py.
"""

from __future__ import annotations

from pip_retry_patch.failures import SERVER_IS_AT_FAULT, Failure, broken_request
from pip_retry_patch.messages import WEB_PAGE
from pip_retry_patch.names import clean, format_size

_TELL_THEM = "Run the same command again later. If it stays so, tell those who run the server."


def _odd(name: str, host: str, why: str, hint: str = _TELL_THEM) -> Failure:
    return broken_request(name, host, why)._replace(
        note=SERVER_IS_AT_FAULT, hint=hint, why=why, first_contact=True
    )


def bad_redirect(name: str, host: str, where: str) -> Failure:
    """An answer leads to an address that nothing can be asked at."""
    why = "the answer leads to an address that makes no sense"
    hint = "Check the address that you asked for. If it is right, tell those who run the server."
    return _odd(name, host, f"{why}: {clean(where)}", hint)._replace(why=why)


def odd_status(name: str, host: str, status: int) -> Failure:
    """A status that comes with nothing, or with anything, but not with what was asked for."""
    if status == 304:
        what = "which says that nothing has changed, though nobody asked that"
    elif status == 300:
        what = "which offers several addresses, and names none"
    elif status in (204, 205):
        what = "which says that there is no content"
    else:
        what = "which is no status of HTTP"
    return _odd(name, host, f"the server answers {status}, {what}")


def odd_coding(name: str, host: str, coding: str) -> Failure:
    """A page came that pip cannot decode; `coding` is its Content-Encoding."""
    why = f"the answer came encoded as {clean(coding, 20)}, which nobody had asked for"
    return _odd(name, host, why)


def bad_coding(name: str, host: str) -> Failure:
    """What came is not what its Content-Encoding says, or was damaged."""
    return _odd(name, host, "the answer is labelled as compressed, and cannot be decompressed")


def no_index_page(page: str, host: str, why: str) -> Failure:
    """pip cannot read a page; `why` is what its parser says."""
    return _odd(page, host, f"what came is no page of an index ({clean(why, 120)})")


_LOG_IN = (
    "Open a web page to log in to the network, or ask those who run the gateway. Then run the same "
    "command again."
)


def web_page_for_file(name: str, host: str, title: str) -> Failure:
    """A login page or a block page came in place of a file that no hash is known of."""
    return _odd(name, host, WEB_PAGE + _titled(title), _LOG_IN)._replace(
        note="A network that wants a login first (hotel, train, airport) does that, or a gateway "
        "that blocks the file. Nothing is wrong with the package itself."
    )


def not_of_its_kind(name: str, host: str, size: int, media: str, coding: str) -> Failure:
    """What came is no wheel, say, or not all of one, and no hash says what it should be."""
    kind = "whole wheel" if name.endswith(".whl") else "whole archive"
    kind = "metadata of a wheel" if name.endswith(".metadata") else kind
    shown = format_size(size) + (f" of {clean(media, 40)}" if media else "")
    shown += f", encoded as {clean(coding, 20)}" if coding else ""
    return _odd(name, host, f"what came is no {kind} ({shown})")._replace(
        note="No hash is listed for it. So it is not known whether the file is damaged on the "
        "server, or on its way."
    )


def no_end(name: str, host: str, size: int) -> Failure:
    """A file was cut each time, and no length told so; its hash did not fit."""
    why = f"what came has no end ({format_size(size)}), and the server tells no length"
    return broken_request(name, host, why)


# Below pip's "No matching distribution found": why a page may not be what the index has.


def odd_page(page: str, what: str) -> str:
    """`page` as `names.name_of` returns it; `what` is one of those below."""
    return f"But {page} {what}."


CAME_EMPTY = "came empty"
HAS_NO_END = "came without its end (</html>): something on the way may have cut it"
IS_JSON = "is JSON that the server calls text/html, so pip finds nothing in it"


def _titled(title: str) -> str:
    return f' ("{clean(title, 60)}")' if title else ""


def names_no_file(title: str) -> str:
    return f"came whole{_titled(title)} and names no file"


def for_people(title: str, host: str, project: str) -> str:
    """`host`: where it came from, if that is not where pip had asked."""
    whence = f" from {clean(host)}" if host else ""
    return (
        f"is a web page for people{_titled(title)}{whence}, and names no file of {clean(project)}. "
        "If this network wants a login (hotel, train, airport), open a web page to log in, then "
        "run the same command again"
    )
