"""The model server that the examples bring along, as the official client sees it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import httpx
import openai
import pytest

if TYPE_CHECKING:
    from openai import OpenAI

TOOLS: list[Any] = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
    for name in ("get_weather", "search_catalogue", "convert_currency")
]
QUESTION: list[Any] = [{"role": "user", "content": "Hiking near Bergen: a rain jacket under 150 euros?"}]

Connect = Callable[..., "OpenAI"]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Start a model server with the options given and return a client of it."""
    from contextlib import ExitStack

    from model_server import ModelServer

    with ExitStack() as stack:

        def start(*, key: str = "any", **options: Any) -> OpenAI:
            server = stack.enter_context(ModelServer(**options))
            return stack.enter_context(openai.OpenAI(base_url=server.base_url, api_key=key, timeout=5))

        yield start


def test_a_question_may_need_two_tools_at_once(connect: Connect) -> None:
    """The calls come together, each with its id and arguments taken from the question."""
    client = connect()

    answer = client.chat.completions.create(model="trail-mini", messages=QUESTION, tools=TOOLS)

    calls = answer.choices[0].message.tool_calls or []
    assert [(c.function.name, json.loads(c.function.arguments)) for c in calls] == [  # type: ignore[union-attr]
        ("get_weather", {"city": "Bergen"}),
        ("search_catalogue", {"query": "rain jacket", "max_price_eur": 150}),
    ]
    assert answer.choices[0].finish_reason == "tool_calls"
    assert len({call.id for call in calls}) == 2


def test_the_same_request_gets_the_same_answer(connect: Connect) -> None:
    """Down to the ids and times, so that a test can compare whole answers."""
    client = connect()

    first, second = (
        client.chat.completions.create(model="trail-mini", messages=QUESTION, tools=TOOLS) for _ in range(2)
    )

    assert first == second


def test_streamed_pieces_make_up_the_whole_answer(connect: Connect) -> None:
    """Text and usage are those of the answer in one piece; usage comes last and only when asked for."""
    client = connect()
    whole = client.chat.completions.create(model="trail-mini", messages=QUESTION)

    with_usage = list(
        client.chat.completions.create(
            model="trail-mini", messages=QUESTION, stream=True, stream_options={"include_usage": True}
        )
    )
    without = list(client.chat.completions.create(model="trail-mini", messages=QUESTION, stream=True))

    text = "".join(choice.delta.content or "" for chunk in with_usage for choice in chunk.choices)
    assert text == whole.choices[0].message.content
    assert with_usage[-1].usage == whole.usage
    assert [chunk.usage for chunk in without] == [None] * len(without)
    assert len(without) > 10


def test_streamed_tool_calls_come_in_fragments(connect: Connect) -> None:
    """The id and name come first, the arguments in pieces that join to JSON."""
    client = connect()

    chunks = client.chat.completions.create(model="trail-mini", messages=QUESTION, tools=TOOLS, stream=True)
    pieces = [piece for chunk in chunks for choice in chunk.choices for piece in choice.delta.tool_calls or ()]

    arguments = {
        index: json.loads("".join(p.function.arguments or "" for p in pieces if p.index == index and p.function))
        for index in (0, 1)
    }
    assert arguments == {0: {"city": "Bergen"}, 1: {"query": "rain jacket", "max_price_eur": 150}}
    assert [piece.id is not None for piece in pieces].count(True) == 2


def test_the_answer_stops_at_the_token_limit(connect: Connect) -> None:
    """It says that it was cut."""
    client = connect()

    answer = client.chat.completions.create(model="trail-mini", messages=QUESTION, max_completion_tokens=3)

    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 3


def test_tools_it_was_not_offered_are_not_called(connect: Connect) -> None:
    """Neither without tools nor with ``tool_choice="none"``."""
    client = connect()

    plain = client.chat.completions.create(model="trail-mini", messages=QUESTION)
    forbidden = client.chat.completions.create(model="trail-mini", messages=QUESTION, tools=TOOLS, tool_choice="none")

    assert not plain.choices[0].message.tool_calls
    assert not forbidden.choices[0].message.tool_calls


