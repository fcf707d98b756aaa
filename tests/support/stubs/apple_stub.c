/* CoreFoundation, IOKit, IOReport and the system library of macOS in one file, as far as the probe
 * of Apple's chips calls them: a Mac with one E core, one P core, a GPU and a few sensors.
 * `stub_live` counts CF objects that were created or copied and not yet released.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct object {
  const char *text, *group, *subgroup, *unit; /* a text; a channel's name and where it belongs */
  int64_t number;                             /* a number; a channel's value */
  const void *bytes;                          /* of data */
  long count;                                 /* of bytes, items, or states */
  struct object **items;                      /* of a list; below the keys of a dictionary */
  const char **names;                         /* keys of a dictionary; states of a channel */
  const int64_t *amounts;                     /* time in each state */
} object;

static int live;
int stub_live(void) { return live; }
static object *made(object value) {
  object *new = malloc(sizeof(object));
  *new = value;
  live++;
  return new;
}
void CFRelease(object *o) {
  live--;
  free(o);
}
object *CFStringCreateWithCString(void *a, const char *text, uint32_t encoding) {
  (void)a;
  return encoding == 0x08000100 ? made((object){.text = strdup(text)}) : NULL;
}
unsigned char CFStringGetCString(object *o, char *to, long size, uint32_t encoding) {
  if (!o->text || encoding != 0x08000100) return 0;
  strncpy(to, o->text, size);
  return 1;
}
object *CFDictionaryCreateMutableCopy(void *a, long capacity, object *o) {
  (void)a;
  (void)capacity;
  return made(*o);
}
object *CFDictionaryGetValue(object *o, object *key) {
  for (long i = 0; i < o->count; i++)
    if (!strcmp(o->names[i], key->text)) return o->items[i];
  return NULL;
}
long CFArrayGetCount(object *o) { return o->count; }
object *CFArrayGetValueAtIndex(object *o, long i) { return o->items[i]; }
long CFDataGetLength(object *o) { return o->count; }
const void *CFDataGetBytePtr(object *o) { return o->bytes; }
unsigned char CFNumberGetValue(object *o, long kind, int64_t *to) {
  *to = o->number;
  return kind == 4;
}

/* --- IOReport */
static const char *cpu_states[] = {"DOWN", "IDLE", "V0P1", "V1P0"}, *gpu_states[] = {"OFF", "P1"};
static const int64_t half[] = {0, 50, 0, 50}, gpu_half[] = {50, 50};
static const char cpu[] = "CPU Stats", cores[] = "CPU Core Performance States";
static const char gpu[] = "GPU Stats", gpus[] = "GPU Performance States", energy[] = "Energy Model";
static object channels[] = {
    {.text = "CPU Energy", .group = energy, .unit = "mJ", .number = 4000},
    {.text = "GPU Energy", .group = energy, .unit = "nJ ", .number = 3000000000},
    {.text = "ANE0", .group = energy, .unit = "uJ", .number = 1000000},
    {.text = "DRAM0", .group = energy, .unit = "mJ", .number = 9},
    {.text = "ECPU0", .group = cpu, .subgroup = cores, .names = cpu_states, .amounts = half, .count = 4},
    {.text = "PCPU0", .group = cpu, .subgroup = cores, .names = cpu_states, .amounts = half, .count = 4},
    {.text = "GPUPH", .group = gpu, .subgroup = gpus, .names = gpu_states, .amounts = gpu_half, .count = 2},
};
#define CHANNELS 7
static object *all[CHANNELS];
static object list = {.items = all, .count = CHANNELS};
static object *lists[] = {&list};
static const char *list_name[] = {"IOReportChannels"};

