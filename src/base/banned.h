/*
 * banned: functions that have no place here, made into build errors.
 *
 * Included first by base.h, after the system's own declarations, so that only our code is stopped.
 * Use dz_buf_put for text, dz_str_u64 for numbers, gmtime_r through dz_time_* for dates.
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#pragma GCC poison strcpy strcat sprintf vsprintf strncpy strncat strtok atoi atol atof gets       \
    gmtime localtime ctime asctime
