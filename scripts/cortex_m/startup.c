/* The least that a Cortex-M of QEMU's board mps2-an385 or mps2-an500 needs to run a program that prints: a table of
   vectors, and newlib's semihosting, which lets the simulator print. */
#include <stdint.h>
#include <stdlib.h>

extern uint32_t stack_top;
extern uint32_t data_in_flash, data_begin, data_end, bss_begin, bss_end;
extern void initialise_monitor_handles(void);
int main(void);

static void reset(void) {
  const uint32_t* from = &data_in_flash;
  for (uint32_t* to = &data_begin; to < &data_end;) *to++ = *from++;
  for (uint32_t* to = &bss_begin; to < &bss_end;) *to++ = 0;
  initialise_monitor_handles();
  exit(main());
}

static void fault(void) { exit(3); }

__attribute__((section(".vectors"), used)) static const struct {
  uint32_t* stack;
  void (*handlers[15])(void);
} vectors = {&stack_top, {reset, fault, fault, fault, fault, fault}};
