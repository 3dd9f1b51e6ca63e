/*
 * The floor: what `ccrun run --rootfs DIR COMMAND` costs when it is written as
 * straight as can be. The same namespaces, id maps, mounts, capabilities and
 * processes, a system call filter of the same kind (a search by halves in as
 * many ranges), no options, no checks beyond "it worked", nothing kept.
 *
 *     floor [--limits] STATE ROOTFS COMMAND [ARG…]
 *
 * STATE is an empty directory for the upper layer. As root, container ids map to
 * an unprivileged range; as an ordinary user only the user's own id exists.
 * --limits: what -m 64m --cpus 0.5 --pids-limit 20 writes, and the groups on
 * /sys/fs/cgroup inside (as root).
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
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
static int lower = -1, limits, unified;
static char group[3][512];
static const char *controllers[] = { "memory", "cpu", "pids" };

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

/* Where Docker's default profile turns from allowed to forbidden and back, in this machine's numbers. */
#ifdef __x86_64__
static const unsigned native[] = { 0, 103, 104, 134, 135, 136, 137, 139, 140, 153, 154, 155, 157, 163, 186, 212, 213,
	227, 228, 236, 240, 246, 247, 248, 251, 256, 257, 272, 273, 279, 280, 298, 299, 300, 301, 304, 305, 308, 309, 312,
	314, 320, 322, 323, 324, 336, 424, 425, 434, 435, 436, 438, 439, 440, 441, 442, 444, 450, 451, 459, 462, 467 };
#define OWN AUDIT_ARCH_X86_64
#define FOREIGN AUDIT_ARCH_I386
#else
static const unsigned native[] = { 0, 18, 19, 39, 43, 58, 59, 60, 61, 89, 90, 97, 98, 104, 107, 112, 113, 116, 117,
	142, 143, 161, 163, 170, 171, 217, 220, 224, 226, 235, 240, 241, 242, 244, 260, 262, 263, 265, 266, 268, 269, 272,
	274, 280, 281, 282, 283, 294, 424, 425, 434, 435, 436, 438, 439, 440, 441, 442, 444, 450, 451, 459, 462, 467 };
#define OWN AUDIT_ARCH_AARCH64
#define FOREIGN AUDIT_ARCH_ARM
#endif
#define CAPABILITIES 0xa80425fbu

/* The filter, its last instruction first: jumps lead forward only. */
static struct sock_filter code[1024];
static unsigned count;

static unsigned emit(unsigned short op, unsigned yes, unsigned no, unsigned k)
{
	int jump = BPF_CLASS(op) == BPF_JMP;
	code[count] = (struct sock_filter){ op, jump ? count - 1 - yes : 0, jump ? count - 1 - no : 0, k };
	return count++;
}

static unsigned halves(const unsigned *turn, unsigned first, unsigned last, unsigned allow, unsigned deny)
{
	if (last - first == 1) return first % 2 ? deny : allow;
	unsigned middle = (first + last) / 2, high = halves(turn, middle, last, allow, deny);
	unsigned low = halves(turn, first, middle, allow, deny);
	return emit(BPF_JMP | BPF_JGE | BPF_K, high, low, turn[middle]);
}

static unsigned search(const unsigned *turn, unsigned length)
{
	unsigned deny = emit(BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | EPERM);
	unsigned allow = emit(BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW);
	return halves(turn, 0, length, allow, deny);
}

static void filter_calls(void)
{
	unsigned other[118], x32[92], length = sizeof native / sizeof *native, i;
	for (i = 0; i < 118; i++) other[i] = 4 * i;
	for (i = 0; i < 92; i++) x32[i] = 0x40000000 + 5 * i;
	unsigned kill = emit(BPF_RET | BPF_K, 0, 0, SECCOMP_RET_KILL_PROCESS);
	search(other, 118);
	unsigned foreign = emit(BPF_LD | BPF_W | BPF_ABS, 0, 0, 0);
	/* A comparison reaches 255 instructions, this jump any number. */
	unsigned to_kill = emit(BPF_JMP | BPF_JA, 0, 0, 0);
	code[to_kill].jt = code[to_kill].jf = 0;
	code[to_kill].k = to_kill - 1 - kill;
	unsigned is_foreign = emit(BPF_JMP | BPF_JEQ | BPF_K, foreign, to_kill, FOREIGN);
	unsigned high = search(x32, 92), low = search(native, length);
	emit(BPF_JMP | BPF_JGE | BPF_K, high, low, 0x40000000);
	unsigned own = emit(BPF_LD | BPF_W | BPF_ABS, 0, 0, 0);
	unsigned to_foreign = emit(BPF_JMP | BPF_JA, 0, 0, 0);
	code[to_foreign].jt = code[to_foreign].jf = 0;
	code[to_foreign].k = to_foreign - 1 - is_foreign;
	emit(BPF_JMP | BPF_JEQ | BPF_K, own, to_foreign, OWN);
	emit(BPF_LD | BPF_W | BPF_ABS, 0, 0, 4);
	static struct sock_filter program[1024];
	for (i = 0; i < count; i++) program[i] = code[count - 1 - i];
	struct sock_fprog fprog = { count, program };
	must(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &fprog) == 0, "seccomp");
}

