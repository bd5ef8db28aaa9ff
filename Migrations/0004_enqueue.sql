-- oldest-binary: 2
--
-- Documents from SQL. A row is enqueued in its writer's own transaction, beside whatever that one writes; once it is
-- committed, a worker takes it:
--
--   ovenbird.enqueue() ──► enqueued_documents ──► ovenbird.gather_enqueued() ──► a job, as if it had come over HTTP
--
-- Nobody is notified: a NOTIFY makes the commits of a whole database wait for each other. Workers come by themselves.

CREATE TABLE ovenbird.enqueued_documents (
    -- So a collection is dropped when those who are enqueueing into it have ended, and their rows go with it.
    collection_id bigint NOT NULL REFERENCES ovenbird.collections ON DELETE CASCADE,
    external_id text COLLATE "C" NOT NULL CHECK (octet_length(external_id) BETWEEN 1 AND 512),
    text text NOT NULL CHECK (octet_length(text) BETWEEN 1 AND 1048576),
    metadata jsonb NOT NULL CHECK (jsonb_typeof(metadata) = 'object'),
    version bigint NOT NULL,
    owner text COLLATE "C" NOT NULL CHECK (octet_length(owner) BETWEEN 1 AND 64),
    enqueued_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (collection_id, external_id)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01);

-- Embeds a document into a collection, soon after the caller's transaction is committed and never otherwise. Of one id
-- the text that was committed last wins; transactions that enqueue one id wait for each other, as for any row.
CREATE FUNCTION ovenbird.enqueue(collection text, id text, text text, metadata jsonb DEFAULT '{}') RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target bigint;
    fault text := CASE
        WHEN enqueue.collection IS NULL THEN 'collection is null'
        WHEN enqueue.id IS NULL THEN 'id is null'
        WHEN enqueue.id = '' THEN 'id is empty'
        WHEN octet_length(enqueue.id) > 512
            THEN format('id has %s bytes; at most 512 are taken', octet_length(enqueue.id))
        WHEN enqueue.text IS NULL THEN 'text is null'
        WHEN enqueue.text = '' THEN 'text is empty'
        WHEN octet_length(enqueue.text) > 1048576
            THEN format('text has %s bytes; at most 1048576 are taken', octet_length(enqueue.text))
        WHEN jsonb_typeof(enqueue.metadata) <> 'object'
            THEN format('metadata must be an object, not of type %s', jsonb_typeof(enqueue.metadata))
        WHEN octet_length(enqueue.metadata::text) > 65536
            THEN format('metadata has %s bytes; at most 65536 are taken', octet_length(enqueue.metadata::text))
        WHEN enqueue.metadata @? 'strict $.**{16} ? (@.type() == "object" || @.type() == "array")'
            THEN 'metadata nests deeper than 16 levels'
        WHEN enqueue.metadata @? 'strict $.** ? (@.type() == "number" &&
                (@ > 1.7976931348623157e308 || @ < -1.7976931348623157e308))'
            THEN 'metadata holds a number beyond a double''s range'
    END;
BEGIN
    IF fault IS NOT NULL THEN
        RAISE EXCEPTION '%', fault USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- It is there until the caller's transaction has ended.
    SELECT c.id INTO target FROM ovenbird.collections AS c WHERE c.name = enqueue.collection FOR KEY SHARE;
    IF target IS NULL THEN
        RAISE EXCEPTION 'there is no collection "%"', enqueue.collection
            USING ERRCODE = 'undefined_object', HINT = 'Make it first: PUT /v1/collections/NAME.';
    END IF;
    INSERT INTO ovenbird.enqueued_documents AS d (collection_id, external_id, text, metadata, version, owner)
    VALUES (target, enqueue.id, enqueue.text, coalesce(enqueue.metadata, '{}'), 0, session_user)
    ON CONFLICT (collection_id, external_id) DO UPDATE SET
        text = excluded.text, metadata = excluded.metadata, owner = excluded.owner,
        enqueued_at = excluded.enqueued_at;
    -- The version is drawn only now that nobody else can enqueue this id before the transaction has ended: so for one id
    -- the order of versions is that of commits.
    UPDATE ovenbird.enqueued_documents AS d SET version = nextval('ovenbird.document_versions')
    WHERE d.collection_id = target AND d.external_id = enqueue.id;
END
$$;

REVOKE ALL ON FUNCTION ovenbird.enqueue FROM PUBLIC;

