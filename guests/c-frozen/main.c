// A CGI program in C whose start-up work is done when it is frozen: it reads a file, counts, and
// allocates; `main` tells what is left of that.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static char *words;
static int initialised;
static double factor = 1.0;

__attribute__((export_name("wizer-initialize"))) void initialise(void) {
    initialised++;
    factor = 2.5;
    words = malloc(1 << 20);
    words[0] = 0;
    FILE *file = fopen("/words/list.txt", "r");
    if (!file) {
        fputs("there are no words\n", stderr);
        abort();
    }
    size_t length = fread(words, 1, (1 << 20) - 1, file);
    words[length] = 0;
    fclose(file);
}

int main(int argc, char **argv) {
    const char *name = getenv("QUERY_STRING");
    printf("Status: 200 OK\nContent-Type: text/plain\n\n");
    printf("initialised %d, factor %.1f, words %s", initialised, factor, words ? words : "none\n");
    printf("query %s\n", name ? name : "");
    // What is allocated after the freeze is where what was allocated before is not.
    char *more = malloc(3 << 20);
    memset(more, 7, 3 << 20);
    initialised++;
    printf("time %s\n", time(NULL) > 1740000000 ? "goes on" : "stands still");
    return 0;
}
