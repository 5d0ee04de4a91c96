// A CGI program in C: answers with its arguments, its variables and its input.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern char **environ;

static int copy_input(void) {
    static char buffer[64 * 1024]; // More than the whole stack holds.
    size_t length;
    while ((length = fread(buffer, 1, sizeof buffer, stdin)) > 0) {
        if (fwrite(buffer, 1, length, stdout) != length) return 1;
    }
    return ferror(stdin) ? 1 : 0;
}

int main(int argc, char **argv) {
    const char *path = getenv("PATH_INFO");
    if (path && strcmp(path, "/fail") == 0) {
        fputs("this program fails when asked to\n", stderr);
        return 3;
    }
    if (getenv("CE_ID")) { // An event: its data, and who had it.
        fputs("c(", stdout);
        int failed = copy_input();
        fputs(")", stdout);
        return failed;
    }
    fputs("Status: 200 OK\nContent-Type: text/plain\n\n", stdout);
    for (int i = 0; i < argc; i++) printf("arg %d %s\n", i, argv[i]);
    for (char **entry = environ; *entry; entry++) puts(*entry);
    puts("input");
    return copy_input();
}
