package import Postgres

/// The two roles that people's own SQL works under. Nobody logs in as them; whoever is to have their rights is granted
/// them: `GRANT ovenbird_writer TO alice`.
package enum DatabaseRoles {
    /// May read the collections' views, those of today and those to come, and nothing else.
    package static let reader = "ovenbird_reader"
    /// A reader who may also call `ovenbird.enqueue`.
    package static let writer = "ovenbird_writer"

    /// Makes what is missing, and sets the roles' rights in this database anew. Roles belong to the whole server, rights
    /// to one database.
    ///
    /// The connection's role must be a member of the one that owns the schema; where a role is missing, it must be allowed
    /// to make roles.
    package static func apply(on connection: PostgresConnection) async throws(PostgresError) {
        try await connection.script(script)
    }

    // Rights that were given beside these are taken back first.
    private static let script = """
        DO $$
        DECLARE
            owner name := (
                SELECT pg_catalog.pg_get_userbyid(n.nspowner) FROM pg_catalog.pg_namespace AS n
                WHERE n.nspname = 'ovenbird');
            wanted name;
        BEGIN
            -- Two at once would trip over each other's rights.
            PERFORM pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('ovenbird roles', 0));
            IF NOT pg_catalog.pg_has_role(owner, 'MEMBER') THEN
                RAISE EXCEPTION 'this role may not grant rights on what % owns', owner
                    USING ERRCODE = 'insufficient_privilege',
                    HINT = pg_catalog.format('Run ovenbird migrate --roles as %s or a superuser.', owner);
            END IF;
            FOREACH wanted IN ARRAY '{\(reader), \(writer)}'::name[] LOOP
                CONTINUE WHEN pg_catalog.to_regrole(wanted::text) IS NOT NULL;
                BEGIN
                    EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN', wanted);
                EXCEPTION
                    WHEN duplicate_object OR unique_violation THEN
                        NULL;  -- Somebody else was faster.
                    WHEN insufficient_privilege THEN
                        RAISE EXCEPTION 'this role may not create the role %', wanted
                            USING ERRCODE = 'insufficient_privilege',
                            HINT = 'Run ovenbird migrate --roles as a role with CREATEROLE; nothing else needs it.';
                END;
            END LOOP;

            REVOKE ALL ON SCHEMA ovenbird, ovenbird_views FROM \(reader), \(writer);
            REVOKE ALL ON ALL TABLES IN SCHEMA ovenbird, ovenbird_views FROM \(reader), \(writer);
            REVOKE ALL ON ALL SEQUENCES IN SCHEMA ovenbird FROM \(reader), \(writer);
            REVOKE ALL ON ALL FUNCTIONS IN SCHEMA ovenbird FROM \(reader), \(writer);

            GRANT USAGE ON SCHEMA ovenbird_views TO \(reader), \(writer);
            GRANT SELECT ON ALL TABLES IN SCHEMA ovenbird_views TO \(reader), \(writer);
            EXECUTE pg_catalog.format(
                'ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA ovenbird_views '
                'GRANT SELECT ON TABLES TO \(reader), \(writer)', owner);

            GRANT USAGE ON SCHEMA ovenbird TO \(writer);
            GRANT EXECUTE ON FUNCTION ovenbird.enqueue TO \(writer);
        END
        $$
        """
}
