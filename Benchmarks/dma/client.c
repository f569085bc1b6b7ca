/*
 * Whose memory devices reach: maps some, private and shared, prints "PID PRIVATE SHARED FD" (addresses, and
 * the descriptor of the shared one), and waits.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#define SIZE (64u << 20)

int main(void)
{
	int fd = memfd_create("shared", 0);
	char *own = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *shared;

	if (fd < 0 || ftruncate(fd, SIZE) < 0)
		return 1;
	shared = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (own == MAP_FAILED || shared == MAP_FAILED)
		return 1;
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	memset(own, 1, SIZE);
	memset(shared, 2, SIZE);
	printf("%d %lx %lx %d\n", getpid(), (unsigned long)own, (unsigned long)shared, fd);
	fflush(stdout);
	while (getchar() != EOF)
		;
	return 0;
}
