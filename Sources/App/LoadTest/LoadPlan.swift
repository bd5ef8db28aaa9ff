/// A load, ready to be sent: who asks whom for what, for how long, within which bounds.
package struct LoadPlan: Sendable {
    package struct Lane: Sendable {
        package let kind: ClientKind
        package let apiKey: String?
        /// Its own; nil: it takes the next of those that all lanes share.
        package let texts: LoadTexts?

        package init(kind: ClientKind, apiKey: String? = nil, texts: LoadTexts? = nil) {
            self.kind = kind
            self.apiKey = apiKey
            self.texts = texts
        }
    }

    package enum Encoding: String, Sendable, CaseIterable {
        case base64
        case float
    }

    /// What a closed loop's user does with a refusal that says when to come back.
    package enum RetryAfter: String, Sendable, CaseIterable {
        case honour
        case ignore
    }

    package var address: ServiceAddress
    package var lanes: [Lane]
    package var texts: LoadTexts
    package var modelName: String
    package var encoding = Encoding.base64
    /// Whether answers are read whole, vectors too.
    package var isChecked = false
    package var retryAfter = RetryAfter.honour
    package var seed: UInt64 = 1
    /// Before anything counts.
    package var warmUp: Duration = .seconds(1)
    package var duration: Duration = .seconds(10)
    /// For one answer; also how long the last answers are waited for.
    package var requestTimeout: Duration = .seconds(60)
    package var maximumRequestCount = 1_000_000
    package var maximumConnectionCount = 1_024
    /// A later answer does no good, and goodput goes without it; nil: any is good.
    package var goodLatency: Duration?

    package init(address: ServiceAddress, lanes: [Lane], texts: LoadTexts, modelName: String) {
        self.address = address
        self.lanes = lanes
        self.texts = texts
        self.modelName = modelName
    }

    /// When the last request may be wanted, since the beginning.
    var end: Duration { warmUp + duration }

    /// A user whose request came to nothing waits that long, lest a server that is down is hammered.
    static let pauseAfterFailure: Duration = .milliseconds(100)
    /// The longest that a server's word on when to come back is believed.
    static let longestPause: Duration = .seconds(120)
}
