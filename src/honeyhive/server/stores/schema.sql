-- The read model: everything in here can be projected again from the journal.
--
-- Types are spelt so that SQLite takes them for INTEGER, REAL and TEXT. recorded_ns says when the backend accepted what
-- a row comes from, in nanoseconds since 1970; 0 where that is not known.

CREATE TABLE spans (
    trace_id TEXT NOT NULL,
    span_id TEXT NOT NULL,
    parent_id TEXT,
    event_id TEXT NOT NULL,
    parent_event_id TEXT,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    start_ns BIGINT NOT NULL,
    end_ns BIGINT NOT NULL,
    status TEXT NOT NULL,
    event_type TEXT NOT NULL,
    session_id TEXT,
    session_name TEXT,
    project TEXT,
    source TEXT,
    error TEXT,
    model TEXT,
    provider TEXT,
    tokens_in BIGINT,
    tokens_out BIGINT,
    cost DOUBLE PRECISION,
    details TEXT NOT NULL,
    recorded_ns BIGINT NOT NULL,
    UNIQUE (trace_id, span_id)
);
CREATE INDEX spans_by_event ON spans (event_id);
CREATE INDEX spans_by_parent_event ON spans (parent_event_id) WHERE parent_event_id IS NOT NULL;
CREATE INDEX spans_by_session ON spans (session_id, start_ns) WHERE session_id IS NOT NULL;
CREATE INDEX spans_by_start ON spans (start_ns);
CREATE INDEX spans_by_recorded ON spans (recorded_ns);

CREATE TABLE traces (
    trace_id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    project TEXT,
    session_id TEXT,
    start_ns BIGINT NOT NULL,
    end_ns BIGINT NOT NULL,
    spans BIGINT NOT NULL,
    errors BIGINT NOT NULL,
    tokens_in BIGINT,
    tokens_out BIGINT,
    cost DOUBLE PRECISION
) WITHOUT ROWID;
CREATE INDEX traces_by_start ON traces (start_ns, trace_id);
CREATE INDEX traces_by_project ON traces (project, start_ns, trace_id);
CREATE INDEX traces_by_session ON traces (session_id, start_ns, trace_id);

CREATE TABLE sessions (
    session_id TEXT PRIMARY KEY,
    name TEXT,
    project TEXT,
    source TEXT,
    start_ns BIGINT NOT NULL,
    end_ns BIGINT NOT NULL,
    traces BIGINT NOT NULL,
    spans BIGINT NOT NULL,
    model_spans BIGINT NOT NULL,
    errors BIGINT NOT NULL,
    tokens_in BIGINT,
    tokens_out BIGINT,
    cost DOUBLE PRECISION,
    details TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX sessions_by_start ON sessions (start_ns, session_id);
CREATE INDEX sessions_by_project ON sessions (project, start_ns, session_id);

-- What /session/start said, kept apart because spans of a session may come before it.
-- position is where the log first had it, held where it has it now: the log carries over what is older than the rest.
CREATE TABLE session_starts (
    session_id TEXT PRIMARY KEY,
    event TEXT NOT NULL,
    recorded_ns BIGINT NOT NULL,
    position TEXT NOT NULL,
    held TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX session_starts_by_recorded ON session_starts (recorded_ns);

-- What PUT /events said, kept because the event may come after its update, or come again.
CREATE TABLE amendments (
    event_id TEXT NOT NULL,
    position TEXT NOT NULL,
    fields TEXT NOT NULL,
    recorded_ns BIGINT NOT NULL,
    held TEXT NOT NULL,
    PRIMARY KEY (event_id, position)
) WITHOUT ROWID;
CREATE INDEX amendments_by_recorded ON amendments (recorded_ns);

CREATE TABLE logs (
    log_id TEXT PRIMARY KEY,
    trace_id TEXT,
    span_id TEXT,
    session_id TEXT,
    time_ns BIGINT NOT NULL,
    severity BIGINT NOT NULL,
    level TEXT NOT NULL,
    logger TEXT NOT NULL,
    body TEXT NOT NULL,
    attributes TEXT NOT NULL,
    recorded_ns BIGINT NOT NULL
);
CREATE INDEX logs_by_trace ON logs (trace_id, time_ns) WHERE trace_id IS NOT NULL;
CREATE INDEX logs_by_recorded ON logs (recorded_ns);

-- What programs say they have lost.
CREATE TABLE client_reports (
    report_id TEXT PRIMARY KEY,
    time_ns BIGINT NOT NULL,
    process TEXT NOT NULL,
    pid BIGINT NOT NULL,
    dropped TEXT NOT NULL,
    recorded_ns BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX client_reports_by_time ON client_reports (time_ns);

-- Journal records that could not be projected; the journal still has them.
CREATE TABLE dead_letters (
    position TEXT PRIMARY KEY,
    reason TEXT NOT NULL,
    recorded_ns BIGINT NOT NULL
) WITHOUT ROWID;

-- Before which moment, of those in recorded_ns, everything is forgotten.
CREATE TABLE forgotten (
    only_row BIGINT PRIMARY KEY CHECK (only_row = 1),
    before_ns BIGINT NOT NULL
);

CREATE TABLE projected (
    only_row BIGINT PRIMARY KEY CHECK (only_row = 1),
    segment TEXT NOT NULL,
    "offset" BIGINT NOT NULL
);
