"""The pages for people: plain HTML made on the server, readable without any script, safe by construction.

=========================  =====================================================================
``/traces``                traces, newest first; ``?project= &errors=1``
``/traces/{trace_id}``     one trace as a tree with a time line; ``?span=`` tells all about one span
``/sessions``              sessions, newest first
``/sessions/{session_id}`` one session: what is known of it, and its traces
``/login``                 exchanges the token for a cookie
=========================  =====================================================================
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Final
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from honeyhive.runtime.declaring import get, post
from honeyhive.server.admission.body import read_body
from honeyhive.server.admission.limits import Limits, Refusal
from honeyhive.server.admission.security import Access, cookie_name
from honeyhive.server.index.queries import Listing
from honeyhive.server.reading.pages import layout
from honeyhive.server.reading.pages.html import Markup, a, code, div, element, fragment, h1, h2, p, section, void
from honeyhive.server.reading.pages.trace import trace_content
from honeyhive.server.reading.pages.values import value
from honeyhive.server.reading.routes import Asking, found, listing_of
from honeyhive.utils import wording

__all__ = ["Pages", "is_public", "unauthorised"]

_STATIC: Final = {
    "icon.svg": "image/svg+xml",
    "live.js": "text/javascript; charset=utf-8",
    "login.js": "text/javascript; charset=utf-8",
    "style.css": "text/css; charset=utf-8",
}
_SAFE_PATH: Final = re.compile(r"/(?:[A-Za-z0-9._~%-]+(?:/[A-Za-z0-9._~%-]+)*)?(?:\?[A-Za-z0-9._~%=&-]*)?")
_MOST_LOGS: Final = 200
_MOST_REPORTS: Final = 5
_LOGIN_LIMITS: Final = Limits(body_bytes=4_096)


def is_public(path: str) -> bool:
    """Tell whether *path* needs no token."""
    return path in {"/healthz", "/login"} or path.startswith("/static/")


def unauthorised(headers: Headers) -> Response:
    """Return the one answer to requests without a valid token: the login page for browsers, JSON for programs."""
    if "text/html" in headers.get("accept", ""):
        return _login_page()
    return JSONResponse({"error": "unauthorised"}, 401, {"WWW-Authenticate": "Bearer"})


class Pages:
    """Serves the pages.

    Args:
        asking: Finds out what they show.
        access: Checks the token at the login.
    """

    def __init__(self, asking: Asking, access: Access) -> None:
        self._ask = asking.ask
        self._access = access

    @get("/")
    async def home(self) -> Response:
        """Go to the traces."""
        return RedirectResponse("/traces", 303)

    @get("/traces")
    async def traces(self, request: Request) -> Response:
        """Show a list of traces."""
        listing = listing_of(request)
        listed = await self._ask(request, lambda queries: queries.traces(listing))
        reports = await self._ask(request, lambda queries: queries.client_reports(most=_MOST_REPORTS))
        query = _kept(request.query_params, ("project", "errors"))
        return self._page(
            "Traces",
            div(h1("Traces"), _filter_form(listing), class_="heading bar"),
            _losses(reports),
            _news(request) if listing.cursor is None else None,
            layout.trace_table(listed.items) if listed.items else _nothing_yet("traces"),
            layout.pager("/traces", query, listed.next_cursor),
            current="traces",
        )

    @get("/sessions")
    async def sessions(self, request: Request) -> Response:
        """Show a list of sessions."""
        listing = listing_of(request)
        listed = await self._ask(request, lambda queries: queries.sessions(listing))
        query = _kept(request.query_params, ("project", "errors"))
        return self._page(
            "Sessions",
            div(h1("Sessions"), _filter_form(listing), class_="heading bar"),
            layout.session_table(listed.items) if listed.items else _nothing_yet("sessions"),
            layout.pager("/sessions", query, listed.next_cursor),
            current="sessions",
        )

    @get("/traces/{trace_id}")
    async def trace(self, request: Request) -> Response:
        """Show one trace."""
        trace_id = request.path_params["trace_id"].lower()
        trace = found(await self._ask(request, lambda queries: queries.trace(trace_id, with_details=False)), "trace")
        spans = trace["span_list"]
        if not isinstance(spans, list) or not spans:
            raise Refusal(404, "There is no such trace.")
        keys = {span["span_id"]: (span["trace_id"], span["span_id"]) for span in spans}
        key = keys.get(request.query_params.get("span"), (spans[0]["trace_id"], spans[0]["span_id"]))
        chosen = await self._ask(request, lambda queries: queries.span(*key))
        logs = await self._ask(request, lambda queries: queries.logs(*key, most=_MOST_LOGS))
        content = trace_content(trace, chosen, _row_number(request), logs)
        return self._page(str(trace["name"]), content, current="traces", wide=True)

    @get("/sessions/{session_id}")
    async def session(self, request: Request) -> Response:
        """Show one session."""
        session_id = request.path_params["session_id"]
        session = found(
            await self._ask(request, lambda queries: queries.session(session_id, with_spans=False)), "session"
        )
        listing = Listing(session_id=session_id, limit=200)
        traces = await self._ask(request, lambda queries: queries.traces(listing))
        return self._page(
            str(session["name"] or session_id),
            _session_heading(session),
            layout.trace_table(traces.items),
            _session_buckets(session),
            current="sessions",
        )

    @get("/login")
    async def show_login(self) -> Response:
        """Ask for the token; a script takes it from the address's fragment, which is never sent."""
        return _login_page(status=200)

    @post("/login")
    async def login(self, request: Request) -> Response:
        """Exchange the token for a cookie that only the browser can read."""
        body, _ = await read_body(request, _LOGIN_LIMITS)
        fields = parse_qs(body.decode("ascii", "replace"), max_num_fields=4)
        if not self._access.is_token(fields.get("token", [""])[0].strip()):
            return _login_page()
        target = fields.get("next", ["/"])[0]
        response = RedirectResponse(target if _SAFE_PATH.fullmatch(target) else "/", 303)
        response.set_cookie(
            cookie_name(request.scope), self._access.cookie_value, httponly=True, samesite="strict", path="/"
        )
        return response

    @get("/static/{name}")
    async def static_file(self, name: str) -> Response:
        """Give out one of the few static files, by its name."""
        if name not in _STATIC:
            raise Refusal(404, "There is no such file.")
        return Response(_static_content(name), headers={"Content-Type": _STATIC[name]})

    def _page(self, title: str, *content: Markup | None, current: str, wide: bool = False) -> Response:
        body = div(*content, class_="wide" if wide else "narrow")
        return layout.page(title, body, csrf=self._access.csrf_value, current=current)


