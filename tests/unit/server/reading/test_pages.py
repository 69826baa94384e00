"""What others wrote is text on a page, whatever it looks like."""

from __future__ import annotations

import json
from collections.abc import Callable
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from honeyhive.events.log import DatedRecord
from honeyhive.server.index.queries import Queries
from honeyhive.server.reading.pages.html import element, fragment
from honeyhive.server.reading.pages.resilience import resilience
from honeyhive.server.reading.pages.trace import ROWS_PER_PAGE, trace_content
from honeyhive.server.reading.pages.values import value
from honeyhive.utils import wording
from honeyhive.utils.text import visible

PAYLOADS = [
    "<script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "javascript:alert(1)",
    "<svg/onload=alert(1)>",
    "<!--",
    "]]>",
    "&lt;script&gt;",
    "</pre></details><iframe src=//evil>",
    "<a href='javascript:alert(1)'>x</a>",
    "\x1b[31mred\x07",
    "\u202egnp.exe",
    "<style>*{display:none}</style>",
]
TAGS = {
    "a", "code", "dd", "details", "div", "dl", "dt", "h1", "h2", "li", "nav", "ol", "pre", "rect", "section", "span",
    "summary", "svg", "ul",
}  # fmt: skip

MakeSpan = Callable[..., Span]


