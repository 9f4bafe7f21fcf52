"""Papers written here, as one file and as arXiv's archives."""

import gzip
import io
import tarfile

import pytest

from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.documents import Reject, document, open_source, records
from megatron_ext.corpus.flags import READERS, InputFlags
from megatron_ext.corpus.inputs import format_of
from megatron_ext.corpus.latex import macros
from megatron_ext.corpus.readers import latex

MAIN = r"""\documentclass[11pt]{article} % a comment
\usepackage{amsmath,ourstyle}
\newcommand{\method}{FooNet\xspace}
\newcommand\R{\mathbb{R}}
\newcommand{\norm}[2][2]{\left\|#2\right\|_{#1}}
\def\pair#1#2{\langle #1, #2 \rangle}
\DeclareMathOperator{\argmax}{arg\,max}
\title[short]{On {\method} and\\ \textbf{more}\thanks{Paid by \emph{nobody}.}}
\author{A. Uthor\inst{1} \and B}
\begin{document}
\maketitle
\begin{abstract}
We show 50\% more.% a comment that eats its line's end
 With \method we win.
\end{abstract}
% a line of comment
\section{Intro\-duction}\label{sec:intro}
Text with $x \in \R^n$ and $\norm{x} \le \norm[1]{y}$.

\input{parts/two}
\include{parts/three.tex}
\begin{verbatim}
100% \method stays \section{x}
\end{verbatim}
\iffalse hidden \fi
\bibliographystyle{plain}
\bibliography{refs}
\begin{thebibliography}{9}\bibitem{a} Someone. \end{thebibliography}
\appendix
\section*{Proofs}
$$\argmax_x \pair{x}{y} \\ z$$
\end{document}
after the end
"""
FILES = {
    "paper.tex": MAIN,
    "parts/two.tex": "\\subsection[s]{Deeper {\\bf still}}\nFrom another file: \\ours{a}. % \\input{no}\n\\input parts/four\n",
    "parts/three.tex": "Third. \\input{missing}\n",
    "parts/four.tex": "Fourth, which takes in \\input{parts/two}.",
    "ourstyle.sty": "\\newcommand{\\ours}[1]{ours(#1)}",
    "figure.png": b"\x89PNG" * 100,
    "refs.bib": "@article{}",
    "supplement.tex": "\\documentclass{article}\\begin{document}" + "long " * 2000 + "\\end{document}",
}
EXPECTED = r"""# On {FooNet} and \textbf{more}

\begin{abstract}
We show 50\% more. With FooNet we win.
\end{abstract}

## Intro\-duction

\label{sec:intro}
Text with $x \in \mathbb{R}^n$ and $\left\|x\right\|_{2} \le \left\|y\right\|_{1}$.

### Deeper {\bf still}

From another file: ours(a).
Fourth, which takes in \input{parts/two}.
Third. \input{missing}

\begin{verbatim}
100% \method stays \section{x}
\end{verbatim}

\appendix

## Proofs

$$\operatorname{arg\,max}_x \langle x, y \rangle \\ z$$"""


def packed(files, mode="w"):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            content = content.encode() if isinstance(content, str) else content
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def found(folder, content, name="a.tex"):
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    with open_source(f"{folder}/{name}", latex) as source:
        (record,) = records(source, latex, None, InputFlags(input_format="latex"))
    return document(record, latex)


def body(folder, text, preamble=""):
    """What is made of a body."""
    return found(folder, f"\\documentclass{{article}}\n{preamble}\n\\begin{{document}}\n{text}\n\\end{{document}}").text


def words(text):
    return text.split()


@pytest.mark.parametrize("name", ["2301.00001v2.tar.gz", "2301.00001v2.tgz", "2301.00001v2.tar", "2301.00001v2.gz"])
def test_a_paper(tmp_path, name):
    content = packed(FILES)
    result = found(tmp_path, content if name.endswith(".tar") else gzip.compress(content), name)
    assert words(result.text) == words(EXPECTED)
    assert result.text.startswith(
        "# On {FooNet} and \\textbf{more}\n\n\\begin{abstract}\nWe show 50\\% more. With FooNet we win.\n"
    )
    assert "\n\n## Proofs\n\n$$" in result.text and "\n\n\n" not in result.text
    assert {key: value for key, value in result.values.items() if key != "text"} == {
        "source": "arxiv", "title": r"On {FooNet} and \textbf{more}", "id": "arXiv:2301.00001v2",
        "url": "https://arxiv.org/abs/2301.00001v2",
    }  # fmt: skip
    assert format_of(name, READERS) == (None if name == "2301.00001v2.gz" else "latex")


