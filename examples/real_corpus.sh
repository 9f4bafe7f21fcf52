#!/usr/bin/env bash
# A corpus of some size, fetched and cleaned: manuals, handbooks, references and man pages from Debian's packages (57,000 pages of
# HTML, in English, Chinese and two dozen languages that are left out), and the quickstart's corpus with Wikipedia in it.
#
#     bash examples/real_corpus.sh                 # 1.5 GB in runs/real_corpus/raw, what is kept in runs/real_corpus/clean
#     bash examples/real_corpus.sh --workers 16    # what follows goes to tools/clean_corpus.py
#
# On Debian or Ubuntu, after `bash examples/setup_environment.sh data`. Packages are fetched and unpacked, never installed; what
# is there is not fetched again. Their texts have licences of their own (raw/PACKAGE/usr/share/doc/*/copyright).

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# ---- settings ----------------------------------------------------------------------------------------------------------
OUT=${OUT:-runs/real_corpus}
PACKAGES=${PACKAGES:-"
    anarchism apache2-doc cmake-doc cppreference-doc-en-html debian-handbook debian-policy debian-reference-en
    debian-reference-zh-cn debian-reference-zh-tw debmake-doc developers-reference gimp-help-en gimp-help-zh-cn git-doc
    installation-guide-amd64 libboost1.81-doc libreoffice-help-en-us libreoffice-help-zh-cn libreoffice-help-zh-tw
    linux-doc-6.1 manpages manpages-dev manpages-zh openjdk-17-doc postgresql-doc-15 python-django-doc
    python-pandas-doc python-scipy-doc python-sklearn-doc python-sympy-doc python3.11-doc qtbase5-doc-html
    sqlite3-doc"}

# ---- 1 · fetch and unpack what is text ---------------------------------------------------------------------------------
fetch() {
    local package=$1
    [ -e "raw/$package" ] && return
    if ! ls downloads/"${package}"_*.deb >/dev/null 2>&1 && ! (cd downloads && apt-get -q download "$package" >apt.log 2>&1); then
        printf 'real_corpus: apt-get could not fetch %s (%s); see to its sources, or leave it out of PACKAGES\n' \
            "$package" "$(tail -n 1 downloads/apt.log)" >&2
        return
    fi
    rm -rf unpacking && mkdir unpacking
    dpkg --fsys-tarfile downloads/"${package}"_*.deb | tar -x -C unpacking --wildcards --no-anchored \
        '*.html' '*/man/*' copyright 2>/dev/null || true # no file of one of these kinds is no failure
    find unpacking -type l -delete
    man_pages unpacking
    mv unpacking "raw/$package"
}

# Man pages as HTML, by mandoc; its page is beside the page itself, whose ending no reader takes.
man_pages() {
    local page
    find "$1" -path '*/man/*.gz' -print | while read -r page; do
        zcat "$page" | tools/usr/bin/mandoc -K utf-8 -T html >"${page%.gz}.html" 2>/dev/null || rm -f "${page%.gz}.html"
    done
}

mkdir -p "$OUT/raw" "$OUT/downloads"
(
    cd "$OUT"
    if [ ! -x tools/usr/bin/mandoc ]; then
        (cd downloads && apt-get -q download mandoc >/dev/null) && dpkg -x downloads/mandoc_*.deb tools
    fi
    for package in $PACKAGES; do
        fetch "$package"
    done
)
.venv/bin/python examples/quickstart_corpus.py --output "$OUT/quickstart"
mkdir -p "$OUT/raw/quickstart" && cp "$OUT/quickstart/train.jsonl" "$OUT/raw/quickstart/"

# ---- 2 · clean: several formats and sources at once --------------------------------------------------------------------
.venv/bin/python tools/clean_corpus.py --recipe manuals --input "$OUT/raw/**/*.html" "$OUT/raw/**/*.jsonl" \
    --sources-below "$OUT/raw" --output "$OUT/clean" "$@"
