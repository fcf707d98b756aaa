/* AMD SMI stand-in for the real Python package `amdsmi`: two GPUs, with the figures of
 * rsmi_stub.c, so that both libraries must give the same keys and values.
 * The package binds every function of the library: the test adds those missing here, which answer
 * AMDSMI_STATUS_NOT_SUPPORTED (2). STUB_AMDSMI_INIT is what amdsmi_init answers.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void *handle;
typedef struct { uint64_t low, high, reserved[2]; } range;

static unsigned index_of(handle device) { return (unsigned)(uintptr_t)device - 1; }

int amdsmi_init(uint64_t flags) {
  const char *status = getenv("STUB_AMDSMI_INIT");
  (void)flags;
  return status ? atoi(status) : 0;
}
int amdsmi_status_code_to_string(int status, const char **text) {
  (void)status;
  *text = "stub";
  return 0;
}
int amdsmi_get_socket_handles(uint32_t *count, handle *sockets) {
  *count = 1;
  if (sockets) sockets[0] = (handle)1;
  return 0;
}
int amdsmi_get_processor_handles(handle socket, uint32_t *count, handle *devices) {
  (void)socket;
  *count = 2;
  for (uintptr_t i = 0; devices && i < 2; i++) devices[i] = (handle)(i + 1);
  return 0;
}
int amdsmi_get_gpu_activity(handle device, uint32_t *percent) {
  percent[0] = 61 + index_of(device);
  percent[1] = 12 + index_of(device);
  percent[2] = 0xFFFF; /* N/A */
  return 0;
}
int amdsmi_get_gpu_memory_usage(handle device, int kind, uint64_t *bytes) {
  *bytes = kind ? 0 : 51539607552ull + index_of(device);
  return 0;
}
int amdsmi_get_gpu_memory_total(handle device, int kind, uint64_t *bytes) {
  (void)device;
  *bytes = kind ? 0 : 206158430208ull;
  return 0;
}
int amdsmi_get_gpu_mem_overdrive_level(handle device, uint32_t *percent) {
  *percent = 3 + index_of(device);
  return 0;
}
int amdsmi_get_gpu_overdrive_level(handle device, uint32_t *percent) {
  *percent = 4 + index_of(device);
  return 0;
}
int amdsmi_get_temp_metric(handle device, int sensor, int metric, int64_t *celsius) {
  *celsius = metric ? 0 : 40 + 10 * sensor + index_of(device);
  return 0;
}
int amdsmi_get_power_info(handle device, char *info) {
  uint32_t current = index_of(device) ? 0xFFFF : 300, average = 290;
  memcpy(info + 8, &current, 4);
  memcpy(info + 12, &average, 4);
  return 0;
}
int amdsmi_get_power_cap_info(handle device, uint32_t sensor, uint64_t *info) {
  (void)device;
  (void)sensor;
  info[0] = 750000000;
  return 0;
}
int amdsmi_get_energy_count(handle device, uint64_t *count, float *micro_joules, uint64_t *time) {
  *count = 1000000 + index_of(device);
  *micro_joules = 15.3f;
  *time = 1;
  return 0;
}
int amdsmi_get_gpu_asic_info(handle device, char *info) {
  uint64_t model = 0x74a1;
  snprintf(info, 256, "AMD Instinct Stub %u", index_of(device));
  snprintf(info + 260, 256, "Advanced Micro Devices Inc. [AMD/ATI]");
  memcpy(info + 520, &model, 8);
  snprintf(info + 532, 256, "ABCDEF000%u", index_of(device));
  return 0;
}
int amdsmi_get_gpu_vbios_info(handle device, char *info) {
  (void)device;
  snprintf(info + 512, 256, "113-STUB-001");
  return 0;
}
int amdsmi_get_gpu_perf_level(handle device, int *level) {
  (void)device;
  *level = 0;
  return 0;
}
int amdsmi_get_gpu_od_volt_info(handle device, range *ranges) {
  if (index_of(device)) return 2;
  ranges[0] = (range){500000000, 2100000000, {0, 0}};
  ranges[1] = (range){900000000, 1300000000, {0, 0}};
  return 0;
}