@pytest.mark.parametrize(
    ("name", "id"),
    [
        ("hep-th9901001.tex", "arXiv:hep-th/9901001"),
        ("math.GT_0309136.tex", "arXiv:math.GT/0309136"),
        ("0704.0001.tex.gz", "arXiv:0704.0001"),
    ],
)
def test_arxivs_numbers(tmp_path, name, id):
    content = MAIN.encode()
    assert found(tmp_path, gzip.compress(content) if name.endswith(".gz") else content, name).id == id


def test_another_name_is_no_number(tmp_path):
    result = found(tmp_path, MAIN, "thesis.tex")
    assert (result.id, result.source) == (f"{tmp_path}/thesis.tex:1", "latex")


def test_the_main_file_is_found(tmp_path):
    paper = "\\documentclass{article}\\begin{document}%s\\end{document}"
    for files, expected in (
        ({"b.tex": paper % "b", "a.tex": paper % "the longer one"}, "the longer one"),
        ({"ms.tex": paper % "ms", "a.tex": paper % "the longer one"}, "ms"),
        (
            {"a.tex": paper % "whole: \\input{main}", "main.tex": paper % "part"},
            "whole: \\documentclass{article}\\begin{document}part",
        ),
        (
            {
                "README": "words",
                "a.tex": "%\\documentclass\n\\begin{document}",
                "x/b.tex": "\\documentstyle{x}\\begin{document}old",
            },
            "old",
        ),
    ):
        assert found(tmp_path, packed(files), "a.tar").text == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a % b\nc", "a c"),
        ("50\\% of \\\\% b\nc", "50\\% of \\\\c"),
        ("a\n% only\nb", "a\nb"),
        ("a\n\n%x\n\nb", "a\n\nb"),
        ("a%\n   b", "a   b"),
        ("\\begin{lstlisting}\n% code\n\\end{lstlisting}% x\ny", "\\begin{lstlisting}\n% code\n\\end{lstlisting}y"),
        ("a\\begin{comment}\nx\n\\end{comment}b", "ab"),
        ("\\begin{verbatim}%\\end{verbatim}\nx", "\\begin{verbatim}%\\end{verbatim}\nx"),
        ("%\\begin{verbatim}\nx % y\nz", "x z"),
        ("a\\iffalse b\\fi c", "a c"),
    ],
)
def test_comments(tmp_path, text, expected):
    assert words(body(tmp_path, text)) == words(expected)


@pytest.mark.parametrize(
    ("preamble", "text", "expected"),
    [
        (
            r"\newcommand{\be}{\begin{equation}}\newcommand{\ee}{\end{equation}}",
            r"\be x \ee",
            r"\begin{equation} x \end{equation}",
        ),
        (r"\newcommand{\a}{\alpha}", r"$\a x \a{}y \alphabet \ab$", r"$\alpha x \alpha y \alphabet \ab$"),
        (r"\newcommand*{\f}[1]{f(#1)}", r"\f{\f{x}} \f x \f\alpha \f", r"f(f(x)) f(x) f(\alpha) \f"),
        (r"\newcommand{\g}[2][d]{[#1|#2]}", r"\g{x} \g[y]{z} \g[{]}]{w}", r"[d|x] [y|z] [{]}|w]"),
        (r"\def\h#1{<#1>}\gdef\i{I}", r"\h{x} \i!", r"<x> I!"),
        (r"\renewcommand{\section}[1]{#1}", r"\section{x}", r"## x"),
        (r"\newcommand{\m}{1}\renewcommand{\m}{2}", r"\m", "2"),
        (r"\providecommand\p{\emph{p}}", r"\p.", r"\emph{p}."),
        (r"\newcommand{\bad}[1]{", r"\bad{x}", r"\bad{x}"),
        (r"\newcommand{\outer}{\inner}\newcommand{\inner}{deep}", r"\outer", "deep"),
    ],
)
def test_macros(tmp_path, preamble, text, expected):
    assert body(tmp_path, text, preamble) == expected


