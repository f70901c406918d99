// CEncap: what costs a packet several times as much in Swift: comparisons of headers with a pattern, in pieces of 16 octets, since the
// compiler takes Swift's SIMD types apart into single words; and a sum that keeps its carry in the carry flag.
#ifndef CENCAP_SHIM_H
#define CENCAP_SHIM_H

#include <stdint.h>
#include <string.h>

typedef uint64_t cencap_words __attribute__((vector_size(16)));

// What three times 16 octets are after a mask; words in memory order.
typedef struct { uint64_t mask[6], value[6]; } cencap_pattern;

static inline cencap_words cencap_difference(const uint8_t *_Nonnull octets, const uint64_t *_Nonnull mask, const uint64_t *_Nonnull value) {
  cencap_words found, m, v;
  memcpy(&found, octets, 16);
  memcpy(&m, mask, 16);
  memcpy(&v, value, 16);
  return (found & m) ^ v;
}
// Whether none of the bits of `m` is in `d`.
static inline int cencap_is_clear(cencap_words d, cencap_words m) {
#if defined(__SSE4_1__)
  typedef long long pair __attribute__((vector_size(16)));
  return __builtin_ia32_ptestz128((pair)d, (pair)m);
#else
  d &= m;
  return (d[0] | d[1]) == 0;
#endif
}

// Compares the octets from `a`, `b` and `c` on. 0: they match. 1: all do but for bits of `but`, in the second word of 16 octets, which the mask leaves
// in one of the three alone. 2: others do not.
static inline int cencap_compare(const void *_Nonnull packet, cencap_pattern p, size_t a, size_t b, size_t c, uint64_t but) {
  const uint8_t *o = (const uint8_t *)packet;
  cencap_words d = cencap_difference(o + a, p.mask, p.value) | cencap_difference(o + b, p.mask + 2, p.value + 2)
    | cencap_difference(o + c, p.mask + 4, p.value + 4);
  if (cencap_is_clear(d, d)) return 0;
  return cencap_is_clear(d, (cencap_words){~0ull, ~but}) ? 1 : 2;
}

// Whether 16 octets hold the beginning of a frame with IPv4, from no group and to none: behind `before` other octets, 0 or 2.
static inline int cencap_is_unicast_ipv4(const void *_Nonnull octets, int before) {
  cencap_words found;
  memcpy(&found, octets, 16);
#if defined(__SSE4_1__)
  typedef char bytes __attribute__((vector_size(16)));
  typedef long long pair __attribute__((vector_size(16)));
  const bytes type = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0}, mask = {1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, -1, -1, 0, 0};
  const bytes type2 = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0}, mask2 = {0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, -1, -1};
  return before == 0 ? __builtin_ia32_ptestz128((pair)found ^ (pair)type, (pair)mask)
                     : __builtin_ia32_ptestz128((pair)found ^ (pair)type2, (pair)mask2);
#else
  const uint8_t *o = (const uint8_t *)octets + before;
  return ((o[0] | o[6]) & 1) == 0 && o[12] == 8 && o[13] == 0;
#endif
}

// A sum of words with end-around carry, and 32 octets in memory order added to it.
static inline uint64_t cencap_add32(uint64_t sum, const void *_Nonnull octets) {
  unsigned long long w[4], carry = 0, s = sum;
  memcpy(w, octets, 32);
  s = __builtin_addcll(s, w[0], carry, &carry);
  s = __builtin_addcll(s, w[1], carry, &carry);
  s = __builtin_addcll(s, w[2], carry, &carry);
  s = __builtin_addcll(s, w[3], carry, &carry);
  return s + carry;
}

#endif