object *IOReportCopyChannelsInGroup(object *group, object *subgroup, uint64_t a, uint64_t b, uint64_t c) {
  for (int i = 0; i < CHANNELS; i++)
    if (!strcmp(channels[i].group, group->text) && !a && !b && !c &&
        (!subgroup || !strcmp(channels[i].subgroup, subgroup->text)))
      return made((object){.text = group->text});
  return NULL;
}
void IOReportMergeChannels(object *to, object *from, void *c) {
  (void)c;
  if (!to || !from) abort();
}
object *IOReportCreateSubscription(void *a, object *wanted, object **chosen, uint64_t b, void *c) {
  (void)b;
  (void)c;
  *chosen = wanted;
  return a ? NULL : made((object){.number = 1});
}
object *IOReportCreateSamples(object *subscription, object *wanted, void *c) {
  (void)c;
  return subscription->number == 1 && wanted ? made((object){.number = 2}) : NULL;
}
object *IOReportCreateSamplesDelta(object *before, object *now, void *c) {
  (void)c;
  if (before->number != 2 || now->number != 2 || before == now) abort();
  for (int i = 0; i < CHANNELS; i++) all[i] = &channels[i];
  return made((object){.names = list_name, .items = lists, .count = 1});
}
static object texts[4];
static object *text_of(int slot, const char *text) {
  texts[slot].text = text;
  return text ? &texts[slot] : NULL;
}
object *IOReportChannelGetGroup(object *o) { return text_of(0, o->group); }
object *IOReportChannelGetSubGroup(object *o) { return text_of(1, o->subgroup); }
object *IOReportChannelGetChannelName(object *o) { return text_of(2, o->text); }
object *IOReportChannelGetUnitLabel(object *o) { return text_of(3, o->unit); }
int64_t IOReportSimpleGetIntegerValue(object *o, int32_t i) { return i ? 0 : o->number; }
int32_t IOReportStateGetCount(object *o) { return (int32_t)o->count; }
object *IOReportStateGetNameForIndex(object *o, int32_t i) { return text_of(0, o->names[i]); }
int64_t IOReportStateGetResidency(object *o, int32_t i) { return o->amounts[i]; }

/* --- IOKit: services 1 power manager, 2 GPU, 3 management controller; iterators are 10 more. */
static int left;
void *IOServiceMatching(const char *kind) { return strdup(kind); }
int IOServiceGetMatchingServices(uint32_t port, const char *kind, uint32_t *iterator) {
  const char *kinds[] = {"AppleARMIODevice", "IOAccelerator", "AppleSMC"};
  for (uint32_t i = 0; !port && i < 3; i++)
    if (!strcmp(kind, kinds[i])) {
      *iterator = 11 + i;
      left = 2; /* the second of its kind has the right name */
      return 0;
    }
  return -1;
}
uint32_t IOIteratorNext(uint32_t iterator) {
  if (!left) return 0;
  return --left ? 99 + (iterator == 12 ? 2 - 99 : 0) : iterator - 10;
}
int IORegistryEntryGetName(uint32_t service, char *to) {
  const char *names[] = {"", "pmgr", "AGXAcceleratorG13X", "AppleSMCKeysEndpoint"};
  strcpy(to, service < 4 ? names[service] : "another");
  return 0;
}
int IOObjectRelease(uint32_t o) { return o ? 0 : -1; }
static const uint32_t e_clocks[] = {600000000, 1, 2000000000, 2}, p_clocks[] = {1000000, 1, 4000000, 2};
static const uint32_t g_clocks[] = {0, 0, 1400000000, 1};
static object in_use = {.number = 1073741824};
static object *statistics[] = {&in_use};
static const char *statistics_name[] = {"In use system memory"};
object *IORegistryEntryCreateCFProperty(uint32_t service, object *key, void *a, uint32_t options) {
  if (a || options) return NULL;
  if (service == 1 && !strcmp(key->text, "voltage-states1-sram"))
    return made((object){.bytes = e_clocks, .count = sizeof e_clocks});
  if (service == 1 && !strcmp(key->text, "voltage-states5-sram"))
    return made((object){.bytes = p_clocks, .count = sizeof p_clocks});
  if (service == 1 && !strcmp(key->text, "voltage-states9"))
    return made((object){.bytes = g_clocks, .count = sizeof g_clocks});
  if (service == 2 && !strcmp(key->text, "gpu-core-count")) return made((object){.number = 8});
  if (service == 2 && !strcmp(key->text, "PerformanceStatistics"))
    return made((object){.names = statistics_name, .items = statistics, .count = 1});
  return NULL;
}
uint32_t mach_task_self_ = 4711;
int IOServiceOpen(uint32_t service, uint32_t task, uint32_t kind, uint32_t *connection) {
  *connection = 77;
  return service == 3 && task == 4711 && !kind ? 0 : -1;
}

