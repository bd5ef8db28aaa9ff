import JSON
import NIOCore
import NIOHTTP1

/// Writes one lane's requests; all but the texts is made once.
struct LoadRequests {
    private let head: HTTPRequestHead
    private let start: [UInt8]
    private let isOneString: Bool
    let textCount: Int

    init(_ lane: LoadPlan.Lane, of plan: LoadPlan) {
        let kind = lane.kind
        textCount = kind.textsPerRequest
        isOneString = kind.textsPerRequest == 1
        var headers = HTTPHeaders()
        headers.add(name: "Host", value: plan.address.authority)
        headers.add(name: "User-Agent", value: "ovenbird-loadtest/\(OvenbirdCommand.version)")
        headers.add(name: "Accept", value: "application/json")
        headers.add(name: "Content-Type", value: "application/json")
        if let key = lane.apiKey { headers.add(name: "Authorization", value: "Bearer \(key)") }
        if let deadline = kind.deadlineMilliseconds { headers.add(name: "X-Request-Timeout-Ms", value: "\(deadline)") }
        head = HTTPRequestHead(
            version: .http1_1, method: .POST, uri: plan.address.prefix + "/v1/embeddings", headers: headers)
        var start = Array(#"{"model":"#.utf8)
        plan.modelName.writeJSON(to: &start)
        start += Array(#","encoding_format":"\#(plan.encoding.rawValue)""#.utf8)
        if let priority = kind.priority { start += Array(#","priority":"\#(priority)""#.utf8) }
        start += Array((isOneString ? #","input":"# : #","input":["#).utf8)
        self.start = start
    }

    func next(from texts: inout LoadTexts) -> (HTTPRequestHead, ByteBuffer) {
        var body = ByteBufferAllocator().buffer(capacity: start.count + textCount * 256)
        body.writeBytes(start)
        for place in 0..<textCount {
            if place > 0 { body.writeInteger(UInt8(ascii: ",")) }
            body.writeBytes(texts.next())
        }
        body.writeBytes(isOneString ? [UInt8(ascii: "}")] : [UInt8(ascii: "]"), UInt8(ascii: "}")])
        var head = head
        head.headers.add(name: "Content-Length", value: "\(body.readableBytes)")
        return (head, body)
    }
}
