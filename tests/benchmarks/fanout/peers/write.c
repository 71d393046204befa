/* The limit: send(2) of a frame built once, in a loop over the sockets, and nothing else.
 *
 * write <body> each|joined
 *
 * Obeys lines as the peers in Python do (see ../bursts.py): prints its port, then "count" answers
 * with the connections, "run <rounds> <burst> <gap_ms>" sends that many bursts and answers "done".
 * "joined" sends a burst with one call a socket. A handshake is answered without being read: all
 * clients of the benchmark send the same key.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 20000, HEADER = 4 };

static const char ACCEPTED[] =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: ICX+Yqv66kxgM0FcWaLWlFLwTAI=\r\n\r\n";

static int files[MOST];
static int count;

static void send_all(int file, const char *data, size_t size) {
    while (size > 0) {
        ssize_t sent = send(file, data, size, MSG_NOSIGNAL);
        if (sent < 0) {
            perror("send");
            exit(1);
        }
        data += sent;
        size -= (size_t)sent;
    }
}

static void accept_one(int listener) {
    char request[4096];
    int file = accept(listener, NULL, NULL);
    if (file < 0 || count == MOST || recv(file, request, sizeof request, 0) <= 0) {
        fprintf(stderr, "a connection can't be taken\n");
        exit(1);
    }
    send_all(file, ACCEPTED, sizeof ACCEPTED - 1);
    files[count++] = file;
}

static double now_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void sleep_s(double seconds) {
    struct timespec left = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    nanosleep(&left, NULL);
}

static void run(const char *burst_data, size_t size, int sends, int rounds, double gap_s) {
    double due = now_s();
    for (int round = 0; round < rounds; round++) {
        for (int each = 0; each < sends; each++)
            for (int at = 0; at < count; at++)
                send_all(files[at], burst_data, size);
        due += gap_s;
        double left = due - now_s();
        sleep_s(left > gap_s / 4 ? left : gap_s / 4);
    }
}

static void obey(const char *line, const char *frame, size_t size, int joined) {
    int rounds, burst;
    double gap_ms;
    if (sscanf(line, "run %d %d %lf", &rounds, &burst, &gap_ms) == 3) {
        size_t copies = joined ? (size_t)burst : 1;
        char *data = malloc(size * copies);
        for (size_t copy = 0; copy < copies; copy++)
            memcpy(data + copy * size, frame, size);
        run(data, size * copies, joined ? 1 : burst, rounds, gap_ms / 1000);
        free(data);
        printf("done\n");
    } else {
        printf("%d\n", count);
    }
    fflush(stdout);
}

int main(int argc, char **argv) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (argc != 3 || bind(listener, (struct sockaddr *)&address, length) || listen(listener, 1024))
        return 1;
    getsockname(listener, (struct sockaddr *)&address, &length);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);

    size_t body = strlen(argv[1]); /* 126 to 65535 bytes: a header of four */
    char *frame = malloc(HEADER + body);
    frame[0] = (char)0x81;
    frame[1] = 126;
    frame[2] = (char)(body >> 8);
    frame[3] = (char)(body & 0xff);
    memcpy(frame + HEADER, argv[1], body);

    char line[128];
    struct pollfd polled[2] = {{.fd = STDIN_FILENO, .events = POLLIN},
                               {.fd = listener, .events = POLLIN}};
    setvbuf(stdin, NULL, _IONBF, 0); /* poll must see every line */
    while (poll(polled, 2, -1) > 0) {
        if (polled[1].revents)
            accept_one(listener);
        if (polled[0].revents) {
            if (!fgets(line, sizeof line, stdin))
                return 0;
            obey(line, frame, HEADER + body, argv[2][0] == 'j');
        }
    }
    return 0;
}
