import Embeddings
import HTTPTypes
import HummingbirdCore
import JSON
import Synchronization

extension Endpoints {
    /// `/readyz`: whether embedding works; with `?require=storage`, the store too.
    func readiness(_ request: Request) async -> Response {
        var needsStorage = false
        do throws(RequestError) {
            for (name, value) in try QueryItems(request.uri.query).items where name == "require" {
                guard value == "storage" else {
                    throw .invalidValue(field: "require", reason: "require knows only 'storage'")
                }
                needsStorage = true
            }
        } catch { return APIError(error).response }

        let fault = await readiness.fault(
            embedder: embedder.base, timeout: configuration.readinessTimeout, clock: clock)
        var report: JSONObject = JSONObject(["embedding": .string(fault ?? "ok")])
        var isReady = fault == nil
        if needsStorage {
            let fault: String?
            if let store {
                let error = await store.unavailability()
                if let error { log(error) }
                fault = error?.description
            } else {
                fault = APIError(RequestError.databaseNotConfigured).message
            }
            report["storage"] = .string(fault ?? "ok")
            isReady = isReady && fault == nil
        }
        report["status"] = isReady ? "ready" : "not ready"
        return .json(isReady ? .ok : .serviceUnavailable, .object(report))
    }
}

/// Asks the encoder for one short text, and remembers the answer for a moment, so that probes cost nothing.
final class ReadinessProbe: Sendable {
    /// A Mutex: two fields, never held across an await.
    private let last = Mutex<(at: ContinuousClock.Instant, fault: String?)?>(nil)
    private let lifetime: Duration

    init(lifetime: Duration) {
        self.lifetime = lifetime
    }

    /// Nil where embedding works, else why it does not.
    func fault(embedder: any Embedder, timeout: Duration, clock: any Clock<Duration>) async -> String? {
        guard embedder.isReady else { return "a compute thread is being replaced" }
        let remembered = last.withLock { $0 }
        if let remembered, ContinuousClock.now - remembered.at < lifetime { return remembered.fault }
        let fault = await Self.probe(embedder, timeout: timeout, clock: clock)
        last.withLock { $0 = (ContinuousClock.now, fault) }
        return fault
    }

    private static func probe(
        _ embedder: any Embedder, timeout: Duration, clock: any Clock<Duration>
    ) async -> String? {
        await withTaskGroup(of: String?.self) { group in
            group.addTask {
                do throws(EmbeddingError) {
                    _ = try await embedder.embed(EmbeddingRequest(inputs: [.text("ready")]))
                    return nil
                } catch {
                    // A full queue is answered 429 by those who ask for vectors; the encoder works.
                    if case .overloaded = error { return nil }
                    return error.description
                }
            }
            group.addTask {
                // Cancelled once the encoder has answered: then nobody reads this result.
                try? await clock.sleep(for: timeout)
                return "no answer within \(timeout)"
            }
            let first = await group.next() ?? nil
            group.cancelAll()
            return first
        }
    }
}