-- `job_` and 24 of 36 characters, from two random UUIDs without the bytes that are not random.
CREATE FUNCTION ovenbird.random_job_id() RETURNS text
LANGUAGE sql VOLATILE
AS $$
    SELECT 'job_' || string_agg(substr('0123456789abcdefghijklmnopqrstuvwxyz', 1 + get_byte(r.bytes, i) % 36, 1), '')
    FROM (SELECT uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())) AS r (bytes),
        unnest('{0,1,2,3,4,5,7,9,10,11,12,13,14,15,16,17,18,19,20,21,23,25,26,27}'::int[]) AS i
$$;

-- Takes up to `maximum` committed documents of the model's collections, and makes jobs of them, one for each collection
-- and owner: all of it or nothing. What another transaction is writing is left for later. Answers how many it took.
CREATE FUNCTION ovenbird.gather_enqueued(model_fingerprint bytea, maximum int) RETURNS int
LANGUAGE plpgsql
AS $$
DECLARE
    taken int := 0;
    target record;
    job record;
    input record;
    first_seq int;
    byte_count bigint;
BEGIN
    -- In any order, lest one collection keep the others waiting.
    FOR target IN
        SELECT c.id, c.name, c.model_version_id
        FROM ovenbird.collections AS c JOIN ovenbird.model_versions AS m ON m.id = c.model_version_id
        WHERE m.fingerprint = model_fingerprint
            AND EXISTS (SELECT FROM ovenbird.enqueued_documents AS e WHERE e.collection_id = c.id)
        ORDER BY random()
    LOOP
        EXIT WHEN taken >= maximum;
        FOR job IN
            WITH found AS MATERIALIZED (
                SELECT e.external_id FROM ovenbird.enqueued_documents AS e WHERE e.collection_id = target.id
                ORDER BY e.external_id LIMIT maximum - taken FOR UPDATE SKIP LOCKED
            ), gone AS (
                DELETE FROM ovenbird.enqueued_documents AS e USING found AS f
                WHERE e.collection_id = target.id AND e.external_id = f.external_id
                RETURNING e.*
            ), made AS (
                INSERT INTO ovenbird.jobs (
                    public_id, state, source, owner, priority, model_version_id, collection_id, collection_name, total,
                    queued_at)
                SELECT ovenbird.random_job_id(), 'queued', 'sql', g.owner, 0, target.model_version_id, target.id,
                    target.name, count(*), now()
                FROM gone AS g GROUP BY g.owner
                RETURNING id, owner, total
            ), copied AS (
                INSERT INTO ovenbird.job_inputs (
                    job_id, seq, version, external_id, content_sha256, text, metadata)
                SELECT m.id, row_number() OVER (PARTITION BY m.id ORDER BY g.version) - 1, g.version, g.external_id,
                    sha256(convert_to(g.text, 'UTF8')), g.text, g.metadata
                FROM gone AS g JOIN made AS m ON m.owner = g.owner
            )
            SELECT m.id, m.total FROM made AS m
        LOOP
            taken := taken + job.total;
            first_seq := 0;
            byte_count := 0;
            FOR input IN
                SELECT i.seq, octet_length(i.text) AS size FROM ovenbird.job_inputs AS i WHERE i.job_id = job.id
                ORDER BY i.seq
            LOOP
                -- As an upload's inputs are divided.
                IF input.seq > first_seq
                    AND (input.seq - first_seq = 256 OR byte_count + input.size > 512 * 1024)
                THEN
                    INSERT INTO ovenbird.job_segments (job_id, first_seq, last_seq, byte_count, state)
                    VALUES (job.id, first_seq, input.seq - 1, byte_count, 'available');
                    first_seq := input.seq;
                    byte_count := 0;
                END IF;
                byte_count := byte_count + input.size;
            END LOOP;
            INSERT INTO ovenbird.job_segments (job_id, first_seq, last_seq, byte_count, state)
            VALUES (job.id, first_seq, job.total - 1, byte_count, 'available');
        END LOOP;
    END LOOP;
    RETURN taken;
END
$$;

-- A document that waits to be gathered may overtake a later write as an unfinished job's may.
CREATE OR REPLACE FUNCTION ovenbird.has_unfinished_jobs(the_collection bigint) RETURNS boolean
LANGUAGE sql STABLE
RETURN EXISTS (
    SELECT FROM ovenbird.jobs AS j
    WHERE j.collection_id = the_collection AND j.state IN ('receiving', 'queued', 'running', 'paused')
        AND j.deleted_at IS NULL)
    OR EXISTS (SELECT FROM ovenbird.enqueued_documents AS e WHERE e.collection_id = the_collection);
