/*
 * base_int: what the files of base share with each other and with their unit tests.
 */
#pragma once

#include "base/base.h"

/* SipHash with one compression and three finalisation rounds. */
uint64_t dz_siphash13(const unsigned char key[16], dz_str s);

/* The digits of x as Python's repr() writes them; x is finite. Returns the length; dst gets no NUL
 * beyond it. */
size_t dz_real_repr(double x, char dst[32]);

/* The last events of the calling thread as plain text lines to fd; for a panic. Takes no lock and
 * no memory. */
void dz_log_dump_ring(int fd);
int dz_log_fd(void);
