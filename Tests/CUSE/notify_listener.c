/*
 * A service manager in small: runs a command with NOTIFY_SOCKET set, prints
 * what it is told, ends the command by SIGTERM when it is ready, and exits
 * with its status.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t child;

/* Prints the messages until one holds `word`. */
static int listen_for(int s, const char *word)
{
	char text[4096];

	for (;;) {
		ssize_t n = recv(s, text, sizeof(text) - 1, 0);

		if (n <= 0)
			return -1;
		text[n] = 0;
		puts(text);
		if (strstr(text, word))
			return 0;
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int s = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int status;

	if (argc < 2)
		return 2;
	snprintf(name.sun_path, sizeof(name.sun_path), "/tmp/notify.%d", getpid());
	if (s < 0 || bind(s, (struct sockaddr *)&name, sizeof(name)))
		return 2;
	setenv("NOTIFY_SOCKET", name.sun_path, 1);
	child = fork();
	if (child == 0) {
		execv(argv[1], argv + 1);
		_exit(127);
	}
	if (listen_for(s, "READY=1") == 0) {
		kill(child, SIGTERM);
		listen_for(s, "STOPPING=1");
	}
	unlink(name.sun_path);
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
