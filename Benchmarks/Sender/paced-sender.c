// Sends equal frames on an interface at a steady rate, for scripts/bench-tcp: paced-sender INTERFACE RATE SECONDS BATCH <FRAME
// RATE is in frames per second; BATCH frames leave with one system call, then it sleeps until the next are due. After a pause it
// catches up. Prints {"sent": frames, "refused": frames, "seconds": elapsed, "cpu": its own CPU seconds}.
#define _GNU_SOURCE
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { LARGEST_BATCH = 256 };

static double seconds(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return now.tv_sec + now.tv_nsec * 1e-9;
}

static void fail(const char *what) {
  perror(what);
  exit(1);
}

int main(int count, char **arguments) {
  if (count != 5) {
    fputs("usage: paced-sender INTERFACE RATE SECONDS BATCH <FRAME\n", stderr);
    return 2;
  }
  double rate = atof(arguments[2]);
  long total = (long)(rate * atof(arguments[3]));
  int batch = atoi(arguments[4]);
  if (rate <= 0 || batch < 1 || batch > LARGEST_BATCH) {
    fputs("paced-sender: RATE must be positive, and BATCH 1 to 256\n", stderr);
    return 2;
  }
  static char frame[65536];
  size_t length = fread(frame, 1, sizeof frame, stdin);

  // Protocol 0: it receives nothing.
  int packets = socket(AF_PACKET, SOCK_RAW, 0);
  struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(arguments[1])};
  if (packets < 0 || bind(packets, (struct sockaddr *)&address, sizeof address) != 0) fail(arguments[1]);
  prctl(PR_SET_TIMERSLACK, 1);

  struct iovec piece = {frame, length};
  static struct mmsghdr messages[LARGEST_BATCH];
  for (int index = 0; index < batch; index++) messages[index].msg_hdr = (struct msghdr){.msg_iov = &piece, .msg_iovlen = 1};

  double begin = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
  long sent = 0, refused = 0;
  while (sent + refused < total) {
    long left = total - sent - refused;
    int done = sendmmsg(packets, messages, left < batch ? (unsigned)left : (unsigned)batch, 0);
    if (done > 0) sent += done; else refused++;
    double due = begin + (double)(sent + refused) / rate, wait = due - seconds(CLOCK_MONOTONIC);
    if (wait > 0) {
      struct timespec pause = {(time_t)wait, (long)((wait - (double)(time_t)wait) * 1e9)};
      nanosleep(&pause, NULL);
    }
  }
  printf("{\"sent\": %ld, \"refused\": %ld, \"seconds\": %.4f, \"cpu\": %.4f}\n", sent, refused,
         seconds(CLOCK_MONOTONIC) - begin, seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu);
  return 0;
}
