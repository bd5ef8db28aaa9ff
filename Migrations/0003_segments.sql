-- oldest-binary: 2
--
-- What workers do, each step one statement that the server carries out whole: it begins when all of it has arrived and
-- ends without another word from the client, so a worker that is stopped or cut off in the middle holds no lock.
--
--   available ──claim_segments──► running ──finish_segment──► done
--             ◄──give_back, postpone, rescue_segments──┘
--
-- Locks are taken in one order: segments, then owners, then documents by id, then jobs by id. Who locks a job alone waits
-- for nobody who waits for him.

-- Documents learn which write is the latest; see ovenbird.document_versions.

-- The vectors of a statement's deleted documents go with them. A foreign key would do the same, and cost every insert a
-- look-up and a lock.
CREATE FUNCTION ovenbird.delete_vectors() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        EXECUTE format('TRUNCATE ovenbird.vectors_%s', TG_ARGV[0]);
    ELSE
        EXECUTE format(
            'DELETE FROM ovenbird.vectors_%s AS v USING deleted WHERE v.document_id = deleted.id', TG_ARGV[0]);
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION ovenbird.create_vector_triggers(collection_id bigint) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    EXECUTE format($sql$
        CREATE TRIGGER delete_vectors AFTER DELETE ON ovenbird.documents_%s REFERENCING OLD TABLE AS deleted
            FOR EACH STATEMENT EXECUTE FUNCTION ovenbird.delete_vectors('%1$s')
        $sql$, collection_id);
    EXECUTE format($sql$
        CREATE TRIGGER truncate_vectors AFTER TRUNCATE ON ovenbird.documents_%s
            FOR EACH STATEMENT EXECUTE FUNCTION ovenbird.delete_vectors('%1$s')
        $sql$, collection_id);
END
$$;

DO $$
DECLARE
    collection bigint;
    foreign_key name;
BEGIN
    FOR collection IN SELECT id FROM ovenbird.collections ORDER BY id LOOP
        FOR foreign_key IN
            SELECT conname FROM pg_catalog.pg_constraint
            WHERE conrelid = format('ovenbird.vectors_%s', collection)::regclass AND contype = 'f'
        LOOP
            EXECUTE format('ALTER TABLE ovenbird.vectors_%s DROP CONSTRAINT %I', collection, foreign_key);
        END LOOP;
        -- With a constant default first, so that no row is rewritten: what is there is older than everything to come.
        EXECUTE format('ALTER TABLE ovenbird.documents_%s ADD version bigint NOT NULL DEFAULT 0', collection);
        EXECUTE format(
            $sql$ALTER TABLE ovenbird.documents_%s ALTER version SET DEFAULT nextval('ovenbird.document_versions')$sql$,
            collection);
        EXECUTE format('CREATE INDEX ON ovenbird.documents_%s USING hash (content_sha256)', collection);
        PERFORM ovenbird.create_vector_triggers(collection);
    END LOOP;
END
$$;

-- The tables and the view of a new collection.
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

CREATE INDEX jobs_unfinished ON ovenbird.jobs (collection_id)
    WHERE state IN ('receiving', 'queued', 'running', 'paused');

-- Whether a document's text may still be overtaken by one that was sent before it. Then even a write that changes nothing
-- must leave a newer version behind.
CREATE FUNCTION ovenbird.has_unfinished_jobs(the_collection bigint) RETURNS boolean
LANGUAGE sql STABLE
RETURN EXISTS (
    SELECT FROM ovenbird.jobs AS j
    WHERE j.collection_id = the_collection AND j.state IN ('receiving', 'queued', 'running', 'paused')
        AND j.deleted_at IS NULL);

