#!/bin/busybox sh
# The guest's first process: makes the machine's file system, under a layer of memory that takes
# all changes, the root, and hands over to `cargo xtask kernels` there.
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
while read -r module; do insmod "/modules/$module"; done < /modules/order
for word in $(cat /proc/cmdline); do
    case $word in
    eigw.program=*) program=${word#*=} ;;
    eigw.share=*) share=${word#*=} ;;
    eigw.modules=*) modules=${word#*=} ;;
    esac
done
fail() {
    echo "eigw: $1"
    poweroff -f
}
mount -t virtiofs machine /machine || fail "the machine's files cannot be mounted"
mount -t tmpfs -o size=60% tmpfs /layer && mkdir /layer/upper /layer/work
mount -t overlay -o lowerdir=/machine,upperdir=/layer/upper,workdir=/layer/work overlay /root ||
    fail "the layer of memory cannot be mounted"
mkdir -p /root/mnt/share "/root/lib/modules/$(uname -r)"
mount -o bind "/machine$share" /root/mnt/share || fail "$share cannot be mounted"
mount -o bind "/machine$modules" "/root/lib/modules/$(uname -r)" || fail "$modules cannot be mounted"
for directory in proc sys dev; do mount --move /$directory /root/$directory; done
exec switch_root /root "$program" kernels --inside-guest /mnt/share
