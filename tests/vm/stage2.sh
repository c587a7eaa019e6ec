#!/vmrun/busybox sh
. /vmrun/config
/vmrun/busybox --install -s /vmrun/bin
PATH=/vmrun/bin; export PATH
port() { n=0; while [ $n -lt 100 ]; do for p in /sys/class/virtio-ports/*; do
  [ "$(cat "$p/name" 2>/dev/null)" = "$1" ] && { echo "/dev/${p##*/}"; return; }; done
  n=$((n+1)); usleep 50000; done; echo "vmrun: no port $1" >/dev/console; echo /dev/console; }
ip link set lo up; hostname vmrun; ulimit -l unlimited; ulimit -n 65536
for m in $MODULES; do modprobe "$m" || echo "vmrun: modprobe $m failed"; done
[ -n "$UPTIME" ] && echo "vmrun: up $(cut -d' ' -f1 /proc/uptime)"
rcp="$(port rc)"; echo start >"$rcp"
if [ -n "$INTERACTIVE" ]; then setsid cttyhack /bin/sh /vmrun/cmd; rc=$?
else /bin/sh /vmrun/cmd >"$(port out)" 2>"$(port err)" </dev/null; rc=$?; fi
[ -n "$UPTIME" ] && echo "vmrun: done $(cut -d' ' -f1 /proc/uptime); $(grep -E '^(MemTotal|MemAvailable)' /proc/meminfo | tr -s ' \n' ' ')"
echo "rc $rc" >"$rcp"
sync; poweroff -f
