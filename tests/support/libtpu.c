/* A stand-in for Google's libtpu.so, as far as `trackd_agent.probes.tpu` uses it.
 *
 * What it says is read from the file METRICS: a line for each metric, with its name, its
 * description and its values, separated by tabs. A metric whose description begins with "ERROR"
 * is refused. LIBTPU_STUB=hang|crash|no_client|old in the environment makes it misbehave. */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST = 64 };
struct metric { const char *name, *description, *values[MOST]; size_t count; };
struct text { void *of; const char *text; size_t length; };
struct get_metric { void *client; const char *name; struct metric *metric; };
struct get_values { struct metric *metric; const char **values; size_t count; };

static struct metric metrics[MOST], unknown = {"", "", {0}, 0};
static int known;

static int stub_is(const char *mode) {
  const char *given = getenv("LIBTPU_STUB");
  return given && !strcmp(given, mode);
}

static void load(void) {
  FILE *file = fopen(METRICS, "r");
  char *line = NULL;
  size_t space = 0;
  if (!file) return;
  while (known < MOST && getline(&line, &space, file) > 0) {
    struct metric *metric = &metrics[known++];
    char *rest = strdup(line), *value;
    rest[strcspn(rest, "\n")] = 0;
    metric->name = strsep(&rest, "\t");
    metric->description = rest ? strsep(&rest, "\t") : "";
    while (rest && metric->count < MOST && (value = strsep(&rest, "\t")))
      metric->values[metric->count++] = value;
  }
  free(line);
  fclose(file);
}

static void *refuse(const char *message) { return strdup(message); }

static void *error_message(struct text *a) {
  a->text = a->of;
  a->length = strlen(a->of);
  return NULL;
}
static void *destroy_error(void **a) { free(*a); return NULL; }
static void *create_client(void **a) {
  if (stub_is("no_client")) return refuse("the TPU is not ready");
  load();
  *a = &metrics;
  return NULL;
}
static void *get_metric(struct get_metric *a) {
  a->metric = &unknown;
  for (int i = 0; i < known; i++)
    if (!strcmp(metrics[i].name, a->name)) a->metric = &metrics[i];
  if (!strncmp(a->metric->description, "ERROR", 5)) return refuse(a->metric->description);
  return NULL;
}
static void *get_description(struct text *a) {
  a->text = ((struct metric *)a->of)->description;
  a->length = strlen(a->text);
  return NULL;
}
static void *get_values(struct get_values *a) {
  a->values = a->metric->values;
  a->count = a->metric->count;
  return NULL;
}
static void *other(void *a) { (void)a; return NULL; }

static struct { uint32_t version[2]; void *slots[16]; } table = {
  {0, 1},
  {error_message, destroy_error, other, create_client, other, other, other, other, other,
   get_metric, get_description, get_values, other, other, other, other},
};

void *GetLibtpuSdkApi(void) {
  if (stub_is("hang")) sleep(3600);
  if (stub_is("crash")) abort();
  if (stub_is("old")) table.version[1] = 7;
  return &table;
}
