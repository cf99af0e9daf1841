"""What an answer to pip's own request is worth: whether it is whole, and what was asked for.

A page that was cut in a way that its framing does not show would be read as a shorter page: with
fewer versions on it, or with none. So would a login page.
"""

from __future__ import annotations

import json
import re
from typing import Any, Callable

from pip_retry_patch import names, wording
from pip_retry_patch.fetch.errors import EarlyEnd
from pip_retry_patch.fetch.judge import (
    GONE,
    REDIRECTS,
    Verdict,
    coding_of,
    is_busy,
    is_web_page,
    length_of,
    media_of,
    unasked_part,
)
from pip_retry_patch.fetch.patience import Hosts
from pip_retry_patch.fetch.request import Job, Kind, Outcome

# What pip takes for a file, by the end of its name; the commonest first.
_FILES = tuple(end.encode() for end in (".whl", *names.SDISTS, ".tar", ".egg"))
# What pages for people have, and no page of an index. They are the larger, but not here.
_FOR_PEOPLE = (b"<form", b"<input", b"<script", b"<iframe", b'http-equiv="refresh')
_START = 1 << 16
BAD_REDIRECT = "the answer leads to an address that makes no sense"

# urllib3's GzipDecoder, after what follows a whole stream proved to be no stream.
_SWALLOW_DATA = 2


class FirstAnswers:
    """Judges the answers to one request of pip's, of which pip has no byte yet.

    :param tell: shows a line.
    :ivar usable: a page in doubt, as long as none is better.
    """

    def __init__(self, job: Job, hosts: Hosts, tell: Callable[[str], None]) -> None:
        self._job, self._hosts, self._tell = job, hosts, tell
        self._short: bytes | None = None  # a page that came shorter than announced
        self.usable: Outcome | None = None

    def judge(self, outcome: Outcome, others: bool, may_doubt: bool) -> str:
        """Return a verdict.

        :param others: there are other sources.
        :param may_doubt: what may be another one is asked for once more.
        :raises Exception: it is of no use, and came twice.
        """
        job, status, response = self._job, outcome.status, outcome.response
        if is_busy(status, response.headers) or (others and status >= 500):
            return Verdict.BUSY
        # A mirror that lacks the project says nothing of the index.
        if outcome.source.mirror:
            project = job.source.url.rstrip("/").rpartition("/")[2]
            if status != 200 or (job.whole and not _lists(response.content, project)):
                return Verdict.REFUSED
        is_page = job.kind == Kind.PAGE
        if self.usable and (status >= 400 or (is_page and not names_files(response.content))):
            return Verdict.REFUSED  # the one before it is better
        if outcome.is_refused_by_proxy:
            return Verdict.LASTING
        if job.kind == Kind.FILE and (others or (status in GONE and job.patience.attempts > 0)):
            return Verdict.REFUSED
        if status == 206 and not job.ranged:
            part = unasked_part(response.headers)
            if part is not None and (part.first != 0 or job.whole):
                outcome.why = wording.OTHER_PART if part.first != 0 else wording.ONLY_A_PART
                return Verdict.WHOLE
        odd = odd_answer(job.kind, job.whole, job.source.url, response)
        came = job.whole and status < 400 and not outcome.is_cached
        short = came and is_short(response)
        # A requirements file has no end of its own, but its coding may show that one is missing.
        is_text = job.kind == Kind.OTHER and job.patience.attempts > 0
        if short or (came and is_text and _stream_is_cut(response)):
            comes_again = response.content == self._short and (not short or has_end(response))
            self._short, outcome.why = response.content, wording.CLOSED_EARLY
            if not comes_again:
                return Verdict.CUT
            self._tell(wording.say("taken", name=job.name))
        elif job.patience.attempts and self._is_doubtful(outcome, may_doubt):
            has_files = names_files(response.content)
            if may_doubt:
                is_usable = odd is None and (has_files or not has_no_end(response))
                self.usable = outcome if is_usable else None
                return Verdict.DOUBTED
            if self.usable and len(response.content) < len(self.usable.response.content):
                return Verdict.REFUSED  # it was cut earlier
            if has_files and has_no_end(response) and not is_framed(response):
                self._tell(wording.say("taken", name=job.name))
        if odd is not None and not may_doubt:
            raise job.error(odd, EarlyEnd())
        return Verdict.USE if odd is None else Verdict.DOUBTED

    def _is_doubtful(self, outcome: Outcome, may_doubt: bool) -> bool:
        """Whether an answer that is read whole may be another one, and that is still asked.

        A page is asked for once more where it makes no sense, so often in a run, or where nothing
        proves its end. So is a requirements file, or one that came empty.
        """
        job, response, cached = self._job, outcome.response, outcome.came_from_cache
        if not job.whole or response.status_code >= 300:
            return False
        is_open = not (cached or proves_end(response))
        if job.kind != Kind.PAGE:
            return is_open or not (cached or response.content)
        doubtful = is_doubtful(response)
        if doubtful and may_doubt and not (cached or is_open or has_no_end(response)):
            host = self._hosts.at(job.source.url)
            host.doubts -= 1
            return host.doubts >= 0
        return doubtful or is_open