static void give_up_power(void)
{
	for (int cap = 0; cap < 64; cap++)
		if (!(cap < 32 && CAPABILITIES >> cap & 1) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0) break;
	filter_calls();
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2] = { { CAPABILITIES, CAPABILITIES, 0 }, { 0, 0, 0 } };
	must(syscall(SYS_capset, &header, data) == 0, "capset");
}

/* On v2 one group for all, else one for each: below our own, as ccrun makes them. */
static void make_groups(void)
{
	char line[512], *name, *own;
	unified = access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0;
	if (unified) {
		put("/sys/fs/cgroup/cgroup.subtree_control", "+memory +cpu +pids +io");
		snprintf(group[0], sizeof group[0], "/sys/fs/cgroup/floor-%d", getpid());
		must(mkdir(group[0], 0755) == 0, group[0]);
		put(at(group[0], "memory.max"), "67108864");
		put(at(group[0], "memory.oom.group"), "1");
		put(at(group[0], "memory.swap.max"), "0");
		put(at(group[0], "cpu.max"), "50000 100000");
		put(at(group[0], "pids.max"), "20");
		return;
	}
	FILE *file = fopen("/proc/self/cgroup", "re");
	must(file != NULL, "/proc/self/cgroup");
	while (fgets(line, sizeof line, file)) {
		if (!(name = strchr(line, ':')) || !(own = strchr(++name, ':'))) continue;
		*own++ = 0;
		own[strcspn(own, "\n")] = 0;
		for (int i = 0; i < 3; i++)
			if (strcmp(name, controllers[i]) == 0)
				snprintf(group[i], sizeof group[i], "/sys/fs/cgroup/%s/%s/floor-%d", name, own + 1, getpid());
	}
	fclose(file);
	for (int i = 0; i < 3; i++) must(mkdir(group[i], 0755) == 0, group[i]);
	put(at(group[0], "memory.limit_in_bytes"), "67108864");
	put(at(group[0], "memory.memsw.limit_in_bytes"), "67108864");
	put(at(group[1], "cpu.cfs_period_us"), "100000");
	put(at(group[1], "cpu.cfs_quota_us"), "50000");
	put(at(group[2], "pids.max"), "20");
}

static void show_groups(void)
{
	unsigned long quiet = MS_NOSUID | MS_NODEV | MS_NOEXEC;
	must(unshare(CLONE_NEWCGROUP) == 0, "unshare");
	if (unified) {
		must(mount("cgroup", "root/sys/fs/cgroup", "cgroup2", quiet | MS_RDONLY, NULL) == 0, "cgroup2");
		return;
	}
	must(mount("tmpfs", "root/sys/fs/cgroup", "tmpfs", quiet, "mode=755,size=64k") == 0, "tmpfs");
	for (int i = 0; i < 3; i++) {
		const char *target = at("root/sys/fs/cgroup", controllers[i]);
		must(mkdir(target, 0755) == 0 && mount("cgroup", target, "cgroup", quiet | MS_RDONLY, controllers[i]) == 0, target);
	}
	must(mount(NULL, "root/sys/fs/cgroup", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | quiet, NULL) == 0, "read-only");
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
	if (limits) show_groups();
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
		give_up_power();
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
	if (argc > 1 && strcmp(argv[1], "--limits") == 0) {
		limits = 1;
		argv++, argc--;
	}
	if (argc < 4) errx(125, "usage: floor [--limits] STATE ROOTFS COMMAND [ARG...]");
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
	if (limits) {
		make_groups();
		args.flags &= ~(unsigned long long)CLONE_NEWCGROUP;
		if (unified) {
			args.flags |= CLONE_INTO_CGROUP;
			args.cgroup = open(group[0], O_PATH | O_DIRECTORY | O_CLOEXEC);
		}
	}
	pid_t pid = syscall(SYS_clone3, &args, sizeof args);
	must(pid >= 0, "clone3");
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(ready[1]);
		for (int i = 0; i < 3 && limits && !unified; i++) put(at(group[i], "tasks"), "0");
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
	for (int i = 0; i < 3 && group[i][0]; i++) must(rmdir(group[i]) == 0, group[i]);
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
