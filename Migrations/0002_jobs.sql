-- oldest-binary: 2
--
-- Durable bulk work:
--
--   ovenbird.jobs ──► job_segments  the unit of work: leased, fenced by its token, done once
--                 ──► job_inputs    what was sent, in order; never changed
--                 ──► job_results   vectors of jobs without a collection, insert only
--                 ──► job_errors    inputs that have no vector
--
-- An input of a segment that is done has an error row, or it succeeded: its vector is in job_results, or in its
-- collection and nowhere else. So inputs = successes + errors by construction, and a vector is stored once.
--
-- The tables have no foreign keys: rows come and go by the million, always behind their job's row.

CREATE TABLE ovenbird.jobs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    public_id text COLLATE "C" NOT NULL UNIQUE CHECK (public_id ~ '^job_[0-9a-z]{24}$'),
    state text NOT NULL
        CHECK (state IN ('receiving', 'queued', 'running', 'paused', 'completed', 'cancelled', 'failed')),
    source text NOT NULL CHECK (source IN ('http', 'batch', 'sql')),
    owner text COLLATE "C" NOT NULL CHECK (octet_length(owner) BETWEEN 1 AND 64),
    priority int NOT NULL,
    idempotency_key text COLLATE "C" CHECK (octet_length(idempotency_key) BETWEEN 1 AND 255),
    request_sha256 bytea CHECK (octet_length(request_sha256) = 32),
    model_version_id bigint NOT NULL REFERENCES ovenbird.model_versions,
    -- Null: results only. The collection may be dropped meanwhile, and another one take its name.
    collection_id bigint,
    collection_name text COLLATE "C",
    total bigint NOT NULL DEFAULT 0,
    succeeded bigint NOT NULL DEFAULT 0,
    failed bigint NOT NULL DEFAULT 0,
    deduplicated bigint NOT NULL DEFAULT 0,
    token_count bigint NOT NULL DEFAULT 0,
    failure_code text,
    failure_message text,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- When the upload last brought something.
    touched_at timestamptz NOT NULL DEFAULT now(),
    queued_at timestamptz,
    started_at timestamptz,
    ended_at timestamptz,
    -- From then on its inputs, results and errors are no longer shown; they go by and by, the last of them at emptied_at.
    data_dropped_at timestamptz,
    emptied_at timestamptz,
    deleted_at timestamptz,
    CHECK ((collection_id IS NULL) = (collection_name IS NULL)),
    CHECK (succeeded + failed <= total),
    CHECK (state <> 'completed' OR succeeded + failed = total),
    CHECK ((state IN ('completed', 'cancelled', 'failed')) = (ended_at IS NOT NULL))
) WITH (fillfactor = 70);

-- What an owner's key names. Taken when a job has been received whole, never before.
CREATE UNIQUE INDEX jobs_idempotency ON ovenbird.jobs (owner, idempotency_key)
    WHERE idempotency_key IS NOT NULL AND state <> 'receiving' AND deleted_at IS NULL;
CREATE INDEX jobs_active ON ovenbird.jobs (owner, priority DESC, id) WHERE state IN ('queued', 'running');
CREATE INDEX jobs_by_state ON ovenbird.jobs (state, id) WHERE deleted_at IS NULL;
CREATE INDEX jobs_by_collection ON ovenbird.jobs (collection_name, id)
    WHERE collection_name IS NOT NULL AND deleted_at IS NULL;
CREATE INDEX jobs_waiting ON ovenbird.jobs (queued_at) WHERE state = 'queued' AND deleted_at IS NULL;
-- Not by touched_at: each append changes that, and would put a new entry into every index of the table.
CREATE INDEX jobs_receiving ON ovenbird.jobs (id) WHERE state = 'receiving' AND deleted_at IS NULL;
CREATE INDEX jobs_expiry ON ovenbird.jobs (ended_at)
    WHERE ended_at IS NOT NULL AND data_dropped_at IS NULL AND deleted_at IS NULL;
