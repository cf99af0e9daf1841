"""The one place that touches pip: what is wrapped, with wrapt, and what differs between pips.

`install` runs when pip makes its first network session. By then the urllib3 that pip will use is
loaded, under whatever name: vendored, or the system's where a distribution debundled pip. The
names of pip's own that are used here, and since when pip has them:

* `pip._internal.network.session` (19.3), whose module-level `urllib3` is the one that pip uses;
* `pip._internal.configuration.Configuration` (always), `pip._internal.commands.commands_dict`;
* `pip._internal.exceptions.DiagnosticPipError` (22.0), `InstallationError` (always);
* `pip._vendor.rich.text.Text` (22.0).
"""

from __future__ import annotations

import http.client
import importlib
import logging
import os
import sys
import urllib.parse
from typing import Any, Callable, Mapping

from pip_retry_patch import __version__, body, messages, ranges, resume, settings
from pip_retry_patch.patience import Patience

logger = logging.getLogger("pip_retry_patch")

# urllib3's own order, 1.25 to 2.x. requests passes all of it by keyword; urllib3 itself calls
# urlopen again, by position, when it retries.
_URLOPEN_PARAMETERS = (
    "method",
    "url",
    "body",
    "headers",
    "retries",
    "redirect",
    "assert_same_host",
    "timeout",
)

# A request for the rest is no longer the conditional request that CacheControl may have made:
# to that the answer could be 304.
_NOT_REPEATED = frozenset(
    [
        "range",
        "if-range",
        "if-match",
        "if-none-match",
        "if-modified-since",
        "if-unmodified-since",
    ]
)


def install(session: Any) -> None:
    """Guard the pip that `session`, its `network.session` module, belongs to.

    Whatever this raises, the caller lets pip go on unguarded.
    """
    pip = session.__name__[: -len("._internal.network.session")]
    found = _read_settings(pip)
    if not found.enabled:
        return
    guard = Guard(
        urllib3=session.urllib3,
        patience=Patience(attempts=found.attempts, seconds=found.patience),
        error=_error_maker(pip),
        clear_line=_clear_progress_bar,
        complaints=found.complaints,
    )
    guard.wrap()
    logger.debug("pip-retry-patch %s guards %s", __version__, pip)


def protect() -> None:
    """Guard the urllib3 that this program imports. See `pip_retry_patch.protect`."""
    urllib3 = importlib.import_module("urllib3")
    Guard(urllib3, Patience(), error=lambda _, interruption: interruption, always=True).wrap()


