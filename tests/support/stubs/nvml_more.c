/* What the recorded NVML stand-in (nvml_stub.c of the samples) lacks: MIG slices, Xid events,
 * slowdowns, NVLink counters, and a state that can change while a process has the library loaded.
 * Build: gcc -shared -fPIC -Wl,-Bsymbolic -o libnvidia-ml.so.1 nvml_stub.c nvml_more.c
 *
 * With STUB_NVML_STATE=FILE every variable of both files is first looked up in FILE, which has
 * lines NAME=VALUE; -Bsymbolic makes the stand-in call the getenv below.
 *   STUB_NVML_MIG      "gpu:slices": this GPU is cut into so many slices
 *   STUB_NVML_XID      "gpu:xid:serial": one event for each new serial
 *   STUB_NVML_REASONS  "gpu:mask": clock event reasons of this GPU, 0 for the others
 *   STUB_NVML_HANG     "gpu": a call for this GPU does not come back while this is so
 *   STUB_NVML_LINKS    "1": NVLink counters that grow by 1 MiB each way and read
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef unsigned int u32;
typedef unsigned long long u64;
typedef void *device;
extern char **environ;

static char *from_environment(const char *name) {
  size_t length = strlen(name);
  for (char **each = environ; each && *each; each++)
    if (!strncmp(*each, name, length) && (*each)[length] == '=') return *each + length + 1;
  return NULL;
}

char *getenv(const char *name) {
  static __thread char lines[8][256]; /* what is returned stays valid for eight calls */
  static __thread int next;
  char *path = from_environment("STUB_NVML_STATE");
  FILE *file = path && strcmp(name, "STUB_NVML_STATE") ? fopen(path, "r") : NULL;
  if (file) {
    char *line = lines[next = (next + 1) % 8];
    size_t length = strlen(name);
    while (fgets(line, 256, file))
      if (!strncmp(line, name, length) && line[length] == '=') {
        fclose(file);
        line[strcspn(line, "\n")] = 0;
        return line + length + 1;
      }
    fclose(file);
  }
  return from_environment(name);
}

static u32 number(device d) { return (u32)((size_t)d - 1); }

static int pair(const char *name, u32 gpu, u32 *value) {
  char *text = getenv(name);
  u32 at;
  return text && sscanf(text, "%u:%u", &at, value) == 2 && at == gpu;
}

/* MIG: slice s of GPU g has the handle of "GPU" 100 * (g + 1) + s. */
int nvmlDeviceGetMigMode(device d, u32 *now, u32 *pending) {
  u32 slices;
  if (!getenv("STUB_NVML_MIG")) return 3;
  *now = *pending = pair("STUB_NVML_MIG", number(d), &slices) && slices > 0;
  return 0;
}
int nvmlDeviceGetMaxMigDeviceCount(device d, u32 *count) { (void)d; *count = 7; return 0; }
int nvmlDeviceGetMigDeviceHandleByIndex(device d, u32 index, device *slice) {
  u32 slices = 0;
  if (!pair("STUB_NVML_MIG", number(d), &slices) || index >= slices) return 6;
  *slice = (device)(size_t)(100 * (number(d) + 1) + index + 1);
  return 0;
}
int nvmlDeviceGetGpuInstanceId(device d, u32 *id) { *id = number(d) % 100; return 0; }
int nvmlGpmMigSampleGet(device d, u32 id, void *sample) { (void)d; *(u32 *)sample = id; return 0; }

/* Events. */
struct event { device d; u64 type, data; u32 gpu_instance, compute_instance; };
int nvmlEventSetCreate(void **set) { static u32 told[1]; *set = told; return 0; }
int nvmlEventSetFree(void *set) { (void)set; return 0; }
int nvmlDeviceGetSupportedEventTypes(device d, u64 *types) { (void)d; *types = 8 | 1; return 0; }
int nvmlDeviceRegisterEvents(device d, u64 types, void *set) {
  (void)d; (void)set;
  return types == 8 ? 0 : 3;
}
int nvmlEventSetWait_v2(void *set, struct event *event, u32 timeout_ms) {
  u32 gpu, xid, serial, *told = set;
  char *text = getenv("STUB_NVML_XID");
  (void)timeout_ms;
  if (!text || sscanf(text, "%u:%u:%u", &gpu, &xid, &serial) != 3 || serial <= *told) return 10;
  *told = serial;
  memset(event, 0, sizeof *event);
  event->d = (device)(size_t)(gpu + 1);
  event->type = 8;
  event->data = xid;
  return 0;
}

int nvmlDeviceGetCurrentClocksEventReasons(device d, u64 *reasons) {
  u32 mask = 0;
  for (char *gpu; (gpu = getenv("STUB_NVML_HANG")) && (u32)atoi(gpu) == number(d);) usleep(20000);
  if (!getenv("STUB_NVML_REASONS")) return 10; /* a timeout: asked again next time */
  *reasons = pair("STUB_NVML_REASONS", number(d), &mask) ? mask : 0;
  return 0;
}

struct field { u32 id, scope; long long time, latency; int type, status; union { u64 whole; } value; };
int nvmlDeviceGetFieldValues(device d, int count, struct field *fields) {
  static u64 kib;
  (void)d;
  if (!getenv("STUB_NVML_LINKS")) return 3;
  kib += 1024;
  for (int i = 0; i < count; i++) {
    fields[i].status = fields[i].scope == 0xffffffffu ? 0 : 3;
    fields[i].value.whole = kib * (fields[i].id == 138 ? 1 : 2);
  }
  return 0;
}
