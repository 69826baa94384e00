-- The functions of SQLite that the queries use, as PostgreSQL has them.

CREATE OR REPLACE FUNCTION instr(whole TEXT, part TEXT) RETURNS INTEGER
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT strpos(whole, part) $$;

-- As there, truth is a number and null is NULL. A path is '$', or '$."name"."name"'. JSON here cannot hold a NUL
-- character, which is told by its picture instead.
CREATE OR REPLACE FUNCTION json_extract(document TEXT, path TEXT) RETURNS JSONB
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT CASE jsonb_typeof(value)
            WHEN 'boolean' THEN to_jsonb(CAST(CAST(value AS BOOLEAN) AS INTEGER))
            WHEN 'null' THEN NULL
            ELSE value
        END
        FROM (
            SELECT CAST(replace(document, '\u0000', '\u2400') AS JSONB)
                #> string_to_array(trim(BOTH '"' FROM substr(path, 3)), '"."') AS value
        ) AS found
    $$;

CREATE OR REPLACE FUNCTION lower(value JSONB) RETURNS TEXT
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT lower(value #>> '{}') $$;

CREATE OR REPLACE FUNCTION typeof(value JSONB) RETURNS TEXT
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT CASE jsonb_typeof(value) WHEN 'number' THEN 'real' ELSE 'text' END $$;
