// Copyright: lifeboat.cloud contributors
// GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// The services of the guest: HTTP on port 80, echo on port 7, and the power button. One process for each connection,
// so that a request that waits for the disk holds up no other. No shell is started by a request: a probe asks often, and
// emulated processors are slow.
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    HTTP, ECHO, LISTENERS,
    INPUTS_MAX = 8,
    CONNECTIONS_MAX = 250,
    REQUEST_TIMEOUT_S = 10,
    DISK_TIMEOUT_S = 5,
    MEMORY_KEPT_MIB = 8,
    MIB = 1 << 20,
};
static const unsigned short PORTS[LISTENERS] = {80, 7};
static const char COUNTER[] = "/var/lib/guest/counter";
static const char PAGES[] = "/var/www";

// The load on the memory, shared by all processes. A writer ends when the generation is no longer its own.
static struct load {
    volatile unsigned generation;
    volatile long mib, written_mib, until_s;
} *load;

// As in linux/input.h, which needs a package of its own.
enum { KEY_EVENT = 1, POWER_KEY = 116, PRESSED = 1 };
struct input_event {
    struct timeval time;
    unsigned short type, code;
    int value;
};

static double uptime(void) {
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return now.tv_sec + now.tv_nsec / 1e9;
}

static void say(const char *text) {
    int file = open("/dev/kmsg", O_WRONLY);
    dprintf(file, "<4>guest: %s\n", text);
    close(file);
}

static void send_all(int to, const char *data, size_t size) {
    while (size > 0) {
        ssize_t sent = write(to, data, size);
        if (sent <= 0) _exit(1);
        data += sent, size -= sent;
    }
}

static void answer(int to, const char *status, const char *type, const char *body, size_t size) {
    char head[256];
    int length = snprintf(head, sizeof head,
        "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n",
        status, type, size);
    send_all(to, head, length);
    send_all(to, body, size);
}

static void answer_text(int to, const char *status, const char *text) {
    answer(to, status, "text/plain", text, strlen(text));
}

// The first word of a file, with what JSON or HTML could take amiss left out.
static void first_word(const char *path, char *word, size_t size) {
    int file = open(path, O_RDONLY), length = 0;
    ssize_t got = file < 0 ? 0 : read(file, word, size - 1);
    close(file);
    while (length < got && (isalnum((unsigned char)word[length]) || strchr("-._", word[length]))) length++;
    word[length] = 0;
}

static void on_alarm(int number) { (void)number; }

// Adds one to the number on the disk and returns it once it is there; -1 when the disk does not take it. Only one
// process at a time waits for the disk, where no signal reaches it; the others wait for that process, and not for ever.
static long long count(void) {
    char text[32] = "";
    long long counter = -1;
    struct sigaction action = {.sa_handler = on_alarm};
    sigaction(SIGALRM, &action, NULL);
    alarm(DISK_TIMEOUT_S);
    int file = open(COUNTER, O_RDWR);
    if (file >= 0 && flock(file, LOCK_EX) == 0 && pread(file, text, 20, 0) == 20) {
        counter = atoll(text) + 1;
        snprintf(text, sizeof text, "%020lld\n", counter);
        if (pwrite(file, text, 21, 0) != 21 || fdatasync(file) != 0) counter = -1;
    }
    close(file);
    return counter;
}

static void state(int to) {
    char boot[64], host[64], instance[64], body[512];
    long long counter = count();
    if (counter < 0) {
        answer_text(to, "503 Service Unavailable", "The disk has not taken the counter.\n");
        return;
    }
    first_word("/proc/sys/kernel/random/boot_id", boot, sizeof boot);
    first_word("/proc/sys/kernel/hostname", host, sizeof host);
    first_word("/var/lib/guest/instance_id", instance, sizeof instance);
    int length = snprintf(body, sizeof body,
        "{\"boot_id\": \"%s\", \"uptime_s\": %.2f, \"counter\": %lld, \"hostname\": \"%s\", \"instance_id\": \"%s\"}\n",
        boot, uptime(), counter, host, instance);
    answer(to, "200 OK", "application/json", body, length);
}

