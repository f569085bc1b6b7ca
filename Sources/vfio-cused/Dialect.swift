public import ArgumentParser
public import Sysfs

extension SysfsDialect: ExpressibleByArgument {
  static let help: ArgumentHelp = """
    What /sys is like: draft2011, as the VFIO document has it, or mainline, as Linux has it today. /dev/vfio \
    has the nodes of both.
    """
}
