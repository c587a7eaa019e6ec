#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
exec >/dev/console 2>&1 </dev/null
while read -r m; do insmod "/mod/$m" || echo "vmrun: insmod $m failed"; done </mod/order
. /vmrun/config
die() { echo "vmrun: $*"; poweroff -f; }
mkdir -p /host /ovl /new
mount -t virtiofs -o ro hostroot /host || die "no virtiofs root"
mount -t tmpfs -o mode=755,size=75% ovl /ovl; mkdir -p /ovl/up /ovl/work
mount -t overlay -o lowerdir=/host,upperdir=/ovl/up,workdir=/ovl/work root /new || die "no overlay"
cd /new; mkdir -p proc sys dev run tmp vmrun lib/modules
mount -t tmpfs -o mode=755 run run; mount -t tmpfs -o mode=755 vmrun vmrun
mount --move /proc proc; mount --move /sys sys; mount --move /dev dev
mkdir -p dev/pts dev/shm vmrun/bin
mount -t devpts -o mode=620,ptmxmode=666 devpts dev/pts; mount -t tmpfs -o mode=1777 shm dev/shm
for l in fd: stdin:/0 stdout:/1 stderr:/2; do ln -sfn "/proc/self/fd${l#*:}" "dev/${l%%:*}"; done
mount -t bpf -o mode=700 bpf sys/fs/bpf
mount -t tracefs tracefs sys/kernel/tracing; mount -t debugfs debugfs sys/kernel/debug
mount -t securityfs securityfs sys/kernel/security
mount -t cgroup2 cgroup2 sys/fs/cgroup
mkdir -p "lib/modules/$(uname -r)"; mount --bind "/new$MODDIR" "lib/modules/$(uname -r)"
[ -f "/new$CONFIG" ] && mkdir -p boot && cp "/new$CONFIG" "boot/config-$(uname -r)" # Debian's kernels have no /proc/config.gz
i=0; for d in $RWDIRS; do mkdir -p "/new/$d"; mount -t virtiofs rw$i "/new/$d" || echo "vmrun: rw share $d failed"; i=$((i+1)); done
cp -a /vmrun/* vmrun/; cp /bin/busybox vmrun/; cp /bin/busybox sbin/modprobe
exec switch_root /new /vmrun/busybox sh /vmrun/stage2
