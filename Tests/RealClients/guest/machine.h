// The PC that the payload runs on: ports, PCI configuration, interrupts, and where its words go.
#ifndef MACHINE_H
#define MACHINE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

static inline void out8(uint16_t port, uint8_t value) {
  __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}
static inline uint8_t in8(uint16_t port) {
  uint8_t value;
  __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}
static inline void out32(uint16_t port, uint32_t value) {
  __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}
static inline uint32_t in32(uint16_t port) {
  uint32_t value;
  __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}

// What is said goes to the debug console. Knows %s, %u and %x.
static void say(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  for (; *format; format++) {
    if (*format != '%') {
      out8(0xe9, *format);
      continue;
    }
    format++;
    if (*format == 's') {
      for (const char *text = va_arg(arguments, const char *); *text; text++) out8(0xe9, *text);
      continue;
    }
    uint32_t base = *format == 'x' ? 16 : 10, number = va_arg(arguments, uint32_t);
    char digits[12];
    int count = 0;
    do digits[count++] = "0123456789abcdef"[number % base];
    while (number /= base);
    while (count) out8(0xe9, digits[--count]);
  }
  va_end(arguments);
}

// A function of bus 0 is `device << 3 | function`.
static uint32_t config_read(uint8_t function, uint8_t offset) {
  out32(0xcf8, 1u << 31 | function << 8 | (offset & 0xfc));
  return in32(0xcfc);
}
static void config_write(uint8_t function, uint8_t offset, uint32_t value) {
  out32(0xcf8, 1u << 31 | function << 8 | (offset & 0xfc));
  out32(0xcfc, value);
}

// - Returns: 0xff where no function has these IDs.
static uint8_t find_function(uint16_t vendor, uint16_t device) {
  for (int function = 0; function < 0xff; function++)
    if (config_read(function, 0) == ((uint32_t)device << 16 | vendor)) return function;
  return 0xff;
}

// - Returns: the offset of a capability, 0 where there is none of this kind.
static uint8_t find_capability(uint8_t function, uint8_t id) {
  if (!(config_read(function, 4) >> 16 & 0x10)) return 0;
  for (uint8_t at = config_read(function, 0x34) & 0xfc, left = 48; at && left; left--) {
    uint32_t header = config_read(function, at);
    if ((header & 0xff) == id) return at;
    at = header >> 8 & 0xfc;
  }
  return 0;
}

struct frame;

struct __attribute__((packed)) gate {
  uint16_t low, selector;
  uint8_t zero, type;
  uint16_t high;
};
static struct gate gates[256];

static void set_gate(uint8_t vector, void (*handler)(struct frame *)) {
  uint16_t selector;
  __asm__("mov %%cs, %0" : "=r"(selector));
  uint32_t address = (uint32_t)handler;
  gates[vector] = (struct gate){address, selector, 0, 0x8e, address >> 16};
}

static volatile uint32_t *const apic = (void *)0xfee00000;
enum { apic_eoi = 0xb0 / 4, apic_spurious = 0xf0 / 4, spurious_vector = 0xff, pic_vector = 0x20 };

__attribute__((interrupt)) static void ignore_interrupt(struct frame *frame) { (void)frame; }

__attribute__((interrupt)) static void ignore_cascade(struct frame *frame) {
  (void)frame;
  out8(0x20, 0x20);
}

// Turns interrupts on, with every line of the PICs masked.
static void start_interrupts(void) {
  static const uint8_t words[][2] = {
      {0x20, 0x11}, {0xa0, 0x11}, {0x21, pic_vector}, {0xa1, pic_vector + 8}, {0x21, 4},
      {0xa1, 2},    {0x21, 1},    {0xa1, 1},          {0x21, 0xff},           {0xa1, 0xff}};
  for (unsigned i = 0; i < sizeof words / sizeof *words; i++) out8(words[i][0], words[i][1]);
  set_gate(spurious_vector, ignore_interrupt);
  // What a PIC says when the line has fallen before it was asked which it is.
  set_gate(pic_vector + 7, ignore_interrupt);
  set_gate(pic_vector + 15, ignore_cascade);
  struct __attribute__((packed)) {
    uint16_t limit;
    uint32_t base;
  } table = {sizeof gates - 1, (uint32_t)gates};
  __asm__ volatile("lidt %0" : : "m"(table));
  apic[apic_spurious] = 0x100 | spurious_vector;
  __asm__ volatile("sti");
}

// Lets a line of the PICs through, or stops it.
static void set_line(uint8_t line, bool open) {
  uint16_t port = line < 8 ? 0x21 : 0xa1;
  uint8_t bit = 1 << (line & 7);
  if (line >= 8) out8(0x21, open ? in8(0x21) & ~4 : in8(0x21));
  out8(port, open ? in8(port) & ~bit : in8(port) | bit);
}
static void end_of_line_interrupt(uint8_t line) {
  if (line >= 8) out8(0xa0, 0x20);
  out8(0x20, 0x20);
}

// Sleeps until `*counter` is `count`: for ever where it does not get there.
static void wait_for(volatile uint32_t *counter, uint32_t count) {
  __asm__ volatile("cli");
  while (*counter < count) __asm__ volatile("sti; hlt; cli" : : : "memory");
  __asm__ volatile("sti");
}

#endif