class Parsed(HTMLParser):
    """What a browser would make of a page: its tags, its attributes, its text."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(markup)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, found or "") for name, found in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def page_of(
    records: Callable[..., list[DatedRecord]], project: Callable[[list[DatedRecord]], None], queries: Queries
) -> Callable[..., Parsed]:
    """Render the page of the trace with the given spans, the first span chosen."""

    def render(*spans: Span, first_row: int = 0) -> Parsed:
        project(records(list(spans)))
        trace = queries.trace(f"{7:032x}", with_details=False)
        assert trace is not None
        return Parsed(trace_content(trace, queries.span(f"{7:032x}", f"{1:016x}"), first_row))

    return render


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_payload_is_inert_wherever_it_stands(
    page_of: Callable[..., Parsed], make_span: MakeSpan, payload: str
) -> None:
    chat = json.dumps([{"role": "user", "content": payload}])
    attributes = {
        payload: payload,
        f"honeyhive_inputs.{payload}": payload,
        "honeyhive_outputs.result": payload,
        "honeyhive_error": payload,
        "honeyhive.session_id": payload,
        "honeyhive.project": payload,
        "gen_ai.input.messages": chat,
        "gen_ai.request.model": payload,
    }

    page = page_of(make_span(1, name=payload, attributes=attributes))

    assert page.tags <= TAGS
    assert not [name for name, _ in page.attributes if name.startswith("on") or name in {"style", "srcdoc", "src"}]
    assert all(found.startswith(("/", "#")) for name, found in page.attributes if name == "href")
    assert visible(payload) in page.text


def test_a_session_is_shown_by_its_name_and_the_beginning_of_its_id(
    page_of: Callable[..., Parsed],
    make_span: MakeSpan,
    records: Callable[..., list[DatedRecord]],
    project: Callable[[list[DatedRecord]], None],
) -> None:
    session_id = "0123456789abcdef"
    project(records(("POST", "/session/start", {"session": {"session_id": session_id, "session_name": "tea"}})))

    page = page_of(make_span(1, attributes={"honeyhive.session_id": session_id}))

    assert "tea 01234567" in page.text
    assert ("href", f"/sessions/{session_id}") in page.attributes


@given(st.text())
def test_text_comes_back_out_of_the_markup_as_it_went_in(text: str) -> None:
    page = Parsed(element("p", text, title=text))

    assert page.tags == {"p"}
    assert page.text == visible(text)
    assert page.attributes == [("title", visible(text))]


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_captured_value_can_be_shown(content: object) -> None:
    assert Parsed(fragment(value(content))).tags <= TAGS


def test_a_value_that_nests_without_end_is_not_followed() -> None:
    nested: object = "x"
    for _ in range(5_000):
        nested = [nested]

    assert "too deep" in value(nested)


def test_a_trace_ten_thousand_deep_is_shown_in_parts(page_of: Callable[..., Parsed], make_span: MakeSpan) -> None:
    page = page_of(
        *(make_span(n, parent_id=n - 1, name=f"level-{n}", start_ns=n) for n in range(1, 10_001)), first_row=9_000
    )

    assert "level-10000" in page.text
    assert "9,001 to 10,000 of 10,000" in page.text
    assert len([found for name, found in page.attributes if name == "id" and found.startswith("s-")]) == ROWS_PER_PAGE


@pytest.mark.fault
def test_a_trace_of_a_hundred_thousand_spans_is_stored_and_shown_in_parts(
    records: Callable[..., list[DatedRecord]],
    project: Callable[[list[DatedRecord]], None],
    queries: Queries,
    make_span: MakeSpan,
) -> None:
    project(records([make_span(1, name="root")]))
    for first in range(2, 100_001, 10_000):
        children = range(first, min(first + 10_000, 100_001))
        project(records([make_span(n, parent_id=1, name=f"child-{n}", start_ns=n) for n in children]))

    trace = queries.trace(f"{7:032x}", with_details=False)
    assert trace is not None
    page = Parsed(trace_content(trace, queries.span(f"{7:032x}", f"{1:016x}"), 99_000))

    assert "child-100000" in page.text
    assert "99,001 to 100,000 of 100,000" in page.text


def test_circles_and_orphans_are_shown(page_of: Callable[..., Parsed], make_span: MakeSpan) -> None:
    page = page_of(
        make_span(1, parent_id=2, name="one"), make_span(2, parent_id=1, name="two"), make_span(3, parent_id=9)
    )

    assert all(name in page.text for name in ("one", "two", "orphan"))


@pytest.mark.parametrize(
    "nanoseconds, words",
    [
        (-5, "0 ms"),
        (0, "0 ms"),
        (340_000, "340 µs"),
        (999_499, "999 µs"),
        (999_500, "1 ms"),
        (12_345_678, "12.3 ms"),
        (999_999_999, "1 s"),
        (4_560_000_000, "4.56 s"),
        (59_999_000_000, "1 min 0 s"),
        (200_000_000_000, "3 min 20 s"),
        (7_500_000_000_000, "2 h 5 min"),
    ],
)
def test_durations_are_said_briefly(nanoseconds: int, words: str) -> None:
    assert wording.duration(nanoseconds) == words


@pytest.mark.parametrize("nanoseconds", [-1, 0, 1, 10**18, 2**62, 2**63 - 1])
def test_any_moment_can_be_said(nanoseconds: int) -> None:
    assert wording.moment(nanoseconds) or nanoseconds <= 0


PREFIX = "honeyhive.resilience."


def told(name: str, **attributes: object) -> dict[str, object]:
    return {"name": PREFIX + name, "attributes": attributes}


def test_what_the_helpers_did_is_said_in_words() -> None:
    sums = {"retry.attempts": 3, "retry.wait_s": 1.5, "cache.hits": 1, "cache.misses": 2, "circuit.refusals": 1}
    sums |= {"items.done": 9, "items.queue_s": 0.02, "pool.acquired": 4, "pool.queue_s": 0.25, "events": 40}
    events = [
        told("retry.attempt_failed", operation="load", attempt=1, wait_s=1.5, reason="OSError: reset"),
        told("retry.attempt_failed", operation="load", attempt=2, reason="OSError: reset"),
        told("timeout.expired", operation="ask", limit_s=2.0),
        told("items.item_failed", operation="work", index=7, reason="ValueError"),
        told("circuit.changed", circuit="db", old_state="open", new_state="half_open", reason="30 s are over"),
        told("circuit.refused", circuit="db", retry_after_s=6.0),
        told("pool.discarded", pool="db", reason="its check failed"),
    ]

    page = Parsed(resilience({PREFIX + name: amount for name, amount in sums.items()}, events) or "")

    for words in (
        "3 attempts · paused for 1.5 s",
        "1 hit · 2 missed",
        "9 done · the last began after 20 ms",
        "1 refusal",
        "4 lent · waited 250 ms",
        "attempt 1 of load failed with OSError: reset; the next came after 1.5 s",
        "attempt 2 of load failed with OSError: reset; it was the last",
        "ask was cut off after 2 s",
        "item 7 of work failed with ValueError",
        "circuit db: open → half-open, 30 s are over",
        "circuit db refused a call; it had to rest for another 6 s",
        "pool db closed a member: its check failed",
        "33 further occurrences not shown",
    ):
        assert words in page.text


def test_the_helpers_words_are_shown_once_and_only_theirs(page_of: Callable[..., Parsed], make_span: MakeSpan) -> None:
    span = make_span(1, attributes={PREFIX + "cache.hits": 4, "other": 1})
    span.events.add(name="another's")
    span.events.add(name=PREFIX + "timeout.expired")

    page = page_of(span)

    assert "4 hits" in page.text
    assert PREFIX not in page.text
    assert all(words in page.text for words in ("Events (1)", "another's", "other", "was cut off after ?"))


def test_a_span_without_helpers_has_no_such_section(page_of: Callable[..., Parsed], make_span: MakeSpan) -> None:
    assert "Resilience" not in page_of(make_span(1, attributes={"other": 1})).text


@given(st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers()))
def test_numbers_that_are_none_are_passed_over(amount: object) -> None:
    names = ["retry.attempts", "retry.wait_s", "cache.hits", "pool.queue_s", "events", "unknown"]
    events = [
        told("timeout.expired", limit_s=amount),
        told("unknown", amount=amount),
        {"name": PREFIX, "attributes": amount},
    ]

    page = Parsed(resilience(dict.fromkeys((PREFIX + name for name in names), amount), events) or "")

    assert page.tags <= TAGS
    assert "was cut off after" in page.text