def test_macros_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(macros, "MOST", 10_000)
    assert body(tmp_path, r"\x", r"\newcommand{\x}{a\x}") == "a" * 21 + r"\x"
    laughs = r"\newcommand{\la}{ha}" + "".join(
        rf"\newcommand{{\l{chr(98 + n)}}}{{{chr(92) + 'l' + chr(97 + n)!s}}}" for n in range(3)
    )
    assert body(tmp_path, r"\ld", laughs) == "ha"
    bomb = r"\newcommand{\la}{ha ha ha}" + "".join(
        rf"\newcommand{{\l{chr(98 + n)}}}{{" + rf"\l{chr(97 + n)} " * 10 + "}" for n in range(12)
    )
    assert len(body(tmp_path, r"\lm", bomb)) < 100_000


def test_charsets(tmp_path):
    paper = "\\documentclass{article}%s\\begin{document}café\\end{document}"
    assert found(tmp_path, (paper % "\\usepackage[latin1]{inputenc}").encode("latin-1")).text == "café"
    assert found(tmp_path, (paper % "").encode()).text == "café"
    assert found(tmp_path, (paper % "% \xe9\n").encode("latin-1").replace(b"caf\xe9", b"cafe")).text == "cafe", (
        "in a comment it is nothing"
    )
    with pytest.raises(Reject, match="byte 0xe9 is not UTF-8") as caught:
        found(tmp_path, (paper % "").encode("latin-1"))
    assert caught.value.reason == "not_utf8"


@pytest.mark.parametrize(
    ("content", "name", "reason"),
    [
        (b"", "a.tex", "no_main_file"),
        (b"%PDF-1.4 nothing", "a.tex", "no_main_file"),
        (b"\\section{a chapter} of a book", "a.tex", "no_main_file"),
        (b"\\documentclass{a}\\begin{document}\\end{document}", "a.tex", "empty"),
        (packed(FILES)[:3000], "a.tar", "damaged"),
        (packed(FILES)[:2048], "a.tar", "damaged"),
        (b"no tar at all" * 100, "a.tar", "damaged"),
        (packed({"a.png": b"x"}), "a.tar", "no_main_file"),
    ],
)
def test_what_is_no_paper(tmp_path, content, name, reason):
    with pytest.raises(Reject) as caught:
        found(tmp_path, content, name)
    assert caught.value.reason == reason


def test_cut_off(tmp_path):
    for keep in (-10, 200):
        with pytest.raises(UserError, match="a.tar.gz: is cut off"):
            found(tmp_path, gzip.compress(packed(FILES))[:keep], "a.tar.gz")


def test_too_long(tmp_path, monkeypatch):
    paper = "\\documentclass{article}\\begin{document}" + "\\input{b}" * 200 + "\\end{document}"
    monkeypatch.setattr(latex, "LONGEST_RECORD", 20_000)
    figures = {"a.tex": paper.replace("\\input", "%"), "figure.png": b"x" * 100_000}
    with pytest.raises(Reject) as caught:
        found(tmp_path, packed(figures), "figures.tar")
    assert caught.value.reason == "empty"  # figures do not count
    for files in ({"a.tex": paper, "b.tex": "words " * 100}, {"a.tex": paper, "b.tex": "words " * 5000}):
        with pytest.raises(Reject) as caught:
            found(tmp_path, packed(files), "a.tar")
        assert caught.value.reason == "too_long"
    with pytest.raises(Reject) as caught:
        found(tmp_path, b"x" * 30_000)
    assert caught.value.reason == "too_long"


def test_names_that_lead_out_of_the_archive_lead_nowhere(tmp_path):
    (tmp_path / "secret.tex").write_text("secret")
    paper = f"\\documentclass{{article}}\\begin{{document}}\\input{{../secret}}\\input{{{tmp_path}/secret}}\\end{{document}}"
    assert "\\input{../secret}" in found(tmp_path, packed({"x/../a.tex": paper}), "a.tar").text