def is_short(response: Any) -> bool:
    """Whether fewer bytes came than the header announced (urllib3 1.26 does not look)."""
    length = length_of(response.headers)
    if length is None:
        return False
    return int(response.raw.tell()) < length and response.status_code not in (204, 304)


def is_doubtful(response: Any) -> bool:
    """Whether a page of an index may be another one when it is asked for again.

    It names no file, or ends in a way that its framing does not show. An error of a gateway may
    come as one, or as nothing at all. But a page without a word is no error.
    """
    content, media = response.content, media_of(response.headers)
    is_json = media.endswith("html") and _is_json(content)
    if is_json or not media.endswith(("html", "json")):  # pip does not read it
        return True
    return has_no_end(response) or not (names_files(content) or _lists_nothing(content))


def has_no_end(response: Any) -> bool:
    """Whether a page that came lacks its end, by what it is."""
    # A proxy may have cut it and made its length anew.
    return _stream_is_cut(response) or not _ends(media_of(response.headers), response.content)


def is_framed(response: Any) -> bool:
    """Whether the end of a page is one, by its framing and its coding."""
    fields = response.headers
    has_length = "content-length" in fields or "transfer-encoding" in fields
    return has_length and not _stream_is_cut(response)


def has_end(response: Any) -> bool:
    """Whether a page shows its end, whatever length its header announced."""
    content, media = response.content, media_of(response.headers)
    return (media.endswith("json") or _closes(content)) and _ends(media, content)


def proves_end(response: Any) -> bool:
    """Whether the end of what came can be told: by its framing, its coding or what it is."""
    return is_framed(response) or coding_of(response.headers) != "" or has_end(response)


def names_files(content: bytes) -> bool:
    """Whether a page names anything that pip could take for a file."""
    return any(ending in content for ending in _FILES)


def _lists_nothing(content: bytes) -> bool:
    """Whether a web page has its end, and before it not a word, and nothing to fill in."""
    if len(content) > _START or not _closes(content) or _is_for_people(content):
        return False
    return not re.sub(rb"<[^<>]*>", b"", content).strip()


def title_of(content: bytes) -> str:
    """Return what a web page calls itself, as lines have it; "" if that cannot be shown."""
    found = re.search(rb"<title[^>]*>([^<]*)", content[:_START], re.IGNORECASE)
    title = " ".join(found[1].decode("utf-8", "replace").split()) if found else ""
    title = names.clean(names.foreign(title), 60) if title.isascii() else ""
    return f' ("{title}")' if title else ""


def _is_json(content: bytes) -> bool:
    return content[:64].lstrip().startswith(b"{")


def _is_for_people(content: bytes) -> bool:
    start = content[:_START].lower()
    return any(mark in start for mark in _FOR_PEOPLE)


def _lists(content: bytes, project: str) -> bool:
    """Whether a page may list a file of a project, by what stands anywhere in it."""
    name = names.plain(project).partition("-")[0].encode()
    return names_files(content) and (name in content or name in content.lower())