static void page(int to, const char *path) {
    char name[1100], host[64], body[512];
    char *content = NULL;
    struct stat status;
    snprintf(name, sizeof name, "%s%s", PAGES, strcmp(path, "/") ? path : "/index.html");
    int file = strstr(path, "..") ? -1 : open(name, O_RDONLY);
    if (file >= 0 && fstat(file, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0)
        content = mmap(NULL, status.st_size, PROT_READ, MAP_PRIVATE, file, 0);
    if (content && content != MAP_FAILED) {
        answer(to, "200 OK", strstr(name, ".html") ? "text/html" : "text/plain", content, status.st_size);
    } else if (strcmp(path, "/") == 0) {
        first_word("/proc/sys/kernel/hostname", host, sizeof host);
        int length = snprintf(body, sizeof body,
            "<!doctype html><title>%s</title><h1>Web server %s</h1><p>Up for %.0f s. <a href=/state>State</a>\n",
            host, host, uptime());
        answer(to, "200 OK", "text/html", body, length);
    } else {
        answer_text(to, "404 Not Found", "There is no such page.\n");
    }
}

// The number that a query like mib=64&seconds=10 gives to a name, 0 without one.
static long number(const char *query, const char *name) {
    size_t length = strlen(name);
    for (const char *at = query; at; at = strchr(at, '&')) {
        if (*at == '&') at++;
        if (strncmp(at, name, length) == 0 && at[length] == '=') return atol(at + length + 1);
    }
    return 0;
}

static long available_mib(void) {
    char line[128];
    long kib = 0;
    FILE *file = fopen("/proc/meminfo", "r");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "MemAvailable: %ld", &kib) == 1) break;
    if (file) fclose(file);
    return kib / 1024;
}

// Rewrites memory with what does not compress and is different in every round.
static void write_memory(unsigned generation, long mib, long rate) {
    char *memory = mmap(NULL, (size_t)mib * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    unsigned long long *noise = malloc(2 * MIB), seed = 88172645463325252ull;
    if (memory == MAP_FAILED || !noise) _exit(1);
    for (size_t word = 0; word < 2 * MIB / sizeof *noise; word++) {
        seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
        noise[word] = seed;
    }
    double began = uptime();
    for (long done = 0; load->generation == generation && uptime() < load->until_s; done++) {
        size_t shift = (done * 4099) % (MIB / sizeof *noise);
        memcpy(memory + done % mib * MIB, noise + shift, MIB);
        load->written_mib = done + 1;
        while (rate > 0 && (done + 1) / (uptime() - began) > rate && load->generation == generation) usleep(2000);
    }
    if (load->generation == generation) load->mib = 0;
    _exit(0);
}

static void dirty(int to, const char *query, int listeners[]) {
    char body[256];
    long mib = number(query, "mib"), seconds = number(query, "seconds"), rate = number(query, "rate");
    if (strcmp(query, "stop") == 0 || (mib > 0 && seconds > 0)) {
        load->generation++;
        load->mib = 0;
        usleep(100000);
    } else if (*query) {
        answer_text(to, "400 Bad Request", "Expected /dirty?mib=N&seconds=S, with &rate=MIB_PER_SECOND if wanted, or /dirty?stop.\n");
        return;
    }
    if (mib > available_mib() - MEMORY_KEPT_MIB) {
        snprintf(body, sizeof body, "Found mib=%ld; expected at most %ld.\n", mib, available_mib() - MEMORY_KEPT_MIB);
        answer_text(to, "400 Bad Request", body);
        return;
    }
    if (mib > 0 && seconds > 0) {
        load->mib = mib, load->written_mib = 0, load->until_s = uptime() + seconds;
        unsigned generation = load->generation;
        if (fork() == 0) {
            alarm(0);
            for (int listener = 0; listener < LISTENERS; listener++) close(listeners[listener]);
            close(to);
            setsid();
            nice(19);
            int file = open("/proc/self/oom_score_adj", O_WRONLY);
            dprintf(file, "1000");
            close(file);
            write_memory(generation, mib, rate);
        }
    }
    double left = load->mib ? load->until_s - uptime() : 0;
    int length = snprintf(body, sizeof body, "{\"mib\": %ld, \"seconds_left\": %.1f, \"written_mib\": %ld}\n",
        load->mib, left > 0 ? left : 0, load->written_mib);
    answer(to, "200 OK", "application/json", body, length);
}

static void http(int connection, int listeners[]) {
    char request[4096], method[8] = "", path[1024] = "";
    size_t size = 0;
    alarm(REQUEST_TIMEOUT_S);
    do {
        ssize_t got = read(connection, request + size, sizeof request - 1 - size);
        if (got <= 0) return;
        size += got;
        request[size] = 0;
    } while (!strstr(request, "\r\n\r\n") && size < sizeof request - 1);
    if (sscanf(request, "%7s %1023s", method, path) != 2 || strcmp(method, "GET")) {
        answer_text(connection, "405 Method Not Allowed", "Only GET is understood.\n");
        return;
    }
    char *query = strchr(path, '?');
    if (query) *query++ = 0;
    if (strcmp(path, "/state") == 0) state(connection);
    else if (strcmp(path, "/dirty") == 0) dirty(connection, query ? query : "", listeners);
    else page(connection, path);
}

static void echo(int connection) {
    char data[4096];
    ssize_t got;
    while ((got = read(connection, data, sizeof data)) > 0) send_all(connection, data, got);
}

static int listen_on(unsigned short port) {
    int on = 1, off = 0, listener = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(listener, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 128)) {
        say("the services found their ports taken");
        exit(1);
    }
    return listener;
}

