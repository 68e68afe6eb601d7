#!/bin/sh
# The last step of both ways of building the base image; runs as root inside it. Whatever depends on when, where or how
# often it was built goes: the same packages then give the same bytes. SOURCE_DATE_EPOCH is every file's time.
set -eu
: "${SOURCE_DATE_EPOCH:?is the time in seconds that every file gets}"
export LC_ALL=C PYTHONHASHSEED=0

# Jobs run as one of these, one id for each lane of a box (sandboxes/worker/lanes.py); their group is shared.
grep -q '^job:' /etc/group || echo 'job:x:1000:' >>/etc/group
for lane in 0 1 2 3 4 5 6 7; do
  grep -q "^job$lane:" /etc/passwd || echo "job$lane:x:$((1000 + lane)):1000::/work:/bin/sh" >>/etc/passwd
done
mkdir -p /work
chmod 0777 /work

# Files of a box belong to several users, which git would take for somebody else's repository.
cat >/etc/gitconfig <<'EOF'
[safe]
	directory = *
[init]
	defaultBranch = main
EOF

cat >/etc/apt/sources.list <<'EOF'
deb http://deb.debian.org/debian bookworm main
deb http://deb.debian.org/debian bookworm-updates main
deb http://deb.debian.org/debian-security bookworm-security main
EOF
rm -rf /etc/apt/sources.list.d/* /etc/apt/apt.conf.d/docker-* /etc/dpkg/dpkg.cfg.d/docker*

# A job has no_new_privs as well; nothing that could raise privileges is there in the first place.
find / -xdev -type f -perm /6000 -exec chmod a-s {} +

# Documents, but not copyright files; messages in other languages; two parts of link-time optimisation (63 MB); headers
# for extending Perl (5 MB).
find /usr/share/doc -mindepth 1 ! -type d ! -name copyright -delete
find /usr/share/doc -mindepth 1 -type d -empty -delete
rm -rf /usr/share/man/* /usr/share/info/* /usr/share/locale/* /usr/share/lintian /usr/share/linda /usr/share/groff \
  /usr/share/bug /usr/share/gitweb /usr/share/bash-completion
rm -rf /usr/lib/gcc/*/*/lto1 /usr/bin/*lto-dump* /usr/lib/*/perl/*/CORE

# Caches, logs, backups, and what names the machine that built it. In a build by an engine some of these are mounted.
rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/cache/ldconfig /var/cache/man \
  /var/lib/dpkg/*-old /var/lib/apt/extended_states /var/lib/dbus/machine-id /debootstrap /root/.cache /etc/passwd- /etc/group- /etc/shadow- \
  /etc/gshadow- /etc/subuid- /etc/subgid- /etc/.pwd.lock /tmp/* /var/tmp/* /run/*
find /var/log -type f -delete
for file in /var/lib/dpkg/available /etc/machine-id /etc/hostname /etc/hosts /etc/resolv.conf; do
  [ ! -e "$file" ] || : >"$file"
done

# Byte code that names no time of its source: made in one order by one process, and never checked again when imported.
find / -xdev -type d -name __pycache__ -prune -exec rm -rf {} +
find /usr/lib/python3* -name '*.py' | sort | python3 -B -m compileall -q --invalidation-mode unchecked-hash -i -

find / -xdev -depth -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} + 2>/dev/null || true
