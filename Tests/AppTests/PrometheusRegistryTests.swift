import App
import CoreMetrics
import Testing

struct PrometheusRegistryTests {
    @Test func writesCountersGaugesAndHistograms() {
        let registry = PrometheusRegistry()
        let counter = registry.makeCounter(label: "a_total", dimensions: [("kind", "x\"\\\n")])
        counter.increment(by: 2)
        registry.makeCounter(label: "a_total", dimensions: [("kind", "x\"\\\n")]).increment(by: 1)
        registry.makeMeter(label: "depth", dimensions: []).set(1.5)
        let histogram = registry.makeRecorder(label: "sizes", dimensions: [], aggregate: true)
        histogram.record(Int64(3))
        histogram.record(Int64(100_000))
        let lines = registry.scrape().split(separator: "\n")
        #expect(lines.contains(#"a_total{kind="x\"\\\n"} 3"#))
        #expect(lines.contains("depth 1.5") && lines.contains("# TYPE depth gauge"))
        #expect(lines.contains(#"sizes_bucket{le="2"} 0"#) && lines.contains(#"sizes_bucket{le="4"} 1"#))
        #expect(lines.contains(#"sizes_bucket{le="+Inf"} 2"#) && lines.contains("sizes_count 2"))
        #expect(lines.contains("sizes_sum 100003"))
    }

    @Test func anInstrumentIsThereBeforeItsFirstEvent() {
        let registry = PrometheusRegistry()
        _ = registry.makeTimer(label: "stage_seconds", dimensions: [("stage", "queue")])
        #expect(registry.scrape().contains(#"stage_seconds_count{stage="queue"} 0"#))
        #expect(registry.value(of: "stage_seconds", dimensions: [("stage", "queue")]) == 0)
        #expect(registry.value(of: "unknown") == nil)
    }

    @Test func timersAreInSeconds() {
        let registry = PrometheusRegistry()
        registry.makeTimer(label: "t_seconds", dimensions: []).recordNanoseconds(1_500_000_000)
        #expect(registry.scrape().contains("t_seconds_sum 1.5\n"))
    }
}
