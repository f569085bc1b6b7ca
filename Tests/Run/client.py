"""The document's example in Python: another run time, the same calls. Runs itself again by vfork."""
import fcntl, os, struct, subprocess, sys

GROUP_GET_INFO, GET_IOMMU_FD, GET_DEVICE_FD = 0x3B64, 0x3B67, 0x40013B68
DEVICE_GET_INFO = 0x3B6C

group = os.open("/dev/vfio/pci:240", os.O_RDWR)
info = bytearray(struct.pack("II", 8, 0))
fcntl.ioctl(group, GROUP_GET_INFO, info)
assert struct.unpack("II", info) == (8, 1), info
if len(sys.argv) == 1:
    device = fcntl.ioctl(group, GET_DEVICE_FD, bytearray(b"0000:06:0d.0\0"))
    assert os.pread(device, 4, 0) == b"\xed\x00\x00\x01"
    assert os.pread(device, 4, 7 << 40) == b"\x34\x12\xe8\x11"
    assert os.preadv(device, [bytearray(2), bytearray(2)], 7 << 40) == 4
    info = bytearray(struct.pack("IIII", 16, 0, 0, 0))
    fcntl.ioctl(device, DEVICE_GET_INFO, info)
    assert struct.unpack("IIII", info) == (16, 3, 8, 3), info
    os.close(device)
    subprocess.run([sys.executable, __file__, "child"], check=True)
    assert sorted(os.listdir("/dev/vfio")) == ["240", "pci:240", "vfio"]
print("fine")
