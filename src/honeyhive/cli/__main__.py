"""``python -m honeyhive.cli``: the same as the command ``honeyhive``."""

from __future__ import annotations

from honeyhive.cli import main

main(prog_name="honeyhive")
