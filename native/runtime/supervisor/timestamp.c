/* RFC 3339 times: see timestamp.h. gmtime is not used: it reads the time zone files of the machine
 * first. */
#include "timestamp.h"
#include <stdint.h>
#include <string.h>

struct date {
    int64_t year;
    unsigned month;
    unsigned day;
};

/* Days since 1970-01-01 to a Gregorian date, counting years from March so that the leap day comes
 * last. */
static struct date date_of(int64_t days) {
    int64_t shifted = days + 719468;
    int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    unsigned day_of_era = (unsigned)(shifted - era * 146097);
    unsigned year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned month_from_march = (5 * day_of_year + 2) / 153;
    struct date date;
    date.day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    date.month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    date.year = (int64_t)year_of_era + era * 400 + (date.month <= 2);
    return date;
}

static void digits(char *out, int count, uint64_t value) {
    for (int i = count - 1; i >= 0; i--, value /= 10)
        out[i] = (char)('0' + value % 10);
}

void timestamp_write(char *out, const struct timespec *when) {
    int64_t days = when->tv_sec / 86400;
    int64_t second = when->tv_sec % 86400;
    if (second < 0) {
        second += 86400;
        days--;
    }
    struct date date = date_of(days);
    memcpy(out, "0000-00-00T00:00:00.000000000Z", TIMESTAMP_LENGTH);
    digits(out, 4, (uint64_t)date.year);
    digits(out + 5, 2, date.month);
    digits(out + 8, 2, date.day);
    digits(out + 11, 2, (uint64_t)second / 3600);
    digits(out + 14, 2, (uint64_t)second / 60 % 60);
    digits(out + 17, 2, (uint64_t)second % 60);
    digits(out + 20, 9, (uint64_t)when->tv_nsec);
}

void timestamp_string(char out[TIMESTAMP_LENGTH + 1], const struct timespec *when) {
    out[0] = '\0';
    if (when->tv_sec == 0 && when->tv_nsec == 0)
        return;
    timestamp_write(out, when);
    out[TIMESTAMP_LENGTH] = '\0';
}
