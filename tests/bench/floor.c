/*
 * The floor: what `ccrun run --rootfs DIR COMMAND` costs when it is written as
 * straight as can be. The same namespaces, id maps, mounts and processes, no
 * options, no checks beyond "it worked", nothing kept.
 *
 *     floor STATE ROOTFS COMMAND [ARG…]
 *
 * STATE is an empty directory for the upper layer. As root, container ids map to
 * an unprivileged range; as an ordinary user only the user's own id exists.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MOUNT_ATTR_IDMAP
#define MOUNT_ATTR_IDMAP 0x00100000
#endif
#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#endif
#ifndef MOVE_MOUNT_F_EMPTY_PATH
#define MOVE_MOUNT_F_EMPTY_PATH 4
#endif
#define BASE 2000000000u

/* The kernel's own structures, so that old headers do. */
struct attr { unsigned long long set, clear, propagation, userns_fd; };

static const char *state, *rootfs;
static int lower = -1;

static void must(int ok, const char *what) { if (!ok) err(125, "%s", what); }

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	must(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text), path);
	close(fd);
}

static const char *at(const char *dir, const char *name)
{
	static char path[8][512];
	static int turn;
	turn = (turn + 1) % 8;
	snprintf(path[turn], sizeof path[turn], "%s/%s", dir, name);
	return path[turn];
}

static void bind_file(const char *source, const char *target, unsigned long flags)
{
	must(mount(source, target, NULL, MS_BIND, NULL) == 0, target);
	if (flags) must(mount(NULL, target, NULL, MS_REMOUNT | MS_BIND | flags, NULL) == 0, target);
}

