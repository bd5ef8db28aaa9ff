-- oldest-binary: 2
--
-- What a segment brings a collection is written by a function of the collection's own, which a session plans anew only
-- when the tables' statistics change. As one statement for any collection it was planned for every segment, at a sixth of
-- the whole step's cost.

-- Whoever is making a collection is waited for, or makes it with what stands below.
LOCK TABLE ovenbird.collections IN SHARE ROW EXCLUSIVE MODE;

-- Writes a leased segment's outcomes as documents and vectors. Of one id the last input counts; and only what is later
-- than the stored version is written at all. A new version of an equal text leaves its vector's row alone.
CREATE FUNCTION ovenbird.create_collection_writer(collection_id bigint) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    vector_schema name := (
        SELECT n.nspname FROM pg_catalog.pg_extension AS e JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace
        WHERE e.extname = 'vector');
BEGIN
    -- Planned under the settings of finish_segment, which calls it.
    EXECUTE format($sql$
        CREATE OR REPLACE FUNCTION ovenbird.write_outcomes_%1$s(
            the_job bigint, first int, last int,
            seqs int[], token_counts int[], truncations boolean[], embeddings %2$I.halfvec[]
        ) RETURNS void
        LANGUAGE plpgsql
        SET plan_cache_mode = force_generic_plan
        AS $body$
        BEGIN
            WITH outcome AS MATERIALIZED (
                SELECT DISTINCT ON (i.external_id) i.external_id, i.version, i.content_sha256, i.text, i.metadata,
                    o.token_count, o.truncated, o.embedding
                FROM unnest(seqs, token_counts, truncations, embeddings)
                    AS o (seq, token_count, truncated, embedding)
                JOIN ovenbird.job_inputs AS i
                    ON i.job_id = the_job AND i.seq = o.seq AND i.seq BETWEEN first AND last
                ORDER BY i.external_id, i.version DESC
            ), written AS (
                INSERT INTO ovenbird.documents_%1$s AS d
                    (external_id, version, content_sha256, text, metadata, token_count, truncated)
                SELECT o.external_id, o.version, o.content_sha256, o.text, o.metadata, o.token_count, o.truncated
                FROM outcome AS o ORDER BY o.external_id
                ON CONFLICT (external_id) DO UPDATE SET
                    version = excluded.version,
                    content_sha256 = excluded.content_sha256,
                    text = excluded.text,
                    metadata = excluded.metadata,
                    token_count = excluded.token_count,
                    truncated = excluded.truncated,
                    revision = d.revision + 1,
                    updated_at = now()
                WHERE d.version < excluded.version
                RETURNING d.id, d.version
            )
            INSERT INTO ovenbird.vectors_%1$s AS v (document_id, embedding)
            SELECT w.id, o.embedding FROM written AS w JOIN outcome AS o ON o.version = w.version
            ON CONFLICT (document_id) DO UPDATE SET embedding = excluded.embedding
            WHERE v.embedding OPERATOR(%2$I.<>) excluded.embedding;
        END
        $body$
        $sql$, collection_id, vector_schema);
    EXECUTE format('ALTER FUNCTION ovenbird.write_outcomes_%s OWNER TO %I', collection_id, (
        SELECT pg_get_userbyid(c.relowner) FROM pg_class AS c
        WHERE c.oid = format('ovenbird.documents_%s', collection_id)::regclass));
END
$$;

CREATE OR REPLACE FUNCTION ovenbird.create_collection_tables(collection_id bigint, view_name text, dimensions int)
RETURNS void
LANGUAGE plpgsql
SET client_min_messages = warning
AS $$
DECLARE
    vector_schema name := (
        SELECT n.nspname FROM pg_catalog.pg_extension AS e JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace
        WHERE e.extname = 'vector');
