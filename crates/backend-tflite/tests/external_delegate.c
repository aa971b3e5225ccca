/* A delegate that does what its option "mode" says, for the tests:

     accept   takes no operator
     fill     takes every operator, and sets all bytes of the outputs to the option "byte"
     refuse   fails when it is applied to a model
     break    takes every operator, and fails from the run on that the option "run" counts
     (other)  cannot be created

   The option "library" names TensorFlow Lite's own library, whose functions it calls. */

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OK = 0, ERROR = 1, BUILTIN_DELEGATE = 51 };

/* TfLiteOpaqueDelegateBuilder. */
struct builder {
  void *data;
  int (*prepare)(void *context, void *delegate, void *data);
  void *copy_from;
  void *copy_to;
  void *free_handle;
  int64_t flags;
};

static void *(*delegate_create)(const struct builder *);
static void (*delegate_delete)(void *);
static void *(*operator_create)(int, const char *, int, void *);
static void (*operator_set_invoke)(void *, int (*)(void *context, void *node));
static int (*execution_plan)(void *context, void **plan);
static int (*replace)(void *context, void *operator, const void *nodes, void *delegate);
static int (*output_count)(const void *node);
static void *(*output)(void *context, const void *node, int index);
static void *(*tensor_data)(const void *tensor);
static size_t (*tensor_byte_size)(const void *tensor);
static void (*report)(void *context, const char *format, ...);

static char mode[16];
static int byte;
static int break_at;
static int runs;

static int invoke(void *context, void *node) {
  int index;
  runs += 1;
  if (strcmp(mode, "break") == 0 && runs >= break_at) {
    report(context, "the device is gone in run %d", runs);
    return ERROR;
  }
  for (index = 0; index < output_count(node); index += 1) {
    void *tensor = output(context, node, index);
    memset(tensor_data(tensor), byte, tensor_byte_size(tensor));
  }
  return OK;
}

static int prepare(void *context, void *delegate, void *data) {
  void *plan;
  void *operator;
  (void)data;
  if (strcmp(mode, "accept") == 0) {
    return OK;
  }
  if (strcmp(mode, "refuse") == 0) {
    report(context, "the device does not take %s", "this model");
    return ERROR;
  }
  if (execution_plan(context, &plan) != OK) {
    return ERROR;
  }
  operator = operator_create(BUILTIN_DELEGATE, "test delegate", 1, NULL);
  operator_set_invoke(operator, invoke);
  return replace(context, operator, plan, delegate);
}

static void *find(void *library, const char *name) {
  void *symbol = dlsym(library, name);
  if (symbol == NULL) {
    fprintf(stderr, "external_delegate.c: %s is missing\n", name);
    abort();
  }
  return symbol;
}

void *tflite_plugin_create_delegate(const char *const *names, const char *const *values,
                                    size_t count, void (*report_error)(const char *)) {
  static const struct builder plain = {NULL, prepare, NULL, NULL, NULL, 0};
  const char *path = "";
  void *library;
  size_t index;
  char message[64];
  mode[0] = '\0';
  byte = 0;
  break_at = 1;
  runs = 0;
  for (index = 0; index < count; index += 1) {
    if (strcmp(names[index], "library") == 0) {
      path = values[index];
    } else if (strcmp(names[index], "mode") == 0) {
      snprintf(mode, sizeof mode, "%s", values[index]);
    } else if (strcmp(names[index], "byte") == 0) {
      byte = atoi(values[index]);
    } else if (strcmp(names[index], "run") == 0) {
      break_at = atoi(values[index]);
    } else {
      snprintf(message, sizeof message, "unknown option %s", names[index]);
      report_error(message);
      return NULL;
    }
  }
  if (strcmp(mode, "accept") != 0 && strcmp(mode, "fill") != 0 && strcmp(mode, "refuse") != 0 &&
      strcmp(mode, "break") != 0) {
    snprintf(message, sizeof message, "no device for mode '%s'", mode);
    report_error(message);
    return NULL;
  }
  library = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
  if (library == NULL) {
    report_error("the option library does not name the library in use");
    return NULL;
  }
  *(void **)&delegate_create = find(library, "TfLiteOpaqueDelegateCreate");
  *(void **)&delegate_delete = find(library, "TfLiteOpaqueDelegateDelete");
  *(void **)&operator_create = find(library, "TfLiteOperatorCreate");
  *(void **)&operator_set_invoke = find(library, "TfLiteOperatorSetInvoke");
  *(void **)&execution_plan = find(library, "TfLiteOpaqueContextGetExecutionPlan");
  *(void **)&replace =
      find(library, "TfLiteOpaqueContextReplaceNodeSubsetsWithDelegateKernels");
  *(void **)&output_count = find(library, "TfLiteOpaqueNodeNumberOfOutputs");
  *(void **)&output = find(library, "TfLiteOpaqueNodeGetOutput");
  *(void **)&tensor_data = find(library, "TfLiteOpaqueTensorData");
  *(void **)&tensor_byte_size = find(library, "TfLiteOpaqueTensorByteSize");
  *(void **)&report = find(library, "TfLiteOpaqueContextReportError");
  return delegate_create(&plain);
}

void tflite_plugin_destroy_delegate(void *delegate) { delegate_delete(delegate); }
