"""In a real browser: the login works, the page shows the trace, and payloads stay text."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import ClientConnection, connect

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
PAYLOADS = [
    "<script>document.title='XSS'</script>",
    "<img src=x onerror=\"document.title='XSS'\">",
    "<svg onload=\"document.title='XSS'\">",
    "</pre></details><iframe srcdoc=\"<script>parent.document.title='XSS'</script>\">",
    "javascript:document.title='XSS'",
    "<style>body{display:none}</style>",
]

Make = Callable[..., dict[str, object]]


class Browser:
    """A tab of Chromium, spoken to over its DevTools protocol."""

    def __init__(self, tab: ClientConnection, server: Any) -> None:
        self._tab = tab
        self._server = server
        self._asked = 0

    def open(self, path: str) -> None:
        """Open a page, logged in by the address's fragment."""
        self._ask("Page.navigate", url=f"{self._server.address}{path}#token={self._server.token}")

    def dom(self) -> str:
        """Return the page as it is now."""
        answer = self._ask("Runtime.evaluate", expression="document.documentElement.outerHTML")
        return str(answer["result"].get("value", ""))

    def _ask(self, method: str, **parameters: object) -> dict[str, Any]:
        self._asked += 1
        self._tab.send(json.dumps({"id": self._asked, "method": method, "params": parameters}))
        while (answer := json.loads(self._tab.recv(timeout=10))).get("id") != self._asked:
            pass
        result: dict[str, Any] = answer["result"]
        return result


@pytest.fixture
def browser(server: Any, tmp_path: Path, eventually: Callable[..., Any]) -> Iterator[Browser]:
    """A real browser, without a window."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("NOT PROVED HERE: no Chromium on this machine")
    profile = tmp_path / "browser"
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
    command = [program, *flags, "--no-first-run", "--remote-debugging-port=0", f"--user-data-dir={profile}"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            port_file = profile / "DevToolsActivePort"
            port = eventually(lambda: port_file.exists() and port_file.read_text().partition("\n")[0])
            tabs = eventually(lambda: httpx.get(f"http://127.0.0.1:{port}/json/list", trust_env=False).json())
            address = next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")
            with connect(address, proxy=None, max_size=None) as tab:
                yield Browser(tab, server)
        finally:
            process.terminate()


@pytest.mark.engine
def test_a_page_full_of_payloads_is_shown_and_inert(
    client: httpx.Client, span: Make, request_of: Make, browser: Browser, eventually: Callable[..., Any]
) -> None:
    attributes = {f"honeyhive_inputs.{payload}": payload for payload in PAYLOADS} | {
        "honeyhive_error": PAYLOADS[1],
        "honeyhive.session_id": PAYLOADS[0],
        "gen_ai.output.messages": json.dumps([{"role": payload, "content": payload} for payload in PAYLOADS]),
    }
    spans = [span(payload, span_id=f"{n:016x}", attributes=attributes) for n, payload in enumerate(PAYLOADS, 1)]
    client.post("/v1/traces", json=request_of(*spans), params={"wait": 1}).raise_for_status()

    browser.open(f"/traces/{TRACE_ID}")
    dom = eventually(lambda: '<section class="about"' in (shown := browser.dom()) and shown)

    assert "<title>XSS" not in dom
    assert "&lt;img src=x onerror=" in dom
    assert not [tag for tag in ("<iframe", "<img", "<style", "<script>") if tag in dom]


@pytest.mark.engine
def test_a_list_says_that_there_are_new_traces(
    client: httpx.Client, span: Make, request_of: Make, browser: Browser, eventually: Callable[..., Any]
) -> None:
    def new_ones_are_told() -> bool:
        client.post("/v1/traces", json=request_of(span("work")))
        return "Show 1 new trace<" in browser.dom()

    browser.open("/traces")

    eventually(new_ones_are_told)
