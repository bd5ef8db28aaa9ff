import Embeddings
import Testing

struct DomainTests {
    @Test func cuttingAVectorScalesItToUnitLength() {
        let cut = EmbeddingVector([0.6, 0.0, 0.8]).cut(to: 2)
        #expect(cut == EmbeddingVector([1, 0]))
    }

    @Test(arguments: [Float(1e-30), 1, 1e30])
    func normalisingKeepsTheDirection(scale: Float) throws {
        let unit = try #require(EmbeddingVector([3 * scale, 4 * scale]).normalized())
        #expect(abs(unit.values[0] - 0.6) < 1e-6 && abs(unit.values[1] - 0.8) < 1e-6)
    }

    @Test func aZeroVectorHasNoDirection() {
        #expect(EmbeddingVector([0, 0]).normalized() == nil)
        #expect(EmbeddingVector([.infinity, 0]).normalized() == nil)
    }

    @Test(arguments: ["", "A", "a b", "ä", String(repeating: "a", count: 64), "a.b"])
    func refusesCollectionNames(text: String) {
        #expect(CollectionName(text) == nil)
    }

    @Test func aDotPartsFieldsWhateverMarksFollowIt() {
        #expect(FieldPath("a.\u{301}b")?.components.map { Array($0.utf8) } == [[0x61], [0xCC, 0x81, 0x62]])
    }

    @Test(arguments: ["", ".", "a.", ".a", "a..b", "a\0"])
    func refusesFieldPaths(text: String) {
        #expect(FieldPath(text) == nil)
    }

    @Test func dotsSeparateNestedFields() {
        #expect(FieldPath("a.b c.d")?.components == ["a", "b c", "d"])
    }
}