-- Leases segments: of the owner served least, the job of the highest priority, of equal ones the oldest, its first one.
CREATE FUNCTION ovenbird.claim_segments(
    claimant text, wanted_fingerprint bytea, maximum_count int, lease_duration interval, the_claim text
)
RETURNS TABLE (
    segment_id bigint, token bigint, job text, collection_id bigint, collection_name text, model_name text,
    fingerprint bytea, dimensions int, metric text, attempt int, input_count int
)
LANGUAGE plpgsql
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    -- Who comes back from a rest is served first, but not for all the time that he was away.
    credit CONSTANT bigint := 8 * 1024 * 1024;
    models CONSTANT bigint[] := ARRAY(
        SELECT m.id FROM ovenbird.model_versions AS m WHERE m.fingerprint = wanted_fingerprint);
    floor CONSTANT bigint := greatest(0, (SELECT max(o.served_bytes) FROM ovenbird.job_owners AS o) - credit);
    claimed bigint[] := '{}';
    served_owners text[] := '{}';
    served_amounts bigint[] := '{}';
    candidate_owner text;
    candidate_job bigint;
    taken record;
BEGIN
    PERFORM set_config('lock_timeout', '2s', true);
    -- A token that was handed out must never be handed out again, not even after a crash.
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;

    -- Leased before, by a claim whose answer was lost on its way.
    WITH held AS MATERIALIZED (
        SELECT s.id FROM ovenbird.job_segments AS s
        WHERE s.state = 'running' AND s.claim_id = the_claim
            AND EXISTS (
                SELECT FROM ovenbird.jobs AS j
                WHERE j.id = s.job_id AND j.state IN ('queued', 'running', 'paused') AND j.deleted_at IS NULL)
        ORDER BY s.id FOR UPDATE
    ), prolonged AS (
        UPDATE ovenbird.job_segments AS s SET lease_expires_at = clock_timestamp() + lease_duration
        FROM held AS h WHERE s.id = h.id AND s.state = 'running'
        RETURNING s.id
    )
    SELECT coalesce(array_agg(p.id ORDER BY p.id), '{}') INTO claimed FROM prolonged AS p;

    <<each_segment>>
    WHILE cardinality(claimed) < maximum_count AND cardinality(models) > 0 LOOP
        FOR candidate_owner IN
            WITH RECURSIVE active AS (
                (SELECT min(j.owner) AS owner FROM ovenbird.jobs AS j WHERE j.state IN ('queued', 'running'))
                UNION ALL
                SELECT (
                    SELECT min(j.owner) FROM ovenbird.jobs AS j
                    WHERE j.state IN ('queued', 'running') AND j.owner > a.owner)
                FROM active AS a WHERE a.owner IS NOT NULL
            ), given AS (
                SELECT g.owner, sum(g.amount) AS amount FROM unnest(served_owners, served_amounts) AS g (owner, amount)
                GROUP BY g.owner
            )
            SELECT a.owner FROM active AS a
            LEFT JOIN ovenbird.job_owners AS o ON o.owner = a.owner
            LEFT JOIN given AS g ON g.owner = a.owner
            WHERE a.owner IS NOT NULL
            ORDER BY greatest(floor, coalesce(o.served_bytes, 0)) + coalesce(g.amount, 0), a.owner
        LOOP
            FOR candidate_job IN
                SELECT j.id FROM ovenbird.jobs AS j
                WHERE j.owner = candidate_owner AND j.state IN ('queued', 'running')
                    AND j.model_version_id = ANY (models) AND j.deleted_at IS NULL
                ORDER BY j.priority DESC, j.id
            LOOP
                WITH candidate AS MATERIALIZED (
                    SELECT s.id FROM ovenbird.job_segments AS s
                    WHERE s.job_id = candidate_job AND s.state = 'available' AND s.run_at <= clock_timestamp()
                    ORDER BY s.first_seq LIMIT 1 FOR UPDATE SKIP LOCKED
                )
                UPDATE ovenbird.job_segments AS s SET
                    state = 'running',
                    attempt = s.attempt + 1,
                    lease_token = nextval('ovenbird.lease_tokens'),
                    lease_expires_at = clock_timestamp() + lease_duration,
                    worker = claimant,
                    claim_id = the_claim
                FROM candidate AS c WHERE s.id = c.id AND s.state = 'available'
                RETURNING s.id, s.byte_count INTO taken;
                IF FOUND THEN
                    claimed := claimed || taken.id;
                    served_owners := served_owners || candidate_owner;
                    served_amounts := served_amounts || taken.byte_count;
                    CONTINUE each_segment;
                END IF;
            END LOOP;
        END LOOP;
        EXIT;
    END LOOP;
    IF cardinality(claimed) = 0 THEN
        RETURN;
    END IF;

    FOR taken IN
        SELECT g.owner, sum(g.amount) AS amount FROM unnest(served_owners, served_amounts) AS g (owner, amount)
        GROUP BY g.owner ORDER BY g.owner
    LOOP
        INSERT INTO ovenbird.job_owners AS o (owner, served_bytes) VALUES (taken.owner, floor + taken.amount)
        ON CONFLICT (owner) DO UPDATE SET served_bytes = greatest(o.served_bytes, floor) + taken.amount;
    END LOOP;

    WITH begun AS MATERIALIZED (
        SELECT j.id FROM ovenbird.jobs AS j
        WHERE j.id IN (SELECT s.job_id FROM ovenbird.job_segments AS s WHERE s.id = ANY (claimed))
            AND j.state = 'queued'
        ORDER BY j.id FOR UPDATE
    )
    UPDATE ovenbird.jobs AS j SET state = 'running', started_at = coalesce(j.started_at, clock_timestamp())
    FROM begun AS b WHERE j.id = b.id;

    RETURN QUERY
        SELECT s.id, s.lease_token, j.public_id, j.collection_id, j.collection_name, m.name, m.fingerprint,
            m.dimensions, coalesce(c.metric, 'cosine'), s.attempt, s.last_seq - s.first_seq + 1
        FROM unnest(claimed) WITH ORDINALITY AS k (id, position)
        JOIN ovenbird.job_segments AS s ON s.id = k.id
        JOIN ovenbird.jobs AS j ON j.id = s.job_id
        JOIN ovenbird.model_versions AS m ON m.id = j.model_version_id
        LEFT JOIN ovenbird.collections AS c ON c.id = j.collection_id
        ORDER BY k.position;