static void make_dev(void)
{
	static const char *nodes[] = { "null", "zero", "full", "random", "urandom", "tty" };
	must(mount("tmpfs", "root/dev", "tmpfs", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k") == 0, "dev");
	for (unsigned i = 0; i < 6; i++) {
		const char *target = at("root/dev", nodes[i]);
		put(target, "");
		bind_file(at("/dev", nodes[i]), target, 0);
	}
	mkdir("root/dev/pts", 0755);
	mkdir("root/dev/shm", 01777);
	mkdir("root/dev/mqueue", 0755);
	must(mount("devpts", "root/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620") == 0, "pts");
	must(mount("shm", "root/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=1777,size=65536k") == 0, "shm");
	must(mount("mqueue", "root/dev/mqueue", "mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0, "mqueue");
	must(symlink("pts/ptmx", "root/dev/ptmx") == 0 && symlink("/proc/self/fd", "root/dev/fd") == 0 &&
		symlink("/proc/self/fd/0", "root/dev/stdin") == 0 && symlink("/proc/self/fd/1", "root/dev/stdout") == 0 &&
		symlink("/proc/self/fd/2", "root/dev/stderr") == 0, "links");
}

static void mask(void)
{
	static const char *hidden[] = { "acpi", "asound", "interrupts", "kcore", "keys", "latency_stats", "sched_debug",
		"scsi", "timer_list", "timer_stats" };
	static const char *readonly[] = { "bus", "fs", "irq", "sys", "sysrq-trigger" };
	struct stat st;
	for (unsigned i = 0; i < sizeof hidden / sizeof *hidden; i++) {
		const char *path = at("root/proc", hidden[i]);
		if (lstat(path, &st) != 0) continue;
		if (S_ISDIR(st.st_mode))
			must(mount("tmpfs", path, "tmpfs", MS_RDONLY, "size=0") == 0, path);
		else
			bind_file("/dev/null", path, 0);
	}
	if (lstat("root/sys/firmware", &st) == 0)
		must(mount("tmpfs", "root/sys/firmware", "tmpfs", MS_RDONLY, "size=0") == 0, "firmware");
	for (unsigned i = 0; i < sizeof readonly / sizeof *readonly; i++) {
		const char *path = at("root/proc", readonly[i]);
		if (lstat(path, &st) == 0) bind_file(path, path, MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC);
	}
}

static void loopback_up(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	must(fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &lo) == 0, "lo up");
	close(fd);
}

/* The container's side: from the clone to execve. */
static int init(char **command)
{
	char options[256];
	int status;
	must(setresgid(0, 0, 0) == 0 && setresuid(0, 0, 0) == 0, "become container root");
	must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "private");
	must(chdir(state) == 0, state);
	const char *below = rootfs;
	if (lower >= 0) {
		must(syscall(SYS_move_mount, lower, "", AT_FDCWD, "lower", MOVE_MOUNT_F_EMPTY_PATH) == 0, "move_mount");
		below = "lower";
	}
	snprintf(options, sizeof options, "userxattr,lowerdir=%s,upperdir=upper,workdir=work", below);
	must(mount("overlay", "root", "overlay", 0, options) == 0, options);
	must(mount("proc", "root/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0, "proc");
	must(mount("sysfs", "root/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, NULL) == 0, "sys");
	make_dev();
	mask();
	static const char *files[] = { "hosts", "hostname", "resolv.conf" };
	for (unsigned i = 0; i < 3; i++) {
		const char *target = at("root/etc", files[i]);
		close(open(target, O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
		bind_file(files[i], target, 0);
	}
	loopback_up();
	must(sethostname("container", 9) == 0, "sethostname");
	must(chdir("root") == 0 && syscall(SYS_pivot_root, ".", ".") == 0 && umount2(".", MNT_DETACH) == 0 && chdir("/") == 0,
		"pivot_root");
	pid_t child = fork();
	must(child >= 0, "fork");
	if (child == 0) {
		static char *env[] = { "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOSTNAME=container",
			"HOME=/root", NULL };
		setsid();
		execve(command[0], command, env);
		_exit(127);
	}
	for (pid_t dead; (dead = wait(&status)) != child;)
		if (dead < 0 && errno != EINTR) return 125;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* As root, the root file system's ids as the container's, without a chown. */
static void idmap_lower(pid_t pid)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/ns/user", pid);
	int user = open(path, O_RDONLY | O_CLOEXEC);
	struct attr attr = { .set = MOUNT_ATTR_IDMAP, .userns_fd = user };
	must(user >= 0 && syscall(SYS_mount_setattr, lower, "", AT_EMPTY_PATH, &attr, sizeof attr) == 0, "mount_setattr");
	close(user);
}

int main(int argc, char **argv)
{
	int ready[2], status, root = geteuid() == 0;
	char map[64], path[64], go;
	if (argc < 4) errx(125, "usage: floor STATE ROOTFS COMMAND [ARG...]");
	state = argv[1];
	rootfs = argv[2];
	umask(022);
	must(chdir(state) == 0, state);
	must(mkdir("upper", 0755) == 0 && mkdir("work", 0755) == 0 && mkdir("root", 0755) == 0 && mkdir("lower", 0755) == 0, "mkdir");
	put("hosts", "127.0.0.1\tlocalhost\n");
	put("hostname", "container\n");
	put("resolv.conf", "");
	if (root) {
		must(chown("upper", BASE, BASE) == 0 && chown("work", BASE, BASE) == 0, "chown");
		lower = syscall(SYS_open_tree, AT_FDCWD, rootfs, OPEN_TREE_CLONE | O_CLOEXEC);
		must(lower >= 0, "open_tree");
	}
	must(pipe2(ready, O_CLOEXEC) == 0, "pipe2");
	struct clone_args args = {
		.flags = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWCGROUP | CLONE_NEWNET,
		.exit_signal = SIGCHLD,
	};
	pid_t pid = syscall(SYS_clone3, &args, sizeof args);
	must(pid >= 0, "clone3");
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(ready[1]);
		must(read(ready[0], &go, 1) == 1, "wait for the id maps");
		_exit(init(argv + 3));
	}
	if (!root) {
		snprintf(path, sizeof path, "/proc/%d/setgroups", pid);
		put(path, "deny");
	}
	for (int group = 0; group < 2; group++) {
		snprintf(path, sizeof path, "/proc/%d/%s", pid, group ? "gid_map" : "uid_map");
		if (root) snprintf(map, sizeof map, "0 %u 65536\n", BASE);
		else snprintf(map, sizeof map, "0 %u 1\n", group ? getegid() : geteuid());
		put(path, map);
	}
	if (root) idmap_lower(pid);
	must(write(ready[1], "", 1) == 1, "go");
	must(waitpid(pid, &status, 0) == pid, "waitpid");
	/* What --rm does. */
	{
		rmdir("work/work");
		rmdir("work");
		rmdir("root");
		rmdir("lower");
		static const char *made[] = { "hosts", "hostname", "resolv.conf" };
		for (unsigned i = 0; i < 3; i++) unlink(made[i]);
		static const char *upper[] = { "upper/etc/hosts", "upper/etc/hostname", "upper/etc/resolv.conf" };
		for (unsigned i = 0; i < 3; i++) unlink(upper[i]);
		rmdir("upper/etc");
		rmdir("upper");
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
