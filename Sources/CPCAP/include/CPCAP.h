// CPCAP: the filter compiler and interpreter of libpcap. A module of its own code, since libpcap's headers and the kernel's (CBPF) each define
// another `struct bpf_insn`.
#ifndef CPCAP_H
#define CPCAP_H

#include <stddef.h>
#include <stdint.h>

typedef struct cpcap_filter cpcap_filter;

// Compiles a filter for Ethernet frames. NULL: it cannot be; why, is in `message`, in `size` octets at most.
cpcap_filter *cpcap_compile(const char *text, char *message, size_t size);
void cpcap_free(cpcap_filter *filter);
// Whether a filter matches a frame of `length` octets, of which `count` are at hand.
int cpcap_matches(const cpcap_filter *filter, const void *octets, uint32_t length, uint32_t count);

#endif
