"""What the processes of a backend share."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from honeyhive.events.log import LogSource
from honeyhive.journal import JournalReader
from honeyhive.models.wire import RecordKind
from honeyhive.server.admission.limits import Limits
from honeyhive.server.storage.files import FileStorage
from honeyhive.utils import SystemClock


def test_whoever_forgets_can_be_stopped_while_the_read_model_is_behind(tmp_path: Path) -> None:
    storage = FileStorage(
        tmp_path, on_append=lambda: None, on_readable=lambda _: None, on_failure=lambda _: None, limits=Limits()
    )
    storage.log.append(RecordKind.SPANS, b"")

    with closing(storage.forgetter.forget_before(SystemClock().time_ns())) as steps:
        assert next(steps) is None

    assert [RecordKind.SPANS] == [record.kind for record in LogSource(JournalReader(tmp_path / "journal")).read(None)]
    storage.close()