-- Those whose rows are to go.
CREATE INDEX jobs_emptying ON ovenbird.jobs (id)
    WHERE deleted_at IS NOT NULL OR (data_dropped_at IS NOT NULL AND emptied_at IS NULL);

-- Work given to each owner so far, in bytes of text: who has had least is served next.
CREATE TABLE ovenbird.job_owners (
    owner text COLLATE "C" PRIMARY KEY,
    served_bytes bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

CREATE TABLE ovenbird.job_inputs (
    job_id bigint NOT NULL,
    seq int NOT NULL,
    -- Orders what is known of one document: the larger one wins, whoever is done first.
    version bigint NOT NULL,
    external_id text COLLATE "C" NOT NULL CHECK (octet_length(external_id) BETWEEN 1 AND 512),
    -- Null: the line held no text; its error says why.
    content_sha256 bytea CHECK (octet_length(content_sha256) = 32),
    text text,
    metadata jsonb,
    PRIMARY KEY (job_id, seq)
);

CREATE SEQUENCE ovenbird.document_versions;
CREATE SEQUENCE ovenbird.lease_tokens;

CREATE TABLE ovenbird.job_segments (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id bigint NOT NULL,
    first_seq int NOT NULL,
    last_seq int NOT NULL CHECK (last_seq >= first_seq),
    -- The inputs that have no outcome yet, where those are not all of them.
    pending int[],
    byte_count bigint NOT NULL,
    state text NOT NULL CHECK (state IN ('available', 'running', 'done')),
    attempt int NOT NULL DEFAULT 0,
    run_at timestamptz NOT NULL DEFAULT now(),
    lease_token bigint,
    lease_expires_at timestamptz,
    worker text,
    -- Names the claim that leased it last, so that one whose answer was lost can be repeated.
    claim_id text COLLATE "C",
    finished_at timestamptz,
    last_error text,
    UNIQUE (job_id, first_seq),
    CHECK ((state = 'running') = (lease_token IS NOT NULL)),
    CHECK ((state = 'running') = (lease_expires_at IS NOT NULL)),
    CHECK ((state = 'done') = (finished_at IS NOT NULL))
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01);

CREATE INDEX job_segments_available ON ovenbird.job_segments (job_id, first_seq) WHERE state = 'available';
CREATE INDEX job_segments_leases ON ovenbird.job_segments (lease_expires_at) WHERE state = 'running';
CREATE INDEX job_segments_finished ON ovenbird.job_segments (job_id, finished_at) WHERE state = 'done';

-- pgvector may stand in any schema.
DO $$
BEGIN
    EXECUTE format($sql$
        CREATE TABLE ovenbird.job_results (
            job_id bigint NOT NULL,
            seq int NOT NULL,
            token_count int NOT NULL CHECK (token_count >= 0),
            truncated boolean NOT NULL,
            -- Another input of the job that has the same text and the vector.
            same_as int,
            content_sha256 bytea NOT NULL CHECK (octet_length(content_sha256) = 32),
            embedding %I.halfvec,
            PRIMARY KEY (job_id, seq),
            CHECK ((embedding IS NULL) = (same_as IS NOT NULL))
        )$sql$, (
            SELECT n.nspname FROM pg_catalog.pg_extension AS e
            JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace WHERE e.extname = 'vector'));
END
$$;
-- Halves are not worth compressing.
ALTER TABLE ovenbird.job_results ALTER embedding SET STORAGE EXTERNAL;
-- The same text by the same model is computed once: here, and in each collection, it is looked up by its hash.
CREATE INDEX job_results_text ON ovenbird.job_results USING hash (content_sha256) WHERE embedding IS NOT NULL;

CREATE TABLE ovenbird.job_errors (
    job_id bigint NOT NULL,
    seq int NOT NULL,
    code text NOT NULL,
    message text NOT NULL,
    PRIMARY KEY (job_id, seq)
);
