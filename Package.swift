// swift-tools-version: 6.2
import PackageDescription

// Warnings in our own targets fail continuous integration, never a user's build.
let warnings: [SwiftSetting] =
    Context.environment["OVENBIRD_WARNINGS_AS_ERRORS"] == "1" ? [.treatAllWarnings(as: .error)] : []

let settings: [SwiftSetting] =
    [
        .swiftLanguageMode(.v6),
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("InternalImportsByDefault"),
        .enableUpcomingFeature("MemberImportVisibility"),
    ] + warnings

let package = Package(
    name: "ovenbird",
    dependencies: [
        .package(url: "https://github.com/apple/swift-metrics", exact: "2.13.0")
    ],
    targets: [
        .target(name: "JSON", swiftSettings: settings),
        .target(name: "Embeddings", dependencies: ["JSON"], swiftSettings: settings),
        .target(name: "Inference", dependencies: ["Embeddings"], swiftSettings: settings),
        .target(
            name: "Batching",
            dependencies: [
                "Embeddings", "Inference", .product(name: "CoreMetrics", package: "swift-metrics"),
            ], swiftSettings: settings),
        .testTarget(
            name: "BatchingTests",
            dependencies: [
                "Batching", "Embeddings", "Inference", .product(name: "CoreMetrics", package: "swift-metrics"),
                .product(name: "MetricsTestKit", package: "swift-metrics"),
            ], swiftSettings: settings),
        .testTarget(name: "JSONTests", dependencies: ["JSON"], swiftSettings: settings),
        .testTarget(name: "EmbeddingsTests", dependencies: ["Embeddings", "JSON"], swiftSettings: settings),
        .testTarget(name: "InferenceTests", dependencies: ["Embeddings", "Inference"], swiftSettings: settings),
    ]
)
