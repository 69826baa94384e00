"""The gate: who gets in, and what every answer wears."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Message, Receive, Scope, Send

from honeyhive.exceptions import ConfigurationError
from honeyhive.server.admission.security import Access, Gate, allowed_hosts, load_token, read_token
from honeyhive.server.app import gated_app
from honeyhive.server.reading.pages.routes import is_public, unauthorised

TOKEN = "t" * 43
BEARER = {"Authorization": f"Bearer {TOKEN}"}

Ask = Callable[..., httpx.Response]

pytestmark = pytest.mark.anyio


async def _answer(_: Request) -> Response:
    return PlainTextResponse("secret")


async def _break(_: Request) -> Response:
    raise ZeroDivisionError("/home/somebody/secret.py")


@pytest.fixture
def ask() -> Ask:
    """Send a request to an application with three routes."""

    async def send(
        method: str = "GET", path: str = "/data", access: Access | None = None, **headers: str
    ) -> httpx.Response:
        app = gated_app(access or Access(TOKEN))
        app.add_route("/data", _answer, methods=["GET", "POST"])
        app.add_route("/v1/traces", _answer, methods=["GET", "POST"])
        app.add_route("/broken", _break)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:4580") as client:
            return await client.request(
                method, path, headers={name.replace("_", "-"): v for name, v in headers.items()}
            )

    return send


async def test_the_token_opens(ask: Ask) -> None:
    assert (await ask(**BEARER)).text == "secret"


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Bearer",
        "Bearer ",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN.upper()}",
        f"Bearer  {TOKEN}",
        f"Basic {TOKEN}",
        TOKEN,
        f"Bearer {TOKEN} {TOKEN}",
    ],
)
async def test_anything_but_the_token_gets_one_and_the_same_answer(ask: Ask, value: str) -> None:
    refused, nothing = await ask(Authorization=value), await ask()

    assert refused.status_code == 401
    assert (refused.content, refused.headers) == (nothing.content, nothing.headers)


@pytest.mark.parametrize(
    "headers, is_noted",
    [
        ({}, True),
        ({"Authorization": "Bearer wrong"}, True),
        ({"Accept": "text/html", "Authorization": "Bearer wrong"}, True),
        ({"Accept": "text/html", "Cookie": "honeyhive_4580=old"}, True),
        ({"Accept": "text/html"}, False),
    ],
)
async def test_whoever_opens_a_page_to_log_in_is_no_refused_token_in_the_log(
    ask: Ask, headers: dict[str, str], is_noted: bool, caplog: pytest.LogCaptureFixture
) -> None:
    await ask(**headers)

    assert ("1 request without a valid token refused so far." in caplog.text) is is_noted


async def test_two_authorizations_open_nothing() -> None:
    app = gated_app(Access(TOKEN))
    app.add_route("/data", _answer)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        pair = ("Authorization", f"Bearer {TOKEN}")

        reply = await client.get("/data", headers=[pair, pair])

    assert reply.status_code == 401


async def test_a_token_in_the_address_opens_nothing(ask: Ask) -> None:
    assert (await ask(path=f"/data?token={TOKEN}")).status_code == 401


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:4580", "localhost:9", "LOCALHOST", "[::1]", "[::1]:4580"])
async def test_the_names_of_this_machine_are_allowed_with_any_port(ask: Ask, host: str) -> None:
    assert (await ask(Host=host, **BEARER)).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.com",
        "evil.com:4580",
        "localhost.evil.com",
        "127.0.0.1.nip.io",
        "0.0.0.0",
        "",
        "127.0.0.1:x",
        "[::1",
        "::1",
    ],
)
async def test_every_other_host_is_refused_even_with_the_token(ask: Ask, host: str) -> None:
    assert (await ask(Host=host, **BEARER)).status_code == 403


async def test_further_hosts_can_be_allowed(ask: Ask) -> None:
    access = Access(TOKEN, allowed_hosts(["Box.local", "::2"]))

    assert (await ask(access=access, Host="box.local:80", **BEARER)).status_code == 200
    assert (await ask(access=access, Host="[::2]:80", **BEARER)).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.com"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": "null"},
        {"Origin": "null", "Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Origin": "http://evil.com", "Sec_Fetch_Site": "same-origin"},
    ],
)
async def test_other_sites_change_nothing_even_with_the_token(ask: Ask, headers: dict[str, str]) -> None:
    assert (await ask("POST", **headers, **BEARER)).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://127.0.0.1:4580"},
        {"Origin": "null", "Sec_Fetch_Site": "same-origin"},
        {"Sec_Fetch_Site": "none"},
    ],
)
async def test_programs_and_our_own_pages_may_change(ask: Ask, headers: dict[str, str]) -> None:
    assert (await ask("POST", **headers, **BEARER)).status_code == 200


async def test_the_cookie_reads_but_changes_nothing_without_the_csrf_header(ask: Ask) -> None:
    access = Access(TOKEN)
    cookie = {"Cookie": f"honeyhive_4580={access.cookie_value}"}

    assert (await ask(**cookie)).status_code == 200
    assert (await ask("POST", **cookie)).status_code == 401
    assert (await ask("POST", X_HoneyHive_CSRF="wrong", **cookie)).status_code == 401
    assert (await ask("POST", X_HoneyHive_CSRF=access.csrf_value, **cookie)).status_code == 200


async def test_the_token_is_no_cookie_and_cannot_be_had_from_it(ask: Ask) -> None:
    assert (await ask(Cookie=f"honeyhive_4580={TOKEN}")).status_code == 401
    assert TOKEN not in Access(TOKEN).cookie_value


async def test_anonymous_ingest_writes_and_does_not_read(ask: Ask) -> None:
    access = Access(TOKEN, anonymous_ingest=True)

    assert (await ask("POST", "/v1/traces", access)).status_code == 200
    assert (await ask("GET", "/v1/traces", access)).status_code == 401
    assert (await ask("POST", "/data", access)).status_code == 401
    assert (await ask("POST", "/v1/traces", access, Host="evil.com")).status_code == 403
    assert (await ask("POST", "/v1/traces", access, Origin="http://evil.com")).status_code == 403


@pytest.mark.parametrize("path", ["/data", "/nowhere", "/broken"])
async def test_every_answer_wears_the_headers(ask: Ask, path: str) -> None:
    for reply in (await ask(path=path), await ask(path=path, **BEARER), await ask(path=path, Host="evil.com")):
        assert "default-src 'none'" in reply.headers["content-security-policy"]
        assert "unsafe" not in reply.headers["content-security-policy"]
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["referrer-policy"] == "no-referrer"
        assert reply.headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in reply.headers


async def test_a_fault_of_ours_tells_nothing(ask: Ask) -> None:
    reply = await ask(path="/broken", **BEARER)

    assert reply.status_code == 500
    assert "secret.py" not in reply.text
    assert "ZeroDivision" not in reply.text


async def test_a_new_token_has_256_bits_and_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "state" / "server.token"

    token = load_token(path)

    assert len(token) == 43
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_token(path) == token


@pytest.mark.parametrize("spoil", ["open", "short", "missing", "link"])
async def test_a_token_file_that_is_no_secret_is_refused_with_the_fix(tmp_path: Path, spoil: str) -> None:
    path = tmp_path / "server.token"
    if spoil == "link":
        (tmp_path / "elsewhere").write_text(TOKEN)
        path.symlink_to(tmp_path / "elsewhere")
    elif spoil != "missing":
        path.write_text("short" if spoil == "short" else TOKEN)
        path.chmod(0o644 if spoil == "open" else 0o600)

    with pytest.raises(ConfigurationError, match=r"server\.token"):
        read_token(path)


@pytest.mark.parametrize(
    "headers, opens",
    [
        ({"Authorization": f"Bearer {TOKEN}"}, True),
        ({"Cookie": f"honeyhive_80={Access(TOKEN).cookie_value}", "Origin": "http://127.0.0.1"}, True),
        ({}, False),
        ({"Authorization": "Bearer wrong"}, False),
        ({"Cookie": f"honeyhive_80={Access(TOKEN).cookie_value}", "Origin": "https://elsewhere.example"}, False),
        ({"Authorization": f"Bearer {TOKEN}", "Host": "elsewhere.example"}, False),
    ],
)
async def test_a_socket_is_opened_by_the_same_keys_and_never_for_another_site(
    headers: dict[str, str], opens: bool
) -> None:
    reached = False

    async def behind(_scope: Scope, _receive: Receive, _send: Send) -> None:
        nonlocal reached
        reached = True

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    gate = Gate(behind, access=Access(TOKEN), public=is_public, ingest=frozenset(), unauthorised=unauthorised)
    given = {"host": "127.0.0.1", **{name.lower(): value for name, value in headers.items()}}
    scope = {
        "type": "websocket",
        "path": "/v1/live",
        "server": ("127.0.0.1", 80),
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
    }

    await gate(scope, _nothing, send)

    assert reached is opens
    assert sent == ([] if opens else [{"type": "websocket.close", "code": 1008}])


async def _nothing() -> Message:
    raise AssertionError("a gate reads nothing")
