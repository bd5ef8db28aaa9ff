import App
import Embeddings
import Foundation
import JSON
import Testing

struct PrecisionReportTests {
    /// Unit vectors around a circle, 3 degrees apart and a little more each time, so that no two are equally near.
    private static func circle(_ count: Int = 12, turnedBy turn: (Int) -> Double = { _ in 0 }) -> [[Float]] {
        (0..<count).map { place in
            let angle = (3 + 0.11 * Double(place)) * Double(place) * .pi / 180 + turn(place)
            return [Float(cos(angle)), Float(sin(angle))]
        }
    }

    private static func report(_ candidate: [[Float]], _ precision: Precision = .fp32) -> PrecisionReport {
        PrecisionReport(reference: circle(candidate.count), candidate: candidate, precision: precision)
    }

    @Test func alikeVectorsHoldEveryLine() {
        for precision in Precision.allCases {
            let report = Self.report(Self.circle(), precision)
            #expect(report.holds && report.neighbourOverlap == 1 && report.textCount == 12)
            #expect(abs(report.leastCosine - 1) < 1e-7 && abs(report.meanCosine - 1) < 1e-7)
        }
    }

    @Test func lengthsDoNotCountDirectionsDo() {
        #expect(Self.report(Self.circle().map { $0.map { 3 * $0 } }).holds)
        #expect(!Self.report(Self.circle().map { $0.map { -$0 } }, .int8).holds)
    }

    /// The cosine of every text falls by 1 - cos(angle).
    @Test(arguments: [
        (Precision.fp32, 0.999_999_5, true), (.fp32, 0.999_998, false), (.bf16, 0.999_95, true), (.bf16, 0.9998, false),
        (.int8, 0.9995, true), (.int8, 0.9992, false),
    ])
    func eachPrecisionHasItsLine(precision: Precision, cosine: Double, holds: Bool) {
        let report = Self.report(Self.circle(turnedBy: { _ in acos(cosine) }), precision)
        #expect(abs(report.meanCosine - cosine) < 1e-7)
        #expect(report.holds == holds)
        // Turned alike, they keep their neighbours.
        #expect(report.neighbourOverlap == 1)
    }

    @Test func oneBadTextFailsThoughTheMeanHolds() {
        let report = Self.report(Self.circle(100, turnedBy: { $0 == 41 ? acos(0.9975) : 0 }), .int8)
        #expect(report.meanCosine > 0.9999 && abs(report.leastCosine - 0.9975) < 1e-6)
        #expect(report.worstText == 41 && !report.holds)
        #expect(report.summary.contains("FAILS, worst in text 41"))
    }

    @Test(arguments: [[Float.nan, 0], [0, 0], [.infinity, 1]])
    func vectorsWithoutADirectionFail(vector: [Float]) {
        var vectors = Self.circle()
        vectors[3] = vector
        let report = Self.report(vectors, .int8)
        #expect(!report.holds && report.worstText == 3 && report.leastCosine.isNaN)
        #expect(report.json["cosine_min"] == .null && report.json["holds"] == false)
    }

    @Test func neighboursThatMoveAreCounted() {
        // Two groups of six, far from each other: within its group each has the other five. The first text changes
        // sides; it keeps none of its neighbours, its five old ones lose one each, and the new group's members, of whom
        // it is the nearest or not, lose one each where it takes a place.
        func group(_ start: Double) -> [[Float]] {
            (0..<6).map { place in
                let angle = (start + (1 + 0.1 * Double(place)) * Double(place)) * .pi / 180
                return [Float(cos(angle)), Float(sin(angle))]
            }
        }
        let reference = group(0) + group(90)
        var moved = reference
        // Behind the end of the second group: nearer to its second half than the first member is.
        moved[0] = group(99)[0]
        let report = PrecisionReport(reference: reference, candidate: moved, precision: .int8)
        let angles = [90.0, 91.1, 92.4, 93.9, 95.6, 97.5]
        let losers = angles.filter { own in
            (angles.filter { $0 != own }.map { abs($0 - own) }.max() ?? 0) > 99 - own
        }
        let expected = (0 + 5 * 0.8 + Double(6 - losers.count) + Double(losers.count) * 0.8) / 12
        #expect(losers.count == 2 && abs(report.neighbourOverlap - expected) < 1e-12)
    }

    @Test func jsonTellsTheLineAndTheVerdict() throws {
        let report = Self.report(Self.circle(), .int8)
        let object = try #require(try JSONValue(parsing: JSONValue.object(report.json).serialized).object)
        #expect(object["precision"] == "int8" && object["texts"] == 12 && object["holds"] == true)
        #expect(object["line"] == ["cosine_min": 0.998, "cosine_mean": 0.9993])
        #expect(object["cosines"]?.array?.count == 12)
        #expect(object["neighbour_overlap"] == 1.0 && object["neighbours"] == 5)
    }
}
