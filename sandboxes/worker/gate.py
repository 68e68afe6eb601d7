"""The gate: a program of some 500 bytes that a job's process is before it is the job. It becomes the user, then execs.

Why a program: the worker starts jobs with posix_spawn, which makes a process without copying the worker's memory but
cannot change its user. The worker must not take on that user itself: a process is open to signals from whoever has its
*real* id, and between the job's exec and the worker's next step the job could kill it. So what is spawned is this, as
root, and it holds no code but its list of system calls, each of which must succeed. It never runs anything of the
job's before it is the job's user for good. Its memory is gone with its exec; it costs 0.02 ms.

Limits: Linux on x86-64. Elsewhere `build` returns None, and the spawner starts all jobs.
"""

from __future__ import annotations

import os
import struct

TYPE_CHECKING = False  # not from typing, whose import would take milliseconds of every start
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["BECOME", "CHDIR", "CODE", "EXEC", "REFUSAL", "REFUSAL_FD", "build"]

REFUSAL = struct.Struct("<iI")
"""What it writes where it cannot go on: which stage, and the errno."""
REFUSAL_FD = 3
BECOME, CHDIR, EXEC = 0, 1, 2

# Arguments: a name, the folder, each path to try, "", then the job's own. The GNU assembler makes the bytes from the
# text, and a test has it do so. The list of calls follows the code: number, mask of the result, five arguments.
CODE = (
    ("", ".intel_syntax noprefix"),
    ("488d1dc1000000", "lea rbx, [rip+list]"),
    ("8b03", "next: mov eax, [rbx]"),
    ("85c0", "test eax, eax"),
    ("7823", "js enter"),
    ("488b7b08", "mov rdi, [rbx+8]"),
    ("488b7310", "mov rsi, [rbx+16]"),
    ("488b5318", "mov rdx, [rbx+24]"),
    ("4c8b5320", "mov r10, [rbx+32]"),
    ("4c8b4328", "mov r8, [rbx+40]"),
    ("0f05", "syscall"),
    ("234304", "and eax, [rbx+4]"),
    ("85c0", "test eax, eax"),
    ("786e", "js fail"),
    ("4883c330", "add rbx, 48"),
    ("ebd7", "jmp next"),
    ("bd01000000", "enter: mov ebp, 1"),
    ("488b7c2410", "mov rdi, [rsp+16]"),
    ("b850000000", "mov eax, 80  # chdir"),
    ("0f05", "syscall"),
    ("85c0", "test eax, eax"),
    ("7853", "js fail"),
    ("bd02000000", "mov ebp, 2"),
    ("488b0424", "mov rax, [rsp]"),
    ("4c8d74c410", "lea r14, [rsp+rax*8+16]  # the environment"),
    ("4c8d642418", "lea r12, [rsp+24]  # the paths"),
    ("4d89e5", "mov r13, r12"),
    ("498b7d00", "skip: mov rdi, [r13]"),
    ("4983c508", "add r13, 8  # in the end, the job's arguments"),
    ("803f00", "cmp byte ptr [rdi], 0"),
    ("75f3", "jne skip"),
    ("6afe", "push -2  # ENOENT, if no path says worse"),
    ("415f", "pop r15"),
    ("498b3c24", "try: mov rdi, [r12]"),
    ("4489f8", "mov eax, r15d"),
    ("803f00", "cmp byte ptr [rdi], 0"),
    ("7420", "je fail"),
    ("4c89ee", "mov rsi, r13"),
    ("4c89f2", "mov rdx, r14"),
    ("b83b000000", "mov eax, 59  # execve"),
    ("0f05", "syscall"),
    ("4983c408", "add r12, 8"),
    ("83f8fe", "cmp eax, -2  # ENOENT"),
    ("74de", "je try"),
    ("83f8ec", "cmp eax, -20  # ENOTDIR"),
    ("74d9", "je try"),
    ("4189c7", "mov r15d, eax"),
    ("ebd4", "jmp try"),
    ("f7d8", "fail: neg eax"),
    ("48c1e020", "shl rax, 32"),
    ("4809e8", "or rax, rbp"),
    ("50", "push rax"),
    ("bf03000000", "mov edi, 3"),
    ("4889e6", "mov rsi, rsp"),
    ("ba08000000", "mov edx, 8"),
    ("b801000000", "mov eax, 1  # write"),
    ("0f05", "syscall"),
    ("bf7e000000", "mov edi, 126"),
    ("b8e7000000", "mov eax, 231  # exit_group"),
    ("0f05", "syscall"),
    ("660f1f440000", ".balign 8"),
    ("", "list:"),
)
WRITE, CLOSE, RT_SIGACTION, FCNTL, UMASK, SETGROUPS = 1, 3, 13, 72, 95, 116
SETRESUID, SETRESGID, CAPSET, PRCTL, SETRLIMIT, OPENAT = 117, 119, 126, 157, 160, 257
F_SETFD, PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS, AT_FDCWD = 2, 4, 38, -100
CAPABILITY_VERSION_3 = 0x20080522
BASE, HEADERS, CALL = 0x400000, 64 + 56, struct.Struct("<iIQQQQQ")
MUST, MAY_FAIL = 0xFFFFFFFF, 0


