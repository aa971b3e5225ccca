/* A library with the functions that TensorFlow Lite 2.5 exports and this project calls, and no
   later ones: each calls the library that the macro LIBRARY names. */

#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* TfLiteQuantizationParams. */
struct quantization {
  float scale;
  int32_t zero_point;
};

static void *find(const char *name) {
  void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
  void *symbol = library == NULL ? NULL : dlsym(library, name);
  if (symbol == NULL) {
    fprintf(stderr, "old_library.c: %s\n", dlerror());
    abort();
  }
  return symbol;
}

#define FORWARD(result, name, parameters, arguments) \
  result name parameters {                           \
    result(*function) parameters;                    \
    *(void **)&function = find(#name);               \
    return function arguments;                       \
  }

#define FORWARD_VOID(name, parameters, arguments) \
  void name parameters {                          \
    void(*function) parameters;                   \
    *(void **)&function = find(#name);            \
    function arguments;                           \
  }

const char *TfLiteVersion(void) { return "2.5.0"; }

FORWARD(void *, TfLiteModelCreate, (const void *a, size_t b), (a, b))
FORWARD_VOID(TfLiteModelDelete, (void *a), (a))
FORWARD(void *, TfLiteInterpreterOptionsCreate, (void), ())
FORWARD_VOID(TfLiteInterpreterOptionsDelete, (void *a), (a))
FORWARD_VOID(TfLiteInterpreterOptionsSetNumThreads, (void *a, int32_t b), (a, b))
FORWARD_VOID(TfLiteInterpreterOptionsSetErrorReporter, (void *a, void *b, void *c), (a, b, c))
FORWARD_VOID(TfLiteInterpreterOptionsAddDelegate, (void *a, void *b), (a, b))
FORWARD(void *, TfLiteInterpreterCreate, (const void *a, const void *b), (a, b))
FORWARD_VOID(TfLiteInterpreterDelete, (void *a), (a))
FORWARD(int, TfLiteInterpreterAllocateTensors, (void *a), (a))
FORWARD(int, TfLiteInterpreterInvoke, (void *a), (a))
FORWARD(int, TfLiteInterpreterResizeInputTensor, (void *a, int32_t b, const int *c, int32_t d), (a, b, c, d))
FORWARD(int32_t, TfLiteInterpreterGetInputTensorCount, (const void *a), (a))
FORWARD(void *, TfLiteInterpreterGetInputTensor, (const void *a, int32_t b), (a, b))
FORWARD(int32_t, TfLiteInterpreterGetOutputTensorCount, (const void *a), (a))
FORWARD(const void *, TfLiteInterpreterGetOutputTensor, (const void *a, int32_t b), (a, b))
FORWARD(int, TfLiteTensorType, (const void *a), (a))
FORWARD(int32_t, TfLiteTensorNumDims, (const void *a), (a))
FORWARD(int32_t, TfLiteTensorDim, (const void *a, int32_t b), (a, b))
FORWARD(size_t, TfLiteTensorByteSize, (const void *a), (a))
FORWARD(void *, TfLiteTensorData, (const void *a), (a))
FORWARD(const char *, TfLiteTensorName, (const void *a), (a))
FORWARD(struct quantization, TfLiteTensorQuantizationParams, (const void *a), (a))
