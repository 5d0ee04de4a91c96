#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The value of `name` in the query, as it stands there, and its length. */
static const char *name_of(const char *query, size_t *length) {
    while (query && *query) {
        if (strncmp(query, "name=", 5) == 0) {
            *length = strcspn(query + 5, "&");
            return query + 5;
        }
        query = strchr(query, '&');
        if (query) query++;
    }
    *length = strlen("world");
    return "world";
}

int main(void) {
    size_t length;
    const char *name = name_of(getenv("QUERY_STRING"), &length);
    fputs("Content-Type: text/plain; charset=utf-8\n\nhello ", stdout);
    fwrite(name, 1, length, stdout);
    putchar('\n');
    return 0;
}