def build(uid: int, gid: int, limits: Sequence[tuple[int, int, int]]) -> bytes | None:
    """Return the program as an ELF file; None where this machine would not run it.

    Args:
        uid: Whom it becomes, with real, effective and saved id.
        gid: Its only group.
        limits: Each limit that it sets, soft and hard.
    """
    if os.uname().machine != "x86_64" or struct.calcsize("P") != 8:
        return None
    code = bytes.fromhex("".join(each for each, _ in CODE))
    # Data lies behind the calls, and each is 48 bytes long: 15 or fewer, and the one that ends them.
    data, start = bytearray(), BASE + HEADERS + len(code) + CALL.size * 16 + CALL.size * len(limits)

    def put(content: bytes) -> int:
        data.extend(content)
        return start + len(data) - len(content)

    default = put(bytes(32))
    calls: list[tuple[int, int, tuple[int, ...]]] = [
        (FCNTL, MUST, (REFUSAL_FD, F_SETFD, 1)),
        (UMASK, MUST, (0o002,)),
        # The two that the C library keeps for itself, and whose being ignored posix_spawn hands on.
        *((RT_SIGACTION, MUST, (number, default, 0, 8)) for number in (32, 33)),
        # In a user namespace the files of /proc would not be its own. No one is who it is, so no one may look into it.
        (PRCTL, MAY_FAIL, (PR_SET_DUMPABLE, 1)),
        # While it is root, so before anything of the job's can run. A /proc that cannot be written is let pass.
        (OPENAT, MAY_FAIL, (AT_FDCWD, put(b"/proc/self/oom_score_adj\0"), os.O_WRONLY, 0)),
        (WRITE, MAY_FAIL, (REFUSAL_FD + 1, put(b"1000"), 4)),
        (CLOSE, MAY_FAIL, (REFUSAL_FD + 1,)),
        (SETGROUPS, MUST, (0, 0)),
        (SETRESGID, MUST, (gid, gid, gid)),
        *((SETRLIMIT, MUST, (which, put(struct.pack("<QQ", soft, hard)))) for which, soft, hard in limits),
        (PRCTL, MUST, (PR_SET_NO_NEW_PRIVS, 1)),
        (SETRESUID, MUST, (uid, uid, uid)),
        # Empties the inheritable set too, which alone outlives a change of user.
        (CAPSET, MUST, (put(struct.pack("<Ii", CAPABILITY_VERSION_3, 0)), put(bytes(24)))),
    ]
    table = b"".join(_call(*each) for each in calls) + CALL.pack(-1, 0, 0, 0, 0, 0, 0)
    whole = code + table
    whole += bytes(start - BASE - HEADERS - len(whole)) + bytes(data)
    size = HEADERS + len(whole)
    kind = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")  # 64 bits, little-endian
    head = kind + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, BASE + HEADERS, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    return head + struct.pack("<IIQQQQQQ", 1, 5, 0, BASE, BASE, size, size, 4096) + whole


def _call(number: int, mask: int, arguments: tuple[int, ...]) -> bytes:
    words = [each & (1 << 64) - 1 for each in arguments]
    return CALL.pack(number, mask, *words, *[0] * (5 - len(words)))
