"""Who may ask what: token, Host, Origin, and the headers of every answer.

The backend listens on this machine only, yet every page in the user's browser can send requests to this machine. So
nothing is trusted for coming from here: each request names an allowed host (or DNS rebinding reads the data), comes
with the token or with the cookie that the token was exchanged for, and changes nothing when another site's page sent it.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from honeyhive.exceptions import ConfigurationError
from honeyhive.models.wire import BACKEND_HEADER, BACKEND_HEADER_VALUE, state_home
from honeyhive.server.config import BackendConfig
from honeyhive.utils import wording

__all__ = ["Access", "Gate", "TokenRefusals", "access_of", "load_token", "own_token_file", "read_token"]

OWN_HOSTS: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})
CSRF_HEADER: Final = "x-honeyhive-csrf"
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{32,256}")
_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    BACKEND_HEADER: BACKEND_HEADER_VALUE,
}

_logger = logging.getLogger("honeyhive.server")


@dataclass(frozen=True, slots=True)
class Access:
    """What opens the backend.

    Args:
        token: The token that programs send as ``Authorization: Bearer ...``.
        hosts: Names and addresses by which the backend may be addressed; ports do not matter.
        anonymous_ingest: Whether spans and events may be sent without the token.
    """

    token: str
    hosts: frozenset[str] = OWN_HOSTS
    anonymous_ingest: bool = False

    @property
    def cookie_value(self) -> str:
        """What a browser gets for the token; the token cannot be had from it."""
        return self._derived("cookie")

    @property
    def csrf_value(self) -> str:
        """What a page's script must send in ``X-HoneyHive-CSRF`` to change anything with the cookie."""
        return self._derived("csrf")

    def is_token(self, candidate: str) -> bool:
        """Tell whether *candidate* is the token, in a time that does not depend on it."""
        return _same(candidate, self.token)

    def is_cookie(self, candidate: str) -> bool:
        """Tell whether *candidate* is the cookie's value, in a time that does not depend on it."""
        return _same(candidate, self.cookie_value)

    def _derived(self, purpose: str) -> str:
        return hmac.new(self.token.encode(), f"honeyhive {purpose}".encode(), hashlib.sha256).hexdigest()


def access_of(config: BackendConfig) -> Access:
    """Return what *config* opens the backend with; without a token file of its own, that of the state directory.

    Raises:
        ConfigurationError: The token cannot be read.
    """
    token = load_token(own_token_file()) if config.token_file is None else read_token(config.token_file)
    return Access(token, allowed_hosts(config.hosts), config.anonymous_ingest)


def own_token_file() -> Path:
    """Return where the token of this user's backend is."""
    return state_home() / "server.token"


class TokenRefusals:
    """Logs the first of a run of refused tokens, not each."""

    def __init__(self) -> None:
        self._count = 0

    def note(self) -> None:
        """Count one; log the 1st, 10th, 100th, ..."""
        self._count += 1
        if self._count == 10 ** (len(str(self._count)) - 1):
            _logger.warning("%s without a valid token refused so far.", wording.counted(self._count, "request"))


class Gate:
    """ASGI middleware that lets only allowed requests through, and dresses every answer.

    Args:
        app: What is behind the gate.
        access: What opens it.
        public: Tells which paths need no token.
        ingest: Paths that may be anonymous if *access* says so.
        unauthorised: Makes the one answer to requests without a valid token.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        access: Access,
        public: Callable[[str], bool],
        ingest: frozenset[str],
        unauthorised: Callable[[Headers], Response],
    ) -> None:
        self._app = app
        self._access = access
        self._public = public
        self._ingest = ingest
        self._unauthorised = unauthorised
        self._refusals = TokenRefusals()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope, Headers(scope=scope))
        if scope["type"] == "http":
            await (refusal or self._app)(scope, receive, _dressed(send, scope["path"]))
        elif refusal is None:
            await self._app(scope, receive, send)
        else:
            await _deny(refusal, scope, send)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        if not self._is_host_allowed(headers.getlist("host")):
            return _plain(403, "This Host is not allowed.")
        is_socket = scope["type"] == "websocket"
        changes = not is_socket and scope["method"] not in _SAFE_METHODS
        if (changes or is_socket) and not self._is_same_site(headers):
            return _plain(403, "Requests from other sites are refused.")
        if not is_socket and (self._public(scope["path"]) or self._may_stay_anonymous(scope)):
            return None
        if self._has_token(headers) or self._has_cookie(headers, scope, changes=changes):
            return None
        if not _asks_for_login(scope, headers):
            self._refusals.note()
        return self._unauthorised(headers)

    def _is_host_allowed(self, hosts: list[str]) -> bool:
        return len(hosts) == 1 and _without_port(hosts[0]) in self._access.hosts

    def _is_same_site(self, headers: Headers) -> bool:
        """Tell whether no other site's page made the browser send this; programs send neither header."""
        fetch_site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        if fetch_site is not None and fetch_site not in {"same-origin", "none"}:
            return False
        if origin == "null":  # what browsers say for our own forms, because our pages tell no referrer
            return fetch_site is not None
        return origin is None or (origin.startswith("http") and urlsplit(origin).netloc == headers["host"])

    def _may_stay_anonymous(self, scope: Scope) -> bool:
        return self._access.anonymous_ingest and scope["method"] in {"POST", "PUT"} and scope["path"] in self._ingest

    def _has_token(self, headers: Headers) -> bool:
        values = headers.getlist("authorization")
        scheme, _, token = values[0].partition(" ") if len(values) == 1 else ("", "", "")
        return scheme.lower() == "bearer" and self._access.is_token(token)

    def _has_cookie(self, headers: Headers, scope: Scope, *, changes: bool) -> bool:
        if changes and not _same(headers.get(CSRF_HEADER, ""), self._access.csrf_value):
            return False
        return self._access.is_cookie(_cookie(headers, cookie_name(scope)))