static void on_child(int number) { (void)number; }

int main(void) {
    struct pollfd watched[LISTENERS + INPUTS_MAX];
    struct sigaction action = {.sa_handler = on_child};
    int listeners[LISTENERS], connections = 0;
    sigaction(SIGCHLD, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    load = mmap(NULL, sizeof *load, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (int listener = 0; listener < LISTENERS; listener++) listeners[listener] = listen_on(PORTS[listener]);
    for (int input = 0; input < INPUTS_MAX; input++) {
        char name[32];
        snprintf(name, sizeof name, "/dev/input/event%d", input);
        watched[LISTENERS + input] = (struct pollfd){.fd = open(name, O_RDONLY | O_CLOEXEC), .events = POLLIN};
    }
    for (;;) {
        while (waitpid(-1, NULL, WNOHANG) > 0) connections--;
        for (int listener = 0; listener < LISTENERS; listener++)
            watched[listener] = (struct pollfd){.fd = connections < CONNECTIONS_MAX ? listeners[listener] : -1, .events = POLLIN};
        // A child that ends just before poll begins is noticed a second later.
        if (poll(watched, LISTENERS + INPUTS_MAX, 1000) <= 0) continue;
        for (int input = LISTENERS; input < LISTENERS + INPUTS_MAX; input++) {
            struct input_event event;
            if (watched[input].revents && read(watched[input].fd, &event, sizeof event) == sizeof event &&
                event.type == KEY_EVENT && event.code == POWER_KEY && event.value == PRESSED) {
                say("the power button was pressed");
                kill(1, SIGUSR2); // what init takes for poweroff
            }
        }
        for (int listener = 0; listener < LISTENERS; listener++) {
            if (!(watched[listener].revents & POLLIN)) continue;
            int connection = accept(listeners[listener], NULL, NULL);
            pid_t child = connection < 0 ? -1 : fork();
            if (child == 0) {
                if (listener == HTTP) http(connection, listeners);
                else echo(connection);
                _exit(0);
            }
            if (child > 0) connections++;
            close(connection);
        }
    }
}