BEGIN
    EXECUTE format($sql$
        CREATE TABLE ovenbird.documents_%s (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            external_id text COLLATE "C" NOT NULL UNIQUE CHECK (octet_length(external_id) BETWEEN 1 AND 512),
            -- Counts the versions of this row; 1 is the first. 0 only lives inside a writer's transaction.
            revision bigint NOT NULL DEFAULT 1,
            token_count int NOT NULL CHECK (token_count >= 0),
            truncated boolean NOT NULL,
            content_sha256 bytea NOT NULL CHECK (octet_length(content_sha256) = 32),
            created_at timestamptz NOT NULL DEFAULT now(),
            updated_at timestamptz NOT NULL DEFAULT now(),
            text text NOT NULL,
            metadata jsonb NOT NULL CHECK (jsonb_typeof(metadata) = 'object'),
            -- Of all that was ever written for this id, or waits to be, the largest is the latest.
            version bigint NOT NULL DEFAULT nextval('ovenbird.document_versions')
        )$sql$, collection_id);
    EXECUTE format('CREATE INDEX ON ovenbird.documents_%s USING hash (content_sha256)', collection_id);
    EXECUTE format($sql$
        CREATE TABLE ovenbird.vectors_%s (
            document_id bigint PRIMARY KEY,
            embedding %I.halfvec(%s) NOT NULL
        )$sql$, collection_id, vector_schema, dimensions);
    PERFORM ovenbird.create_vector_triggers(collection_id);
    PERFORM ovenbird.create_collection_writer(collection_id);
    -- 24 bytes of row header, 8 of key and 8 of vector header beside 2 bytes a dimension: up to here a row fits a page
    -- of 8 KiB and is read without the detour over TOAST, where anything over 2 KB would else go.
    IF dimensions <= 4000 THEN
        EXECUTE format('ALTER TABLE ovenbird.vectors_%s ALTER embedding SET STORAGE PLAIN', collection_id);
    END IF;
    EXECUTE format($sql$
        CREATE VIEW ovenbird_views.%I AS
            SELECT d.external_id AS id, d.text, d.metadata, v.embedding, d.token_count, d.truncated
            FROM ovenbird.documents_%s AS d JOIN ovenbird.vectors_%2$s AS v ON v.document_id = d.id
        $sql$, view_name, collection_id);
END
$$;

CREATE OR REPLACE FUNCTION ovenbird.drop_collection(collection_name text) RETURNS boolean
LANGUAGE plpgsql
SET client_min_messages = warning
AS $$
DECLARE
    old_id bigint;
BEGIN
    DELETE FROM ovenbird.collections WHERE name = collection_name RETURNING id INTO old_id;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    EXECUTE format('DROP VIEW IF EXISTS ovenbird_views.%I CASCADE', collection_name);
    -- In the order in which readers and writers lock them.
    EXECUTE format('LOCK TABLE ovenbird.documents_%s, ovenbird.vectors_%1$s', old_id);
    EXECUTE format('DROP TABLE ovenbird.vectors_%s, ovenbird.documents_%1$s CASCADE', old_id);
    EXECUTE format('DROP FUNCTION IF EXISTS ovenbird.write_outcomes_%s', old_id);
    RETURN true;
END
$$;

DO $$
BEGIN
    PERFORM ovenbird.create_collection_writer(c.id) FROM ovenbird.collections AS c;
END
$$;

-- As before, but for who writes the documents.
CREATE OR REPLACE FUNCTION ovenbird.finish_segment(
    the_segment bigint, the_token bigint,
    seqs int[], same_as int[], token_counts int[], truncations boolean[], embeddings anyarray,
    error_seqs int[], error_codes text[], error_messages text[],
    deduplicated_count bigint, read_token_count bigint
) RETURNS boolean
LANGUAGE plpgsql
-- All that is joined has some hundred rows, whatever the statistics of a table that has just been filled may say: each
-- table is read by one range of its key, and rows are matched by hash.
SET enable_nestloop = off
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
    leased record;
    target bigint;
