"""Running a service: what is checked before anything is opened."""

from __future__ import annotations

import sys

import pytest

from honeyhive.exceptions import ConfigurationError, DeclarationError
from honeyhive.runtime import Service, get
from honeyhive.runtime.run import RunOptions, roles_of, run_service

pytestmark = pytest.mark.anyio


class Reads:
    @get("/")
    async def read(self) -> None: ...


async def test_a_missing_library_is_named_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fastapi", None)

    with pytest.raises(ConfigurationError, match=r"fastapi is missing. Run: pip install 'honeyhive\[http\]'"):
        await run_service(Service("shop", controllers=[Reads]).build({}), RunOptions(roles=["http"]))


async def test_a_role_without_work_is_refused() -> None:
    assembly = Service("shop", controllers=[Reads]).build({})

    with pytest.raises(DeclarationError, match="'shop' declares nothing for a scheduler process"):
        await run_service(assembly, RunOptions(roles=["scheduler"]))

    assert roles_of(assembly) == ("http",)
