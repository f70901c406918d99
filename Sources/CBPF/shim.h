// CBPF: the few calls of libbpf that load the XDP program and attach it. Wrappers only: no decisions.
#ifndef CBPF_SHIM_H
#define CBPF_SHIM_H

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static inline int cbpf_print_nothing(enum libbpf_print_level level, const char *format, va_list arguments) {
  (void)level, (void)format, (void)arguments;
  return 0;
}

// Reads an object file and has the kernel check its programs. NULL and errno on failure.
static inline struct bpf_object *cbpf_load(const char *path) {
  libbpf_set_print(cbpf_print_nothing);
  struct bpf_object *object = bpf_object__open_file(path, NULL);
  if (object == NULL) return NULL;
  int code = bpf_object__load(object);
  if (code == 0) return object;
  bpf_object__close(object);
  errno = -code;
  return NULL;
}

// Descriptors that the object holds until it is closed; negative: it has none of this name.
static inline int cbpf_program(struct bpf_object *object, const char *name) {
  struct bpf_program *program = bpf_object__find_program_by_name(object, name);
  return program == NULL ? -ENOENT : bpf_program__fd(program);
}
static inline int cbpf_map(struct bpf_object *object, const char *name) { return bpf_object__find_map_fd_by_name(object, name); }

// Has the driver of an interface run a program as long as the returned descriptor is open: it goes with the process, however that ends
// (Linux 5.9). A negative errno on failure.
static inline int cbpf_attach_to_driver(int program, int interface_index) {
  LIBBPF_OPTS(bpf_link_create_opts, options, .flags = XDP_FLAGS_DRV_MODE);
  return bpf_link_create(program, interface_index, BPF_XDP, &options);
}

// Whether the driver of an interface runs a program; -1: the kernel does not say.
static inline int cbpf_is_attached(int program, int interface_index) {
  struct bpf_prog_info info;
  uint32_t length = sizeof(info), attached = 0;
  memset(&info, 0, sizeof(info));
  if (bpf_obj_get_info_by_fd(program, &info, &length) != 0) return -1;
  if (bpf_xdp_query_id(interface_index, XDP_FLAGS_DRV_MODE, &attached) != 0) return -1;
  return attached == info.id;
}

#endif
