import CPlugin
import ClientAccess
import DeviceKit
import Glibc
import SystemPackage
import VFIOCore

/// Makes the table of calls for one plug-in. It is never freed.
enum HostTable {
  static func make(for plugin: Plugin) -> UnsafePointer<vfio_host> {
    var table = vfio_host()
    table.size = UInt32(MemoryLayout<vfio_host>.size)
    table.abi = UInt32(VFIO_PLUGIN_ABI)
    // SAFETY: never released: the plug-in has it for ever.
    table.daemon = UnsafeRawPointer(Unmanaged.passRetained(plugin).toOpaque())
    fillBusDriver(&table)
    fillClient(&table)
    fillDevice(&table)
    let pointer = UnsafeMutablePointer<vfio_host>.allocate(capacity: 1)
    pointer.initialize(to: table)
    return UnsafePointer(pointer)
  }

  private static func fillBusDriver(_ table: inout vfio_host) {
    table.group_add_dev = { host, device, ops in
      result(host) { plugin throws(Errno) in try plugin.addDevice(device, ops) }
    }
    table.group_del_dev = { host, device in
      result(host) { plugin throws(Errno) in
        try plugin.deleteDevice(plugin.registry.busDevice(device))
      }
    }
    table.bind_dev = { host, device, data in
      result(host) { plugin throws(Errno) in
        try plugin.bindDevice(plugin.registry.busDevice(device), data)
      }
    }
    table.unbind_dev = { host, device in
      do throws(Errno) {
        let plugin = try calledPlugin(host)
        return try plugin.unbindDevice(plugin.registry.busDevice(device))
      } catch {
        errno = error.rawValue
        return nil
      }
    }
    table.register_pci = { host, model in
      result(host) { plugin throws(Errno) in try plugin.register(model) }
    }
    table.register_platform = { host, model in
      result(host) { plugin throws(Errno) in try plugin.register(model) }
    }
  }

  private static func fillClient(_ table: inout vfio_host) {
    table.copy_from_user = { host, to, from, count in
      result(host) { _ throws(Errno) in
        try Plugin.checkBuffer(to, count)
        let client = try PluginCall.client()
        if count == 0 { return }
        // SAFETY: the plug-in promises so many bytes there.
        try client.read(
          ClientAddress(UInt64(from)), into: UnsafeMutableRawBufferPointer(start: to, count: count))
      }
    }
    table.copy_to_user = { host, to, from, count in
      result(host) { _ throws(Errno) in
        try Plugin.checkBuffer(from, count)
        let client = try PluginCall.client()
        if count == 0 { return }
        // SAFETY: the plug-in promises so many bytes there.
        try client.write(
          ClientAddress(UInt64(to)), from: UnsafeRawBufferPointer(start: from, count: count))
      }
    }
  }

  private static func fillDevice(_ table: inout vfio_host) {
    table.dma_read = { host, device, iova, to, count in
      result(host) { plugin throws(Errno) in
        try Plugin.checkBuffer(to, count)
        let port = try plugin.dmaPort(of: device)
        // SAFETY: the plug-in promises so many bytes there.
        let buffer = UnsafeMutableRawBufferPointer(start: to, count: count)
        if port.read(IOVA(iova), into: buffer) != nil { throw .badAddress }
      }
    }
    table.dma_write = { host, device, iova, from, count in
      result(host) { plugin throws(Errno) in
        try Plugin.checkBuffer(from, count)
        let port = try plugin.dmaPort(of: device)
        // SAFETY: the plug-in promises so many bytes there.
        let buffer = UnsafeRawBufferPointer(start: from, count: count)
        if port.write(IOVA(iova), from: buffer) != nil { throw .badAddress }
      }
    }
    table.memory_read = { host, device, region, offset, to, count in
      result(host) { plugin throws(Errno) in
        try Plugin.checkBuffer(to, count)
        let memory = try plugin.memory(of: device, region: region, offset, count)
        // SAFETY: the plug-in promises so many bytes there.
        memory.read(at: Int(offset), into: UnsafeMutableRawBufferPointer(start: to, count: count))
      }
    }
    table.memory_write = { host, device, region, offset, from, count in
      result(host) { plugin throws(Errno) in
        try Plugin.checkBuffer(from, count)
        let memory = try plugin.memory(of: device, region: region, offset, count)
        // SAFETY: the plug-in promises so many bytes there.
        memory.write(at: Int(offset), from: UnsafeRawBufferPointer(start: from, count: count))
      }
    }
    table.set_irq = { host, device, index, subindex, isHigh in
      result(host) { plugin throws(Errno) in
        try plugin.setInterrupt(device, index, subindex, isHigh: isHigh)
      }
    }
    table.after = { host, device, nanoseconds, function, argument in
      result(host) { plugin throws(Errno) in
        guard let function else { throw .invalidArgument }
        try plugin.after(
          device, nanoseconds: nanoseconds, PluginWork(function: function, argument: argument))
      }
    }
    table.log = { host, level, text in
      guard let plugin = try? calledPlugin(host), let text else { return }
      plugin.log(level, sentence(text))
    }
  }
}

// What the functions of the table call: C functions have no self.

/// 0, or the negative errno.
private func result(_ host: UnsafePointer<vfio_host>?, _ call: (Plugin) throws(Errno) -> Void)
  -> Int32
{
  do throws(Errno) {
    try call(calledPlugin(host))
    return 0
  } catch {
    return -error.rawValue
  }
}

/// - Throws: `EINVAL` for a null pointer.
private func calledPlugin(_ host: UnsafePointer<vfio_host>?) throws(Errno) -> Plugin {
  guard let daemon = host?.pointee.daemon else { throw .invalidArgument }
  // SAFETY: the plug-in passes the table that it got, which `make` put the reference into.
  return Unmanaged<Plugin>.fromOpaque(daemon).takeUnretainedValue()
}

/// The first line of a text, and not too much of it.
private func sentence(_ text: UnsafePointer<CChar>) -> String {
  // SAFETY: the plug-in promises a NUL; not more than so many bytes are looked at.
  let count = strnlen(text, 1000)
  let bytes = UnsafeBufferPointer(start: text, count: count).map(UInt8.init(bitPattern:))
  let line = bytes.prefix { $0 != UInt8(ascii: "\n") }
  return String(decoding: line, as: UTF8.self)
    .unicodeScalars.map { $0.properties.generalCategory == .control ? " " : "\($0)" }.joined()
}
