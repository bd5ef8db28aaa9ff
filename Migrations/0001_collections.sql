-- oldest-binary: 1
--
-- Collections, and for each its own two tables, named by number alone:
--
--   ovenbird.collections ──► ovenbird.documents_7   what changes: text, its hash, metadata
--                            ovenbird.vectors_7     what does not: halfvec(d), one row a document
--                            ovenbird_views."name"  both together, for people and their SQL
--
-- Dropping a collection is a drop of two tables, whatever their size; a collection made anew under an old name has
-- new tables, so nobody who still holds the old one can write into it; and new metadata never touches the vector's row.
--
-- pgvector may stand in any schema: nothing here, nor in the program, reaches it through the search path.

DO $$
DECLARE
    version text := (SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'vector');
BEGIN
    IF version IS NULL THEN
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_available_extensions WHERE name = 'vector') THEN
            RAISE EXCEPTION 'this PostgreSQL server has no pgvector'
                USING ERRCODE = 'feature_not_supported',
                HINT = pg_catalog.format('Install the package postgresql-%s-pgvector on the server, or run the image '
                    'pgvector/pgvector:pg%1$s; then migrate again.',
                    pg_catalog.current_setting('server_version_num')::int / 10000);
        END IF;
        BEGIN
            IF pg_catalog.to_regnamespace('public') IS NULL THEN
                CREATE SCHEMA public;
            END IF;
            CREATE EXTENSION vector SCHEMA public;
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE EXCEPTION 'this role may not create the extension pgvector in the database %',
                    pg_catalog.current_database()
                USING ERRCODE = 'insufficient_privilege',
                HINT = 'Run as a superuser in this database: CREATE EXTENSION vector; then migrate again.';
        END;
        version := (SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'vector');
    END IF;
    IF pg_catalog.string_to_array(pg_catalog.split_part(version, '-', 1), '.')::int[] < '{0,7,0}' THEN
        RAISE EXCEPTION 'pgvector % is too old: 0.7.0 or newer is needed', version
            USING ERRCODE = 'feature_not_supported',
            HINT = 'Install a newer pgvector, then run in this database: ALTER EXTENSION vector UPDATE;';
    END IF;
END
$$;

CREATE SCHEMA IF NOT EXISTS ovenbird;
CREATE SCHEMA IF NOT EXISTS ovenbird_views;

COMMENT ON SCHEMA ovenbird_views IS 'One view a collection: id, text, metadata, embedding, token_count, truncated';

-- What made a vector. Vectors of two fingerprints are never compared.
CREATE TABLE ovenbird.model_versions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text COLLATE "C" NOT NULL,
    fingerprint bytea NOT NULL CHECK (octet_length(fingerprint) = 32),
    dimensions int NOT NULL CHECK (dimensions BETWEEN 1 AND 16000),
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (fingerprint, name)
);

CREATE TABLE ovenbird.collections (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- Also the name of its view, so no longer than an identifier.
    name text COLLATE "C" NOT NULL UNIQUE CHECK (name ~ '^[a-z0-9_-]{1,63}$'),
    model_version_id bigint NOT NULL REFERENCES ovenbird.model_versions,
    metric text NOT NULL CHECK (metric IN ('cosine')),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE VIEW ovenbird.collection_details AS
    SELECT c.id, c.name, m.name AS model_name, m.fingerprint, m.dimensions, c.metric, c.created_at
    FROM ovenbird.collections AS c JOIN ovenbird.model_versions AS m ON m.id = c.model_version_id;

-- The tables and the view of a new collection.
CREATE FUNCTION ovenbird.create_collection_tables(collection_id bigint, view_name text, dimensions int) RETURNS void
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
            metadata jsonb NOT NULL CHECK (jsonb_typeof(metadata) = 'object')
        )$sql$, collection_id);
    EXECUTE format($sql$
        CREATE TABLE ovenbird.vectors_%s (
            document_id bigint PRIMARY KEY REFERENCES ovenbird.documents_%1$s ON DELETE CASCADE,
            embedding %2$I.halfvec(%3$s) NOT NULL
        )$sql$, collection_id, vector_schema, dimensions);
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

-- Answers the collection of that name, made now or before; racing calls make it once.
CREATE FUNCTION ovenbird.create_collection(
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
        END IF;
    END LOOP;
END
$$;

-- False where there was none. Views that somebody built upon the collection's own go with it.
CREATE FUNCTION ovenbird.drop_collection(collection_name text) RETURNS boolean
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
    RETURN true;
END
$$;
