"""What every page has: head, navigation, and the tables of traces and sessions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from urllib.parse import quote, urlencode

from starlette.responses import Response

from honeyhive.server.reading.pages.html import (
    Child,
    Markup,
    a,
    div,
    document,
    element,
    fragment,
    nav,
    span,
    td,
    th,
    tr,
    void,
)
from honeyhive.server.reading.pages.html import table as table_
from honeyhive.utils import wording

__all__ = ["badge", "facts", "link_to", "page", "pager", "session_table", "trace_table", "whole"]

Json = Mapping[str, object]

_KNOWN_TYPES: Final = frozenset({"model", "tool", "chain", "session"})
_BOTH_BEGIN: Final = (("Project", "project"), ("Started", "time"), ("Duration", "number"))
_BOTH_END: Final = (("Tokens in → out", "number figures"), ("Cost", "number"))


def page(title: str, *content: Child, csrf: str | None, current: str = "", status: int = 200) -> Response:
    """Return a page.

    Args:
        title: For the window.
        content: Below the navigation.
        csrf: What scripts send to change something; ``None`` for pages that anybody may see.
        current: The navigation entry to mark.
        status: The HTTP status.
    """
    head = fragment(
        element("title", f"{title} · honeyhive"),
        void("meta", name="viewport", content="width=device-width, initial-scale=1"),
        void("meta", name="color-scheme", content="light dark"),
        None if csrf is None else void("meta", name="csrf", content=csrf),
        void("link", rel="icon", href="/static/icon.svg", type="image/svg+xml"),
        void("link", rel="stylesheet", href="/static/style.css"),
    )
    body = element("body", _navigation(current) if csrf is not None else None, element("main", *content))
    return Response(document(head, body), status, media_type="text/html")


def badge(event_type: object) -> Markup:
    """Return the coloured word for an event type."""
    known = event_type if event_type in _KNOWN_TYPES else "other"
    return span(str(event_type), class_=f"badge type-{known}")


def facts(pairs: Iterable[tuple[str, Child]]) -> Markup:
    """Return labelled figures in a row."""
    return element(
        "dl",
        [div(element("dt", label), element("dd", value)) for label, value in pairs if value not in {None, ""}],
        class_="facts",
    )


def trace_table(traces: Sequence[Json]) -> Markup:
    """Return a table of traces."""
    return _table([("Trace", None), *_BOTH_BEGIN, ("Spans", "number"), *_BOTH_END], map(_trace_cells, traces))


def session_table(sessions: Sequence[Json]) -> Markup:
    """Return a table of sessions."""
    own = [("Traces", "number"), ("Spans", "number")]
    return _table([("Session", None), *_BOTH_BEGIN, *own, *_BOTH_END], map(_session_cells, sessions))


def pager(path: str, query: Mapping[str, str], next_cursor: str | None) -> Markup | None:
    """Return the way to older items, if there are any."""
    if next_cursor is None:
        return None
    return nav(a("Older →", href=f"{path}?{urlencode({**query, 'cursor': next_cursor})}"), class_="pager")


def link_to(kind: str, own_id: object, **query: str) -> str:
    """Return the address of the page of one trace or session."""
    return f"/{kind}/{quote(str(own_id), safe='')}" + (f"?{urlencode(query)}" if query else "")


def whole(value: object) -> int:
    """Return *value*, which the database says is a whole number."""
    return value if isinstance(value, int) else 0


def optional_whole(value: object) -> int | None:
    """Return *value* if it is a whole number."""
    return value if isinstance(value, int) else None


def optional_amount(value: object) -> float | None:
    """Return *value* if it is a number."""
    return value if isinstance(value, int | float) else None


def figures(item: Json) -> tuple[str, str]:
    """Return the tokens and the cost of *item* in words."""
    return (
        wording.tokens(optional_whole(item["tokens_in"]), optional_whole(item["tokens_out"])),
        wording.cost(optional_amount(item["cost"])),
    )


def span_of_time(item: Json) -> str:
    """Return in words how long *item* took."""
    return wording.duration(whole(item["end_ns"]) - whole(item["start_ns"]))


def errors(number: object) -> Markup | None:
    """Return the mark of items with errors in them."""
    n = whole(number)
    return span(f"{n} error{'s' if n > 1 else ''}", class_="errors") if n else None


def _navigation(current: str) -> Markup:
    links = [
        a(name.title(), href=f"/{name}", aria_current="page" if name == current else None)
        for name in ("traces", "sessions")
    ]
    return element("header", a("honeyhive", href="/", class_="brand"), nav(links))


def _table(columns: Sequence[tuple[str, str | None]], rows: Iterable[Sequence[Child]]) -> Markup:
    heads = [th(head, scope="col", class_=class_) for head, class_ in columns]
    lines = [tr([td(cell, class_=class_) for cell, (_, class_) in zip(row, columns, strict=True)]) for row in rows]
    return div(table_(element("thead", tr(heads)), element("tbody", lines)), class_="scroll")


def _trace_cells(item: Json) -> Sequence[Child]:
    name = a(str(item["name"]) or "(no name)", href=link_to("traces", item["trace_id"]), class_="title")
    return (
        [name, errors(item["errors"])],
        _text(item["project"]),
        wording.moment(whole(item["start_ns"])),
        span_of_time(item),
        wording.count(whole(item["spans"])),
        *figures(item),
    )


def _session_cells(item: Json) -> Sequence[Child]:
    label = str(item["name"] or item["session_id"]) or "(no name)"
    return (
        [a(label, href=link_to("sessions", item["session_id"]), class_="title"), errors(item["errors"])],
        _text(item["project"]),
        wording.moment(whole(item["start_ns"])),
        span_of_time(item),
        wording.count(whole(item["traces"])),
        wording.count(whole(item["spans"])),
        *figures(item),
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
