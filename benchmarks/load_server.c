// load_server PORT FOLDER: HTTP/1.1 on 127.0.0.1 with canned answers, as cheap as a server can be.
// FOLDER/routes has lines "METHOD PATH FILE"; FILE (in FOLDER) is the whole answer, head and body.
// PATH matches up to '?', or as a beginning where it ends with '*'; the first line that fits wins.
// GET /count answers {"requests": N, "bad": M}: requests so far, and those that fitted no line.
// build: gcc -O2 -o load_server load_server.c
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#define CONNECTIONS 65536
#define ROUTES 64
#define HELD 16384
static struct { char data[HELD]; int length; } *held[CONNECTIONS];
static struct { char method[8], path[128]; int fixed, any; char *answer; size_t size; } routes[ROUTES];
static int count; static long requests, bad;

static void load(const char *folder) {
  char name[4096], file[256];
  snprintf(name, sizeof name, "%s/routes", folder);
  FILE *list = fopen(name, "r");
  if (!list) { perror(name); exit(1); }
  while (count < ROUTES && fscanf(list, "%7s %127s %255s", routes[count].method, routes[count].path, file) == 3) {
    int length = strlen(routes[count].path);
    routes[count].any = routes[count].path[length - 1] == '*';
    routes[count].fixed = length - routes[count].any;
    snprintf(name, sizeof name, "%s/%s", folder, file);
    FILE *one = fopen(name, "r");
    if (!one) { perror(name); exit(1); }
    fseek(one, 0, SEEK_END); routes[count].size = ftell(one); rewind(one);
    routes[count].answer = malloc(routes[count].size);
    if (fread(routes[count].answer, 1, routes[count].size, one) != routes[count].size) exit(1);
    fclose(one); count++;
  }
  fclose(list);
}

static void put(int plug, const char *data, size_t size) {
  while (size) { ssize_t sent = write(plug, data, size); if (sent <= 0) return; data += sent; size -= sent; }
}

static void reply(int plug, const char *data) {
  const char *space = strchr(data, ' ');
  if (!space) return;
  int method = space - data, path = strcspn(space + 1, "? ");
  if (!strncmp(space, " /count ", 8)) {
    char body[128], all[256];
    int size = snprintf(body, sizeof body, "{\"requests\": %ld, \"bad\": %ld}", requests, bad);
    put(plug, all, snprintf(all, sizeof all, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", size, body));
    return;
  }
  requests++;
  for (int i = 0; i < count; i++) {
    if ((int)strlen(routes[i].method) != method || strncmp(routes[i].method, data, method)) continue;
    if (routes[i].any ? path < routes[i].fixed : path != routes[i].fixed) continue;
    if (strncmp(routes[i].path, space + 1, routes[i].fixed)) continue;
    put(plug, routes[i].answer, routes[i].size);
    return;
  }
  bad++;
  put(plug, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 45);
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  load(argv[2]);
  int door = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
  setsockopt(door, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (bind(door, (void *)&where, sizeof where) || listen(door, 4096)) { perror("bind"); return 1; }
  int poll = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = door}, events[256];
  epoll_ctl(poll, EPOLL_CTL_ADD, door, &event);
  for (;;) {
    int n = epoll_wait(poll, events, 256, -1);
    for (int i = 0; i < n; i++) {
      int plug = events[i].data.fd;
      if (plug == door) {
        while ((plug = accept4(door, 0, 0, 0)) >= 0) {
          if (plug >= CONNECTIONS) { close(plug); continue; }
          setsockopt(plug, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
          if (!held[plug]) held[plug] = malloc(sizeof *held[plug]);
          held[plug]->length = 0;
          event.data.fd = plug;
          epoll_ctl(poll, EPOLL_CTL_ADD, plug, &event);
        }
        continue;
      }
      int got = read(plug, held[plug]->data + held[plug]->length, HELD - 1 - held[plug]->length);
      if (got <= 0) { close(plug); continue; }
      held[plug]->length += got;
      held[plug]->data[held[plug]->length] = 0;
      char *end = strstr(held[plug]->data, "\r\n\r\n");
      if (!end) continue;
      char *size = strcasestr(held[plug]->data, "\r\nContent-Length:");
      int body = size && size < end ? atoi(size + 17) : 0;
      if (held[plug]->length < end + 4 - held[plug]->data + body) continue;
      held[plug]->length = 0;
      reply(plug, held[plug]->data);
    }
  }
}
