// swift-tools-version: 6.2
import PackageDescription

/// Warnings are errors in CI; a developer's half-done edit still builds.
let strict = Context.environment["CI"] != nil
let swift: [SwiftSetting] =
  [.enableUpcomingFeature("ExistentialAny"), .enableUpcomingFeature("InternalImportsByDefault")]
  + (strict ? [.treatAllWarnings(as: .error)] : [])
let c: [CSetting] =
  [.define("_GNU_SOURCE")] + (strict ? [.treatAllWarnings(as: .error)] : [])

let system = Target.Dependency.product(name: "SystemPackage", package: "swift-system")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let deque = Target.Dependency.product(name: "DequeModule", package: "swift-collections")
let heap = Target.Dependency.product(name: "HeapModule", package: "swift-collections")

let package = Package(
  name: "vfio-cused",
  products: [.executable(name: "vfio-cused", targets: ["vfio-cused"])],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
    .package(url: "https://github.com/apple/swift-collections", from: "1.1.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.6.0"),
    .package(url: "https://github.com/apple/swift-system", from: "1.4.0"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.0.0"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.6.0"),
  ],
  targets: [
    .systemLibrary(name: "CFuse3", pkgConfig: "fuse3", providers: [.apt(["libfuse3-dev"])]),
    .target(name: "CLinux", cSettings: c),
    .target(name: "CPlugin", cSettings: c),
    .target(name: "CVFIO2011", cSettings: c),
    .target(name: "VFIOABI", swiftSettings: swift),
    .target(
      name: "ClientAccess", dependencies: ["CLinux", "Threads", system], swiftSettings: swift),
    .target(name: "DeviceKit", dependencies: [system], swiftSettings: swift),
    .target(
      name: "Threads", dependencies: ["CLinux", "DeviceKit", deque, heap, system],
      swiftSettings: swift),
    .target(
      name: "SoftIOMMU", dependencies: ["CLinux", "ClientAccess", "DeviceKit", system],
      swiftSettings: swift),
    .target(
      name: "VFIOCore",
      dependencies: [
        "VFIOABI", "ClientAccess", "DeviceKit", "SoftIOMMU", logging, system,
      ], swiftSettings: swift),
    .target(
      name: "Transport", dependencies: ["ClientAccess", "VFIOCore", logging, system],
      swiftSettings: swift),
    .target(
      name: "Sysfs", dependencies: ["DeviceKit", "VFIOCore", system], swiftSettings: swift),
    .target(name: "Devices", dependencies: ["DeviceKit"], swiftSettings: swift),
    .target(
      name: "PluginHost",
      dependencies: [
        "ClientAccess", "CPlugin", "DeviceKit", "SoftIOMMU", "Threads", "VFIOABI", "VFIOCore",
        logging, system,
      ], swiftSettings: swift),
    .target(
      name: "FUSESessions",
      dependencies: ["CFuse3", "CLinux", "ClientAccess", "Threads", "Transport", logging, system],
      swiftSettings: swift),
    .target(
      name: "CUSETransport",
      dependencies: [
        "CFuse3", "CLinux", "ClientAccess", "FUSESessions", "VFIOCore", "Threads", "Transport",
        logging, system,
      ],
      swiftSettings: swift),
    .target(
      name: "SysfsMount",
      dependencies: [
        "CFuse3", "CLinux", "FUSESessions", "Sysfs", "Threads", "Transport", "VFIOCore", logging,
        system,
      ],
      swiftSettings: swift),
    .target(
      name: "SupervisorTransport",
      dependencies: [
        "CLinux", "ClientAccess", "Sysfs", "Threads", "Transport", "VFIOABI", "VFIOCore", logging,
        system,
      ],
      swiftSettings: swift),
    .target(
      name: "Control",
      dependencies: ["DeviceKit", system, .product(name: "Yams", package: "Yams")],
      swiftSettings: swift),
    // A device whose ioctls are answered later, for the CUSE transport's tests.
    .executableTarget(
      name: "waiting-daemon",
      dependencies: ["CUSETransport", "Threads", "VFIOCore", logging, system],
      path: "Tests/CUSE/WaitingDaemon", swiftSettings: swift),
    // The software IOMMU alone, for `scripts/bench iommu` and `scripts/bench dma`.
    .target(name: "DMAReference", path: "Benchmarks/dma/Reference", cSettings: c),
    .executableTarget(
      name: "memory-benchmark",
      dependencies: [
        "CLinux", "ClientAccess", "DMAReference", "DeviceKit", "SoftIOMMU", system,
      ],
      path: "Benchmarks/iommu/Program", swiftSettings: swift),
    .executableTarget(
      name: "vfio-cused",
      dependencies: [
        "CLinux", "Control", "CUSETransport", "DeviceKit", "Devices", "FUSESessions", "PluginHost",
        "SoftIOMMU", "SupervisorTransport", "Sysfs", "SysfsMount", "Threads", "Transport",
        "VFIOCore", logging,
        system,
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
        .product(name: "UnixSignals", package: "swift-service-lifecycle"),
      ], swiftSettings: swift),
    .testTarget(
      name: "ControlTests", dependencies: ["Control", "DeviceKit", system], swiftSettings: swift),
    .target(
      name: "TestSupport", dependencies: ["ClientAccess", "DeviceKit", system],
      path: "Tests/TestSupport", swiftSettings: swift),
    .testTarget(
      name: "MachineTests",
      dependencies: [
        "Control", "DeviceKit", "TestSupport", "VFIOCore", "vfio-cused", logging, system,
      ],
      swiftSettings: swift),
    .testTarget(
      name: "ClientAccessTests", dependencies: ["ClientAccess", "CLinux", "Threads", system],
      swiftSettings: swift),
    .testTarget(name: "ThreadsTests", dependencies: ["Threads"], swiftSettings: swift),
    .testTarget(
      name: "CUSETransportTests", dependencies: ["ClientAccess", "CUSETransport", system],
      swiftSettings: swift),
    .testTarget(
      name: "FUSESessionsTests", dependencies: ["CFuse3", "FUSESessions", "Threads"],
      swiftSettings: swift),
    .target(name: "CVFIOLinux", path: "Tests/CVFIOLinux", cSettings: c),
    .testTarget(
      name: "VFIOABITests", dependencies: ["CVFIO2011", "CVFIOLinux", "VFIOABI"],
      swiftSettings: swift),
    .testTarget(
      name: "SoftIOMMUTests",
      dependencies: [
        "CLinux", "ClientAccess", "DeviceKit", "SoftIOMMU", "TestSupport", "Threads", system,
      ], swiftSettings: swift),
    .testTarget(
      name: "VFIOCoreTests",
      dependencies: [
        "ClientAccess", "DeviceKit", "Devices", "SoftIOMMU", "TestSupport", "VFIOABI", "VFIOCore",
        logging, system,
      ], swiftSettings: swift),
    .testTarget(
      name: "SupervisorTransportTests",
      dependencies: ["CLinux", "ClientAccess", "SupervisorTransport", system], swiftSettings: swift),
    .testTarget(
      name: "SysfsTests",
      dependencies: [
        "ClientAccess", "DeviceKit", "Devices", "Sysfs", "TestSupport", "VFIOABI", "VFIOCore",
        logging, system,
      ], swiftSettings: swift),
    .testTarget(
      name: "SysfsMountTests", dependencies: ["Sysfs", "SysfsMount", system], swiftSettings: swift),
    .testTarget(
      name: "DevicesTests", dependencies: ["DeviceKit", "Devices", "TestSupport"],
      swiftSettings: swift),
  ],
  swiftLanguageModes: [.v6]
)