def _news(request: Request) -> Markup:
    """Leave a place where a script says that there are new traces."""
    again = f"/traces?{request.url.query}" if request.url.query else "/traces"
    return fragment(
        p(a("", href=again), id="news", class_="notice", hidden=True),
        element("script", src="/static/live.js", defer=True),
    )


def _losses(reports: Sequence[Mapping[str, object]]) -> Markup | None:
    """Say what programs have lost, so that nobody takes what is shown for all there was."""
    return section(*map(_loss, reports), class_="notice") if reports else None


def _loss(report: Mapping[str, object]) -> Markup:
    dropped = report["dropped"]
    counts = dropped if isinstance(dropped, Mapping) else {}
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in counts.items())
    who = f"{report['process'] or 'A process'} (process {report['pid']})"
    return p(
        f"{wording.moment(layout.whole(report['time_ns']))}: {who} lost {sum(counts.values()):,} spans: {reasons}."
    )


@cache
def _static_content(name: str) -> bytes:
    return files(__package__).joinpath("static", name).read_bytes()


def _login_page(status: int = 401) -> Response:
    form = element(
        "form",
        element("label", "Token", for_="token"),
        void("input", id="token", name="token", type="password", autocomplete="off", required=True, autofocus=True),
        void("input", name="next", type="hidden", value="/"),
        element("button", "Log in"),
        method="post",
        action="/login",
    )
    hint = p(
        "Open the address that ",
        code("honeyhive serve"),
        " has printed, or paste the token from the file that it names in ",
        code("server.json"),
        ".",
    )
    script = element("script", src="/static/login.js", defer=True)
    return layout.page("Log in", section(h1("honeyhive"), hint, form, script, class_="login"), csrf=None, status=status)


def _filter_form(listing: Listing) -> Markup:
    return element(
        "form",
        void("input", name="project", placeholder="Project", aria_label="Project", value=listing.project or ""),
        element(
            "label",
            void("input", type="checkbox", name="errors", value="1", checked=listing.errors_only),
            " with errors",
        ),
        element("button", "Filter"),
        method="get",
        class_="filters",
    )


def _nothing_yet(what: str) -> Markup:
    return section(
        p(f"No {what} here.", class_="big"),
        p("Run a traced program on this machine and reload this page."),
        element(
            "pre",
            'from honeyhive import HoneyHiveTracer, trace\n\nHoneyHiveTracer.init(project="x")\n\n\n'
            "@trace\ndef work(question: str) -> str: ...",
        ),
        class_="empty",
    )


def _session_heading(session: Mapping[str, object]) -> Markup:
    in_words, cost = layout.figures(session)
    return div(
        h1(str(session["name"] or "Session"), layout.errors(session["errors"])),
        layout.facts(
            [
                ("Duration", layout.span_of_time(session)),
                ("Started", wording.moment(layout.whole(session["start_ns"]))),
                ("Traces", wording.count(layout.whole(session["traces"]))),
                ("Spans", wording.count(layout.whole(session["spans"]))),
                ("Tokens in → out", in_words),
                ("Cost", cost),
                ("Project", str(session["project"] or "")),
                ("Source", str(session["source"] or "")),
                ("Session id", code(str(session["session_id"]))),
            ]
        ),
        class_="heading",
    )


def _session_buckets(session: Mapping[str, object]) -> Markup | None:
    details = session["details"]
    if not isinstance(details, Mapping):
        return None
    parts = [(name.replace("_", " ").capitalize(), content) for name, content in details.items() if content]
    return fragment(section(h2(title), value(content), class_="card") for title, content in parts)


def _kept(query: Mapping[str, str], names: tuple[str, ...]) -> dict[str, str]:
    return {name: query[name] for name in names if query.get(name)}


def _row_number(request: Request) -> int:
    text = request.query_params.get("from", "0")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 8 else 0
