"""In a real browser: the login works, the page shows the trace, and payloads stay text."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

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


@pytest.fixture
def browse(server: Any, tmp_path: Path) -> Callable[[str], str]:
    """Open a page in Chromium, logged in by the address's fragment, and return the DOM."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("NOT PROVED HERE: no Chromium on this machine")

    def dump(path: str) -> str:
        done = subprocess.run(
            [
                browser,
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-background-networking",
                "--disable-sync",
                "--no-first-run",
                f"--user-data-dir={tmp_path / 'browser'}",
                "--virtual-time-budget=3000",
                "--dump-dom",
                f"{server.address}{path}#token={server.token}",
            ],
            capture_output=True,
            text=True,
            timeout=28,
            check=True,
        )
        return done.stdout

    return dump


@pytest.mark.engine
def test_a_page_full_of_payloads_is_shown_and_inert(
    client: httpx.Client, span: Make, request_of: Make, browse: Callable[[str], str]
) -> None:
    attributes = {f"honeyhive_inputs.{payload}": payload for payload in PAYLOADS} | {
        "honeyhive_error": PAYLOADS[1],
        "honeyhive.session_id": PAYLOADS[0],
        "gen_ai.output.messages": json.dumps([{"role": payload, "content": payload} for payload in PAYLOADS]),
    }
    spans = [span(payload, span_id=f"{n:016x}", attributes=attributes) for n, payload in enumerate(PAYLOADS, 1)]
    client.post("/v1/traces", json=request_of(*spans), params={"wait": 1}).raise_for_status()

    dom = browse(f"/traces/{TRACE_ID}")

    assert "<title>XSS" not in dom
    assert '<section class="about"' in dom
    assert "&lt;img src=x onerror=" in dom
    assert not [tag for tag in ("<iframe", "<img", "<style", "<script>") if tag in dom]
