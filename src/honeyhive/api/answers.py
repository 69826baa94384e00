"""From a reply to what it says: JSON, or the error of the tree that its status stands for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TypeVar

from pydantic import ValidationError

from honeyhive.api.transport import Reply
from honeyhive.exceptions import (
    APIConnectionError,
    APIError,
    AuthenticationError,
    InvalidRequestError,
    NotFoundError,
    RateLimitError,
)
from honeyhive.models.base import Model
from honeyhive.resilience.retry_after import retry_after_s

__all__ = ["is_transient", "payload", "read_as"]

M = TypeVar("M", bound=Model)

LONGEST_MESSAGE = 2_000

_ERRORS: Mapping[int, type[APIError]] = {
    400: InvalidRequestError,
    401: AuthenticationError,
    403: AuthenticationError,
    404: NotFoundError,
    409: InvalidRequestError,
    422: InvalidRequestError,
    429: RateLimitError,
}
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})


def payload(operation: str, reply: Reply, now_ns: int, secrets: Sequence[str]) -> object:
    """Return the JSON of a successful *reply*; ``None`` if it is empty.

    Args:
        operation: What was asked, for the message.
        reply: What came back.
        now_ns: The time, in nanoseconds since 1970: ``Retry-After`` may be a date.
        secrets: Texts to blot out of what the service says.

    Raises:
        APIError: The status is no success, or the body is not what a HoneyHive service sends.
    """
    if not 200 <= reply.status < 300:
        raise _refusal(operation, reply, now_ns, secrets)
    if reply.truncated:
        raise _unreadable(operation, reply, f"more than {len(reply.body):,} bytes; ask for less at once")
    if not reply.body.strip():
        return None
    try:
        return json.loads(reply.body)
    except (ValueError, RecursionError):
        kind = reply.headers.get("content-type", "").partition(";")[0] or "something"
        hint = " A login page or a proxy may be in the way." if "html" in kind else ""
        problem = "malformed JSON" if "json" in kind else f"{kind}, not JSON.{hint}"
        raise _unreadable(operation, reply, problem) from None


def read_as(model: type[M], operation: str, content: object) -> M:
    """Return *content* as *model*.

    Raises:
        APIError: It lacks what *model* needs.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the answer"
        raise APIError(f"{operation}: the service's answer is not as expected: {place}: {first['msg']}") from None


def is_transient(error: APIError) -> bool:
    """Tell whether the same request may well succeed a little later."""
    return isinstance(error, APIConnectionError) or error.status_code in _TRANSIENT


def _refusal(operation: str, reply: Reply, now_ns: int, secrets: Sequence[str]) -> APIError:
    said = _said(reply, secrets)
    kind = _ERRORS.get(reply.status, APIError)
    text = f"{operation} failed with status {reply.status}"
    if 300 <= reply.status < 400:
        text += ": the service redirects, which is not followed; check server_url"
    elif said:
        text += f": {said}"
    return kind(
        text,
        status_code=reply.status,
        server_message=said,
        request_id=_blot(reply.headers.get("x-request-id", ""), secrets) or None,
        retry_after_s=retry_after_s(reply.headers.get("retry-after"), now_ns=now_ns),
    )


def _unreadable(operation: str, reply: Reply, problem: str) -> APIError:
    return APIError(f"{operation}: the service answered {reply.status} with {problem}", status_code=reply.status)


def _said(reply: Reply, secrets: Sequence[str]) -> str | None:
    """Return what the service says went wrong: a field of its JSON, else its text."""
    text = reply.body.decode("utf-8", "replace").strip()
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        content = None
    if isinstance(content, dict):
        named = (content.get(name) for name in ("message", "error", "detail", "error_description"))
        text = next((said for said in named if isinstance(said, str) and said), text)
    return _blot(text, secrets)[:LONGEST_MESSAGE] or None


def _blot(text: str, secrets: Sequence[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, "***")
    return text
