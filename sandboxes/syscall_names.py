"""The calls that the policy allows or refuses whole, each group with its reason. `syscalls.py` has those that depend.

Names are Linux's, of x86-64 and aarch64; a name that one of them does not have is passed over there.
"""

from __future__ import annotations

__all__ = ["ALLOWED", "REFUSED"]

ALLOWED = {
    "files by descriptor": (
        "read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 lseek close close_range dup "
        "dup2 dup3 fcntl flock fsync fdatasync sync syncfs sync_file_range fallocate ftruncate fstat newfstatat "
        "fstatfs fchdir fchmod fchown getdents getdents64 readahead fadvise64 copy_file_range sendfile splice tee "
        "vmsplice cachestat fgetxattr fsetxattr flistxattr fremovexattr"
    ),
    "files by path": (
        "open openat openat2 creat access faccessat faccessat2 stat lstat statx statfs truncate rename renameat "
        "renameat2 mkdir mkdirat rmdir link linkat unlink unlinkat symlink symlinkat readlink readlinkat chmod "
        "fchmodat fchmodat2 chown lchown fchownat mknod mknodat utime utimes utimensat futimesat chdir getcwd "
        "umask getxattr lgetxattr setxattr lsetxattr listxattr llistxattr removexattr lremovexattr"
    ),
    "watching": (
        "poll ppoll select pselect6 epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 "
        "eventfd eventfd2 signalfd signalfd4 timerfd_create timerfd_settime timerfd_gettime inotify_init "
        "inotify_init1 inotify_add_watch inotify_rm_watch pipe pipe2"
    ),
    "memory": (
        "brk mmap munmap mremap mprotect madvise msync mincore mlock mlock2 munlock mlockall munlockall "
        "memfd_create membarrier pkey_alloc pkey_free pkey_mprotect remap_file_pages shmget shmat shmdt shmctl "
        "map_shadow_stack"
    ),
    "processes": (
        "fork vfork execve execveat exit exit_group wait4 waitid getpid getppid gettid getpgid getpgrp setpgid "
        "getsid setsid kill tkill tgkill pidfd_open pidfd_send_signal rt_sigaction rt_sigprocmask rt_sigreturn "
        "rt_sigpending rt_sigqueueinfo rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo sigaltstack pause "
        "restart_syscall alarm getitimer setitimer times getrusage getrlimit setrlimit prlimit64 getpriority "
        "setpriority ioprio_get ioprio_set"
    ),
    # prctl: the worker hides its memory with it, and every C library names threads with it.
    "threads and scheduling": (
        "prctl arch_prctl set_tid_address set_thread_area get_thread_area set_robust_list get_robust_list futex "
        "futex_wait futex_wake futex_waitv futex_requeue rseq sched_yield sched_getaffinity sched_setaffinity "
        "sched_getparam sched_setparam sched_getscheduler sched_setscheduler sched_get_priority_max "
        "sched_get_priority_min sched_getattr sched_setattr sched_rr_get_interval getcpu"
    ),
    # The worker becomes the job's user with these; without capabilities they change nothing.
    "users": (
        "getuid geteuid getgid getegid getresuid getresgid getgroups setuid setgid setreuid setregid setresuid "
        "setresgid setgroups setfsuid setfsgid capget capset"
    ),
    "clocks, read only": (
        "clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time timer_create timer_settime "
        "timer_gettime timer_getoverrun timer_delete"
    ),
    "sockets that are open": (
        "socketpair bind listen accept accept4 connect getsockname getpeername getsockopt setsockopt shutdown "
        "sendto recvfrom sendmsg recvmsg sendmmsg recvmmsg"
    ),
    "queues and semaphores of the box's own IPC namespace": (
        "semget semop semctl semtimedop msgget msgsnd msgrcv msgctl mq_open mq_unlink mq_timedsend "
        "mq_timedreceive mq_notify mq_getsetattr"
    ),
    "what system this is": "uname sysinfo getrandom",
    # Filters and rulesets only ever take rights away.
    "further confinement": "seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self",
}
"""Why -> the calls, by name, that are allowed whatever their arguments."""

REFUSED = {
    "changes what is mounted where": (
        "mount umount umount2 pivot_root chroot move_mount open_tree open_tree_attr fsopen fsconfig fsmount "
        "fspick mount_setattr"
    ),
    "makes or enters namespaces": "unshare setns sethostname setdomainname",
    "reads or steers other processes": ("ptrace process_vm_readv process_vm_writev process_madvise pidfd_getfd kcmp"),
    "keys are shared across namespaces": "add_key request_key keyctl",
    "loads programs into the kernel": "bpf init_module finit_module delete_module kexec_load kexec_file_load",
    "large, young parts of the kernel, often with holes": (
        "perf_event_open userfaultfd io_uring_setup io_uring_enter io_uring_register"
    ),
    "one count for the whole host, which one box could use up": (
        "io_setup io_destroy io_getevents io_pgetevents io_submit io_cancel"
    ),
    "opens files by handle, past every mount": "open_by_handle_at name_to_handle_at",
    "watches whole file systems": "fanotify_init fanotify_mark",
    "runs the machine": "reboot swapon swapoff acct quotactl quotactl_fd vhangup syslog iopl ioperm",
    "sets the clock": "settimeofday clock_settime clock_adjtime adjtimex stime",
    "places memory on nodes": "mbind set_mempolicy get_mempolicy migrate_pages move_pages",
}
"""Why -> the calls that get EPERM whatever their arguments. clone3 is not here: it must look missing (ENOSYS)."""
