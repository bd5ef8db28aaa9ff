import App
import ArgumentParser
import Inference
import Testing

struct BatchingOptionsTests {
    @Test(arguments: [
        ([], BatchLayout.packed), (["--layout", "padded"], .padded), (["--batching", "static"], .padded),
        (["--batching", "static", "--layout", "packed"], .packed), (["--batching", "continuous"], .packed),
    ])
    func staticBatchesArePaddedUnlessToldOtherwise(options: [String], layout: BatchLayout) throws {
        #expect(try BatchingOptions.parse(options).chosenLayout == layout)
    }
}
