package import Postgres

/// The schema as this binary carries it: the files of `Migrations/`, embedded by the build.
package enum SchemaMigrations {
    /// The generation of this binary. It grows when a binary stops being able to run on older schemas' data the old way;
    /// a migration's `-- oldest-binary: N` refuses those below N.
    package static let binaryGeneration = 2

    /// File names and contents. The build makes its own names of the files' (a leading digit becomes `_`), so each stands here beside its own.
    package static let files: [(name: String, bytes: [UInt8])] = [
        ("0001_collections.sql", PackageResources._001_collections_sql),
        ("0002_jobs.sql", PackageResources._002_jobs_sql),
        ("0003_segments.sql", PackageResources._003_segments_sql),
        ("0004_enqueue.sql", PackageResources._004_enqueue_sql),
        ("0005_batches.sql", PackageResources._005_batches_sql),
        ("0006_writers.sql", PackageResources._006_writers_sql),
    ]

    /// In the order in which they are applied.
    package static func all() throws(MigrationError) -> [Migration] {
        var migrations: [Migration] = []
        for file in files {
            migrations.append(
                try Migration(fileName: file.name, sql: String(decoding: file.bytes, as: UTF8.self)))
        }
        return migrations
    }

    package static func migrator() throws(MigrationError) -> Migrator {
        try Migrator(migrations: all(), binaryGeneration: binaryGeneration)
    }
}