def test_texts_that_share_words_are_near_each_other(connect: Connect) -> None:
    """Vectors have unit length, in the size asked for, the same packed or plain."""
    client = connect()
    texts = ["rain jacket", "a light rain jacket", "sleeping bag"]

    packed = client.embeddings.create(model="trail-embed", input=texts, dimensions=128)
    plain = client.embeddings.create(model="trail-embed", input=texts, dimensions=128, encoding_format="float")

    query, near, far = (item.embedding for item in packed.data)
    assert product(query, near) > 0.5 > product(query, far)
    assert product(near, near) == pytest.approx(1, abs=1e-5)
    assert [item.embedding for item in plain.data] == [pytest.approx(v, abs=1e-6) for v in (query, near, far)]


def product(left: list[float], right: list[float]) -> float:
    """Return the scalar product."""
    return sum(a * b for a, b in zip(left, right, strict=True))


def test_the_models_are_listed(connect: Connect) -> None:
    """One for chat, one for embeddings."""
    client = connect()

    names = [model.id for model in client.models.list()]

    assert names == ["trail-mini", "trail-embed"]


def test_the_clients_retries_get_over_failures_on_request(connect: Connect) -> None:
    """A 429 and a 500 come first, then the answer."""
    client = connect(fail_first=[429, 500])

    answer = client.chat.completions.create(model="trail-mini", messages=QUESTION)

    assert answer.choices[0].finish_reason == "stop"


@pytest.mark.parametrize("status, error", [(429, openai.RateLimitError), (500, openai.InternalServerError)])
def test_a_failure_looks_like_openais(connect: Connect, status: int, error: type[openai.APIStatusError]) -> None:
    """The client raises its own error for the status."""
    client = connect(fail_first=[status]).with_options(max_retries=0)

    with pytest.raises(error) as caught:
        client.chat.completions.create(model="trail-mini", messages=QUESTION)

    assert caught.value.status_code == status


@pytest.mark.parametrize(
    "request_, parameter",
    [
        ({"messages": QUESTION}, "model"),
        ({"model": "gpt-4o", "messages": QUESTION}, "model"),
        ({"model": "trail-mini"}, "messages"),
        ({"model": "trail-mini", "messages": []}, "messages"),
        ({"model": "trail-mini", "messages": ["hello"]}, "messages[0]"),
        ({"model": "trail-mini", "messages": [{"role": "king", "content": ""}]}, "messages[0].role"),
        ({"model": "trail-mini", "messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"model": "trail-mini", "messages": [{"role": "tool", "content": ""}]}, "messages[0].tool_call_id"),
        (
            {"model": "trail-mini", "messages": [{"role": "assistant", "tool_calls": [{}]}]},
            "messages[0].tool_calls",
        ),
        ({"model": "trail-mini", "messages": QUESTION, "tools": ["search"]}, "tools"),
        ({"model": "trail-mini", "messages": QUESTION, "tool_choice": "required"}, "tool_choice"),
        ({"model": "trail-mini", "messages": QUESTION, "n": 2}, "n"),
        ({"model": "trail-mini", "messages": QUESTION, "max_tokens": 0}, "max_completion_tokens"),
        ({"model": "trail-mini", "messages": QUESTION, "stream": True, "n": 2}, "n"),
    ],
)
def test_a_bad_request_is_told_what_is_wrong(connect: Connect, request_: dict[str, Any], parameter: str) -> None:
    """400, with the parameter's name."""
    client = connect()

    answer = post(client, "/chat/completions", json.dumps(request_))

    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == parameter


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_object_is_refused(connect: Connect, body: bytes) -> None:
    """400, and the server lives on."""
    client = connect()

    answers = [post(client, "/chat/completions", body) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [400, 400]


def test_without_a_key_nothing_is_answered(connect: Connect) -> None:
    """401, as the client knows it."""
    client = connect()

    answer = httpx.post(f"{client.base_url}chat/completions", json={}, headers={})

    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_api_key"


def test_an_unknown_path_is_not_found(connect: Connect) -> None:
    """404 for both verbs."""
    client = connect()

    with pytest.raises(openai.NotFoundError):
        client.completions.create(model="trail-mini", prompt="Once")

    with pytest.raises(openai.NotFoundError):
        client.files.list()


def post(client: OpenAI, path: str, body: str | bytes) -> httpx.Response:
    """Send *body* as it is, with a key."""
    return httpx.post(f"{client.base_url}{path.lstrip('/')}", content=body, headers={"Authorization": "Bearer any"})