def oddity(
    content: bytes, media: str, url: str, asked: str, project: str, strict: bool
) -> tuple[str, bool]:
    """Return why a page of an index may not be what that has, in words; "" for most pages.

    And whether it may stand in place of that. Some indexes show a page for people where they have
    no project. It comes from themselves, and asks for no password.

    :param url: where it came from in the end. `asked`: where it was asked for.
    :param strict: such a page may, too, unless it tells of the project, or lists nothing at all.
    """
    moved = names.host_of(url) != names.host_of(asked)
    is_html, is_json, has_files = media.endswith("html"), _is_json(content), names_files(content)
    # A page for people may have something for them to download.
    is_for_people = not _lists(content, project) and _is_for_people(content)
    if is_for_people:
        kind = "for people"
    elif not has_files:
        kind = "names no file" if content.strip() else "came empty"
    elif is_html and (is_json or not _ends(media, content)):
        kind = "is JSON" if is_json else "has no end"
    else:
        return "", False
    whence = f" from {names.host_of(url)}" if moved else ""
    odd = wording.say(kind, title=title_of(content), whence=whence, project=project)
    asks = is_for_people and (moved or b"password" in content[:_START].lower())
    is_cut, is_error = not _ends(media, content), is_json and (is_html or b'"files"' not in content)
    if asks or is_error or not content.strip() or (is_cut and not has_files):
        return odd, True
    tells = names.plain(project) in names.plain(content.decode("latin-1"))
    return odd, strict and (is_cut or not (tells or _lists_nothing(content)))


def odd_answer(kind: str, whole: bool, url: str, response: Any) -> wording.Failure | None:
    """Return what is said of an answer whose text pip would take for what it asked for.

    That is a redirect that nobody could follow, a status that pip knows nothing of, or text that
    cannot be read. A page that names files is one all the same.
    """
    status = response.status_code
    if (status == 200 or kind == Kind.OTHER) and not whole:
        return None
    about: Any = {"name": names.name_of(url), "host": names.host_of(url), "first_contact": True}
    if status == 511:  # of a network that wants a login (RFC 6585)
        return wording.failure("web page for file", why=wording.answered(511), title="", **about)
    redirects = 300 <= status < 400
    without_content = (status < 200 or status in (204, 205)) and not whole
    if redirects or without_content or status >= 600:
        if whole and names_files(response.content):
            return None
        where = names.redacted(response.headers.get("Location") or "")
        if where or status in REDIRECTS:
            where = where or "it names none"
            return wording.failure("bad redirect", why=BAD_REDIRECT, where=where, **about)
        why = wording.answered(status)
        return wording.failure("odd status", why=why, status=status, **about)
    if status >= 400 or not whole:
        return None
    coding = _undecoded(response)
    if coding:
        why = f"it came encoded as {coding}"
        return wording.failure("odd coding", why=why, coding=coding, **about)
    start = response.content[:4096]
    is_other = kind == Kind.OTHER and not names_files(response.content)
    if status == 200 and is_other and is_web_page("", start):
        title = title_of(start)
        return wording.failure("web page for file", why=wording.WEB_PAGE, title=title, **about)
    return None


def _undecoded(response: Any) -> str:
    """Return the Content-Encoding of a page that urllib3 could not decode; "" for all else.

    What is text in spite of such a label is read as text.
    """
    is_decoded = getattr(response.raw, "_decoder", "") is not None
    coding = "" if names_files(response.content) else coding_of(response.headers)
    if not coding or is_decoded:
        return ""
    try:
        return coding if "\0" in response.content.decode("utf-8") else ""
    except UnicodeDecodeError:
        return coding


def _stream_is_cut(response: Any) -> bool:
    return _is_open(getattr(response.raw, "_decoder", None))  # which it has if it is coded


def _is_open(decoder: Any) -> bool:
    """Whether urllib3's decoder waits for more: no end of a gzip stream came (RFC 1952), say."""
    if hasattr(decoder, "_decoders"):
        return any(map(_is_open, decoder._decoders))
    if getattr(decoder, "_state", None) == _SWALLOW_DATA:
        return False
    stream: Any = getattr(decoder, "_obj", None)
    if hasattr(stream, "is_finished"):  # brotli
        return not stream.is_finished()
    return getattr(stream, "eof", True) is False


def _ends(media: str, content: bytes) -> bool:
    """Whether a page ends as what it began as."""
    if media == "application/json" or media.endswith("+json"):
        # What closes all its objects is whole, and need not be read twice.
        if content[-64:].rstrip()[-1:] == b"}" and content.count(b"{") == content.count(b"}"):
            return True
        try:
            json.loads(content)
        except ValueError:
            return False
        except RecursionError:
            pass  # what nests so deep is pip's to judge
        return True
    start = content[:512].lower()
    if is_web_page("", start) and b"<html" in start:
        return _closes(content)
    return True


def _closes(content: bytes) -> bool:
    # What follows may be a comment: PyPI writes its serial number there.
    return b"</html" in content[-1024:].lower()
