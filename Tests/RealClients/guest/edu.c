// A driver for QEMU's edu device that is a whole guest: `qemu -kernel edu -device vfio-pci,…`.
//
// Says a line for each check on the debug console and leaves by the isa-debug-exit device at port
// 0xf4, with 0x10 when all went well. With `stay` on its command line it halts instead.
#include "machine.h"

enum {
  identification = 0x00, liveness = 0x04, factorial = 0x08, status = 0x20, interrupt_status = 0x24,
  interrupt_raise = 0x60, interrupt_acknowledge = 0x64, dma_source = 0x80, dma_destination = 0x88,
  dma_count = 0x90, dma_command = 0x98,
  dma_run = 1, dma_from_device = 2, dma_interrupt = 4,
  buffer = 0x40000,
  command_memory = 2, command_master = 4, command_no_intx = 0x400,
  msi_vector = 0x41,
};

static volatile uint32_t *registers;
static uint8_t function, line;
static volatile uint32_t line_interrupts, msi_interrupts, last_status;
static bool all_well = true;

static uint32_t get(uint32_t at) { return registers[at / 4]; }
static void set(uint32_t at, uint32_t value) { registers[at / 4] = value; }

static void check(const char *what, uint32_t expected, uint32_t seen) {
  if (expected == seen)
    say("ok guest: %s (0x%x)\n", what, seen);
  else
    say("FAILED guest: %s: expected 0x%x, saw 0x%x\n", what, expected, seen), all_well = false;
}

// - Returns: false where the device has raised nothing. It happens with INTx through VFIO: the first access
//   that a handler makes lets the line interrupt again, and it is still up then.
static bool acknowledge(void) {
  uint32_t bits = get(interrupt_status);
  if (bits) set(interrupt_acknowledge, last_status = bits);
  return bits;
}

__attribute__((interrupt)) static void on_line(struct frame *frame) {
  (void)frame;
  line_interrupts += acknowledge();
  end_of_line_interrupt(line);
}

__attribute__((interrupt)) static void on_msi(struct frame *frame) {
  (void)frame;
  msi_interrupts += acknowledge();
  apic[apic_eoi] = 0;
}

static uint32_t change_command(uint32_t clear, uint32_t set) {
  config_write(function, 4, (config_read(function, 4) & 0xffff & ~clear) | set);
  return config_read(function, 4) & 0xffff;
}

static void find(void) {
  function = find_function(0x1234, 0x11e8);
  if (function == 0xff) {
    check("the device is on bus 0", true, false);
    return;
  }
  say("ok guest: 1234:11e8 is 00:%x.%u\n", function >> 3, function & 7);
  check("class and revision", 0x00ff0010, config_read(function, 8));
  change_command(command_memory, 0);
  uint32_t bar = config_read(function, 0x10);
  config_write(function, 0x10, ~0u);
  check("BAR 0 has 1 MiB", 0xfff00000, config_read(function, 0x10));
  config_write(function, 0x10, bar);
  check("BAR 0 is where the firmware put it", bar, config_read(function, 0x10));
  check("memory is enabled", command_memory, change_command(0, command_memory) & command_memory);
  registers = (void *)(bar & ~15u);
}

static void use_registers(void) {
  check("identification", 0x010000ed, get(identification));
  set(liveness, 0x12345678);
  check("liveness", ~0x12345678u, get(liveness));
  set(factorial, 10);
  while (get(status) & 1) continue;
  check("factorial of 10", 3628800, get(factorial));
}

static uint8_t sent[2048], received[2048];

static void transfer(const void *source, const void *destination, uint32_t count, uint32_t how) {
  set(dma_source, (uint32_t)source);
  set(dma_destination, (uint32_t)destination);
  set(dma_count, count);
  set(dma_command, dma_run | how);
  while (get(dma_command) & dma_run) continue;
}

static uint32_t differing(void) {
  uint32_t count = 0;
  // The device writes behind the compiler's back.
  for (unsigned i = 0; i < sizeof sent; i++) count += sent[i] != ((volatile uint8_t *)received)[i];
  return count;
}

static void use_dma(void) {
  change_command(0, command_master);
  for (unsigned i = 0; i < sizeof sent; i++) sent[i] = i * 7 + 1, received[i] = 0xee;
  transfer(sent, (void *)buffer, sizeof sent, 0);
  transfer((void *)buffer, received, sizeof received, dma_from_device);
  check("DMA to the device and back: bytes that differ", 0, differing());
  check("no interrupt has come", 0, line_interrupts + msi_interrupts);
}

static void use_line(void) {
  line = config_read(function, 0x3c);
  check("interrupt pin", 1, config_read(function, 0x3c) >> 8 & 0xff);
  set_gate(pic_vector + line, on_line);
  set_line(line, true);
  set(interrupt_raise, 0x40);
  wait_for(&line_interrupts, 1);
  check("INTx: the status", 0x40, last_status);
  set(status, 0x80);
  set(factorial, 5);
  wait_for(&line_interrupts, 2);
  check("INTx when the factorial is done", 1, last_status);
  check("factorial of 5", 120, get(factorial));
  set(status, 0);
  transfer(sent, (void *)buffer, 64, dma_interrupt);
  wait_for(&line_interrupts, 3);
  check("INTx when the transfer is done", 0x100, last_status);
  for (int i = 0; i < 20; i++) {
    set(interrupt_raise, 1 << i);
    wait_for(&line_interrupts, 4 + i);
  }
  check("INTx, 20 more: how many", 23, line_interrupts);
}

static void use_msi(void) {
  uint8_t msi = find_capability(function, 5);
  check("an MSI capability with 64-bit addresses", 0x80, config_read(function, msi) >> 16 & 0x80);
  set_gate(msi_vector, on_msi);
  config_write(function, msi + 4, 0xfee00000);
  config_write(function, msi + 8, 0);
  config_write(function, msi + 12, msi_vector);
  config_write(function, msi, config_read(function, msi) | 1 << 16);
  check("MSI is enabled", 1, config_read(function, msi) >> 16 & 1);
  for (int i = 0; i < 20; i++) {
    set(interrupt_raise, 1 << i);
    wait_for(&msi_interrupts, 1 + i);
  }
  check("MSI, 20: the last status", 1 << 19, last_status);
  transfer(sent, (void *)buffer, 64, dma_interrupt);
  wait_for(&msi_interrupts, 21);
  check("MSI when the transfer is done", 0x100, last_status);
  check("INTx meanwhile: how many", 23, line_interrupts);
  config_write(function, msi, config_read(function, msi) & ~(1u << 16));
  set(interrupt_raise, 2);
  wait_for(&line_interrupts, 24);
  check("INTx again with MSI off", 2, last_status);
}

static bool stays(const uint32_t *multiboot) {
  if (!(multiboot[0] & 4)) return false;
  for (const char *word = (const char *)multiboot[4]; *word; word++)
    if (word[0] == 's' && word[1] == 't' && word[2] == 'a' && word[3] == 'y') return true;
  return false;
}

void main(const uint32_t *multiboot) {
  start_interrupts();
  find();
  if (registers) {
    use_registers();
    use_dma();
    use_line();
    use_msi();
  }
  say("guest: %s\n", all_well ? "done" : "failed");
  if (!stays(multiboot)) out8(0xf4, all_well ? 0x10 : 0x11);
}
