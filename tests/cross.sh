#!/bin/sh
# cross.sh ARCH: builds for arm64 or s390x (big-endian) with Debian's cross
# compiler and runs the tests under qemu-user. The libraries come from the
# packages of that architecture, unpacked beside the build and not installed.
# Left out: tests that call a compiler themselves, and the examples that train:
# emulated, they take a minute each.
set -e
arch=$1
case $arch in
arm64) cpu=aarch64 ;;
s390x) cpu=s390x ;;
*) echo "cross.sh: arm64 or s390x, not \"$arch\"" >&2; exit 2 ;;
esac
triplet=$cpu-linux-gnu build=build/cross/$arch
root=$PWD/$build/root
lib=$root/usr/lib/$triplet
packages="libc6 libopenblas0-pthread libopenblas-pthread-dev libgfortran5
    libgcc-s1 libjansson4 libjansson-dev zlib1g zlib1g-dev check libsubunit0
    libsubunit-dev"

sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
if ! command -v "qemu-$cpu" "$triplet-gcc" >/dev/null; then
    $sudo apt-get update -q
    $sudo apt-get install -q -y --no-install-recommends qemu-user \
        "gcc-$triplet" "libc6-dev-$arch-cross"
fi
if [ ! -e "$root/.complete" ]; then
    if ! dpkg --print-foreign-architectures | grep -qx "$arch"; then
        $sudo dpkg --add-architecture "$arch"
        $sudo apt-get update -q
    fi
    mkdir -p "$root/packages"
    for p in $packages; do
        (cd "$root/packages" && apt-get download -q "$p:$arch")
    done
    for p in "$root"/packages/*.deb; do
        dpkg -x "$p" "$root"
    done
    find "$lib" -type l -lname '/*' | while read -r link; do
        ln -sf "$root$(readlink "$link")" "$link"
    done
    touch "$root/.complete"
fi

export PKG_CONFIG_SYSROOT_DIR="$root" QEMU_LD_PREFIX="$root"
export PKG_CONFIG_LIBDIR="$lib/pkgconfig:$lib/openblas-pthread/pkgconfig"
export QEMU_SET_ENV="LD_LIBRARY_PATH=$lib:$lib/openblas-pthread"
tests=$(basename -s .c tests/test_*.c | grep -vx -e test_readme \
    -e test_structure -e test_docs -e test_resume -e test_example_train \
    -e test_example_mnist -e test_example_flow -e test_example_predict \
    -e test_example_second_order -e test_example_faults)
# shellcheck disable=SC2046,SC2086 # lists of words
make CC="${CROSS_CC:-$triplet-gcc}" BUILD="$build" CFLAGS="-O2 -g" \
    EXTRA_LIBS="-Wl,-rpath-link,$lib:$root/lib/$triplet" \
    examples $(printf "$build/tests/%s " $tests)

# An example is started by its name: stand in for each.
mkdir -p "$build/run/examples"
for e in "$build"/examples/[0-9]*[a-z]; do
    name=$build/run/examples/$(basename "$e")
    printf '#!/bin/sh\nexec qemu-%s "%s" "$@"\n' "$cpu" "$PWD/$e" >"$name"
    chmod +x "$name"
done
ln -sfn ../tests "$build/run/tests"
# shellcheck disable=SC2086
CK_TIMEOUT_MULTIPLIER=30 RILL_RUN="qemu-$cpu" \
    sh tests/run.sh "$build/run/tests" $tests
