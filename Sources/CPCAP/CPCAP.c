// See include/CPCAP.h.
#include "CPCAP.h"

#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>

struct cpcap_filter {
  struct bpf_program program;
};

cpcap_filter *cpcap_compile(const char *text, char *message, size_t size) {
  snprintf(message, size, "out of memory");
  cpcap_filter *filter = calloc(1, sizeof *filter);
  pcap_t *dead = filter == NULL ? NULL : pcap_open_dead(DLT_EN10MB, 262144);
  if (dead == NULL) {
    free(filter);
    return NULL;
  }
  if (pcap_compile(dead, &filter->program, text, 1, PCAP_NETMASK_UNKNOWN) != 0) {
    snprintf(message, size, "%s", pcap_geterr(dead));
    free(filter);
    filter = NULL;
  }
  pcap_close(dead);
  return filter;
}

void cpcap_free(cpcap_filter *filter) {
  if (filter == NULL) return;
  pcap_freecode(&filter->program);
  free(filter);
}

int cpcap_matches(const cpcap_filter *filter, const void *octets, uint32_t length, uint32_t count) {
  return bpf_filter(filter->program.bf_insns, octets, length, count) != 0;
}
