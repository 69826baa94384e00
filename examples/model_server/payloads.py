"""OpenAI's shapes: completions, streamed chunks, embeddings, errors. Pure functions, no I/O."""

from __future__ import annotations

import base64
import json
import math
import re
import struct
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Any

from model_server.assistant import Conversation, Reply, ToolCall, decide, text_of

__all__ = [
    "CHAT_MODEL",
    "EMBEDDING_MODEL",
    "BadRequestError",
    "chunks",
    "completion",
    "conversation",
    "embeddings",
    "error",
    "models",
]

JSON = dict[str, Any]

CHAT_MODEL = "trail-mini"
EMBEDDING_MODEL = "trail-embed"
CREATED = 1_760_000_000
"""Every answer was made at this second (Unix time): the same request gets the same bytes."""

TOKEN = re.compile(r"\s*(?:\w{1,6}|[^\w\s])|\s+")
ROLES = frozenset({"system", "developer", "user", "assistant", "tool"})


class BadRequestError(ValueError):
    """The request cannot be answered; the message says which part and why."""

    def __init__(self, message: str, parameter: str | None = None) -> None:
        super().__init__(message)
        self.parameter = parameter


def error(message: str, kind: str, parameter: str | None = None, code: str | None = None) -> JSON:
    """An error body as OpenAI's API gives it."""
    return {"error": {"message": message, "type": kind, "param": parameter, "code": code}}


def models() -> JSON:
    """The two models this server plays."""
    names = (CHAT_MODEL, EMBEDDING_MODEL)
    return {
        "object": "list",
        "data": [{"id": name, "object": "model", "created": CREATED, "owned_by": "examples"} for name in names],
    }


# -- chat ------------------------------------------------------------------------


def conversation(request: JSON) -> Conversation:
    """Read the conversation out of a chat request.

    Sampling parameters change nothing, as the answers are deterministic.

    Raises:
        BadRequestError: A part is missing or of the wrong kind, or asks for what this
            server cannot do.
    """
    require(request.get("model") == CHAT_MODEL, f"the model must be {CHAT_MODEL!r}", "model")
    require(request.get("n") in (None, 1), "only one choice is given", "n")
    require(
        request.get("tool_choice") in (None, "auto", "none"), "only 'auto' and 'none' are understood", "tool_choice"
    )
    messages = request.get("messages")
    require(isinstance(messages, list) and bool(messages), "a list of at least one message is required", "messages")
    for index, message in enumerate(messages or ()):
        check_message(message, f"messages[{index}]")
    return Conversation(messages or (), offered_tools(request))


def check_message(message: object, where: str) -> None:
    """Refuse a message that the assistant could not read."""
    require(isinstance(message, dict), "a message is an object", where)
    assert isinstance(message, dict)
    require(message.get("role") in ROLES, f"the role must be one of {', '.join(sorted(ROLES))}", f"{where}.role")
    content = message.get("content")
    parts = isinstance(content, list) and all(isinstance(part, dict) for part in content)
    require(content is None or isinstance(content, str) or parts, "text or a list of parts", f"{where}.content")
    if message["role"] == "tool":
        require(isinstance(message.get("tool_call_id"), str), "a tool message names its call", f"{where}.tool_call_id")
    for call in message.get("tool_calls") or ():
        check_call(call, f"{where}.tool_calls")


def check_call(call: Any, where: str) -> None:
    """Refuse a tool call without id, name or arguments in JSON."""
    try:
        json.loads(call["function"]["arguments"])
        known = isinstance(call["id"], str) and isinstance(call["function"]["name"], str)
    except (KeyError, TypeError, ValueError, RecursionError) as reason:
        raise BadRequestError("a call has an id, a function name and JSON arguments", where) from reason
    require(known, "id and name are strings", where)


def offered_tools(request: JSON) -> frozenset[str]:
    """The names of the tools the caller offers; none if it says ``tool_choice="none"``."""
    if request.get("tool_choice") == "none":
        return frozenset()
    try:
        return frozenset(str(tool["function"]["name"]) for tool in request.get("tools") or ())
    except (KeyError, TypeError) as reason:
        raise BadRequestError("a tool has a function with a name", "tools") from reason


def require(condition: bool, message: str, parameter: str) -> None:
    """Raise BadRequestError unless *condition* holds."""
    if not condition:
        raise BadRequestError(f"{parameter}: {message}", parameter)


def completion(request: JSON) -> JSON:
    """Answer a chat request in one piece."""
    asked = conversation(request)
    reply, reason = cut(decide(asked), token_limit(request))
    message: JSON = {"role": "assistant", "content": reply.text or None, "refusal": None}
    if reply.tool_calls:
        message["tool_calls"] = [tool_call(call) for call in reply.tool_calls]
    return {
        **envelope(request, "chat.completion"),
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": reason}],
        "usage": usage(asked, reply),
    }


