import ArgumentParser

/// Where a chart goes, and as what; known before anything is measured.
package struct ChartFile: Sendable, Equatable {
    package enum Format: String, Sendable, CaseIterable {
        case svg
        case html
    }

    package let path: String
    package let format: Format

    /// - Throws: a validation error where the name's suffix is neither `.svg` nor `.html`; the parser adds the option's
    ///   name.
    package init(path: String) throws {
        let suffix = path.split(separator: "/", omittingEmptySubsequences: false).last?
            .split(separator: ".", omittingEmptySubsequences: false).dropFirst().last
        guard let format = Format.allCases.first(where: { $0.rawValue == suffix?.lowercased() }) else {
            throw ValidationError("it takes a file whose name ends in .svg or .html")
        }
        self.path = path
        self.format = format
    }

    package func write(_ chart: Chart) throws(CommandFailure) {
        var file = try AtomicOutput(path: path)
        switch format {
        case .svg: try file.write(ChartSVG.text(of: chart).utf8)
        case .html: try file.write(ChartPage.text(of: chart).utf8)
        }
        try file.finish()
    }
}
