import ArgumentParser
import Embeddings
import JSON

/// `ovenbird model verify`.
struct ModelVerifyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract:
            "Compares a model's vectors, in each precision, with independently computed float32 ones over built-in texts.",
        discussion: "Ends with exit code 1 where a precision is below its line.")

    @Argument(help: ArgumentHelp("Folder of the model.", valueName: "dir"))
    var directory: String

    @Option(help: "auto, fp32, bf16 or int8. Default: every precision that this processor can run.")
    var precision: PrecisionChoice?

    @Flag(help: "One JSON object on the last line of standard output.")
    var json = false

    func run() throws {
        let precisions: [Precision]
        if let precision {
            precisions = [try ModelFolder.precision(of: precision)]
        } else {
            precisions = try ModelFolder.availablePrecisions()
        }
        let reports = try PrecisionCheck.run(directory: directory, precisions: precisions)
        let holds = reports.allSatisfy(\.holds)
        if json {
            let object = JSONObject([
                "texts": .number(JSONNumber(VerificationTexts.all.count)), "holds": .bool(holds),
                "precisions": .array(reports.map { .object($0.json) }),
            ])
            print(JSONValue.object(object).serialized)
        } else {
            for report in reports { print(report.summary) }
        }
        if !holds {
            let failed = reports.filter { !$0.holds }.map(\.precision.rawValue).joined(separator: ", ")
            throw CommandFailure.failed("the model in '\(directory)' is below its line in \(failed)")
        }
    }
}
