import Embeddings
import Postgres

extension HalfVector {
    /// A `halfvec[]` as the server receives it, all of it rounded into one buffer; a missing vector is NULL.
    static func arrayBytes(rounding vectors: [EmbeddingVector?], elementOID: UInt32) -> [UInt8] {
        let header = PostgresArray.header(
            elementOID: elementOID, count: vectors.count, hasNull: vectors.contains { $0 == nil })
        let byteCount = vectors.reduce(header.count) { $0 + 4 + ($1.map { 4 + 2 * $0.dimensions } ?? 0) }
        return [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, count in
            let bytes = UnsafeMutableRawBufferPointer(buffer)
            bytes.copyBytes(from: header)
            var offset = header.count
            for vector in vectors {
                guard let vector else {
                    bytes.storeBytes(of: Int32(-1), toByteOffset: offset, as: Int32.self)
                    offset += 4
                    continue
                }
                let values = inReach(vector).values
                bytes.storeBytes(of: Int32(4 + 2 * values.count).bigEndian, toByteOffset: offset, as: Int32.self)
                bytes.storeBytes(of: UInt16(values.count).bigEndian, toByteOffset: offset + 4, as: UInt16.self)
                bytes.storeBytes(of: 0, toByteOffset: offset + 6, as: UInt16.self)
                offset += 8
                values.withUnsafeBytes { values in
                    store(values, in: UnsafeMutableRawBufferPointer(rebasing: bytes[offset...]))
                }
                offset += 2 * values.count
            }
            count = offset
        }
    }

    /// Rounds `Float`s to big-endian halves, eight at a time.
    private static func store(_ floats: UnsafeRawBufferPointer, in halves: UnsafeMutableRawBufferPointer) {
        let count = floats.count / 4
        let whole = count - count % 8
        for index in stride(from: 0, to: whole, by: 8) {
            let eight = floats.loadUnaligned(fromByteOffset: 4 * index, as: SIMD8<UInt32>.self)
            halves.storeBytes(of: bigEndianHalves(eight), toByteOffset: 2 * index, as: SIMD8<UInt16>.self)
        }
        for index in whole..<count {
            let value = Float16(floats.loadUnaligned(fromByteOffset: 4 * index, as: Float.self))
            halves.storeBytes(of: value.bitPattern.bigEndian, toByteOffset: 2 * index, as: UInt16.self)
        }
    }

    /// What `Float16.init` does to each, for finite floats, given and answered as bits. Without F16C, which a build for
    /// any x86-64 may not use, `Float16.init` is a call for each value.
    @inline(__always)
    private static func bigEndianHalves(_ bits: SIMD8<UInt32>) -> SIMD8<UInt16> {
        let sign = (bits &>> 16) & 0x8000
        let magnitude = bits & 0x7fff_ffff
        // The exponent's bias goes from 127 to 15, thirteen bits of the fraction go, ties to even. The sum carries into
        // the exponent, up to infinity.
        let normal = (magnitude &+ 0xc800_0fff &+ ((magnitude &>> 13) & 1)) &>> 13
        // Below 2⁻¹⁴ a half counts in steps of 2⁻²⁴, as does a float from 0.5 to 1; the addition rounds.
        let shifted = unsafeBitCast(magnitude, to: SIMD8<Float>.self) + 0.5
        let subnormal = unsafeBitCast(shifted, to: SIMD8<UInt32>.self) &- 0x3f00_0000
        let half = normal.replacing(with: subnormal, where: magnitude .< 0x3880_0000)
            .replacing(with: 0x7c00, where: magnitude .>= 0x4780_0000)
        let value = half | sign
        return SIMD8<UInt16>(truncatingIfNeeded: (value &<< 8) & 0xff00 | (value &>> 8) & 0xff)
    }
}