/* --- the management controller: SMCKeyData_t as its driver declares it */
typedef struct {
  uint32_t key;
  struct { uint8_t major, minor, build, reserved; uint16_t release; } version;
  struct { uint16_t version, length; uint32_t cpu, gpu, memory; } limits;
  struct { uint32_t size, type; uint8_t attributes; } info;
  uint8_t result, status, action;
  uint32_t number;
  uint8_t bytes[32];
} key_data;
_Static_assert(sizeof(key_data) == 80, "layout");
static const struct { char name[5], type[5]; float value; } sensors[] = {
    {"#KEY", "ui32", 0},    {"Tp01", "flt ", 50}, {"Tp02", "flt ", 0},
    {"Te05", "flt ", 60},   {"Tg0a", "flt ", 45.5f}, {"Tpxx", "sp78", 1},
    {"PSTR", "flt ", 12.5f},
};
#define SENSORS 7
static uint32_t code(const char *t) {
  return (uint32_t)t[0] << 24 | (uint32_t)t[1] << 16 | (uint32_t)t[2] << 8 | (uint32_t)t[3];
}
int IOConnectCallStructMethod(uint32_t connection, uint32_t method, const key_data *in, size_t in_size,
                              key_data *out, size_t *out_size) {
  if (connection != 77 || method != 2 || in_size != 80 || *out_size != 80) return -1;
  memset(out, 0, 80);
  if (in->action == 8) {
    if (in->number >= SENSORS) return -1;
    out->key = code(sensors[in->number].name);
    return 0;
  }
  for (int i = 0; i < SENSORS; i++)
    if (code(sensors[i].name) == in->key) {
      if (in->action == 9) {
        out->info.size = 4;
        out->info.type = code(sensors[i].type);
      } else if (in->action == 5 && in->info.size == 4) {
        if (i) memcpy(out->bytes, &sensors[i].value, 4);
        else out->bytes[3] = SENSORS;
      } else return -1;
      return 0;
    }
  out->result = 0x84; /* no such key */
  return 0;
}

/* --- the kernel */
int sysctlbyname(const char *name, void *to, size_t *size, const void *from, size_t from_size) {
  static const struct { const char *name, *text; uint64_t number; size_t size; } facts[] = {
      {"machdep.cpu.brand_string", "Apple M1", 0, 9}, {"hw.model", "MacBookAir10,1", 0, 15},
      {"hw.perflevel1.physicalcpu", 0, 4, 4},         {"hw.perflevel0.physicalcpu", 0, 6, 4},
      {"hw.memsize", 0, 17179869184ull, 8},           {"hw.pagesize", 0, 16384, 8},
  };
  static const uint64_t swap[] = {2147483648ull, 1610612736ull, 536870912ull, 4096};
  if (from || from_size) return -1;
  if (!strcmp(name, "vm.swapusage")) {
    memcpy(to, swap, sizeof swap);
    *size = sizeof swap;
    return 0;
  }
  for (int i = 0; i < 6; i++)
    if (!strcmp(name, facts[i].name)) {
      memcpy(to, facts[i].text ? (const void *)facts[i].text : &facts[i].number, facts[i].size);
      *size = facts[i].size;
      return 0;
    }
  return -1;
}
uint32_t mach_host_self(void) { return 4712; }
typedef struct { /* vm_statistics64, as mach/vm_statistics.h declares it */
  uint32_t free, active, inactive, wired;
  uint64_t zero_fill, reactivations, pageins, pageouts, faults, cow_faults, lookups, hits, purges;
  uint32_t purgeable, speculative;
  uint64_t decompressions, compressions, swapins, swapouts;
  uint32_t compressor, throttled, external, internal;
  uint64_t uncompressed;
} __attribute__((aligned(8))) vm_statistics;
int host_statistics64(uint32_t host, int flavor, vm_statistics *to, uint32_t *words) {
  if (host != 4712 || flavor != 4 || *words < sizeof *to / 4) return -1;
  *to = (vm_statistics){.free = 9, .active = 100, .inactive = 50, .wired = 30, .purgeable = 5,
                        .speculative = 7, .compressor = 20, .external = 2};
  *words = sizeof *to / 4;
  return 0;
}