def chunks(request: JSON) -> Iterator[JSON]:
    """Answer a chat request piece by piece; everything is checked before the first piece."""
    asked = conversation(request)
    reply, reason = cut(decide(asked), token_limit(request))
    head = envelope(request, "chat.completion.chunk")
    with_usage = bool((request.get("stream_options") or {}).get("include_usage"))
    blank = {"usage": None} if with_usage else {}

    def pieces() -> Iterator[JSON]:
        for delta in deltas(reply):
            yield {**head, "choices": [choice(delta, None)], **blank}
        yield {**head, "choices": [choice({}, reason)], **blank}
        if with_usage:
            yield {**head, "choices": [], "usage": usage(asked, reply)}

    return pieces()


def deltas(reply: Reply) -> Iterator[JSON]:
    """The reply in pieces: the role, then each token, then each call and its arguments in fragments."""
    yield {"role": "assistant", "content": None if reply.tool_calls else "", "refusal": None}
    for token in tokens(reply.text):
        yield {"content": token}
    for index, call in enumerate(reply.tool_calls):
        opening = tool_call(call)
        opening["function"]["arguments"] = ""
        yield {"tool_calls": [{"index": index, **opening}]}
        for fragment in fragments(call.arguments):
            yield {"tool_calls": [{"index": index, "function": {"arguments": fragment}}]}


def fragments(text: str, size: int = 12) -> Iterator[str]:
    """Cut *text* into strings of *size* characters."""
    return (text[start : start + size] for start in range(0, len(text), size))


def choice(delta: JSON, reason: str | None) -> JSON:
    """One streamed choice."""
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}


def tool_call(call: ToolCall) -> JSON:
    """A tool call in OpenAI's shape."""
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def envelope(request: JSON, kind: str) -> JSON:
    """What every answer starts with; the id follows from the request."""
    identity = sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()[:24]
    return {"id": f"chatcmpl-{identity}", "object": kind, "created": CREATED, "model": request["model"]}


def token_limit(request: JSON) -> int | None:
    """The most tokens the caller wants, if it says so."""
    limit = request.get("max_completion_tokens", request.get("max_tokens"))
    require(limit is None or (isinstance(limit, int) and limit > 0), "a positive number", "max_completion_tokens")
    return limit


def cut(reply: Reply, limit: int | None) -> tuple[Reply, str]:
    """Shorten the reply's text to *limit* tokens, and say why the reply ends."""
    if reply.tool_calls:
        return reply, "tool_calls"
    words = tokens(reply.text)
    if limit is None or len(words) <= limit:
        return reply, "stop"
    return Reply("".join(words[:limit])), "length"


def usage(asked: Conversation, reply: Reply) -> JSON:
    """Count tokens: four for each message's frame, and those of its text and calls."""
    prompt = sum(4 + len(tokens(text_of(m) + json.dumps(m.get("tool_calls") or ""))) for m in asked.messages)
    answer = len(tokens(reply.text)) + sum(len(tokens(call.name + call.arguments)) for call in reply.tool_calls)
    return {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer}


def tokens(text: str) -> list[str]:
    """Split *text* into pieces of at most six letters, with the space before them; joined they are *text* again."""
    return TOKEN.findall(text)


# -- embeddings ------------------------------------------------------------------


def embeddings(request: JSON) -> JSON:
    """Embed one text or several.

    Raises:
        BadRequestError: The input is no text, or an option is not understood.
    """
    require(request.get("model") == EMBEDDING_MODEL, f"the model must be {EMBEDDING_MODEL!r}", "model")
    given = request.get("input")
    texts = [given] if isinstance(given, str) else given
    require(isinstance(texts, list) and bool(texts) and all(isinstance(t, str) for t in texts), "text", "input")
    form = request.get("encoding_format", "float")
    require(form in ("float", "base64"), "'float' or 'base64'", "encoding_format")
    size = request.get("dimensions", 64)
    require(isinstance(size, int) and 1 <= size <= 1024, "a number from 1 to 1024", "dimensions")
    vectors = [vector(text, size) for text in texts or ()]
    spent = sum(len(tokens(text)) for text in texts or ())
    return {
        "object": "list",
        "model": EMBEDDING_MODEL,
        "data": [
            {"object": "embedding", "index": index, "embedding": packed(v) if form == "base64" else v}
            for index, v in enumerate(vectors)
        ],
        "usage": {"prompt_tokens": spent, "total_tokens": spent},
    }


def vector(text: str, size: int) -> list[float]:
    """A unit vector in which texts that share words are near each other."""
    counts = [0.0] * size
    for word in re.findall(r"\w+", text.lower()):
        digest = sha256(word.encode()).digest()
        counts[int.from_bytes(digest[:4], "big") % size] += 1.0
    length = math.sqrt(sum(count * count for count in counts)) or 1.0
    return [count / length for count in counts]


def packed(values: Sequence[float]) -> str:
    """Little-endian 32-bit floats in base64."""
    return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()
