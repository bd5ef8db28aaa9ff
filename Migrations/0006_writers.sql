-- oldest-binary: 2
--
-- What a segment brings a collection is written by a function of the collection's own, which each session plans once. As
-- one statement for any collection it was planned again for every segment, at a sixth of the whole step's cost.

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
    -- All that is joined has some hundred rows, whatever the statistics of a table that has just been filled may say: each
    -- table is read by one range of its key, and rows are matched by hash.
    EXECUTE format($sql$
        CREATE FUNCTION ovenbird.write_outcomes_%1$s(
            the_job bigint, first int, last int,
            seqs int[], token_counts int[], truncations boolean[], embeddings %2$I.halfvec[]
        ) RETURNS void
        LANGUAGE plpgsql
        SET plan_cache_mode = force_generic_plan
        SET enable_nestloop = off
        SET enable_seqscan = off
        SET jit = off
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
END
$$;

CREATE OR REPLACE FUNCTION ovenbird.create_collection(
    collection_name text, model_name text, model_fingerprint bytea, model_dimensions int, collection_metric text,
    OUT created boolean, OUT collection ovenbird.collection_details
)
LANGUAGE plpgsql
AS $$
DECLARE
    version_id bigint;
    new_id bigint;
BEGIN
    created := false;
    LOOP
        SELECT * INTO collection FROM ovenbird.collection_details AS c WHERE c.name = collection_name;
        EXIT WHEN FOUND;

        INSERT INTO ovenbird.model_versions (name, fingerprint, dimensions)
        VALUES (model_name, model_fingerprint, model_dimensions)
        ON CONFLICT (fingerprint, name) DO NOTHING;
        SELECT m.id INTO STRICT version_id FROM ovenbird.model_versions AS m
        WHERE m.fingerprint = model_fingerprint AND m.name = model_name;

        INSERT INTO ovenbird.collections (name, model_version_id, metric)
        VALUES (collection_name, version_id, collection_metric)
        ON CONFLICT (name) DO NOTHING
        RETURNING id INTO new_id;
        IF FOUND THEN
            created := true;
            PERFORM ovenbird.create_collection_tables(new_id, collection_name, model_dimensions);
            PERFORM ovenbird.create_collection_writer(new_id);
        END IF;
    END LOOP;
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
