-- oldest-binary: 2
--
-- OpenAI's files and batches over jobs:
--
--   ovenbird.files ──► file_chunks      what was uploaded, in pieces
--   ovenbird.batches ──► batch_requests which inputs of the batch's job each line of its file became
--
-- A batch's output and error files are rows without chunks: their lines are written from batch_requests and the job's
-- results whenever they are read.

CREATE TABLE ovenbird.files (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    public_id text COLLATE "C" NOT NULL UNIQUE CHECK (public_id ~ '^file-[0-9a-z]{24}$'),
    name text NOT NULL CHECK (octet_length(name) BETWEEN 1 AND 512),
    -- Null: uploaded.
    batch_id bigint,
    part text CHECK (part IN ('output', 'error')),
    byte_count bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- When the upload last brought something.
    touched_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Null while it arrives: nobody sees it.
    completed_at timestamptz,
    expires_at timestamptz,
    CHECK ((batch_id IS NULL) = (part IS NULL)),
    CHECK ((completed_at IS NULL) = (expires_at IS NULL))
);

CREATE INDEX files_arriving ON ovenbird.files (touched_at) WHERE completed_at IS NULL;
CREATE INDEX files_expiry ON ovenbird.files (expires_at) WHERE completed_at IS NOT NULL;
CREATE INDEX files_of_batches ON ovenbird.files (batch_id) WHERE batch_id IS NOT NULL;

CREATE TABLE ovenbird.file_chunks (
    file_id bigint NOT NULL,
    seq int NOT NULL,
    bytes bytea NOT NULL,
    PRIMARY KEY (file_id, seq)
);
-- Read once and dropped: compressing costs more than it saves.
ALTER TABLE ovenbird.file_chunks ALTER bytes SET STORAGE EXTERNAL;

CREATE SEQUENCE ovenbird.batch_lease_tokens;

CREATE TABLE ovenbird.batches (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    public_id text COLLATE "C" NOT NULL UNIQUE CHECK (public_id ~ '^batch_[0-9a-z]{24}$'),
    owner text COLLATE "C" NOT NULL CHECK (octet_length(owner) BETWEEN 1 AND 64),
    status text NOT NULL CHECK (status IN (
        'validating', 'failed', 'in_progress', 'finalizing', 'completed', 'expired', 'cancelling', 'cancelled')),
    -- How it will end, from `finalizing` on.
    ending text CHECK (ending IN ('completed', 'expired', 'cancelled')),
    input_file text COLLATE "C" NOT NULL,
    output_file text COLLATE "C",
    error_file text COLLATE "C",
    metadata jsonb CHECK (jsonb_typeof(metadata) = 'object'),
    output_lifetime_seconds bigint,
    model_name text,
    -- jobs.public_id; while it is validated, of the draft.
    job text COLLATE "C",
    request_count int NOT NULL DEFAULT 0,
    completed_count int NOT NULL DEFAULT 0,
    failed_count int NOT NULL DEFAULT 0,
    input_count int NOT NULL DEFAULT 0,
    token_count bigint,
    errors jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(errors) = 'array'),
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    in_progress_at timestamptz,
    finalizing_at timestamptz,
    completed_at timestamptz,
    failed_at timestamptz,
    expired_at timestamptz,
    cancelling_at timestamptz,
    cancelled_at timestamptz,
    attempt int NOT NULL DEFAULT 0,
    run_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    lease_token bigint,
    lease_expires_at timestamptz,
    CHECK (completed_count + failed_count <= request_count),
    CHECK ((lease_token IS NULL) = (lease_expires_at IS NULL))
) WITH (fillfactor = 70);

CREATE INDEX batches_unfinished ON ovenbird.batches (run_at, id)
    WHERE status IN ('validating', 'in_progress', 'finalizing', 'cancelling');
CREATE INDEX batches_reading ON ovenbird.batches (input_file) WHERE status = 'validating';

CREATE TABLE ovenbird.batch_requests (
    batch_id bigint NOT NULL,
    line int NOT NULL CHECK (line > 0),
    custom_id text COLLATE "C" NOT NULL CHECK (octet_length(custom_id) BETWEEN 1 AND 512),
    -- Null: it was refused, and no input of the job is its.
    first_input int,
    input_count int,
    encoding text CHECK (encoding IN ('float', 'base64')),
    dimensions int,
    error_code text,
    error_message text,
    error_parameter text,
    PRIMARY KEY (batch_id, line),
    UNIQUE (batch_id, custom_id),
    CHECK ((first_input IS NULL) = (input_count IS NULL)),
    CHECK ((first_input IS NULL) = (error_code IS NOT NULL))
);