def _asks_for_login(scope: Scope, headers: Headers) -> bool:
    """Tell whether somebody just opens a page, with no token that could be wrong: what is shown then is the login."""
    opens = scope.get("method") == "GET" and "text/html" in headers.get("accept", "")
    return opens and "authorization" not in headers and not _cookie(headers, cookie_name(scope))


def cookie_name(scope: Scope) -> str:
    """Return the cookie's name; cookies know no ports, so two backends on one machine need two names."""
    server = scope.get("server")
    return f"honeyhive_{server[1] if server else 0}"


def load_token(path: Path) -> str:
    """Return the token in *path*; make the file, mode 0600, with a new 256-bit token when there is none.

    Raises:
        ConfigurationError: The file cannot be made, belongs to somebody else, can be read by others, or holds no token.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return read_token(path)
    except OSError as error:
        raise ConfigurationError(
            f"The token file {path} cannot be made: {error.strerror}. Set XDG_STATE_HOME to a folder that is yours."
        ) from error
    token = secrets.token_urlsafe(32)
    with os.fdopen(descriptor, "w") as file:
        file.write(token)
    return token


def read_token(path: Path) -> str:
    """Return the token in *path*.

    Raises:
        ConfigurationError: There is no such file, it belongs to somebody else, can be read by others, or holds no token.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except OSError as error:
        raise ConfigurationError(f"The token file {path} cannot be read: {error.strerror}.") from error
    with os.fdopen(descriptor) as file:
        facts = os.fstat(descriptor)
        if os.name == "posix" and (facts.st_uid != os.geteuid() or facts.st_mode & (stat.S_IRWXG | stat.S_IRWXO)):
            raise ConfigurationError(f"The token file {path} is open to others. Run: chmod 600 {path}, or delete it.")
        token = file.read(1024).strip()
    if not _TOKEN.fullmatch(token):
        raise ConfigurationError(f"The token file {path} holds no token of 32 or more letters and digits. Delete it.")
    return token


def _without_port(host: str) -> str:
    name, separator, port = host.rpartition(":")
    return (name if separator and port.isdecimal() else host).lower()


def _same(candidate: str, secret: str) -> bool:
    return hmac.compare_digest(candidate.encode("utf-8", "replace"), secret.encode())


def _cookie(headers: Headers, name: str) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(name)
    except CookieError:
        return ""
    return found.value if found is not None else ""


async def _deny(refusal: Response, scope: Scope, send: Send) -> None:
    """Answer a handshake with *refusal*; where that says no more than 403, or the server cannot do that, with a plain one.

    uvicorn logs an error for each answer with a body, and pages of other sites may ask as often as they like.
    """
    if refusal.status_code == 403 or "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1008})
        return
    start = {"type": "websocket.http.response.start", "status": refusal.status_code, "headers": refusal.raw_headers}
    await send(start)
    await send({"type": "websocket.http.response.body", "body": bytes(refusal.body)})


def _plain(status: int, reason: str) -> Response:
    return Response(f"{reason}\n", status, media_type="text/plain")


def _dressed(send: Send, path: str) -> Send:
    async def dressed(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.update(_HEADERS)
            headers["Cache-Control"] = "no-cache" if path.startswith("/static/") else "no-store"
        await send(message)

    return dressed


def allowed_hosts(names: Iterable[str]) -> frozenset[str]:
    """Return the host allow-list that consists of this machine's own names and *names*."""
    more = (f"[{name}]" if ":" in name and not name.startswith("[") else name for name in names)
    return OWN_HOSTS | frozenset(name.lower() for name in more)