END
$$;

-- The vectors that texts of a leased segment have already. Each look-up ends with its first hit and is bounded: at most
-- 16 collections, at most 16 results of one text.
CREATE FUNCTION ovenbird.known_embeddings(the_segment bigint, the_token bigint)
RETURNS TABLE (seq int, same_as int, token_count int, truncated boolean, embedding bytea)
LANGUAGE plpgsql
-- Every table is looked up by an index, row by row, whatever the statistics of one that has just been filled may say.
SET enable_hashjoin = off
SET enable_mergejoin = off
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_material = off
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    leased record;
    vector_schema name := (
        SELECT n.nspname FROM pg_catalog.pg_extension AS e JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace
        WHERE e.extname = 'vector');
    sources text;
BEGIN
    SELECT s.job_id, s.first_seq, s.last_seq, s.pending, j.collection_id, m.fingerprint INTO leased
    FROM ovenbird.job_segments AS s
    JOIN ovenbird.jobs AS j ON j.id = s.job_id
    JOIN ovenbird.model_versions AS m ON m.id = j.model_version_id
    WHERE s.id = the_segment AND s.lease_token = the_token;
    IF NOT FOUND THEN
        RETURN;
    END IF;

    IF leased.collection_id IS NULL THEN
        sources := format($sql$
            SELECT CASE WHEN r.job_id = $1 THEN r.seq END, r.token_count, r.truncated,
                CASE WHEN r.job_id <> $1 THEN %I.halfvec_send(r.embedding) END
            FROM (
                SELECT * FROM ovenbird.job_results AS r
                WHERE r.content_sha256 = i.content_sha256 AND r.embedding IS NOT NULL LIMIT 16
            ) AS r
            JOIN ovenbird.jobs AS j ON j.id = r.job_id
            JOIN ovenbird.model_versions AS m ON m.id = j.model_version_id AND m.fingerprint = $5
            ORDER BY r.job_id <> $1, r.seq
            $sql$, vector_schema);
    ELSE
        -- The document itself, then any with that text in its collection, then in the others, the youngest first.
        SELECT string_agg(format($sql$
            (SELECT NULL::int, d.token_count, d.truncated, %I.halfvec_send(v.embedding)
            FROM ovenbird.documents_%s AS d JOIN ovenbird.vectors_%2$s AS v ON v.document_id = d.id
            WHERE %s d.content_sha256 = i.content_sha256 LIMIT 1)
            $sql$, vector_schema, near.id, near.condition), ' UNION ALL ' ORDER BY near.position)
        INTO sources
        FROM (
            SELECT leased.collection_id AS id, 'd.external_id = i.external_id AND' AS condition, 1 AS position
            UNION ALL
            SELECT leased.collection_id, '', 2
            UNION ALL
            (SELECT c.id, '', 2 + row_number() OVER (ORDER BY c.id DESC) FROM ovenbird.collections AS c
            JOIN ovenbird.model_versions AS m ON m.id = c.model_version_id
            WHERE m.fingerprint = leased.fingerprint AND c.id <> leased.collection_id ORDER BY c.id DESC LIMIT 15)
        ) AS near;
    END IF;

    RETURN QUERY EXECUTE format($sql$
        SELECT i.seq, k.* FROM ovenbird.job_inputs AS i CROSS JOIN LATERAL (%s LIMIT 1) AS k
        WHERE i.job_id = $1 AND i.seq BETWEEN $2 AND $3 AND ($4 IS NULL OR i.seq = ANY ($4))
        $sql$, sources)
        USING leased.job_id, leased.first_seq, leased.last_seq, leased.pending, leased.fingerprint;