class Guard:
    """Wraps one urllib3.

    :param urllib3: the module, under any name.
    :param error: makes the exception for a Failure and the interruption that led to it.
    :param always: guard even what is asked with `retries=0`. That is how pip builds the session of
        its self-version check, which must not wait; but it is also what requests does by default.
    :param clear_line: called before a line is shown, to take a progress bar out of its way.
    :param complaints: lines to show before the first download.
    """

    def __init__(
        self,
        urllib3: Any,
        patience: Patience,
        error: Callable[[messages.Failure, Exception], Exception],
        always: bool = False,
        clear_line: Callable[[], None] = lambda: None,
        complaints: tuple[str, ...] = (),
    ) -> None:
        self._urllib3 = urllib3
        self._patience = patience
        self._error = error
        self._always = always
        self._clear_line = clear_line
        self._complaints = complaints

    def wrap(self) -> None:
        """Wrap every function that is wrapped; once, however often this is called."""
        wrapt = importlib.import_module("wrapt")  # here, so that a pip left alone never pays for it
        pool = self._urllib3.connectionpool.HTTPConnectionPool
        if isinstance(vars(pool)["urlopen"], wrapt.FunctionWrapper):
            own = getattr(vars(pool)["urlopen"], "_self_wrapper", None)
            if getattr(own, "__func__", None) is Guard.urlopen:
                return
        wrapt.wrap_function_wrapper(pool, "urlopen", self.urlopen)

    def urlopen(
        self,
        wrapped: Callable[..., Any],
        pool: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """`HTTPConnectionPool.urlopen`, whose answer reads from a resumable body."""
        asked = dict(zip(_URLOPEN_PARAMETERS, args), **kwargs)
        preload = asked["method"] == "GET" and kwargs.get("preload_content", True)
        if preload:
            # urllib3's own convenience for programs (pip never uses it): read after wrapping.
            kwargs = dict(kwargs, preload_content=False)
        response = wrapped(*args, **kwargs)
        try:
            self._make_resumable(wrapped, pool, asked, response)
        except Exception:
            logger.debug("pip-retry-patch could not guard a download", exc_info=True)
        if preload:
            response.data  # noqa: B018 - reads and keeps it
        return response

    def _make_resumable(
        self, wrapped: Callable[..., Any], pool: Any, asked: dict[str, Any], response: Any
    ) -> None:
        if not self._always and _no_retries(asked.get("retries")):
            return
        if asked["method"] != "GET" or isinstance(response._fp, body.Body):
            # (urllib3 retries by calling itself: then the inner call has been here before.)
            return
        span = _span(response)
        if span is None:
            return
        self._complain()
        start, stop, total = span
        url = asked["url"]
        if url.startswith("/"):
            url = f"{pool.scheme}://{pool.host}:{pool.port}{url}"
        headers = asked.get("headers")
        headers = pool.headers if headers is None else headers
        origin = resume.Origin(
            name=messages.name_of(url),
            host=urllib.parse.urlsplit(url).netloc.rpartition("@")[2],
            ask=lambda fields: self._ask(wrapped, asked, headers, fields),
            unreachable=self._is_unreachable,
            announce=self._announce,
            error=self._error,
            patience=self._patience,
            # pip asks for identity where it will check a hash: artifacts and metadata. Its index
            # pages, for which it takes gzip, have none.
            unproven=headers.get("Accept-Encoding") == "identity",
        )
        known = ranges.Representation(
            ranges.Validators.of(response.headers), total, ranges.coding_of(response.headers)
        )
        part = _first_part(response)
        response._fp = body.Body(response._fp, part, origin, known, start, stop)

    def _ask(
        self,
        wrapped: Callable[..., Any],
        asked: dict[str, Any],
        headers: Mapping[str, str],
        fields: dict[str, str],
    ) -> resume.Part:
        """Send the request again, with `fields` added.

        It goes through the same pool, with the same header: to the host, and with the
        credentials, that pip's session chose. A redirect is returned, not followed.
        """
        kept = {name: headers[name] for name in headers if name.lower() not in _NOT_REPEATED}
        kept.update(fields)
        again = dict(
            asked,
            headers=kept,
            retries=False,
            redirect=False,
            preload_content=False,
            decode_content=False,
            release_conn=False,
        )
        return _part(wrapped(**again))

    def _is_unreachable(self, error: Exception) -> bool:
        exceptions = self._urllib3.exceptions
        if isinstance(
            error,
            (
                exceptions.NewConnectionError,
                exceptions.ConnectTimeoutError,
                exceptions.ProxyError,
            ),
        ):
            return True
        if isinstance(error, (exceptions.HTTPError, http.client.HTTPException, OSError)):
            return False
        raise error  # a mistake of ours, and nothing to be patient about

    def _announce(self, line: str) -> None:
        self._clear_line()
        logger.warning("%s", line)

    def _complain(self) -> None:
        # Not before the first download: by then pip has set its logging up.
        complaints, self._complaints = self._complaints, ()
        for line in complaints:
            self._announce(line)


def _no_retries(retries: Any) -> bool:
    """Whether the request was sent with `retries=0`; with a history, they were used up."""
    return getattr(retries, "total", retries) in (0, False) and not getattr(retries, "history", ())


def _span(response: Any) -> tuple[int, int | None, int | None] | None:
    """Return (start, stop, total) in bytes of what `response` brings; None to leave it alone."""
    length = response._fp.length if response._fp is not None else 0
    if length == 0:
        return None
    if response.status == 200:
        return 0, length, length
    if response.status == 206:
        said = ranges.parse_content_range(response.headers.get("content-range"))
        if said is not None and said.first is not None and said.last is not None:
            return said.first, said.last + 1, said.total
    return None


def _first_part(response: Any) -> resume.Part:
    """Return the part of the response that pip holds: it releases the connection of that one."""
    source = response._fp

    def close(reusable: bool) -> None:
        source.close()
        if not reusable and response.connection is not None:
            response.connection.close()
            response.release_conn()

    return resume.Part(response.status, response.headers, source, close)


def _part(response: Any) -> resume.Part:
    """Return the part of a response that only we hold."""
    source = response._fp

    def close(reusable: bool) -> None:
        source.close()
        if not reusable:
            response.close()
        response.release_conn()

    return resume.Part(response.status, response.headers, source, close)


def _read_settings(pip: str) -> settings.Settings:
    """Read the settings through pip's own Configuration, with the rules of its option parser."""
    arguments = sys.argv[1:]
    configuration = importlib.import_module(f"{pip}._internal.configuration").Configuration(
        isolated="--isolated" in arguments
    )
    configuration.load()
    commands = importlib.import_module(f"{pip}._internal.commands").commands_dict
    command = next((a for a in arguments if a in commands), None)
    return settings.read(settings.flatten(configuration.items()), command)


def _error_maker(pip: str) -> Callable[[messages.Failure, Exception], Exception]:
    """Return what turns a Failure into the exception that this pip shows without a traceback."""
    exceptions = importlib.import_module(f"{pip}._internal.exceptions")
    diagnostic = getattr(exceptions, "DiagnosticPipError", None)
    if diagnostic is None:
        return lambda failure, _: exceptions.InstallationError(str(failure))
    text = importlib.import_module(f"{pip}._vendor.rich.text").Text

    class NetworkInterrupted(diagnostic):  # type: ignore[misc, valid-type]
        reference = "network-interrupted"

        def __init__(self, failure: messages.Failure) -> None:
            # As Text, not as str: that would be read as rich's markup.
            super().__init__(
                message=text(failure.message),
                context=text(failure.context),
                note_stmt=text(failure.note),
                hint_stmt=text(failure.hint),
            )
            self._failure = failure

        def __str__(self) -> str:
            # What --log writes.
            return str(self._failure)

    return lambda failure, _: NetworkInterrupted(failure)


def _clear_progress_bar() -> None:
    """Erase the line of a progress bar, which its owner draws again below what is written now.

    pip's bars, rich's and the older ones, leave the cursor at the end of their line on stdout;
    a warning would be written right behind it.
    """
    out = sys.__stdout__
    if (
        out is not None
        and os.name != "nt"
        and os.environ.get("TERM") != "dumb"
        and logger.isEnabledFor(logging.INFO)
        and out.isatty()
        and sys.__stderr__ is not None
        and sys.__stderr__.isatty()
    ):
        out.write("\r\x1b[2K")
        out.flush()
