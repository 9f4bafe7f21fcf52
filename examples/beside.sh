# shellcheck shell=bash
# Shared by setup_environment.sh and tests/run.sh; to be sourced in the repository's root, where .venv is.

# beside FOLDER WHAT PACKAGE… : packages that must not be installed with the rest, in a folder of .venv of their own.
beside() {
    local folder=.venv/$1 what=$2
    if [ -d "$folder" ]; then return; fi
    echo "Installing $what into $folder"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-compile --target "$folder.partial" "${@:3}" &&
        mv "$folder.partial" "$folder"
}