EXCEPTION WHEN undefined_table THEN
    -- A collection was dropped meanwhile. Knowing nothing costs time, not truth.
    RETURN;
END
$$;

-- Adds to what a job has done, and ends it with its last input. False where the job has ended otherwise or was deleted.
CREATE FUNCTION ovenbird.count_outcomes(
    the_job bigint, succeeded_count bigint, failed_count bigint, deduplicated_count bigint, read_token_count bigint
) RETURNS boolean
LANGUAGE plpgsql
AS $$
BEGIN
    UPDATE ovenbird.jobs AS j SET
        succeeded = j.succeeded + succeeded_count,
        failed = j.failed + failed_count,
        deduplicated = j.deduplicated + deduplicated_count,
        token_count = j.token_count + read_token_count,
        state = CASE WHEN j.succeeded + succeeded_count + j.failed + failed_count = j.total THEN 'completed'
            ELSE j.state END,
        ended_at = CASE WHEN j.succeeded + succeeded_count + j.failed + failed_count = j.total
            THEN clock_timestamp() END
    WHERE j.id = the_job AND j.state IN ('queued', 'running', 'paused') AND j.deleted_at IS NULL;
    RETURN FOUND;
END
$$;

-- Writes what became of a leased segment's inputs, all or nothing; one call for each lease succeeds, and any other raises
-- OB001. Texts and metadata are read where they are, in job_inputs. Answers false where the job's collection is gone, and
-- the job has failed.
--
-- No insert into job_results or job_errors tolerates a conflict: a double effect must not be hidden.
CREATE FUNCTION ovenbird.finish_segment(
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
    vector_schema name;
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
            vector_schema := (
                SELECT n.nspname FROM pg_catalog.pg_extension AS e
                JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace WHERE e.extname = 'vector');
            -- Of one id the last input counts; and only what is later than the stored version is written at all. A new
            -- version of an equal text leaves its vector's row alone.
            EXECUTE format($sql$
                WITH outcome AS MATERIALIZED (
                    SELECT DISTINCT ON (i.external_id) i.external_id, i.version, i.content_sha256, i.text, i.metadata,
                        o.token_count, o.truncated, o.embedding
                    FROM unnest($2, $3, $4, $5) AS o (seq, token_count, truncated, embedding)
                    JOIN ovenbird.job_inputs AS i ON i.job_id = $1 AND i.seq = o.seq AND i.seq BETWEEN $6 AND $7
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
                WHERE v.embedding OPERATOR(%2$I.<>) excluded.embedding
                $sql$, target, vector_schema)
                USING leased.job_id, seqs, token_counts, truncations, embeddings, leased.first_seq, leased.last_seq;
        EXCEPTION WHEN undefined_table THEN
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

-- Takes expired leases away, where the server has been up for long enough to have heard of every living worker.
CREATE FUNCTION ovenbird.rescue_segments(
    maximum_attempts int, least_delay interval, most_delay interval, minimum_server_age interval,
    OUT rescued int, OUT split int, OUT failed_inputs int
)
LANGUAGE plpgsql
SET jit = off
AS $$
DECLARE
    lost record;
    waiting int[];
    middle int;
BEGIN
    rescued := 0;
    split := 0;
    failed_inputs := 0;
    IF clock_timestamp() < pg_postmaster_start_time() + minimum_server_age THEN
        RETURN;
    END IF;
    PERFORM set_config('lock_timeout', '2s', true);

    WITH expired AS MATERIALIZED (
        SELECT s.id, s.attempt, s.worker FROM ovenbird.job_segments AS s
        WHERE s.state = 'running' AND s.lease_expires_at < clock_timestamp()
            AND (s.attempt < maximum_attempts OR EXISTS (
                SELECT FROM ovenbird.jobs AS j
                WHERE j.id = s.job_id AND (j.state IN ('completed', 'cancelled', 'failed') OR j.deleted_at IS NOT NULL)))
        ORDER BY s.lease_expires_at LIMIT 1000 FOR UPDATE OF s SKIP LOCKED
    )
    UPDATE ovenbird.job_segments AS s SET
        state = 'available', lease_token = NULL, lease_expires_at = NULL, worker = NULL,
        last_error = format('the worker %s was lost', e.worker),
        run_at = clock_timestamp() + greatest(least_delay, least(most_delay,
            least_delay * power(2, least(e.attempt, 30) - 1) * (0.5 + random())))
    FROM expired AS e
    WHERE s.id = e.id AND s.state = 'running' AND s.lease_expires_at < clock_timestamp();
    GET DIAGNOSTICS rescued = ROW_COUNT;

    FOR lost IN
        SELECT s.* FROM ovenbird.job_segments AS s
        WHERE s.state = 'running' AND s.lease_expires_at < clock_timestamp() AND s.attempt >= maximum_attempts
            AND EXISTS (
                SELECT FROM ovenbird.jobs AS j
                WHERE j.id = s.job_id AND j.state IN ('queued', 'running', 'paused') AND j.deleted_at IS NULL)
        ORDER BY s.job_id, s.id LIMIT 100 FOR UPDATE OF s SKIP LOCKED
    LOOP
        waiting := coalesce(lost.pending, ARRAY(SELECT generate_series(lost.first_seq, lost.last_seq)));
        IF cardinality(waiting) > 1 THEN
            middle := cardinality(waiting) / 2;
            UPDATE ovenbird.job_segments SET
                last_seq = waiting[middle + 1] - 1,
                pending = CASE WHEN lost.pending IS NOT NULL THEN waiting[:middle] END,
                byte_count = ovenbird.byte_count(lost.job_id, waiting[:middle]),
                state = 'available', attempt = 0, run_at = clock_timestamp(),
                lease_token = NULL, lease_expires_at = NULL, worker = NULL,
                last_error = format('the worker %s was lost', lost.worker)
            WHERE id = lost.id;
            INSERT INTO ovenbird.job_segments
                (job_id, first_seq, last_seq, pending, byte_count, state, run_at, last_error)
            VALUES (
                lost.job_id, waiting[middle + 1], lost.last_seq,
                CASE WHEN lost.pending IS NOT NULL THEN waiting[middle + 1:] END,
                ovenbird.byte_count(lost.job_id, waiting[middle + 1:]), 'available', clock_timestamp(),
                format('the worker %s was lost', lost.worker));
            split := split + 1;
        ELSIF ovenbird.count_outcomes(lost.job_id, 0, 1, 0, 0) THEN
            INSERT INTO ovenbird.job_errors (job_id, seq, code, message)
            VALUES (lost.job_id, waiting[1], 'worker_lost', 'every worker that took this input was lost');
            UPDATE ovenbird.job_segments SET
                state = 'done', finished_at = clock_timestamp(), lease_token = NULL, lease_expires_at = NULL
            WHERE id = lost.id;
            failed_inputs := failed_inputs + 1;
        END IF;
    END LOOP;
END
$$;

CREATE FUNCTION ovenbird.byte_count(the_job bigint, seqs int[]) RETURNS bigint
LANGUAGE sql STABLE
RETURN (
    SELECT coalesce(sum(octet_length(i.text)), 0) FROM ovenbird.job_inputs AS i
    WHERE i.job_id = the_job AND i.seq = ANY (seqs));
