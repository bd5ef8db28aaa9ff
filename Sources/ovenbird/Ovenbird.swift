import App
import Foundation

@main
struct Ovenbird {
    static func main() async {
        await OvenbirdCommand.run(
            arguments: Array(CommandLine.arguments.dropFirst()), environment: ProcessInfo.processInfo.environment)
    }
}
