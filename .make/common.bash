# shellcheck shell=bash disable=SC2034
# Where things lie; sourced by the other scripts, which then work from the clone's top folder.

say() { printf 'ovenbird: %s\n' "$*" >&2; }

die() {
    say "$*"
    exit 1
}

# Whatever is made here must stay readable for the account that the database runs as; what is private says so itself.
umask 022
export LC_ALL=C

clone=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cd "$clone" || exit

# What is fetched: the default model and the embedded PostgreSQL.
fetched=$clone/.ovenbird
model=$fetched/model/all-MiniLM-L6-v2
mkdir -p "$fetched" 2>/dev/null || true
[[ -w $fetched ]] || die "$fetched cannot be written by $(id -un)"

clone_hash=$(printf %s "$clone" | sha256sum | cut -c 1-12)

# Whether a process of this shell's runs. One that ended but was not waited for yet does not.
is_running() { # PID
    local condition
    read -r _ _ condition _ 2>/dev/null <"/proc/$1/stat" && [[ $condition != Z ]]
}
