# shellcheck shell=bash disable=SC2154
# The embedded PostgreSQL as functions, on three folders that the caller names before it calls them:
#   data      the cluster      sockets   the socket's folder, see choose_sockets      log   the server's log, a file
# Sourced after common.bash.

# PostgreSQL refuses root, and the unprivileged account may be unable to enter the clone (/root is 0700): for root its
# programs, data and socket lie in a folder of their own, found by the clone's path. `nobody` is on every Debian and Ubuntu.
if ((EUID == 0)); then
    state=/var/lib/ovenbird-$(printf %s "$clone" | sha256sum | cut -c 1-12)
    # Whatever the umask: the account must pass through.
    install -d -m 0755 "$state" || die "$state cannot be made"
    database_account=nobody
    become=(setpriv --reuid nobody --regid "$(id -g nobody)" --clear-groups)
else
    state=$fetched
    database_account=$(id -un)
    become=(setpriv)
fi
programs=$state/postgresql/server/18/bin

private_folder() { # FOLDER: makes it, for the database's account alone
    if ((EUID == 0)); then
        install -d -o "$database_account" -g "$(id -g "$database_account")" -m 0700 "$1"
    else
        # In a shared folder such as /tmp somebody may have been here first: only a real folder of ours will do.
        mkdir -m 0700 "$1" 2>/dev/null || [[ -d $1 && ! -L $1 && -O $1 ]] || die "$1 belongs to somebody else"
        chmod 0700 "$1"
    fi
}

choose_sockets() { # NAME: sets `sockets` to a private folder whose path a socket address (107 bytes) and a URL can hold
    local folder short
    short=ovenbird-$EUID-$(printf %s "$clone" | sha256sum | cut -c 1-12)-$1
    for folder in "$state/$1" "${XDG_RUNTIME_DIR:-/tmp}/$short" "/tmp/$short"; do
        if ((${#folder} <= 90)) && [[ $folder =~ ^/[A-Za-z0-9._/@+-]+$ && -d ${folder%/*} && -w ${folder%/*} ]]; then
            sockets=$folder
            private_folder "$sockets"
            return
        fi
    done
    die "no folder for PostgreSQL's socket: /tmp cannot be written"
}

database_url() { # DATABASE
    printf 'postgresql:///%s?host=%s&user=ovenbird' "$1" "$sockets"
}

# For root, brings the programs to where the database's account can reach them.
place_programs() {
    [[ $state != "$fetched" ]] || return 0
    (
        # `make run` and `make test` may come here at the same time.
        flock 8
        if ! cmp -s "$fetched/postgresql/pinned-by" "$state/postgresql/pinned-by"; then
            rm -rf "$state/postgresql" "$state/postgresql.partial"
            cp -a "$fetched/postgresql" "$state/postgresql.partial"
            chmod -R a+rX "$state/postgresql.partial"
            mv "$state/postgresql.partial" "$state/postgresql"
        fi
    ) 8>"$fetched/fetch.lock"
}

create_cluster() { # [INITDB OPTION...]
    if [[ -e $data/PG_VERSION ]]; then
        [[ $(<"$data/PG_VERSION") == 18 ]] || die "$data was made by PostgreSQL $(<"$data/PG_VERSION"), this one is 18"
        return 0
    fi
    # Made under another name and then renamed, so that what is found under `data` is whole.
    rm -rf "$data.partial"
    private_folder "$data.partial"
    # Access is the socket folder's mode: whoever reaches the socket owns the database. No locale of the machine is used.
    (cd / && "${become[@]}" --pdeathsig TERM -- "$programs/initdb" --pgdata "$data.partial" --username ovenbird \
        --auth trust --encoding UTF8 --locale C --locale-provider builtin --builtin-locale C.UTF-8 "$@") >"$log" 2>&1 9>&- ||
        die "initdb failed: $(tail -n 1 "$log") (all of it in $log)"
    mv "$data.partial" "$data"
}

# The processes that work in `data`. PostgreSQL's processes have it as their working directory.
processes_on_data() {
    local process name
    for process in /proc/[0-9]*; do
        if [[ $process/cwd -ef $data ]] && read -r name <"$process/comm" && [[ $name == postgres ]]; then
            echo "${process#/proc/}"
        fi
    done 2>/dev/null
}

# Ends what an earlier server left behind, gently first, and clears its lock files, which may name a process that is
# somebody else's by now. The caller holds the clone's lock: no living server of ours is hit.
clear_remains() {
    local signal postmaster try processes
    for signal in INT QUIT KILL; do
        for ((try = 0; try < 50; try++)); do
            mapfile -t processes < <(processes_on_data)
            ((${#processes[@]})) || break 2
            if ((try == 0)); then
                postmaster=$(head -n 1 "$data/postmaster.pid" 2>/dev/null || true)
                if [[ $signal == KILL ]]; then
                    kill -KILL "${processes[@]}" 2>/dev/null || true
                elif [[ " ${processes[*]} " == *" $postmaster "* ]]; then
                    # Its children follow it; orphans without a postmaster leave by themselves.
                    kill -s "$signal" "$postmaster" 2>/dev/null || true
                fi
            fi
            sleep 0.1
        done
    done
    rm -f "$data/postmaster.pid" "$sockets"/.s.PGSQL.5432*
}

# Starts the server as a child of this shell, in a session of its own so that a terminal's Ctrl-C does not reach it
# before its clients are gone; sets `postgres_pid`. It ends with this shell, even if that is killed.
launch_postgres() { # [SERVER OPTION...]
    clear_remains
    # The death signal comes after the change of account, which clears it; setpriv does them in that order.
    setsid "${become[@]}" --pdeathsig INT -- "$programs/postgres" -D "$data" -p 5432 -c listen_addresses= \
        -c unix_socket_directories="$sockets" -c unix_socket_permissions=0700 "$@" >>"$log" 2>&1 9>&- &
    postgres_pid=$!
}

await_postgres() { # fails if the server ends before it is ready; recovery after a crash may take its time
    while ! "$programs/pg_isready" --quiet --host "$sockets" --port 5432; do
        is_running "$postgres_pid" || return 1
        sleep 0.05
    done
}

ensure_database() { # DATABASE
    local psql=("$programs/psql" --no-psqlrc --quiet --host "$sockets" --username ovenbird --dbname postgres)
    [[ $("${psql[@]}" -tAc "SELECT 1 FROM pg_database WHERE datname = '$1'") == 1 ]] ||
        "${psql[@]}" -c "CREATE DATABASE $1"
}

stop_postgres() { # fast shutdown; a server that does not follow is stopped harder
    [[ ${postgres_pid:-} ]] || return 0
    local signal try
    for signal in INT QUIT KILL; do
        kill -s "$signal" "$postgres_pid" 2>/dev/null || break
        for ((try = 0; try < 200; try++)); do
            is_running "$postgres_pid" || break 2
            sleep 0.05
        done
    done
    wait "$postgres_pid" 2>/dev/null || true
    postgres_pid=
}
