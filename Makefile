# What each target does stands in .make/, one script a task. Nothing here needs more than the Swift toolchain; on Debian
# and Ubuntu the scripts install and fetch the rest.

# A script under `tied` ends when make does, even if make is killed.
tied = .make/check-machine && exec setpriv --pdeathsig TERM --

.PHONY: help run test build format lint clean purge
.SILENT:

help:
	echo 'make run     set up, build and serve on http://127.0.0.1:8080 with a PostgreSQL of its own; Ctrl-C stops all of it'
	echo 'make test    set up, then run every test against a throw-away PostgreSQL'
	echo 'make build   build the program: .build/release/ovenbird'
	echo 'make format  format the Swift sources'
	echo 'make lint    refuse Swift sources that are not formatted'
	echo 'make clean   remove what was built'
	echo 'make purge   remove what was fetched, and the data that make run keeps'

run:
	$(tied) .make/run

test:
	$(tied) .make/test

build:
	$(tied) .make/build

format:
	swift format -i -r Sources Tests Package.swift

lint:
	swift format lint -s -r Sources Tests Package.swift

clean:
	rm -rf .build

purge:
	.make/purge
