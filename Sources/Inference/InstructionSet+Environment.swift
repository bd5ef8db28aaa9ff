#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

extension InstructionSet {
    /// What the environment's `OVENBIRD_ISA` names, for tests and comparisons; else the best there is.
    package static func chosen() throws(ModelError) -> InstructionSet {
        guard let name = getenv("OVENBIRD_ISA").map({ String(cString: $0) }), !name.isEmpty else { return best }
        guard let chosen = InstructionSet(rawValue: name), available.contains(chosen) else {
            throw .unsupported(
                file: "environment", field: "OVENBIRD_ISA", value: "\"\(name)\"",
                supported: available.map(\.rawValue).joined(separator: ", "))
        }
        return chosen
    }
}
