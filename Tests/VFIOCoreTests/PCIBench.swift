import DeviceKit
import Devices
import SystemPackage
import TestSupport
import Testing
import VFIOCore

/// A device of a kind, open in a client.
struct PCIBench {
  let machine: Machine
  let client = MemoryClient()
  let group: Int32
  let device: Int32
  let name = "0000:06:0d.0"

  init(_ kind: PCIFunctionKind = Edu.kind) throws {
    machine = try Machine(populated: false)
    try machine.add(name, group: 240, kind: kind)
    group = try client.open(machine.vfio, 240)
    device = try client.getDevice(group, name)
  }

  func config(_ offset: UInt64, bytes: Int = 4) throws(Errno) -> UInt64 {
    try client.read(device, 7, offset, bytes: bytes)
  }

  func setConfig(_ offset: UInt64, _ value: UInt64, bytes: Int = 4) throws(Errno) {
    try client.write(device, 7, offset, value, bytes: bytes)
  }

  func readError(_ region: UInt32, _ offset: UInt64, _ count: Int = 4) -> Errno? {
    errno { () throws(Errno) in try client.pread(device, region, offset, count) }
  }

  func writeError(_ region: UInt32, _ offset: UInt64, _ count: Int = 4) -> Errno? {
    errno { () throws(Errno) in
      try client.pwrite(device, region, offset, [UInt8](repeating: 0, count: count))
    }
  }

  func event() -> (fd: Int32, event: EventDouble) {
    let event = EventDouble()
    return (client.install(.event(event)), event)
  }
}
