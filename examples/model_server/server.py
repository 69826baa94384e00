"""HTTP and SSE around the answers: routing, keys, errors, chunked streaming."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from model_server import payloads

__all__ = ["ModelServer"]

MAX_BODY_BYTES = 4 * 1024 * 1024

FAILURES = {
    HTTPStatus.TOO_MANY_REQUESTS: ("rate_limit_error", "You are asking too fast; wait a moment."),
    HTTPStatus.INTERNAL_SERVER_ERROR: ("server_error", "The model stumbled; try again."),
    HTTPStatus.SERVICE_UNAVAILABLE: ("server_error", "The model is loading; try again."),
}


class ModelServer:
    """The server on a port of 127.0.0.1, running in a thread while the ``with`` block lasts.

    Args:
        port: Port to listen on; 0 takes a free one.
        fail_first: Statuses (429, 500 or 503) to answer the first requests with,
            one each, so that a client's retries have something to do.
    """

    def __init__(self, *, port: int = 0, fail_first: Iterable[int] = ()) -> None:
        self._http = _Listener(("127.0.0.1", port), _Handler)
        self._http.failures.extend(HTTPStatus(status) for status in fail_first)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), name="model-server", daemon=True)

    @property
    def base_url(self) -> str:
        """The address for ``OpenAI(base_url=...)``."""
        return f"http://127.0.0.1:{self._http.server_port}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


class _Listener(ThreadingHTTPServer):
    """Keeps what all requests share: the failures still to come (a deque's popleft is atomic)."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self.failures: deque[HTTPStatus] = deque()
        super().__init__(address, handler)


class _RefusedError(Exception):
    """The request is answered with an error."""

    def __init__(self, status: HTTPStatus, body: dict[str, Any]) -> None:
        super().__init__(status)
        self.status, self.body = status, body


class _Handler(BaseHTTPRequestHandler):
    server: _Listener
    protocol_version = "HTTP/1.1"
    server_version = "trail-models"
    timeout = 30

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self._answer(self._post)

    def _answer(self, respond: Any) -> None:
        try:
            respond()
        except _RefusedError as refusal:
            self._send_json(refusal.body, refusal.status)
        except payloads.BadRequestError as bad:
            body = payloads.error(str(bad), "invalid_request_error", bad.parameter)
            self._send_json(body, HTTPStatus.BAD_REQUEST)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _get(self) -> None:
        self._check_key()
        if self.path != "/v1/models":
            raise self._unknown_path()
        self._send_json(payloads.models())

    def _post(self) -> None:
        body = self._read_body()
        self._check_key()
        self._fail_if_told()
        request = _json_object(body)
        if self.path == "/v1/embeddings":
            self._send_json(payloads.embeddings(request))
        elif self.path != "/v1/chat/completions":
            raise self._unknown_path()
        elif request.get("stream"):
            self._send_events(payloads.chunks(request))
        else:
            self._send_json(payloads.completion(request))

    def _read_body(self) -> bytes:
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > MAX_BODY_BYTES:
            self.close_connection = True
            raise payloads.BadRequestError(f"a Content-Length of at most {MAX_BODY_BYTES} bytes is required")
        return self.rfile.read(int(length))

    def _check_key(self) -> None:
        scheme, _, key = self.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or not key.strip():
            message = "No API key was given. Any key will do: Authorization: Bearer KEY."
            raise _RefusedError(
                HTTPStatus.UNAUTHORIZED,
                payloads.error(message, "invalid_request_error", code="invalid_api_key"),
            )

    def _fail_if_told(self) -> None:
        if not self.server.failures:
            return
        status = self.server.failures.popleft()
        kind, message = FAILURES[status]
        raise _RefusedError(status, payloads.error(message, kind))

    def _unknown_path(self) -> _RefusedError:
        body = payloads.error(f"There is no {self.command} {self.path} here.", "invalid_request_error")
        return _RefusedError(HTTPStatus.NOT_FOUND, body)

    def _send_json(self, body: dict[str, Any], status: HTTPStatus = HTTPStatus.OK) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        if status in FAILURES:
            self.send_header("Retry-After-Ms", "10")
        self.end_headers()
        self.wfile.write(content)

    def _send_events(self, chunks: Iterator[dict[str, Any]]) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Cache-Control", "no-cache")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for chunk in chunks:
            self._send_part(f"data: {json.dumps(chunk)}\n\n".encode())
        self._send_part(b"data: [DONE]\n\n")
        self._send_part(b"")

    def _send_part(self, part: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent: the examples print their own story."""


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as reason:
        raise payloads.BadRequestError(f"the body is not JSON: {reason}") from reason
    if not isinstance(value, dict):
        raise payloads.BadRequestError("the body is not a JSON object")
    return value