BEGIN
    PERFORM set_config('lock_timeout', '5s', true);
    -- The client commits with its next message, and that may never come: a line that broke without a word would keep
    -- the locks for as long as TCP hopes. Longer than the client's own patience; older servers know no such limit.
    IF current_setting('server_version_num')::int >= 170000 THEN
        PERFORM set_config('transaction_timeout', '20s', true);
    END IF;
    SELECT s.job_id, s.first_seq, s.last_seq,
        coalesce(cardinality(s.pending), s.last_seq - s.first_seq + 1) AS pending_count
    INTO leased
    FROM ovenbird.job_segments AS s WHERE s.id = the_segment AND s.lease_token = the_token AND s.state = 'running'
    FOR UPDATE;
    IF FOUND THEN
        SELECT j.collection_id INTO target FROM ovenbird.jobs AS j
        WHERE j.id = leased.job_id AND j.state IN ('queued', 'running', 'paused') AND j.deleted_at IS NULL;
    END IF;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the lease % of segment % is lost', the_token, the_segment USING ERRCODE = 'OB001';
    END IF;
    IF leased.pending_count <> cardinality(seqs) + cardinality(error_seqs) THEN
        RAISE EXCEPTION 'segment % has % inputs to finish, not %', the_segment, leased.pending_count,
            cardinality(seqs) + cardinality(error_seqs);
    END IF;

    IF target IS NULL THEN
        -- What refers to another input's vector has that one's tokens; where there is no such vector, NULL is refused.
        INSERT INTO ovenbird.job_results (job_id, seq, same_as, token_count, truncated, content_sha256, embedding)
        SELECT leased.job_id, o.seq, o.same_as,
            coalesce(o.token_count, (
                SELECT r.token_count FROM ovenbird.job_results AS r
                WHERE r.job_id = leased.job_id AND r.seq = o.same_as AND r.embedding IS NOT NULL)),
            coalesce(o.truncated, (
                SELECT r.truncated FROM ovenbird.job_results AS r
                WHERE r.job_id = leased.job_id AND r.seq = o.same_as AND r.embedding IS NOT NULL)),
            i.content_sha256, o.embedding
        FROM unnest(seqs, same_as, token_counts, truncations, embeddings)
            AS o (seq, same_as, token_count, truncated, embedding)
        JOIN ovenbird.job_inputs AS i
            ON i.job_id = leased.job_id AND i.seq = o.seq AND i.seq BETWEEN leased.first_seq AND leased.last_seq;
    ELSIF cardinality(seqs) > 0 THEN
        BEGIN
            EXECUTE format('SELECT ovenbird.write_outcomes_%s($1, $2, $3, $4, $5, $6, $7)', target)
            USING leased.job_id, leased.first_seq, leased.last_seq, seqs, token_counts, truncations, embeddings;
        EXCEPTION WHEN undefined_table OR undefined_function THEN
            -- Of a collection that is there something else is missing, which may come back.
            IF EXISTS (SELECT FROM ovenbird.collections AS c WHERE c.id = target) THEN
                RAISE;
            END IF;
            -- What was leased is available again, to nobody: claims pass by a job that has ended.
            UPDATE ovenbird.job_segments SET
                state = 'available', lease_token = NULL, lease_expires_at = NULL, worker = NULL
            WHERE id = the_segment;
            UPDATE ovenbird.jobs SET
                state = 'failed', ended_at = clock_timestamp(), failure_code = 'collection_not_found',
                failure_message = format('the collection ''%s'' is gone', collection_name)
            WHERE id = leased.job_id AND state IN ('queued', 'running', 'paused');
            RETURN false;
        END;
    END IF;

    IF cardinality(error_seqs) > 0 THEN
        INSERT INTO ovenbird.job_errors (job_id, seq, code, message)
        SELECT leased.job_id, e.* FROM unnest(error_seqs, error_codes, error_messages) AS e;
    END IF;

    UPDATE ovenbird.job_segments SET
        state = 'done', lease_token = NULL, lease_expires_at = NULL, finished_at = clock_timestamp()
    WHERE id = the_segment;
    IF NOT ovenbird.count_outcomes(
        leased.job_id, cardinality(seqs), cardinality(error_seqs), deduplicated_count, read_token_count)
    THEN
        RAISE EXCEPTION 'the job of segment % has ended', the_segment USING ERRCODE = 'OB001';
    END IF;
    RETURN true;
END
$$;
