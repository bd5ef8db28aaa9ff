# shellcheck shell=bash
# A fresh Debian root, and a way to run commands in it, as functions. They need root and debootstrap. The mirror, apt's,
# git's and pip's settings are those of this machine; what else the root must see is named in BIND, paths parted by colons.

machine_settings=(/etc/apt/auth.conf.d /etc/gitconfig "$HOME/.gitconfig" /etc/pip.conf /etc/resolv.conf)
# Settings that are folders' or files' names in other settings (a mirror that git's insteadOf or pip's find-links names).
mapfile -t mirrors < <({
    git config --list --name-only 2>/dev/null | sed -n 's/^url\.\(\/.*\)\.insteadof$/\1/p'
    printf '%s\n' "${PIP_FIND_LINKS:-}"
} | grep '^/' | sort -u)
toolchain=$(realpath "$(dirname "$(command -v swift)")/..")

# What swift.org lists for Debian 12, git among it, with make.
toolchain_packages=binutils,gcc,git,gnupg2,libcurl4-openssl-dev,libedit2,libgcc-12-dev,libncurses-dev,libpython3-dev
toolchain_packages+=,libsqlite3-0,libstdc++-12-dev,libxml2-dev,libz3-dev,make,pkg-config,tzdata,unzip,uuid-dev,zlib1g-dev

make_root() { # ROOT [PACKAGES, parted by commas]
    local release mirror setting
    release=bookworm
    # shellcheck disable=SC2016 # apt's own variables
    mirror=$(apt-get indextargets --no-release-info --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' |
        awk -v release="$release" '$2 == release { print $1; exit }')
    [[ $mirror ]] || { echo "this machine's apt knows no $release" >&2; return 1; }
    debootstrap --variant=minbase --include="ca-certificates${2:+,$2}" "$release" "$1" "$mirror" >"$1.log" 2>&1 ||
        { tail -n 3 "$1.log" >&2; return 1; }
    rm -f "$1/etc/apt/sources.list"
    cp /etc/apt/sources.list.d/debian.sources "$1/etc/apt/sources.list.d/" 2>/dev/null || cp /etc/apt/sources.list "$1/etc/apt/"
    for setting in /etc/apt/apt.conf.d/*; do
        # A container's housekeeping belongs to its image.
        [[ $setting == */docker-* || $setting == */*packagekit || $setting == */*appstream ]] || cp "$setting" "$1/etc/apt/apt.conf.d/"
    done
    # The authorities that this machine trusts beyond Debian's own. Copied: a later step may upgrade ca-certificates.
    cp -rL /usr/local/share/ca-certificates/. "$1/usr/local/share/ca-certificates/"
    chroot "$1" update-ca-certificates >/dev/null 2>&1
    echo '127.0.0.1 localhost' >"$1/etc/hosts"
    cp -n /usr/share/keyrings/*.gpg "$1/usr/share/keyrings/"
}

# Runs a command in the root with process ids, mounts and a /tmp of its own: when it ends, nothing of it is left.
# The environment is empty but for what apt, git and pip read, and the variables given before `--`.
enter_root() { # ROOT [NAME=VALUE...] -- COMMAND [ARGUMENT...]
    local root=$1 variables=()
    shift
    while [[ $1 != -- ]]; do variables+=("$1") && shift; done
    shift
    mapfile -t settings < <(env | grep -E '^(PIP_[A-Z_]+|GIT_SSL_[A-Z_]+|SSL_CERT_[A-Z_]+|CURL_CA_BUNDLE|[a-z]+_proxy|[A-Z]+_PROXY)=')
    # shellcheck disable=SC2016 # expanded by the inner shell
    unshare --mount --pid --fork --kill-child=KILL --propagation private bash -euc '
        root=$1; shift
        for path in $BOUND; do
            [[ -e $path ]] || continue
            if [[ -d $path ]]; then mkdir -p "$root$path"; else mkdir -p "$root${path%/*}"; touch "$root$path"; fi
            mount --rbind "$path" "$root$path"
            mount -o remount,bind,ro "$root$path" 2>/dev/null || true
        done
        mount -t proc proc "$root/proc"
        mount --rbind /dev "$root/dev"
        mount --rbind /sys "$root/sys"
        exec chroot "$root" env -i "$@"
    ' enter "$root" HOME="$HOME" USER=root LANG=C.UTF-8 "${settings[@]}" \
        PATH="$toolchain/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" "${variables[@]}" "$@"
}
export BOUND="$toolchain ${mirrors[*]} ${machine_settings[*]} ${BIND:+${BIND//:/ }}"
