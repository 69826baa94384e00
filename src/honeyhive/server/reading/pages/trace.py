"""The page of one trace: its spans as a tree with a time line, and all about the chosen one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from honeyhive.server.reading.pages import layout
from honeyhive.server.reading.pages.html import (
    Child,
    Markup,
    a,
    code,
    details,
    div,
    element,
    fragment,
    h1,
    h2,
    li,
    nav,
    pre,
    section,
    span,
    summary,
    ul,
)
from honeyhive.server.reading.pages.resilience import is_ours, resilience
from honeyhive.server.reading.pages.values import conversation, is_conversation, value
from honeyhive.utils import wording

__all__ = ["ROWS_PER_PAGE", "trace_content"]

Json = Mapping[str, object]

ROWS_PER_PAGE: Final = 1_000
_DEEPEST_INDENT: Final = 24
_LINE_WIDTH: Final = 1_000
_OPEN_SECTIONS: Final = frozenset({"Inputs", "Outputs", "Resilience", "Metrics", "Feedback"})
_BUCKET_TITLES: Final = {
    "metrics": "Metrics",
    "feedback": "Feedback",
    "config": "Config",
    "metadata": "Metadata",
    "user_properties": "User properties",
}


def trace_content(trace: Json, chosen: Json | None, first_row: int, logs: Sequence[Json] = ()) -> Markup:
    """Return the content of the page.

    Args:
        trace: As `Queries.trace` returns it; details of spans are not needed.
        chosen: The span to tell all about, with its details.
        first_row: Which span the shown part of the tree begins with.
        logs: The log records of the chosen span.
    """
    spans = _list(trace["span_list"])
    return fragment(
        _heading(trace),
        div(
            section(
                _rows(trace, spans, chosen, first_row), _more(trace, len(spans), first_row), class_="tree", tabindex="0"
            ),
            section(_about(chosen, logs) if chosen is not None else None, class_="about", id="about"),
            class_="panes",
        ),
    )


def _heading(trace: Json) -> Markup:
    session = trace["session_id"]
    in_words, cost = layout.figures(trace)
    return div(
        h1(str(trace["name"]) or "(no name)", layout.errors(trace["errors"])),
        layout.facts(
            [
                ("Duration", layout.span_of_time(trace)),
                ("Started", wording.moment(layout.whole(trace["start_ns"]))),
                ("Spans", wording.count(layout.whole(trace["spans"]))),
                ("Tokens in → out", in_words),
                ("Cost", cost),
                ("Project", _text(trace["project"])),
                ("Session", a(_session_label(trace), href=layout.link_to("sessions", session)) if session else None),
                ("Trace id", code(str(trace["trace_id"]))),
            ]
        ),
        class_="heading",
    )


def _session_label(trace: Json) -> str:
    return " ".join(filter(None, (_text(trace["session_name"]), str(trace["session_id"])[:8])))


def _rows(trace: Json, spans: Sequence[Json], chosen: Json | None, first_row: int) -> Markup:
    start_ns = min((layout.whole(item["start_ns"]) for item in spans), default=0)
    whole_ns = max((layout.whole(item["end_ns"]) for item in spans), default=0) - start_ns
    shown = spans[first_row : first_row + ROWS_PER_PAGE]
    return element("ol", [_row(trace, item, chosen, start_ns, max(1, whole_ns), first_row) for item in shown])


def _row(trace: Json, item: Json, chosen: Json | None, start_ns: int, whole_ns: int, first_row: int) -> Markup:
    depth = layout.whole(item["depth"])
    own_id = str(item["span_id"])
    is_chosen = chosen is not None and chosen["span_id"] == own_id
    query = {"span": own_id, **({"from": str(first_row)} if first_row else {})}
    in_words, _ = layout.figures(item)
    classes = ["row", f"indent-{min(depth, _DEEPEST_INDENT)}"]
    classes += ["failed"] if item["error"] is not None else []
    classes += ["chosen"] if is_chosen else []
    return li(
        a(
            span(
                span(f"{depth}", class_="depth") if depth > _DEEPEST_INDENT else None,
                layout.badge(item["event_type"]),
                span(str(item["name"]) or "(no name)", class_="span-name"),
                span("orphan", class_="note", title="its parent is not here") if item["is_orphan"] else None,
                span(" · ".join(filter(None, (_text(item["model"]), in_words))), class_="used"),
                class_="what",
            ),
            _bar(item, start_ns, whole_ns),
            span(layout.span_of_time(item), class_="took"),
            href=layout.link_to("traces", trace["trace_id"], **query) + f"#s-{own_id}",
            aria_current="true" if is_chosen else None,
            title=_text(item["error"]),
        ),
        class_=" ".join(classes),
        id=f"s-{own_id}",
    )


def _bar(item: Json, start_ns: int, whole_ns: int) -> Markup:
    """Return the bar of a span on the time line; as SVG, for the pages allow no inline style."""
    begin = _share(layout.whole(item["start_ns"]) - start_ns, whole_ns)
    end = _share(layout.whole(item["end_ns"]) - start_ns, whole_ns)
    width = max(4, end - begin)
    kind = str(item["event_type"]) if item["event_type"] in {"model", "tool", "chain", "session"} else "other"
    return element(
        "svg",
        element("rect", x=min(begin, _LINE_WIDTH - width), y=2, width=width, height=8, class_=f"fill-{kind}"),
        class_="line",
        viewBox=f"0 0 {_LINE_WIDTH} 12",
        preserveAspectRatio="none",
        aria_hidden="true",
    )


def _share(part: int, whole: int) -> int:
    return max(0, min(_LINE_WIDTH, part * _LINE_WIDTH // whole))


def _more(trace: Json, total: int, first_row: int) -> Markup | None:
    if total <= ROWS_PER_PAGE:
        return None
    links: list[Child] = []
    if first_row:
        earlier = str(max(0, first_row - ROWS_PER_PAGE))
        links.append(a("← Earlier", href=layout.link_to("traces", trace["trace_id"], **{"from": earlier})))
    links.append(span(f"{first_row + 1:,} to {min(total, first_row + ROWS_PER_PAGE):,} of {total:,}"))
    if first_row + ROWS_PER_PAGE < total:
        later = str(first_row + ROWS_PER_PAGE)
        links.append(a("Later →", href=layout.link_to("traces", trace["trace_id"], **{"from": later})))
    return nav(links, class_="pager")


def _about(item: Json, logs: Sequence[Json]) -> Markup:
    content = _mapping(item["details"])
    in_words, cost = layout.figures(item)
    return fragment(
        h2(layout.badge(item["event_type"]), span(str(item["name"]) or "(no name)")),
        layout.facts(
            [
                ("Duration", layout.span_of_time(item)),
                ("Started", wording.moment(layout.whole(item["start_ns"]))),
                ("Model", _text(item["model"])),
                ("Provider", _text(item["provider"])),
                ("Tokens in → out", in_words),
                ("Cost", cost),
            ]
        ),
        div(pre(str(item["error"])), class_="error") if item["error"] is not None else None,
        _said("Inputs", _mapping(content.get("inputs"))),
        _said("Outputs", _mapping(content.get("outputs"))),
        _resilience(content),
        [_part(title, _not_shown_above(content.get(name))) for name, title in _BUCKET_TITLES.items()],
        _events(content.get("events"), failed=item["error"] is not None),
        _logs(logs),
        _part("Attributes", _not_shown_above(content.get("attributes"))),
        _part("Links", content.get("links")),
        _part("Resource", content.get("resource")),
        _part("Identity", _identity(item)),
    )


def _said(title: str, bucket: Json) -> Markup | None:
    """Return inputs or outputs: the conversation first, then what else there is."""
    if not bucket:
        return None
    history = bucket.get("chat_history")
    if isinstance(history, list) and is_conversation(history):
        rest = {key: item for key, item in bucket.items() if key not in {"chat_history", *_ANSWER_KEYS}}
        return _section(title, conversation(history), value(rest) if rest else None)
    if "role" in bucket and _ANSWER_KEYS & bucket.keys():
        answer = {"role": bucket["role"], "content": bucket.get("text") or bucket.get("content")}
        rest = {key: item for key, item in bucket.items() if key not in _ANSWER_KEYS}
        calls = {"tool_calls": bucket["tool_calls"]} if bucket.get("tool_calls") else {}
        return _section(title, conversation([{**answer, **calls}]), value(rest) if rest else None)
    return _section(title, value(bucket))


_ANSWER_KEYS: Final = frozenset({"role", "text", "content", "tool_calls"})


def _resilience(content: Json) -> Markup | None:
    found = resilience(_mapping(content.get("attributes")), [_mapping(event) for event in _list(content.get("events"))])
    return None if found is None else _section("Resilience", found)


def _not_shown_above(content: object) -> object:
    if not isinstance(content, Mapping):
        return content
    return {name: member for name, member in content.items() if not is_ours(str(name))}


def _part(title: str, content: object) -> Markup | None:
    return _section(title, value(content)) if content else None


def _section(title: str, *content: Child) -> Markup:
    return details(summary(title), *content, open=title in _OPEN_SECTIONS)


def _events(events: object, *, failed: bool) -> Markup | None:
    if not isinstance(events, list) or not events:
        return None
    items = [
        li(span(str(event.get("name")), class_="key"), value(_mapping(event.get("attributes"))))
        for event in events
        if isinstance(event, Mapping) and not is_ours(str(event.get("name")))
    ]
    if not items:
        return None
    return details(summary(f"Events ({len(items)})"), ul(items, class_="events"), open=failed)


def _logs(logs: Sequence[Json]) -> Markup | None:
    if not logs:
        return None
    items = [
        li(span(f"{_text(log['level']) or 'LOG'} {log['logger']}", class_="key"), pre(str(log["body"]))) for log in logs
    ]
    return details(summary(f"Logs ({len(items)})"), ul(items, class_="events"), open=True)


def _identity(item: Json) -> dict[str, object]:
    names = ("span_id", "parent_id", "trace_id", "event_id", "session_id", "project", "source", "kind", "status")
    return {name: item[name] for name in names if item[name] is not None}


def _text(content: object) -> str | None:
    return content if isinstance(content, str) and content else None


def _mapping(content: object) -> Json:
    return content if isinstance(content, Mapping) else {}


def _list(content: object) -> Sequence[Json]:
    return content if isinstance(content, list) else []
